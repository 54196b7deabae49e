//! What the controller is going to do about a spec: its own planner, run against an EKS in memory.
//!
//! The planner is the one that the controller runs. The world is not the real one: it is brought to where the
//! management cluster says that the tenant's cluster is, and what differs from that in the cloud is not foreseen.

use fleet_api::{
    conditions::{self, Verdict, reason},
    eks::ClusterTarget,
    v1alpha1::{Tenant, TenantCluster, TenantClusterSpec},
};
use fleet_exec::hub::Inventory;
use fleet_plan::{
    cluster::{ClusterPlan, attention, begin, note_outcome, plan},
    compose::{Composed, Sources, compose},
    windows::{Permission, permission},
};
use fleet_provider::{
    ClusterProvider as _,
    fake::{FakeEks, ManualClock},
};
use fleet_spec::ValidatedFleet;
use jiff::{SignedDuration, Timestamp};

use crate::output::plan::{Foreseen, ForeseenStep};

/// Stands for the UID of a tenant that no API server has stored: names in the cloud derive from it.
pub(crate) const NO_UID: &str = "00000000-0000-0000-0000-000000000000";
/// How many tenants are foreseen in detail; the rest of a large change is alike.
const TENANTS: usize = 50;
/// A plan that has not come to rest after so many looks is not foreseen any further.
const LOOKS: usize = 300;

/// The steps that follow for every tenant whose cluster is to become another.
pub(crate) async fn foresee(wanted: &ValidatedFleet, inventory: &Inventory, now: Timestamp) -> Vec<Foreseen> {
    let mut foreseen = Vec::new();
    let mut left_out = 0;
    for (name, tenant) in &wanted.tenants {
        let existing = inventory.clusters.iter().find(|cluster| cluster.spec.tenant == *name);
        let stored = inventory.tenants.iter().find(|tenant| tenant.metadata.name.as_ref() == Some(name));
        let composed = match composed(tenant, stored, existing, wanted, inventory, now) {
            Ok(composed) => composed,
            Err(notes) => {
                foreseen.push(Foreseen { tenant: name.clone(), steps: Vec::new(), notes });
                continue;
            }
        };
        let baseline = baseline_changes(wanted, inventory, &composed.spec.hardening.baseline);
        if existing.is_some_and(|cluster| cluster.spec == composed.spec) && !baseline {
            continue;
        }
        if foreseen.len() >= TENANTS {
            left_out += 1;
            continue;
        }
        foreseen.push(of_tenant(name, existing, composed, baseline, now).await);
    }
    if left_out > 0
        && let Some(last) = foreseen.last_mut()
    {
        last.notes.push(format!("{left_out} more tenants change; they are not shown"));
    }
    foreseen
}

/// The cluster's spec as the controller will compose it, from the spec and what it leaves to the management cluster.
fn composed(
    tenant: &Tenant,
    stored: Option<&Tenant>,
    existing: Option<&TenantCluster>,
    wanted: &ValidatedFleet,
    inventory: &Inventory,
    now: Timestamp,
) -> Result<Composed, Vec<String>> {
    let mut tenant = tenant.clone();
    let uid = stored.and_then(|stored| stored.metadata.uid.clone());
    tenant.metadata.uid = Some(uid.unwrap_or_else(|| NO_UID.to_owned()));
    let mut channels = wanted.channels.clone();
    for channel in &inventory.channels {
        channels.entry(channel.metadata.name.clone().unwrap_or_default()).or_insert_with(|| channel.clone());
    }
    let of_hub =
        |class: &&fleet_api::v1alpha1::TenantClass| class.metadata.name.as_ref() == Some(&tenant.spec.class);
    let class = wanted.classes.get(&tenant.spec.class).or_else(|| inventory.classes.iter().find(of_hub));
    let fleet = if wanted.fleet_given { Some(&wanted.fleet) } else { inventory.fleet.as_ref() };
    let existing = existing.map(|cluster| &cluster.spec);
    // What the tenant's people chose is theirs, and no part of a spec: it stays as it stands.
    let chosen = existing.and_then(|spec| spec.maintenance.as_ref()).and_then(|times| times.chosen.as_ref());
    let sources = Sources { class, fleet, channels: &channels, chosen, existing };
    compose(&tenant, &sources, now).map_err(|report| report.into_iter().map(|entry| entry.message).collect())
}

/// Whether the spec changes the baseline of this name.
fn baseline_changes(wanted: &ValidatedFleet, inventory: &Inventory, name: &str) -> bool {
    let new = wanted.baselines.get(name);
    let old = inventory.baselines.iter().find(|baseline| baseline.metadata.name.as_deref() == Some(name));
    matches!((new, old), (Some(new), Some(old)) if new.spec != old.spec)
}

