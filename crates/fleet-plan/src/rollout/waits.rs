//! What the members that wait are told to wait for, summed up for the rollout's status.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{MemberState, ReportEntry};
use jiff::Timestamp;

use super::{
    begin::{Hold, Shut},
    scene::{Scene, minute},
    summary::Sum,
};
use crate::report::{Code, Who, entry, entry_with_hint};

/// What members wait for: one entry for each kind of wait, with how many they are and when it goes on.
pub(super) fn report(scene: &Scene<'_>, sum: &Sum<'_, '_>, reasons: &mut Vec<ReportEntry>) {
    let mut kinds: BTreeMap<Code, (usize, Option<Timestamp>, &str)> = BTreeMap::new();
    for ((member, begin), record) in sum.found.members.iter().zip(sum.found.begins).zip(&sum.decided.records)
    {
        let waits = matches!(record.state, MemberState::Pending | MemberState::Preflight);
        let Some(begin) = begin.as_ref().filter(|_| waits) else { continue };
        let (code, at) = match begin {
            Ok(()) => (Code::WaitingForTurn, None),
            Err(Hold::Blocked) => (Code::MembersBlocked, None),
            Err(Hold::Unseen) => (Code::MembersPreparing, None),
            Err(Hold::Slot(at)) => (Code::WaitingForSlot, Some(*at)),
            Err(Hold::NotYetLookedAt) => match member.bound(scene) {
                Some(slot) => (Code::WaitingForSlot, Some(slot)),
                // It waits for its wave, which is said once.
                None => continue,
            },
            Err(Hold::Window(None, _)) => (Code::NoWindow, None),
            Err(Hold::Window(at, Shut::Freeze)) => (Code::Frozen, *at),
            Err(Hold::Window(at, Shut::PutOff)) => (Code::PutOff, *at),
            Err(Hold::Window(at, Shut::TooSoon)) => (Code::TooSoon, *at),
            Err(Hold::Window(at, Shut::Window)) => (Code::WaitingForWindow, *at),
            // These are said once, of the rollout or the wave.
            Err(Hold::NotRunning | Hold::EarlierWave | Hold::Stopped | Hold::Gate(_)) => continue,
        };
        let kind = kinds.entry(code).or_insert((0, None, member.name));
        kind.0 += 1;
        kind.1 = kind.1.into_iter().chain(at).min();
    }
    for (code, (number, at, first)) in kinds {
        let goes_on = at.map(|at| format!("; the first goes on at {}", minute(at))).unwrap_or_default();
        reasons.push(match code {
            Code::MembersBlocked => entry_with_hint(
                code,
                Who::Operator,
                format!("something stands in the way of {number}, such as {first}"),
                "look at the blockers of the members, and remove them or skip the members",
            ),
            Code::NoWindow => entry_with_hint(
                code,
                Who::Operator,
                format!("{number} have no window that will do, such as {first}"),
                "give the tenants a window that is long enough, or skip the members",
            ),
            Code::WaitingForTurn => {
                entry(code, Who::Nobody, format!("{number} wait for their turn, such as {first}"))
            }
            Code::MembersPreparing => {
                entry(code, Who::Nobody, format!("{number} are being looked at, such as {first}"))
            }
            Code::WaitingForSlot => {
                entry(code, Who::Nobody, format!("{number} wait for their slot{goes_on}"))
            }
            Code::Frozen => {
                entry(code, Who::Nobody, format!("{number} wait for the end of a freeze{goes_on}"))
            }
            Code::PutOff => {
                let message = format!("{number} wait for the day until which changes were put off{goes_on}");
                entry(code, Who::Nobody, message)
            }
            Code::TooSoon => {
                let message = format!("{number} wait for the minimum gap since their last change{goes_on}");
                entry(code, Who::Nobody, message)
            }
            _ => entry(code, Who::Nobody, format!("{number} wait for their maintenance window{goes_on}")),
        });
    }
}
