//! The ledger: what may begin, and what is announced, such that no stale reader exceeds a cap.
//!
//! An entry names members. It is written into the rollout's status, against the version that was read, before any of their
//! records is; each of them then answers it once, in its own record, against the version that was read. An entry follows
//! another one only when whoever writes it has seen every member of the last entry answer. From that:
//!
//! - **A stale rollout.** Whoever reads an old ledger cannot write a new one, since the version is another one. It may
//!   still answer the old entry for a member that it sees unanswered: if that member has answered in truth, the write is
//!   refused; if it has not, no later entry exists.
//! - **Stale members.** Everything that takes room, spends the failure budget or unsettles a wave is named by an entry
//!   before it comes about. Members count the entries that they have answered, and the ledger how many names it held: when
//!   the sum of the first is smaller than the second, some record is out of date, whichever it is, and then nothing
//!   begins and no wave passes. What a stale record can otherwise miss only makes room or settles something.
//! - **Stale clusters.** They are believed only as far as [`evidence`](super::evidence) says.
//! - **A crash** between any two writes leaves an entry with members that have not answered. The next tick answers for
//!   them by what it sees then: whoever may still begin begins, whoever may not (a window closed, somebody paused) does not,
//!   and has answered all the same.
//! - **Two writers** write each object against its version: the slower one is refused, and looks again.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{Ledger, MemberState, RolloutMemberStatus, Run};

use super::{
    back::{self, Back},
    begin::Hold,
    member::{Next, Wish, enter},
    scene::{Member, Scene, Target},
    twist::Mutant,
    waves::WaveFacts,
};

/// The most names of each kind that an entry holds.
const ENTRY: usize = 100;

/// How the ledger was read, beside the members.
pub(super) struct Book {
    /// The indices of members that the last entry names and that have not answered it.
    pub(super) unanswered: Vec<usize>,
    /// Names of the last entry that no member has.
    pub(super) missing: Vec<String>,
    /// Whether every entry was answered by the members as they were read.
    pub(super) up_to_date: bool,
    /// How many members of the plan were not read: they are stored, and not yet seen, or somebody deleted them.
    pub(super) unseen: i64,
}

/// Why a member's record is to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    Go,
    Back,
    /// What it wished comes about.
    Noted,
    /// It answers the entry, and nothing else.
    Answer,
}

impl Book {
    pub(super) fn read(scene: &Scene<'_>, members: &[Member<'_>]) -> Self {
        let ledger = &scene.was().ledger;
        let forgets = scene.twist.is(Mutant::ForgetsTheLedger);
        let by_name: BTreeMap<&str, usize> =
            members.iter().enumerate().map(|(index, member)| (member.name, index)).collect();
        let mut unanswered = Vec::new();
        let mut missing = Vec::new();
        for name in ledger.granted.iter().chain(&ledger.back).chain(&ledger.noted) {
            match by_name.get(name.as_str()) {
                None => missing.push(name.clone()),
                Some(index) => {
                    let waits = members.get(*index).is_some_and(|m| m.was().granted_by < ledger.seq);
                    if waits && !unanswered.contains(index) {
                        unanswered.push(*index);
                    }
                }
            }
        }
        if forgets || scene.twist.is(Mutant::DropsGrants) {
            unanswered.clear();
        }
        let answered = members.iter().fold(0_i64, |sum, member| sum.saturating_add(member.was().entries));
        let up_to_date = forgets || (unanswered.is_empty() && answered == ledger.named);
        let seen = i64::try_from(members.len()).unwrap_or(i64::MAX);
        let forgiving = scene.twist.is(Mutant::ForgetsTheUnread);
        let planned = if forgiving { seen } else { scene.spec().planned_members };
        let unseen = planned.saturating_sub(seen).max(0);
        Self { unanswered, missing, up_to_date, unseen }
    }
}

/// What was found out about the members, by their index.
pub(super) struct Found<'a, 'b> {
    pub(super) members: &'b [Member<'a>],
    pub(super) nexts: &'b [Next],
    /// Whether each may begin, room apart; `None` for those that do not wait.
    pub(super) begins: &'b [Option<Result<(), Hold>>],
    pub(super) backs: &'b [Back],
}

/// What the tick decides: the ledger to be written, and every member's record as it is to be.
pub(super) struct Decided {
    pub(super) ledger: Ledger,
    pub(super) records: Vec<RolloutMemberStatus>,
    /// The indices of members that begin to move, not those that move back.
    pub(super) begun: Vec<usize>,
    /// Whether something is left that only the next tick can write.
    pub(super) more: bool,
}

