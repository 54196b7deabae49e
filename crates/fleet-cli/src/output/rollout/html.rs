//! A plan as a page that needs nothing else: drawn over time, with its waves and members as tables.

use fleet_api::v1alpha1::{Maintenance, Slots};
use fleet_plan::{
    rollout::plan::{PlannedGate, PlannedMember, PlannedWave, RolloutPlan},
    windows,
};

use super::{
    between, count, dollars, moment,
    plan::{notes, to},
    svg,
};

/// The looks of the page. Colours are named once, for light and for dark.
const STYLE: &str = include_str!("page.css");

/// The page of one plan, or of a chain of them. `times` are the maintenance times of a tenant.
pub(crate) fn page<'m>(plans: &[RolloutPlan], times: &impl Fn(&str) -> Option<&'m Maintenance>) -> String {
    let title = plans.first().map(|plan| escaped(&plan.name)).unwrap_or_default();
    let sections: Vec<String> = plans.iter().map(|plan| section(plan, times)).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Plan of rollout {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}\n</main>\n</body>\n</html>\n",
        sections.join("\n<hr>\n")
    )
}

fn section<'m>(plan: &RolloutPlan, times: &impl Fn(&str) -> Option<&'m Maintenance>) -> String {
    let hop =
        plan.hop.map(|hop| format!(", hop {} of {} to {}", hop.number, hop.of, hop.to)).unwrap_or_default();
    let notes: String = notes(plan).iter().map(|note| format!("<li>{}</li>", escaped(note))).collect();
    format!(
        "<section>\n<header>\n<p class=\"kind\">Rollout plan{}</p>\n<h1>{}</h1>\n<p class=\"lead\">{} {} in {}</p>\n</header>\n\
         {}\n<h2>Over time</h2>\n<figure>\n<div class=\"scroll\">{}</div>\n{}\n</figure>\n\
         {}<h2>Waves</h2>\n<div class=\"scroll\">{}</div>\n<h2>Members</h2>\n<div class=\"scroll\">{}</div>\n\
         <footer><p>Made {}. Times are in UTC; what is expected supposes that nothing fails and that people vote at once. \
         {}</p><p class=\"hash\">plan {}</p></footer>\n</section>",
        escaped(&hop),
        escaped(&plan.name),
        count(plan.members.len(), "member"),
        escaped(&to(&plan.strategy.target)),
        count(plan.waves.len(), "wave"),
        facts(plan),
        svg::drawing(plan, times),
        LEGEND,
        if notes.is_empty() {
            String::new()
        } else {
            format!("<h2>Notes</h2>\n<ul class=\"notes\">{notes}</ul>\n")
        },
        waves(plan),
        members(plan, times),
        moment(plan.made_at),
        match plan.strategy.slots {
            Slots::Binding => "A member begins at its slot or later.",
            Slots::Advisory =>
                "A member begins as soon as its wave, the gates, its windows and the room allow.",
        },
        escaped(&plan.hash),
    )
}

const LEGEND: &str = "<figcaption>\
    <span><i class=\"k-move\"></i>moves</span><span><i class=\"k-soak\"></i>soaks</span>\
    <span><i class=\"k-open\"></i>window</span><span><i class=\"k-frozen\"></i>freeze</span>\
    <span><i class=\"k-nodes\"></i>nodes follow</span><span><i class=\"k-gate\"></i>gate</span>\
    <span><i class=\"k-back\"></i>last moment of a rollback</span></figcaption>";

fn facts(plan: &RolloutPlan) -> String {
    let fact = |name: &str, value: String, more: String| {
        format!("<div><dt>{name}</dt><dd>{}<small>{}</small></dd></div>", escaped(&value), escaped(&more))
    };
    let back = plan.members.iter().filter_map(|member| Some(member.rollback.as_ref()?.until)).min();
    let mut all = vec![
        fact("Begins", moment(plan.begins_at), "first slot".to_owned()),
        fact(
            "Expected end",
            moment(plan.ends_at),
            format!("{} after it begins", between(plan.begins_at, plan.ends_at)),
        ),
    ];
    if let Some(back) = back {
        all.push(fact("First rollback closes", moment(back), "see each member below".to_owned()));
    }
    if let Some(end) = plan.delay.standard_support_ends {
        let days = plan.members.iter().filter_map(|member| member.support_days).min().unwrap_or_default();
        all.push(fact("Standard support ends", end.to_string(), format!("in {days} days")));
        all.push(fact(
            "Each day after it",
            dollars(plan.delay.per_day),
            format!("{} as planned", dollars(plan.delay.as_planned)),
        ));
    }
    format!("<dl class=\"facts\">{}</dl>", all.concat())
}

fn row(cells: &[(&str, String)]) -> String {
    let cells: String = cells.iter().map(|(class, cell)| format!("<td{class}>{cell}</td>")).collect();
    format!("<tr>{cells}</tr>")
}

fn heading(names: &[&str]) -> String {
    let names: String = names.iter().map(|name| format!("<th>{name}</th>")).collect();
    format!("<thead><tr>{names}</tr></thead>")
}

