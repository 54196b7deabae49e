//! A plan as tables.

use fleet_api::v1alpha1::{RolloutTarget, Slots};
use fleet_plan::rollout::plan::{PlannedGate, PlannedMember, PlannedWave, RolloutPlan};

use super::{between, count, dollars, moment};
use crate::printer::{Tone, plain, table, toned};

/// A plan for people.
pub(crate) fn text(plan: &RolloutPlan, wide: bool) -> String {
    let mut parts = vec![headline(plan)];
    parts.push(table(
        &["wave", "members", "at once", "may fail", "must succeed", "begins", "moved", "passes", "gates"],
        plan.waves.iter().map(wave_row).collect(),
    ));
    let mut heading = vec!["tenant", "wave", "from", "slot", "moved", "succeeds", "roll back until"];
    if wide {
        heading.splice(4..4, ["window until"]);
        heading.extend(["nodes from", "support ends", "extra per day", "hindrances"]);
    }
    parts.push(table(&heading, plan.members.iter().map(|member| member_row(member, wide)).collect()));
    let notes = noted(plan);
    if !notes.is_empty() {
        parts.push(notes.join("\n"));
    }
    parts.join("\n\n")
}

/// `rollout to-1-36: 2 members to Kubernetes 1.36 in 2 waves, ...`.
pub(crate) fn headline(plan: &RolloutPlan) -> String {
    let hop =
        plan.hop.map(|hop| format!(" (hop {} of {} to {})", hop.number, hop.of, hop.to)).unwrap_or_default();
    format!(
        "rollout {}{hop}: {} {} in {}, from {} to {} ({})\nplan {}",
        toned(&plan.name, Tone::Strong),
        count(plan.members.len(), "member"),
        to(&plan.strategy.target),
        count(plan.waves.len(), "wave"),
        moment(plan.begins_at),
        moment(plan.ends_at),
        between(plan.begins_at, plan.ends_at),
        plan.hash,
    )
}

/// What a target is, behind the members that move there.
pub(crate) fn to(target: &RolloutTarget) -> String {
    if let Some(version) = target.kubernetes {
        return format!("to Kubernetes {version}");
    }
    if let Some(baseline) = &target.baseline {
        return format!("to baseline {}", plain(baseline));
    }
    let addons = target.addons.iter().flatten().map(|addon| match &addon.version {
        Some(version) => format!("{} {version}", addon.name),
        None => addon.name.clone(),
    });
    format!("to add-ons {}", plain(&addons.collect::<Vec<_>>().join(", ")))
}

/// What waiting costs, in a sentence; `None` when the minor stays or nobody knows the days.
fn delay(plan: &RolloutPlan) -> Option<String> {
    let end = plan.delay.standard_support_ends?;
    let days = plan.members.iter().filter_map(|member| member.support_days).min()?;
    let when = match days {
        0.. => format!("ends on {end}, in {}", count(usize::try_from(days).unwrap_or_default(), "day")),
        _ => format!("ended on {end}"),
    };
    Some(if plan.delay.per_day > 0.0 {
        format!(
            "standard support {when}; each day after it costs {} more, and {} as planned",
            dollars(plan.delay.per_day),
            dollars(plan.delay.as_planned)
        )
    } else {
        format!("standard support {when}; EKS then upgrades the members by itself")
    })
}

/// The notes of a plan, with what waiting costs and what its slots mean before them.
pub(crate) fn notes(plan: &RolloutPlan) -> Vec<String> {
    let mut lines: Vec<String> = delay(plan).into_iter().collect();
    if plan.strategy.slots == Slots::Advisory {
        lines.push(
            "slots are advisory: members begin as soon as waves, gates, windows and room allow".to_owned(),
        );
    }
    if !plan.at_target.is_empty() {
        lines.push(format!("at the target already: {}", shortened(&plan.at_target)));
    }
    lines.extend(plan.notes.iter().cloned());
    lines
}

/// The notes for a terminal.
fn noted(plan: &RolloutPlan) -> Vec<String> {
    notes(plan)
        .into_iter()
        .map(|line| plain(&line))
        .map(|line| format!("{} {line}", toned("note:", Tone::Busy)))
        .collect()
}

/// The first of some names, and how many more there are.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.get(..SHOWN).unwrap_or(names).join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

fn wave_row(wave: &PlannedWave) -> Vec<String> {
    let gates = |when: &str, gates: &[PlannedGate]| -> Vec<String> {
        gates.iter().map(|gate| format!("{when} {}: {}", plain(&gate.name), plain(&gate.waits_for))).collect()
    };
    let mut all = gates("before", &wave.before);
    all.extend(gates("after", &wave.after));
    vec![
        plain(&wave.name),
        wave.members.to_string(),
        wave.max_concurrent.to_string(),
        wave.max_failures.to_string(),
        wave.min_successes.to_string(),
        moment(wave.begins_at),
        moment(wave.moved_at),
        moment(wave.ends_at),
        if all.is_empty() { "-".to_owned() } else { all.join("; ") },
    ]
}

fn member_row(member: &PlannedMember, wide: bool) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let back = member.rollback.as_ref();
    let mut row = vec![
        plain(&member.tenant),
        plain(&member.wave),
        member.from.to_string(),
        moment(member.slot),
        moment(member.moved_at),
        moment(member.ends_at),
        or_dash(back.map(|back| moment(back.until))),
    ];
    if wide {
        row.insert(4, or_dash(member.window_until.map(moment)));
        row.push(or_dash(member.nodes_from.map(moment)));
        row.push(or_dash(member.support_days.map(|days| format!("{days}d"))));
        // What a day costs more is told from the end of standard support, which nobody knows without a calendar.
        row.push(or_dash(member.support_days.map(|_| format!("{:.2}", member.extra_per_day))));
        let hindrances = back.map(|back| back.hindrances.join("; ")).filter(|text| !text.is_empty());
        row.push(plain(&or_dash(hindrances)));
    }
    row
}
