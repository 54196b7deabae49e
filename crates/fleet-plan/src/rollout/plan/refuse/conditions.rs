//! Conditions of gates, tried on the members that they will be asked of.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::TenantCluster;
use fleet_spec::{Code, condition, rules::Problem};

use super::{
    super::{Input, candidates::Candidate},
    moving, problem, wave_path,
};

/// On how many members of a wave a condition is tried. What is refused are mistakes of the expression, which show on
/// nearly every cluster; each member of ten thousand would take longer than the rest of the plan.
const TRIED: usize = 50;

/// Conditions that give no truth for a member as it is.
pub(super) fn conditions(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
    let clusters: BTreeMap<&str, &TenantCluster> =
        input.clusters.iter().map(|cluster| (cluster.spec.tenant.as_str(), cluster)).collect();
    let mut problems = Vec::new();
    for (index, wave) in input.strategy.waves.iter().enumerate() {
        let members: Vec<&TenantCluster> = moving(candidates, index)
            .filter_map(|candidate| clusters.get(candidate.tenant).copied())
            .take(TRIED)
            .collect();
        for (field, gates) in [("before", &wave.before), ("after", &wave.after)] {
            for (position, gate) in gates.iter().enumerate() {
                let Some(expression) = &gate.condition else { continue };
                // What is wrong with it by itself has been told.
                if condition::check(expression).is_err() {
                    continue;
                }
                if let Err(fault) = condition::check_on(expression, members.iter().copied()) {
                    let path = wave_path(index).field(field).index(position).field("condition");
                    problems.push(problem(Code::InvalidValue, path, fault.message, fault.hint));
                }
            }
        }
    }
    problems
}
