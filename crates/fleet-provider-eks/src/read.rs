//! Reads of EKS and EC2, one function for each thing that is looked at. `None` and empty lists are the cloud's
//! own word; whatever else went wrong is an error.

use aws_sdk_eks::{error::SdkError, types as sdk};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use fleet_api::eks::{
    AddonOffer, EksAccessEntry, EksAddon, EksCluster, EksInsight, EksNodegroup, EksPodIdentity, EksSubnet,
    EksUpdate, EksUpdateStatus, EksVersionOffer, Part,
};
use fleet_provider::ErrorClass;
use futures::future::try_join_all;

use crate::{
    convert::{self, Unreadable},
    error::{CallError, from_sdk},
    launch_template::Parameters,
    session::Session,
    xml,
};

/// How many updates of one cluster are described to find the one in progress.
const UPDATES_DESCRIBED: usize = 40;

type Read<T> = Result<T, CallError>;

/// All items of a paginated list.
macro_rules! all_pages {
    ($session:expr, $operation:literal, $request:expr, $field:ident) => {{
        let mut pages = $request.into_paginator().send();
        let mut items = Vec::new();
        while let Some(page) = $session
            .call(Box::pin(async {
                pages.next().await.transpose().map_err(|error| from_sdk($operation, error))
            }))
            .await?
        {
            items.extend(page.$field.unwrap_or_default());
        }
        items
    }};
}

/// What a Describe call found: `None` when the service says that it is not there.
async fn described<T, E>(
    session: &Session,
    operation: &'static str,
    send: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
) -> Read<Option<T>>
where
    E: aws_sdk_eks::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let call = Box::pin(async { send.await.map_err(|error| from_sdk(operation, error)) });
    let answer = session.call(call).await;
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn field<T>(operation: &'static str, field: Option<T>) -> Read<T> {
    field.ok_or_else(|| unreadable(operation, "the answer is empty", None))
}

fn converted<T>(operation: &'static str, result: Result<T, Unreadable>) -> Read<T> {
    result.map_err(|error| {
        let message = error.to_string();
        unreadable(operation, &message, Some(error))
    })
}

fn unreadable(operation: &'static str, message: &str, source: Option<Unreadable>) -> CallError {
    CallError {
        class: ErrorClass::Unknown,
        operation,
        code: None,
        message: Some(message.to_owned()),
        source: source.map(|error| Box::new(error) as _),
    }
}

pub(crate) async fn cluster(session: &Session, name: &str) -> Read<Option<EksCluster>> {
    const OPERATION: &str = "DescribeCluster";
    let send = session.eks.describe_cluster().name(name).send();
    let Some(answer) = described(session, OPERATION, send).await? else { return Ok(None) };
    converted(OPERATION, convert::cluster(&field(OPERATION, answer.cluster)?)).map(Some)
}

/// An update by its id; `part` says whose it is when it is not the cluster's own.
pub(crate) async fn update(
    session: &Session,
    cluster: &str,
    id: &str,
    part: Option<&Part>,
) -> Read<Option<EksUpdate>> {
    const OPERATION: &str = "DescribeUpdate";
    let request = session.eks.describe_update().name(cluster).update_id(id);
    let request = match part {
        Some(Part::Nodegroup(name)) => request.nodegroup_name(name),
        Some(Part::Addon(name)) => request.addon_name(name),
        _ => request,
    };
    let Some(answer) = described(session, OPERATION, request.send()).await? else { return Ok(None) };
    converted(OPERATION, convert::update(&field(OPERATION, answer.update)?, part)).map(Some)
}

/// The cluster's own update that is in progress. Updates that were seen finished are not described again.
pub(crate) async fn update_in_progress(session: &Session, cluster: &str) -> Read<Option<EksUpdate>> {
    let ids = all_pages!(session, "ListUpdates", session.eks.list_updates().name(cluster), update_ids);
    let open = ids.iter().filter(|id| !session.cache.is_finished(cluster, id)).take(UPDATES_DESCRIBED);
    for id in open {
        let Some(found) = update(session, cluster, id, None).await? else { continue };
        match found.status {
            EksUpdateStatus::InProgress | EksUpdateStatus::Other(_) => return Ok(Some(found)),
            EksUpdateStatus::Successful | EksUpdateStatus::Failed | EksUpdateStatus::Cancelled => {
                session.cache.keep_finished(cluster, id);
            }
        }
    }
    Ok(None)
}

