//! Carries out one action in the in-memory EKS, refusing what EKS refuses.

use fleet_api::{
    eks::{
        ClusterTarget, EksAccessEntry, EksAction, EksAddon, EksCluster, EksClusterStatus, EksLaunchTemplate,
        EksNodegroup, EksPodIdentity, EksUpdate, EksUpdateStatus, NodegroupRequest, PartStatus,
    },
    step::Outcome,
};
use jiff::Timestamp;

use super::{
    Fault,
    world::{Change, FakeCluster, RunningUpdate, Settling, World, owner_of, place},
};
use crate::ErrorClass;

/// A refusal: class, code and message.
pub(super) type Refusal = (ErrorClass, &'static str, String);

fn in_use(message: impl Into<String>) -> Refusal {
    (ErrorClass::Transient, "ResourceInUseException", message.into())
}

fn not_found(message: impl Into<String>) -> Refusal {
    (ErrorClass::WorldMoved, "ResourceNotFoundException", message.into())
}

fn invalid(message: impl Into<String>) -> Refusal {
    (ErrorClass::Invalid, "InvalidParameterException", message.into())
}

/// Carries out the action. The fault decides whether what is begun will fail.
pub(super) fn carry_out(
    world: &mut World,
    target: &ClusterTarget,
    action: &EksAction,
    fault: Option<&Fault>,
    now: Timestamp,
) -> Result<Outcome, Refusal> {
    let fails_create = fault == Some(&Fault::FailedCreate);
    let fails_update = match fault {
        Some(Fault::FailedUpdate { code }) => Some(code.clone()),
        _ => None,
    };
    let key = place(target);
    let done = Ok(Outcome::default());
    match action {
        EksAction::CreateCluster(_) => return create_cluster(world, target, action, fails_create, now),
        EksAction::CreateLaunchTemplate(request) => {
            let id = world.fresh_id("lt-");
            let slot = (key.0, key.1, request.name.clone());
            if world.launch_templates.contains_key(&slot) {
                let message = format!("launch template {} exists", request.name);
                return Err((
                    ErrorClass::WorldMoved,
                    "InvalidLaunchTemplateName.AlreadyExistsException",
                    message,
                ));
            }
            let template = EksLaunchTemplate {
                id,
                name: request.name.clone(),
                version: "1".to_owned(),
                imds_v2_required: true,
                hop_limit: Some(1),
                disk_gib: Some(request.disk_gib),
            };
            world.launch_templates.insert(slot, (owner_of(&request.tags), template));
            return done;
        }
        EksAction::CreateLaunchTemplateVersion { id, request } => {
            let found = world.launch_templates.values_mut().find(|(_, template)| template.id == *id);
            let (_, template) = found.ok_or_else(|| not_found("no such launch template"))?;
            let next = template.version.parse::<u32>().unwrap_or_default() + 1;
            template.version = next.to_string();
            template.imds_v2_required = true;
            template.hop_limit = Some(1);
            template.disk_gib = Some(request.disk_gib);
            return done;
        }
        EksAction::DeleteLaunchTemplate { id, .. } => {
            world.launch_templates.retain(|_, (_, template)| template.id != *id);
            return done;
        }
        _ => {}
    }
    let update_id = world.fresh_id("update-");
    let association_id = world.fresh_id("a-");
    let durations = world.durations.clone();
    let minors = world.minors.clone();
    let cluster = world.clusters.get_mut(&key).ok_or_else(|| not_found("no such cluster"))?;
    let begin = |cluster: &mut FakeCluster, kind: &str, part: Option<String>, takes, change| {
        let update = EksUpdate {
            id: update_id.clone(),
            kind: kind.to_owned(),
            part,
            status: EksUpdateStatus::InProgress,
            created_at: Some(now),
            errors: Vec::new(),
        };
        cluster.updates.push(RunningUpdate { update, done_at: now + takes, change, fails: fails_update });
        Ok(Outcome { update_id: Some(update_id.clone()), ..Outcome::default() })
    };
    match action {
        EksAction::UpdateConfig(change) => {
            idle(cluster)?;
            cluster.cluster.status = EksClusterStatus::Updating;
            begin(cluster, change.kind(), None, durations.update_config, Change::Config(change.clone()))
        }
        EksAction::UpdateVersion { to, .. } => {
            idle(cluster)?;
            let step = to.ahead_of(cluster.cluster.version);
            if step != 1 && step != -1 {
                return Err(invalid(format!(
                    "Unsupported Kubernetes minor version update from {} to {to}",
                    cluster.cluster.version
                )));
            }
            cluster.cluster.status = EksClusterStatus::Updating;
            let kind = if step == 1 { "VersionUpdate" } else { "VersionRollback" };
            begin(cluster, kind, None, durations.update_version, Change::Version(*to))
        }
        EksAction::RefreshInsights => done,
        EksAction::DeleteCluster => {
            delete_cluster(cluster, now + durations.delete_cluster)?;
            done
        }
        EksAction::CreateNodegroup(request) => {
            active(cluster)?;
            if cluster.nodegroups.contains_key(&request.name) {
                return Err(in_use("the node group exists"));
            }
            let group = Settling {
                part: new_nodegroup(request),
                settles_at: Some(now + durations.nodegroup),
                fails: fails_create,
            };
            cluster.nodegroups.insert(request.name.clone(), group);
            // EKS makes this entry by itself, so that the nodes can join.
            let principal_arn = request.node_role_arn.clone();
            cluster.access_entries.entry(principal_arn.clone()).or_insert(EksAccessEntry {
                principal_arn,
                kind: "EC2_LINUX".to_owned(),
                groups: ["system:nodes".to_owned()].into(),
                policies: Vec::new(),
                tags: Default::default(),
            });
            done
        }
        EksAction::UpdateNodegroupConfig(request) => {
            nodegroup(cluster, &request.name)?.part.status = PartStatus::Updating;
            let part = Some(format!("nodegroup {}", request.name));
            begin(
                cluster,
                "ConfigUpdate",
                part,
                durations.nodegroup,
                Change::NodegroupConfig(request.clone()),
            )
        }
        EksAction::UpdateNodegroupVersion { name, to, launch_template } => {
            if to.ahead_of(cluster.cluster.version) > 0 {
                return Err(invalid("the node group would be newer than the cluster"));
            }
            nodegroup(cluster, name)?.part.status = PartStatus::Updating;
            let change = Change::NodegroupVersion {
                name: name.clone(),
                to: *to,
                launch_template: launch_template.clone(),
            };
            begin(cluster, "VersionUpdate", Some(format!("nodegroup {name}")), durations.nodegroup, change)
        }
        EksAction::DeleteNodegroup { name } => {
            if let Some(group) = cluster.nodegroups.get_mut(name) {
                group.part.status = PartStatus::Deleting;
                group.settles_at = Some(now + durations.nodegroup);
            }
            done
        }
        EksAction::CreateAddon(request) => {
            active(cluster)?;
            if cluster.addons.contains_key(&request.name) {
                return Err(in_use("the add-on exists"));
            }
            runs_here(cluster, &request.name, &request.version, &minors)?;
            let addon = EksAddon {
                name: request.name.clone(),
                status: PartStatus::Creating,
                version: request.version.clone(),
                configuration: request.configuration.clone(),
                role_arn: request.role_arn.clone(),
                tags: request.tags.clone(),
                health: Vec::new(),
            };
            let addon =
                Settling { part: addon, settles_at: Some(now + durations.addon), fails: fails_create };
            cluster.addons.insert(request.name.clone(), addon);
            done
        }
        EksAction::UpdateAddon(request) => {
            runs_here(cluster, &request.name, &request.version, &minors)?;
            let addon = cluster.addons.get_mut(&request.name).ok_or_else(|| not_found("no such add-on"))?;
            if matches!(addon.part.status, PartStatus::Updating | PartStatus::Creating | PartStatus::Deleting)
            {
                return Err(in_use("the add-on is being changed"));
            }
            addon.part.status = PartStatus::Updating;
            let change = Change::Addon {
                name: request.name.clone(),
                version: request.version.clone(),
                configuration: request.configuration.clone(),
                role_arn: request.role_arn.clone(),
            };
            begin(cluster, "AddonUpdate", Some(format!("addon {}", request.name)), durations.addon, change)
        }
        EksAction::DeleteAddon { name } => {
            if let Some(addon) = cluster.addons.get_mut(name) {
                addon.part.status = PartStatus::Deleting;
                addon.settles_at = Some(now + durations.addon);
            }
            done
        }
        EksAction::CreateAccessEntry(request) => {
            active(cluster)?;
            if cluster.access_entries.contains_key(&request.principal_arn) {
                return Err(in_use("the access entry exists"));
            }
            let entry = EksAccessEntry {
                principal_arn: request.principal_arn.clone(),
                kind: "STANDARD".to_owned(),
                groups: request.groups.clone(),
                policies: request.policies.clone(),
                tags: request.tags.clone(),
            };
            cluster.access_entries.insert(request.principal_arn.clone(), entry);
            done
        }
        EksAction::UpdateAccessEntry(request) => {
            let entry = entry(cluster, &request.principal_arn)?;
            entry.groups = request.groups.clone();
            done
        }
        EksAction::AssociateAccessPolicy { principal_arn, policy } => {
            let entry = entry(cluster, principal_arn)?;
            entry.policies.retain(|old| old.policy_arn != policy.policy_arn);
            entry.policies.push(policy.clone());
            entry.policies.sort();
            done
        }
        EksAction::DisassociateAccessPolicy { principal_arn, policy_arn } => {
            entry(cluster, principal_arn)?.policies.retain(|old| old.policy_arn != *policy_arn);
            done
        }
        EksAction::DeleteAccessEntry { principal_arn } => {
            cluster.access_entries.remove(principal_arn);
            done
        }
        EksAction::CreatePodIdentity(request) => {
            active(cluster)?;
            let taken = cluster.pod_identities.values().any(|identity| {
                identity.namespace == request.namespace && identity.service_account == request.service_account
            });
            if taken {
                return Err(in_use("the service account has an association"));
            }
            let identity = EksPodIdentity {
                association_id: association_id.clone(),
                namespace: request.namespace.clone(),
                service_account: request.service_account.clone(),
                role_arn: request.role_arn.clone(),
                tags: request.tags.clone(),
            };
            cluster.pod_identities.insert(association_id, identity);
            done
        }
        EksAction::UpdatePodIdentity { association_id, request } => {
            cluster
                .pod_identities
                .get_mut(association_id)
                .ok_or_else(|| not_found("no such association"))?
                .role_arn = request.role_arn.clone();
            done
        }
        EksAction::DeletePodIdentity { association_id, .. } => {
            cluster.pod_identities.remove(association_id);
            done
        }
        EksAction::TagCluster { tags, .. } => {
            cluster.cluster.tags.extend(tags.clone());
            done
        }
        EksAction::CreateCluster(_)
        | EksAction::CreateLaunchTemplate(_)
        | EksAction::CreateLaunchTemplateVersion { .. }
        | EksAction::DeleteLaunchTemplate { .. } => done,
    }
}

fn create_cluster(
    world: &mut World,
    target: &ClusterTarget,
    action: &EksAction,
    fails: bool,
    now: Timestamp,
) -> Result<Outcome, Refusal> {
    let EksAction::CreateCluster(request) = action else { return Ok(Outcome::default()) };
    let key = place(target);
    if let Some(cluster) = world.clusters.get(&key) {
        return if crate::is_ours(&cluster.cluster, target) {
            Ok(Outcome::default())
        } else {
            Err((ErrorClass::NotOurs, "ResourceInUseException", "the name is taken".to_owned()))
        };
    }
    if request.subnet_ids.len() < 2 {
        return Err(invalid("a cluster needs two subnets"));
    }
    let cluster = EksCluster {
        name: target.cluster_name.clone(),
        arn: format!("arn:aws:eks:{}:{}:cluster/{}", target.region, target.account, target.cluster_name),
        status: EksClusterStatus::Creating,
        version: request.version,
        platform_version: Some("eks.1".to_owned()),
        created_at: Some(now),
        endpoint: None,
        certificate_authority: None,
        role_arn: request.role_arn.clone(),
        vpc_id: Some(super::world::VPC.to_owned()),
        subnet_ids: request.subnet_ids.clone(),
        security_group_ids: request.security_group_ids.clone(),
        endpoint_public: !request.public_cidrs.is_empty(),
        endpoint_private: true,
        public_cidrs: request.public_cidrs.clone(),
        service_cidr: request.service_cidr.clone().or_else(|| Some("172.20.0.0/16".to_owned())),
        kms_key_arn: request.kms_key_arn.clone(),
        logging: request.logging.clone(),
        support_type: Some(request.support_type),
        deletion_protection: request.deletion_protection,
        authentication_mode: Some("API".to_owned()),
        auto_mode: request.auto_mode.clone(),
        tags: request.tags.clone(),
        health: Vec::new(),
    };
    if !request.logging.is_empty() {
        world.log_groups.insert(key.clone(), format!("/aws/eks/{}/cluster", target.cluster_name));
    }
    let settles_at = Some(now + world.durations.create_cluster);
    let cluster = FakeCluster {
        cluster,
        access_entries: Default::default(),
        pod_identities: Default::default(),
        settles_at,
        fails,
        nodegroups: Default::default(),
        addons: Default::default(),
        updates: Vec::new(),
    };
    world.clusters.insert(key, cluster);
    Ok(Outcome::default())
}

fn delete_cluster(cluster: &mut FakeCluster, gone_at: Timestamp) -> Result<(), Refusal> {
    if cluster.cluster.status == EksClusterStatus::Deleting {
        return Ok(());
    }
    if !cluster.nodegroups.is_empty() {
        return Err(in_use("Cluster has nodegroups attached"));
    }
    // Protection does not guard clusters that never came up.
    let up = matches!(cluster.cluster.status, EksClusterStatus::Active | EksClusterStatus::Updating);
    if cluster.cluster.deletion_protection && up {
        return Err((ErrorClass::Invalid, "InvalidRequestException", "deletion protection is on".to_owned()));
    }
    cluster.cluster.status = EksClusterStatus::Deleting;
    cluster.settles_at = Some(gone_at);
    Ok(())
}

fn new_nodegroup(request: &NodegroupRequest) -> EksNodegroup {
    EksNodegroup {
        name: request.name.clone(),
        status: PartStatus::Creating,
        version: Some(request.version),
        release_version: Some(format!("{}.0-20261101", request.version)),
        ami_type: Some(request.ami_type.clone()),
        instance_types: request.instance_types.clone(),
        scaling: Some(request.scaling),
        node_role_arn: Some(request.node_role_arn.clone()),
        subnet_ids: request.subnet_ids.clone(),
        labels: request.labels.clone(),
        taints: request.taints.clone(),
        launch_template: Some(request.launch_template.clone()),
        max_unavailable_percent: Some(request.max_unavailable_percent),
        tags: request.tags.clone(),
        health: Vec::new(),
    }
}

fn active(cluster: &FakeCluster) -> Result<(), Refusal> {
    match cluster.cluster.status {
        EksClusterStatus::Active | EksClusterStatus::Updating => Ok(()),
        _ => Err((ErrorClass::Transient, "InvalidRequestException", "the cluster is not active".to_owned())),
    }
}

/// One update of a control plane at a time.
fn idle(cluster: &FakeCluster) -> Result<(), Refusal> {
    active(cluster)?;
    let busy = cluster
        .updates
        .iter()
        .any(|running| running.update.part.is_none() && running.update.status == EksUpdateStatus::InProgress);
    if busy { Err(in_use("another update is in progress")) } else { Ok(()) }
}

fn nodegroup<'a>(
    cluster: &'a mut FakeCluster,
    name: &str,
) -> Result<&'a mut Settling<EksNodegroup>, Refusal> {
    let group = cluster.nodegroups.get_mut(name).ok_or_else(|| not_found("no such node group"))?;
    match group.part.status {
        PartStatus::Active | PartStatus::Degraded => Ok(group),
        _ => Err(in_use("the node group is being changed")),
    }
}

fn entry<'a>(cluster: &'a mut FakeCluster, principal: &str) -> Result<&'a mut EksAccessEntry, Refusal> {
    cluster.access_entries.get_mut(principal).ok_or_else(|| not_found("no such access entry"))
}

fn runs_here(cluster: &FakeCluster, name: &str, version: &str, minors: &[u16]) -> Result<(), Refusal> {
    let runs = super::offers::addon(name, minors)
        .iter()
        .any(|offer| offer.version == version && offer.runs_on.contains(&cluster.cluster.version));
    if runs { Ok(()) } else { Err(invalid("Addon version specified is not supported")) }
}
