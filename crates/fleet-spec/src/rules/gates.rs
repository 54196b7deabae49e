//! Gates of a rollout. A wave is fixed once its rollout is started, so that a gate which cannot open is refused before.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    addresses::Addresses,
    prometheus::{Server, UrlError},
    v1alpha1::{ApprovalGate, Gate, JobGate, PrometheusGate, Wave},
};

use super::{Problem, References, prometheus, rollout::one_of, unique::unique};
use crate::{
    condition,
    field_path::FieldPath,
    finding::Code,
    metadata::{dns_label, dns_subdomain},
    promql,
    text::shown,
};

/// Gates are named in votes, so their names are unique within the rollout.
pub(super) fn gate_names(waves: &[Wave], path: &FieldPath) -> Vec<Problem> {
    let mut first: BTreeMap<&str, FieldPath> = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, wave) in waves.iter().enumerate() {
        for (field, gates) in [("before", &wave.before), ("after", &wave.after)] {
            for (position, gate) in gates.iter().enumerate() {
                let here = path.index(index).field(field).index(position).field("name");
                if let Some(before) = first.get(gate.name.as_str()) {
                    problems.push(
                        Problem::error(
                            Code::DuplicateItem,
                            here,
                            format!("gate `{}` stands twice in the rollout", shown(&gate.name)),
                        )
                        .hint(format!("name it otherwise: votes name a gate, and the first is at {before}")),
                    );
                } else {
                    first.insert(&gate.name, here);
                }
            }
        }
    }
    problems
}

pub(super) fn gate(gate: &Gate, path: &FieldPath, references: &References<'_>) -> Vec<Problem> {
    let Gate { name: _, approval, not_before, condition, prometheus, job } = gate;
    let kinds = [
        ("approval", approval.is_some()),
        ("notBefore", not_before.is_some()),
        ("condition", condition.is_some()),
        ("prometheus", prometheus.is_some()),
        ("job", job.is_some()),
    ];
    let mut problems = Vec::new();
    problems.extend(one_of(path, "a gate is one thing", &kinds));
    if let Some(votes) = approval {
        problems.extend(approval_gate(votes, &path.field("approval"), references));
    }
    if let Some(expression) = condition
        && let Err(fault) = condition::check(expression)
    {
        let here = path.field("condition");
        problems.push(Problem::error(Code::InvalidValue, here, fault.message).hint(fault.hint));
    }
    if let Some(query) = prometheus {
        problems.extend(prometheus_gate(query, &path.field("prometheus"), references));
    }
    if let Some(job) = job {
        problems.extend(job_gate(job, &path.field("job")));
    }
    problems
}

fn approval_gate(votes: &ApprovalGate, path: &FieldPath, references: &References<'_>) -> Vec<Problem> {
    let roles = path.field("roles");
    let mut problems = unique(&votes.roles, &roles, "role", |role| role);
    let known: BTreeMap<&str, ()> =
        references.fleet.approvers.iter().map(|role| (role.name.as_str(), ())).collect();
    // The roles are the Fleet's: one that could not be read may have any.
    for (index, role) in votes.roles.iter().enumerate().filter(|_| references.complete) {
        if let Some(mut problem) = references.dangling("role", role, &known, roles.index(index)) {
            if known.is_empty() {
                problem = problem.hint("name it in `spec.approvers` of the Fleet, with its groups or users");
            }
            problems.push(problem);
        }
    }
    let different: BTreeSet<&String> = votes.roles.iter().collect();
    let least = i32::try_from(different.len()).unwrap_or(i32::MAX);
    if votes.required < least && votes.required >= 1 {
        let count = match votes.required {
            1 => "one vote".to_owned(),
            many => format!("{many} votes"),
        };
        problems.push(
            Problem::error(
                Code::OutOfRange,
                path.field("required"),
                format!("{count} cannot come from {least} roles, of each at least one"),
            )
            .hint(format!("ask for at least {least} votes, or for fewer roles")),
        );
    }
    problems
}

/// Only what can be seen of a URL and of a query: a name may lead anywhere, and the server knows its own functions.
fn prometheus_gate(gate: &PrometheusGate, path: &FieldPath, references: &References<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    // Whether a private address may be asked is a matter of the Fleet's list.
    let credentials = prometheus::credentials(gate, path.field("url"));
    match Server::parse(&gate.url, Addresses::LOCAL) {
        Err(_) if credentials.is_some() => problems.extend(credentials),
        Ok(_) => problems.extend(prometheus::gate(gate, path.field("url"), references)),
        Err(error) => {
            let why = match &error {
                UrlError::Text(why) => (*why).to_owned(),
                UrlError::Address(error) => format!("its host is {}", error.range()),
            };
            let message =
                format!("`{}` is no URL of a Prometheus server that can be asked: {why}", shown(&gate.url));
            problems.push(
                Problem::error(Code::InvalidValue, path.field("url"), message)
                    .hint("write it as `https://prometheus.example.com`, without credentials"),
            );
        }
    }
    let here = path.field("query");
    if let Err(why) = promql::check(&gate.query) {
        problems.push(
            Problem::error(Code::InvalidValue, here, format!("the query {why}"))
                .hint("write it as Prometheus takes it, such as `sum(rate(errors[5m])) < bool 1`"),
        );
    } else if let Some((word, near)) = promql::misspelt(&gate.query) {
        problems.push(
            Problem::warning(
                Code::InvalidValue,
                here,
                format!("`{}` is no function of Prometheus, and the server may not have it", shown(&word)),
            )
            .hint(format!("did you mean `{near}`?")),
        );
    }
    problems
}

/// Whether they are there is seen when they are run: a cluster's people may make them meanwhile.
fn job_gate(gate: &JobGate, path: &FieldPath) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !dns_label(&gate.namespace) {
        problems.push(
            Problem::error(
                Code::InvalidName,
                path.field("namespace"),
                format!("no namespace can have the name `{}`", shown(&gate.namespace)),
            )
            .hint("use at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends"),
        );
    }
    if !dns_subdomain(&gate.cron_job) {
        problems.push(
            Problem::error(
                Code::InvalidName,
                path.field("cronJob"),
                format!("no CronJob can have the name `{}`", shown(&gate.cron_job)),
            )
            .hint("use lower-case letters, digits, `-` and `.`, with a letter or digit at both ends"),
        );
    }
    problems
}
