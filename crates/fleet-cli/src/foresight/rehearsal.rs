//! The controller's planner, run against an EKS in memory until nothing is left to do.

use fleet_api::{
    KubernetesVersion,
    conditions::{self, Verdict, reason},
    eks::ClusterTarget,
    v1alpha1::{TenantCluster, TenantClusterSpec},
};
use fleet_plan::cluster::{ClusterPlan, attention, begin, note_outcome, plan};
use fleet_provider::{
    ClusterProvider as _,
    fake::{FakeEks, ManualClock},
};
use jiff::{SignedDuration, Timestamp};

use super::{NO_UID, Parts};
use crate::output::plan::ForeseenStep;

/// A plan that has not come to rest after so many looks is not foreseen any further.
const LOOKS: usize = 300;

/// One tenant's cluster in a world in memory.
pub(super) struct Rehearsal {
    clock: ManualClock,
    eks: FakeEks,
    cluster: TenantCluster,
    pub(super) steps: Vec<ForeseenStep>,
    /// Whether the baseline of this generation has been applied.
    hardened: bool,
    /// The minor that the last baseline was rendered for: rules depend on what the API server knows.
    hardened_for: Option<KubernetesVersion>,
}

impl Rehearsal {
    pub(super) fn new(now: Timestamp, spec: &TenantClusterSpec) -> Self {
        let clock = ManualClock::at(now);
        let eks = FakeEks::new(clock.reader());
        let mut cluster = TenantCluster::new(&spec.tenant, spec.clone());
        cluster.metadata.uid = Some(NO_UID.to_owned());
        cluster.metadata.generation = Some(0);
        let mut rehearsal =
            Self { clock, eks, cluster, steps: Vec::new(), hardened: false, hardened_for: None };
        rehearsal.change(spec, true);
        rehearsal
    }

    /// Brings the world to where a cluster stands: at rest as its spec wants it, or with some of that missing.
    pub(super) async fn stand_at(&mut self, before: &TenantClusterSpec, parts: Option<&Parts>) {
        self.change(before, true);
        self.until_at_rest().await;
        self.steps.clear();
        let Some(parts) = parts else { return };
        self.hardened = parts.proven;
        let tenants: Vec<String> =
            before.hardening.access.iter().filter_map(|grant| grant.principal_arn.clone()).collect();
        let nodes: Vec<String> = parts.nodes.iter().map(|group| group.name.clone()).collect();
        self.eks.edit(&before.cluster_name, |cluster| {
            cluster.keep_parts(&nodes, &parts.addons);
            for group in cluster.nodegroups_mut() {
                let seen = parts.nodes.iter().find(|one| one.name == group.name);
                group.version = seen.and_then(|one| one.version.parse().ok()).or(group.version);
            }
            if parts.addons.is_empty() {
                // Entries and identities are made in the same turn as the first add-ons.
                cluster.access_entries.clear();
                cluster.pod_identities.clear();
            } else if !parts.proven {
                cluster.access_entries.retain(|principal, _| !tenants.contains(principal));
            }
        });
        if let (false, Some(status)) = (parts.proven, &mut self.cluster.status) {
            status.conditions.clear();
        }
    }

    /// Gives the cluster another spec. Windows are told beside the steps, and not sat out.
    pub(super) fn change(&mut self, spec: &TenantClusterSpec, hardens: bool) {
        let minors = [self.cluster.spec.version.minor(), spec.version.minor()];
        let [low, high] = [minors[0].min(minors[1]), minors[0].max(minors[1])];
        // What EKS offers is not known here. The rehearsal takes it to offer what is asked for.
        self.eks.offer(low.saturating_sub(1)..=high);
        self.cluster.spec = TenantClusterSpec { maintenance: None, paused: false, ..spec.clone() };
        self.cluster.metadata.generation = self.cluster.metadata.generation.map(|generation| generation + 1);
        self.hardened &= !hardens;
        if self.hardened {
            self.prove();
        }
    }