/// Finishes the last entry, or writes the next one.
pub(super) fn decide(
    scene: &Scene<'_>,
    found: &Found<'_, '_>,
    waves: &[WaveFacts<'_>],
    book: &Book,
) -> Decided {
    let was = &scene.was().ledger;
    let mut decided = Decided {
        ledger: was.clone(),
        records: found.nexts.iter().map(|next| next.status.clone()).collect(),
        begun: Vec::new(),
        more: false,
    };
    for (record, back) in decided.records.iter_mut().zip(found.backs) {
        if *back == Back::Ready && record.state == MemberState::Succeeded {
            "is to go back, and waits for its turn".clone_into(&mut record.message);
        }
    }
    let mut budgets: Vec<i64> = waves.iter().map(WaveFacts::budget_left).collect();
    if !book.unanswered.is_empty() {
        for &index in &book.unanswered {
            let grant = finishing(scene, found, index, &mut budgets);
            decided.answer(scene, found, index, grant, was.seq);
        }
        decided.more = found.nexts.iter().any(|next| next.wish.is_some());
        return decided;
    }
    let wishes = wishes(scene, found, &mut budgets);
    let noted: Vec<usize> = wishes.iter().copied().take(ENTRY).collect();
    let granted = if book.up_to_date { grants(scene, found, waves, &noted) } else { Vec::new() };
    decided.more = wishes.len() > noted.len() || granted.len() >= ENTRY;
    if noted.is_empty() && granted.is_empty() {
        return decided;
    }
    let name = |index: &usize| found.members.get(*index).map(|member| member.name.to_owned());
    let of = |kind| {
        granted.iter().filter(|(_, grant)| *grant == kind).filter_map(|(index, _)| name(index)).collect()
    };
    let named = i64::try_from(noted.len().saturating_add(granted.len())).unwrap_or(i64::MAX);
    decided.ledger = Ledger {
        seq: was.seq.saturating_add(1),
        granted: of(Grant::Go),
        back: of(Grant::Back),
        noted: noted.iter().filter_map(name).collect(),
        named: was.named.saturating_add(named),
    };
    let seq = decided.ledger.seq;
    for index in noted {
        decided.answer(scene, found, index, Grant::Noted, seq);
    }
    for (index, grant) in granted {
        decided.answer(scene, found, index, grant, seq);
    }
    decided
}

/// What becomes of a member that the last entry names, by what is seen now.
fn finishing(scene: &Scene<'_>, found: &Found<'_, '_>, index: usize, budgets: &mut [i64]) -> Grant {
    let ledger = &scene.was().ledger;
    let named = |names: &[String]| {
        found.members.get(index).is_some_and(|member| names.iter().any(|name| name == member.name))
    };
    if !scene.world.rollout.deleting {
        if named(&ledger.back) && matches!(found.backs.get(index), Some(Back::Ready)) {
            return Grant::Back;
        }
        if named(&ledger.granted) && matches!(found.begins.get(index), Some(Some(Ok(())))) {
            return Grant::Go;
        }
    }
    if may_wish(scene, found, index, budgets) { Grant::Noted } else { Grant::Answer }
}

/// The indices of members whose wishes may come about, in the order of names.
fn wishes(scene: &Scene<'_>, found: &Found<'_, '_>, budgets: &mut [i64]) -> Vec<usize> {
    (0..found.members.len()).filter(|index| may_wish(scene, found, *index, budgets)).collect()
}

fn may_wish(scene: &Scene<'_>, found: &Found<'_, '_>, index: usize, budgets: &mut [i64]) -> bool {
    match found.nexts.get(index).and_then(|next| next.wish.as_ref()) {
        None => false,
        Some(Wish::Always(_)) => true,
        Some(Wish::WithinBudget(_)) => {
            let wave = found.members.get(index).map(|member| member.wave);
            let Some(budget) = wave.and_then(|wave| budgets.get_mut(wave)) else { return false };
            if *budget > 0 {
                *budget -= 1;
                true
            } else {
                scene.twist.is(Mutant::OfflineIsFree)
            }
        }
    }
}

/// Who begins to move or to move back, within the room that each wave has.
fn grants(
    scene: &Scene<'_>,
    found: &Found<'_, '_>,
    waves: &[WaveFacts<'_>],
    noted: &[usize],
) -> Vec<(usize, Grant)> {
    let mut granted = Vec::new();
    if scene.world.rollout.deleting {
        return granted;
    }
    let mut rooms: Vec<i64> = waves.iter().map(|wave| wave.room_for - wave.moving).collect();
    // Who forgets the ledger takes those that it named for begun, without having seen it.
    let named = |index: usize| {
        let granted = &scene.was().ledger.granted;
        found.members.get(index).is_some_and(|member| granted.iter().any(|name| name == member.name))
    };
    let forgotten = |index: usize| scene.twist.is(Mutant::ForgetsTheLedger) && named(index);
    let in_order = |chosen: &dyn Fn(usize) -> bool| {
        let mut indices: Vec<usize> = (0..found.members.len())
            .filter(|index| !noted.contains(index) && !forgotten(*index) && chosen(*index))
            .collect();
        indices.sort_by_key(|index| found.members.get(*index).map(|member| (member.wave, member.order())));
        indices
    };
    let mut back = in_order(&|index| matches!(found.backs.get(index), Some(Back::Ready)));
    back.reverse();
    let last = last_to_go_back(scene, found, waves);
    for index in back {
        let Some(member) = found.members.get(index) else { continue };
        if last.is_some_and(|last| member.wave < last) {
            continue;
        }
        let Some(room) = rooms.get_mut(member.wave) else { continue };
        // One that is moving has its room already.
        let needs = i64::from(!member.state().is_moving());
        if granted.len() < ENTRY && (needs == 0 || needs <= *room) {
            *room -= needs;
            granted.push((index, Grant::Back));
        }
    }
    for index in in_order(&|index| matches!(found.begins.get(index), Some(Some(Ok(()))))) {
        let Some(room) = found.members.get(index).and_then(|member| rooms.get_mut(member.wave)) else {
            continue;
        };
        let goes_back = granted.iter().any(|(other, _)| *other == index);
        if granted.len() < ENTRY && *room > 0 && !goes_back {
            *room -= 1;
            granted.push((index, Grant::Go));
        }
    }
    granted
}

/// The wave that goes back now, when the whole rollout does: the last of which a member can go back or moves.
fn last_to_go_back(scene: &Scene<'_>, found: &Found<'_, '_>, waves: &[WaveFacts<'_>]) -> Option<usize> {
    if scene.run() != Run::RollingBack {
        return None;
    }
    let ready = found
        .members
        .iter()
        .zip(found.backs)
        .filter(|(_, back)| **back == Back::Ready)
        .map(|(member, _)| member.wave);
    let moving = waves.iter().enumerate().filter(|(_, wave)| wave.moving > 0).map(|(index, _)| index);
    ready.chain(moving).max()
}

impl Decided {
    fn answer(&mut self, scene: &Scene<'_>, found: &Found<'_, '_>, index: usize, grant: Grant, seq: i64) {
        let (Some(member), Some(next)) = (found.members.get(index), found.nexts.get(index)) else { return };
        let Some(record) = self.records.get_mut(index) else { return };
        match (grant, &next.wish) {
            (Grant::Go, _) => {
                go(scene, member, record);
                self.begun.push(index);
            }
            (Grant::Back, _) => {
                enter(scene, record, MemberState::RollingBack, "is allowed to move back");
                record.back_started_at = Some(scene.time());
                record.offline_since = None;
            }
            (Grant::Noted, Some(Wish::Always(wished) | Wish::WithinBudget(wished))) => {
                record.clone_from(wished);
            }
            (Grant::Noted | Grant::Answer, _) => {}
        }
        record.granted_by = seq;
        record.entries = member.was().entries.saturating_add(1);
    }
}

/// A member begins to move. What it was before is noted, so that there is something to go back to.
fn go(scene: &Scene<'_>, member: &Member<'_>, record: &mut RolloutMemberStatus) {
    if let Some(cluster) = member.cluster() {
        match scene.target {
            Target::Baseline(_) if record.from_baseline.is_none() => {
                record.from_baseline = Some(cluster.baseline.to_owned());
            }
            Target::Addons(wanted) if record.from_addons.is_empty() => {
                let of_target = |name: &str| wanted.iter().any(|addon| addon.name == name);
                record.from_addons = cluster
                    .versions
                    .addons
                    .iter()
                    .filter(|addon| of_target(&addon.name))
                    .take(16)
                    .cloned()
                    .collect();
            }
            Target::Kubernetes(_) | Target::Baseline(_) | Target::Addons(_) => {}
        }
    }
    if record.rollback_until.is_none() {
        record.rollback_until = back::limit_from_now(scene, member);
    }
    enter(scene, record, MemberState::Upgrading, "is allowed to move");
    record.started_at = Some(scene.time());
    record.arrived_at = None;
    record.back_started_at = None;
    record.offline_since = None;
}
