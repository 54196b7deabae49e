//! The drawing of a plan: a row for each member, waves above their members, gates across them.

use std::fmt::Write as _;

use fleet_api::v1alpha1::Maintenance;
use fleet_plan::rollout::plan::{PlannedMember, PlannedWave, RolloutPlan};
use jiff::Timestamp;

use super::{
    chart::{self, Span},
    count,
    html::escaped,
    moment,
};

/// The width of the drawing and of the names on its left, in its own units.
const WIDTH: f64 = 1_360.0;
const NAMES: f64 = 190.0;
/// What is left free on the right.
const MARGIN: f64 = 14.0;
/// What is kept on the right for moments of rollbacks that lie beyond the plan: a mark and a date.
const EDGE: f64 = 112.0;
/// The heights of the axis and of the head of a wave.
const AXIS: f64 = 30.0;
const HEAD: f64 = 40.0;
/// A row is as high as all of them let it be, between these.
const ROWS: f64 = 2_400.0;
const HIGH: f64 = 24.0;
const LOW: f64 = 1.0;
/// From this height on a row has its name beside it.
const NAMED: f64 = 11.0;
/// Gates that are nearer to each other than this share a line of text.
const NEAR: f64 = 40.0;

/// Draws a plan. `times` are the maintenance times of a tenant.
pub(super) fn drawing<'m>(plan: &RolloutPlan, times: &impl Fn(&str) -> Option<&'m Maintenance>) -> String {
    let scale = Scale::of(plan);
    #[expect(clippy::cast_precision_loss, reason = "members and waves are few")]
    let (members, waves) = (plan.members.len() as f64, plan.waves.len() as f64);
    let row = (ROWS / members.max(1.0)).clamp(LOW, HIGH);
    let height = AXIS + waves * HEAD + members * row + 10.0;
    let mut body = axis(&scale, height);
    let mut y = AXIS;
    for wave in &plan.waves {
        let own: Vec<&PlannedMember> = plan.members_of(&wave.name).collect();
        #[expect(clippy::cast_precision_loss, reason = "members are few")]
        let bottom = y + HEAD + own.len() as f64 * row;
        let mut inner = y + HEAD;
        body.push_str(&head(wave, &scale, y));
        for member in own {
            body.push_str(&member_row(member, times(&member.tenant), &scale, inner, row));
            inner += row;
        }
        body.push_str(&gates(wave, &scale, y, bottom));
        y = bottom;
    }
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"the plan of {} over time\">\
         <defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect width=\"6\" height=\"6\" class=\"hatch-ground\"/><line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\" class=\"hatch-line\"/>\
         </pattern></defs>{body}</svg>",
        escaped(&plan.name),
    )
}

/// From moments to places.
struct Scale {
    span: Span,
    /// Whether anything can be rolled back for longer than the plan lasts.
    beyond: bool,
}

impl Scale {
    /// As long as the plan. A rollback is possible for days, beside which a plan of hours would be a sliver: what lies
    /// beyond the plan is marked at the edge.
    fn of(plan: &RolloutPlan) -> Self {
        let span = chart::span(plan);
        let mut backs = plan.members.iter().filter_map(|member| Some(member.rollback.as_ref()?.until));
        Self { span, beyond: backs.any(|back| back > span.until) }
    }

    fn x(&self, at: Timestamp) -> f64 {
        let edge = if self.beyond { EDGE } else { 0.0 };
        NAMES + self.span.share(at).clamp(0.0, 1.0) * (WIDTH - NAMES - MARGIN - edge)
    }

    /// Where the last moment of a rollback is marked, and whether that is at the edge.
    fn back(&self, at: Timestamp) -> (f64, bool) {
        if at > self.span.until { (WIDTH - MARGIN - EDGE + 12.0, true) } else { (self.x(at), false) }
    }
}

fn axis(scale: &Scale, height: f64) -> String {
    let mut text = String::new();
    let end = scale.x(scale.span.until);
    if scale.beyond {
        let x = WIDTH - MARGIN;
        let _ = write!(
            text,
            "<text x=\"{x:.1}\" y=\"15\" text-anchor=\"end\" class=\"t-faint\">roll back until</text>"
        );
    }
    for (at, label) in chart::ticks(scale.span, 14) {
        let x = scale.x(at);
        // A date that does not fit any more would be cut.
        let label = if x < end - 22.0 { label } else { String::new() };
        let _ = write!(
            text,
            "<line x1=\"{x:.1}\" y1=\"22\" x2=\"{x:.1}\" y2=\"{height:.0}\" class=\"grid\"/>\
             <text x=\"{x:.1}\" y=\"15\" text-anchor=\"middle\" class=\"t-faint\">{label}</text>"
        );
    }
    text
}

