//! What an engine does next, from what it knows. Pure: the time is an argument.

use std::time::Duration;

use fleet_render::Phase;
use tokio::time::Instant;

use super::{
    restore::Need,
    state::{Slot, Stale, State},
};

/// For how long the phases after a gate wait for it. The tenant's access waits for ever.
const GATE_PATIENCE: Duration = Duration::from_secs(60);

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

impl State {
    /// Whether every object before the tenant's access is as wanted.
    pub(crate) fn is_complete(&self) -> bool {
        !self.slots.is_empty()
            && self.slots.iter().filter(|slot| slot.phase != Phase::TenantAccess).all(Slot::stands)
    }

    /// Whether every object before the tenant's access is as wanted, bites and is live.
    pub(crate) fn is_applied(&self) -> bool {
        self.is_complete() && self.markers.open && self.quotas.open
    }

    /// Whether the tenant has its access at this revision.
    pub(crate) fn access_handed_over(&self) -> bool {
        self.access_open
            && self.slots.iter().filter(|slot| slot.phase == Phase::TenantAccess).all(Slot::stands)
    }

    /// How many objects are as wanted.
    pub(crate) fn applied(&self) -> usize {
        self.slots.iter().filter(|slot| slot.stands()).count()
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

        let leaving = self.leaving_namespaces();
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
                if unread || (!leaving.is_empty() && self.is_inside(at, &leaving)) {
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

    /// Whether an object lives in one of these namespaces.
    fn is_inside(&self, at: usize, namespaces: &[&str]) -> bool {
        let object = self.bundle.as_ref().and_then(|bundle| bundle.objects.get(at));
        object.and_then(|object| object.namespace.as_deref()).is_some_and(|name| namespaces.contains(&name))
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
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fleet_api::labels;
    use fleet_render::{Attempt, Bundle, BundleObject, Expect, Persona, Probe};
    use serde_json::{Value, json};

    use super::*;

    fn object(phase: Phase, kind: &str, name: &str) -> BundleObject {
        let api_version = if kind == "RoleBinding" { "rbac.authorization.k8s.io/v1" } else { "v1" };
        let value = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name } });
        BundleObject {
            control: "T-1".to_owned(),
            phase,
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: None,
            name: name.to_owned(),
            hash: format!("hash-of-{name}"),
            value,
        }
    }

    fn bundle(revision: &str, objects: Vec<BundleObject>) -> Arc<Bundle> {
        let marker = Probe {
            id: "m".to_owned(),
            control: "T-1".to_owned(),
            title: "m".to_owned(),
            persona: Persona { user: "u".to_owned(), groups: Vec::new() },
            attempt: Attempt::NotShowable { why: String::new() },
            expect: Expect::Allowed,
            twin_of: None,
        };
        Arc::new(Bundle {
            revision: revision.to_owned(),
            objects,
            controls: Vec::new(),
            markers: vec![marker],
            probes: Vec::new(),
        })
    }

    fn whole() -> Vec<BundleObject> {
        vec![
            object(Phase::Namespaces, "Namespace", "acme"),
            object(Phase::Admission, "Policy", "p"),
            object(Phase::Quota, "ResourceQuota", "q"),
            object(Phase::TenantAccess, "RoleBinding", "tenant"),
        ]
    }

    /// The object as a server has it after our apply.
    fn live(object: &BundleObject, version: u64) -> Value {
        let mut value = super::super::restore::wanted(object);
        value["metadata"]["uid"] = json!(format!("uid-of-{}", object.name));
        value["metadata"]["resourceVersion"] = json!(version.to_string());
        value["metadata"]["labels"] = json!({ labels::MANAGED_BY: labels::MANAGED_BY_FLEET });
        value["metadata"]["managedFields"] =
            json!([{ "manager": labels::BASELINE_MANAGER, "operation": "Apply", "fieldsV1": {} }]);
        value
    }

