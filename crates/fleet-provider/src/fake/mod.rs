//! An in-memory EKS, good enough for plans to converge on: lifecycles by an argument clock, and a fault plan.
//!
//! It judges steps exactly as the real provider does and honours client tokens. A token is remembered for as long
//! as what it began is there; a new use of it then answers as the first one did.

mod effects;
mod faults;
mod offers;
mod world;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use fleet_api::{
    eks::{ClusterTarget, EksAction, EksCluster, EksObservation, EksUpdateStatus, EksVersionOffer, Focus},
    step::{Action, Outcome, Step},
};
use jiff::{SignedDuration, Timestamp};

pub use faults::{Fault, FaultRule};
pub use world::{Durations, FakeCluster};

use crate::{ClusterProvider, ClusterToken, ErrorClass, Judgement, ProviderError, judge};
use faults::FaultPlan;
use world::{UsedToken, World, place};

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A clock that moves when it is told to.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: Arc<Mutex<Timestamp>>,
}

impl ManualClock {
    /// Stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self { now: Arc::new(Mutex::new(start)) }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on.
    pub fn advance(&self, by: SignedDuration) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    /// The clock as a function, for [`FakeEks::new`] and for whatever else needs the time.
    pub fn reader(&self) -> Clock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

/// The in-memory EKS. Clones share one world.
#[derive(Clone)]
pub struct FakeEks {
    clock: Clock,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    world: World,
    faults: FaultPlan,
    /// What observers see instead of the world, and for how many more reads.
    stale: Option<(World, u32)>,
    effects: Vec<String>,
    reads: usize,
    tokens_minted: usize,
    secrets: BTreeMap<String, String>,
}

impl FakeEks {
    /// An empty world in which things take as long as they usually do on EKS.
    pub fn new(clock: Clock) -> Self {
        Self::with_durations(clock, Durations::default())
    }

    /// An empty world with durations of its own.
    pub fn with_durations(clock: Clock, durations: Durations) -> Self {
        let world = World { durations, minors: offers::MINORS.to_vec(), ..World::default() };
        Self { clock, inner: Arc::new(Mutex::new(Inner { world, ..Inner::default() })) }
    }

    /// Offers these minors and no others.
    pub fn offer(&self, minors: std::ops::RangeInclusive<u16>) {
        self.lock().world.minors = minors.collect();
    }

    /// Adds a rule to the fault plan.
    pub fn inject(&self, rule: FaultRule) {
        self.lock().faults.add(rule);
    }

    /// Everything that changed the world, in order: `OPERATION CLUSTER PART`.
    pub fn effects(&self) -> Vec<String> {
        self.lock().effects.clone()
    }

    /// How many observations were made.
    pub fn reads(&self) -> usize {
        self.lock().reads
    }

    /// How many tokens for API servers were made.
    pub fn tokens_minted(&self) -> usize {
        self.lock().tokens_minted
    }

    /// The clusters that are there now, deleting ones included.
    pub fn clusters(&self) -> Vec<EksCluster> {
        let now = (self.clock)();
        let mut inner = self.lock();
        inner.world.settle(now);
        inner.world.clusters.values().map(|cluster| cluster.cluster.clone()).collect()
    }

    /// How many updates of a cluster and of its parts are in progress now.
    pub fn updates_in_progress(&self, cluster_name: &str) -> usize {
        let now = (self.clock)();
        let mut inner = self.lock();
        inner.world.settle(now);
        let clusters = inner.world.clusters.values().filter(|one| one.cluster.name == cluster_name);
        let running = |one: &&world::RunningUpdate| one.update.status == EksUpdateStatus::InProgress;
        clusters.flat_map(|one| &one.updates).filter(running).count()
    }

    /// How many launch templates there are, whoever owns them.
    pub fn launch_templates(&self) -> usize {
        self.lock().world.launch_templates.len()
    }