fn head(wave: &PlannedWave, scale: &Scale, y: f64) -> String {
    let (from, until) = (scale.x(wave.begins_at), scale.x(wave.ends_at).max(scale.x(wave.begins_at) + 2.0));
    let line = y + 30.0;
    format!(
        "<g><title>wave {}: from {} to {}</title>\
         <rect x=\"0\" y=\"{:.1}\" width=\"{WIDTH}\" height=\"{:.1}\" class=\"band\"/>\
         <text x=\"8\" y=\"{:.1}\" class=\"t-wave\">{}</text>\
         <text x=\"8\" y=\"{:.1}\" class=\"t-faint\" font-size=\"11\">{}, {} at once</text>\
         <path d=\"M{from:.1} {:.1}V{:.1}M{from:.1} {line:.1}H{until:.1}M{until:.1} {:.1}V{:.1}\" fill=\"none\" class=\"wave\"/></g>",
        escaped(&wave.name),
        moment(wave.begins_at),
        moment(wave.ends_at),
        y + 3.0,
        HEAD - 6.0,
        y + 18.0,
        escaped(&shortened(&wave.name, 24)),
        y + 31.0,
        count(wave.members, "member"),
        wave.max_concurrent,
        line - 4.0,
        line + 4.0,
        line - 4.0,
        line + 4.0,
    )
}

/// The gates of a wave: a line across its members each, and their names above it.
fn gates(wave: &PlannedWave, scale: &Scale, top: f64, bottom: f64) -> String {
    let mut all: Vec<(f64, String, String)> = wave
        .before
        .iter()
        .chain(&wave.after)
        .map(|gate| (scale.x(gate.at), gate.name.clone(), format!("{}: {}", gate.name, gate.waits_for)))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut text = String::new();
    let mut groups: Vec<(f64, Vec<String>)> = Vec::new();
    for (x, name, what) in all {
        let _ = write!(
            text,
            "<g><title>gate {}</title><line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" class=\"gate\"/></g>",
            escaped(&what),
            top + 22.0,
        );
        match groups.last_mut() {
            Some((first, names)) if x - *first < NEAR => names.push(name),
            _ => groups.push((x, vec![name])),
        }
    }
    for (x, names) in groups {
        // Names near the right edge stand left of their line.
        let (anchor, x) = if x > WIDTH - 160.0 { ("end", x - 2.0) } else { ("start", x + 2.0) };
        let _ = write!(
            text,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" class=\"t-gate\">{}</text>",
            top + 17.0,
            escaped(&shortened(&names.join(", "), 40)),
        );
    }
    text
}

