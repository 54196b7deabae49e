//! The fleet at a glance: one line for each tenant, and a summary above them.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    conditions::{self, reason},
    v1alpha1::{Tenant, TenantCluster},
};
use fleet_plan::moves::wanted_version;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

use super::cut;
use crate::printer::{Tone, short_duration, table, toned};

/// Where a tenant stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Provisioned, hardened, proven, current.
    Ready,
    /// A step is being carried out, or tried again.
    Working,
    /// Something is waited for that passes by itself.
    Waiting,
    /// Somebody has to act.
    Blocked,
    /// The tenant's API server does not answer.
    Unreachable,
    /// Everything of the tenant is being deleted.
    Deleting,
    /// The controller has not looked at it yet.
    Pending,
}

impl State {
    pub(crate) const ALL: [Self; 7] = [
        Self::Ready,
        Self::Working,
        Self::Waiting,
        Self::Blocked,
        Self::Unreachable,
        Self::Deleting,
        Self::Pending,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Unreachable => "unreachable",
            Self::Deleting => "deleting",
            Self::Pending => "pending",
        }
    }

    pub(crate) const fn tone(self) -> Tone {
        match self {
            Self::Ready => Tone::Good,
            Self::Working | Self::Waiting | Self::Deleting | Self::Pending => Tone::Busy,
            Self::Blocked | Self::Unreachable => Tone::Bad,
        }
    }
}

/// The fleet at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FleetStatus {
    pub(crate) summary: Summary,
    pub(crate) tenants: Vec<TenantLine>,
}

/// Counts over the whole fleet, whatever is shown of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    /// How many tenants there are.
    pub(crate) tenants: usize,
    /// How many are in which state; states of no tenant are left out.
    pub(crate) states: BTreeMap<State, usize>,
    /// How many clusters run which version.
    pub(crate) versions: BTreeMap<String, usize>,
}

/// One tenant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantLine {
    pub(crate) name: String,
    pub(crate) class: String,
    pub(crate) state: State,
    /// The reason of the Ready condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What goes on, or what is in the way.
    pub(crate) message: String,
    /// The observed version of the control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// The wanted version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wanted_version: Option<String>,
    /// The cluster's name in the cloud.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// Since when the tenant is in this state, or the step runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// How many objects of the baseline are as wanted, and how many there are.
    pub(crate) applied: i32,
    pub(crate) objects: i32,
    /// How many controls were seen to bite, and not to.
    pub(crate) proven: i32,
    pub(crate) failed: i32,
    /// When the tenant was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<Timestamp>,
}

impl FleetStatus {
    /// The status of some tenants, with the summary of all of them.
    pub(crate) fn of(
        tenants: &[Tenant],
        clusters: &[TenantCluster],
        shown: impl Fn(&TenantLine) -> bool,
    ) -> Self {
        let by_tenant: BTreeMap<&str, &TenantCluster> =
            clusters.iter().map(|cluster| (cluster.spec.tenant.as_str(), cluster)).collect();
        let mut lines: Vec<TenantLine> = tenants
            .iter()
            .map(|tenant| {
                let name = tenant.metadata.name.as_deref().unwrap_or_default();
                TenantLine::of(tenant, by_tenant.get(name).copied())
            })
            .collect();
        // A cluster outlives its tenant only on its way out; nobody may forget it there.
        let names: BTreeSet<&str> =
            tenants.iter().filter_map(|tenant| tenant.metadata.name.as_deref()).collect();
        let orphans = clusters.iter().filter(|cluster| !names.contains(cluster.spec.tenant.as_str()));
        lines.extend(orphans.map(TenantLine::of_orphan));
        let mut summary =
            Summary { tenants: lines.len(), states: BTreeMap::new(), versions: BTreeMap::new() };
        for line in &lines {
            *summary.states.entry(line.state).or_default() += 1;
            if let Some(version) = &line.version {
                *summary.versions.entry(version.clone()).or_default() += 1;
            }
        }
        Self { summary, tenants: lines.into_iter().filter(shown).collect() }
    }

    /// The status for people.
    pub(crate) fn to_text(&self, wide: bool, now: Timestamp) -> String {
        if self.summary.tenants == 0 {
            return "no tenants".to_owned();
        }
        let mut heading = vec!["tenant", "class", "version", "state", "since", "what"];
        if wide {
            heading.splice(5..5, ["baseline", "proven", "cluster", "account", "region"]);
        }
        let rows = self.tenants.iter().map(|line| line.row(wide, now)).collect();
        let head = self.summary.to_text();
        if self.tenants.is_empty() { head } else { format!("{head}\n\n{}", table(&heading, rows)) }
    }
}

impl Summary {
    /// `3 tenants: 2 ready, 1 working; versions: 1.35 (2), 1.36 (1)`.
    pub(crate) fn to_text(&self) -> String {
        let noun = if self.tenants == 1 { "tenant" } else { "tenants" };
        let states: Vec<String> = State::ALL
            .iter()
            .filter_map(|state| self.states.get(state).map(|count| (state, count)))
            .map(|(state, count)| toned(format!("{count} {}", state.as_str()), state.tone()))
            .collect();
        let versions: Vec<String> =
            self.versions.iter().map(|(version, count)| format!("{version} ({count})")).collect();
        let mut text = format!("{} {noun}: {}", self.tenants, states.join(", "));
        if !versions.is_empty() {
            text.push_str(&format!("; versions: {}", versions.join(", ")));
        }
        text
    }
}

