//! A plan over time, drawn with characters: it reads without colour, and fits the terminal's width.

use fleet_api::v1alpha1::Maintenance;
use fleet_plan::rollout::plan::{PlannedGate, PlannedMember, PlannedWave, RolloutPlan};
use jiff::Timestamp;

use super::{
    chart::{self, Span},
    plan::headline,
};
use crate::{
    output::cut,
    printer::{Tone, plain, toned},
};

/// How many members of a wave are drawn.
const MEMBERS: usize = 40;
/// The widest name that is not cut.
const NAME: usize = 28;
/// The narrowest drawing that still says something.
const NARROW: usize = 30;

const MOVE: char = '█';
const SOAK: char = '░';
const OPEN: char = '·';
const FROZEN: char = '×';
const NODES: char = '▪';
const GATE: char = '┃';
const WAVE: char = '─';
const BACK: char = '◆';

/// A plan over time, at most `width` characters wide. `times` are the maintenance times of a tenant.
pub(crate) fn text<'m>(
    plan: &RolloutPlan,
    times: &impl Fn(&str) -> Option<&'m Maintenance>,
    width: usize,
) -> String {
    let names = plan.waves.iter().map(|wave| wave.name.chars().count());
    let members = plan.members.iter().map(|member| member.tenant.chars().count() + 2);
    let label = names.chain(members).max().unwrap_or_default().min(NAME);
    let room = width.saturating_sub(label + 2).max(NARROW);
    let span = chart::span(plan);
    let mut lines = vec![headline(plan), String::new()];
    lines.extend(axis(span, label, room));
    for wave in &plan.waves {
        lines.push(line(&toned(padded(&wave.name, label), Tone::Strong), wave_cells(wave, span, room)));
        let own: Vec<&PlannedMember> = plan.members_of(&wave.name).collect();
        for member in own.iter().take(MEMBERS) {
            let name = padded(&format!("  {}", member.tenant), label);
            lines.push(line(&name, member_cells(member, times(&member.tenant), span, room)));
        }
        if own.len() > MEMBERS {
            lines.push(toned(format!("  and {} more", own.len() - MEMBERS), Tone::Faint));
        }
    }
    lines.push(String::new());
    lines.push(legend());
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn legend() -> String {
    let signs = [
        (MOVE, "moves"),
        (SOAK, "soaks"),
        (NODES, "nodes follow"),
        (OPEN, "window"),
        (FROZEN, "freeze"),
        (GATE, "gate"),
        (BACK, "last moment of a rollback"),
    ];
    signs.map(|(sign, what)| format!("{} {what}", toned(sign, tone(sign)))).join("   ")
}

fn padded(name: &str, width: usize) -> String {
    let name = cut(&plain(name), width);
    format!("{name}{}", " ".repeat(width.saturating_sub(name.chars().count())))
}

fn line(label: &str, cells: Vec<char>) -> String {
    // Cells of one tone are coloured together: an escape for each would be longer than the line.
    let mut text = format!("{label}  ");
    let mut run = String::new();
    let mut of: Option<Tone> = None;
    for cell in cells {
        let next = tone(cell);
        if of.is_some_and(|of| of != next) {
            text.push_str(&dressed(&run, of));
            run.clear();
        }
        of = Some(next);
        run.push(cell);
    }
    text.push_str(&dressed(&run, of));
    text
}

fn dressed(run: &str, of: Option<Tone>) -> String {
    match of {
        Some(of) if of != Tone::Plain => toned(run, of),
        _ => run.to_owned(),
    }
}

const fn tone(cell: char) -> Tone {
    match cell {
        MOVE | NODES => Tone::Busy,
        SOAK => Tone::Good,
        FROZEN => Tone::Bad,
        GATE | BACK => Tone::Strong,
        OPEN | WAVE => Tone::Faint,
        _ => Tone::Plain,
    }
}

/// The dates above the drawing, and a mark below each.
fn axis(span: Span, label: usize, room: usize) -> [String; 2] {
    let mut dates = vec![' '; room];
    let mut marks = vec![' '; room];
    let mut free = 0;
    for (at, text) in chart::ticks(span, (room / 12).max(1)) {
        let column = column(span, at, room);
        if let Some(mark) = marks.get_mut(column) {
            *mark = '╷';
        }
        if column < free || column + text.chars().count() > room {
            continue;
        }
        for (offset, letter) in text.chars().enumerate() {
            if let Some(cell) = dates.get_mut(column + offset) {
                *cell = letter;
            }
        }
        free = column + text.chars().count() + 1;
    }
    let indent = " ".repeat(label + 2);
    [dates, marks].map(|cells| format!("{indent}{}", cells.into_iter().collect::<String>()))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "columns are few, and the share is clamped to them"
)]
fn column(span: Span, at: Timestamp, room: usize) -> usize {
    let last = room.saturating_sub(1);
    (span.share(at).clamp(0.0, 1.0) * last as f64) as usize
}

/// Fills the cells of a stretch of time: at least one, so that nothing that happens is invisible.
fn fill(cells: &mut [char], span: Span, stretch: Span, sign: char) {
    let (from, until) = (column(span, stretch.from, cells.len()), column(span, stretch.until, cells.len()));
    for cell in cells.iter_mut().take((until + 1).max(from + 1)).skip(from) {
        *cell = sign;
    }
}

fn mark(cells: &mut [char], span: Span, at: Timestamp, sign: char) {
    let column = column(span, at, cells.len());
    if let Some(cell) = cells.get_mut(column).filter(|_| span.from <= at && at < span.until) {
        *cell = sign;
    }
}

fn wave_cells(wave: &PlannedWave, span: Span, room: usize) -> Vec<char> {
    let mut cells = vec![' '; room];
    fill(&mut cells, span, Span { from: wave.begins_at, until: wave.ends_at }, WAVE);
    let gates = wave.before.iter().chain(&wave.after);
    gates.for_each(|PlannedGate { at, .. }| mark(&mut cells, span, *at, GATE));
    cells
}

fn member_cells(
    member: &PlannedMember,
    maintenance: Option<&Maintenance>,
    span: Span,
    room: usize,
) -> Vec<char> {
    let mut cells = vec![' '; room];
    for open in chart::open(maintenance, span) {
        fill(&mut cells, span, open, OPEN);
    }
    for (frozen, _) in chart::frozen(maintenance, span) {
        fill(&mut cells, span, frozen, FROZEN);
    }
    if member.moved_at < member.ends_at {
        fill(&mut cells, span, Span { from: member.moved_at, until: member.ends_at }, SOAK);
    }
    if let Some(nodes) = member.nodes_from {
        mark(&mut cells, span, nodes, NODES);
    }
    if let Some(back) = &member.rollback {
        mark(&mut cells, span, back.until, BACK);
    }
    fill(&mut cells, span, Span { from: member.slot, until: member.moved_at }, MOVE);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_fits_its_width_and_shows_every_move() {
        let stored = include_str!("../../../tests/rollouts/edited.yaml");
        let plan: RolloutPlan = serde_yaml::from_str(stored).unwrap();
        for width in [60, 80, 132] {
            let drawn = anstream::adapter::strip_str(&text(&plan, &|_| None, width)).to_string();
            let rows: Vec<&str> = drawn.lines().skip(3).take_while(|line| !line.is_empty()).collect();
            assert!(rows.iter().all(|row| row.chars().count() <= width), "{drawn}");
            assert_eq!(rows.iter().filter(|row| row.contains(MOVE)).count(), plan.members.len(), "{drawn}");
        }
    }
}