async fn of_tenant(
    name: &str,
    existing: Option<&TenantCluster>,
    composed: Composed,
    baseline: bool,
    now: Timestamp,
) -> Foreseen {
    let Composed { spec, notes } = composed;
    let mut notes: Vec<String> = notes.into_iter().map(|entry| entry.message).collect();
    let before = existing.map(|cluster| {
        let have = cluster.status.as_ref().and_then(|status| status.versions.control_plane);
        // Where it is and not where it was to be: an upgrade that waits for its window is still to come.
        TenantClusterSpec { version: have.unwrap_or(cluster.spec.version), ..cluster.spec.clone() }
    });
    let mut rehearsal = Rehearsal::new(now, before.as_ref().unwrap_or(&spec));
    if before.is_some() {
        rehearsal.until_at_rest().await;
        rehearsal.steps.clear();
        rehearsal.hardened = true;
    }
    let hardens =
        before.as_ref().is_none_or(|before| before.hardening != spec.hardening || before.owner != spec.owner);
    rehearsal.change(&spec, hardens || baseline);
    notes.extend(rehearsal.until_at_rest().await);
    if before.is_some_and(|before| before.version != spec.version) && !rehearsal.steps.is_empty() {
        // Rules depend on what the API server knows, so each version has a baseline of its own.
        rehearsal.steps.push(harden(format!("Apply the baseline for {} and prove it", spec.version)));
    }
    let disruptive =
        rehearsal.steps.iter().filter(|step| step.disruptive).map(|step| step.expected_minutes).max();
    if spec.paused {
        notes.push("the tenant is paused: nothing of it happens before that ends".to_owned());
    } else if let Some(minutes) = disruptive {
        notes.extend(window(&spec, now, minutes));
    }
    Foreseen { tenant: name.to_owned(), steps: rehearsal.steps, notes }
}

/// When a disruptive step may begin, when that is not now.
fn window(spec: &TenantClusterSpec, now: Timestamp, minutes: i64) -> Option<String> {
    match permission(spec.maintenance.as_ref(), now, minutes).ok()? {
        Permission::Now { .. } => None,
        Permission::Later { at: Some(at), .. } => {
            Some(format!("what disturbs workloads waits for the window that opens at {at:.0}"))
        }
        Permission::Later { at: None, .. } => {
            Some(format!("no window of at least {minutes} min opens within a year"))
        }
    }
}

/// One tenant's cluster in a world in memory.
struct Rehearsal {
    clock: ManualClock,
    eks: FakeEks,
    cluster: TenantCluster,
    steps: Vec<ForeseenStep>,
    /// Whether the baseline of this generation has been applied.
    hardened: bool,
}

impl Rehearsal {
    fn new(now: Timestamp, spec: &TenantClusterSpec) -> Self {
        let clock = ManualClock::at(now);
        let eks = FakeEks::new(clock.reader());
        let mut cluster = TenantCluster::new(&spec.tenant, spec.clone());
        cluster.metadata.uid = Some(NO_UID.to_owned());
        cluster.metadata.generation = Some(0);
        let mut rehearsal = Self { clock, eks, cluster, steps: Vec::new(), hardened: false };
        rehearsal.change(spec, true);
        rehearsal
    }

    /// Gives the cluster another spec. Windows are told beside the steps, and not sat out.
    fn change(&mut self, spec: &TenantClusterSpec, hardens: bool) {
        self.cluster.spec = TenantClusterSpec { maintenance: None, paused: false, ..spec.clone() };
        self.cluster.metadata.generation = self.cluster.metadata.generation.map(|generation| generation + 1);
        self.hardened &= !hardens;
        if self.hardened {
            self.prove();
        }
    }

