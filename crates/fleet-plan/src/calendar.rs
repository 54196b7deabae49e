//! When tenants may be disturbed, as a calendar: the coming openings, what holds them, and which upgrade waits.

use fleet_api::{
    KubernetesVersion,
    text::Day,
    v1alpha1::{DeferralStatus, Freeze, Maintenance},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{
    preference::written,
    windows::{self, Change, Permission, UnknownZone},
};

/// What is known of a tenant for its calendar.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// Its maintenance times, with what its people chose.
    pub maintenance: Option<&'a Maintenance>,
    /// The observed minor, if it has been seen.
    pub at: Option<KubernetesVersion>,
    /// The wanted minor, if it is known.
    pub wanted: Option<KubernetesVersion>,
    /// When workloads were last disturbed by a change.
    pub last: Option<Timestamp>,
    /// How its deferrals are used up.
    pub deferral: Option<&'a DeferralStatus>,
    /// Whether it is paused by its annotation.
    pub paused: bool,
    /// How long the longest step of an upgrade of it takes.
    pub minutes: i64,
}

/// The span of a calendar.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// The moment from which it is told.
    pub now: Timestamp,
    /// The moment up to which openings are listed.
    pub until: Timestamp,
    /// The most openings of one tenant.
    pub most: usize,
}

/// One tenant's calendar.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantCalendar {
    /// The tenant.
    pub tenant: String,
    /// The IANA zone of its windows; `UTC` without any.
    pub time_zone: String,
    /// Its windows, for people; `any time` without any.
    pub windows: String,
    /// What its people chose inside them, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// The observed minor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<KubernetesVersion>,
    /// The wanted minor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<KubernetesVersion>,
    /// The minor of the upgrade that waits: one above the observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<KubernetesVersion>,
    /// The first moment at which a change may begin; now, when that is the moment of the calendar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// Why none may begin now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not_now: Option<String>,
    /// How long the longest step of an upgrade takes, in minutes: openings are judged by it.
    pub minutes: i64,
    /// Until when the minimum gap since the last change holds, when it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_until: Option<Timestamp>,
    /// Until when changes are put off, when they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub put_off_until: Option<Day>,
    /// How many deferrals of the present minor were granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferrals_used: Option<i32>,
    /// How many there may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferrals: Option<i32>,
    /// Freezes that are not over.
    pub freezes: Vec<Freeze>,
    /// The coming openings.
    pub slots: Vec<CalendarSlot>,
}

/// One opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CalendarSlot {
    /// When it opens, in UTC.
    pub opens: Timestamp,
    /// The same in the tenant's zone.
    pub opens_local: String,
    /// When it closes.
    pub closes: Timestamp,
    /// The same in the tenant's zone.
    pub closes_local: String,
    /// The last moment at which the longest step of an upgrade may begin in it.
    pub start_by: Timestamp,
    /// The first moment at which one may begin in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begins: Option<Timestamp>,
    /// Why none may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// The calendar of a tenant.