    /// A state in which everything has been read, and every object of the bundle that `there` says is there.
    fn read(bundle: &Arc<Bundle>, proven: bool, there: impl Fn(&BundleObject) -> bool) -> State {
        let mut state = State::default();
        state.adopt(bundle, proven);
        for kind in 0..state.kinds.len() {
            let resource = state.kinds[kind].resource.clone();
            let of_kind = |object: &&BundleObject| {
                resource.kind == object.kind && resource.api_version == object.api_version
            };
            let items: Vec<Value> =
                bundle.objects.iter().filter(of_kind).filter(|o| there(o)).map(|o| live(o, 7)).collect();
            state.take_list(kind, &items);
            state.kinds[kind].read = true;
        }
        state
    }

    fn done(state: &mut State, at: usize) {
        let bundle = Arc::clone(state.bundle.as_ref().unwrap());
        let object = live(&bundle.objects[at], 8);
        let seen = super::super::restore::Live::of(&object["metadata"]).unwrap();
        state.slots[at].as_wanted(seen, Some(1), &object);
    }

    #[test]
    fn phases_follow_each_other_through_their_gates_and_access_comes_last() {
        let now = Instant::now();
        let bundle = bundle("r", whole());
        let mut state = State::default();
        assert_eq!(state.next(now), Work::Wait(None), "without a target there is nothing to do");
        state.adopt(&bundle, false);
        assert!(matches!(state.next(now), Work::Read(kinds) if kinds.len() == state.kinds.len()));

        let mut state = read(&bundle, false, |_| false);
        assert_eq!(state.next(now), Work::Restore(vec![0]));
        done(&mut state, 0);
        assert_eq!(state.next(now), Work::Restore(vec![1]));
        done(&mut state, 1);
        assert_eq!(state.next(now), Work::AskMarkers);
        state.markers.shut(now, "not yet".to_owned());
        assert!(
            matches!(state.next(now), Work::Wait(Some(_))),
            "nothing passes a gate that was just seen shut"
        );
        let later = now + GATE_PATIENCE + Duration::from_secs(1);
        assert_eq!(
            state.next(later),
            Work::Restore(vec![2]),
            "patience ends, and more hardening is better than less"
        );
        done(&mut state, 2);
        assert_eq!(state.next(later), Work::AskQuotas(Vec::new()));
        state.quotas.open = true;
        assert_eq!(state.next(later), Work::AskMarkers);
        state.markers.shut(later, "not yet".to_owned());
        assert!(matches!(state.next(later), Work::Wait(Some(_))), "access waits for the marker for ever");
        state.markers.open = true;
        assert!(state.is_applied());
        assert_eq!(state.next(later), Work::Wait(None), "access waits for the probes");
        state.access_open = true;
        assert_eq!(state.next(later), Work::Restore(vec![3]));
        done(&mut state, 3);
        assert!(state.access_handed_over());
        assert_eq!(state.next(later), Work::Wait(None));
    }

    #[test]
    fn an_unchanged_cluster_needs_nothing_after_it_was_read() {
        let now = Instant::now();
        let bundle = bundle("r", whole());
        let mut state = read(&bundle, true, |_| true);
        assert_eq!(state.next(now), Work::AskQuotas(Vec::new()));
        state.quotas.open = true;
        assert_eq!(state.next(now), Work::Wait(None));
        assert!(state.is_applied() && state.access_handed_over());
    }

    #[test]
    fn old_news_and_news_of_status_cost_nothing_and_any_other_costs_a_look() {
        let bundle = bundle("r", whole());
        let mut state = read(&bundle, true, |_| true);
        let quota = state.kinds.iter().position(|kind| kind.resource.kind == "ResourceQuota").unwrap();
        let change = |version: u64, entry: Value| {
            let mut object = live(&bundle.objects[2], version);
            object["metadata"]["managedFields"].as_array_mut().unwrap().push(entry);
            object["metadata"].clone()
        };
        let status = json!({ "manager": "kcm", "operation": "Update", "subresource": "status", "time": "1" });
        let edit = json!({ "manager": "kubectl", "operation": "Update", "fieldsV1": { "f:spec": {} } });
        state.take_change(quota, &change(6, edit.clone()));
        assert!(state.slots[2].stands(), "older than what was seen");
        state.take_change(quota, &change(9, status));
        assert!(state.slots[2].stands(), "a status");
        state.take_change(quota, &change(10, edit));
        assert_eq!(state.slots[2].need, Need::Look);
        let mut gone = live(&bundle.objects[2], 11)["metadata"].clone();
        gone["uid"] = json!("another");
        state.take_loss(quota, &gone);
        assert_eq!(state.slots[2].need, Need::Look, "another object of the name");
        gone["uid"] = json!("uid-of-q");
        state.take_loss(quota, &gone);
        assert_eq!(state.slots[2].need, Need::Write);
    }

