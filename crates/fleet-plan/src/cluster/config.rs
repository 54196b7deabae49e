//! Settings of the control plane: one kind per update, and what cannot be changed named before anything is sent.

use std::collections::BTreeSet;

use fleet_api::{
    eks::{ConfigChange, EksAction, EksCluster, Part},
    v1alpha1::EksClass,
};

use super::draft::{Draft, Proposal, Proposed, Topic, eks};
use crate::report::{Code, Who, entry_with_hint};

/// How long a change of settings usually takes, in minutes.
const MINUTES: i64 = 10;

/// Names every field that differs and cannot be changed.
pub(super) fn immutable(draft: &mut Draft<'_>, class: &EksClass, present: &EksCluster) {
    let mut differing: Vec<(&str, String, String)> = Vec::new();
    let mut compare = |field, have: Option<&str>, want: Option<&str>| {
        if have != want {
            let shown = |value: Option<&str>| value.unwrap_or("none").to_owned();
            differing.push((field, shown(have), shown(want)));
        }
    };
    compare("clusterRoleArn", Some(&present.role_arn), Some(&class.cluster_role_arn));
    compare("kmsKeyArn", present.kms_key_arn.as_deref(), class.kms_key_arn.as_deref());
    if class.network.service_cidr.is_some() {
        compare(
            "network.serviceCidr",
            present.service_cidr.as_deref(),
            class.network.service_cidr.as_deref(),
        );
    }
    if let (Some(have), Some(want)) = (&present.auto_mode, &class.auto_mode) {
        compare("autoMode.nodeRoleArn", Some(&have.node_role_arn), Some(&want.node_role_arn));
    }
    if let (Some(vpc), Some(elsewhere)) = (&present.vpc_id, foreign_vpc(draft, class, present)) {
        compare("network.subnetIds (VPC)", Some(vpc), Some(&elsewhere));
    }
    for (field, have, want) in differing {
        draft.block(
            Topic::SHAPE,
            entry_with_hint(
                Code::Immutable,
                Who::Operator,
                format!("`{field}` cannot be changed: the cluster has {have}, the class wants {want}; nothing was sent"),
                "give the class its old value, or make a new class and move the tenant",
            ),
        );
    }
}

/// The VPC of a wanted subnet that lies outside the cluster's own.
fn foreign_vpc(draft: &Draft<'_>, class: &EksClass, present: &EksCluster) -> Option<String> {
    let own = present.vpc_id.as_ref()?;
    let subnets = draft.seen.subnets.present()?;
    let wanted = subnets.iter().filter(|subnet| class.network.subnet_ids.contains(&subnet.id));
    wanted.filter_map(|subnet| subnet.vpc_id.clone()).find(|vpc| vpc != own)
}

/// Plans the next change of settings. One is begun; the others wait for it.
pub(super) fn plan(draft: &mut Draft<'_>, class: &EksClass, present: &EksCluster) {
    for change in changes(class, present) {
        if let ConfigChange::Network { subnet_ids, .. } = &change {
            let new: Vec<String> = subnet_ids.difference(&present.subnet_ids).cloned().collect();
            draft.focus.subnets = new.clone();
            let known = draft.seen.subnets.present().into_iter().flatten();
            let read: BTreeSet<&String> = known.map(|subnet| &subnet.id).collect();
            if new.iter().any(|id| !read.contains(id)) {
                draft.part_unknown(Topic::SHAPE, "the VPC of the wanted subnets", "it is looked at next");
                continue;
            }
            if foreign_vpc(draft, class, present).is_some() {
                // It is named as a field that cannot be changed.
                continue;
            }
        }
        propose(draft, change);
    }
}

/// Proposes one change of settings.
pub(super) fn propose(draft: &mut Draft<'_>, change: ConfigChange) -> Proposed {
    let Some(expects) = draft.as_seen(&Part::Cluster) else { return Proposed::Held };
    let kind = change.kind();
    draft.propose(Proposal {
        id: format!("config/{kind}"),
        summary: format!("Change the cluster's {}", kind.replace('-', " ")),
        action: eks(EksAction::UpdateConfig(change)),
        expects,
        disruptive: false,
        minutes: MINUTES,
        topics: Topic::SHAPE,
    })
}

/// Every kind of setting that differs, in the order in which it is changed.
fn changes(class: &EksClass, present: &EksCluster) -> Vec<ConfigChange> {
    let mut changes = Vec::new();
    let subnet_ids: BTreeSet<String> = class.network.subnet_ids.iter().cloned().collect();
    let security_group_ids: BTreeSet<String> = class.network.security_group_ids.iter().cloned().collect();
    if subnet_ids != present.subnet_ids || security_group_ids != present.security_group_ids {
        changes.push(ConfigChange::Network { subnet_ids, security_group_ids });
    }
    let public_cidrs: BTreeSet<String> = class.network.endpoint.public_cidrs.iter().cloned().collect();
    let public = !public_cidrs.is_empty();
    let cidrs_differ = public && public_cidrs != present.public_cidrs;
    if public != present.endpoint_public || !present.endpoint_private || cidrs_differ {
        changes.push(ConfigChange::Endpoint { public_cidrs });
    }
    let logging: BTreeSet<_> = class.logging.iter().copied().collect();
    if logging != present.logging {
        changes.push(ConfigChange::Logging(logging));
    }
    if present.support_type.is_some_and(|have| have != class.support_type) {
        changes.push(ConfigChange::SupportType(class.support_type));
    }
    if present.deletion_protection != class.deletion_protection {
        changes.push(ConfigChange::DeletionProtection(class.deletion_protection));
    }
    if auto_mode_differs(class, present) {
        changes.push(ConfigChange::AutoMode(class.auto_mode.clone()));
    }
    changes
}

/// True when Auto Mode is to be switched, or its pools changed. Another node role is a field that cannot change.
fn auto_mode_differs(class: &EksClass, present: &EksCluster) -> bool {
    match (&class.auto_mode, &present.auto_mode) {
        (None, None) => false,
        (Some(want), Some(have)) => {
            let set = |pools: &[String]| pools.iter().cloned().collect::<BTreeSet<_>>();
            want.node_role_arn == have.node_role_arn && set(&want.node_pools) != set(&have.node_pools)
        }
        _ => true,
    }
}
