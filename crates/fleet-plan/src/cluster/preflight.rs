//! What would stand in the way of a rollout's move, looked for while nothing changes.

use fleet_api::{
    KubernetesVersion, conditions,
    eks::{EksCluster, EksClusterStatus, EksObservation},
    inside::Inside,
    step::Seen,
    text::Day,
    v1alpha1::{AddonChoice, ControlExceptionSpec, EksClass, Move, ReportEntry, TenantCluster},
};
use jiff::Timestamp;

use super::{ClusterPlan, draft::Draft, under_move, version};
use crate::report::{Code, Who, entry, entry_with_hint, settle};

/// What is around a cluster, beside what the cloud shows of it.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// What was seen inside the cluster.
    pub inside: &'a Seen<Inside>,
    /// The exceptions of the tenant.
    pub exceptions: &'a [ControlExceptionSpec],
    /// The names of the baselines that there are.
    pub baselines: &'a [String],
    /// Up to which day the rollout may take for the cluster, its soak included.
    pub until: Day,
    /// The present day.
    pub today: Day,
}

/// What a preflight found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preflight {
    /// Whether everything could be looked at. Without it, no blockers say nothing.
    pub looked: bool,
    /// What stands in the way, each with who can act. At most 16.
    pub blockers: Vec<ReportEntry>,
}

/// Looks for what would stand in the way of a move that a rollout prepares. Nothing changes by it.
///
/// `cluster` carries the conditions of this look, and `plan` is the plan that was made of it.
pub fn preflight(
    cluster: &TenantCluster,
    wanted: &Move,
    seen: &EksObservation,
    plan: &ClusterPlan,
    around: &Surroundings<'_>,
    now: Timestamp,
) -> Preflight {
    let mut found = Found { looked: true, blockers: Vec::new() };
    at_rest(cluster, plan, &mut found);
    let (Some(present), Some(class)) = (seen.cluster.present(), cluster.spec.eks.as_ref()) else {
        found.unknown(entry(Code::ClusterUnknown, Who::Nobody, "the cluster could not be read"));
        return found.into_preflight();
    };
    if let Some(target) = wanted.version.filter(|target| *target > present.version) {
        upgrade(cluster, class, present, target, seen, &mut found, now);
        inside(around.inside, &mut found);
    }
    if let Some(baseline) = wanted.baseline.as_ref().filter(|name| !around.baselines.contains(name)) {
        found.block(entry_with_hint(
            Code::NotReady,
            Who::Operator,
            format!("there is no Baseline `{baseline}`"),
            format!("apply a Baseline named `{baseline}`"),
        ));
    }
    addons(&wanted.addons, present.version, seen, &mut found);
    exceptions(around, &mut found);
    found.into_preflight()
}

/// What has been found so far.
struct Found {
    looked: bool,
    blockers: Vec<ReportEntry>,
}

impl Found {
    fn block(&mut self, entry: ReportEntry) {
        self.blockers.push(entry);
    }

    /// Something could not be looked at: told, and nothing passes on it.
    fn unknown(&mut self, entry: ReportEntry) {
        self.looked = false;
        self.blockers.push(entry);
    }

    fn into_preflight(self) -> Preflight {
        Preflight { looked: self.looked, blockers: settle(self.blockers) }
    }
}

/// The cluster is well and proven, and nothing of it is in motion.
fn at_rest(cluster: &TenantCluster, plan: &ClusterPlan, found: &mut Found) {
    let generation = cluster.metadata.generation;
    let known = cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let parts = [conditions::REACHABLE, conditions::PROVISIONED, conditions::HARDENED, conditions::PROVEN];
    for part in parts {
        if conditions::is_true(known, part, generation) {
            continue;
        }
        match conditions::get(known, part) {
            Some(condition) if condition.status == "False" => found.block(entry_with_hint(
                Code::NotReady,
                Who::Operator,
                format!("{part} does not hold: {}", condition.message),
                "`fleet why` says what the cluster waits for",
            )),
            _ => found.unknown(entry(Code::NotReady, Who::Nobody, format!("{part} is not known at present"))),
        }
    }
    if plan.in_flight.is_some() || !plan.steps.is_empty() {
        let what = plan.in_flight.as_ref().map(|step| step.summary.clone());
        let what = what.or_else(|| plan.steps.first().map(|step| step.summary.clone())).unwrap_or_default();
        found.block(entry(
            Code::PartsUnsettled,
            Who::Nobody,
            format!("the cluster is being changed: {what}"),
        ));
    }
    if cluster.spec.paused {
        found.block(entry_with_hint(
            Code::Paused,
            Who::Operator,
            "the tenant is paused",
            format!("take the annotation `{}` from the tenant", fleet_api::labels::PAUSED),
        ));
    }
}

