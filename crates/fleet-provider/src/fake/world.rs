//! The state of the in-memory EKS, and what the passing of time does to it.

use std::collections::BTreeMap;

use fleet_api::{
    KubernetesVersion,
    eks::{
        ClusterTarget, ConfigChange, EksAccessEntry, EksAddon, EksCluster, EksClusterStatus,
        EksLaunchTemplate, EksNodegroup, EksObservation, EksPodIdentity, EksSubnet, EksUpdate,
        EksUpdateStatus, Focus, HealthIssue, Leftover, NodegroupRequest, Part, PartStatus,
    },
    labels,
    step::{Outcome, Seen},
};
use jiff::{SignedDuration, Timestamp};

use super::offers;

/// The VPC of every subnet.
pub(super) const VPC: &str = "vpc-fake";

/// How long things take.
#[derive(Debug, Clone)]
pub struct Durations {
    /// From CreateCluster to `ACTIVE`.
    pub create_cluster: SignedDuration,
    /// From DeleteCluster to gone.
    pub delete_cluster: SignedDuration,
    /// A change of the control plane's version.
    pub update_version: SignedDuration,
    /// A change of the control plane's settings.
    pub update_config: SignedDuration,
    /// Anything of a node group.
    pub nodegroup: SignedDuration,
    /// Anything of an add-on.
    pub addon: SignedDuration,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            create_cluster: SignedDuration::from_mins(10),
            delete_cluster: SignedDuration::from_mins(6),
            update_version: SignedDuration::from_mins(9),
            update_config: SignedDuration::from_mins(3),
            nodegroup: SignedDuration::from_mins(4),
            addon: SignedDuration::from_mins(1),
        }
    }
}

/// What an update does when it is done.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Version(KubernetesVersion),
    Config(ConfigChange),
    NodegroupVersion { name: String, to: KubernetesVersion, launch_template: Option<(String, String)> },
    NodegroupConfig(Box<NodegroupRequest>),
    Addon { name: String, version: String, configuration: Option<String>, role_arn: Option<String> },
}

#[derive(Debug, Clone)]
pub(super) struct RunningUpdate {
    pub(super) update: EksUpdate,
    pub(super) done_at: Timestamp,
    pub(super) change: Change,
    /// The code that it fails with.
    pub(super) fails: Option<String>,
}

/// A node group or an add-on, and when its state settles.
#[derive(Debug, Clone)]
pub(super) struct Settling<T> {
    pub(super) part: T,
    pub(super) settles_at: Option<Timestamp>,
    pub(super) fails: bool,
}

/// A cluster with everything in it.
#[derive(Debug, Clone)]
pub struct FakeCluster {
    /// The control plane.
    pub cluster: EksCluster,
    /// The access entries by principal.
    pub access_entries: BTreeMap<String, EksAccessEntry>,
    /// The pod identity associations by id.
    pub pod_identities: BTreeMap<String, EksPodIdentity>,
    pub(super) settles_at: Option<Timestamp>,
    pub(super) fails: bool,
    pub(super) nodegroups: BTreeMap<String, Settling<EksNodegroup>>,
    pub(super) addons: BTreeMap<String, Settling<EksAddon>>,
    pub(super) updates: Vec<RunningUpdate>,
}

impl FakeCluster {
    /// The node groups, to look at or to change behind fleet's back.
    pub fn nodegroups_mut(&mut self) -> impl Iterator<Item = &mut EksNodegroup> {
        self.nodegroups.values_mut().map(|settling| &mut settling.part)
    }

    /// The add-ons, to look at or to change behind fleet's back.
    pub fn addons_mut(&mut self) -> impl Iterator<Item = &mut EksAddon> {
        self.addons.values_mut().map(|settling| &mut settling.part)
    }

    /// Takes every node group and every add-on away that is not among these, as if it had never been made.
    pub fn keep_parts(&mut self, nodegroups: &[String], addons: &[String]) {
        self.nodegroups.retain(|name, _| nodegroups.contains(name));
        self.addons.retain(|name, _| addons.contains(name));
    }
}

/// What a token was used for.
#[derive(Debug, Clone)]
pub(super) struct UsedToken {
    pub(super) action: String,
    pub(super) part: Part,
    pub(super) cluster: Place,
    pub(super) outcome: Outcome,
}

/// Account, region and name.
pub(super) type Place = (String, String, String);

pub(super) fn place(target: &ClusterTarget) -> Place {
    (target.account.clone(), target.region.clone(), target.cluster_name.clone())
}

/// Everything there is.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) durations: Durations,
    /// The minors on offer, the oldest first.
    pub(super) minors: Vec<u16>,
    pub(super) clusters: BTreeMap<Place, FakeCluster>,
    /// By account, region and template name: the owner's UID and the template.
    pub(super) launch_templates: BTreeMap<Place, (String, EksLaunchTemplate)>,
    pub(super) log_groups: BTreeMap<Place, String>,
    pub(super) tokens: BTreeMap<String, UsedToken>,
    pub(super) endpoints: BTreeMap<String, (String, String)>,
    pub(super) next_id: u64,
}

