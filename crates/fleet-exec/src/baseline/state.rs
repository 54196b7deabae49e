//! What an engine knows of its cluster, and what it does next. Nothing here sends anything.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use fleet_api::labels;
use fleet_render::{Bundle, Phase};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    compare::is_of_the_baseline,
    fight::Repairs,
    restore::{Judgement, Live, Need, judge, learn, wanted},
};
use crate::remote::{Fault, Resource};

/// For how long the phases after a gate wait for it. The tenant's access waits for ever.
const GATE_PATIENCE: Duration = Duration::from_secs(60);

/// Kinds of which bundles have had objects. They are looked through for what is no longer wanted, even when the
/// wanted bundle has none of them.
const CATALOGUE_KINDS: [(&str, &str); 11] = [
    ("v1", "Namespace"),
    ("v1", "ServiceAccount"),
    ("v1", "ResourceQuota"),
    ("v1", "LimitRange"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
];

/// An object of the bundle, and how it stands.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) kind: usize,
    pub(crate) phase: Phase,
    pub(crate) hash: String,
    pub(crate) need: Need,
    /// The object as it was last seen; `None` when it is not there.
    pub(crate) live: Option<Live>,
    /// The fingerprint of what it said when it was last as wanted.
    pub(crate) image: Option<u64>,
    /// Whether it was as wanted before, at this intent.
    pub(crate) held: bool,
    /// For quotas: whether the quota controller has taken it in.
    pub(crate) settled: bool,
    pub(crate) fault: Option<Setback>,
    pub(crate) repairs: Repairs,
}

impl Slot {
    /// The object was seen, and is as wanted.
    pub(crate) fn as_wanted(&mut self, live: Live, image: Option<u64>, object: &Value) {
        self.live = Some(live);
        self.image = image;
        self.need = Need::Nothing;
        self.held = true;
        self.fault = None;
        self.settled = quota_is_live(object);
    }
}

/// A failure, and when to try again.
#[derive(Debug, Clone)]
pub(crate) struct Setback {
    pub(crate) message: String,
    pub(crate) attempts: u32,
    pub(crate) until: Instant,
}

impl Setback {
    /// One more failure. What a server refuses is asked for less and less often, what passes more often.
    pub(crate) fn after(before: Option<&Self>, message: String, now: Instant, most: Duration) -> Self {
        let attempts = before.map_or(0, |before| before.attempts).saturating_add(1);
        let wait = (Duration::from_millis(500) * 2_u32.pow(attempts.min(12))).min(most);
        Self { message, attempts, until: now + wait }
    }
}

/// A kind that the engine looks at.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) resource: Resource,
    /// Whether the bundle has objects of it: others are only looked through once.
    pub(crate) wanted: bool,
    /// Whether it has been read since the engine began, or since its watch was lost.
    pub(crate) read: bool,
    /// The watch that runs.
    pub(crate) watch: Option<u64>,
    pub(crate) fault: Option<Setback>,
}

/// An object of ours that no revision wants any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stale {
    pub(crate) resource: Resource,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) phase: Phase,
}

/// A wait between phases.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    pub(crate) open: bool,
    /// Since when it is waited for.
    pub(crate) since: Option<Instant>,
    /// When it is looked at again.
    pub(crate) next: Option<Instant>,
    pub(crate) looks: u32,
    /// What holds it shut.
    pub(crate) message: String,
}

impl Gate {
    fn is_passable(&self, now: Instant) -> bool {
        self.open || self.since.is_some_and(|since| now.duration_since(since) > GATE_PATIENCE)
    }

    fn is_due(&self, now: Instant) -> bool {
        !self.open && self.next.is_none_or(|next| next <= now)
    }

