//! How far a rollout is: waves, members, soak clocks, gates.

mod member;

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{
    GateStatus, MemberCounts, MemberState, ReportEntry, Rollout, RolloutMember, RolloutPhase, Run,
    TenantCluster, Wave,
};
use jiff::Timestamp;
use serde::Serialize;

use self::member::MemberLine;
use super::{moment, plan::to};
use crate::printer::{Tone, plain, short_duration, table, toned};

/// How many members are shown one by one, unless all were asked for.
const MEMBERS: usize = 40;

/// How far a rollout is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RolloutView {
    pub(crate) name: String,
    /// What its members move to, for people.
    pub(crate) target: String,
    pub(crate) run: Run,
    pub(crate) phase: RolloutPhase,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wave: Option<String>,
    pub(crate) author: String,
    pub(crate) plan_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) counts: MemberCounts,
    pub(crate) waves: Vec<WaveView>,
    pub(crate) members: Vec<MemberLine>,
    /// Why nothing moves, or what is waited for.
    pub(crate) report: Vec<ReportEntry>,
}

/// A wave.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaveView {
    pub(crate) name: String,
    pub(crate) counts: MemberCounts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) began_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) passed_at: Option<Timestamp>,
    pub(crate) gates: Vec<GateLine>,
}

/// A gate.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GateLine {
    pub(crate) name: String,
    /// `before` or `after` the wave.
    pub(crate) stands: &'static str,
    pub(crate) open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) opened_at: Option<Timestamp>,
    pub(crate) message: String,
    pub(crate) votes: Vec<String>,
}

impl RolloutView {
    pub(crate) fn of(
        rollout: &Rollout,
        members: &[RolloutMember],
        clusters: &[TenantCluster],
        now: Timestamp,
    ) -> Self {
        let status = rollout.status.clone().unwrap_or_default();
        let uid = rollout.metadata.uid.as_deref().unwrap_or_default();
        let by_name: BTreeMap<&str, &TenantCluster> = clusters
            .iter()
            .filter_map(|cluster| Some((cluster.metadata.name.as_deref()?, cluster)))
            .collect();
        let waves: Vec<&str> = rollout.spec.waves.iter().map(|wave| wave.name.as_str()).collect();
        let mut lines: Vec<MemberLine> = members
            .iter()
            .map(|member| {
                let wave = rollout.spec.waves.iter().find(|wave| wave.name == member.spec.wave);
                MemberLine::of(member, wave, by_name.get(member.spec.cluster.as_str()).copied(), uid, now)
            })
            .collect();
        let place = |line: &MemberLine| waves.iter().position(|wave| *wave == line.wave);
        lines.sort_by(|a, b| (place(a), a.slot, &a.tenant).cmp(&(place(b), b.slot, &b.tenant)));
        Self {
            name: rollout.metadata.name.clone().unwrap_or_default(),
            target: to(&rollout.spec.target),
            run: rollout.spec.run,
            phase: status.phase,
            wave: status.wave,
            author: rollout.spec.author.clone(),
            plan_hash: rollout.spec.plan_hash.clone(),
            started_at: status.started_at.map(|at| at.0),
            ended_at: status.ended_at.map(|at| at.0),
            counts: status.counts,
            waves: rollout.spec.waves.iter().map(|wave| WaveView::of(wave, &status.waves)).collect(),
            members: lines,
            report: status.report,
        }
    }

    /// Whether it says what another look at the same rollout said, but for clocks that went on.
    pub(crate) fn is_same_but_for_clocks(&self, other: &Self) -> bool {
        let stopped = |view: &Self| {
            let mut view = view.clone();
            for clock in view.members.iter_mut().filter_map(|line| line.soak.as_mut()) {
                clock.seconds = 0;
            }
            view
        };
        stopped(self) == stopped(other)
    }

    /// How far it is, for people. With `all` every member is shown, with everything that is known of it; otherwise those
    /// that wait or are done only where there are few.
    pub(crate) fn to_text(&self, all: bool, now: Timestamp) -> String {
        let mut parts = vec![self.headline(now)];
        parts.push(table(
            &[
                "wave", "members", "waiting", "moving", "soaking", "done", "failed", "back", "left out",
                "began", "passed",
            ],
            self.waves.iter().map(WaveView::row).collect(),
        ));
        let gates: Vec<Vec<String>> = self.waves.iter().flat_map(WaveView::gate_rows).collect();
        if !gates.is_empty() {
            parts.push(table(&["gate", "stands", "state", "what"], gates));
        }
        let few = all || self.members.len() <= MEMBERS;
        let quiet = |line: &MemberLine| {
            matches!(line.state, MemberState::Pending | MemberState::Succeeded) && line.needs().is_none()
        };
        let shown: Vec<&MemberLine> = self.members.iter().filter(|line| few || !quiet(line)).collect();
        if !shown.is_empty() {
            parts.push(table(&member::heading(all), shown.iter().map(|line| line.row(all, now)).collect()));
        }
        let hidden = self.members.len() - shown.len();
        if hidden > 0 {
            parts.push(format!(
                "{hidden} members that wait or are done are not shown: `-o wide` shows every one"
            ));
        }
        let nodes = self.members.iter().filter_map(|line| {
            line.needs().map(|entry| format!("nodes of {}: {}", plain(&line.tenant), reason(entry)))
        });
        let report: Vec<String> = self.report.iter().map(reason).chain(nodes).collect();
        if !report.is_empty() {
            parts.push(report.join("\n"));
        }
        parts.join("\n\n")
    }

