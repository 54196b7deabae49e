//! Windows and freezes, read a second time.

use fleet_api::v1alpha1::Maintenance;
use jiff::{Span, tz::TimeZone};

use crate::time::{MINUTE, Millis, timestamp};

/// Whether there is a moment from `from` to `to` at which a step of `needed` may begin.
pub(super) fn may_begin(maintenance: Option<&Maintenance>, from: Millis, to: Millis, needed: Millis) -> bool {
    let Some(maintenance) = maintenance else { return true };
    let Ok(zone) = TimeZone::get(&maintenance.time_zone) else { return false };
    // The range is small, so that looking at each minute of it, and at its ends, is enough.
    let mut at = from;
    while at < to {
        if is_free(maintenance, &zone, at, needed) {
            return true;
        }
        at += MINUTE;
    }
    is_free(maintenance, &zone, to, needed)
}

fn is_free(maintenance: &Maintenance, zone: &TimeZone, at: Millis, needed: Millis) -> bool {
    let here = timestamp(at).to_zoned(zone.clone());
    let today = here.date();
    if maintenance.freezes.iter().any(|freeze| freeze.from.0 <= today && today <= freeze.to.0) {
        return false;
    }
    if maintenance.windows.is_empty() {
        return true;
    }
    // No window of a scenario is longer than a day.
    (-2..=0).filter_map(|offset| today.checked_add(Span::new().days(offset)).ok()).any(|day| {
        maintenance
            .windows
            .iter()
            .filter(|window| window.days.iter().any(|d| d.to_jiff() == day.weekday()))
            .any(|window| {
                let Ok(opens) =
                    zone.to_ambiguous_timestamp(day.to_datetime(window.start.to_civil())).compatible()
                else {
                    return false;
                };
                let opens = opens.as_millisecond();
                let closes = opens + window.duration.0 * MINUTE;
                opens <= at && at + needed <= closes && at < closes
            })
    })
}