impl TenantLine {
    pub(crate) fn of(tenant: &Tenant, cluster: Option<&TenantCluster>) -> Self {
        let status = cluster.and_then(|cluster| cluster.status.as_ref());
        let ready = ready(tenant, cluster);
        let deleting = tenant.metadata.deletion_timestamp.is_some()
            || cluster.is_some_and(|cluster| cluster.metadata.deletion_timestamp.is_some());
        let state = state(ready, deleting);
        let step = status.and_then(|status| status.step.as_ref());
        let report = status.and_then(|status| status.report.first());
        // A step that failed is not under way: the report says when it is tried again.
        let retrying = ready.is_some_and(|ready| ready.reason == reason::RETRYING);
        let message = match (state, step, report, ready) {
            (State::Ready, ..) => String::new(),
            (State::Working | State::Deleting, Some(step), ..) if !retrying => step.summary.clone(),
            (_, _, Some(entry), _) => entry.message.clone(),
            (_, _, None, Some(ready)) => ready.message.clone(),
            (_, Some(step), None, None) => step.summary.clone(),
            (_, None, None, None) => "the controller has not looked at it yet".to_owned(),
        };
        let since = match (state, step) {
            (State::Working, Some(step)) => Some(step.started_at.0),
            (State::Deleting, _) => tenant.metadata.deletion_timestamp.as_ref().map(|time| time.0),
            _ => ready.map(|ready| ready.last_transition_time.0),
        };
        let baseline = status.map(|status| &status.baseline);
        let eks = cluster.and_then(|cluster| cluster.spec.eks.as_ref());
        Self {
            name: tenant.metadata.name.clone().unwrap_or_default(),
            class: tenant.spec.class.clone(),
            state,
            reason: ready.map(|ready| ready.reason.clone()),
            message,
            version: status
                .and_then(|status| status.versions.control_plane)
                .map(|version| version.to_string()),
            wanted_version: cluster.map(|cluster| wanted_version(&cluster.spec).to_string()),
            cluster: cluster.map(|cluster| cluster.spec.cluster_name.clone()),
            account: eks.map(|eks| eks.account.clone()),
            region: eks.map(|eks| eks.region.clone()),
            since,
            applied: baseline.map_or(0, |baseline| baseline.applied),
            objects: baseline.map_or(0, |baseline| baseline.objects),
            proven: baseline.map_or(0, |baseline| baseline.probes.pass),
            failed: baseline.map_or(0, |baseline| baseline.probes.fail),
            created: tenant.metadata.creation_timestamp.as_ref().map(|time| time.0),
        }
    }

    /// The line of a cluster whose tenant is gone already.
    pub(crate) fn of_orphan(cluster: &TenantCluster) -> Self {
        let mut tenant = Tenant::new(
            &cluster.spec.tenant,
            fleet_api::v1alpha1::TenantSpec {
                owner: cluster.spec.owner.clone(),
                class: cluster.spec.class.clone(),
                compliance: Vec::new(),
                kubernetes: fleet_api::v1alpha1::KubernetesChoice::default(),
                maintenance: None,
                namespaces: Vec::new(),
                capacity: fleet_api::v1alpha1::Capacity::default(),
                network: fleet_api::v1alpha1::Network::default(),
                images: fleet_api::v1alpha1::Images::default(),
                access: Vec::new(),
            },
        );
        tenant.metadata.deletion_timestamp = cluster.metadata.deletion_timestamp.clone();
        Self { state: State::Deleting, ..Self::of(&tenant, Some(cluster)) }
    }

    fn row(&self, wide: bool, now: Timestamp) -> Vec<String> {
        let version = match (&self.version, &self.wanted_version) {
            (Some(have), Some(want)) if have != want => format!("{have} -> {want}"),
            (Some(have), _) => have.clone(),
            (None, Some(want)) => format!("- -> {want}"),
            (None, None) => "-".to_owned(),
        };
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let mut row = vec![
            self.name.clone(),
            self.class.clone(),
            version,
            toned(self.state.as_str(), self.state.tone()),
            self.since.map_or_else(|| "-".to_owned(), |since| short_duration(now.duration_since(since))),
        ];
        if wide {
            let proven = if self.failed > 0 {
                format!("{} of {}", self.proven, self.proven + self.failed)
            } else {
                self.proven.to_string()
            };
            row.extend([
                format!("{}/{}", self.applied, self.objects),
                proven,
                or_dash(&self.cluster),
                or_dash(&self.account),
                or_dash(&self.region),
            ]);
        }
        row.push(if wide { cut(&self.message, 200) } else { cut(&self.message, 72) });
        row
    }
}

