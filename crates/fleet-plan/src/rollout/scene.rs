//! What a tick knows before it decides anything: the target, the clock, and each member with its place.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    KubernetesVersion,
    eks::durations::{ADDON_UPDATE, CONTROL_PLANE_UPDATE},
    v1alpha1::{
        AddonChoice, MemberState, RolloutMemberSpec, RolloutMemberStatus, RolloutPhase, RolloutSpec,
        RolloutStatus, RolloutTarget, Run, Slots,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    ClusterView, MemberView, World,
    twist::{Mutant, Twist},
};

/// How far a time that was written may lie ahead before it is taken for one of a clock that has been set back since.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// How many minutes a member's disturbance is expected to take, which is what a window has to have left.
///
/// For a Kubernetes minor that is the control plane: the steps that follow keep to the windows themselves.
pub fn expected_minutes(target: &RolloutTarget) -> i64 {
    match &target.addons {
        _ if target.kubernetes.is_some() => CONTROL_PLANE_UPDATE,
        Some(addons) => i64::try_from(addons.len()).unwrap_or(i64::MAX).saturating_mul(ADDON_UPDATE),
        None => ADDON_UPDATE,
    }
}

/// What a rollout moves its members to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    Kubernetes(KubernetesVersion),
    Baseline(&'a str),
    Addons(&'a [AddonChoice]),
}

/// A tick's view of the rollout.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) world: &'a World<'a>,
    /// The time, in whole seconds: objects carry no more, and what is read back must equal what was written.
    pub(super) now: Timestamp,
    pub(super) target: Target<'a>,
    pub(super) twist: Twist,
}

/// Why a member takes no part, though it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Its wave is none of the rollout's.
    WithoutWave(String),
    /// Its record names another rollout.
    OfAnother(String),
    /// Another member has the same cluster.
    Twice(String),
}

/// A member and its place.
#[derive(Clone)]
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    pub(super) view: &'a MemberView<'a>,
    /// The index of its wave; 0 for one that has a flaw, and then it is never used.
    pub(super) wave: usize,
    pub(super) flaw: Option<Flaw>,
}

impl<'a> Scene<'a> {
    /// Prepares a tick. `None` when the rollout has no target that can be read.
    pub(super) fn new(world: &'a World<'a>, twist: Twist) -> Option<Self> {
        let target = &world.rollout.spec.target;
        let target = match (&target.kubernetes, &target.baseline, &target.addons) {
            (Some(version), None, None) => Target::Kubernetes(*version),
            (None, Some(baseline), None) => Target::Baseline(baseline),
            (None, None, Some(addons)) => Target::Addons(addons),
            _ => return None,
        };
        Some(Self { world, now: whole_seconds(world.now), target, twist })
    }

    pub(super) const fn spec(&self) -> &'a RolloutSpec {
        self.world.rollout.spec
    }

    pub(super) const fn was(&self) -> &'a RolloutStatus {
        self.world.rollout.status
    }

    /// What the rollout should be doing. One that is being deleted begins nothing more; neither does one that was aborted
    /// or rolled back, whatever its spec says later, unless it is to be rolled back.
    pub(super) fn run(&self) -> Run {
        let run = self.spec().run;
        let ended = self.world.rollout.deleting
            || matches!(self.was().phase, RolloutPhase::Aborted | RolloutPhase::RolledBack);
        if ended && matches!(run, Run::Running | Run::Planned | Run::Paused) { Run::Aborted } else { run }
    }

    /// Every member with its place, in the order of names.
    pub(super) fn members(&self) -> Vec<Member<'a>> {
        let waves: BTreeMap<&str, usize> =
            self.spec().waves.iter().enumerate().map(|(index, wave)| (wave.name.as_str(), index)).collect();
        let mut clusters = BTreeMap::new();
        self.world
            .members
            .iter()
            .map(|(name, view)| {
                let spec = view.spec;
                let wave = waves.get(spec.wave.as_str()).copied();
                let first = clusters.entry(spec.cluster_uid.as_str()).or_insert(name.as_str());
                let flaw = if spec.rollout != self.world.rollout.name {
                    Some(Flaw::OfAnother(spec.rollout.clone()))
                } else if wave.is_none() {
                    Some(Flaw::WithoutWave(spec.wave.clone()))
                } else if *first != name {
                    Some(Flaw::Twice((*first).to_owned()))
                } else {
                    None
                };
                Member { name, view, wave: wave.unwrap_or_default(), flaw }
            })
            .collect()
    }

    /// The names of waves that occur more than once: nothing says which of them a member belongs to.
    pub(super) fn doubled_waves(&self) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        self.spec().waves.iter().map(|wave| wave.name.as_str()).filter(|name| !seen.insert(*name)).collect()
    }

    /// The id of a member's attempt. It differs from that of every other attempt and rollout, so that evidence cannot be
    /// mistaken.
    pub(super) fn move_id(&self, attempt: i32) -> String {
        let attempt = if self.twist.is(super::twist::Mutant::RetriesUnderTheSameMove) { 1 } else { attempt };
        format!("{}-{attempt}", self.world.rollout.uid)
    }

    /// A time that was written, or now if it lies further ahead than two clocks differ: then the clock that it was taken
    /// from was wrong, and what was to last from then on lasts from now on. That only ever makes a wait longer.
    pub(super) fn not_ahead(&self, written: &Time) -> Timestamp {
        if self.now.duration_until(written.0) > AHEAD { self.now } else { written.0 }
    }

    /// How far a moment is from now, in either direction: a time of a clock that was wrong is not fresh.
    pub(super) fn distance(&self, at: Timestamp) -> SignedDuration {
        self.now.duration_until(at).abs()
    }

    pub(super) const fn time(&self) -> Time {
        Time(self.now)
    }
}

impl<'a> Member<'a> {
    pub(super) const fn spec(&self) -> &'a RolloutMemberSpec {
        self.view.spec
    }

    pub(super) const fn was(&self) -> &'a RolloutMemberStatus {
        self.view.status
    }

    pub(super) const fn state(&self) -> MemberState {
        self.view.status.state
    }

    /// Its cluster: not another one of the same name, and not one that is going.
    pub(super) fn cluster(&self) -> Option<ClusterView<'a>> {
        self.view.cluster.filter(|cluster| cluster.uid == self.spec().cluster_uid && !cluster.deleting)
    }

    /// Before when it is not to begin: its slot, where slots bind, and the moment to which somebody put it off.
    pub(super) fn bound(&self, scene: &Scene<'_>) -> Option<Timestamp> {
        let slot = (scene.spec().slots == Slots::Binding).then(|| self.spec().slot.0);
        let put_off = self.spec().not_before.as_ref().filter(|_| !scene.twist.is(Mutant::IgnoresBeingPutOff));
        slot.max(put_off.map(|at| at.0))
    }

    /// By this order members begin, and by its reverse they are rolled back.
    pub(super) fn order(&self) -> (Timestamp, &'a str) {
        (self.spec().slot.0, self.name)
    }
}

/// Cuts a moment to whole seconds.
pub(super) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// A moment and a length after it; the end of time when it lies beyond.
pub(super) fn after(at: Timestamp, length: SignedDuration) -> Timestamp {
    at.checked_add(length).unwrap_or(Timestamp::MAX)
}

/// A moment for people: to the minute, in UTC.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%MZ").to_string()
}
