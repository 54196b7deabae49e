//! The actor: takes in orders, events and answers, asks [`State`] what to do next, and does it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use fleet_api::{
    labels,
    v1alpha1::{FightStatus, ProbeCounts},
};
use fleet_render::{Bundle, Phase};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch as latest},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    EngineConfig, Orders,
    report::{EngineReport, NAMED_MAX, Reach, Stage},
    restore::{Done, Job, Need, Outcome},
    state::{Setback, Stale, State, Work, quota_is_live},
    watch::{Event, News, Watch},
};
use crate::{
    clock::jittered,
    probes::{self, ControlVerdict, ProbeResult},
    remote::{Fault, Place, Remote, Writing},
};

/// How many events wait for the actor at most. A watch that has more to tell waits itself.
const EVENTS: usize = 256;
/// The longest wait after failures of the whole cluster.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest wait after a failure of one object.
const LONGEST_SETBACK: Duration = Duration::from_secs(120);
/// How soon probes that did not pass run again, by how often that was.
const PROBE_AGAIN: [u64; 6] = [1, 3, 10, 30, 120, 300];

type Probing = Pin<Box<dyn Future<Output = (String, Result<Vec<ProbeResult>, Fault>)> + Send>>;

/// What the probes last said.
struct Proof {
    revision: String,
    at: Timestamp,
    counts: ProbeCounts,
    verdicts: Arc<[ControlVerdict]>,
    unclear: bool,
}

pub(crate) struct Actor {
    remote: Remote,
    config: EngineConfig,
    said: latest::Sender<EngineReport>,
    state: State,
    reach: Reach,
    /// Until when nothing is sent, after a failure of the whole cluster.
    pause: Option<Instant>,
    failures: u32,
    proof: Option<Proof>,
    probing: Option<Probing>,
    probe_due: Option<Instant>,
    probe_failures: usize,
    check_due: Option<Instant>,
    rounds: u64,
    news: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    watches: JoinSet<()>,
    watch_ids: u64,
    heard: Arc<AtomicI64>,
}

impl Actor {
    pub(crate) fn new(remote: Remote, config: EngineConfig, said: latest::Sender<EngineReport>) -> Self {
        let (news, events) = mpsc::channel(EVENTS);
        let proof = config.proof.clone().map(|known| Proof {
            revision: known.revision,
            at: known.at,
            counts: known.counts,
            verdicts: Arc::from([]),
            unclear: false,
        });
        Self {
            remote,
            config,
            said,
            state: State::default(),
            reach: Reach::Unknown,
            pause: None,
            failures: 0,
            proof,
            probing: None,
            probe_due: None,
            probe_failures: 0,
            check_due: None,
            rounds: 0,
            news,
            events,
            watches: JoinSet::new(),
            watch_ids: 0,
            heard: Arc::new(AtomicI64::new(0)),
        }
    }