    #[test]
    fn a_new_revision_writes_what_differs_and_prunes_what_is_gone_in_its_turn() {
        let now = Instant::now();
        let mut state = read(&bundle("r1", whole()), true, |_| true);
        state.quotas.open = true;
        let mut objects = whole();
        objects.remove(3);
        objects.remove(1);
        objects[1].hash = "another".to_owned();
        objects.push(object(Phase::Rest, "Policy", "new"));
        state.adopt(&bundle("r2", objects), false);
        let names = |work: Work| match work {
            Work::Prune(stale) => stale.into_iter().map(|stale| stale.name).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(names(state.next(now)), ["tenant"], "what takes access away comes before everything");
        state.stale.retain(|stale| stale.name != "tenant");
        assert_eq!(state.next(now), Work::AskMarkers);
        state.markers.open = true;
        assert_eq!(state.next(now), Work::Restore(vec![1]), "the namespace is as it was");
        done(&mut state, 1);
        state.quotas.open = true;
        assert_eq!(state.next(now), Work::Restore(vec![2]));
        done(&mut state, 2);
        assert_eq!(names(state.next(now)), ["p"], "the rest goes when everything new stands");
    }

    #[test]
    fn an_object_that_moved_to_another_version_of_its_group_is_not_pruned() {
        let mut objects = whole();
        let mut state = read(&bundle("r1", objects.clone()), true, |_| true);
        objects[3].api_version = "rbac.authorization.k8s.io/v2".to_owned();
        state.adopt(&bundle("r2", objects), true);
        assert!(state.stale.is_empty(), "{:?}", state.stale);
    }

    #[test]
    fn a_namespace_is_never_pruned() {
        let now = Instant::now();
        let mut state = read(&bundle("r1", whole()), true, |_| true);
        let mut objects = whole();
        objects[0] = object(Phase::Namespaces, "Namespace", "other");
        state.adopt(&bundle("r2", objects), true);
        assert!(state.stale.is_empty());
        assert_eq!(state.kept_namespaces.iter().collect::<Vec<_>>(), ["acme"]);
        assert_eq!(state.next(now), Work::Restore(vec![0]));
    }

    #[test]
    fn nothing_is_written_into_a_namespace_that_is_being_deleted_and_its_end_ends_the_fights_in_it() {
        let now = Instant::now();
        let mut objects = whole();
        objects[2].namespace = Some("acme".to_owned());
        let bundle = bundle("r", objects);
        let mut state = read(&bundle, true, |_| true);
        state.quotas.open = true;
        let namespaces = state.slots[0].kind;
        let quotas = state.slots[2].kind;
        let mut leaving = live(&bundle.objects[0], 9)["metadata"].clone();
        leaving["deletionTimestamp"] = json!("2026-11-24T00:00:00Z");
        let mut quota = live(&bundle.objects[2], 8)["metadata"].clone();
        quota["namespace"] = json!("acme");

        state.slots[2].repairs.give_up(now, "whoever deletes it");
        state.take_change(namespaces, &leaving);
        state.take_loss(quotas, &quota);
        assert_eq!(state.slots[2].need, Need::Write);
        assert_eq!(state.next(now), Work::Restore(vec![0]), "the namespace is looked at, the quota waits");
        state.take_loss(namespaces, &leaving);
        assert_eq!(state.slots[2].repairs.fights(), None);
        assert_eq!(state.next(now), Work::Restore(vec![0]));
        done(&mut state, 0);
        assert_eq!(state.next(now), Work::Restore(vec![2]));
    }

    #[test]
    fn a_paused_engine_reads_and_does_nothing_else() {
        let now = Instant::now();
        let bundle = bundle("r", whole());
        let mut state = State::default();
        state.paused = true;
        state.adopt(&bundle, false);
        assert!(matches!(state.next(now), Work::Read(_)));
        let mut state = read(&bundle, false, |_| false);
        state.paused = true;
        assert_eq!(state.next(now), Work::Wait(None));
    }
}
