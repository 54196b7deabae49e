//! Who may enter the cluster: fleet itself first, the platform's people, and the tenant's own people last.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    conditions,
    eks::{
        AccessEntryRequest, EksAccessEntry, EksAction, EksCluster, Part, PodIdentityRequest,
        PolicyAssociation,
    },
    labels,
    step::Seen,
    v1alpha1::EksClass,
};

use super::draft::{Draft, Proposal, Topic, eks};
use crate::report::{Code, Who, entry, entry_with_hint};

/// The access policy with which fleet enters: it has to write RBAC and admission policies.
const CLUSTER_ADMIN: &str = "AmazonEKSClusterAdminPolicy";
/// The type of entries that people and machines have. Nodes have others, which EKS makes by itself.
const STANDARD: &str = "STANDARD";

/// What one principal should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    groups: BTreeSet<String>,
    policies: BTreeSet<PolicyAssociation>,
}

/// Plans the access entries.
pub(super) fn plan(draft: &mut Draft<'_>, class: &EksClass, _present: &EksCluster) {
    let entries = match &draft.seen.access_entries {
        Seen::Present(entries) => entries.as_slice(),
        Seen::Absent => &[],
        Seen::Unknown { why } => {
            draft.part_unknown(Topic::SHAPE, "the access entries", why);
            return;
        }
    };
    let platform = platform(class);
    let own = entries.iter().find(|entry| entry.principal_arn == class.role_arn);
    draft.enterable = own.is_some_and(|entry| {
        platform
            .get(&class.role_arn)
            .is_some_and(|wanted| wanted.policies.iter().all(|policy| entry.policies.contains(policy)))
    });
    for (principal, wanted) in &platform {
        settle(draft, class, principal, wanted, entries);
    }
    let tenants = tenants(draft, class);
    let proven = proven(draft);
    for (principal, wanted) in &tenants {
        if platform.contains_key(principal) {
            continue;
        }
        let exists = entries.iter().any(|entry| entry.principal_arn == *principal);
        if !exists && !proven {
            draft.wait(
                Topic::SHAPE,
                entry(
                    Code::AccessWaitsForProof,
                    Who::Nobody,
                    format!("{principal} is let in when the baseline has been proven"),
                ),
            );
            continue;
        }
        settle(draft, class, principal, wanted, entries);
    }
    for found in entries.iter().filter(|entry| entry.kind == STANDARD) {
        let principal = &found.principal_arn;
        if platform.contains_key(principal) || tenants.contains_key(principal) {
            continue;
        }
        if draft.is_ours(&found.tags) {
            remove(draft, principal);
        } else {
            draft.note(entry_with_hint(
                Code::AccessForeign,
                Who::Operator,
                format!("{principal} can enter the cluster through an access entry that fleet did not make"),
                "delete the access entry, or name the principal in the class's `platformAccess`",
            ));
        }
    }
}

/// Removes the tenant's own entries: the first act of a deletion. True when none is left.
pub(super) fn revoke_tenants(draft: &mut Draft<'_>, class: &EksClass) -> bool {
    let platform = platform(class);
    let entries = draft.seen.access_entries.present().map(Vec::as_slice).unwrap_or_default();
    let mut none_left = true;
    for found in entries {
        if draft.is_ours(&found.tags) && !platform.contains_key(&found.principal_arn) {
            none_left = false;
            remove(draft, &found.principal_arn);
        }
    }
    none_left
}

fn proven(draft: &Draft<'_>) -> bool {
    let status = draft.cluster.status.as_ref();
    status.is_some_and(|status| {
        conditions::is_true(&status.conditions, conditions::PROVEN, draft.cluster.metadata.generation)
    })
}

/// The ARN of an access policy, in the partition of the class's role.
fn policy_arn(class: &EksClass, name: &str) -> String {
    let partition = class.role_arn.split(':').nth(1).unwrap_or("aws");
    format!("arn:{partition}:eks::aws:cluster-access-policy/{name}")
}

/// Fleet itself and the platform's people.
fn platform(class: &EksClass) -> BTreeMap<String, Wanted> {
    let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
    let whole =
        |name: &str| PolicyAssociation { policy_arn: policy_arn(class, name), namespaces: BTreeSet::new() };
    let own = wanted.entry(class.role_arn.clone()).or_default();
    own.groups.insert(labels::CONTROLLER_GROUP.to_owned());
    own.policies.insert(whole(CLUSTER_ADMIN));
    for access in &class.platform_access {
        wanted.entry(access.principal_arn.clone()).or_default().policies.insert(whole(&access.policy));
    }
    wanted
}

/// The tenant's own people, each with the groups that the bundle's role bindings name.
fn tenants(draft: &Draft<'_>, _class: &EksClass) -> BTreeMap<String, Wanted> {
    let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
    for grant in &draft.cluster.spec.hardening.access {
        if let Some(principal) = &grant.principal_arn {
            wanted.entry(principal.clone()).or_default().groups.insert(grant.group.clone());
        }
    }
    wanted
}

