//! The objects that starting a plan makes.

use std::collections::BTreeMap;

use fleet_api::{
    API_VERSION, labels,
    v1alpha1::{Rollout, RolloutMember, RolloutMemberSpec, Run},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};

use super::RolloutPlan;

/// The name of the object of a tenant in a rollout. A dot parts the two, which neither of them may have, so that no two
/// members share a name.
pub fn member_name(rollout: &str, tenant: &str) -> String {
    format!("{rollout}.{tenant}")
}

/// The rollout of a plan, as somebody starts it.
pub fn rollout_object(plan: &RolloutPlan, author: &str, run: Run) -> Rollout {
    let members = i64::try_from(plan.members.len()).unwrap_or(i64::MAX);
    let spec = plan.strategy.clone().started(author.to_owned(), members, plan.hash.clone(), run);
    let mut rollout = Rollout::new(&plan.name, spec);
    rollout.metadata.labels = Some(managed());
    rollout
}

/// The members of a plan, owned by its rollout, which has to be stored before them.
pub fn member_objects<'a>(
    plan: &'a RolloutPlan,
    rollout_uid: &'a str,
) -> impl Iterator<Item = RolloutMember> + 'a {
    plan.members.iter().map(move |member| {
        let spec = RolloutMemberSpec {
            rollout: plan.name.clone(),
            tenant: member.tenant.clone(),
            cluster: member.cluster.clone(),
            cluster_uid: member.cluster_uid.clone(),
            wave: member.wave.clone(),
            from: member.from,
            slot: Time(member.slot),
            skip: false,
            not_before: None,
            retry: None,
            acknowledged: None,
            rollback: false,
        };
        let mut object = RolloutMember::new(&member_name(&plan.name, &member.tenant), spec);
        let mut labels = managed();
        labels.insert(labels::ROLLOUT.to_owned(), plan.name.clone());
        labels.insert(labels::TENANT.to_owned(), member.tenant.clone());
        object.metadata.labels = Some(labels);
        object.metadata.owner_references = Some(vec![OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: "Rollout".to_owned(),
            name: plan.name.clone(),
            uid: rollout_uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        }]);
        object
    })
}

fn managed() -> BTreeMap<String, String> {
    BTreeMap::from([(labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_FLEET.to_owned())])
}