    /// It was looked at and is still shut.
    pub(crate) fn shut(&mut self, now: Instant, message: String) {
        self.since.get_or_insert(now);
        self.looks = self.looks.saturating_add(1);
        // A policy bites about a second after it was written, and a quota is live as soon: both are looked at often
        // at first, and seldom when something is wrong.
        let wait = match self.looks {
            0..=20 => Duration::from_millis(150),
            looks => Duration::from_millis(300 * u64::from(looks - 20)).min(Duration::from_secs(15)),
        };
        self.next = Some(now + wait);
        self.message = message;
    }
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Read these kinds.
    Read(Vec<usize>),
    /// Bring these objects to what they should be.
    Restore(Vec<usize>),
    /// Send the markers.
    AskMarkers,
    /// Read these quotas.
    AskQuotas(Vec<usize>),
    /// Delete what is no longer wanted.
    Prune(Vec<Stale>),
    /// Nothing, until then; for ever when `None`.
    Wait(Option<Instant>),
}

/// Everything that an engine knows of its cluster.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) bundle: Option<Arc<Bundle>>,
    pub(crate) paused: bool,
    pub(crate) slots: Vec<Slot>,
    pub(crate) kinds: Vec<Kind>,
    index: HashMap<(usize, Option<String>, String), usize>,
    pub(crate) stale: Vec<Stale>,
    pub(crate) prune_fault: Option<Setback>,
    pub(crate) kept_namespaces: BTreeSet<String>,
    pub(crate) markers: Gate,
    pub(crate) quotas: Gate,
    /// Whether the probes of this revision passed, so that the tenant may have its access.
    pub(crate) access_open: bool,
    pub(crate) repairs: u64,
}

impl State {
    /// Takes a bundle as the target. What it has in common with the one before stays as it is known.
    ///
    /// `proven` says that the bundle's markers and probes are known to have passed.
    pub(crate) fn adopt(&mut self, bundle: &Arc<Bundle>, proven: bool) {
        if self.bundle.as_ref().is_some_and(|current| current.revision == bundle.revision) {
            return;
        }
        let mut before: HashMap<_, Slot> = {
            let mut slots: Vec<Option<Slot>> = self.slots.drain(..).map(Some).collect();
            let old = std::mem::take(&mut self.index);
            old.into_iter().filter_map(|(key, at)| Some((key, slots.get_mut(at)?.take()?))).collect()
        };
        for kind in &mut self.kinds {
            kind.wanted = false;
        }
        for object in &bundle.objects {
            let kind = self.kind(&object.api_version, &object.kind);
            let key = (kind, object.namespace.clone(), object.name.clone());
            let read = self.kinds.get_mut(kind).is_some_and(|kind| {
                kind.wanted = true;
                kind.read
            });
            let slot = match before.remove(&key) {
                Some(same) if same.hash == object.hash => Slot { phase: object.phase, ..same },
                old => Slot {
                    kind,
                    phase: object.phase,
                    hash: object.hash.clone(),
                    // What is there is read before anything is written, so that a restart writes nothing in vain.
                    need: if read || old.is_some() { Need::Write } else { Need::Look },
                    live: old.and_then(|old| old.live),
                    image: None,
                    held: false,
                    settled: false,
                    fault: None,
                    repairs: Repairs::default(),
                },
            };
            self.index.insert(key, self.slots.len());
            self.slots.push(slot);
        }
        for ((kind, namespace, name), slot) in before {
            let (Some(live), Some(kind)) = (slot.live, self.kinds.get(kind)) else { continue };
            self.outdated(kind.resource.clone(), namespace, name, live.uid, slot.phase);
        }
        for (api_version, kind) in CATALOGUE_KINDS {
            self.kind(api_version, kind);
        }
        self.stale.retain(|stale| {
            !bundle.objects.iter().any(|object| {
                object.kind == stale.resource.kind
                    && object.namespace == stale.namespace
                    && object.name == stale.name
            })
        });
        self.kept_namespaces.retain(|name| {
            !bundle.objects.iter().any(|object| object.kind == "Namespace" && object.name == *name)
        });
        self.markers = Gate { open: proven || bundle.markers.is_empty(), ..Gate::default() };
        self.quotas = Gate::default();
        self.access_open = proven;
        self.bundle = Some(Arc::clone(bundle));
    }

