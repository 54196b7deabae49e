//! Clusters that are as they should be: the pass that changes nothing, and repairs of what somebody deletes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use fleet_exec::{baseline::Stage, remote::Remote};
use fleet_render::{Bundle, BundleObject, Phase};
use futures::{Stream, StreamExt as _};
use kube::{
    api::{DeleteParams, ListParams, PartialObjectMeta, WatchEvent, WatchParams},
    core::DynamicObject,
};

use crate::{
    clusters::{Clusters, beside, has_labels_of, way},
    example::Example,
    figures::{Figures, Spread, millis, time},
    first_bundle::{Kept, PATIENCE, told},
    say,
};

/// How long a repair may take before the benchmark gives up.
const REPAIR_PATIENCE: Duration = Duration::from_secs(120);
/// How often the same object of the same cluster may be deleted before the engine sees a fight in it.
const BEFORE_A_FIGHT: usize = 3;

/// Counts what engines send when they are told again what they know already, and while nothing happens.
pub(crate) async fn nothing_to_do(
    kept: &[Kept],
    example: &Example,
    quiet: Duration,
    figures: &mut Figures,
) -> Result<()> {
    say(&format!("counting requests while nothing is to be done, for {} s", quiet.as_secs()));
    let before = (requests(kept), watches(kept));
    for one in kept {
        let current = one.engine.report().borrow().wanted_revision.clone();
        let rendered = example.render()?;
        if current.as_ref() != Some(&rendered.revision) {
            bail!("the same tenant was rendered into another revision, {}", rendered.revision);
        }
        one.engine.set_target(Arc::clone(&rendered));
        one.engine.set_target(rendered);
    }
    tokio::time::sleep(quiet).await;
    let sent = (requests(kept) - before.0) as f64;
    let begun = (watches(kept) - before.1) as f64;
    figures.add(
        "noOpRequests",
        format!(
            "no-op: requests to {} tenants when an equal bundle and the same one are set, and in {} s of rest",
            kept.len(),
            quiet.as_secs()
        ),
        format!("{sent:.0} (and {begun:.0} watches begun anew)"),
        [("requests", sent), ("watchesBegun", begun)],
    );
    Ok(())
}

fn requests(kept: &[Kept]) -> u64 {
    kept.iter().map(|one| one.way.traffic().requests()).sum()
}

fn watches(kept: &[Kept]) -> u64 {
    kept.iter().map(|one| one.way.traffic().watches.load(Ordering::Relaxed)).sum()
}

fn writes(kept: &[Kept]) -> u64 {
    kept.iter().map(|one| one.way.traffic().writes.load(Ordering::Relaxed)).sum()
}

/// Deletes objects as somebody else would, one after the other, and measures until each is there again.
///
/// The objects go round the whole bundle and over all clusters. Namespaces stay: one that is deleted takes
/// everything in it along and is gone only when its controller has finished.
pub(crate) async fn repairs(
    clusters: &Clusters,
    kept: &[Kept],
    bundle: &Bundle,
    deletions: usize,
    figures: &mut Figures,
) -> Result<()> {
    let victims: Vec<&BundleObject> =
        bundle.objects.iter().filter(|object| object.phase != Phase::Namespaces).collect();
    if deletions > most_deletions(victims.len(), kept.len()) {
        bail!(
            "{deletions} deletions of {} objects on {} clusters would look like a fight to the engine; \
             ask for at most {}",
            victims.len(),
            kept.len(),
            most_deletions(victims.len(), kept.len())
        );
    }
    say(&format!("deleting {deletions} objects"));
    let others = clusters.planes.iter().map(way).collect::<Result<Vec<Remote>>>()?;
    let before = writes(kept);
    let (mut times, mut after_sight) = (Vec::new(), Vec::new());
    for number in 0..deletions {
        let (object, cluster) = target(number, victims.len(), kept.len());
        let (Some(victim), Some(one), Some(other)) =
            (victims.get(object), kept.get(cluster), others.get(cluster))
        else {
            bail!("there is nothing to delete");
        };
        // A policy that was put back bites after a second or so, and until then later phases wait: every deletion
        // meets a cluster at rest.
        at_rest(one).await?;
        let back = delete_and_watch(other, victim)
            .await
            .with_context(|| format!("{} {} on cluster {cluster}", victim.kind, victim.name))?;
        times.push(back.from_call);
        after_sight.push(back.from_sight);
        if (number + 1) % 50 == 0 {
            say(&format!("  {} of {deletions} deleted and put back", number + 1));
        }
    }
    for one in kept {
        at_rest(one).await?;
    }
    let distinct = deletions.min(victims.len());
    let mut add = |id, what: String, durations| {
        let spread = Spread::of(durations);
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| spread.at(share));
        figures.add(
            id,
            what,
            format!("p50 {}, p99 {}, max {}", time(p50), time(p99), time(max)),
            [
                ("p50Milliseconds", millis(p50)),
                ("p99Milliseconds", millis(p99)),
                ("maxMilliseconds", millis(max)),
            ],
        );
    };
    add(
        "driftToRepair",
        format!(
            "drift to repair, {deletions} deletions ({distinct} objects, {} clusters), from the delete call",
            kept.len()
        ),
        times,
    );
    add("driftSeenToRepair", "the same from when the observer saw the deletion".to_owned(), after_sight);
    let each = (writes(kept) - before) as f64 / deletions.max(1) as f64;
    figures.add(
        "writesPerRepair",
        "writes of the engines per repair",
        format!("{each:.2}"),
        [("writes", each)],
    );
    Ok(())
}