/// Brings one entry to what it should be.
fn settle(
    draft: &mut Draft<'_>,
    class: &EksClass,
    principal: &str,
    wanted: &Wanted,
    entries: &[EksAccessEntry],
) {
    let request = AccessEntryRequest {
        principal_arn: principal.to_owned(),
        groups: wanted.groups.clone(),
        policies: wanted.policies.iter().cloned().collect(),
        tags: draft.tags(class),
    };
    let Some(found) = entries.iter().find(|entry| entry.principal_arn == principal) else {
        step(draft, principal, "create", "Let in", EksAction::CreateAccessEntry(request));
        return;
    };
    if !draft.is_ours(&found.tags) {
        draft.block(
            Topic::SHAPE,
            entry_with_hint(
                Code::AccessForeign,
                Who::Operator,
                format!("the access entry of {principal} was not made by fleet, and is left as it is"),
                "delete the access entry: fleet makes it again as the class wants it",
            ),
        );
        return;
    }
    if found.groups != wanted.groups {
        step(draft, principal, "groups", "Set the groups of", EksAction::UpdateAccessEntry(request));
        return;
    }
    let have: BTreeSet<&PolicyAssociation> = found.policies.iter().collect();
    // One at a time: each of these steps changes the entry that the next one expects.
    if let Some(policy) = wanted.policies.iter().find(|policy| !have.contains(policy)) {
        let action =
            EksAction::AssociateAccessPolicy { principal_arn: principal.to_owned(), policy: policy.clone() };
        step(
            draft,
            principal,
            &format!("associate/{}", short(&policy.policy_arn)),
            "Add a policy to",
            action,
        );
        return;
    }
    let named: BTreeSet<&String> = wanted.policies.iter().map(|policy| &policy.policy_arn).collect();
    if let Some(policy) = found.policies.iter().find(|policy| !named.contains(&policy.policy_arn)) {
        let action = EksAction::DisassociateAccessPolicy {
            principal_arn: principal.to_owned(),
            policy_arn: policy.policy_arn.clone(),
        };
        step(
            draft,
            principal,
            &format!("disassociate/{}", short(&policy.policy_arn)),
            "Take a policy from",
            action,
        );
    }
}

fn remove(draft: &mut Draft<'_>, principal: &str) {
    let action = EksAction::DeleteAccessEntry { principal_arn: principal.to_owned() };
    step(draft, principal, "delete", "Shut out", action);
}

fn step(draft: &mut Draft<'_>, principal: &str, what: &str, does: &str, action: EksAction) {
    let Some(expects) = draft.as_seen(&Part::AccessEntry(principal.to_owned())) else { return };
    draft.propose(Proposal {
        id: format!("access-entry/{principal}/{what}"),
        summary: format!("{does} {principal}"),
        action: eks(action),
        expects,
        disruptive: false,
        minutes: 1,
        topics: Topic::SHAPE,
    });
}

/// The last part of an ARN.
fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Plans the pod identity associations.
pub(super) fn pod_identities(draft: &mut Draft<'_>, class: &EksClass) {
    let found = match &draft.seen.pod_identities {
        Seen::Present(found) => found.as_slice(),
        Seen::Absent => &[],
        Seen::Unknown { why } => {
            draft.part_unknown(Topic::SHAPE, "the pod identity associations", why);
            return;
        }
    };
    for wanted in &class.pod_identities {
        let request = PodIdentityRequest {
            namespace: wanted.namespace.clone(),
            service_account: wanted.service_account.clone(),
            role_arn: wanted.role_arn.clone(),
            tags: draft.tags(class),
        };
        let name = format!("{}/{}", wanted.namespace, wanted.service_account);
        let existing = found
            .iter()
            .find(|one| one.namespace == wanted.namespace && one.service_account == wanted.service_account);
        match existing {
            None => {
                identity_step(draft, &name, "create", "Give a role to", EksAction::CreatePodIdentity(request))
            }
            Some(existing) if existing.role_arn != wanted.role_arn => {
                let association_id = existing.association_id.clone();
                let action = EksAction::UpdatePodIdentity { association_id, request };
                identity_step(draft, &name, "update", "Change the role of", action);
            }
            Some(_) => {}
        }
    }
    for one in found {
        let wanted = class
            .pod_identities
            .iter()
            .any(|wanted| wanted.namespace == one.namespace && wanted.service_account == one.service_account);
        if !wanted && draft.is_ours(&one.tags) {
            delete_identity(draft, &one.association_id, &one.namespace, &one.service_account);
        }
    }
}

/// Takes the role from a service account.
pub(super) fn delete_identity(draft: &mut Draft<'_>, id: &str, namespace: &str, service_account: &str) {
    let name = format!("{namespace}/{service_account}");
    let action = EksAction::DeletePodIdentity { association_id: id.to_owned(), name: name.clone() };
    identity_step(draft, &name, "delete", "Take the role from", action);
}

fn identity_step(draft: &mut Draft<'_>, name: &str, what: &str, does: &str, action: EksAction) {
    let Some((namespace, service_account)) = name.split_once('/') else { return };
    let part =
        Part::PodIdentity { namespace: namespace.to_owned(), service_account: service_account.to_owned() };
    let Some(expects) = draft.as_seen(&part) else { return };
    draft.propose(Proposal {
        id: format!("pod-identity/{name}/{what}"),
        summary: format!("{does} service account {name}"),
        action: eks(action),
        expects,
        disruptive: false,
        minutes: 1,
        topics: Topic::SHAPE,
    });
}