    fn kind(&mut self, api_version: &str, kind: &str) -> usize {
        let resource = Resource::new(api_version, kind);
        match self.kinds.iter().position(|known| known.resource == resource) {
            Some(at) => at,
            None => {
                self.kinds.push(Kind { resource, wanted: false, read: false, watch: None, fault: None });
                self.kinds.len() - 1
            }
        }
    }

    /// Notes an object of ours that is not wanted. Namespaces hold a tenant's work and stay.
    fn outdated(
        &mut self,
        resource: Resource,
        namespace: Option<String>,
        name: String,
        uid: String,
        phase: Phase,
    ) {
        if resource.kind == "Namespace" {
            self.kept_namespaces.insert(name);
            return;
        }
        let stale = Stale { resource, namespace, name, uid, phase };
        if !self.stale.contains(&stale) {
            self.stale.push(stale);
        }
    }

    /// The slot of an object, by its metadata.
    pub(crate) fn find(&self, kind: usize, metadata: &Value) -> Option<usize> {
        let text = |field: &str| metadata.get(field).and_then(Value::as_str).map(str::to_owned);
        self.index.get(&(kind, text("namespace"), text("name")?)).copied()
    }

    /// Takes in everything of a kind.
    pub(crate) fn take_list(&mut self, kind: usize, items: &[Value]) {
        let Some(bundle) = self.bundle.clone() else { return };
        let Some(resource) = self.kinds.get(kind).map(|kind| kind.resource.clone()) else { return };
        let mut seen: BTreeMap<usize, &Value> = BTreeMap::new();
        for item in items {
            let metadata = item.get("metadata").unwrap_or(&Value::Null);
            match self.find(kind, metadata) {
                Some(at) => {
                    seen.insert(at, item);
                }
                None if is_of_the_baseline(metadata) && metadata.get("deletionTimestamp").is_none() => {
                    let text = |pointer: &str| metadata.pointer(pointer).and_then(Value::as_str);
                    let (Some(name), Some(uid)) = (text("/name"), text("/uid")) else { continue };
                    let phase = phase_of(metadata);
                    let namespace = text("/namespace").map(str::to_owned);
                    self.outdated(resource.clone(), namespace, name.to_owned(), uid.to_owned(), phase);
                }
                None => {}
            }
        }
        for (at, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.kind == kind) {
            let Some(object) = bundle.objects.get(at) else { continue };
            let Some(item) = seen.get(&at) else {
                slot.live = None;
                slot.need = Need::Write;
                continue;
            };
            // Lists leave out what every item has in common.
            let mut item = (*item).clone();
            item["kind"] = Value::from(resource.kind.clone());
            item["apiVersion"] = Value::from(resource.api_version.clone());
            let metadata = item.get("metadata").unwrap_or(&Value::Null);
            let intent = metadata.pointer("/annotations").and_then(|all| all.get(labels::INTENT));
            let of_this_intent = intent.and_then(Value::as_str) == Some(slot.hash.as_str());
            slot.held |= of_this_intent;
            slot.live = Live::of(metadata);
            slot.settled = quota_is_live(&item);
            slot.need = match judge(&wanted(object), &item, slot.image) {
                Judgement::Holds if slot.live.is_some() => {
                    slot.held = true;
                    slot.image = slot.image.or_else(|| learn(&item));
                    slot.fault = None;
                    Need::Nothing
                }
                Judgement::Short if !of_this_intent => Need::Write,
                _ => Need::Look,
            };
        }
    }

    /// Takes in the change of one object, by its metadata.
    pub(crate) fn take_change(&mut self, kind: usize, metadata: &Value) {
        let (Some(at), Some(now)) = (self.find(kind, metadata), Live::of(metadata)) else { return };
        let is_quota = self.kinds.get(kind).is_some_and(|kind| kind.resource.kind == "ResourceQuota");
        let Some(slot) = self.slots.get_mut(at) else { return };
        let known = slot.live.as_ref();
        if known.is_some_and(|known| known.uid == now.uid && !is_newer(&now.version, &known.version)) {
            return;
        }
        let only_status = known.is_some_and(|known| known.uid == now.uid && known.trace == now.trace);
        if only_status && is_quota && !slot.settled {
            self.quotas.next = None;
        }
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.live = Some(now);
        if !only_status {
            slot.need = if slot.need == Need::Write { Need::Write } else { Need::Look };
            slot.fault = None;
        }
    }