impl World {
    pub(super) fn fresh_id(&mut self, prefix: &str) -> String {
        self.next_id += 1;
        format!("{prefix}{:08x}", self.next_id)
    }

    /// Lets everything happen that is due at `now`.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let endpoints = &self.endpoints;
        let tokens = &mut self.tokens;
        self.clusters.retain(|place, cluster| {
            if cluster.settles_at.is_some_and(|at| at <= now) {
                cluster.settles_at = None;
                match cluster.cluster.status {
                    EksClusterStatus::Deleting => {
                        tokens.retain(|_, used| used.cluster != *place);
                        return false;
                    }
                    _ if cluster.fails => cluster.cluster.status = EksClusterStatus::Failed,
                    _ => become_active(&mut cluster.cluster, endpoints),
                }
            }
            settle_parts(cluster, now);
            settle_updates(cluster, now);
            true
        });
    }

    /// What an observer sees.
    pub(super) fn observe(&self, target: &ClusterTarget, focus: &Focus, now: Timestamp) -> EksObservation {
        let mut seen = EksObservation::nothing_seen(now);
        seen.versions = offers::versions(&self.minors);
        let offers = |name: &String| (name.clone(), offers::addon(name, &self.minors));
        seen.addon_offers = focus.addons.iter().map(offers).collect();
        seen.launch_templates = Seen::Present(
            self.launch_templates
                .values()
                .filter(|(owner, _)| *owner == target.owner_uid)
                .map(|(_, template)| template.clone())
                .collect(),
        );
        if focus.leftovers {
            seen.leftovers = Seen::Present(self.leftovers(target));
        }
        let Some(cluster) = self.clusters.get(&place(target)) else {
            seen.cluster = Seen::Absent;
            return seen;
        };
        seen.cluster = Seen::Present(cluster.cluster.clone());
        if matches!(cluster.cluster.status, EksClusterStatus::Creating | EksClusterStatus::Pending) {
            return seen;
        }
        seen.update = cluster
            .updates
            .iter()
            .rev()
            .map(|running| &running.update)
            .find(|update| match &focus.update_id {
                Some(id) => update.id == *id && update.part == focus.update_part,
                None => update.part.is_none() && update.status == EksUpdateStatus::InProgress,
            })
            .map_or(Seen::Absent, |update| Seen::Present(update.clone()));
        seen.nodegroups =
            Seen::Present(cluster.nodegroups.values().map(|settling| settling.part.clone()).collect());
        seen.addons = Seen::Present(cluster.addons.values().map(|settling| settling.part.clone()).collect());
        seen.access_entries = Seen::Present(cluster.access_entries.values().cloned().collect());
        seen.pod_identities = Seen::Present(cluster.pod_identities.values().cloned().collect());
        if focus.readiness {
            seen.insights = Seen::Present(Vec::new());
            let subnets = cluster.cluster.subnet_ids.iter().zip(["a", "b", "c"].iter().cycle());
            seen.subnets = Seen::Present(
                subnets
                    .map(|(id, zone)| EksSubnet {
                        id: id.clone(),
                        zone: format!("{}{zone}", target.region),
                        vpc_id: Some(VPC.to_owned()),
                        free_addresses: 200,
                    })
                    .collect(),
            );
        }
        seen
    }

    fn leftovers(&self, target: &ClusterTarget) -> Vec<Leftover> {
        let templates = self
            .launch_templates
            .values()
            .filter(|(owner, _)| *owner == target.owner_uid)
            .map(|(_, template)| (template.id.clone(), "launch template", "it was not deleted"));
        let logs = self
            .log_groups
            .get(&place(target))
            .map(|name| (name.clone(), "log group", "EKS keeps the logs of a deleted cluster"));
        templates
            .chain(logs)
            .map(|(id, kind, why)| Leftover { id, kind: kind.to_owned(), why: why.to_owned() })
            .collect()
    }
}

fn become_active(cluster: &mut EksCluster, endpoints: &BTreeMap<String, (String, String)>) {
    let (endpoint, authority) = endpoints.get(&cluster.name).cloned().unwrap_or_else(|| {
        (format!("https://{}.eks.invalid", cluster.name), "bm8gY2VydGlmaWNhdGUK".to_owned())
    });
    cluster.status = EksClusterStatus::Active;
    cluster.endpoint = Some(endpoint);
    cluster.certificate_authority = Some(authority);
}

