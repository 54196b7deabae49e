//! What the controller is going to do about a spec: its own planner, run against an EKS in memory.
//!
//! The planner is the one that the controller runs. The world is not the real one: it is brought to where the
//! management cluster says that the tenant's cluster is, and what differs from that in the cloud is not foreseen.

mod rehearsal;

use fleet_api::{
    KubernetesVersion, conditions,
    v1alpha1::{ComponentVersion, Tenant, TenantCluster, TenantClusterSpec},
};
use fleet_exec::hub::Inventory;
use fleet_plan::{
    compose::{Composed, Sources, compose},
    windows::{Change, Permission, permission, permission_for},
};
use fleet_spec::ValidatedFleet;
use jiff::Timestamp;

use self::rehearsal::Rehearsal;
use crate::output::plan::Foreseen;

/// Stands for the UID of a tenant that no API server has stored: names in the cloud derive from it.
pub(crate) const NO_UID: &str = "00000000-0000-0000-0000-000000000000";
/// How many tenants are foreseen in detail; the rest of a large change is alike.
const TENANTS: usize = 50;
/// The id of the step that makes a control plane.
const CREATE: &str = "create-cluster";

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
    // What the tenant's people chose is theirs, and no part of a spec: it stays as it stands.
    let chosen = existing
        .and_then(|cluster| cluster.spec.maintenance.as_ref())
        .and_then(|times| times.chosen.as_ref());
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
    let mut rehearsal = Rehearsal::new(now, &spec);
    let standing = existing.map_or(Standing::Absent, standing);
    if let (Standing::Up { version, parts }, Some(existing)) = (&standing, existing) {
        // Where it is and not where it was to be: an upgrade that waits for its window is still to come.
        let before = TenantClusterSpec { version: *version, ..existing.spec.clone() };
        let hardens = before.hardening != spec.hardening || before.owner != spec.owner;
        rehearsal.stand_at(&before, parts.as_ref()).await;
        rehearsal.change(&spec, hardens || baseline);
    }
    notes.extend(rehearsal.until_at_rest().await);
    let mut steps = rehearsal.steps;
    if standing == Standing::BeingMade {
        steps.retain(|step| step.id != CREATE);
        notes.push("the cloud is creating the cluster already".to_owned());
    }
    let disruptive = steps.iter().filter(|step| step.disruptive).map(|step| step.expected_minutes).max();
    if spec.paused {
        notes.push("the tenant is paused: nothing of it happens before that ends".to_owned());
    } else {
        let status = existing.and_then(|cluster| cluster.status.as_ref());
        let begins = Change::Begins { last: status.and_then(|status| status.versions.last_disrupted_at()) };
        steps.iter_mut().filter(|step| step.disruptive).for_each(|step| {
            let maintenance = spec.maintenance.as_ref();
            step.not_before = match permission_for(maintenance, begins, now, step.expected_minutes) {
                Ok(Permission::Later { at, .. }) => at,
                Ok(Permission::Now { .. }) | Err(_) => None,
            };
        });
        notes.extend(disruptive.and_then(|minutes| window(&spec, now, minutes)));
    }
    Foreseen { tenant: name.to_owned(), steps, notes }
}

/// How far a tenant's cluster is, as its status says.
#[derive(Debug, Clone, PartialEq)]
enum Standing {
    /// Nothing of it was seen.
    Absent,
    /// The cloud is creating the control plane.
    BeingMade,
    /// The control plane is up.
    Up {
        /// The control plane's minor.
        version: KubernetesVersion,
        /// What is in it, when it is not all that its spec wants.
        parts: Option<Parts>,
    },
}

/// What a cluster that is not finished was last seen to have.
#[derive(Debug, Clone, PartialEq)]
struct Parts {
    nodes: Vec<ComponentVersion>,
    addons: Vec<String>,
    proven: bool,
}

fn standing(cluster: &TenantCluster) -> Standing {
    let Some(status) = &cluster.status else { return Standing::Absent };
    let Some(version) = status.versions.control_plane else {
        return if status.arn.is_some() { Standing::BeingMade } else { Standing::Absent };
    };
    let holds =
        |type_: &str| conditions::get(&status.conditions, type_).is_some_and(|one| one.status == "True");
    let finished = holds(conditions::PROVISIONED) && holds(conditions::UP_TO_DATE);
    let parts = Parts {
        nodes: status.versions.nodes.clone(),
        addons: status.versions.addons.iter().map(|addon| addon.name.clone()).collect(),
        proven: holds(conditions::PROVEN),
    };
    Standing::Up { version, parts: (!finished).then_some(parts) }
}

/// That no window is long enough for a disruptive step, when that is so.
fn window(spec: &TenantClusterSpec, now: Timestamp, minutes: i64) -> Option<String> {
    match permission(spec.maintenance.as_ref(), now, minutes).ok()? {
        Permission::Now { .. } | Permission::Later { at: Some(_), .. } => None,
        Permission::Later { at: None, .. } => {
            Some(format!("no window of at least {minutes} min opens within a year"))
        }
    }
}

#[cfg(test)]
mod tests;