    /// Takes in that one object is gone.
    pub(crate) fn take_loss(&mut self, kind: usize, metadata: &Value) {
        let uid = metadata.get("uid").and_then(Value::as_str);
        if self.kinds.get(kind).is_some_and(|kind| kind.resource.kind == "Namespace") {
            let name = metadata.get("name").and_then(Value::as_str);
            self.namespace_lost(name);
        }
        let Some(slot) = self.find(kind, metadata).and_then(|at| self.slots.get_mut(at)) else { return };
        if slot.live.as_ref().is_none_or(|live| Some(live.uid.as_str()) == uid) {
            slot.live = None;
            slot.need = Need::Write;
            slot.settled = false;
            slot.fault = None;
        }
    }

    /// What failed because its namespace was on its way out can be tried again at once.
    fn namespace_lost(&mut self, name: Option<&str>) {
        let Some(bundle) = &self.bundle else { return };
        for (slot, object) in self.slots.iter_mut().zip(&bundle.objects) {
            if object.namespace.as_deref() == name {
                slot.fault = None;
            }
        }
    }

    /// Whether every object before the tenant's access is as wanted.
    pub(crate) fn is_complete(&self) -> bool {
        !self.slots.is_empty()
            && self
                .slots
                .iter()
                .filter(|slot| slot.phase != Phase::TenantAccess)
                .all(|slot| slot.need == Need::Nothing && slot.live.is_some())
    }

    /// Whether every object before the tenant's access is as wanted, bites and is live.
    pub(crate) fn is_applied(&self) -> bool {
        self.is_complete() && self.markers.open && self.quotas.open
    }

    /// Whether the tenant has its access at this revision.
    pub(crate) fn access_handed_over(&self) -> bool {
        self.access_open
            && self
                .slots
                .iter()
                .filter(|slot| slot.phase == Phase::TenantAccess)
                .all(|slot| slot.need == Need::Nothing && slot.live.is_some())
    }

    /// How many objects are as wanted.
    pub(crate) fn applied(&self) -> usize {
        self.slots.iter().filter(|slot| slot.need == Need::Nothing && slot.live.is_some()).count()
    }

    /// What to do next. Reading comes first, then what takes access away, then the phases in order.
    pub(crate) fn next(&self, now: Instant) -> Work {
        if self.bundle.is_none() {
            return Work::Wait(None);
        }
        let mut soonest: Option<Instant> = None;
        let mut later = |at: Instant| soonest = Some(soonest.map_or(at, |soonest| soonest.min(at)));

        let mut unread = Vec::new();
        for (at, kind) in self.kinds.iter().enumerate().filter(|(_, kind)| !kind.read) {
            match &kind.fault {
                Some(fault) if fault.until > now => later(fault.until),
                _ => unread.push(at),
            }
        }
        if !unread.is_empty() {
            return Work::Read(unread);
        }
        if self.paused {
            return Work::Wait(soonest);
        }

        let prune_due = match &self.prune_fault {
            Some(fault) if fault.until > now => {
                later(fault.until);
                false
            }
            _ => true,
        };
        let revoked: Vec<Stale> =
            self.stale.iter().filter(|stale| stale.phase == Phase::TenantAccess).cloned().collect();
        if prune_due && !revoked.is_empty() {
            return Work::Prune(revoked);
        }

        for phase in Phase::ALL {
            if phase > Phase::Admission && !self.markers.is_passable(now) {
                if self.markers.is_due(now) {
                    return Work::AskMarkers;
                }
                self.markers.next.into_iter().for_each(&mut later);
                return Work::Wait(soonest);
            }
            if phase > Phase::Quota && !self.quotas.open {
                if self.quotas.is_due(now) {
                    return Work::AskQuotas(self.unsettled_quotas());
                }
                self.quotas.next.into_iter().for_each(&mut later);
                if !self.quotas.is_passable(now) {
                    return Work::Wait(soonest);
                }
            }
            if phase == Phase::TenantAccess && !(self.access_open && self.is_applied()) {
                break;
            }
            let mut due = Vec::new();
            for (at, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.phase == phase) {
                let unread = self.kinds.get(slot.kind).is_none_or(|kind| !kind.read);
                if unread {
                    continue;
                }
                if slot.need == Need::Nothing {
                    match slot.repairs.review_at() {
                        Some(at_last) if at_last <= now => due.push(at),
                        Some(at_last) => later(at_last),
                        None => {}
                    }
                    continue;
                }
                let until = slot.fault.as_ref().map(|fault| fault.until).max(slot.repairs.blocked_until(now));
                match until {
                    Some(until) if until > now => later(until),
                    _ => due.push(at),
                }
            }
            if !due.is_empty() {
                return Work::Restore(due);
            }
        }
        if self.markers.is_due(now) {
            return Work::AskMarkers;
        }
        self.markers.next.filter(|_| !self.markers.open).into_iter().for_each(&mut later);
        if prune_due && !self.stale.is_empty() && self.is_applied() {
            let mut stale = self.stale.clone();
            stale.sort_by_key(|stale| std::cmp::Reverse(stale.phase));
            return Work::Prune(stale);
        }
        Work::Wait(soonest)
    }

