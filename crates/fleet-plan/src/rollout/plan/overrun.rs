//! Members that would count as failed before they arrive, because a later step waits too long for a window.

use fleet_api::{
    text::Minutes,
    v1alpha1::{Maintenance, Window},
};
use fleet_spec::{Code, FieldPath, Severity, rules::Problem};

use super::{
    Input,
    candidates::Candidate,
    schedule::{Slot, Task, WaveRun, WaveTasks},
};
use crate::windows::Timeline;

/// The member that takes longest, when that is longer than a member may take.
pub(super) fn overrun(
    input: &Input<'_>,
    candidates: &[Candidate<'_>],
    waves: &[WaveTasks<'_>],
    runs: &[WaveRun],
) -> Option<Problem> {
    let all = waves.iter().zip(runs).enumerate().flat_map(|(index, (wave, played))| {
        wave.tasks.iter().zip(&played.slots).map(move |one| (index, one))
    });
    let takes = all.filter_map(|(wave, (task, slot))| {
        let slot = slot.as_ref()?;
        Some((slot.begin.duration_until(slot.course.arrived).as_secs() / 60, wave, task, slot))
    });
    let (minutes, wave, task, slot) = takes.max_by_key(|(minutes, ..)| *minutes)?;
    let allowed = input.strategy.step_deadline;
    if minutes <= allowed.0 {
        return None;
    }
    let tenant = candidates.get(task.candidate)?.tenant;
    let total = Minutes(task.work.total());
    let held_back_by = starts_too_early(input, task, slot);
    let (path, why, window) = match held_back_by {
        Some(window) => (
            FieldPath::spec().field("waves").index(wave).field("selector"),
            format!(
                "moves for {total} in several steps, of which none begins later than {} into a window \
                 (its `latestStart`)",
                window.latest_start.unwrap_or(window.duration)
            ),
            format!(
                "set a `latestStart` of at least {} in `spec.maintenance.windows` of Tenant {tenant}",
                Minutes(task.work.last_begins())
            ),
        ),
        None => (
            FieldPath::spec().field("stepDeadline"),
            format!("needs {total} in windows that close before"),
            format!("give it a window of {total} in `spec.maintenance.windows` of Tenant {tenant}"),
        ),
    };
    let hold = if input.strategy.hold_nodes.is_none() && task.work.moves_nodes() {
        ", hold its nodes back with `holdNodes`"
    } else {
        ""
    };
    Some(Problem {
        severity: Severity::Error,
        code: Code::DeadlineTooShort,
        path,
        message: format!(
            "{tenant} would count as failed: it begins at {}, {why}, arrives at {}, and has {allowed}",
            slot.begin, slot.course.arrived
        ),
        hint: Some(format!("{window}{hold}, or set a later `stepDeadline`")),
    })
}

/// The window whose `latestStart` keeps the later steps waiting: without any, they would be in time.
fn starts_too_early<'a>(input: &Input<'_>, task: &Task<'a>, slot: &Slot) -> Option<&'a Window> {
    let maintenance = task.times.as_ref()?.maintenance();
    let least = maintenance.windows.iter().filter(|window| window.latest_start.is_some());
    let least = least.min_by_key(|window| window.latest_start)?;
    let windows = maintenance.windows.iter().cloned();
    let open = Maintenance {
        windows: windows.map(|window| Window { latest_start: None, ..window }).collect(),
        ..maintenance.clone()
    };
    let times = Timeline::of(&open, input.now).ok()?;
    let course = task.work.course(Some(&times), slot.begin, slot.until)?;
    let minutes = slot.begin.duration_until(course.arrived).as_secs() / 60;
    (minutes <= input.strategy.step_deadline.0).then_some(least)
}
