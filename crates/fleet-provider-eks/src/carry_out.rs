//! Carries out one step: reads what the step depends on, judges, and makes the call. It chooses nothing.

use fleet_api::{
    eks::{AccessEntryRequest, ClusterTarget, EksAction, EksObservation, Part, PolicyAssociation},
    labels,
    step::{Outcome, Seen, Step},
};
use fleet_provider::{ErrorClass, Judgement, ProviderError, is_ours, judge, reads_for};
use jiff::Timestamp;

use crate::{
    error::{CallError, from_sdk},
    launch_template, read, requests,
    session::Session,
};

/// Makes the call of an EKS operation, and turns its error into ours.
macro_rules! send {
    ($session:expr, $operation:expr, $request:expr) => {
        $session
            .call(Box::pin(async { $request.send().await.map_err(|error| from_sdk($operation, error)) }))
            .await
    };
}

/// Carries out one step on the target.
pub(crate) async fn carry_out(
    session: &Session,
    target: &ClusterTarget,
    step: &Step,
    action: &EksAction,
) -> Result<Outcome, ProviderError> {
    let on = |error: CallError| error.on(&target.cluster_name);
    let (needs_cluster, part) = reads_for(action, &step.expects);
    let seen = Box::pin(look(session, target, needs_cluster, part.as_ref())).await.map_err(on)?;
    if judge(step, action, &seen, target)? == Judgement::AlreadyDone {
        return Ok(Outcome::default());
    }
    match Box::pin(act(session, target, action, &step.token)).await {
        Ok(outcome) => Ok(outcome),
        Err(error) if error.is_no_change() => Ok(Outcome::default()),
        Err(error) if action.deletes() && error.is_not_found() => Ok(Outcome::default()),
        Err(error) if error.is_taken() && is_creation(action) => adopt(session, target, action, error).await,
        Err(error) => Err(on(error)),
    }
}

/// Reads the cluster and one part, as far as they are needed.
async fn look(
    session: &Session,
    target: &ClusterTarget,
    needs_cluster: bool,
    part: Option<&Part>,
) -> Result<EksObservation, CallError> {
    let name = &target.cluster_name;
    let mut seen = EksObservation::nothing_seen(Timestamp::now());
    if needs_cluster {
        match read::cluster(session, name).await? {
            Some(cluster) => seen.cluster = Seen::Present(cluster),
            None => {
                seen.cluster = Seen::Absent;
                return Ok(seen);
            }
        }
    }
    let one = |found| Seen::Present(Vec::from_iter(found));
    match part {
        None | Some(Part::Cluster) => {}
        Some(Part::Nodegroup(group)) => {
            seen.nodegroups = Seen::Present(Vec::from_iter(read::nodegroup(session, name, group).await?));
        }
        Some(Part::Addon(addon)) => {
            seen.addons = Seen::Present(Vec::from_iter(read::addon(session, name, addon).await?));
        }
        Some(Part::AccessEntry(principal)) => {
            seen.access_entries =
                Seen::Present(Vec::from_iter(read::access_entry(session, name, principal).await?));
        }
        Some(Part::PodIdentity { namespace, service_account }) => {
            seen.pod_identities =
                one(read::pod_identity_of(session, name, namespace, service_account).await?);
        }
        Some(Part::LaunchTemplate(template)) => {
            seen.launch_templates =
                Seen::Present(launch_template::owned_by(session, &target.owner_uid, Some(template)).await?);
        }
    }
    Ok(seen)
}

const fn is_creation(action: &EksAction) -> bool {
    matches!(
        action,
        EksAction::CreateCluster(_)
            | EksAction::CreateLaunchTemplate(_)
            | EksAction::CreateNodegroup(_)
            | EksAction::CreateAddon(_)
            | EksAction::CreateAccessEntry(_)
            | EksAction::CreatePodIdentity(_)
    )
}

/// The name is taken. What is there is looked at: with our tag it is ours, from a try whose answer was lost.
async fn adopt(
    session: &Session,
    target: &ClusterTarget,
    action: &EksAction,
    taken: CallError,
) -> Result<Outcome, ProviderError> {
    let name = &target.cluster_name;
    let on = |error: CallError| error.on(name);
    let part = action.part();
    let inside = !matches!(part, Part::Cluster | Part::LaunchTemplate(_));
    let seen =
        look(session, target, !matches!(part, Part::LaunchTemplate(_)), Some(&part)).await.map_err(on)?;
    let owner = |tags: &std::collections::BTreeMap<String, String>| {
        tags.get(labels::TAG_OWNER) == Some(&target.owner_uid)
    };
    fn first<T>(list: &Seen<Vec<T>>) -> Option<&T> {
        list.present().and_then(|items| items.first())
    }
    let ours = match &part {
        Part::Cluster => seen.cluster.present().map(|cluster| is_ours(cluster, target)),
        Part::Nodegroup(_) => first(&seen.nodegroups).map(|group| owner(&group.tags)),
        Part::Addon(_) => first(&seen.addons).map(|addon| owner(&addon.tags)),
        Part::AccessEntry(_) => first(&seen.access_entries).map(|entry| owner(&entry.tags)),
        Part::PodIdentity { .. } => first(&seen.pod_identities).map(|identity| owner(&identity.tags)),
        // Only templates of ours are read: a taken name that is not among them is somebody else's.
        Part::LaunchTemplate(_) => Some(first(&seen.launch_templates).is_some()),
    };
    match ours {
        Some(true) => {
            tracing::info!(cluster = %name, part = %part, "what was to be made is there and ours");
            Ok(Outcome::default())
        }
        Some(false) => Err(ProviderError {
            class: ErrorClass::NotOurs,
            message: Some(format!(
                "{}{part} is there and carries another owner's tag, or none",
                if inside { "in the cluster, " } else { "" }
            )),
            ..on(taken)
        }),
        None => Err(on(taken)),
    }
}

