//! The actor: takes in orders, events and answers, asks [`State`] what to do next, and does it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use fleet_api::v1alpha1::{FightStatus, ProbeCounts};
use fleet_render::{Bundle, Phase};
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch as latest},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    EngineConfig, Orders,
    decide::Work,
    report::{EngineReport, NAMED_MAX, Reach, Stage},
    restore::Need,
    state::State,
    watch::{Event, News},
};
use crate::{
    clock::jittered,
    probes::{ControlVerdict, ProbeResult},
    remote::{Fault, Remote},
};

/// How many events wait for the actor at most. A watch that has more to tell waits itself.
const EVENTS: usize = 256;
/// The longest wait after failures of the whole cluster.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
type Probing = Pin<Box<dyn Future<Output = (String, Result<Vec<ProbeResult>, Fault>)> + Send>>;

/// What the probes last said.
pub(super) struct Proof {
    pub(super) revision: String,
    pub(super) at: Timestamp,
    pub(super) counts: ProbeCounts,
    pub(super) verdicts: Arc<[ControlVerdict]>,
    pub(super) unclear: bool,
}

pub(crate) struct Actor {
    pub(super) remote: Remote,
    pub(super) config: EngineConfig,
    pub(super) said: latest::Sender<EngineReport>,
    pub(super) state: State,
    pub(super) reach: Reach,
    /// Until when nothing is sent, after a failure of the whole cluster.
    pub(super) pause: Option<Instant>,
    pub(super) failures: u32,
    pub(super) proof: Option<Proof>,
    pub(super) probing: Option<Probing>,
    pub(super) probe_due: Option<Instant>,
    pub(super) probe_failures: usize,
    pub(super) check_due: Option<Instant>,
    pub(super) rounds: u64,
    pub(super) news: mpsc::Sender<Event>,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) watches: JoinSet<()>,
    pub(super) watch_ids: u64,
    pub(super) heard: Arc<AtomicI64>,
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

    pub(super) fn spread(&mut self, period: Duration) -> Duration {
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
    pub(super) fn answered(&mut self) {
        self.reach = Reach::Up;
        self.pause = None;
        self.failures = 0;
        self.heard.store((self.config.clock)().as_second(), Ordering::Relaxed);
    }

    /// The API server did not answer, or asks for quiet: nothing is sent for a while.
    pub(super) fn silent(&mut self, fault: &Fault) {
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

    pub(super) fn revision(&self) -> Option<&String> {
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
        // What got no usable answer is no judgement: a restart that found it remembered would open the tenant's access.
        let clear = self.proof.as_ref().filter(|proof| !proof.unclear);
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
            proven_revision: clear.map(|proof| proof.revision.clone()),
            proven_at: clear.map(|proof| proof.at),
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