    fn unsettled_quotas(&self) -> Vec<usize> {
        let is_quota =
            |slot: &Slot| self.kinds.get(slot.kind).is_some_and(|kind| kind.resource.kind == "ResourceQuota");
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| is_quota(slot) && !slot.settled)
            .map(|(at, _)| at)
            .collect()
    }

    /// The first thing that stands in the way, for people.
    pub(crate) fn trouble(&self) -> Option<String> {
        let kinds = self.kinds.iter().filter(|kind| kind.wanted).filter_map(|kind| {
            let fault = kind.fault.as_ref()?;
            Some(format!("{}: {}", kind.resource.plural, fault.message))
        });
        let slots = self.slots.iter().filter_map(|slot| Some(slot.fault.as_ref()?.message.clone()));
        let prune = self.prune_fault.iter().map(|fault| fault.message.clone());
        let gates = [&self.markers, &self.quotas]
            .into_iter()
            .filter(|gate| !gate.open && gate.looks > 20)
            .map(|gate| gate.message.clone());
        kinds.chain(slots).chain(prune).chain(gates).next()
    }

    /// Notes that a request about a kind failed.
    pub(crate) fn kind_failed(&mut self, kind: usize, fault: &Fault, now: Instant) {
        if let Some(kind) = self.kinds.get_mut(kind) {
            let most = Duration::from_secs(60);
            kind.fault = Some(Setback::after(kind.fault.as_ref(), fault.to_string(), now, most));
        }
    }
}

/// The phase in which an object was applied, as its annotation says; the earliest when it does not say.
fn phase_of(metadata: &Value) -> Phase {
    let written =
        metadata.pointer("/annotations").and_then(|all| all.get(labels::PHASE)).and_then(Value::as_str);
    Phase::ALL.into_iter().find(|phase| Some(phase.as_str()) == written).unwrap_or(Phase::Namespaces)
}

/// Whether a quota bites: admission reads `status.hard`, which the quota controller fills. True for other kinds.
pub(crate) fn quota_is_live(object: &Value) -> bool {
    if object.get("kind").and_then(Value::as_str) != Some("ResourceQuota") {
        return true;
    }
    match (object.pointer("/spec/hard"), object.pointer("/status/hard")) {
        (Some(wanted), Some(live)) => wanted == live,
        (None, _) => true,
        (Some(_), None) => false,
    }
}

/// Whether a version is newer than another one of the same kind (KEP-5504: versions are ordered numbers).
fn is_newer(version: &str, than: &str) -> bool {
    match (version.parse::<u128>(), than.parse::<u128>()) {
        (Ok(version), Ok(than)) => version > than,
        _ => version != than,
    }
}