pub(crate) async fn nodegroups(session: &Session, cluster: &str) -> Read<Vec<EksNodegroup>> {
    let request = session.eks.list_nodegroups().cluster_name(cluster);
    let names = all_pages!(session, "ListNodegroups", request, nodegroups);
    let groups = names.iter().map(|name| nodegroup(session, cluster, name));
    Ok(try_join_all(groups).await?.into_iter().flatten().collect())
}

pub(crate) async fn nodegroup(session: &Session, cluster: &str, name: &str) -> Read<Option<EksNodegroup>> {
    const OPERATION: &str = "DescribeNodegroup";
    let send = session.eks.describe_nodegroup().cluster_name(cluster).nodegroup_name(name).send();
    let Some(answer) = described(session, OPERATION, send).await? else { return Ok(None) };
    converted(OPERATION, convert::nodegroup(&field(OPERATION, answer.nodegroup)?)).map(Some)
}

pub(crate) async fn addons(session: &Session, cluster: &str) -> Read<Vec<EksAddon>> {
    let request = session.eks.list_addons().cluster_name(cluster);
    let names = all_pages!(session, "ListAddons", request, addons);
    let addons = names.iter().map(|name| addon(session, cluster, name));
    Ok(try_join_all(addons).await?.into_iter().flatten().collect())
}

pub(crate) async fn addon(session: &Session, cluster: &str, name: &str) -> Read<Option<EksAddon>> {
    const OPERATION: &str = "DescribeAddon";
    let send = session.eks.describe_addon().cluster_name(cluster).addon_name(name).send();
    let Some(answer) = described(session, OPERATION, send).await? else { return Ok(None) };
    converted(OPERATION, convert::addon(&field(OPERATION, answer.addon)?)).map(Some)
}

pub(crate) async fn access_entries(session: &Session, cluster: &str) -> Read<Vec<EksAccessEntry>> {
    let request = session.eks.list_access_entries().cluster_name(cluster);
    let principals = all_pages!(session, "ListAccessEntries", request, access_entries);
    let entries = principals.iter().map(|principal| access_entry(session, cluster, principal));
    Ok(try_join_all(entries).await?.into_iter().flatten().collect())
}

