//! Who may say what about rollouts, where neither a schema nor RBAC can tell: admission policies of the management cluster.

use fleet_api::{GROUP, VERSION, labels};
use k8s_openapi::{
    api::admissionregistration::v1::{
        MatchResources, NamedRuleWithOperations, ParamKind, ParamRef, ValidatingAdmissionPolicy,
        ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
        ValidatingAdmissionPolicySpec, Validation, Variable,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::manifests::NAME;

/// One rule, which both the policy and its binding are named after.
pub(crate) struct Rule {
    name: &'static str,
    resource: &'static str,
    operations: &'static [&'static str],
    /// Whether the rule reads the Fleet. Without one, it denies.
    reads_fleet: bool,
    variables: &'static [(&'static str, &'static str)],
    validations: Vec<(String, &'static str)>,
}

/// The rules.
pub(crate) fn rules() -> Vec<Rule> {
    let controller = format!("system:serviceaccount:{}:{NAME}", labels::SYSTEM_NAMESPACE);
    vec![
        Rule {
            name: "votes.tenantfleet.dev",
            resource: "approvals",
            operations: &["CREATE", "UPDATE"],
            reads_fleet: true,
            variables: &[(
                "roles",
                "params.spec.?approvers.orValue([]).filter(r, r.name == object.spec.role)",
            )],
            validations: vec![
                (
                    "object.spec.approver == request.userInfo.username".to_owned(),
                    "a vote is given in one's own name: `spec.approver` must be whoever writes it",
                ),
                (
                    "variables.roles.exists(r, request.userInfo.username in r.?users.orValue([]) || \
                     r.?groups.orValue([]).exists(g, g in request.userInfo.?groups.orValue([])))"
                        .to_owned(),
                    "a vote is given in a role that one has: the Fleet's `approvers` say who has it",
                ),
            ],
        },
        Rule {
            name: "authors.tenantfleet.dev",
            resource: "rollouts",
            operations: &["CREATE"],
            reads_fleet: false,
            variables: &[],
            validations: vec![(
                "object.spec.author == request.userInfo.username".to_owned(),
                "a rollout is planned in one's own name: `spec.author` must be whoever writes it",
            )],
        },
        Rule {
            name: "members.tenantfleet.dev",
            resource: "rolloutmembers",
            operations: &["DELETE"],
            reads_fleet: false,
            variables: &[("entries", "oldObject.?status.entries.orValue(0)")],
            validations: vec![(
                // What went with its rollout is removed by the garbage collector, which some control planes run under
                // the name of the whole controller manager.
                "variables.entries == 0 || request.userInfo.username in \
                 ['system:serviceaccount:kube-system:generic-garbage-collector', 'system:kube-controller-manager']"
                    .to_owned(),
                "a member that has taken part is part of its rollout's books: take it out with `skip`, or delete the Rollout",
            )],
        },
        Rule {
            name: "moves.tenantfleet.dev",
            resource: "tenantclusters",
            operations: &["CREATE", "UPDATE"],
            reads_fleet: false,
            variables: &[("before", "oldObject == null ? optional.none() : oldObject.spec.?rollout")],
            validations: vec![(
                format!(
                    "object.spec.?rollout == variables.before || request.userInfo.username == '{controller}'"
                ),
                "what a rollout wants of a cluster is written by fleet's controller alone: edit the Rollout or its members",
            )],
        },
    ]
}

fn metadata(name: &str, labels: std::collections::BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() }
}

/// The policy of a rule, and what puts it in force.
pub(crate) fn objects(
    rule: Rule,
    labels: &std::collections::BTreeMap<String, String>,
) -> (ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding) {
    let Rule { name, resource, operations, reads_fleet, variables, validations } = rule;
    let owned = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let policy = ValidatingAdmissionPolicy {
        metadata: metadata(name, labels.clone()),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            param_kind: reads_fleet.then(|| ParamKind {
                api_version: Some(fleet_api::API_VERSION.to_owned()),
                kind: Some("Fleet".to_owned()),
            }),
            match_constraints: Some(MatchResources {
                resource_rules: Some(vec![NamedRuleWithOperations {
                    api_groups: owned(&[GROUP]),
                    api_versions: owned(&[VERSION]),
                    operations: owned(operations),
                    resources: owned(&[resource]),
                    ..NamedRuleWithOperations::default()
                }]),
                ..MatchResources::default()
            }),
            variables: (!variables.is_empty()).then(|| {
                let own = |(name, expression): &(&str, &str)| Variable {
                    name: (*name).to_owned(),
                    expression: (*expression).to_owned(),
                };
                variables.iter().map(own).collect()
            }),
            validations: Some(
                validations
                    .into_iter()
                    .map(|(expression, message)| Validation {
                        expression,
                        message: Some(message.to_owned()),
                        ..Validation::default()
                    })
                    .collect(),
            ),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        ..ValidatingAdmissionPolicy::default()
    };
    let binding = ValidatingAdmissionPolicyBinding {
        metadata: metadata(name, labels.clone()),
        spec: Some(ValidatingAdmissionPolicyBindingSpec {
            policy_name: Some(name.to_owned()),
            validation_actions: owned(&["Deny"]),
            param_ref: reads_fleet.then(|| ParamRef {
                name: Some("fleet".to_owned()),
                // Nobody has a role in a fleet that names none.
                parameter_not_found_action: Some("Deny".to_owned()),
                ..ParamRef::default()
            }),
            ..ValidatingAdmissionPolicyBindingSpec::default()
        }),
    };
    (policy, binding)
}