/// The Ready condition: the cluster's when there is one, because the tenant's follows it.
fn ready<'a>(tenant: &'a Tenant, cluster: Option<&'a TenantCluster>) -> Option<&'a Condition> {
    let of_cluster = cluster
        .and_then(|cluster| cluster.status.as_ref())
        .and_then(|status| conditions::get(&status.conditions, conditions::READY));
    let of_tenant =
        || tenant.status.as_ref().and_then(|status| conditions::get(&status.conditions, conditions::READY));
    let refused = tenant
        .status
        .as_ref()
        .and_then(|status| conditions::get(&status.conditions, conditions::ACCEPTED))
        .filter(|accepted| accepted.status == "False");
    refused.or(of_cluster).or_else(of_tenant)
}

fn state(ready: Option<&Condition>, deleting: bool) -> State {
    if deleting {
        return State::Deleting;
    }
    let Some(ready) = ready else { return State::Pending };
    match (ready.status.as_str(), ready.reason.as_str()) {
        // A refused spec has a condition of another type, which is never Ready.
        ("True", _) if ready.type_ == conditions::READY => State::Ready,
        (_, reason::UNREACHABLE) => State::Unreachable,
        (_, reason::BLOCKED | reason::INVALID_SPEC | reason::REFERENCE_MISSING) => State::Blocked,
        (_, reason::PROBE_FAILED | reason::FIGHT | reason::AHEAD_OF_SPEC | reason::PAUSED) => State::Blocked,
        (_, reason::WAITING) => State::Waiting,
        (_, reason::DELETING) => State::Deleting,
        (_, reason::NOT_OBSERVED) => State::Pending,
        _ => State::Working,
    }
}

#[cfg(test)]
mod tests {
    use fleet_api::v1alpha1::TenantStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn make_tenant(name: &str, ready: Option<(&str, &str)>) -> Tenant {
        let mut tenant: Tenant = serde_json::from_value(serde_json::json!({
            "apiVersion": "tenantfleet.dev/v1alpha1",
            "kind": "Tenant",
            "metadata": {"name": name},
            "spec": {"owner": {"team": "t", "contact": "c"}, "class": "eks-standard"},
        }))
        .unwrap();
        tenant.status = ready.map(|(status, reason)| TenantStatus {
            conditions: vec![Condition {
                type_: conditions::READY.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message: "a message".to_owned(),
                observed_generation: None,
                last_transition_time: Time("2026-11-24T10:00:00Z".parse().unwrap()),
            }],
            ..TenantStatus::default()
        });
        tenant
    }

    #[test]
    fn every_tenant_has_a_line_and_the_summary_counts_all_of_them() {
        let tenants = [
            make_tenant("acme", Some(("True", reason::AS_WANTED))),
            make_tenant("globex", Some(("False", reason::IN_PROGRESS))),
            make_tenant("initech", Some(("False", reason::BLOCKED))),
            make_tenant("new", None),
        ];
        let status = FleetStatus::of(&tenants, &[], |line| line.state != State::Ready);
        let text =
            anstream::adapter::strip_str(&status.to_text(false, "2026-11-24T10:03:12Z".parse().unwrap()))
                .to_string();
        let expected = [
            "4 tenants: 1 ready, 1 working, 1 blocked, 1 pending",
            "",
            "TENANT   CLASS         VERSION  STATE    SINCE  WHAT",
            "globex   eks-standard  -        working  3m12s  a message",
            "initech  eks-standard  -        blocked  3m12s  a message",
            "new      eks-standard  -        pending  -      the controller has not looked at it yet",
        ];
        assert_eq!(text, expected.join("\n"));
    }

    #[test]
    fn a_step_is_told_while_it_is_under_way_and_its_failure_once_it_has_failed() {
        let entry = serde_json::json!({"code": "Retrying", "message": "it failed 1 times", "who": "nobody"});
        let line = |reason: &str| {
            let cluster: TenantCluster = serde_json::from_value(serde_json::json!({
                "apiVersion": "tenantfleet.dev/v1alpha1",
                "kind": "TenantCluster",
                "metadata": {"name": "acme"},
                "spec": {
                    "tenant": "acme", "tenantUid": "u", "owner": {"team": "t", "contact": "c"},
                    "class": "eks-standard", "clusterName": "acme-1", "version": "1.35",
                    "hardening": {"baseline": "standard", "namespaces": ["acme"]},
                },
                "status": {
                    "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": "m",
                        "lastTransitionTime": "2026-11-24T10:00:00Z"}],
                    "step": {"id": "update-version", "summary": "Upgrade the control plane",
                        "startedAt": "2026-11-24T10:00:00Z", "attempts": 1},
                    "report": [entry],
                },
            }))
            .unwrap();
            TenantLine::of(&make_tenant("acme", None), Some(&cluster)).message
        };
        assert_eq!(line(reason::IN_PROGRESS), "Upgrade the control plane");
        assert_eq!(line(reason::RETRYING), "it failed 1 times");
    }

    #[test]
    fn a_condition_that_is_not_true_is_never_ready() {
        for status in ["False", "Unknown"] {
            let tenant = make_tenant("acme", Some((status, reason::AS_WANTED)));
            assert_ne!(TenantLine::of(&tenant, None).state, State::Ready);
        }
    }
}
