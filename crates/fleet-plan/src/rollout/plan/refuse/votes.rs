//! Votes that nobody can give.

use std::collections::BTreeSet;

use fleet_api::v1alpha1::{ApprovalGate, Gate};
use fleet_spec::{Code, rules::Problem};

use super::{super::Input, problem, wave_path};

/// Gates with more votes than there are people beside the author.
pub(super) fn votes(input: &Input<'_>) -> Vec<Problem> {
    let gates = |wave: usize, field: &'static str, gates: &'_ [Gate]| -> Vec<Problem> {
        let asked = gates.iter().enumerate().filter_map(|(index, gate)| {
            let votes = gate.approval.as_ref()?;
            let message = too_few(input, &gate.name, votes)?;
            let path = wave_path(wave).field(field).index(index).field("approval").field("required");
            Some(problem(
                Code::ApproversTooFew,
                path,
                message,
                "ask for fewer votes, or give more people the role in the Fleet's `approvers`",
            ))
        });
        asked.collect()
    };
    let waves = input.strategy.waves.iter().enumerate();
    waves
        .flat_map(|(index, wave)| {
            let mut found = gates(index, "before", &wave.before);
            found.extend(gates(index, "after", &wave.after));
            found
        })
        .collect()
}

/// Groups may have any number of people: only roles that name users alone can be counted.
fn too_few(input: &Input<'_>, gate: &str, votes: &ApprovalGate) -> Option<String> {
    let roles: Vec<_> =
        input.fleet.spec.approvers.iter().filter(|role| votes.roles.contains(&role.name)).collect();
    // A gate without roles has been told so.
    if votes.roles.is_empty()
        || roles.len() < votes.roles.len()
        || roles.iter().any(|role| !role.groups.is_empty())
    {
        return None;
    }
    let mut people: BTreeSet<&str> =
        roles.iter().flat_map(|role| role.users.iter().map(String::as_str)).collect();
    let author = input.author.filter(|author| people.remove(author));
    let required = usize::try_from(votes.required).unwrap_or_default();
    if people.len() >= required {
        return None;
    }
    let without = author.map(|author| format!(" beside {author}, who plans it")).unwrap_or_default();
    Some(format!(
        "gate {gate} asks for {}, and {} can vote in the {} {}{without}",
        if required == 1 { "one vote".to_owned() } else { format!("{required} votes") },
        match people.len() {
            0 => "nobody".to_owned(),
            1 => "one person".to_owned(),
            many => format!("{many} people"),
        },
        if votes.roles.len() == 1 { "role" } else { "roles" },
        votes.roles.join(", "),
    ))
}