const NUMBER: &str = " class=\"n\"";
/// Sentences, which may take several lines so that the table fits on a page.
const WORDS: &str = " class=\"why\"";

fn waves(plan: &RolloutPlan) -> String {
    let gates = |gates: &[PlannedGate]| -> String {
        if gates.is_empty() {
            return "–".to_owned();
        }
        let each = gates
            .iter()
            .map(|gate| format!("<div><b>{}</b> {}</div>", escaped(&gate.name), escaped(&gate.waits_for)));
        each.collect()
    };
    let rows: String = plan
        .waves
        .iter()
        .map(|wave: &PlannedWave| {
            row(&[
                ("", format!("<b>{}</b>", escaped(&wave.name))),
                (NUMBER, wave.members.to_string()),
                (NUMBER, wave.max_concurrent.to_string()),
                (NUMBER, wave.max_failures.to_string()),
                (NUMBER, wave.min_successes.to_string()),
                ("", moment(wave.begins_at)),
                ("", moment(wave.moved_at)),
                ("", moment(wave.ends_at)),
                (WORDS, gates(&wave.before)),
                (WORDS, gates(&wave.after)),
            ])
        })
        .collect();
    let names = [
        "Wave",
        "Members",
        "At once",
        "May fail",
        "Must succeed",
        "Begins",
        "Moved",
        "Passes",
        "Gates before",
        "Gates after",
    ];
    format!("<table>{}<tbody>{rows}</tbody></table>", heading(&names))
}

fn members<'m>(plan: &RolloutPlan, times: &impl Fn(&str) -> Option<&'m Maintenance>) -> String {
    let rows: String = plan.members.iter().map(|member| member_row(member, times(&member.tenant))).collect();
    let names = [
        "Tenant",
        "Version",
        "Slot",
        "Moved",
        "Succeeds",
        "Nodes from",
        "Support",
        "Roll back until",
        "What hinders it",
    ];
    format!("<table class=\"members\">{}<tbody>{rows}</tbody></table>", heading(&names))
}

fn member_row(member: &PlannedMember, maintenance: Option<&Maintenance>) -> String {
    let or_dash = |text: Option<String>| text.map_or_else(|| "–".to_owned(), |text| escaped(&text));
    let local = maintenance.and_then(|times| {
        let zone = windows::zone(Some(times)).ok()?;
        let local = member.slot.to_zoned(zone).strftime("%a %d %b %H:%M").to_string();
        Some(format!("<small>{}</small>", escaped(&format!("{local} {}", times.time_zone))))
    });
    let window = member.window_until.map(|until| format!("<small>window until {}</small>", moment(until)));
    let window = window.unwrap_or_default();
    let version = if member.from == member.to {
        member.from.to_string()
    } else {
        format!("{} → {}", member.from, member.to)
    };
    let back = member.rollback.as_ref();
    row(&[
        ("", format!("<b>{}</b><small>{}</small>", escaped(&member.tenant), escaped(&member.wave))),
        ("", version),
        ("", format!("{}{}{window}", moment(member.slot), local.unwrap_or_default())),
        ("", moment(member.moved_at)),
        ("", moment(member.ends_at)),
        ("", or_dash(member.nodes_from.map(moment))),
        ("", support(member)),
        ("", or_dash(back.map(|back| moment(back.until)))),
        (WORDS, or_dash(back.map(|back| back.hindrances.join("; ")).filter(|text| !text.is_empty()))),
    ])
}

/// The days of standard support that are left, and what a day after them costs more.
fn support(member: &PlannedMember) -> String {
    let Some(days) = member.support_days else { return "–".to_owned() };
    let extra = if member.extra_per_day > 0.0 {
        format!("<small>then {} a day</small>", dollars(member.extra_per_day))
    } else {
        String::new()
    };
    format!("{days} d{extra}")
}

/// Text for HTML and SVG, between tags and in attributes. Names and reasons are written by many hands.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter if letter.is_control() => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan as it is stored, with another name in place of a tenant's.
    fn make_plan(tenant: &str) -> RolloutPlan {
        let text = include_str!("../../../tests/rollouts/edited.yaml");
        let mut plan: RolloutPlan = serde_yaml::from_str(text).unwrap();
        plan.members[1].tenant = tenant.to_owned();
        plan
    }

    #[test]
    fn a_page_needs_nothing_else_and_runs_nothing() {
        let hostile = "<script src=//evil.example>\"'";
        let page = page(&[make_plan(hostile)], &|_| None);
        assert!(!page.contains("<script") && !page.contains("http") && !page.contains("@import"), "{page}");
        // In the drawing as well as in the table.
        assert!(page.matches("&lt;script src=//evil.example&gt;&quot;&#39;").count() >= 2);
        assert_eq!(page.matches("<svg").count(), 1);
    }

    #[test]
    fn text_of_tenants_never_becomes_markup() {
        assert_eq!(
            escaped("<script>alert('x')</script> & \"more\"\u{1b}"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;more&quot;\u{fffd}"
        );
    }
}