///
/// # Errors
/// When there is no such time zone.
pub fn tenant_calendar(entry: &Entry<'_>, range: Range) -> Result<TenantCalendar, UnknownZone> {
    let Range { now, until, most } = range;
    let Entry { tenant, maintenance, at, wanted, last, deferral, paused, minutes } = entry;
    let zone = windows::zone(*maintenance)?;
    let change = Change::Begins { last: *last };
    let (mut next, mut why_not_now) = match windows::permission_for(*maintenance, change, now, *minutes)? {
        Permission::Now { .. } => (Some(now), None),
        Permission::Later { at, why } => (at, Some(why.to_string())),
    };
    if *paused {
        next = None;
        why_not_now = Some("the tenant is paused".to_owned());
    }
    let today = Day(now.to_zoned(zone.clone()).date());
    let gap = maintenance.and_then(|times| times.min_gap).zip(*last);
    let gap_until = gap.and_then(|(gap, last)| last.checked_add(gap.to_duration()).ok());
    let chosen = maintenance.and_then(|times| times.chosen.as_ref());
    let put_off = maintenance.and_then(|times| times.not_before).max(chosen.and_then(|it| it.not_before));
    let granted = deferral.filter(|it| Some(it.at) == *at);
    let slots = windows::slots(*maintenance, change, now, until, *minutes, most)?;
    Ok(TenantCalendar {
        tenant: (*tenant).to_owned(),
        time_zone: maintenance.map_or_else(|| "UTC".to_owned(), |times| times.time_zone.clone()),
        windows: match maintenance.map(|times| times.windows.as_slice()) {
            None | Some([]) => "any time".to_owned(),
            Some(windows) => written(windows),
        },
        chosen: chosen
            .map(|chosen| {
                let days: Vec<String> = chosen.allowed_days.iter().map(|day| format!("{day:?}")).collect();
                let days = (!days.is_empty()).then(|| format!("on {}", days.join(", ")));
                let windows = (!chosen.windows.is_empty()).then(|| written(&chosen.windows));
                windows.into_iter().chain(days).collect::<Vec<_>>().join("; ")
            })
            .filter(|text| !text.is_empty()),
        at: *at,
        wanted: *wanted,
        waits: at.zip(*wanted).filter(|(at, wanted)| at < wanted).map(|(at, _)| at.next()),
        next,
        why_not_now,
        minutes: *minutes,
        gap_until: gap_until.filter(|until| *until > now),
        put_off_until: put_off.filter(|day| *day > today),
        deferrals_used: granted.map(|it| it.used),
        deferrals: maintenance.and_then(|times| times.deferral).map(|bound| bound.times),
        freezes: coming_freezes(*maintenance, today, Day(until.to_zoned(zone.clone()).date())),
        slots: slots.into_iter().map(|slot| told(slot, &zone, *paused)).collect(),
    })
}

/// Freezes that hold on a day of the range, by their first day.
fn coming_freezes(maintenance: Option<&Maintenance>, from: Day, to: Day) -> Vec<Freeze> {
    let all = maintenance.map(|times| times.freezes.as_slice()).unwrap_or_default();
    let mut coming: Vec<Freeze> = all
        .iter()
        .filter(|freeze| freeze.to >= from && freeze.from <= to && freeze.from <= freeze.to)
        .cloned()
        .collect();
    coming.sort_by_key(|freeze| (freeze.from, freeze.to));
    coming
}

fn told(slot: windows::Slot, zone: &TimeZone, paused: bool) -> CalendarSlot {
    let begins = if paused { None } else { slot.begins.as_ref().ok().copied() };
    let why_not = match &slot.begins {
        _ if paused => Some("the tenant is paused".to_owned()),
        Ok(_) => None,
        Err(why) => Some(why.to_string()),
    };
    CalendarSlot {
        opens: slot.opens,
        opens_local: local(slot.opens, zone),
        closes: slot.closes,
        closes_local: local(slot.closes, zone),
        start_by: slot.start_by,
        begins,
        why_not,
    }
}

/// A moment on the tenant's own clocks, such as `Tue 2026-11-24 22:00 CET`.
pub fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %Z").to_string()
}

