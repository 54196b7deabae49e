//! When tenants may be disturbed: as a table, and as what programs read.

use fleet_plan::calendar::{CalendarSlot, TenantCalendar, local};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::cut;
use crate::printer::{Tone, table, toned};

/// The calendars of some tenants.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Calendar {
    /// The moment from which it is told.
    pub(crate) from: Timestamp,
    /// The moment up to which openings are listed.
    pub(crate) until: Timestamp,
    pub(crate) tenants: Vec<TenantCalendar>,
}

impl Calendar {
    /// The calendar of one tenant at length, or of several with a line for each opening.
    pub(crate) fn to_text(&self, one: bool, wide: bool) -> String {
        match self.tenants.as_slice() {
            [] => "no tenants".to_owned(),
            [tenant] if one => self.at_length(tenant, wide),
            tenants => {
                let mut heading = vec!["tenant", "version", "opens", "opens in utc", "what"];
                if wide {
                    heading.splice(4..4, ["closes in utc", "begin by"]);
                }
                let rows = tenants.iter().flat_map(|tenant| self.lines(tenant, wide)).collect();
                table(&heading, rows)
            }
        }
    }

    fn lines(&self, tenant: &TenantCalendar, wide: bool) -> Vec<Vec<String>> {
        let name = || vec![tenant.tenant.clone(), version(tenant)];
        if tenant.slots.is_empty() {
            let (opens, utc) = match tenant.next {
                Some(next) => (local(next, &zone(tenant)), in_utc(next)),
                None => ("-".to_owned(), "-".to_owned()),
            };
            let what = match (&tenant.why_not_now, tenant.next) {
                (None, _) => toned("any time", Tone::Good),
                (Some(why), Some(_)) => toned(why, Tone::Busy),
                (Some(why), None) => toned(why, Tone::Bad),
            };
            let mut row = name();
            row.extend([opens, utc]);
            if wide {
                row.extend(["-".to_owned(), "-".to_owned()]);
            }
            row.push(what);
            return vec![row];
        }
        let rows = tenant.slots.iter().map(|slot| {
            let mut row = name();
            row.extend([slot.opens_local.clone(), in_utc(slot.opens)]);
            if wide {
                row.extend([in_utc(slot.closes), in_utc(slot.start_by)]);
            }
            let what = self.what(tenant, slot);
            row.push(if wide { what } else { cut_toned(what) });
            row
        });
        rows.collect()
    }

    fn at_length(&self, tenant: &TenantCalendar, wide: bool) -> String {
        let zone = zone(tenant);
        let moment = |at: Timestamp| format!("{} ({})", local(at, &zone), in_utc(at));
        let next = match (tenant.next, &tenant.why_not_now) {
            (Some(_), None) => toned("now", Tone::Good),
            (Some(next), Some(why)) => format!("{}: {why}", moment(next)),
            (None, why) => {
                let why = why.as_deref().unwrap_or("no window opens");
                toned(format!("never: {why}"), Tone::Bad)
            }
        };
        let mut rows = vec![
            ("version", version(tenant)),
            ("next change", next),
            ("windows", format!("{} ({})", tenant.windows, tenant.time_zone)),
        ];
        rows.extend(tenant.chosen.clone().map(|chosen| ("chosen by its people", chosen)));
        rows.extend(
            tenant.gap_until.map(|until| ("gap since the last change", format!("until {}", moment(until)))),
        );
        rows.extend(tenant.put_off_until.map(|day| ("put off", format!("until {day}"))));
        if let Some(most) = tenant.deferrals {
            let used = tenant.deferrals_used.unwrap_or(0);
            rows.push(("deferrals", format!("{used} of {most} are used")));
        }
        for freeze in &tenant.freezes {
            rows.push(("freeze", format!("{} to {}: {}", freeze.from, freeze.to, freeze.reason)));
        }
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let head: Vec<String> = rows
            .iter()
            .map(|(name, value)| {
                format!("{}{}  {value}", toned(name, Tone::Faint), " ".repeat(width - name.len()))
            })
            .collect();
        let mut text = format!("{}\n{}", toned(&tenant.tenant, Tone::Strong), head.join("\n"));
        if !tenant.slots.is_empty() {
            let mut heading = vec!["opens", "opens in utc", "closes in utc", "what"];
            if wide {
                heading.insert(3, "begin by");
            }
            let lines = tenant.slots.iter().map(|slot| {
                let mut row = vec![slot.opens_local.clone(), in_utc(slot.opens), in_utc(slot.closes)];
                if wide {
                    row.push(in_utc(slot.start_by));
                }
                row.push(self.what(tenant, slot));
                row
            });
            text.push_str(&format!("\n\n{}", table(&heading, lines.collect())));
        }
        text
    }

    /// What may happen in an opening.
    fn what(&self, tenant: &TenantCalendar, slot: &CalendarSlot) -> String {
        let Some(begins) = slot.begins else {
            return toned(slot.why_not.as_deref().unwrap_or("closed"), Tone::Busy);
        };
        let first = tenant.next == Some(begins);
        let what = match tenant.waits.filter(|_| first) {
            Some(minor) => format!("the upgrade to {minor} may begin"),
            None => "open".to_owned(),
        };
        let from = if begins > slot.opens && begins > self.from {
            format!(" from {}", in_utc(begins))
        } else {
            String::new()
        };
        toned(format!("{what}{from}"), Tone::Good)
    }
}

/// Narrow tables keep their lines on a screen; the whole reason is in the wide one.
fn cut_toned(text: String) -> String {
    let bare = anstream::adapter::strip_str(&text).to_string();
    if bare.chars().count() > 72 { cut(&bare, 72) } else { text }
}

fn zone(tenant: &TenantCalendar) -> TimeZone {
    TimeZone::get(&tenant.time_zone).unwrap_or(TimeZone::UTC)
}

fn version(tenant: &TenantCalendar) -> String {
    match (tenant.at, tenant.wanted) {
        (Some(at), Some(wanted)) if at != wanted => format!("{at} -> {wanted}"),
        (Some(at), _) => at.to_string(),
        (None, Some(wanted)) => format!("- -> {wanted}"),
        (None, None) => "-".to_owned(),
    }
}

fn in_utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%MZ").to_string()
}