    /// Plans and carries out until nothing is left to do; gives back why it came to rest before that.
    async fn until_at_rest(&mut self) -> Vec<String> {
        let Some(target) = ClusterTarget::of(&self.cluster) else { return Vec::new() };
        let mut focus = attention(&self.cluster);
        for _ in 0..LOOKS {
            let Ok(seen) = self.eks.observe(&target, &focus).await else { return Vec::new() };
            let made = plan(&self.cluster, &seen, self.clock.now());
            let mut status = self.cluster.status.take().unwrap_or_default();
            made.record(&mut status, self.cluster.metadata.generation, self.clock.now());
            for step in &made.steps {
                begin(&mut status, step, self.clock.now());
                let Ok(outcome) = self.eks.carry_out(&target, step).await else { continue };
                note_outcome(&mut status, step, &outcome, self.clock.now());
                self.steps.push(ForeseenStep {
                    summary: in_words(&step.id, &step.summary, &self.cluster.spec),
                    disruptive: step.disruptive,
                    expected_minutes: step.expected_minutes,
                });
            }
            self.cluster.status = Some(status);
            if made.enterable && !self.hardened {
                self.hardened = true;
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
const fn harden(summary: String) -> ForeseenStep {
    ForeseenStep { summary, disruptive: false, expected_minutes: 1 }
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
        (Some("addon"), Some(name), Some("update")) => format!("Update add-on {name}"),
        _ => summary.to_owned(),
    };
    if spec.tenant_uid == NO_UID { text.replace(&spec.cluster_name, &spec.tenant) } else { text }
}

#[cfg(test)]
mod tests {
    use fleet_spec::{Context, Input, check, load};

    use super::*;

    fn demo() -> ValidatedFleet {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fleet/demo").into();
        check(&load(&[Input::Path(folder)]), &Context::on("2026-11-24".parse().unwrap())).unwrap().fleet
    }

    /// A management cluster on which the controller has brought every tenant of the spec to rest.
    fn at_rest_with(fleet: &ValidatedFleet) -> Inventory {
        let now = moment();
        let mut inventory = Inventory {
            fleet: Some(fleet.fleet.clone()),
            classes: fleet.classes.values().cloned().collect(),
            channels: fleet.channels.values().cloned().collect(),
            baselines: fleet.baselines.values().cloned().collect(),
            ..Inventory::default()
        };
        for (name, tenant) in &fleet.tenants {
            let mut stored = tenant.clone();
            stored.metadata.uid = Some(format!("uid-{name}"));
            let spec = composed(tenant, Some(&stored), None, fleet, &inventory, now).unwrap().spec;
            inventory.tenants.push(stored);
            inventory.clusters.push(TenantCluster::new(name, spec));
        }
        inventory
    }

    fn moment() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    fn summaries(foreseen: &[Foreseen], tenant: &str) -> Vec<String> {
        let found = foreseen.iter().filter(|foreseen| foreseen.tenant == tenant);
        found.flat_map(|foreseen| &foreseen.steps).map(|step| step.summary.clone()).collect()
    }

    #[tokio::test]
    async fn a_new_fleet_is_foreseen_from_the_first_cluster_to_the_access_that_comes_last() {
        let foreseen = foresee(&demo(), &Inventory::default(), moment()).await;
        assert_eq!(foreseen.len(), 3);
        let steps = summaries(&foreseen, "initech-batch");
        assert_eq!(steps.first().map(String::as_str), Some("Create cluster initech-batch at 1.35"));
        assert!(steps.contains(&"Apply the baseline and prove it".to_owned()), "{steps:?}");
        assert!(steps.last().unwrap().contains("initech-batch-admin"), "{steps:?}");
        let regulated = summaries(&foreseen, "acme-payments");
        assert!(regulated.contains(&"Install add-on coredns".to_owned()), "{regulated:?}");
        assert_eq!(foreseen.iter().find(|one| !one.notes.is_empty()), None);
    }

    #[tokio::test]
    async fn a_fleet_at_rest_has_nothing_to_come() {
        let fleet = demo();
        assert_eq!(foresee(&fleet, &at_rest_with(&fleet), moment()).await, []);
    }

    #[tokio::test]
    async fn an_upgrade_is_foreseen_with_the_window_that_it_waits_for() {
        let fleet = demo();
        let inventory = at_rest_with(&fleet);
        let mut wanted = fleet.clone();
        wanted.channels.get_mut("stable").unwrap().spec.versions[0].version = "1.36".parse().unwrap();
        let foreseen = foresee(&wanted, &inventory, moment()).await;
        let tenants: Vec<&str> = foreseen.iter().map(|foreseen| foreseen.tenant.as_str()).collect();
        assert_eq!(tenants, ["acme-payments"]);
        let steps = summaries(&foreseen, "acme-payments");
        assert_eq!(steps[0], "Upgrade the control plane from 1.35 to 1.36", "{steps:?}");
        assert!(steps.iter().any(|step| step.contains("node group workers")), "{steps:?}");
        // Tuesday, 22:00 in Berlin.
        assert!(foreseen[0].notes[0].contains("2026-11-24T21:00:00Z"), "{:?}", foreseen[0].notes);
    }

    #[tokio::test]
    async fn a_changed_baseline_is_applied_to_every_tenant_that_has_it() {
        let fleet = demo();
        let inventory = at_rest_with(&fleet);
        let mut wanted = fleet.clone();
        let parameters = &mut wanted.baselines.get_mut("standard").unwrap().spec.parameters;
        parameters.allowed_registries.push("registry.example.com/".to_owned());
        let foreseen = foresee(&wanted, &inventory, moment()).await;
        for tenant in ["globex-web", "initech-batch"] {
            assert_eq!(summaries(&foreseen, tenant), ["Apply the baseline and prove it"]);
        }
        assert_eq!(foreseen.len(), 2);
    }
}
