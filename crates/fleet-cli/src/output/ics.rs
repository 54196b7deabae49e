//! A calendar as iCalendar (RFC 5545), for the calendar programs that people have open anyway.
//!
//! Moments are written in UTC, so that no time zone has to be defined in the file; freezes are whole days without a zone,
//! as RFC 5545 has them. Every event is transparent: it takes nobody's time.

use fleet_api::v1alpha1::Freeze;
use fleet_plan::calendar::{CalendarSlot, TenantCalendar};
use jiff::{Timestamp, civil::Date};

use super::calendar::Calendar;

/// The longest line in octets, without its end (section 3.1).
const LINE: usize = 75;

/// The calendar as a file.
pub(crate) fn to_ics(calendar: &Calendar) -> String {
    let mut lines = Lines::default();
    lines.add("BEGIN", "VCALENDAR");
    lines.add("VERSION", "2.0");
    lines.add("PRODID", concat!("-//tenantfleet.dev//fleet ", env!("CARGO_PKG_VERSION"), "//EN"));
    lines.add("CALSCALE", "GREGORIAN");
    lines.add("METHOD", "PUBLISH");
    lines.text("X-WR-CALNAME", &name(calendar));
    for tenant in &calendar.tenants {
        for slot in &tenant.slots {
            opening(&mut lines, calendar.from, tenant, slot);
        }
        for one in &tenant.freezes {
            freeze(&mut lines, calendar.from, tenant, one);
        }
    }
    lines.add("END", "VCALENDAR");
    lines.0
}

fn name(calendar: &Calendar) -> String {
    match calendar.tenants.as_slice() {
        [only] => format!("Maintenance of {}", only.tenant),
        _ => "Maintenance of the fleet".to_owned(),
    }
}

fn opening(lines: &mut Lines, made: Timestamp, tenant: &TenantCalendar, slot: &CalendarSlot) {
    let upgrade = tenant.waits.filter(|_| slot.begins.is_some() && slot.begins == tenant.next);
    let summary = match (upgrade, &slot.begins) {
        (Some(minor), _) => format!("{}: upgrade to {minor} may begin", tenant.tenant),
        (None, Some(_)) => format!("{}: maintenance window", tenant.tenant),
        (None, None) => format!("{}: maintenance window, held", tenant.tenant),
    };
    let mut told = vec![
        format!("Opens {}", slot.opens_local),
        format!("Closes {}", slot.closes_local),
        format!("Windows: {} ({})", tenant.windows, tenant.time_zone),
    ];
    told.extend(slot.why_not.as_ref().map(|why| format!("Held: {why}")));
    told.extend(slot.begins.filter(|begins| *begins > slot.opens).map(|begins| format!("From {begins:.0}")));
    lines.add("BEGIN", "VEVENT");
    lines.text("UID", &format!("window-{}-{}@tenantfleet.dev", tenant.tenant, stamp(slot.opens)));
    lines.add("DTSTAMP", &stamp(made));
    lines.add("DTSTART", &stamp(slot.opens));
    lines.add("DTEND", &stamp(slot.closes));
    lines.text("SUMMARY", &summary);
    lines.text("DESCRIPTION", &told.join("\n"));
    lines.text("CATEGORIES", if upgrade.is_some() { "Upgrade" } else { "Maintenance" });
    lines.add("STATUS", if slot.begins.is_some() { "TENTATIVE" } else { "CANCELLED" });
    lines.add("TRANSP", "TRANSPARENT");
    lines.add("END", "VEVENT");
}

fn freeze(lines: &mut Lines, made: Timestamp, tenant: &TenantCalendar, freeze: &Freeze) {
    // The end of whole days is the first day after them (section 3.6.1).
    let Ok(after) = freeze.to.0.tomorrow() else { return };
    lines.add("BEGIN", "VEVENT");
    let days = format!("{}-{}", date(freeze.from.0), date(freeze.to.0));
    lines.text("UID", &format!("freeze-{}-{days}@tenantfleet.dev", tenant.tenant));
    lines.add("DTSTAMP", &stamp(made));
    lines.add("DTSTART;VALUE=DATE", &date(freeze.from.0));
    lines.add("DTEND;VALUE=DATE", &date(after));
    lines.text("SUMMARY", &format!("{}: freeze ({})", tenant.tenant, freeze.reason));
    lines.text("CATEGORIES", "Freeze");
    lines.add("STATUS", "CONFIRMED");
    lines.add("TRANSP", "TRANSPARENT");
    lines.add("END", "VEVENT");
}

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn date(day: Date) -> String {
    day.strftime("%Y%m%d").to_string()
}

/// Content lines, folded and ended as section 3.1 wants them.
#[derive(Default)]
struct Lines(String);