pub(crate) async fn access_entry(
    session: &Session,
    cluster: &str,
    principal: &str,
) -> Read<Option<EksAccessEntry>> {
    const OPERATION: &str = "DescribeAccessEntry";
    let send = session.eks.describe_access_entry().cluster_name(cluster).principal_arn(principal).send();
    let Some(answer) = described(session, OPERATION, send).await? else { return Ok(None) };
    let entry = field(OPERATION, answer.access_entry)?;
    let policies = associated_policies(session, cluster, principal).await;
    let policies = match policies {
        Ok(policies) => policies,
        // It was deleted between the two calls.
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    converted(OPERATION, convert::access_entry(&entry, &policies)).map(Some)
}

async fn associated_policies(
    session: &Session,
    cluster: &str,
    principal: &str,
) -> Read<Vec<sdk::AssociatedAccessPolicy>> {
    let request =
        session.eks.list_associated_access_policies().cluster_name(cluster).principal_arn(principal);
    Ok(all_pages!(session, "ListAssociatedAccessPolicies", request, associated_access_policies))
}

pub(crate) async fn pod_identities(session: &Session, cluster: &str) -> Read<Vec<EksPodIdentity>> {
    let request = session.eks.list_pod_identity_associations().cluster_name(cluster);
    let found = all_pages!(session, "ListPodIdentityAssociations", request, associations);
    let identities = found.iter().map(|summary| pod_identity(session, cluster, summary));
    Ok(try_join_all(identities).await?.into_iter().flatten().collect())
}

/// The association of one service account.
pub(crate) async fn pod_identity_of(
    session: &Session,
    cluster: &str,
    namespace: &str,
    service_account: &str,
) -> Read<Option<EksPodIdentity>> {
    let request = session
        .eks
        .list_pod_identity_associations()
        .cluster_name(cluster)
        .namespace(namespace)
        .service_account(service_account);
    let found = all_pages!(session, "ListPodIdentityAssociations", request, associations);
    match found.first() {
        Some(summary) => pod_identity(session, cluster, summary).await,
        None => Ok(None),
    }
}

async fn pod_identity(
    session: &Session,
    cluster: &str,
    summary: &sdk::PodIdentityAssociationSummary,
) -> Read<Option<EksPodIdentity>> {
    const OPERATION: &str = "DescribePodIdentityAssociation";
    let id = field("ListPodIdentityAssociations", summary.association_id.clone())?;
    let send =
        session.eks.describe_pod_identity_association().cluster_name(cluster).association_id(id).send();
    let Some(answer) = described(session, OPERATION, send).await? else { return Ok(None) };
    converted(OPERATION, convert::pod_identity(&field(OPERATION, answer.association)?)).map(Some)
}

pub(crate) async fn versions(session: &Session) -> Read<Vec<EksVersionOffer>> {
    const OPERATION: &str = "DescribeClusterVersions";
    if let Some(kept) = session.cache.versions() {
        return Ok(kept);
    }
    let found = all_pages!(
        session,
        "DescribeClusterVersions",
        session.eks.describe_cluster_versions(),
        cluster_versions
    );
    let offers = found
        .iter()
        .map(|offer| converted(OPERATION, convert::version_offer(offer)))
        .collect::<Read<Vec<_>>>()?;
    session.cache.keep_versions(&offers);
    Ok(offers)
}

/// Every minor that the region has ever offered, oldest first. It is asked for once in hours, and not kept.
pub(crate) async fn calendar(session: &Session) -> Read<Vec<EksVersionOffer>> {
    const OPERATION: &str = "DescribeClusterVersions";
    let request = session.eks.describe_cluster_versions().include_all(true);
    let found = all_pages!(session, "DescribeClusterVersions", request, cluster_versions);
    let mut offers = found
        .iter()
        .map(|offer| converted(OPERATION, convert::version_offer(offer)))
        .collect::<Read<Vec<_>>>()?;
    offers.sort_by_key(|offer| offer.version);
    Ok(offers)
}

pub(crate) async fn addon_offers(session: &Session, addon: &str) -> Read<Vec<AddonOffer>> {
    if let Some(kept) = session.cache.addon(addon) {
        return Ok(kept);
    }
    let request = session.eks.describe_addon_versions().addon_name(addon);
    let found = all_pages!(session, "DescribeAddonVersions", request, addons);
    let offers: Vec<AddonOffer> = found
        .iter()
        .filter(|info| info.addon_name.as_deref() == Some(addon))
        .flat_map(|info| convert::addon_offers(info.addon_versions.as_deref().unwrap_or_default()))
        .collect();
    session.cache.keep_addon(addon, &offers);
    Ok(offers)
}

/// The insights. Those that do not pass come with what they name, and what EKS recommends.
pub(crate) async fn insights(session: &Session, cluster: &str) -> Read<Vec<EksInsight>> {
    let request = session.eks.list_insights().cluster_name(cluster);
    let found = all_pages!(session, "ListInsights", request, insights);
    try_join_all(found.iter().map(|summary| insight(session, cluster, summary))).await
}

async fn insight(session: &Session, cluster: &str, summary: &sdk::InsightSummary) -> Read<EksInsight> {
    let passes = summary
        .insight_status
        .as_ref()
        .is_some_and(|status| status.status == Some(sdk::InsightStatusValue::Passing));
    let details = match &summary.id {
        Some(id) if !passes => {
            let send = session.eks.describe_insight().cluster_name(cluster).id(id).send();
            described(session, "DescribeInsight", send).await?.and_then(|answer| answer.insight)
        }
        _ => None,
    };
    converted("ListInsights", convert::insight(summary, details.as_ref()))
}

pub(crate) async fn subnets(session: &Session, ids: impl Iterator<Item = &String>) -> Read<Vec<EksSubnet>> {
    let mut parameters = Parameters::default();
    for (index, id) in ids.enumerate() {
        parameters.add(format!("SubnetId.{}", index + 1), id);
    }
    if parameters.0.is_empty() {
        return Ok(Vec::new());
    }
    let found = xml::pages(session, "DescribeSubnets", parameters, |page| {
        page.items("subnetSet")
            .map(|item| {
                Some(EksSubnet {
                    id: item.text("subnetId")?,
                    zone: item.text("availabilityZone")?,
                    vpc_id: item.text("vpcId"),
                    free_addresses: item.text("availableIpAddressCount")?.parse().ok()?,
                })
            })
            .collect::<Vec<Option<EksSubnet>>>()
    })
    .await?;
    found
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| unreadable("DescribeSubnets", "a subnet without id, zone or free addresses", None))
}
