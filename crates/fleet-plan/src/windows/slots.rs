//! The coming openings, for calendars and plans.

use fleet_api::v1alpha1::Maintenance;
use jiff::{SignedDuration, Timestamp};

use super::{
    Change, Closed, UnknownZone,
    layout::{Layout, Opening},
};

/// A coming opening, and whether a step of the length that was asked for may begin in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// When it opens.
    pub opens: Timestamp,
    /// When it closes.
    pub closes: Timestamp,
    /// The last moment at which the step may begin; before [`opens`](Self::opens) when it is too short.
    pub start_by: Timestamp,
    /// The first moment at which the step may begin, or why there is none.
    pub begins: Result<Timestamp, Closed>,
}

/// The openings that end after `now` and begin before `until`, in their order; at most `most`.
///
/// None for a tenant without windows, whose steps may begin whenever [`permission_for`](super::permission_for) says.
pub fn slots(
    maintenance: Option<&Maintenance>,
    change: Change,
    now: Timestamp,
    until: Timestamp,
    minutes: i64,
    most: usize,
) -> Result<Vec<Slot>, UnknownZone> {
    let Some(maintenance) = maintenance else { return Ok(Vec::new()) };
    let layout = Layout::of(maintenance, change)?;
    if layout.always_open() {
        return Ok(Vec::new());
    }
    let needed = SignedDuration::from_mins(minutes.max(0));
    let ahead = i32::try_from(now.duration_until(until).as_hours() / 24).unwrap_or(0).clamp(0, 36_600) + 2;
    let mut openings: Vec<Opening> = Vec::new();
    for day in layout.days(now, -layout.longest_days(), ahead) {
        // What opens on this day or later comes behind what is there: enough is enough.
        if openings.len() >= most
            && openings.get(most.saturating_sub(1)).is_some_and(|last| last.from < layout.start_of(day))
        {
            break;
        }
        openings.extend(
            layout.openings_on(day).into_iter().filter(|opening| opening.until > now && opening.from < until),
        );
        openings.sort_unstable();
        openings.dedup();
    }
    openings.truncate(most);
    Ok(openings.iter().map(|opening| slot(&layout, opening, now, needed)).collect())
}

fn slot(layout: &Layout<'_>, opening: &Opening, now: Timestamp, needed: SignedDuration) -> Slot {
    let last_that_ends = opening.until.checked_sub(needed).unwrap_or(Timestamp::MIN);
    let earliest = opening.from.max(now);
    let begin = layout.free_from(earliest);
    let begins = if opening.fits(begin, needed) {
        Ok(begin)
    } else if let Some(hold) = layout.hold_at(earliest) {
        Err(hold.into())
    } else if earliest > opening.start_by {
        Err(Closed::PastLatestStart { until: opening.until })
    } else {
        Err(Closed::TooLittleLeft { until: opening.until })
    };
    Slot {
        opens: opening.from,
        closes: opening.until,
        start_by: opening.start_by.min(last_that_ends),
        begins,
    }
}
