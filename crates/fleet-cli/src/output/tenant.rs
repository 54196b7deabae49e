//! Everything that is known of one tenant, and why it is where it is.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{
    ComponentVersion, FightStatus, ProbeCounts, ReportEntry, StepFailure, StepStatus, Tenant, TenantCluster,
};
use fleet_plan::moves::wanted_version;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

use super::fleet_status::{State, TenantLine};
use crate::printer::{Tone, plain, short_duration, toned};

/// Why a tenant is where it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Why {
    pub(crate) tenant: String,
    pub(crate) state: State,
    /// What goes on, or what is in the way, in one sentence.
    pub(crate) summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// The step that is being carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<StepStatus>,
    /// Every reason, those that need somebody first.
    pub(crate) reasons: Vec<ReportEntry>,
    /// Conditions that do not hold.
    pub(crate) conditions: Vec<Condition>,
    /// Steps that failed and have not succeeded since.
    pub(crate) failures: Vec<StepFailure>,
    /// Objects that somebody else keeps changing back.
    pub(crate) fights: Vec<FightStatus>,
}

impl Why {
    pub(crate) fn of(name: &str, tenant: Option<&Tenant>, cluster: Option<&TenantCluster>) -> Self {
        let status = cluster.and_then(|cluster| cluster.status.clone()).unwrap_or_default();
        let line = tenant.map(|tenant| TenantLine::of(tenant, cluster));
        let of_tenant =
            tenant.and_then(|tenant| tenant.status.as_ref()).map(|status| status.conditions.clone());
        let mut conditions = of_tenant.unwrap_or_default();
        conditions.retain(|condition| condition.type_ == fleet_api::conditions::ACCEPTED);
        conditions.extend(status.conditions);
        conditions.retain(|condition| condition.status != "True");
        Self {
            tenant: name.to_owned(),
            // A cluster whose tenant is gone is on its way out.
            state: line.as_ref().map_or(State::Deleting, |line| line.state),
            summary: line.as_ref().map_or_else(
                || "the tenant is gone, and its cluster is being deleted".to_owned(),
                |line| line.message.clone(),
            ),
            since: line.and_then(|line| line.since),
            step: status.step,
            reasons: status.report,
            conditions,
            failures: status.failures,
            fights: status.baseline.fights,
        }
    }

    /// The answer for people.
    pub(crate) fn to_text(&self, now: Timestamp, conditions_too: bool) -> String {
        let Self { tenant, state, summary, since, step, reasons, conditions, failures, fights } = self;
        let since = since
            .map(|since| format!(" for {}", short_duration(now.duration_since(since))))
            .unwrap_or_default();
        let mut lines = vec![format!(
            "{} is {}{since}",
            toned(tenant, Tone::Strong),
            toned(state.as_str(), state.tone())
        )];
        if *state == State::Ready && reasons.iter().all(|entry| entry.code == "AsWanted") {
            lines.push("It is provisioned, hardened, proven and current; nothing is waited for.".to_owned());
        } else if !summary.is_empty() && reasons.iter().all(|entry| entry.message != *summary) {
            lines.push(plain(summary));
        }
        if let Some(step) = step {
            let attempt =
                if step.attempts > 1 { format!(", attempt {}", step.attempts) } else { String::new() };
            let since = short_duration(now.duration_since(step.started_at.0));
            lines.push(format!("\nstep: {} (for {since}{attempt})", plain(&step.summary)));
        }
        // That all is as wanted is said above already.
        let reasons: Vec<&ReportEntry> = reasons.iter().filter(|entry| entry.code != "AsWanted").collect();
        if !reasons.is_empty() {
            lines.push(String::new());
        }
        for entry in reasons {
            let ReportEntry { code, message, who, hint } = entry;
            let tone = if hint.is_some() { Tone::Bad } else { Tone::Busy };
            let who = match who.as_str() {
                "nobody" => "passes by itself".to_owned(),
                other => format!("{other} can act"),
            };
            lines.push(format!("{} ({who}): {}", toned(code, tone), plain(message)));
            lines.extend(hint.iter().map(|hint| format!("  {} {}", toned("hint:", Tone::Busy), plain(hint))));
        }
        if conditions_too && !conditions.is_empty() && *state != State::Ready {
            lines.push("\nconditions that do not hold:".to_owned());
            let width = conditions.iter().map(|condition| condition.type_.len()).max().unwrap_or_default();
            for condition in conditions {
                let Condition { type_, reason, message, .. } = condition;
                lines.push(format!("  {type_:<width$}  {reason}: {}", plain(message)));
            }
        }
        for failure in failures {
            lines.push(format!(
                "\nfailed {}: {}, last at {:.0}: {}: {}",
                if failure.attempts == 1 { "once".to_owned() } else { format!("{} times", failure.attempts) },
                failure.step,
                failure.last_at.0,
                failure.code,
                plain(&failure.message)
            ));
        }
        for fight in fights {
            lines.push(format!("\n{} is left alone: {} keeps changing it back", fight.object, fight.other));
        }
        lines.join("\n")
    }
}