    /// Plans and carries out until nothing is left to do; gives back why it came to rest before that.
    pub(super) async fn until_at_rest(&mut self) -> Vec<String> {
        let Some(target) = ClusterTarget::of(&self.cluster) else { return Vec::new() };
        let mut focus = attention(&self.cluster);
        for _ in 0..LOOKS {
            let Ok(seen) = self.eks.observe(&target, &focus).await else { return Vec::new() };
            let made = plan(&self.cluster, &seen, self.clock.now());
            let mut status = self.cluster.status.take().unwrap_or_default();
            made.record(&mut status, self.cluster.metadata.generation, self.clock.now());
            let version = made.versions.control_plane;
            if let (true, Some(before), Some(now)) = (self.hardened, self.hardened_for, version)
                && before < now
            {
                self.hardened_for = version;
                self.steps.push(harden(format!("Apply the baseline for {now} and prove it")));
            }
            for step in &made.steps {
                begin(&mut status, step, self.clock.now());
                let Ok(outcome) = self.eks.carry_out(&target, step).await else { continue };
                note_outcome(&mut status, step, &outcome, self.clock.now());
                let spec = &self.cluster.spec;
                self.steps.push(ForeseenStep {
                    id: without_uid(&step.id, spec),
                    summary: in_words(&step.id, &step.summary, spec),
                    disruptive: step.disruptive,
                    expected_minutes: step.expected_minutes,
                    not_before: None,
                });
            }
            self.cluster.status = Some(status);
            if made.enterable && !self.hardened {
                self.hardened = true;
                self.hardened_for = version;
                self.prove();
                self.steps.push(harden("Apply the baseline and prove it".to_owned()));
            } else if made.steps.is_empty() {
                if let Some(reasons) = at_rest(&made) {
                    return reasons;
                }
                self.clock.advance(made.look_again_after.max(SignedDuration::from_mins(1)));
            }
            focus = attention(&self.cluster);
            focus.addons.extend(made.focus.addons);
            focus.readiness |= made.focus.readiness;
            focus.subnets = made.focus.subnets;
        }
        vec!["what follows is too far away to be foreseen".to_owned()]
    }

    fn prove(&mut self) {
        let generation = self.cluster.metadata.generation;
        let status = self.cluster.status.get_or_insert_default();
        for type_ in [conditions::REACHABLE, conditions::HARDENED, conditions::PROVEN] {
            let verdict = Verdict::holds(type_, reason::AS_WANTED, "foreseen");
            conditions::set(&mut status.conditions, &verdict, generation, self.clock.now());
        }
    }
}

/// What the baseline engine does, which is no step of the planner's.
fn harden(summary: String) -> ForeseenStep {
    let id = "baseline".to_owned();
    ForeseenStep { id, summary, disruptive: false, expected_minutes: 1, not_before: None }
}

/// Nothing, when all is as wanted; what is in the way, when somebody has to act; `None` while the cloud is at work.
fn at_rest(plan: &ClusterPlan) -> Option<Vec<String>> {
    if plan.verdicts.iter().all(|verdict| verdict.status == Some(true)) {
        return Some(Vec::new());
    }
    let blocked = plan.verdicts.iter().any(|verdict| verdict.reason == reason::BLOCKED);
    blocked.then(|| {
        let needs = plan.report.iter().filter(|entry| fleet_plan::report::needs_somebody(entry));
        needs.map(|entry| entry.message.clone()).collect()
    })
}

/// The step without what only the world in memory says: versions of add-ons, and a name that derives from a UID.
fn in_words(id: &str, summary: &str, spec: &TenantClusterSpec) -> String {
    let mut parts = id.split('/');
    let text = match (parts.next(), parts.next(), parts.next()) {
        (Some("addon"), Some(name), Some("create")) => format!("Install add-on {name}"),
        // A change of settings alone names no version.
        (Some("addon"), Some(name), Some("update")) if summary.starts_with("Update ") => {
            format!("Update add-on {name}")
        }
        _ => summary.to_owned(),
    };
    without_uid(&text, spec)
}

/// A text without the name that derives from the UID of a tenant which has none yet.
fn without_uid(text: &str, spec: &TenantClusterSpec) -> String {
    if spec.tenant_uid == NO_UID { text.replace(&spec.cluster_name, &spec.tenant) } else { text.to_owned() }
}
