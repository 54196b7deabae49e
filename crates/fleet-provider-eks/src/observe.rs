//! Puts one observation together: the cluster first, then everything else at the same time.

use std::collections::BTreeMap;

use fleet_api::{
    eks::{AddonOffer, ClusterTarget, EksCluster, EksClusterStatus, EksObservation, EksUpdate, Focus, Part},
    step::Seen,
};
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use jiff::Timestamp;

use crate::{error::CallError, launch_template, leftovers, read, session::Session};

/// Looks at what the focus asks for. An error means that not even the cluster could be asked for.
pub(crate) async fn observe(
    session: &Session,
    target: &ClusterTarget,
    focus: &Focus,
) -> Result<EksObservation, CallError> {
    let name = &target.cluster_name;
    let cluster = read::cluster(session, name).await?;
    let answers = parts_answer(cluster.as_ref());
    let (update, nodegroups, addons, access_entries, pod_identities) = tokio::join!(
        when(answers, update(session, name, focus).boxed()),
        when(answers, seen(read::nodegroups(session, name))),
        when(answers, seen(read::addons(session, name))),
        when(answers, seen(read::access_entries(session, name))),
        when(answers, seen(read::pod_identities(session, name))),
    );
    let (insights, subnets) = tokio::join!(
        when(answers && focus.readiness, seen(read::insights(session, name))),
        when(
            focus.readiness && cluster.is_some(),
            seen(read::subnets(session, cluster.iter().flat_map(|cluster| &cluster.subnet_ids))),
        ),
    );
    let (launch_templates, leftovers, versions, addon_offers) = tokio::join!(
        seen(launch_template::owned_by(session, &target.owner_uid, None)),
        when(focus.leftovers, seen(leftovers::sweep(session, target))),
        read::versions(session).boxed(),
        offers(session, &focus.addons).boxed(),
    );
    if cluster.is_none() {
        session.cache.forget(name);
    }
    Ok(EksObservation {
        observed_at: Timestamp::now(),
        cluster: cluster.map_or(Seen::Absent, Seen::Present),
        update,
        nodegroups,
        addons,
        access_entries,
        pod_identities,
        launch_templates,
        addon_offers,
        versions: versions.unwrap_or_else(|error| {
            tracing::warn!(cluster = %name, error = %error, "the minors on offer could not be read");
            Vec::new()
        }),
        subnets,
        insights,
        leftovers,
    })
}

/// Whether EKS answers for the parts of the cluster.
fn parts_answer(cluster: Option<&EksCluster>) -> bool {
    cluster.is_some_and(|cluster| {
        !matches!(cluster.status, EksClusterStatus::Creating | EksClusterStatus::Pending)
    })
}

async fn when<T>(asked: bool, look: BoxFuture<'_, Seen<T>>) -> Seen<T> {
    if asked { look.await } else { Seen::not_looked_at() }
}

/// In a box, because ten of these run at once in one future.
fn seen<'a, T>(read: impl Future<Output = Result<T, CallError>> + Send + 'a) -> BoxFuture<'a, Seen<T>> {
    let look = async {
        match read.await {
            Ok(found) => Seen::Present(found),
            Err(error) => Seen::Unknown { why: error.why() },
        }
    };
    look.boxed()
}

async fn update(session: &Session, cluster: &str, focus: &Focus) -> Seen<EksUpdate> {
    let found = match &focus.update_id {
        Some(id) => {
            let part = focus.update_part.as_deref().map(str::parse::<Part>).transpose();
            match part {
                Ok(part) => read::update(session, cluster, id, part.as_ref()).await,
                Err(error) => return Seen::Unknown { why: error.to_string() },
            }
        }
        None => read::update_in_progress(session, cluster).await,
    };
    match found {
        Ok(Some(update)) => Seen::Present(update),
        Ok(None) => Seen::Absent,
        Err(error) => Seen::Unknown { why: error.why() },
    }
}

/// The offers of the add-ons that could be read. An add-on that is missing here is unknown, not withdrawn.
async fn offers(session: &Session, addons: &[String]) -> BTreeMap<String, Vec<AddonOffer>> {
    let found = join_all(addons.iter().map(|name| async move {
        match read::addon_offers(session, name).await {
            Ok(offers) => Some((name.clone(), offers)),
            Err(error) => {
                tracing::warn!(addon = %name, error = %error, "the versions of an add-on could not be read");
                None
            }
        }
    }))
    .await;
    found.into_iter().flatten().collect()
}
