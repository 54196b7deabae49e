//! How many clusters have a part that failed and has not been mended: from their statuses, so that a restart of the
//! controller forgets none of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fleet_api::v1alpha1::TenantCluster;

/// The number of clusters by the part of which a step failed last. A failure stands in a cluster's status until the step
/// has succeeded, or nobody wants it any more.
pub(crate) fn failing(clusters: &[Arc<TenantCluster>]) -> BTreeMap<&'static str, i64> {
    let mut counts = BTreeMap::new();
    for cluster in clusters {
        let failures = cluster.status.iter().flat_map(|status| &status.failures);
        let parts: BTreeSet<&str> = failures.map(|failure| part_of(&failure.step)).collect();
        for part in parts {
            *counts.entry(part).or_insert(0) += 1;
        }
    }
    counts
}

/// The part that a step is about, by its id: a fixed set, for metrics.
fn part_of(step: &str) -> &'static str {
    match step.split('/').next() {
        Some("update-version") => "control-plane",
        Some("nodegroup") => "nodes",
        Some("addon") => "add-ons",
        _ => "other",
    }
}
