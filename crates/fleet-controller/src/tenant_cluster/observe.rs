//! First stages: look at the cloud, and plan. A look that is still good is used again, because most reconciles are
//! caused by the baseline and not by the cloud.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use fleet_api::{
    conditions,
    eks::{ClusterTarget, EksObservation, Focus},
    step::Seen,
    v1alpha1::TenantCluster,
};
use fleet_plan::cluster::{ClusterPlan, attention, plan};
use fleet_provider::ProviderError;
use tracing::warn;

use crate::{context::Context, error::chain};

/// The last look at each cluster.
#[derive(Default)]
pub(crate) struct Looks {
    by_uid: Mutex<HashMap<String, Look>>,
}

/// One look.
struct Look {
    seen: EksObservation,
    /// What the look was taken for: another spec asks for another look.
    occasion: Occasion,
    /// What the plan wants to look at next.
    focus: Focus,
    /// When it is no longer good.
    due: Instant,
}

/// What makes a look stale beside time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Occasion {
    generation: Option<i64>,
    deleting: bool,
    annotations: Vec<(String, String)>,
    proven: bool,
}

impl Occasion {
    fn of(cluster: &TenantCluster) -> Self {
        let metadata = &cluster.metadata;
        let ours =
            metadata.annotations.iter().flatten().filter(|(key, _)| key.starts_with("tenantfleet.dev/"));
        let status = cluster.status.as_ref();
        Self {
            generation: metadata.generation,
            deleting: metadata.deletion_timestamp.is_some(),
            annotations: ours.map(|(key, value)| (key.clone(), value.clone())).collect(),
            proven: status.is_some_and(|status| {
                conditions::is_true(&status.conditions, conditions::PROVEN, metadata.generation)
            }),
        }
    }
}

impl Looks {
    /// The last look, while it is good for the cluster as it is now.
    fn good(&self, uid: &str, occasion: &Occasion) -> Option<EksObservation> {
        let by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        let look = by_uid.get(uid)?;
        (look.occasion == *occasion && Instant::now() < look.due).then(|| look.seen.clone())
    }

    fn focus(&self, uid: &str) -> Option<Focus> {
        let by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        by_uid.get(uid).map(|look| look.focus.clone())
    }

    /// Keeps a look. It is stale at once, until [`due_in`](Self::due_in) says how long it is good.
    fn keep(&self, uid: &str, seen: &EksObservation, occasion: Occasion, focus: &Focus) {
        let look = Look { seen: seen.clone(), occasion, focus: focus.clone(), due: Instant::now() };
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), look);
    }

    /// Says how long the last look is good from now on. It is never made good for longer than it was.
    pub(crate) fn due_in(&self, uid: &str, after: Duration) {
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = by_uid.get_mut(uid) {
            let now = Instant::now();
            // A look that was used again keeps its end, or a busy baseline would keep it good for ever.
            if look.due <= now {
                look.due = now + after;
            }
        }
    }

    /// Makes the last look stale: what was carried out has changed the world.
    pub(crate) fn stale(&self, uid: &str) {
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = by_uid.get_mut(uid) {
            look.due = Instant::now();
        }
    }

    /// Forgets a cluster that is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// Looks at the cloud, if need be, and plans. No step is ever planned on a look that was used before.
pub(super) async fn look_and_plan(
    context: &Context,
    cluster: &TenantCluster,
    target: &ClusterTarget,
) -> (EksObservation, ClusterPlan) {
    let uid = &target.owner_uid;
    let occasion = Occasion::of(cluster);
    if let Some(seen) = context.looks.good(uid, &occasion) {
        let planned = plan(cluster, &seen, context.now());
        if planned.steps.is_empty() && !planned.deleted {
            return (seen, planned);
        }
    }
    let focus = focus(context, cluster, uid);
    let seen = match context.provider.observe(target, &focus).await {
        Ok(seen) => seen,
        Err(error) => unseen(context, cluster, &error),
    };
    let planned = plan(cluster, &seen, context.now());
    context.looks.keep(uid, &seen, occasion, &planned.focus);
    (seen, planned)
}

/// What the status asks for, and what the last plan found missing.
fn focus(context: &Context, cluster: &TenantCluster, uid: &str) -> Focus {
    let mut focus = attention(cluster);
    if let Some(wished) = context.looks.focus(uid) {
        let Focus { update_id: _, update_part: _, addons, leftovers, readiness, subnets } = wished;
        focus.addons.extend(addons);
        focus.addons.sort();
        focus.addons.dedup();
        focus.leftovers |= leftovers;
        focus.readiness |= readiness;
        focus.subnets = subnets;
    }
    focus
}

/// An observation that says why nothing was seen. It is never read as an absence.
fn unseen(context: &Context, cluster: &TenantCluster, error: &ProviderError) -> EksObservation {
    context.metrics.provider_error(error.class.as_str());
    let why = chain(error);
    warn!(cluster = cluster.spec.cluster_name, why, "the cluster could not be observed");
    EksObservation { cluster: Seen::Unknown { why }, ..EksObservation::nothing_seen(context.now()) }
}