/// The gates that the planner itself has before an upgrade, for one minor ahead.
fn upgrade(
    cluster: &TenantCluster,
    class: &EksClass,
    present: &EksCluster,
    target: KubernetesVersion,
    seen: &EksObservation,
    found: &mut Found,
    now: Timestamp,
) {
    if target.ahead_of(present.version) > 1 {
        found.block(entry_with_hint(
            Code::VersionNotOffered,
            Who::Operator,
            format!("{target} is {} minors ahead of {}", target.ahead_of(present.version), present.version),
            "plan a rollout for each minor in between",
        ));
        return;
    }
    if !matches!(present.status, EksClusterStatus::Active) {
        found.block(entry(Code::PartsUnsettled, Who::Cloud, "the control plane is being changed"));
    }
    // A draft of its own, as if the move went ahead: nothing of it is carried out.
    let mut imagined = cluster.clone();
    imagined.spec.version = target;
    let imagined = &*under_move(&imagined);
    let mut draft = Draft::new(imagined, seen, now);
    if version::offered(&mut draft, target) {
        version::gates(&mut draft, class, (present.version, target), version::When::Later);
    }
    if seen.nodegroups.present().is_none() {
        draft.part_unknown(super::Topic::VERSION, "the node groups", "nobody looked");
    }
    if seen.addons.present().is_none() {
        draft.part_unknown(super::Topic::VERSION, "the add-ons", "nobody looked");
    }
    for (entry, unknown) in draft.into_findings() {
        if unknown { found.unknown(entry) } else { found.block(entry) }
    }
}

/// What in the tenant's cluster would keep nodes from being drained, or pods from being made anew.
fn inside(seen: &Seen<Inside>, found: &mut Found) {
    let inside = match seen {
        Seen::Present(inside) => inside,
        Seen::Absent => return,
        Seen::Unknown { why } => {
            let message = format!("the cluster could not be looked into: {why}");
            return found.unknown(entry(Code::ReadinessUnknown, Who::Nobody, message));
        }
    };
    for budget in
        inside.budgets.iter().filter(|budget| budget.pods > 0 && budget.allowed.is_none_or(|n| n < 1))
    {
        let (why, hint) = match budget.allowed {
            Some(_) => (
                "allows no disruption",
                "run one replica more than the budget asks for, or let it allow one disruption",
            ),
            None => (
                "has not been judged since it was made or changed",
                "the cluster judges a budget within seconds; one that stays as it is has to be made anew, or deleted",
            ),
        };
        let keep = if budget.pods == 1 {
            "its pod keeps".to_owned()
        } else {
            format!("its {} pods keep", budget.pods)
        };
        found.block(entry_with_hint(
            Code::DisruptionBudgetBlocks,
            Who::Tenant,
            format!("PodDisruptionBudget {} {why}: {keep} nodes from being drained", budget.name),
            hint,
        ));
    }
    for webhook in inside.webhooks.iter().filter(|webhook| !webhook.answers) {
        let Some(service) = &webhook.service else { continue };
        found.block(entry_with_hint(
            Code::WebhookBlocks,
            Who::Tenant,
            format!("{} must answer, and Service {service} has no ready endpoint behind it", webhook.name),
            "bring its pods up, set its `failurePolicy` to `Ignore`, or delete it",
        ));
    }
    if inside.cut_off {
        found.unknown(entry(
            Code::AndMore,
            Who::Nobody,
            "the cluster holds more budgets and webhooks than are looked at",
        ));
    }
}

/// The wanted add-ons are on offer for the minor.
fn addons(wanted: &[AddonChoice], minor: KubernetesVersion, seen: &EksObservation, found: &mut Found) {
    for choice in wanted {
        let Some(version) = &choice.version else { continue };
        let name = &choice.name;
        match seen.addon_offers.get(name).filter(|offers| !offers.is_empty()) {
            None => found.unknown(entry(
                Code::AddonVersionUnknown,
                Who::Nobody,
                format!("the versions of add-on {name} could not be read"),
            )),
            Some(offers) => {
                if !offers.iter().any(|offer| offer.version == *version && offer.runs_on.contains(&minor)) {
                    found.block(entry_with_hint(
                        Code::AddonVersionUnknown,
                        Who::Operator,
                        format!("EKS does not offer add-on {name} {version} for {minor}"),
                        "plan the rollout with a version that EKS offers",
                    ));
                }
            }
        }
    }
}

/// The exceptions outlive the rollout: one that ends within it would make the cluster fail its proof, and the rollout
/// with it.
fn exceptions(around: &Surroundings<'_>, found: &mut Found) {
    let ending =
        around.exceptions.iter().filter(|one| one.expires >= around.today && one.expires <= around.until);
    for exception in ending {
        found.block(entry_with_hint(
            Code::ExceptionExpires,
            Who::Operator,
            format!(
                "the exception to {} ends on {}, and the rollout may take until {}",
                exception.control, exception.expires, around.until
            ),
            "have the exception extended, or remove its reason",
        ));
    }
}