    fn headline(&self, now: Timestamp) -> String {
        let MemberCounts { members, waiting, moving, soaking, succeeded, failed, left_out, rolled_back } =
            self.counts;
        let going = self.members.iter().filter(|line| line.state == MemberState::RollingBack).count();
        let going_back = i32::try_from(going).unwrap_or(i32::MAX).min(rolled_back);
        let counts = [
            (succeeded, "done", Tone::Good),
            (soaking, "soaking", Tone::Good),
            (moving, "moving", Tone::Busy),
            (waiting, "waiting", Tone::Plain),
            (failed, "failed", Tone::Bad),
            (going_back, "going back", Tone::Bad),
            (rolled_back - going_back, "rolled back", Tone::Bad),
            (left_out, "left out", Tone::Faint),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, noun, tone)| toned(format!("{count} {noun}"), *tone))
            .collect();
        let noun = if members == 1 { "member" } else { "members" };
        let told = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
        let time = match (self.started_at, self.ended_at) {
            (Some(started), Some(ended)) => {
                format!(", ended {} after {}", moment(ended), short_duration(started.duration_until(ended)))
            }
            (Some(started), None) => {
                format!(", begun {} ago", short_duration(started.duration_until(now)))
            }
            (None, _) => String::new(),
        };
        // What runs is left to finish, and until then the phase says that.
        let ends = self.run == Run::Aborted && !self.phase.is_over();
        let stands = if ends { "being aborted" } else { phase(self.phase) };
        let wave = self.wave.as_ref().map(|wave| format!(", wave {}", plain(wave))).unwrap_or_default();
        format!(
            "rollout {} {} is {}{time}{wave}\n{members} {noun}{told}\nplan {} by {}",
            toned(plain(&self.name), Tone::Strong),
            self.target,
            toned(stands, tone(self.phase)),
            self.plan_hash,
            plain(&self.author),
        )
    }
}

/// A reason for people: what, who can act, and how.
pub(crate) fn reason(entry: &ReportEntry) -> String {
    let ReportEntry { code, message, who, hint } = entry;
    let tone = if hint.is_some() { Tone::Bad } else { Tone::Busy };
    let who = if who == "nobody" { "passes by itself".to_owned() } else { format!("{who} can act") };
    let hint = hint.as_ref().map(|hint| format!("\n  {} {}", toned("hint:", Tone::Busy), plain(hint)));
    format!("{} ({who}): {}{}", toned(code, tone), plain(message), hint.unwrap_or_default())
}

/// A phase in words.
pub(crate) const fn phase(phase: RolloutPhase) -> &'static str {
    match phase {
        RolloutPhase::Planned => "planned",
        RolloutPhase::Running => "running",
        RolloutPhase::WaitingForGate => "waiting for a gate",
        RolloutPhase::Paused => "paused",
        RolloutPhase::Stopped => "stopped",
        RolloutPhase::RollingBack => "rolling back",
        RolloutPhase::Completed => "completed",
        RolloutPhase::Aborted => "aborted",
        RolloutPhase::RolledBack => "rolled back",
    }
}

/// How a phase is coloured.
pub(crate) const fn tone(phase: RolloutPhase) -> Tone {
    match phase {
        RolloutPhase::Completed => Tone::Good,
        RolloutPhase::Running | RolloutPhase::WaitingForGate | RolloutPhase::Paused => Tone::Busy,
        RolloutPhase::Stopped | RolloutPhase::RollingBack | RolloutPhase::RolledBack => Tone::Bad,
        RolloutPhase::Planned | RolloutPhase::Aborted => Tone::Plain,
    }
}

impl WaveView {
    fn of(wave: &Wave, statuses: &[fleet_api::v1alpha1::WaveStatus]) -> Self {
        let status = statuses.iter().find(|status| status.name == wave.name).cloned().unwrap_or_default();
        let gate = |name: &str, stands| {
            let found = status.gates.iter().find(|gate| gate.name == name);
            GateLine::of(name, stands, found)
        };
        let before = wave.before.iter().map(|one| gate(&one.name, "before"));
        let after = wave.after.iter().map(|one| gate(&one.name, "after"));
        Self {
            name: wave.name.clone(),
            counts: status.counts,
            began_at: status.began_at.as_ref().map(|at| at.0),
            passed_at: status.passed_at.as_ref().map(|at| at.0),
            gates: before.chain(after).collect(),
        }
    }

    fn row(&self) -> Vec<String> {
        let MemberCounts { members, waiting, moving, soaking, succeeded, failed, left_out, rolled_back } =
            self.counts;
        let or_dash = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), moment);
        let mut row = vec![plain(&self.name)];
        row.extend(
            [members, waiting, moving, soaking, succeeded, failed, rolled_back, left_out]
                .map(|n| n.to_string()),
        );
        row.extend([or_dash(self.began_at), or_dash(self.passed_at)]);
        row
    }

    fn gate_rows(&self) -> Vec<Vec<String>> {
        let rows = self.gates.iter().map(|gate| {
            let state = if gate.open { toned("open", Tone::Good) } else { toned("closed", Tone::Busy) };
            let votes =
                if gate.votes.is_empty() { String::new() } else { format!(" ({})", gate.votes.join(", ")) };
            vec![
                plain(&gate.name),
                format!("{} {}", gate.stands, plain(&self.name)),
                state,
                format!("{}{}", plain(&gate.message), plain(&votes)),
            ]
        });
        rows.collect()
    }
}

impl GateLine {
    fn of(name: &str, stands: &'static str, status: Option<&GateStatus>) -> Self {
        Self {
            name: name.to_owned(),
            stands,
            open: status.is_some_and(|status| status.opened_at.is_some()),
            opened_at: status.and_then(|status| status.opened_at.as_ref()).map(|at| at.0),
            message: status.map_or_else(|| "not looked at yet".to_owned(), |status| status.message.clone()),
            votes: status.map(|status| status.votes.clone()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
