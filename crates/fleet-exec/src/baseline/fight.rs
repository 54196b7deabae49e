//! When two keep putting the same object back, one has to stop: fights, seen as data. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// After how many repairs in a row an object is fought over.
const REPAIRS: u32 = 3;
/// Repairs further apart than this are not in a row.
const IN_A_ROW: Duration = Duration::from_secs(60);
/// How long a fought-over object is first left alone, and at most.
const LEAVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15 * 60));

/// The repairs of one object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repairs {
    in_a_row: u32,
    last: Option<Instant>,
    fight: Option<Fight>,
}

/// A fight over one object.
#[derive(Debug, Clone)]
struct Fight {
    other: String,
    leave: Duration,
    until: Instant,
}

impl Repairs {
    /// Whether the object may be repaired now; when not, from when on.
    ///
    /// `other` is who changed it, as far as that can be told.
    pub(crate) fn ask(&mut self, now: Instant, other: &str) -> Result<(), Instant> {
        let quiet = self.last.is_none_or(|last| now.duration_since(last) > IN_A_ROW);
        match &self.fight {
            Some(fight) if now < fight.until => Err(fight.until),
            Some(_) => {
                // The next repair is a trial: undone at once, it doubles the time of leaving alone.
                self.give_up(now, other);
                Ok(())
            }
            None if quiet => {
                self.in_a_row = 0;
                Ok(())
            }
            None if self.in_a_row < REPAIRS => Ok(()),
            None => Err(self.give_up(now, other)),
        }
    }

    /// There is no winning: leaves the object alone, for longer each time, and says until when.
    pub(crate) fn give_up(&mut self, now: Instant, other: &str) -> Instant {
        let leave = self.fight.as_ref().map_or(LEAVE.0, |fight| (fight.leave * 2).min(LEAVE.1));
        let until = now + leave;
        self.fight = Some(Fight { other: other.to_owned(), leave, until });
        until
    }

    /// The object was repaired.
    pub(crate) fn done(&mut self, now: Instant) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last = Some(now);
    }

    /// The object has held since its last repair: is the fight over?
    ///
    /// A fight ends when the object held until it would have been tried again. The trial itself took a moment of
    /// that time.
    pub(crate) fn holds(&mut self, now: Instant) {
        let over = match (&self.fight, self.last) {
            (Some(fight), Some(last)) => now >= fight.until && now.duration_since(last) >= fight.leave / 2,
            (Some(fight), None) => now >= fight.until,
            (None, _) => false,
        };
        if over {
            *self = Self::default();
        }
    }

    /// With whom the object is fought over.
    pub(crate) fn fights(&self) -> Option<&str> {
        self.fight.as_ref().map(|fight| fight.other.as_str())
    }

    /// When an object that is as wanted again is to be looked at, to see whether the fight is over.
    pub(crate) fn review_at(&self) -> Option<Instant> {
        self.fight.as_ref().map(|fight| fight.until)
    }

    /// Until when the object is left alone.
    pub(crate) fn blocked_until(&self, now: Instant) -> Option<Instant> {
        self.fight.as_ref().map(|fight| fight.until).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_repairs_in_a_row_make_the_next_one_a_fight() {
        let mut repairs = Repairs::default();
        let start = Instant::now();
        for second in 0..3 {
            let now = start + Duration::from_secs(second);
            assert!(repairs.ask(now, "evil-operator").is_ok());
            repairs.done(now);
        }
        let now = start + Duration::from_secs(3);
        let until = repairs.ask(now, "evil-operator").unwrap_err();
        assert_eq!(until, now + LEAVE.0);
        assert_eq!(repairs.fights(), Some("evil-operator"));
    }

    #[test]
    fn repairs_far_apart_are_no_fight() {
        let mut repairs = Repairs::default();
        let start = Instant::now();
        for minute in 0..20 {
            let now = start + Duration::from_secs(minute * 61);
            assert!(repairs.ask(now, "someone").is_ok(), "{minute}");
            repairs.done(now);
        }
        assert_eq!(repairs.fights(), None);
    }

    #[test]
    fn a_fight_is_tried_again_ever_more_slowly_and_ends_when_the_object_holds() {
        let mut repairs = Repairs::default();
        let mut now = Instant::now();
        for _ in 0..3 {
            repairs.ask(now, "x").unwrap();
            repairs.done(now);
        }
        let mut waits = Vec::new();
        for _ in 0..6 {
            let until = repairs.ask(now, "x").unwrap_err();
            waits.push((until - now).as_secs());
            now = until;
            repairs.ask(now, "x").unwrap();
            repairs.done(now);
        }
        assert_eq!(waits, [60, 120, 240, 480, 900, 900]);
        repairs.holds(now + Duration::from_secs(1));
        assert!(repairs.fights().is_some(), "one second proves nothing");
        repairs.holds(now + LEAVE.1);
        assert_eq!(repairs.fights(), None);
    }
}
