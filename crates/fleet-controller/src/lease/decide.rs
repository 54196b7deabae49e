//! Whose turn it is: the pure half of the election.

use std::time::Duration;

/// What a lease says, as far as the election is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Who holds it; `None` when it was given back.
    pub(crate) holder: Option<String>,
    /// How long a holder may stay silent.
    pub(crate) duration: Duration,
    /// How often it has changed hands.
    pub(crate) transitions: i32,
}

/// What a replica does next about the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// There is no lease: make it.
    Create,
    /// It is free, or its holder has been silent for too long: take it.
    Take {
        /// The number of transitions to write.
        transitions: i32,
    },
    /// It is ours: say so again.
    Renew,
    /// Somebody else holds it: look again after this time at the latest.
    Wait(Duration),
}

/// Decides about a lease that has looked the same for `unchanged_for`, by the clock of this replica.
///
/// The times that are written in the lease are never compared with a clock of this machine, so replicas need not
/// agree about the time of day; they only need seconds of about the same length.
pub(crate) fn decide(me: &str, record: Option<&Record>, unchanged_for: Duration) -> Move {
    let Some(record) = record else { return Move::Create };
    match &record.holder {
        None => Move::Take { transitions: record.transitions.saturating_add(1) },
        Some(holder) if holder == me => Move::Renew,
        Some(_) => match record.duration.checked_sub(unchanged_for) {
            Some(rest) if !rest.is_zero() => Move::Wait(rest),
            Some(_) | None => Move::Take { transitions: record.transitions.saturating_add(1) },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: Option<&str>) -> Record {
        Record { holder: holder.map(str::to_owned), duration: Duration::from_secs(15), transitions: 4 }
    }

    #[test]
    fn each_state_of_a_lease_leads_to_one_move() {
        let seconds = Duration::from_secs;
        let cases = [
            ("no lease", None, seconds(0), Move::Create),
            ("given back", Some(held_by(None)), seconds(0), Move::Take { transitions: 5 }),
            ("mine", Some(held_by(Some("me"))), seconds(0), Move::Renew),
            ("mine, and silent for long", Some(held_by(Some("me"))), seconds(99), Move::Renew),
            ("just renewed by another", Some(held_by(Some("you"))), seconds(0), Move::Wait(seconds(15))),
            ("renewed a while ago", Some(held_by(Some("you"))), seconds(14), Move::Wait(seconds(1))),
            ("silent to the end", Some(held_by(Some("you"))), seconds(15), Move::Take { transitions: 5 }),
            ("silent for long", Some(held_by(Some("you"))), seconds(400), Move::Take { transitions: 5 }),
        ];
        for (what, record, unchanged_for, expected) in cases {
            assert_eq!(decide("me", record.as_ref(), unchanged_for), expected, "{what}");
        }
    }

    #[test]
    fn a_counter_of_transitions_at_its_end_stays_there() {
        let record = Record { transitions: i32::MAX, ..held_by(None) };
        assert_eq!(decide("me", Some(&record), Duration::ZERO), Move::Take { transitions: i32::MAX });
    }
}