/// Everything that is known of one tenant.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) owner: fleet_api::v1alpha1::Owner,
    pub(crate) class: String,
    pub(crate) compliance: Vec<&'static str>,
    pub(crate) namespaces: Vec<String>,
    pub(crate) created: Option<Timestamp>,
    pub(crate) cluster: Option<ClusterDescription>,
    pub(crate) why: Why,
}

/// The tenant's cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterDescription {
    pub(crate) name: String,
    pub(crate) account: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) arn: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) wanted_version: String,
    pub(crate) nodes: Vec<ComponentVersion>,
    pub(crate) addons: Vec<ComponentVersion>,
    pub(crate) baseline: BaselineDescription,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) access: Vec<fleet_api::v1alpha1::AccessGrant>,
    pub(crate) windows: Vec<String>,
}

/// How the cluster is hardened.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BaselineDescription {
    pub(crate) name: String,
    pub(crate) revision: Option<String>,
    pub(crate) applied_revision: Option<String>,
    pub(crate) applied: i32,
    pub(crate) objects: i32,
    pub(crate) repairs: i64,
    pub(crate) proven_revision: Option<String>,
    pub(crate) proven_at: Option<Timestamp>,
    pub(crate) probes: ProbeCounts,
    pub(crate) last_error: Option<String>,
}

impl Description {
    pub(crate) fn of(tenant: &Tenant, cluster: Option<&TenantCluster>) -> Self {
        let name = tenant.metadata.name.clone().unwrap_or_default();
        let namespaces = match tenant.spec.namespaces.as_slice() {
            [] => vec![name.clone()],
            given => given.to_vec(),
        };
        Self {
            labels: tenant.metadata.labels.clone().unwrap_or_default(),
            owner: tenant.spec.owner.clone(),
            class: tenant.spec.class.clone(),
            compliance: tenant.spec.compliance.iter().map(|regime| regime.as_str()).collect(),
            namespaces,
            created: tenant.metadata.creation_timestamp.as_ref().map(|time| time.0),
            cluster: cluster.map(ClusterDescription::of),
            why: Why::of(&name, Some(tenant), cluster),
            name,
        }
    }

    /// The description for people.
    pub(crate) fn to_text(&self, now: Timestamp) -> String {
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| {
            if !value.is_empty() {
                lines.push(format!("{} {value}", toned(format!("{name:<15}"), Tone::Faint)));
            }
        };
        line("Tenant", self.name.clone());
        line("State", toned(self.why.state.as_str(), self.why.state.tone()));
        line("Owner", format!("{} ({})", plain(&self.owner.team), plain(&self.owner.contact)));
        line("Class", self.class.clone());
        line("Compliance", self.compliance.join(", "));
        let labels: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        line("Labels", labels.join(", "));
        line("Namespaces", self.namespaces.join(", "));
        if let Some(created) = self.created {
            line("Created", format!("{created:.0} ({} ago)", short_duration(now.duration_since(created))));
        }
        if let Some(cluster) = &self.cluster {
            cluster.lines(&mut line, now);
        }
        if let Some(cluster) = &self.cluster {
            lines.push(String::new());
            lines.push("Conditions".to_owned());
            for condition in &cluster.conditions {
                let Condition { type_, status, reason, message, last_transition_time, .. } = condition;
                let tone = match status.as_str() {
                    "True" => Tone::Good,
                    "False" => Tone::Bad,
                    _ => Tone::Busy,
                };
                let since = short_duration(now.duration_since(last_transition_time.0));
                let status = toned(format!("{status:<8}"), tone);
                lines.push(
                    format!("  {type_:<12} {status} {reason:<16} {since:<8} {}", plain(message))
                        .trim_end()
                        .to_owned(),
                );
            }
        }
        lines.push(String::new());
        // The conditions stand above already.
        lines.push(self.why.to_text(now, false));
        lines.join("\n")
    }
}

