//! CreateCluster, DescribeCluster, ListClusters, DeleteCluster.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;

use super::{
    Answer, Call, Input, access, catalogue,
    input::{Repeated, repeated},
    network::{self, check_endpoint, check_network},
};
use crate::{
    clock::Epoch,
    durations::Work,
    error::ApiError,
    model::{
        AccessConfig, AuthenticationMode, Certificate, Cluster, ClusterRecord, ClusterStatus, ComputeConfig,
        EncryptionConfig, Health, Idempotency, LogSetup, LogType, Logging, Minor, NetworkConfig,
        RemoteNetworkConfig, ScalingConfig, Server, StorageConfig, SupportType, UpgradePolicy, VpcConfig,
        ZonalShiftConfig,
    },
};

/// Source: docs (service quotas).
const CLUSTERS_PER_REGION: usize = 100;

/// The members of `CreateClusterRequest` that the emulator carries.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateRequest {
    name: String,
    version: Option<String>,
    role_arn: String,
    resources_vpc_config: network::VpcRequest,
    kubernetes_network_config: Option<NetworkConfig>,
    logging: Option<Logging>,
    client_request_token: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    encryption_config: Vec<EncryptionConfig>,
    access_config: Option<CreateAccess>,
    bootstrap_self_managed_addons: Option<bool>,
    upgrade_policy: Option<UpgradePolicy>,
    zonal_shift_config: Option<ZonalShiftConfig>,
    remote_network_config: Option<RemoteNetworkConfig>,
    compute_config: Option<ComputeConfig>,
    storage_config: Option<StorageConfig>,
    deletion_protection: Option<bool>,
    control_plane_scaling_config: Option<ScalingConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateAccess {
    bootstrap_cluster_creator_admin_permissions: Option<bool>,
    authentication_mode: Option<AuthenticationMode>,
}

pub(super) fn create(call: &mut Call<'_>, input: &Input) -> Answer {
    let request: CreateRequest = input.body()?;
    let idempotency = input.idempotency(request.client_request_token.as_ref());
    if let Ok(before) = call.cluster(&request.name) {
        return match repeated(before.idempotency.as_ref(), idempotency.as_ref())? {
            Repeated::Same => Ok(json!({ "cluster": before.cluster })),
            // Source: issue (quoted in many).
            Repeated::No => {
                Err(ApiError::resource_in_use(format!("Cluster already exists with name: {}", request.name))
                    .with("clusterName", request.name.as_str()))
            }
        };
    }
    let checked = check_create(call, &request)?;
    let record = build(call, request, checked, idempotency);
    let answer = json!({ "cluster": record.cluster });
    let key = call.key(&record.cluster.name);
    call.state.insert_cluster(key, record);
    Ok(answer)
}

/// What the checks of a creation found out.
struct Checked {
    version: Minor,
    vpc: VpcConfig,
}

fn check_create(call: &Call<'_>, request: &CreateRequest) -> Result<Checked, ApiError> {
    let refuse = |message: String| {
        Err(ApiError::invalid_parameter(message).with("clusterName", request.name.as_str()))
    };
    // Source: model (pattern and length of ClusterName).
    if !is_name(&request.name, 100) {
        return refuse(format!(
            "The cluster name `{}` must begin with a letter or digit and have at most 100 letters, digits, - and _.",
            request.name
        ));
    }
    let here =
        |key: &crate::model::ClusterKey| key.account == call.caller.account && key.region == call.region;
    if call.state.clusters().keys().filter(|key| here(key)).count() >= CLUSTERS_PER_REGION {
        return Err(ApiError::resource_limit(format!(
            "Cluster limit exceeded: {CLUSTERS_PER_REGION} clusters in {}.",
            call.region
        ))
        .with("clusterName", request.name.as_str()));
    }
    let version = match &request.version {
        None => catalogue::DEFAULT_VERSION,
        Some(text) => supported_version(call, text)?,
    };
    // Source: issue (text).
    if !trusts_service(call, &request.role_arn, "eks.amazonaws.com") {
        return refuse(format!(
            "Role with arn: {}, could not be assumed because it does not exist or the trusted entity is not correct",
            request.role_arn
        ));
    }
    let vpc = check_network(call, &request.resources_vpc_config)?;
    check_endpoint(&vpc)?;
    if let Some(cidr) = request.kubernetes_network_config.as_ref().and_then(|c| c.service_ipv4_cidr.as_ref())
    {
        network::check_service_cidr(cidr)?;
    }
    for config in &request.encryption_config {
        check_key(call, &config.provider.key_arn)?;
        // Source: model ("The only supported value is secrets").
        if config.resources != ["secrets"] {
            return refuse("encryptionConfig.resources must be [secrets].".to_owned());
        }
    }
    check_auto_mode(call, request)?;
    check_tier(request.control_plane_scaling_config.as_ref())?;
    check_tags(&request.tags)?;
    Ok(Checked { version, vpc })
}