fn member_row(
    member: &PlannedMember,
    maintenance: Option<&Maintenance>,
    scale: &Scale,
    y: f64,
    height: f64,
) -> String {
    let mut text = format!("<g><title>{}</title>", escaped(&told(member)));
    // A row can be pointed at anywhere.
    let _ = write!(
        text,
        "<rect x=\"0\" y=\"{y:.2}\" width=\"{WIDTH}\" height=\"{height:.2}\" fill=\"transparent\"/>"
    );
    if height >= NAMED {
        let size = (height - 2.0).min(12.0);
        let _ = write!(
            text,
            "<text x=\"16\" y=\"{:.2}\" font-size=\"{size:.1}\" class=\"t-label\">{}</text>\
             <line x1=\"0\" y1=\"{:.2}\" x2=\"{WIDTH}\" y2=\"{:.2}\" class=\"grid\" opacity=\".5\"/>",
            y + height / 2.0 + size * 0.36,
            escaped(&shortened(&member.tenant, 25)),
            y + height,
            y + height,
        );
    }
    let spans: Vec<Span> = chart::open(maintenance, scale.span);
    stretches(&mut text, scale, &spans, "open", y, height);
    let frozen: Vec<Span> =
        chart::frozen(maintenance, scale.span).into_iter().map(|(span, _)| span).collect();
    stretches(&mut text, scale, &frozen, "frozen", y, height);
    let (pad, bar) = (height * 0.18, height * 0.64);
    let (slot, moved, ends) = (scale.x(member.slot), scale.x(member.moved_at), scale.x(member.ends_at));
    if let Some(back) = &member.rollback {
        let (x, beyond) = scale.back(back.until);
        let (middle, half) = (y + height / 2.0, (height / 3.0).clamp(1.0, 5.0));
        if height >= NAMED {
            let _ = write!(text, "<path d=\"M{ends:.1} {middle:.2}H{x:.1}\" class=\"tail\"/>");
        }
        let _ = write!(
            text,
            "<path d=\"M{:.1} {middle:.2}L{x:.1} {:.2}L{:.1} {middle:.2}L{x:.1} {:.2}z\" class=\"back\"/>",
            x - half,
            middle - half,
            x + half,
            middle + half,
        );
        if beyond && height >= NAMED {
            let _ = write!(
                text,
                "<text x=\"{:.1}\" y=\"{:.2}\" font-size=\"{:.1}\" class=\"t-faint\">{}</text>",
                x + half + 4.0,
                middle + 4.0,
                (height - 2.0).min(11.0),
                back.until.strftime("%d %b %H:%M"),
            );
        }
    }
    let mut bar_of = |class: &str, from: f64, until: f64, least: f64| {
        let _ = write!(
            text,
            "<rect x=\"{from:.1}\" y=\"{:.2}\" width=\"{:.1}\" height=\"{bar:.2}\" class=\"{class}\"/>",
            y + pad,
            (until - from).max(least),
        );
    };
    if ends > moved {
        bar_of("soak", moved, ends, 1.0);
    }
    bar_of("move", slot, moved, 3.0);
    if let Some(nodes) = member.nodes_from {
        let from = scale.x(nodes);
        bar_of("nodes", from, from, 2.5);
    }
    text.push_str("</g>");
    text
}

/// Stretches of one member as one path: there may be many.
fn stretches(text: &mut String, scale: &Scale, spans: &[Span], class: &str, y: f64, height: f64) {
    if spans.is_empty() {
        return;
    }
    let _ = write!(text, "<path class=\"{class}\" d=\"");
    for span in spans {
        let (from, until) = (scale.x(span.from), scale.x(span.until));
        let width = (until - from).max(0.8);
        let _ = write!(text, "M{from:.1} {y:.2}h{width:.1}v{height:.2}h-{width:.1}z");
    }
    text.push_str("\"/>");
}

/// A member in a sentence.
fn told(member: &PlannedMember) -> String {
    let back = member.rollback.as_ref();
    let back =
        back.map(|back| format!("; can be rolled back until {}", moment(back.until))).unwrap_or_default();
    format!(
        "{}: slot {}, moved {}, succeeds {}{back}",
        member.tenant,
        moment(member.slot),
        moment(member.moved_at),
        moment(member.ends_at)
    )
}

fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    format!("{}…", name.chars().take(most - 1).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> RolloutPlan {
        serde_yaml::from_str(include_str!("../../../tests/rollouts/edited.yaml")).unwrap()
    }

    #[test]
    fn the_axis_is_as_long_as_the_plan_and_later_rollbacks_are_dated_at_the_edge() {
        let mut plan = plan();
        let back = plan.members[0].rollback.as_ref().unwrap().until;
        assert!(back > chart::span(&plan).until, "it can be rolled back for longer than the plan lasts");
        let scale = Scale::of(&plan);
        assert!(scale.x(plan.ends_at) > WIDTH * 0.8, "the bars fill the drawing");
        let (x, edge) = scale.back(back);
        assert!(edge && x > scale.x(plan.ends_at) && x < WIDTH);
        let date = back.strftime("%d %b %H:%M").to_string();
        assert!(drawing(&plan, &|_| None).contains(&date));
        // One that lies inside the plan stays where it is, and takes no room at the edge.
        for member in &mut plan.members {
            member.rollback.as_mut().unwrap().until = plan.ends_at;
        }
        let scale = Scale::of(&plan);
        assert_eq!(scale.back(plan.ends_at), (scale.x(plan.ends_at), false));
        assert!(!drawing(&plan, &|_| None).contains("roll back until</text>"));
    }
}