impl ClusterDescription {
    fn of(cluster: &TenantCluster) -> Self {
        let status = cluster.status.clone().unwrap_or_default();
        let eks = cluster.spec.eks.as_ref();
        let baseline = status.baseline;
        let maintenance = cluster.spec.maintenance.as_ref();
        let windows = maintenance.map(|maintenance| {
            let window = |window: &fleet_api::v1alpha1::Window| {
                let days: Vec<String> = window.days.iter().map(|day| format!("{day:?}")).collect();
                format!(
                    "{} {} for {} ({})",
                    days.join(","),
                    window.start,
                    window.duration,
                    maintenance.time_zone
                )
            };
            maintenance.windows.iter().map(window).collect()
        });
        Self {
            name: cluster.spec.cluster_name.clone(),
            account: eks.map(|eks| eks.account.clone()),
            region: eks.map(|eks| eks.region.clone()),
            arn: status.arn,
            endpoint: status.endpoint,
            version: status.versions.control_plane.map(|version| version.to_string()),
            wanted_version: wanted_version(&cluster.spec).to_string(),
            nodes: status.versions.nodes,
            addons: status.versions.addons,
            baseline: BaselineDescription {
                name: cluster.spec.hardening.baseline.clone(),
                revision: baseline.revision,
                applied_revision: baseline.applied_revision,
                applied: baseline.applied,
                objects: baseline.objects,
                repairs: baseline.repairs,
                proven_revision: baseline.proven_revision,
                proven_at: baseline.proven_at.map(|time| time.0),
                probes: baseline.probes,
                last_error: baseline.last_error,
            },
            conditions: status.conditions,
            access: cluster.spec.hardening.access.clone(),
            windows: windows.unwrap_or_default(),
        }
    }

    fn lines(&self, line: &mut dyn FnMut(&str, String), now: Timestamp) {
        line("Cluster", self.name.clone());
        let place: Vec<&str> =
            [&self.account, &self.region].into_iter().flatten().map(String::as_str).collect();
        line("Place", place.join(" "));
        line("Endpoint", self.endpoint.clone().unwrap_or_default());
        let version = match &self.version {
            Some(version) if *version == self.wanted_version => version.clone(),
            Some(version) => format!("{version}, {} is wanted", self.wanted_version),
            None => format!("none yet, {} is wanted", self.wanted_version),
        };
        line("Version", version);
        let parts = |parts: &[ComponentVersion]| {
            parts.iter().map(|part| format!("{} {}", part.name, part.version)).collect::<Vec<_>>().join(", ")
        };
        line("Nodes", parts(&self.nodes));
        line("Add-ons", parts(&self.addons));
        let windows = if self.windows.is_empty() { "any time".to_owned() } else { self.windows.join("; ") };
        line("Windows", windows);
        let BaselineDescription {
            name,
            revision,
            applied,
            objects,
            repairs,
            probes,
            proven_at,
            last_error,
            ..
        } = &self.baseline;
        let revision = revision.as_deref().unwrap_or("not rendered yet");
        line(
            "Baseline",
            format!("{name} ({revision}): {applied} of {objects} objects applied, {repairs} repaired"),
        );
        let ProbeCounts { pass, fail, accepted, not_proven, not_applicable } = probes;
        let when = proven_at
            .map(|at| format!(", {} ago", short_duration(now.duration_since(at))))
            .unwrap_or_default();
        line(
            "Controls",
            format!(
                "{pass} proven, {fail} failed, {accepted} accepted, {not_proven} not proven, {not_applicable} not applicable{when}"
            ),
        );
        line("Last error", last_error.as_deref().map(plain).unwrap_or_default());
        let access = self.access.iter().map(|grant| match &grant.principal_arn {
            Some(arn) => format!("{} {} ({arn})", grant.group, grant.role.as_str()),
            None => format!("{} {}", grant.group, grant.role.as_str()),
        });
        line("Access", access.collect::<Vec<_>>().join(", "));
    }
}