impl Lines {
    /// A property whose value is not text, or holds nothing that would have to be escaped.
    fn add(&mut self, name: &str, value: &str) {
        let line = format!("{name}:{value}");
        let mut room = LINE;
        for character in line.chars() {
            if character.len_utf8() > room {
                // A continued line begins with a blank, which counts; no character is torn apart.
                self.0.push_str("\r\n ");
                room = LINE - 1;
            }
            self.0.push(character);
            room -= character.len_utf8();
        }
        self.0.push_str("\r\n");
    }

    /// A property of type TEXT, escaped (section 3.3.11).
    fn text(&mut self, name: &str, value: &str) {
        let mut escaped = String::with_capacity(value.len());
        for character in value.chars() {
            match character {
                '\\' => escaped.push_str("\\\\"),
                ';' => escaped.push_str("\\;"),
                ',' => escaped.push_str("\\,"),
                '\n' => escaped.push_str("\\n"),
                // Other control characters may not stand in a text.
                other if other.is_control() => {}
                other => escaped.push(other),
            }
        }
        self.add(name, &escaped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar() -> Calendar {
        let maintenance: fleet_api::v1alpha1::Maintenance = serde_json::from_value(serde_json::json!({
            "timeZone": "Europe/Berlin",
            "windows": [{"days": ["Tue", "Thu"], "start": "22:00", "duration": "4h"}],
            "freezes": [{"from": "2026-11-26", "to": "2026-12-01", "reason": "Käse, Wurst; alles \\ was\nlang ist und über fünfundsiebzig Oktette reicht, weil es 長い文字列です"}],
        }))
        .unwrap();
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let until = fleet_plan::calendar::days_ahead(now, 7);
        let entry = fleet_plan::calendar::Entry {
            tenant: "acme-payments",
            maintenance: Some(&maintenance),
            at: Some("1.35".parse().unwrap()),
            wanted: Some("1.36".parse().unwrap()),
            last: None,
            deferral: None,
            paused: false,
            minutes: 45,
        };
        let range = fleet_plan::calendar::Range { now, until, most: 10 };
        let tenants = vec![fleet_plan::calendar::tenant_calendar(&entry, range).unwrap()];
        Calendar { from: now, until, tenants }
    }

    /// The properties of the events, unfolded and in order, as a reader by RFC 5545 has them.
    fn properties(text: &str) -> Vec<(String, String)> {
        let unfolded = text.replace("\r\n ", "");
        let lines = unfolded.strip_suffix("\r\n").unwrap().split("\r\n");
        lines.map(|line| line.split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap()).collect()
    }

    #[test]
    fn a_file_has_lines_of_at_most_75_octets_that_end_in_both_characters_and_tear_no_letter() {
        let text = to_ics(&calendar());
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "no bare line feed");
        for line in text.split("\r\n") {
            assert!(line.len() <= LINE, "{} octets: {line}", line.len());
        }
        assert!(text.contains("\r\n "), "something was folded");
        let reason =
            properties(&text).into_iter().find(|(name, value)| name == "SUMMARY" && value.contains("freeze"));
        assert_eq!(
            reason.unwrap().1,
            "acme-payments: freeze (Käse\\, Wurst\\; alles \\\\ was\\nlang ist und über fünfundsiebzig Oktette \
             reicht\\, weil es 長い文字列です)"
        );
    }

    #[test]
    fn every_event_has_what_rfc_5545_asks_for_and_an_id_of_its_own() {
        let all = properties(&to_ics(&calendar()));
        assert_eq!(all.first().unwrap(), &("BEGIN".to_owned(), "VCALENDAR".to_owned()));
        assert_eq!(all.last().unwrap(), &("END".to_owned(), "VCALENDAR".to_owned()));
        let named = |name: &str| all.iter().filter(|(property, _)| property == name).count();
        let events = all.iter().filter(|one| **one == ("BEGIN".to_owned(), "VEVENT".to_owned())).count();
        assert_eq!((events, named("UID"), named("DTSTAMP"), named("SUMMARY")), (3, 3, 3, 3));
        let mut ids: Vec<&String> = all.iter().filter(|(name, _)| name == "UID").map(|(_, id)| id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn windows_are_moments_in_utc_and_freezes_whole_days_with_the_end_excluded() {
        let all = properties(&to_ics(&calendar()));
        let of = |name: &str| {
            all.iter().filter(|(property, _)| property == name).map(|(_, v)| v.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(of("DTSTART"), ["20261124T210000Z", "20261126T210000Z"]);
        assert_eq!(of("DTEND"), ["20261125T010000Z", "20261127T010000Z"]);
        assert_eq!(of("DTSTART;VALUE=DATE"), ["20261126"]);
        assert_eq!(of("DTEND;VALUE=DATE"), ["20261202"]);
        assert_eq!(of("STATUS"), ["TENTATIVE", "CANCELLED", "CONFIRMED"]);
        assert_eq!(of("SUMMARY")[0], "acme-payments: upgrade to 1.36 may begin");
    }
}
