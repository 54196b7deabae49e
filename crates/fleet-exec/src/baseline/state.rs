//! What an engine knows of its cluster, and how it takes in what it is told. Nothing here sends anything.

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
    compare::{is_of_the_baseline, is_shared},
    decide::Gate,
    fight::Repairs,
    restore::{Judgement, Live, Need, judge, learn, wanted},
};
use crate::remote::{Fault, Resource};

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
    /// Whether the image is of our own write, or was compared with a rehearsal, and not taken on trust from what a
    /// restart found.
    pub(crate) verified: bool,
    /// Whether it was as wanted before, at this intent.
    pub(crate) held: bool,
    /// For quotas: whether the quota controller has taken it in.
    pub(crate) settled: bool,
    pub(crate) fault: Option<Setback>,
    pub(crate) repairs: Repairs,
}

impl Slot {
    /// Whether the object is there and as wanted, as far as was seen.
    pub(crate) fn stands(&self) -> bool {
        matches!(self.need, Need::Nothing | Need::Verify) && self.live.is_some()
    }

    /// The object was seen, and is as wanted.
    pub(crate) fn as_wanted(&mut self, live: Live, image: Option<u64>, object: &Value) {
        self.verified |= self.need != Need::Look;
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

impl Stale {
    /// Whether a bundle has the object, perhaps under another version of its group: then it is not stale at all.
    fn is_wanted(&self, bundle: &Bundle) -> bool {
        let group = |api_version: &str| api_version.rsplit_once('/').map(|(group, _)| group.to_owned());
        bundle.objects.iter().any(|object| {
            object.kind == self.resource.kind
                && object.name == self.name
                && object.namespace == self.namespace
                && group(&object.api_version) == group(&self.resource.api_version)
        })
    }
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
                    verified: false,
                    held: false,
                    settled: false,
                    fault: None,
                    repairs: Repairs::default(),
                },
            };
            self.index.insert(key, self.slots.len());
            self.slots.push(slot);
        }
        self.bundle = Some(Arc::clone(bundle));
        self.stale.retain(|stale| !stale.is_wanted(bundle));
        for ((kind, namespace, name), slot) in before {
            let (Some(live), Some(kind)) = (slot.live, self.kinds.get(kind)) else { continue };
            let resource = kind.resource.clone();
            self.outdated(Stale { resource, namespace, name, uid: live.uid, phase: slot.phase });
        }
        for (api_version, kind) in CATALOGUE_KINDS {
            self.kind(api_version, kind);
        }
        self.kept_namespaces.retain(|name| {
            !bundle.objects.iter().any(|object| object.kind == "Namespace" && object.name == *name)
        });
        self.markers = Gate { open: proven || bundle.markers.is_empty(), ..Gate::default() };
        self.quotas = Gate::default();
        self.access_open = proven;
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
    fn outdated(&mut self, stale: Stale) {
        if self.bundle.as_ref().is_some_and(|bundle| stale.is_wanted(bundle)) || self.stale.contains(&stale) {
            return;
        }
        if stale.resource.kind == "Namespace" {
            self.kept_namespaces.insert(stale.name);
        } else {
            self.stale.push(stale);
        }
    }

    /// The slot of an object, by its metadata.
    pub(crate) fn find(&self, kind: usize, metadata: &Value) -> Option<usize> {
        let text = |field: &str| metadata.get(field).and_then(Value::as_str).map(str::to_owned);
        self.index.get(&(kind, text("namespace"), text("name")?)).copied()
    }

    /// Takes in everything of ours of a kind, as far as [`is_kept`](Self::is_kept) kept it.
    pub(crate) fn take_list(&mut self, kind: usize, items: &[Value]) {
        let check = self.kinds.get(kind).is_some_and(|kind| kind.watch.is_some());
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
                    self.outdated(Stale {
                        resource: resource.clone(),
                        namespace: text("/namespace").map(str::to_owned),
                        name: name.to_owned(),
                        uid: uid.to_owned(),
                        phase: phase_of(metadata),
                    });
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
                    if check && !slot.verified && !is_shared(&resource.kind) {
                        Need::Verify
                    } else {
                        Need::Nothing
                    }
                }
                Judgement::Short if !of_this_intent => Need::Write,
                _ => Need::Look,
            };
        }
    }

    /// Whether an object of a list says anything to the engine. A tenant may hang our label on what it likes, and
    /// what is not kept costs no memory.
    pub(crate) fn is_kept(&self, kind: usize, object: &Value) -> bool {
        let metadata = object.get("metadata").unwrap_or(&Value::Null);
        self.find(kind, metadata).is_some() || is_of_the_baseline(metadata)
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

    /// What failed because its namespace was on its way out can be tried again at once. What went with the namespace
    /// was deleted by the server's own controller: the fight, if there is one, is over the namespace.
    fn namespace_lost(&mut self, name: Option<&str>) {
        let Some(bundle) = &self.bundle else { return };
        for (slot, object) in self.slots.iter_mut().zip(&bundle.objects) {
            if object.namespace.is_some() && object.namespace.as_deref() == name {
                slot.fault = None;
                slot.repairs = Repairs::default();
            }
        }
    }

    /// The namespaces of the bundle that are being deleted. Nothing can be made in them before they are gone.
    pub(crate) fn leaving_namespaces(&self) -> Vec<&str> {
        let Some(bundle) = &self.bundle else { return Vec::new() };
        self.slots
            .iter()
            .zip(&bundle.objects)
            .filter(|(slot, object)| {
                object.kind == "Namespace" && slot.live.as_ref().is_some_and(|live| live.leaving)
            })
            .map(|(_, object)| object.name.as_str())
            .collect()
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
