//! First stages: look at the cloud, and plan. A look that is still good is used again, because most reconciles are
//! caused by the baseline and not by the cloud.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
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
    /// Until when it is good, once that has been said.
    good_until: Option<Instant>,
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
    fn good(&self, uid: &str, occasion: &Occasion, now: Instant) -> Option<EksObservation> {
        let by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        let look = by_uid.get(uid)?;
        let good = look.good_until.is_some_and(|until| now < until);
        (look.occasion == *occasion && good).then(|| look.seen.clone())
    }

    fn focus(&self, uid: &str) -> Option<Focus> {
        let by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        by_uid.get(uid).map(|look| look.focus.clone())
    }

    /// Keeps a look. It is not good for anything further, until [`good_until`](Self::good_until) says so.
    fn keep(&self, uid: &str, seen: &EksObservation, occasion: Occasion, focus: &Focus) {
        let look = Look { seen: seen.clone(), occasion, focus: focus.clone(), good_until: None };
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), look);
    }

    /// Says how long the last look is good, the first time that somebody asks of it.
    ///
    /// A look that was used again keeps its end, even when that has come meanwhile: a reconcile that begins right
    /// before the end and lasts beyond it would otherwise make an old look good for a whole span more, and the next
    /// one, which comes after as long a pause, once more.
    pub(crate) fn good_until(&self, uid: &str, until: Instant) {
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = by_uid.get_mut(uid) {
            look.good_until.get_or_insert(until);
        }
    }

    /// Makes the last look stale for good: what is carried out changes the world.
    pub(crate) fn stale(&self, uid: &str, now: Instant) {
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = by_uid.get_mut(uid) {
            look.good_until = Some(now);
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
    if let Some(seen) = context.looks.good(uid, &occasion, Instant::now()) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;

    fn occasion(generation: i64) -> Occasion {
        Occasion { generation: Some(generation), deleting: false, annotations: Vec::new(), proven: false }
    }

    fn looks() -> (Looks, Instant) {
        let looks = Looks::default();
        let seen = EksObservation::nothing_seen(Timestamp::UNIX_EPOCH);
        looks.keep("uid", &seen, occasion(1), &Focus::default());
        (looks, Instant::now())
    }

    #[test]
    fn a_look_is_good_for_the_span_that_was_given_and_for_its_occasion() {
        let (looks, now) = looks();
        let second = Duration::from_secs(1);
        assert!(looks.good("uid", &occasion(1), now).is_none(), "nobody has said how long");
        looks.good_until("uid", now + second * 20);
        assert!(looks.good("uid", &occasion(1), now + second * 19).is_some());
        assert!(looks.good("uid", &occasion(2), now + second * 19).is_none());
        assert!(looks.good("uid", &occasion(1), now + second * 20).is_none());
    }

    #[test]
    fn a_look_that_is_used_again_right_before_its_end_is_not_made_good_for_longer() {
        let (looks, now) = looks();
        let span = Duration::from_secs(20);
        looks.good_until("uid", now + span);
        // A reconcile begins when the look is still good, and ends when it is not any more.
        let (begins, ends) = (now + span - Duration::from_millis(50), now + span + Duration::from_millis(50));
        assert!(looks.good("uid", &occasion(1), begins).is_some());
        looks.good_until("uid", ends + span);
        assert!(looks.good("uid", &occasion(1), ends).is_none());
    }

    #[test]
    fn a_look_from_before_a_step_is_never_good_again() {
        let (looks, now) = looks();
        looks.stale("uid", now);
        looks.good_until("uid", now + Duration::from_secs(20));
        assert!(looks.good("uid", &occasion(1), now).is_none());
    }
}