    /// Changes a cluster behind fleet's back, as a person at the console would; false when it is not there.
    ///
    /// What was made in it can be made once more afterwards: no token stands for something that may be gone.
    pub fn edit(&self, cluster_name: &str, change: impl FnOnce(&mut FakeCluster)) -> bool {
        let now = (self.clock)();
        let mut inner = self.lock();
        inner.world.settle(now);
        let World { clusters, tokens, .. } = &mut inner.world;
        let Some((place, found)) = clusters.iter_mut().find(|(_, one)| one.cluster.name == cluster_name)
        else {
            return false;
        };
        change(found);
        tokens.retain(|_, used| used.cluster != *place || used.outcome.update_id.is_some());
        true
    }

    /// Gives the cluster of a name a real API server: its URL and its authority, PEM in base64.
    pub fn set_endpoint(&self, cluster_name: &str, endpoint: &str, certificate_authority: &str) {
        let mut inner = self.lock();
        let place = (endpoint.to_owned(), certificate_authority.to_owned());
        for cluster in inner.world.clusters.values_mut() {
            if cluster.cluster.name == cluster_name && cluster.cluster.endpoint.is_some() {
                cluster.cluster.endpoint = Some(place.0.clone());
                cluster.cluster.certificate_authority = Some(place.1.clone());
            }
        }
        inner.world.endpoints.insert(cluster_name.to_owned(), place);
    }

