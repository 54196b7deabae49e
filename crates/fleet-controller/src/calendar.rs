//! The calendars of the regions: which minors EKS offers, and until when it supports them.
//!
//! One object for each region with a cluster in it. It is read anew every few hours, through whichever of the region's
//! clusters answers; what cannot be read leaves the last calendar as it is, with the moment at which it was read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fleet_api::{
    API_VERSION,
    eks::{ClusterTarget, EksVersionOffer},
    labels,
    v1alpha1::{TenantCluster, VersionCalendar},
};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api,
    api::{Patch, PatchParams},
    runtime::reflector::ObjectRef,
};
use serde_json::json;
use tracing::{debug, warn};

use crate::{
    context::Context,
    error::chain,
    pace::{backoff, jittered},
};

/// How old a calendar may become, before its spread.
const AGE: Duration = Duration::from_secs(6 * 60 * 60);
/// How often it is looked whether a region has none, or an old one. That asks nobody but the stores.
const EVERY: Duration = Duration::from_secs(15);
/// How many clusters of a region are tried in one round.
const TRIES: usize = 3;

/// Keeps the calendars until the controller is told to end.
pub(crate) async fn keep(context: &Arc<Context>) {
    let (mut round, mut failures) = (0, 0_u32);
    loop {
        let mut all_read = true;
        for (region, targets) in due(context) {
            all_read &= refresh(context, &region, &targets, round).await;
        }
        round += 1;
        failures = if all_read { 0 } else { failures.saturating_add(1) };
        let pause = if all_read {
            jittered(EVERY, "calendar", round)
        } else {
            backoff(failures, "calendar").max(EVERY)
        };
        if context.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// The regions whose calendar is to be read, with the clusters through which it can be.
fn due(context: &Context) -> BTreeMap<String, Vec<ClusterTarget>> {
    let mut regions: BTreeMap<String, Vec<ClusterTarget>> = BTreeMap::new();
    let clusters = context.stores.clusters.state();
    let live = |cluster: &&Arc<TenantCluster>| cluster.metadata.deletion_timestamp.is_none();
    for target in clusters.iter().filter(live).filter_map(|cluster| ClusterTarget::of(cluster)) {
        regions.entry(target.region.clone()).or_default().push(target);
    }
    let now = context.now();
    regions.retain(|region, _| {
        let known = context.stores.calendars.get(&ObjectRef::new(region));
        is_due(known.as_deref(), region, now)
    });
    regions
}

/// True for a region without a calendar, and for one whose calendar is old, or from a time to come.
fn is_due(known: Option<&VersionCalendar>, region: &str, now: Timestamp) -> bool {
    let Some(known) = known else { return true };
    let salt = known.spec.read_at.0.as_second().unsigned_abs();
    let limit = SignedDuration::try_from(jittered(AGE, region, salt)).unwrap_or(SignedDuration::MAX);
    let age = known.spec.read_at.0.duration_until(now);
    age >= limit || age < SignedDuration::from_mins(-5)
}

/// Reads a region's calendar through one of its clusters, and stores it; false when it could not be.
async fn refresh(context: &Context, region: &str, targets: &[ClusterTarget], round: u64) -> bool {
    // Each round begins with others, so that an account that does not answer keeps no region waiting.
    let start = usize::try_from(round).unwrap_or(0) * TRIES % targets.len().max(1);
    for target in targets.iter().cycle().skip(start).take(TRIES.min(targets.len())) {
        match context.provider.calendar(target).await {
            Ok(versions) if versions.is_empty() => {
                warn!(
                    region,
                    account = target.account,
                    "the cloud names no versions: the calendar stays as it is"
                );
            }
            Ok(versions) => {
                return store(context, region, &target.account, &versions).await;
            }
            Err(error) => {
                context.metrics.provider_error(error.class.as_str());
                warn!(
                    region,
                    account = target.account,
                    error = chain(&error),
                    "the calendar could not be read"
                );
            }
        }
    }
    false
}

async fn store(context: &Context, region: &str, account: &str, versions: &[EksVersionOffer]) -> bool {
    if context.fence.check().is_err() {
        return false;
    }
    let object = json!({
        "apiVersion": API_VERSION,
        "kind": "VersionCalendar",
        "metadata": {"name": region, "labels": {labels::MANAGED_BY: labels::MANAGED_BY_FLEET}},
        "spec": {
            "readAt": context.now().round(jiff::Unit::Second).unwrap_or_else(|_| context.now()),
            "account": account,
            "versions": versions,
        },
    });
    let api: Api<VersionCalendar> = Api::all(context.client.clone());
    let params = PatchParams::apply(labels::CONTROLLER_MANAGER).force();
    match api.patch(region, &params, &Patch::Apply(&object)).await {
        Ok(_) => {
            debug!(region, versions = versions.len(), "the calendar was read");
            true
        }
        Err(error) => {
            warn!(region, error = chain(&error), "the calendar could not be stored");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use fleet_api::v1alpha1::VersionCalendarSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn calendar(read_at: &str) -> VersionCalendar {
        let spec = VersionCalendarSpec {
            read_at: Time(read_at.parse().unwrap()),
            account: "111122223333".to_owned(),
            versions: Vec::new(),
        };
        VersionCalendar::new("eu-central-1", spec)
    }

    #[test]
    fn a_calendar_is_read_when_there_is_none_and_again_after_hours() {
        let now = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(is_due(None, "eu-central-1", now("2026-11-24T12:00:00Z")));
        let known = calendar("2026-11-24T12:00:00Z");
        assert!(!is_due(Some(&known), "eu-central-1", now("2026-11-24T16:47:00Z")));
        assert!(is_due(Some(&known), "eu-central-1", now("2026-11-24T19:13:00Z")));
    }

    #[test]
    fn a_calendar_from_a_time_to_come_is_read_again_and_regions_are_not_read_together() {
        let known = calendar("2026-11-24T12:00:00Z");
        assert!(is_due(Some(&known), "eu-central-1", "2026-11-24T11:00:00Z".parse().unwrap()));
        let minutes = (0..9 * 60).map(|minute| known.spec.read_at.0 + SignedDuration::from_mins(minute));
        let first = |region: &str| minutes.clone().find(|at| is_due(Some(&known), region, *at));
        assert_ne!(first("eu-central-1"), first("us-east-1"));
    }
}