/// A minor that new clusters may have.
pub(super) fn supported_version(call: &Call<'_>, text: &str) -> Result<Minor, ApiError> {
    Minor::parse(text)
        .filter(|minor| {
            catalogue::version(*minor).is_some_and(|v| v.support(call.now) != catalogue::Support::Unsupported)
        })
        // Source: issue (text).
        .ok_or_else(|| ApiError::invalid_parameter("unsupported Kubernetes version"))
}

/// Whether a role of the caller's account exists and trusts a service.
pub(super) fn trusts_service(call: &Call<'_>, role_arn: &str, service: &str) -> bool {
    role_arn.starts_with(&format!("arn:aws:iam::{}:role/", call.caller.account))
        && call.seed.role(role_arn).is_some_and(|role| role.trusted_services.contains(service))
}

/// Source: model (health codes KmsKeyNotFound, KmsKeyDisabled); the texts: unverified.
fn check_key(call: &Call<'_>, arn: &str) -> Result<(), ApiError> {
    let prefix = format!("arn:aws:kms:{}:{}:key/", call.region, call.caller.account);
    let key = arn
        .strip_prefix(&prefix)
        .and_then(|id| call.seed.region(&call.caller.account, call.region)?.keys.get(id));
    match key {
        None => Err(ApiError::invalid_parameter(format!(
            "KMS key {arn} does not exist in this account and region."
        ))),
        Some(key) if key.state != "Enabled" => {
            Err(ApiError::invalid_parameter(format!("KMS key {arn} is {}.", key.state)))
        }
        Some(_) => Ok(()),
    }
}

fn check_auto_mode(call: &Call<'_>, request: &CreateRequest) -> Result<(), ApiError> {
    let on = network::auto_mode_switch(
        request.compute_config.as_ref(),
        request.storage_config.as_ref(),
        request.kubernetes_network_config.as_ref().and_then(|config| config.elastic_load_balancing.as_ref()),
    )?;
    if on != Some(true) {
        return Ok(());
    }
    network::check_auto_mode_nodes(call, request.compute_config.as_ref())?;
    // Source: docs (create an Auto Mode cluster).
    if request.bootstrap_self_managed_addons != Some(false) {
        return Err(ApiError::invalid_parameter(
            "EKS Auto Mode requires bootstrapSelfManagedAddons to be false.",
        ));
    }
    let mode = request.access_config.as_ref().and_then(|config| config.authentication_mode);
    if matches!(mode, None | Some(AuthenticationMode::ConfigMap)) {
        return Err(ApiError::invalid_parameter(
            "EKS Auto Mode requires authenticationMode API or API_AND_CONFIG_MAP.",
        ));
    }
    Ok(())
}

/// Source: model (enum of tiers).
pub(super) fn check_tier(config: Option<&ScalingConfig>) -> Result<(), ApiError> {
    const TIERS: [&str; 5] = ["standard", "tier-xl", "tier-2xl", "tier-4xl", "tier-8xl"];
    match config {
        Some(config) if !TIERS.contains(&config.tier.as_str()) => {
            Err(ApiError::invalid_parameter(format!("`{}` is not one of {}.", config.tier, TIERS.join(", "))))
        }
        _ => Ok(()),
    }
}

