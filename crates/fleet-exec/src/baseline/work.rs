//! The deeds of the actor: each sends what one [`Work`](super::decide::Work) needs, and takes in the answers.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use fleet_api::labels;
use fleet_render::Bundle;
use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::time::Instant;

use super::{
    engine::Actor,
    restore::{Done, Job, Need, Outcome},
    state::{Setback, Stale, quota_is_live},
    watch::Watch,
};
use crate::{
    probes,
    remote::{Place, Writing},
};

/// The longest wait after a failure of one object.
const LONGEST_SETBACK: Duration = Duration::from_secs(120);

impl Actor {
    /// Lists kinds, compares, and begins to watch those that are wanted.
    pub(super) async fn read(&mut self, kinds: &[usize]) {
        let selector = selector();
        let remote = &self.remote;
        let state = &self.state;
        let reads: Vec<_> = kinds
            .iter()
            .filter_map(|at| Some((*at, state.kinds.get(*at)?.resource.clone())))
            .map(|(at, resource)| {
                let selector = &selector;
                let keep = move |object: &serde_json::Value| state.is_kept(at, object);
                async move { (at, remote.list(&resource, Some(selector), keep).await) }.boxed()
            })
            .collect();
        let lists: Vec<_> = stream::iter(reads).buffer_unordered(16).collect().await;
        for (at, list) in lists {
            match list {
                Ok(list) => {
                    self.answered();
                    self.state.take_list(at, &list.items);
                    self.begin_watch(at, list.resource_version);
                }
                Err(fault) if fault.concerns_the_cluster() => self.silent(&fault),
                // A server that does not have the kind has no objects of it.
                Err(fault) if fault.is_not_found() => {
                    self.answered();
                    self.state.take_list(at, &[]);
                    if let Some(kind) = self.state.kinds.get_mut(at) {
                        kind.read = true;
                    }
                }
                Err(fault) => self.state.kind_failed(at, &fault, Instant::now()),
            }
        }
    }

    pub(super) fn begin_watch(&mut self, at: usize, from: String) {
        self.watch_ids += 1;
        let id = self.watch_ids;
        let Some(kind) = self.state.kinds.get_mut(at) else { return };
        kind.read = true;
        kind.fault = None;
        if !kind.wanted || kind.watch.is_some() {
            return;
        }
        kind.watch = Some(id);
        let watch = Watch {
            remote: self.remote.clone(),
            resource: kind.resource.clone(),
            selector: selector(),
            kind: at,
            id,
            from,
            seed: format!("{}/{}", self.config.name, kind.resource.plural),
            clock: Arc::clone(&self.config.clock),
            heard: Arc::clone(&self.heard),
            news: self.news.clone(),
        };
        self.watches.spawn(watch.run());
        // What has ended is let go of here, so that a long life does not gather finished tasks.
        while self.watches.try_join_next().is_some() {}
    }

    /// Brings objects to what they should be, several at once.
    pub(super) async fn restore(&mut self, bundle: &Arc<Bundle>, slots: Vec<usize>) {
        let jobs: Vec<Job> = slots
            .into_iter()
            .filter_map(|at| {
                let slot = self.state.slots.get(at)?;
                Some(Job {
                    at,
                    bundle: Arc::clone(bundle),
                    resource: self.state.kinds.get(slot.kind)?.resource.clone(),
                    need: slot.need,
                    image: slot.image,
                    held: slot.held,
                    repairs: slot.repairs.clone(),
                })
            })
            .collect();
        let at_once = usize::try_from(self.remote.limits().in_flight).unwrap_or(1).max(1);
        let remote = self.remote.clone();
        let mut done = stream::iter(jobs.into_iter().map(|job| job.run(&remote))).buffer_unordered(at_once);
        while let Some(done) = done.next().await {
            if self.settle(done).is_break() {
                break;
            }
        }
    }