    /// The bearer token that [`ClusterProvider::token`] gives for the cluster of a name.
    pub fn set_token(&self, cluster_name: &str, secret: &str) {
        self.lock().secrets.insert(cluster_name.to_owned(), secret.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The world as a reader sees it; a stale one for as many reads as the fault plan said.
    fn view(&mut self, now: Timestamp) -> &World {
        self.world.settle(now);
        match &mut self.stale {
            Some((_, 0)) => self.stale = None,
            Some((_, reads)) => *reads -= 1,
            None => {}
        }
        self.stale.as_ref().map_or(&self.world, |(before, _)| before)
    }

    fn carry_out(
        &mut self,
        target: &ClusterTarget,
        step: &Step,
        action: &EksAction,
        now: Timestamp,
    ) -> Result<Outcome, ProviderError> {
        let fail = |class, code: &str, message: String| ProviderError {
            class,
            operation: action.operation().to_owned(),
            cluster: target.cluster_name.clone(),
            code: Some(code.to_owned()),
            message: Some(message),
            source: None,
        };
        let broken = || fail(ErrorClass::Transient, "DispatchFailure", "connection reset".to_owned());
        let fault = self.faults.strike(action.operation());
        match &fault {
            Some(Fault::CrashBefore) => return Err(broken()),
            Some(Fault::Throttle) => {
                return Err(fail(
                    ErrorClass::Throttled,
                    "TooManyRequestsException",
                    "Too Many Requests".to_owned(),
                ));
            }
            Some(Fault::Refuse { class, code }) => return Err(fail(*class, code, "refused".to_owned())),
            _ => {}
        }
        let seen = self.view(now).observe(target, &Focus::default(), now);
        if judge(step, action, &seen, target)? == Judgement::AlreadyDone {
            return Ok(Outcome::default());
        }
        self.forget_spent_tokens();
        let request = serde_json::to_string(action).unwrap_or_default();
        let outcome = match self.world.tokens.get(&step.token) {
            Some(used) if used.action != request => {
                let message = "the token was used for another request".to_owned();
                return Err(fail(ErrorClass::Invalid, "InvalidParameterException", message));
            }
            Some(used) => used.outcome.clone(),
            None => {
                let before = matches!(fault, Some(Fault::StaleReads { .. })).then(|| self.world.clone());
                let outcome = effects::carry_out(&mut self.world, target, action, fault.as_ref(), now)
                    .map_err(|(class, code, message)| fail(class, code, message))?;
                self.effects.push(format!(
                    "{} {} {}",
                    action.operation(),
                    target.cluster_name,
                    action.part()
                ));
                self.remember(target, step, action, request, &outcome);
                if let (Some(Fault::StaleReads { reads }), Some(before)) = (&fault, before) {
                    self.stale = Some((before, *reads));
                }
                outcome
            }
        };
        if fault == Some(Fault::CrashAfter) { Err(broken()) } else { Ok(outcome) }
    }

    /// Forgets the tokens of updates that are done.
    fn forget_spent_tokens(&mut self) {
        let running: Vec<&str> = self
            .world
            .clusters
            .values()
            .flat_map(|cluster| &cluster.updates)
            .filter(|running| running.update.status == EksUpdateStatus::InProgress)
            .map(|running| running.update.id.as_str())
            .collect();
        self.world.tokens.retain(|_, used| {
            used.outcome.update_id.as_deref().is_none_or(|update_id| running.contains(&update_id))
        });
    }

    /// Keeps the token of what was begun, and forgets those of what was deleted.
    fn remember(
        &mut self,
        target: &ClusterTarget,
        step: &Step,
        action: &EksAction,
        request: String,
        outcome: &Outcome,
    ) {
        if action.deletes() {
            let part = action.part();
            let here = place(target);
            self.world.tokens.retain(|_, used| used.cluster != here || used.part != part);
        } else if outcome.update_id.is_some() || action.operation().starts_with("Create") {
            let used = UsedToken {
                action: request,
                part: action.part(),
                cluster: place(target),
                outcome: outcome.clone(),
            };
            self.world.tokens.insert(step.token.clone(), used);
        }
    }
}

#[async_trait]
impl ClusterProvider for FakeEks {
    async fn observe(&self, target: &ClusterTarget, focus: &Focus) -> Result<EksObservation, ProviderError> {
        let now = (self.clock)();
        let mut inner = self.lock();
        inner.reads += 1;
        let fail = |class, code: &str| {
            Err(ProviderError {
                class,
                operation: "DescribeCluster".to_owned(),
                cluster: target.cluster_name.clone(),
                code: Some(code.to_owned()),
                message: None,
                source: None,
            })
        };
        match inner.faults.strike("Observe") {
            Some(Fault::CrashBefore | Fault::CrashAfter) => fail(ErrorClass::Transient, "DispatchFailure"),
            Some(Fault::Throttle) => fail(ErrorClass::Throttled, "TooManyRequestsException"),
            Some(Fault::Refuse { class, code }) => fail(class, &code),
            Some(Fault::StaleReads { .. } | Fault::FailedCreate | Fault::FailedUpdate { .. }) | None => {
                Ok(inner.view(now).observe(target, focus, now))
            }
        }
    }

    async fn carry_out(&self, target: &ClusterTarget, step: &Step) -> Result<Outcome, ProviderError> {
        let now = (self.clock)();
        match &step.action {
            Action::Eks(action) => self.lock().carry_out(target, step, action, now),
            Action::DrainWorkloads => Err(ProviderError {
                class: ErrorClass::Invalid,
                operation: "DrainWorkloads".to_owned(),
                cluster: target.cluster_name.clone(),
                code: None,
                message: Some("workloads are drained through the tenant's API server".to_owned()),
                source: None,
            }),
        }
    }

    async fn calendar(&self, _: &ClusterTarget) -> Result<Vec<EksVersionOffer>, ProviderError> {
        Ok(offers::versions(&self.lock().world.minors))
    }

    async fn token(&self, target: &ClusterTarget) -> Result<ClusterToken, ProviderError> {
        let mut inner = self.lock();
        inner.tokens_minted += 1;
        let secret = inner.secrets.get(&target.cluster_name).cloned();
        Ok(ClusterToken {
            secret: secret.unwrap_or_else(|| format!("fake-token-for-{}", target.cluster_name)),
            expires_at: (self.clock)() + SignedDuration::from_mins(14),
        })
    }
}