/// The end of a range of whole days.
pub fn days_ahead(now: Timestamp, days: u16) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(maintenance: &Maintenance) -> Entry<'_> {
        Entry {
            tenant: "acme",
            maintenance: Some(maintenance),
            at: Some(KubernetesVersion::from_minor(35)),
            wanted: Some(KubernetesVersion::from_minor(37)),
            last: None,
            deferral: None,
            paused: false,
            minutes: 45,
        }
    }

    fn range() -> Range {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        Range { now, until: days_ahead(now, 30), most: 4 }
    }

    fn times(more: serde_json::Value) -> Maintenance {
        let mut value = json!({"timeZone": "Europe/Berlin",
            "windows": [{"days": ["Tue", "Thu"], "start": "22:00", "duration": "4h"}]});
        for (key, given) in more.as_object().unwrap() {
            value[key] = given.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_calendar_has_the_coming_openings_on_both_clocks_and_the_upgrade_that_waits() {
        let times = times(json!({}));
        let calendar = tenant_calendar(&entry(&times), range()).unwrap();
        assert_eq!(calendar.waits, Some(KubernetesVersion::from_minor(36)), "one minor at a time");
        assert_eq!(calendar.next, Some("2026-11-24T21:00:00Z".parse().unwrap()));
        assert_eq!(calendar.windows, "Tue, Thu 22:00 for 4h");
        assert_eq!(calendar.slots.len(), 4);
        assert_eq!(calendar.slots[0].opens_local, "Tue 2026-11-24 22:00 CET");
        assert_eq!(calendar.slots[0].start_by, "2026-11-25T00:15:00Z".parse().unwrap());
    }

    #[test]
    fn freezes_of_the_range_are_told_and_the_slots_in_them_held() {
        let times = times(json!({"freezes": [
            {"from": "2026-12-15", "to": "2027-01-06", "reason": "year end"},
            {"from": "2026-11-26", "to": "2026-11-26", "reason": "sale"},
            {"from": "2026-10-01", "to": "2026-10-02", "reason": "over"},
            {"from": "2027-06-01", "to": "2027-06-02", "reason": "far"}]}));
        let calendar = tenant_calendar(&entry(&times), range()).unwrap();
        let reasons: Vec<&str> = calendar.freezes.iter().map(|freeze| freeze.reason.as_str()).collect();
        assert_eq!(reasons, ["sale", "year end"]);
        // The window of Thursday passes midnight, and the freeze ends at it.
        assert_eq!(calendar.slots[1].begins, Some("2026-11-26T23:00:00Z".parse().unwrap()));
    }

    #[test]
    fn the_gap_and_what_was_put_off_are_told_while_they_hold() {
        let times = times(json!({"minGap": "7d", "deferral": {"times": 3, "days": 14},
                                 "chosen": {"allowedDays": ["Tue"], "notBefore": "2026-12-01"}}));
        let deferral = DeferralStatus {
            at: KubernetesVersion::from_minor(35),
            used: 1,
            until: "2026-12-01".parse().unwrap(),
            granted_at: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(range().now),
        };
        let last = Some("2026-11-20T22:00:00Z".parse().unwrap());
        let entry = Entry { last, deferral: Some(&deferral), ..entry(&times) };
        let calendar = tenant_calendar(&entry, range()).unwrap();
        assert_eq!(calendar.gap_until, Some("2026-11-27T22:00:00Z".parse().unwrap()));
        assert_eq!(calendar.put_off_until, Some("2026-12-01".parse().unwrap()));
        assert_eq!((calendar.deferrals_used, calendar.deferrals), (Some(1), Some(3)));
        assert_eq!(calendar.chosen.as_deref(), Some("on Tue"));
        assert_eq!(calendar.next, Some("2026-12-01T21:00:00Z".parse().unwrap()));
        assert_eq!(calendar.slots[0].why_not.as_deref(), Some("changes were put off until 2026-12-01"));
    }

    #[test]
    fn a_paused_tenant_has_slots_and_uses_none() {
        let times = times(json!({}));
        let calendar = tenant_calendar(&Entry { paused: true, ..entry(&times) }, range()).unwrap();
        assert_eq!((calendar.next, calendar.slots[0].begins), (None, None));
    }

    #[test]
    fn a_tenant_without_windows_has_no_slots_and_may_be_upgraded_at_any_time() {
        let calendar =
            tenant_calendar(&Entry { maintenance: None, ..entry(&times(json!({}))) }, range()).unwrap();
        assert_eq!((calendar.windows.as_str(), calendar.next), ("any time", Some(range().now)));
        assert!(calendar.slots.is_empty());
    }
}