/// Which object and which cluster is next: the whole bundle in order, and in each lap every object on another
/// cluster than in the lap before.
const fn target(number: usize, objects: usize, clusters: usize) -> (usize, usize) {
    let lap = number / objects;
    (number % objects, (number + lap - lap * objects) % clusters)
}

const fn most_deletions(objects: usize, clusters: usize) -> usize {
    BEFORE_A_FIGHT * objects * clusters
}

/// Waits until an engine has nothing left to do.
async fn at_rest(one: &Kept) -> Result<()> {
    let mut reports = one.engine.report();
    let rest = reports.wait_for(|report| {
        report.stage == Stage::Watching && report.hardened() && report.applied == report.objects
    });
    match tokio::time::timeout(PATIENCE, rest).await {
        Ok(Ok(_)) => Ok(()),
        _ => bail!("an engine did not come to rest: {}", told(&one.engine)),
    }
}

/// How long an object was away.
struct Away {
    from_call: Duration,
    from_sight: Duration,
}

/// Deletes an object, and watches it by a watch of the deleter's own until it is back as it should be.
async fn delete_and_watch(other: &Remote, object: &BundleObject) -> Result<Away> {
    let api = beside(other, object)?;
    let alone = format!("metadata.name={}", object.name);
    let list = api.list_metadata(&ListParams::default().fields(&alone)).await?;
    let uid = list.items.first().and_then(|found| found.metadata.uid.clone());
    let uid = uid.context("it is not there before it is deleted")?;
    let version = list.metadata.resource_version.unwrap_or_default();
    // The answer's head has come when this returns: the watch stands before anything is deleted.
    let events = api.watch_metadata(&WatchParams::default().fields(&alone), &version).await?;
    let began = Instant::now();
    let delete = async {
        api.delete(&object.name, &DeleteParams::default()).await?;
        Ok(())
    };
    let watched = async { tokio::try_join!(delete, back(events, &uid, object)) };
    let ((), (seen, there)) = tokio::time::timeout(REPAIR_PATIENCE, watched)
        .await
        .with_context(|| format!("it was not back after {} s", REPAIR_PATIENCE.as_secs()))??;
    Ok(Away { from_call: there - began, from_sight: there - seen })
}

/// When a watch sees the object gone, and when it sees another one as it should be in its place. Somebody else may
/// be quicker with a bare one, as the controller of service accounts is.
async fn back(
    events: impl Stream<Item = kube::Result<WatchEvent<PartialObjectMeta<DynamicObject>>>>,
    uid: &str,
    object: &BundleObject,
) -> Result<(Instant, Instant)> {
    let mut events = std::pin::pin!(events);
    let mut seen = None;
    while let Some(event) = events.next().await {
        match event? {
            WatchEvent::Deleted(_) => {
                seen.get_or_insert_with(Instant::now);
            }
            WatchEvent::Added(live) | WatchEvent::Modified(live) => {
                let metadata = &live.metadata;
                if metadata.uid.as_deref() != Some(uid) && has_labels_of(metadata.labels.as_ref(), object) {
                    let now = Instant::now();
                    return Ok((seen.unwrap_or(now), now));
                }
            }
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => bail!("the watch failed: {}", status.message),
        }
    }
    bail!("the watch ended before the object was back")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_deletions_go_round_the_whole_bundle_and_over_all_clusters() {
        for (objects, clusters) in [(49, 10), (50, 10), (7, 3), (1, 4), (5, 1)] {
            let all: Vec<_> = (0..objects * clusters).map(|n| target(n, objects, clusters)).collect();
            let different: BTreeSet<_> = all.iter().copied().collect();
            assert_eq!(different.len(), objects * clusters, "{objects} objects, {clusters} clusters");
            let first_lap: BTreeSet<_> = all.iter().take(objects).map(|(object, _)| *object).collect();
            assert_eq!(first_lap.len(), objects);
        }
    }
}
