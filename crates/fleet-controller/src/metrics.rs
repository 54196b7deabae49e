//! Every metric of the controller, with labels from fixed sets only: no label names a tenant.

use std::{collections::BTreeMap, fmt, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::rollout::RolloutFacts;

/// Which loop.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// Which loop, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    kind: &'static str,
    result: &'static str,
}

/// Which kind of step, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    action: &'static str,
    result: &'static str,
}

/// Which class of error.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: &'static str,
}

/// Which part of clusters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabel {
    part: &'static str,
}

/// Which phase rollouts are in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

/// Which rollout: only those that are not over, so that the number stays small.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RolloutLabel {
    rollout: String,
}

/// Which rollout, and which state of its members.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MembersLabels {
    rollout: String,
    state: &'static str,
}

/// Which rollout, and the code of what stands in the way of members.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BlockedLabels {
    rollout: String,
    code: String,
}

/// The version that runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// The metrics of one controller process.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    durations: Family<KindLabel, Histogram>,
    steps: Family<StepLabels, Counter>,
    provider_errors: Family<ClassLabel, Counter>,
    status_writes: Family<KindLabel, Counter>,
    watch_errors: Family<KindLabel, Counter>,
    repairs: Counter,
    engines: Gauge,
    tenants: Gauge,
    tenants_ready: Gauge,
    failing: Family<PartLabel, Gauge>,
    leader: Gauge,
    rollouts: Family<PhaseLabel, Gauge>,
    rollout_members: Family<MembersLabels, Gauge>,
    rollout_wave_age: Family<RolloutLabel, Gauge>,
    rollout_overdue: Family<RolloutLabel, Gauge>,
    rollout_blocked: Family<BlockedLabels, Gauge>,
    rollout_missing: Family<RolloutLabel, Gauge>,
    ticks: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that all stand at zero, under the prefix `fleet`.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("fleet");
        let reconciles = Family::<ReconcileLabels, Counter>::default();
        registry.register("reconciles", "Reconciles by kind and result", reconciles.clone());
        let durations = Family::<KindLabel, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 4.0, 10))
        });
        registry.register("reconcile_duration_seconds", "How long a reconcile takes", durations.clone());
        let steps = Family::<StepLabels, Counter>::default();
        registry.register("steps", "Steps carried out, by action and result", steps.clone());
        let provider_errors = Family::<ClassLabel, Counter>::default();
        registry.register("provider_errors", "Errors of the cloud by class", provider_errors.clone());
        let status_writes = Family::<KindLabel, Counter>::default();
        registry.register("status_writes", "Statuses written, by kind", status_writes.clone());
        let watch_errors = Family::<KindLabel, Counter>::default();
        registry.register(
            "watch_errors",
            "Watches of the management cluster that broke off, and objects that could not be read",
            watch_errors.clone(),
        );
        let repairs = Counter::default();
        registry.register("baseline_repairs", "Objects of baselines that were put back", repairs.clone());
        let engines = Gauge::default();
        registry.register("baseline_engines", "Tenants' clusters that are watched", engines.clone());
        let tenants = Gauge::default();
        registry.register("tenants", "Tenants", tenants.clone());
        let tenants_ready = Gauge::default();
        registry.register("tenants_ready", "Tenants whose Ready condition is true", tenants_ready.clone());
        let failing = Family::<PartLabel, Gauge>::default();
        registry.register(
            "clusters_failing",
            "Clusters with a step that failed and has neither succeeded since nor been given up, by the part it is about",
            failing.clone(),
        );
        let leader = Gauge::default();
        registry.register("leader", "1 while this replica holds the lease", leader.clone());
        let rollouts = Family::<PhaseLabel, Gauge>::default();
        registry.register("rollouts", "Rollouts by phase", rollouts.clone());
        let rollout_members = Family::<MembersLabels, Gauge>::default();
        registry.register(
            "rollout_members",
            "Members of rollouts that are not over, by state",
            rollout_members.clone(),
        );
        let rollout_wave_age = Family::<RolloutLabel, Gauge>::default();
        registry.register(
            "rollout_wave_age_seconds",
            "For how long the present wave of a rollout that is not over has been under way",
            rollout_wave_age.clone(),
        );
        let rollout_overdue = Family::<RolloutLabel, Gauge>::default();
        registry.register(
            "rollout_overdue_seconds",
            "For how long a rollout should have got further and has not; 0 while it waits as it should",
            rollout_overdue.clone(),
        );
        let rollout_blocked = Family::<BlockedLabels, Gauge>::default();
        registry.register(
            "rollout_members_blocked",
            "Members that something stands in the way of before they begin, by the code of the first thing that does",
            rollout_blocked.clone(),
        );
        let rollout_missing = Family::<RolloutLabel, Gauge>::default();
        registry.register(
            "rollout_waiting_for_records",
            "Records of members that a started rollout has planned and that are not there",
            rollout_missing.clone(),
        );
        let ticks = Histogram::new(exponential_buckets(0.0001, 4.0, 10));
        registry.register(
            "rollout_tick_duration_seconds",
            "How long a tick of a rollout takes",
            ticks.clone(),
        );
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build", "The version that runs", build);
        Self {
            registry,
            reconciles,
            durations,
            steps,
            provider_errors,
            status_writes,
            watch_errors,
            repairs,
            engines,
            tenants,
            tenants_ready,
            failing,
            leader,
            rollouts,
            rollout_members,
            rollout_wave_age,
            rollout_overdue,
            rollout_blocked,
            rollout_missing,
            ticks,
        }
    }

    /// One tick of a rollout was made.
    pub(crate) fn ticked(&self, took: Duration) {
        self.ticks.observe(took.as_secs_f64());
    }

    /// So many rollouts are in each phase, and this is known of those that are not over. What was told before is dropped:
    /// a rollout that is over must not be told of for ever.
    pub(crate) fn rollouts(&self, phases: &[(&'static str, usize)], facts: &[RolloutFacts]) {
        self.rollouts.clear();
        for (phase, count) in phases {
            self.rollouts.get_or_create(&PhaseLabel { phase }).set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
        self.rollout_members.clear();
        self.rollout_wave_age.clear();
        self.rollout_overdue.clear();
        self.rollout_blocked.clear();
        self.rollout_missing.clear();
        for RolloutFacts { name, members, wave_age, overdue, blocked, missing } in facts {
            let rollout = || RolloutLabel { rollout: name.clone() };
            for (state, count) in members {
                let labels = MembersLabels { rollout: name.clone(), state };
                self.rollout_members.get_or_create(&labels).set((*count).into());
            }
            if let Some(age) = wave_age {
                self.rollout_wave_age.get_or_create(&rollout()).set(*age);
            }
            if let Some(overdue) = overdue {
                self.rollout_overdue.get_or_create(&rollout()).set(*overdue);
            }
            for (code, count) in blocked {
                let labels = BlockedLabels { rollout: name.clone(), code: code.clone() };
                self.rollout_blocked.get_or_create(&labels).set(*count);
            }
            self.rollout_missing.get_or_create(&rollout()).set(*missing);
        }
    }

    /// One reconcile of a loop ended.
    pub(crate) fn reconciled(&self, kind: &'static str, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { kind, result }).inc();
        self.durations.get_or_create(&KindLabel { kind }).observe(took.as_secs_f64());
    }

    /// One step was carried out, or failed.
    pub(crate) fn step(&self, action: &'static str, result: &'static str) {
        self.steps.get_or_create(&StepLabels { action, result }).inc();
    }

    /// The cloud answered with an error.
    pub(crate) fn provider_error(&self, class: &'static str) {
        self.provider_errors.get_or_create(&ClassLabel { class }).inc();
    }

    /// A status was written.
    pub(crate) fn status_written(&self, kind: &'static str) {
        self.status_writes.get_or_create(&KindLabel { kind }).inc();
    }

    /// A watch broke off, or an object could not be read.
    pub(crate) fn watch_error(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&KindLabel { kind }).inc();
    }

    /// Objects of a baseline were put back.
    pub(crate) fn repaired(&self, objects: u64) {
        self.repairs.inc_by(objects);
    }

    /// So many tenants' clusters are watched.
    pub(crate) fn engines(&self, count: usize) {
        self.engines.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// This replica holds the lease, or does not.
    pub(crate) fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// So many tenants are there, and so many of them ready.
    pub(crate) fn tenants(&self, all: usize, ready: usize) {
        self.tenants.set(i64::try_from(all).unwrap_or(i64::MAX));
        self.tenants_ready.set(i64::try_from(ready).unwrap_or(i64::MAX));
    }

    /// So many clusters have a failed step, by the part that it is about.
    pub(crate) fn failing(&self, clusters: &BTreeMap<&'static str, i64>) {
        self.failing.clear();
        for (part, count) in clusters {
            self.failing.get_or_create(&PartLabel { part }).set(*count);
        }
    }

    /// The metrics in the text format of OpenMetrics.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut body = String::new();
        text::encode(&mut body, &self.registry)?;
        Ok(body)
    }
}

#[cfg(test)]
mod alerts;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_metric_has_a_label_that_names_a_tenant() {
        let metrics = Metrics::new();
        metrics.reconciled("TenantCluster", "ok", Duration::from_millis(20));
        metrics.step("CreateCluster", "ok");
        metrics.provider_error("Throttled");
        let facts = RolloutFacts {
            name: "to-136".to_owned(),
            members: [("succeeded", 3); 7],
            wave_age: Some(60),
            overdue: Some(7),
            blocked: [("BudgetBlocks".to_owned(), 2)].into(),
            missing: 1,
        };
        metrics.rollouts(&[("Running", 1)], &[facts]);
        metrics.ticked(Duration::from_millis(2));
        let body = metrics.encode().unwrap();
        for line in [
            r#"fleet_reconciles_total{kind="TenantCluster",result="ok"} 1"#,
            r#"fleet_rollout_members{rollout="to-136",state="succeeded"} 3"#,
            r#"fleet_rollout_overdue_seconds{rollout="to-136"} 7"#,
            r#"fleet_rollout_members_blocked{rollout="to-136",code="BudgetBlocks"} 2"#,
            r#"fleet_rollout_waiting_for_records{rollout="to-136"} 1"#,
        ] {
            assert!(body.contains(line), "{line}: {body}");
        }
        metrics.rollouts(&[("Completed", 1)], &[]);
        assert!(!metrics.encode().unwrap().contains("to-136"), "what is over is told of no longer");
        assert!(!body.contains("tenant=") && !body.contains("cluster="), "{body}");
    }
}
