//! Events of a rollout: what changed, for people who read `kubectl describe`.

use fleet_api::v1alpha1::{MemberState, Rollout, RolloutMember, RolloutPhase, RolloutStatus};

use crate::context::Context;

/// Tells of a rollout whose phase changed, a wave that passed, and gates that opened.
pub(super) async fn rollout(
    context: &Context,
    object: &Rollout,
    before: &RolloutStatus,
    after: &RolloutStatus,
) {
    for (warning, reason, note) in changes(before, after) {
        context.events.news(object, warning, reason, "Tick", note).await;
    }
}

/// Tells of a member that came into another state. Waiting is no news.
pub(super) async fn member(context: &Context, object: &RolloutMember, before: MemberState) {
    let Some(status) = &object.status else { return };
    if status.state == before || matches!(status.state, MemberState::Pending | MemberState::Preflight) {
        return;
    }
    let warning = matches!(status.state, MemberState::Failed | MemberState::RollingBack);
    let note = if status.message.is_empty() {
        format!("{} is {:?}", object.spec.tenant, status.state)
    } else {
        format!("{}: {}", object.spec.tenant, status.message)
    };
    context.events.news(object, warning, word(status.state), "Tick", note).await;
}

const fn word(state: MemberState) -> &'static str {
    match state {
        MemberState::Pending => "Pending",
        MemberState::Preflight => "Preflight",
        MemberState::Upgrading => "Upgrading",
        MemberState::Verifying => "Verifying",
        MemberState::Soaking => "Soaking",
        MemberState::Succeeded => "Succeeded",
        MemberState::Failed => "Failed",
        MemberState::Skipped => "Skipped",
        MemberState::RollingBack => "RollingBack",
        MemberState::RolledBack => "RolledBack",
    }
}

/// What is worth an event: whether it is a warning, the reason and the note.
fn changes(before: &RolloutStatus, after: &RolloutStatus) -> Vec<(bool, &'static str, String)> {
    let mut changes = Vec::new();
    for wave in &after.waves {
        let old = before.waves.iter().find(|old| old.name == wave.name);
        for gate in wave.gates.iter().filter(|gate| gate.opened_at.is_some()) {
            let was = old.and_then(|old| old.gates.iter().find(|old| old.name == gate.name));
            if was.is_none_or(|was| was.opened_at.is_none()) {
                let by = if gate.votes.is_empty() { gate.message.clone() } else { gate.votes.join(", ") };
                changes.push((
                    false,
                    "GateOpened",
                    format!("gate {} of wave {}: {by}", gate.name, wave.name),
                ));
            }
        }
        if wave.began_at.is_some() && old.is_none_or(|old| old.began_at.is_none()) {
            changes.push((false, "WaveBegan", format!("wave {} began", wave.name)));
        }
        if wave.passed_at.is_some() && old.is_none_or(|old| old.passed_at.is_none()) {
            let counts = wave.counts;
            let told = format!(
                "wave {} passed: {} of {} succeeded, {} failed, {} left out",
                wave.name, counts.succeeded, counts.members, counts.failed, counts.left_out
            );
            changes.push((false, "WavePassed", told));
        }
    }
    if before.phase != after.phase {
        let (warning, reason) = match after.phase {
            RolloutPhase::Planned => (false, "Planned"),
            RolloutPhase::Running => (false, "Running"),
            RolloutPhase::WaitingForGate => (false, "WaitingForGate"),
            RolloutPhase::Paused => (false, "Paused"),
            RolloutPhase::Stopped => (true, "Stopped"),
            RolloutPhase::RollingBack => (true, "RollingBack"),
            RolloutPhase::Completed => (false, "Completed"),
            RolloutPhase::Aborted => (true, "Aborted"),
            RolloutPhase::RolledBack => (true, "RolledBack"),
        };
        let told = after.report.first().map_or_else(
            || format!("the rollout went from {:?} to {:?}", before.phase, after.phase),
            |entry| entry.message.clone(),
        );
        changes.push((warning, reason, told));
    }
    changes
}

#[cfg(test)]
mod tests {
    use fleet_api::v1alpha1::{GateStatus, WaveStatus};
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn a_wave_a_gate_and_a_phase_are_told_once() {
        let at = || Some(Time(Timestamp::UNIX_EPOCH));
        let gate = |opened_at: Option<&str>| {
            serde_json::from_value::<GateStatus>(serde_json::json!({
                "name": "go", "openedAt": opened_at, "votes": ["ann (sre)"], "message": "1 of 1 approvals",
            }))
            .unwrap()
        };
        let wave = |opened: Option<&str>, passed_at| WaveStatus {
            name: "canary".to_owned(),
            gates: vec![gate(opened)],
            passed_at,
            ..WaveStatus::default()
        };
        let before = RolloutStatus { waves: vec![wave(None, None)], ..RolloutStatus::default() };
        let after = RolloutStatus {
            waves: vec![wave(Some("2026-11-24T12:00:00Z"), at())],
            phase: RolloutPhase::Stopped,
            ..RolloutStatus::default()
        };
        let told: Vec<_> =
            changes(&before, &after).into_iter().map(|(warning, reason, _)| (warning, reason)).collect();
        assert_eq!(told, [(false, "GateOpened"), (false, "WavePassed"), (true, "Stopped")]);
        assert!(changes(&after, &after).is_empty());
    }
}
