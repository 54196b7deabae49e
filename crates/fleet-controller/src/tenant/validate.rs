//! Second stage: the rules of a spec, the same ones that `fleet apply` judges by.

use fleet_api::v1alpha1::Tenant;
use fleet_spec::{
    Severity,
    rules::{self, Problem, References},
};
use kube::ResourceExt as _;

use super::dereference::Seen;
use crate::{clock::day_of, context::Context};

/// Every problem of the tenant.
pub(super) fn validate(context: &Context, tenant: &Tenant, seen: &Seen) -> Vec<Problem> {
    let classes = context.stores.classes.state();
    let baselines = context.stores.baselines.state();
    let names: Vec<String> = classes.iter().map(|class| class.name_any()).collect();
    let baseline_names: Vec<String> = baselines.iter().map(|baseline| baseline.name_any()).collect();
    let mut references = References::new(day_of(context.now()), &seen.fleet.spec);
    references.classes =
        names.iter().map(String::as_str).zip(classes.iter().map(|one| Some(&**one))).collect();
    references.baselines =
        baseline_names.iter().map(String::as_str).zip(baselines.iter().map(|one| Some(&**one))).collect();
    references.channels =
        seen.channels.iter().map(|(name, channel)| (name.as_str(), Some(channel))).collect();
    rules::tenant(tenant, &references)
}

/// True for what keeps a tenant from being acted upon.
pub(super) fn is_error(problem: &Problem) -> bool {
    problem.severity == Severity::Error
}