async fn act(
    session: &Session,
    target: &ClusterTarget,
    action: &EksAction,
    token: &str,
) -> Result<Outcome, CallError> {
    let eks = &session.eks;
    let name = &target.cluster_name;
    let operation = action.operation();
    let mut update = None;
    match action {
        EksAction::CreateCluster(request) => {
            send!(session, operation, requests::create_cluster(eks, name, request, token))?;
        }
        EksAction::UpdateConfig(change) => {
            update = send!(session, operation, requests::update_config(eks, name, change, token))?.update;
        }
        EksAction::UpdateVersion { from: _, to } => {
            let request =
                eks.update_cluster_version().name(name).version(to.to_string()).client_request_token(token);
            update = send!(session, operation, request)?.update;
        }
        EksAction::RefreshInsights => {
            send!(session, operation, eks.start_insights_refresh().cluster_name(name))?;
        }
        EksAction::DeleteCluster => {
            send!(session, operation, eks.delete_cluster().name(name))?;
        }
        EksAction::CreateLaunchTemplate(request) => {
            session.send(&launch_template::create(request, token)).await?;
        }
        EksAction::CreateLaunchTemplateVersion { id, request } => {
            session.send(&launch_template::create_version(id, request, token)).await?;
        }
        EksAction::DeleteLaunchTemplate { id, name: _ } => {
            session.send(&launch_template::delete(id)).await?;
        }
        EksAction::CreateNodegroup(request) => {
            send!(session, operation, requests::create_nodegroup(eks, name, request, token))?;
        }
        EksAction::UpdateNodegroupConfig(request) => {
            let request = requests::update_nodegroup_config(eks, name, request, token);
            update = send!(session, operation, request)?.update;
        }
        EksAction::UpdateNodegroupVersion { name: group, to, launch_template } => {
            let request =
                requests::update_nodegroup_version(eks, name, group, *to, launch_template.as_ref(), token);
            update = send!(session, operation, request)?.update;
        }
        EksAction::DeleteNodegroup { name: group } => {
            send!(session, operation, eks.delete_nodegroup().cluster_name(name).nodegroup_name(group))?;
        }
        EksAction::CreateAddon(request) => {
            send!(session, operation, requests::create_addon(eks, name, request, token))?;
        }
        EksAction::UpdateAddon(request) => {
            update = send!(session, operation, requests::update_addon(eks, name, request, token))?.update;
        }
        EksAction::DeleteAddon { name: addon } => {
            let request = eks.delete_addon().cluster_name(name).addon_name(addon).preserve(false);
            send!(session, operation, request)?;
        }
        EksAction::CreateAccessEntry(request) => {
            create_access_entry(session, name, request, token).await?;
        }
        EksAction::UpdateAccessEntry(request) => {
            let request = eks
                .update_access_entry()
                .cluster_name(name)
                .principal_arn(&request.principal_arn)
                .set_kubernetes_groups(Some(request.groups.iter().cloned().collect()))
                .client_request_token(token);
            send!(session, operation, request)?;
        }
        EksAction::AssociateAccessPolicy { principal_arn, policy } => {
            associate(session, name, principal_arn, policy).await?;
        }
        EksAction::DisassociateAccessPolicy { principal_arn, policy_arn } => {
            let request = eks
                .disassociate_access_policy()
                .cluster_name(name)
                .principal_arn(principal_arn)
                .policy_arn(policy_arn);
            send!(session, operation, request)?;
        }
        EksAction::DeleteAccessEntry { principal_arn } => {
            let request = eks.delete_access_entry().cluster_name(name).principal_arn(principal_arn);
            send!(session, operation, request)?;
        }
        EksAction::CreatePodIdentity(request) => {
            send!(session, operation, requests::create_pod_identity(eks, name, request, token))?;
        }
        EksAction::UpdatePodIdentity { association_id, request } => {
            let request = eks
                .update_pod_identity_association()
                .cluster_name(name)
                .association_id(association_id)
                .role_arn(&request.role_arn)
                .client_request_token(token);
            send!(session, operation, request)?;
        }
        EksAction::DeletePodIdentity { association_id, name: _ } => {
            let request =
                eks.delete_pod_identity_association().cluster_name(name).association_id(association_id);
            send!(session, operation, request)?;
        }
        EksAction::TagCluster { arn, tags } => {
            let request =
                eks.tag_resource().resource_arn(arn).set_tags(Some(tags.clone().into_iter().collect()));
            send!(session, operation, request)?;
        }
    }
    Ok(Outcome { update_id: update.and_then(|update| update.id), ..Outcome::default() })
}

/// Two calls, because EKS has no one call for both. The first is safe to repeat by its token, the second by its
/// nature; when the process dies between them, the planner sees an entry without policies and adds them.
async fn create_access_entry(
    session: &Session,
    cluster: &str,
    request: &AccessEntryRequest,
    token: &str,
) -> Result<(), CallError> {
    send!(
        session,
        "CreateAccessEntry",
        requests::create_access_entry(&session.eks, cluster, request, token)
    )?;
    for policy in &request.policies {
        associate(session, cluster, &request.principal_arn, policy).await?;
    }
    Ok(())
}

async fn associate(
    session: &Session,
    cluster: &str,
    principal_arn: &str,
    policy: &PolicyAssociation,
) -> Result<(), CallError> {
    let request = session
        .eks
        .associate_access_policy()
        .cluster_name(cluster)
        .principal_arn(principal_arn)
        .policy_arn(&policy.policy_arn)
        .access_scope(requests::access_scope(policy));
    send!(session, "AssociateAccessPolicy", request)?;
    Ok(())
}