fn settle_parts(cluster: &mut FakeCluster, now: Timestamp) {
    let updating = |part: &str, updates: &[RunningUpdate]| {
        updates.iter().any(|running| {
            running.update.status == EksUpdateStatus::InProgress
                && running.update.part.as_deref() == Some(part)
        })
    };
    cluster.nodegroups.retain(|_, group| {
        if group.settles_at.is_some_and(|at| at <= now) {
            group.settles_at = None;
            match group.part.status {
                PartStatus::Deleting => return false,
                _ if group.fails => group.part.status = PartStatus::CreateFailed,
                _ => group.part.status = PartStatus::Active,
            }
        }
        true
    });
    let nodes = cluster.cluster.auto_mode.is_some()
        || cluster.nodegroups.values().any(|group| {
            matches!(group.part.status, PartStatus::Active | PartStatus::Updating | PartStatus::Degraded)
        });
    let updates = &cluster.updates;
    cluster.addons.retain(|name, addon| {
        if addon.settles_at.is_some_and(|at| at <= now) {
            addon.settles_at = None;
            match addon.part.status {
                PartStatus::Deleting => return false,
                _ if addon.fails => addon.part.status = PartStatus::CreateFailed,
                _ => addon.part.status = PartStatus::Active,
            }
        }
        // coredns is a Deployment: it has nowhere to run before there are nodes.
        let settled = matches!(addon.part.status, PartStatus::Active | PartStatus::Degraded);
        if name == "coredns" && settled && !updating("addon coredns", updates) {
            addon.part.status = if nodes { PartStatus::Active } else { PartStatus::Degraded };
            addon.part.health = if nodes {
                Vec::new()
            } else {
                vec![HealthIssue {
                    code: "InsufficientNumberOfReplicas".to_owned(),
                    message: "no node to run on".to_owned(),
                    resource_ids: Vec::new(),
                }]
            };
        }
        true
    });
}

fn settle_updates(cluster: &mut FakeCluster, now: Timestamp) {
    let due: Vec<usize> = cluster
        .updates
        .iter()
        .enumerate()
        .filter(|(_, running)| running.update.status == EksUpdateStatus::InProgress && running.done_at <= now)
        .map(|(index, _)| index)
        .collect();
    for index in due {
        let Some(running) = cluster.updates.get_mut(index) else { continue };
        if let Some(code) = running.fails.clone() {
            running.update.status = EksUpdateStatus::Failed;
            running.update.errors =
                vec![HealthIssue { code, message: "as asked".to_owned(), resource_ids: Vec::new() }];
        } else {
            running.update.status = EksUpdateStatus::Successful;
        }
        let failed = running.fails.is_some();
        let change = running.change.clone();
        finish(cluster, change, failed);
    }
}

/// Ends an update: the status goes back, and the change is seen unless it failed.
fn finish(cluster: &mut FakeCluster, change: Change, failed: bool) {
    match change {
        Change::Version(to) => {
            cluster.cluster.status = EksClusterStatus::Active;
            if !failed {
                cluster.cluster.version = to;
            }
        }
        Change::Config(change) => {
            cluster.cluster.status = EksClusterStatus::Active;
            if !failed {
                apply_config(&mut cluster.cluster, change);
            }
        }
        Change::NodegroupVersion { name, to, launch_template } => {
            if let Some(group) = cluster.nodegroups.get_mut(&name) {
                group.part.status = PartStatus::Active;
                if !failed {
                    group.part.version = Some(to);
                    group.part.release_version = Some(format!("{to}.0-20261101"));
                    group.part.launch_template = launch_template.or(group.part.launch_template.take());
                }
            }
        }
        Change::NodegroupConfig(request) => {
            if let Some(group) = cluster.nodegroups.get_mut(&request.name) {
                group.part.status = PartStatus::Active;
                if !failed {
                    group.part.scaling = Some(request.scaling);
                    group.part.max_unavailable_percent = Some(request.max_unavailable_percent);
                    for key in &request.remove_labels {
                        group.part.labels.remove(key);
                    }
                    group.part.labels.extend(request.labels);
                    group.part.taints.retain(|taint| !request.remove_taints.contains(taint));
                    for taint in request.taints {
                        group.part.taints.retain(|old| old.key != taint.key || old.effect != taint.effect);
                        group.part.taints.push(taint);
                    }
                }
            }
        }
        Change::Addon { name, version, configuration, role_arn } => {
            if let Some(addon) = cluster.addons.get_mut(&name) {
                addon.part.status = if failed { PartStatus::UpdateFailed } else { PartStatus::Active };
                if !failed {
                    addon.part.version = version;
                    addon.part.configuration = configuration;
                    addon.part.role_arn = role_arn;
                }
            }
        }
    }
}

fn apply_config(cluster: &mut EksCluster, change: ConfigChange) {
    match change {
        ConfigChange::Endpoint { public_cidrs } => {
            cluster.endpoint_public = !public_cidrs.is_empty();
            cluster.endpoint_private = true;
            cluster.public_cidrs = public_cidrs;
        }
        ConfigChange::Network { subnet_ids, security_group_ids } => {
            cluster.subnet_ids = subnet_ids;
            cluster.security_group_ids = security_group_ids;
        }
        ConfigChange::Logging(logging) => cluster.logging = logging,
        ConfigChange::SupportType(support) => cluster.support_type = Some(support),
        ConfigChange::DeletionProtection(on) => cluster.deletion_protection = on,
        ConfigChange::AutoMode(auto_mode) => cluster.auto_mode = auto_mode,
    }
}

/// The owner that a set of tags names.
pub(super) fn owner_of(tags: &BTreeMap<String, String>) -> String {
    tags.get(labels::TAG_OWNER).cloned().unwrap_or_default()
}