    pub(super) fn settle(&mut self, done: Done) -> ControlFlow<()> {
        let Done { at, repairs, outcome } = done;
        let now = Instant::now();
        let mut failed = None;
        let Some(slot) = self.state.slots.get_mut(at) else { return ControlFlow::Continue(()) };
        slot.repairs = repairs;
        match outcome {
            Outcome::Holds { live, image, object } => {
                slot.repairs.holds(now);
                slot.as_wanted(live, image, &object);
            }
            Outcome::Written { live, image, object, repaired } => {
                slot.as_wanted(live, image, &object);
                self.state.repairs += u64::from(repaired);
            }
            Outcome::Left | Outcome::Overruled { .. } => {}
            Outcome::Leaving => {
                let message = "an object of the baseline is being deleted and not yet gone".to_owned();
                slot.fault = Some(Setback::after(slot.fault.as_ref(), message, now, Duration::from_secs(5)));
            }
            // Somebody was faster. Looking again is soon enough in a moment: a server that says so for ever is not
            // asked in a tight loop.
            Outcome::Failed(fault) if fault.is_conflict() => {
                slot.need = Need::Look;
                slot.fault =
                    Some(Setback::after(slot.fault.as_ref(), fault.to_string(), now, LONGEST_SETBACK));
            }
            Outcome::Failed(fault) => failed = Some(fault),
        }
        if !slot.settled {
            self.state.quotas.open = false;
            self.state.quotas.since = None;
            self.state.quotas.next = None;
        }
        match failed {
            Some(fault) if fault.concerns_the_cluster() => {
                self.silent(&fault);
                return ControlFlow::Break(());
            }
            Some(fault) => {
                self.answered();
                let name = self.name_of(at);
                if let Some(slot) = self.state.slots.get_mut(at) {
                    let message = format!("{name}: {fault}");
                    tracing::warn!(cluster = %self.config.name, error = %message, "an object of the baseline cannot be applied");
                    slot.fault = Some(Setback::after(slot.fault.as_ref(), message, now, LONGEST_SETBACK));
                }
            }
            None => self.answered(),
        }
        ControlFlow::Continue(())
    }

    pub(super) fn name_of(&self, at: usize) -> String {
        match self.state.bundle.as_ref().and_then(|bundle| bundle.objects.get(at)) {
            Some(object) => match &object.namespace {
                Some(namespace) => format!("{} {namespace}/{}", object.kind, object.name),
                None => format!("{} {}", object.kind, object.name),
            },
            None => "an object".to_owned(),
        }
    }

    pub(super) async fn ask_markers(&mut self, bundle: &Bundle) {
        match probes::run(&self.remote, &bundle.markers).await {
            Ok(results) => {
                self.answered();
                let shut = bundle
                    .markers
                    .iter()
                    .zip(&results)
                    .find(|(marker, result)| !probes::bites(marker, &result.saw));
                match shut {
                    None => self.state.markers.open = true,
                    Some((marker, result)) => {
                        let message = format!(
                            "{} does not bite yet: {} saw {:?}",
                            marker.control, marker.id, result.saw
                        );
                        self.state.markers.shut(Instant::now(), message);
                    }
                }
            }
            Err(fault) => self.silent(&fault),
        }
    }

    pub(super) async fn ask_quotas(&mut self, bundle: &Bundle, slots: &[usize]) {
        let mut shut = None;
        for at in slots {
            let (Some(object), Some(slot)) = (bundle.objects.get(*at), self.state.slots.get(*at)) else {
                continue;
            };
            let Some(kind) = self.state.kinds.get(slot.kind) else { continue };
            let resource = kind.resource.clone();
            let place =
                Place { resource: &resource, namespace: object.namespace.as_deref(), name: &object.name };
            match self.remote.get(place, None).await {
                Ok(quota) => {
                    self.answered();
                    let live = quota_is_live(&quota);
                    if let Some(slot) = self.state.slots.get_mut(*at) {
                        slot.settled = live;
                    }
                    if !live {
                        shut = Some(format!("{} is not live yet", self.name_of(*at)));
                    }
                }
                Err(fault) if fault.concerns_the_cluster() => return self.silent(&fault),
                Err(fault) => shut = Some(format!("{}: {fault}", self.name_of(*at))),
            }
        }
        match shut {
            None => self.state.quotas.open = true,
            Some(message) => self.state.quotas.shut(Instant::now(), message),
        }
    }

    pub(super) async fn prune(&mut self, stale: Vec<Stale>) {
        for object in stale {
            let place = Place {
                resource: &object.resource,
                namespace: object.namespace.as_deref(),
                name: &object.name,
            };
            match self.remote.delete(place, Some(&object.uid), Writing::default()).await {
                // Another object of the name, with another UID, is not ours to delete.
                Err(fault) if !fault.is_not_found() && !fault.is_conflict() => {
                    if fault.concerns_the_cluster() {
                        return self.silent(&fault);
                    }
                    let message =
                        format!("{} {} cannot be pruned: {fault}", object.resource.kind, object.name);
                    let before = self.state.prune_fault.take();
                    self.state.prune_fault =
                        Some(Setback::after(before.as_ref(), message, Instant::now(), LONGEST_SETBACK));
                    return;
                }
                _ => {
                    self.answered();
                    tracing::info!(cluster = %self.config.name, kind = %object.resource.kind, name = %object.name, "pruned");
                    self.state.stale.retain(|known| *known != object);
                    self.state.prune_fault = None;
                }
            }
        }
    }

    /// Reads every kind again, whatever the watches told, and compares with a rehearsal what a restart took on trust.
    pub(super) fn begin_check(&mut self) {
        for kind in &mut self.state.kinds {
            kind.read = false;
        }
        let next = self.spread(self.config.check_every);
        self.check_due = Some(Instant::now() + next);
    }
}

/// What the watches and lists select: everything that fleet wrote.
fn selector() -> String {
    format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_FLEET)
}