    pub(crate) async fn run(mut self, mut orders: latest::Receiver<Orders>, stop: CancellationToken) {
        let mut given = Orders::default();
        loop {
            let wake = self.wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = orders.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let new = orders.borrow_and_update().clone();
                    self.obey(&given, &new);
                    given = new;
                }
                Some(event) = self.events.recv() => {
                    self.take(event);
                    while let Ok(event) = self.events.try_recv() {
                        self.take(event);
                    }
                }
                (revision, results) = answered(&mut self.probing) => self.judge(&revision, results),
                () = until(wake) => {}
            }
            // An order to stop is not kept waiting by a server that does not answer.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.work() => {}
            }
            self.publish();
        }
        self.watches.shutdown().await;
    }

    /// When there is something to do.
    fn wake(&self) -> Option<Instant> {
        let now = Instant::now();
        if let Some(pause) = self.pause.filter(|pause| *pause > now) {
            return Some(pause);
        }
        let work = match self.state.next(now) {
            Work::Wait(until) => until,
            _ => return Some(now),
        };
        let probe = self.probe_due.filter(|_| self.probing.is_none() && self.state.is_applied());
        [work, probe, self.check_due].into_iter().flatten().min()
    }

    fn obey(&mut self, before: &Orders, new: &Orders) {
        let Orders { bundle, paused, probe, check } = new;
        self.state.paused = *paused;
        if let Some(bundle) = bundle
            && before.bundle.as_ref().is_none_or(|old| old.revision != bundle.revision)
        {
            self.adopt(bundle);
        }
        if *probe != before.probe {
            self.probe_due = Some(Instant::now());
        }
        if *check != before.check {
            self.check_due = Some(Instant::now());
        }
    }

    fn adopt(&mut self, bundle: &Arc<Bundle>) {
        let proven = self.proof.as_ref().is_some_and(|proof| {
            proof.revision == bundle.revision && proof.counts.fail == 0 && !proof.unclear
        });
        self.state.adopt(bundle, proven);
        self.probing = None;
        self.probe_failures = 0;
        let now = Instant::now();
        self.probe_due = Some(if proven { now + self.spread(self.config.probe_every) } else { now });
        self.check_due.get_or_insert(now + jittered(self.config.check_every, &self.config.name, self.rounds));
    }

    fn spread(&mut self, period: Duration) -> Duration {
        self.rounds += 1;
        jittered(period, &self.config.name, self.rounds)
    }

    fn take(&mut self, event: Event) {
        let Event { kind, watch, news } = event;
        if self.state.kinds.get(kind).is_none_or(|kind| kind.watch != Some(watch)) {
            return;
        }
        match news {
            News::Changed(metadata) => self.state.take_change(kind, &metadata),
            News::Gone(metadata) => self.state.take_loss(kind, &metadata),
            News::Up => {
                if let Some(kind) = self.state.kinds.get_mut(kind) {
                    kind.fault = None;
                }
                self.answered();
            }
            // A watch that fails holds up nothing else: a request finds out for itself.
            News::Down(fault) if fault.concerns_the_cluster() => self.down(&fault),
            News::Down(fault) => self.state.kind_failed(kind, &fault, Instant::now()),
            News::Lost => {
                if let Some(kind) = self.state.kinds.get_mut(kind) {
                    kind.watch = None;
                    kind.read = false;
                }
            }
        }
    }

    /// The API server answered.
    fn answered(&mut self) {
        self.reach = Reach::Up;
        self.pause = None;
        self.failures = 0;
        self.heard.store((self.config.clock)().as_second(), Ordering::Relaxed);
    }

    /// The API server did not answer, or asks for quiet: nothing is sent for a while.
    fn silent(&mut self, fault: &Fault) {
        self.failures = self.failures.saturating_add(1);
        let own = Duration::from_millis(500) * 2_u32.pow(self.failures.min(10));
        let mut wait = self.spread(own.min(LONGEST_PAUSE));
        match fault {
            Fault::Throttled { retry_after, .. } => {
                wait = wait.max(retry_after.unwrap_or_default());
                self.reach = Reach::Up;
            }
            fault => self.down(fault),
        }
        self.pause = Some(Instant::now() + wait);
    }

    fn down(&mut self, fault: &Fault) {
        if !matches!(self.reach, Reach::Down(_)) {
            tracing::warn!(cluster = %self.config.name, error = %fault, "the tenant's API server does not answer");
        }
        self.reach = Reach::Down(fault.clone());
    }

    async fn work(&mut self) {
        let now = Instant::now();
        if self.pause.is_some_and(|pause| pause > now) {
            return;
        }
        let Some(bundle) = self.state.bundle.clone() else { return };
        match self.state.next(now) {
            Work::Read(kinds) => self.read(&kinds).await,
            Work::Restore(slots) => self.restore(&bundle, slots).await,
            Work::AskMarkers => self.ask_markers(&bundle).await,
            Work::AskQuotas(slots) => self.ask_quotas(&bundle, &slots).await,
            Work::Prune(stale) => self.prune(stale).await,
            Work::Wait(_) => {
                if self.check_due.is_some_and(|due| due <= now) {
                    self.begin_check();
                } else if self.probing.is_none()
                    && self.probe_due.is_some_and(|due| due <= now)
                    && self.state.is_applied()
                {
                    self.begin_probes(bundle);
                }
            }
        }
    }

    /// Lists kinds, compares, and begins to watch those that are wanted.
    async fn read(&mut self, kinds: &[usize]) {
        let selector = selector();
        let remote = &self.remote;
        let resources: Vec<_> =
            kinds.iter().filter_map(|at| Some((*at, self.state.kinds.get(*at)?.resource.clone()))).collect();
        let lists: Vec<_> = stream::iter(resources)
            .map(|(at, resource)| {
                let selector = &selector;
                async move { (at, remote.list(&resource, Some(selector)).await) }
            })
            .buffer_unordered(16)
            .collect()
            .await;
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

    fn begin_watch(&mut self, at: usize, from: String) {
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
    async fn restore(&mut self, bundle: &Arc<Bundle>, slots: Vec<usize>) {
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

    fn settle(&mut self, done: Done) -> std::ops::ControlFlow<()> {
        let Done { at, repairs, outcome } = done;
        let now = Instant::now();
        let mut failed = None;
        let Some(slot) = self.state.slots.get_mut(at) else { return std::ops::ControlFlow::Continue(()) };
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
            Outcome::Failed(fault) if fault.is_conflict() => slot.need = Need::Look,
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
                return std::ops::ControlFlow::Break(());
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
        std::ops::ControlFlow::Continue(())
    }

    fn name_of(&self, at: usize) -> String {
        match self.state.bundle.as_ref().and_then(|bundle| bundle.objects.get(at)) {
            Some(object) => match &object.namespace {
                Some(namespace) => format!("{} {namespace}/{}", object.kind, object.name),
                None => format!("{} {}", object.kind, object.name),
            },
            None => "an object".to_owned(),
        }
    }

    async fn ask_markers(&mut self, bundle: &Bundle) {
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

    async fn ask_quotas(&mut self, bundle: &Bundle, slots: &[usize]) {
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

    async fn prune(&mut self, stale: Vec<Stale>) {
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

    /// Reads every kind again, whatever the watches told. Objects whose image is unknown are judged anew.
    fn begin_check(&mut self) {
        for kind in &mut self.state.kinds {
            kind.read = false;
        }
        let next = self.spread(self.config.check_every);
        self.check_due = Some(Instant::now() + next);
    }

    fn begin_probes(&mut self, bundle: Arc<Bundle>) {
        let remote = self.remote.clone();
        self.probe_due = None;
        self.probing = Some(Box::pin(async move {
            let results = probes::run(&remote, &bundle.probes).await;
            (bundle.revision.clone(), results)
        }));
    }

    fn judge(&mut self, revision: &str, results: Result<Vec<ProbeResult>, Fault>) {
        self.probing = None;
        let now = Instant::now();
        let Some(bundle) = self.state.bundle.clone().filter(|bundle| bundle.revision == revision) else {
            self.probe_due = Some(now);
            return;
        };
        let results = match results {
            Ok(results) => results,
            Err(fault) => {
                self.silent(&fault);
                self.probe_due = Some(now + self.probe_again());
                return;
            }
        };
        self.answered();
        let verdicts = probes::judge(&bundle, &results);
        let counts = probes::count(&verdicts);
        let unclear = verdicts.iter().any(|verdict| verdict.unclear);
        let passed = counts.fail == 0 && !unclear;
        self.state.access_open |= passed;
        self.proof = Some(Proof {
            revision: revision.to_owned(),
            at: (self.config.clock)(),
            counts,
            verdicts: Arc::from(verdicts),
            unclear,
        });
        let wait = if passed {
            self.probe_failures = 0;
            self.spread(self.config.probe_every)
        } else {
            self.probe_again()
        };
        self.probe_due = Some(now + wait);
    }

    fn probe_again(&mut self) -> Duration {
        let seconds = PROBE_AGAIN.get(self.probe_failures).or(PROBE_AGAIN.last()).copied().unwrap_or(60);
        self.probe_failures += 1;
        Duration::from_secs(seconds)
    }

    fn stage(&self) -> Stage {
        if self.state.bundle.is_none() {
            return Stage::NoTarget;
        }
        if self.state.paused {
            return Stage::Paused;
        }
        if self.state.kinds.iter().any(|kind| kind.wanted && !kind.read) {
            return Stage::Reading;
        }
        let open = |phase: Phase| {
            self.state
                .slots
                .iter()
                .any(|slot| slot.phase == phase && (slot.need != Need::Nothing || slot.live.is_none()))
        };
        for phase in Phase::ALL {
            if phase > Phase::Admission && !self.state.markers.open {
                return Stage::WaitingForMarkers;
            }
            if phase > Phase::Quota && !self.state.quotas.open {
                return Stage::WaitingForQuotas;
            }
            if phase == Phase::TenantAccess && !self.state.access_open {
                let tried = self.proof.as_ref().is_some_and(|proof| Some(&proof.revision) == self.revision());
                return if tried { Stage::AccessWithheld } else { Stage::Probing };
            }
            if open(phase) {
                return Stage::Applying(phase);
            }
        }
        Stage::Watching
    }

    fn revision(&self) -> Option<&String> {
        self.state.bundle.as_ref().map(|bundle| &bundle.revision)
    }

    fn publish(&mut self) {
        let fights = self
            .state
            .slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| {
                Some(FightStatus { object: self.name_of(at), other: slot.repairs.fights()?.to_owned() })
            })
            .take(NAMED_MAX)
            .collect();
        let heard = self.heard.load(Ordering::Relaxed);
        let report = EngineReport {
            reach: self.reach.clone(),
            wanted_revision: self.revision().cloned(),
            applied_revision: self.revision().filter(|_| self.state.is_applied()).cloned(),
            objects: self.state.slots.len(),
            applied: self.state.applied(),
            repairs: self.state.repairs,
            last_error: match &self.reach {
                Reach::Down(fault) => Some(fault.to_string()),
                _ => self.state.trouble(),
            },
            proven_revision: self.proof.as_ref().map(|proof| proof.revision.clone()),
            proven_at: self.proof.as_ref().map(|proof| proof.at),
            counts: self.proof.as_ref().map(|proof| proof.counts).unwrap_or_default(),
            verdicts: self.proof.as_ref().map_or_else(|| Arc::from([]), |proof| Arc::clone(&proof.verdicts)),
            fights,
            stage: self.stage(),
            access_handed_over: self.state.access_handed_over(),
            kept_namespaces: self.state.kept_namespaces.iter().take(NAMED_MAX).cloned().collect(),
            observed_at: Timestamp::from_second(heard).ok().filter(|_| heard > 0),
        };
        self.said.send_if_modified(|before| {
            // The time of the last evidence alone wakes nobody: it moves with every bookmark.
            let same = EngineReport { observed_at: report.observed_at, ..before.clone() } == report;
            *before = report;
            !same
        });
    }
}

/// What the watches and lists select: everything that fleet wrote.
fn selector() -> String {
    format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_FLEET)
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn answered(probing: &mut Option<Probing>) -> (String, Result<Vec<ProbeResult>, Fault>) {
    match probing {
        Some(probing) => probing.await,
        None => std::future::pending().await,
    }
}