/// Source: model (lengths), docs (50 tags, no `aws:` prefix).
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > 50 {
        return Err(ApiError::invalid_parameter("A resource can have at most 50 tags."));
    }
    for (key, value) in tags {
        let fits = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
        if !fits || key.to_ascii_lowercase().starts_with("aws:") {
            return Err(ApiError::invalid_parameter(format!("The tag `{key}` is not valid.")));
        }
    }
    Ok(())
}

/// Source: model (pattern of names).
pub(super) fn is_name(name: &str, longest: usize) -> bool {
    (1..=longest).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn build(
    call: &mut Call<'_>,
    request: CreateRequest,
    checked: Checked,
    idempotency: Option<Idempotency>,
) -> ClusterRecord {
    let mode = request
        .access_config
        .as_ref()
        .and_then(|c| c.authentication_mode)
        .unwrap_or(AuthenticationMode::ConfigMap);
    let bootstrap = request
        .access_config
        .as_ref()
        .and_then(|config| config.bootstrap_cluster_creator_admin_permissions)
        .unwrap_or(true);
    let network = request.kubernetes_network_config.unwrap_or_default();
    let mut vpc = checked.vpc;
    vpc.cluster_security_group_id = format!("sg-{}", &call.id().simple().to_string()[..17]);
    let fails_with = call.planned_create_issue();
    let cluster = Cluster {
        arn: call.arn(&format!("cluster/{}", request.name)),
        name: request.name,
        created_at: Epoch(call.now),
        version: checked.version,
        endpoint: None,
        role_arn: request.role_arn,
        resources_vpc_config: vpc,
        kubernetes_network_config: NetworkConfig {
            service_ipv4_cidr: Some(network.service_ipv4_cidr.unwrap_or_else(|| "10.100.0.0/16".to_owned())),
            ip_family: Some(network.ip_family.unwrap_or_else(|| "ipv4".to_owned())),
            elastic_load_balancing: Some(network.elastic_load_balancing.unwrap_or_default()).map(
                |mut config| {
                    config.enabled = Some(config.enabled.unwrap_or(false));
                    config
                },
            ),
        },
        logging: whole_logging(request.logging.as_ref(), None),
        identity: None,
        status: ClusterStatus::Creating,
        certificate_authority: Certificate::default(),
        client_request_token: request.client_request_token,
        platform_version: catalogue::platform_version(checked.version),
        tags: request.tags,
        encryption_config: request.encryption_config,
        health: Health::default(),
        access_config: AccessConfig {
            bootstrap_cluster_creator_admin_permissions: Some(bootstrap),
            authentication_mode: mode,
        },
        upgrade_policy: request
            .upgrade_policy
            .unwrap_or(UpgradePolicy { support_type: SupportType::Extended }),
        zonal_shift_config: request.zonal_shift_config,
        remote_network_config: request.remote_network_config,
        compute_config: request.compute_config,
        storage_config: request.storage_config,
        deletion_protection: request.deletion_protection.unwrap_or(false),
        control_plane_scaling_config: request
            .control_plane_scaling_config
            .or_else(|| Some(ScalingConfig { tier: "standard".to_owned() })),
    };
    let server = match fails_with {
        // A cluster that will fail never gets an API server.
        Some(_) => Server { removed: true, ..Server::default() },
        None => Server { wanted: Some(checked.version), ..Server::default() },
    };
    let mut record = ClusterRecord {
        cluster,
        idempotency,
        due: Some(call.due(Work::ClusterCreate)),
        fails_with,
        server,
        upgraded: None,
        stale_reads: 0,
        updates: Vec::new(),
        nodegroups: BTreeMap::new(),
        addons: BTreeMap::new(),
        access_entries: BTreeMap::new(),
        pod_identities: BTreeMap::new(),
        insights: BTreeMap::new(),
        insights_refresh: None,
    };
    if bootstrap && mode != AuthenticationMode::ConfigMap {
        access::add_creator(call, &mut record);
    }
    record
}

/// All five logs, those that are on and those that are off, as the live service answers (source: issue).
///
/// A log that the request does not name stays as it was.
pub(super) fn whole_logging(request: Option<&Logging>, before: Option<&Logging>) -> Logging {
    let on_in = |logging: Option<&Logging>| -> BTreeSet<LogType> {
        logging
            .iter()
            .flat_map(|l| &l.cluster_logging)
            .filter(|s| s.enabled)
            .flat_map(|s| s.types.clone())
            .collect()
    };
    let mut on = on_in(before);
    for setup in request.iter().flat_map(|logging| &logging.cluster_logging) {
        for kind in &setup.types {
            if setup.enabled {
                on.insert(*kind);
            } else {
                on.remove(kind);
            }
        }
    }
    let (enabled, disabled): (Vec<LogType>, Vec<LogType>) =
        LogType::ALL.iter().partition(|kind| on.contains(kind));
    let setups = [LogSetup { types: enabled, enabled: true }, LogSetup { types: disabled, enabled: false }];
    Logging { cluster_logging: setups.into_iter().filter(|setup| !setup.types.is_empty()).collect() }
}

pub(super) fn list(call: &mut Call<'_>, input: &Input) -> Answer {
    let names = call
        .state
        .clusters()
        .keys()
        .filter(|key| key.account == call.caller.account && key.region == call.region);
    input.page("clusters", names.map(|key| (key.name.clone(), key.name.clone())).collect())
}

pub(super) fn describe(call: &mut Call<'_>, input: &Input) -> Answer {
    let name = input.path(0);
    let mut cluster = call.cluster(name)?.cluster.clone();
    if call.cluster(name)?.stale_reads > 0 {
        call.cluster_mut(name)?.stale_reads -= 1;
        // Source: docs ("this status transition is eventually consistent").
        if cluster.status == ClusterStatus::Updating {
            cluster.status = ClusterStatus::Active;
        }
    }
    // Source: docs (the answers' examples): only the creator hears of its token and of who was let in at the beginning.
    cluster.client_request_token = None;
    cluster.access_config.bootstrap_cluster_creator_admin_permissions = None;
    Ok(json!({ "cluster": cluster }))
}

pub(super) fn delete(call: &mut Call<'_>, input: &Input) -> Answer {
    let name = input.path(0);
    let record = call.cluster(name)?;
    let refuse = |error: ApiError| Err(error.with("clusterName", name));
    // Source: issue (text); docs (node groups and Fargate profiles first).
    if let Some(group) = record.nodegroups.keys().next() {
        return Err(ApiError::resource_in_use("Cluster has nodegroups attached")
            .with("clusterName", name)
            .with("nodegroupName", group.as_str()));
    }
    // Source: docs (deletion protection does not guard clusters that are being created or failed).
    let guarded = !matches!(record.cluster.status, ClusterStatus::Creating | ClusterStatus::Failed);
    if record.cluster.deletion_protection && guarded {
        return refuse(ApiError::invalid_request(
            "Cluster deletion protection is enabled. Disable deletion protection before deleting the cluster.",
        ));
    }
    // Source: unverified (the live service may refuse a deletion while it creates).
    if let Some(update) = record.updates.iter().find(|update| update.in_progress()) {
        return refuse(ApiError::resource_in_use(format!(
            "Cannot delete because cluster {name} currently has update {} in progress",
            update.update.id
        )));
    }
    let due = call.due(Work::ClusterDelete);
    let record = call.cluster_mut(name)?;
    if record.cluster.status != ClusterStatus::Deleting {
        record.cluster.status = ClusterStatus::Deleting;
        record.due = Some(due);
    }
    Ok(json!({ "cluster": record.cluster }))
}
