//! UpdateNodegroupConfig and UpdateNodegroupVersion.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Answer, Call, Input,
    cluster_version::check_active,
    nodegroup_rules::{
        check_labels, check_launch_template, check_release, check_scaling, check_update_config, release,
    },
    nodegroups::find,
    updates::{self, Begin},
};
use crate::{
    durations::Work,
    error::ApiError,
    model::{
        Change, ClusterRecord, Idempotency, LaunchTemplateSpec, Minor, NodeRepairConfig, NodeScalingConfig,
        NodeUpdateConfig, Nodegroup, Part, PartStatus, Taint,
    },
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConfigRequest {
    labels: Option<LabelChanges>,
    taints: Option<TaintChanges>,
    scaling_config: Option<NodeScalingConfig>,
    update_config: Option<NodeUpdateConfig>,
    node_repair_config: Option<NodeRepairConfig>,
    client_request_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LabelChanges {
    #[serde(default)]
    add_or_update_labels: BTreeMap<String, String>,
    #[serde(default)]
    remove_labels: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TaintChanges {
    #[serde(default)]
    add_or_update_taints: Vec<Taint>,
    #[serde(default)]
    remove_taints: Vec<Taint>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VersionRequest {
    version: Option<String>,
    release_version: Option<String>,
    launch_template: Option<LaunchTemplateSpec>,
    #[serde(default, rename = "force")]
    _force: bool,
    client_request_token: Option<String>,
}

/// What an update shows of what was asked for.
type Params = Vec<(&'static str, String)>;

pub(super) fn update_config(call: &mut Call<'_>, input: &Input) -> Answer {
    let (cluster, name) = (input.path(0).to_owned(), input.path(1).to_owned());
    let request: ConfigRequest = input.body()?;
    let idempotency = input.idempotency(request.client_request_token.as_ref());
    let record = call.cluster(&cluster)?;
    if let Some(answer) = updates::begun_before(record, idempotency.as_ref())? {
        return Ok(answer);
    }
    let place =
        |error: ApiError| error.with("clusterName", cluster.as_str()).with("nodegroupName", name.as_str());
    let before = find(record, &name)?.nodegroup.clone();
    check_changeable(record, &before, "ConfigUpdate").map_err(place)?;
    let (after, params) = configured(before, request).map_err(place)?;
    begin(call, &cluster, after, "ConfigUpdate", params, idempotency)
}

/// The node group after a change of its configuration, with what the update shows of it.
fn configured(mut group: Nodegroup, request: ConfigRequest) -> Result<(Nodegroup, Params), ApiError> {
    let mut params = Vec::new();
    if let Some(changes) = request.labels {
        check_labels(&changes.add_or_update_labels)?;
        params.push(("LabelsToAdd", json_text(&changes.add_or_update_labels)));
        params.push(("LabelsToRemove", json_text(&changes.remove_labels)));
        group.labels.extend(changes.add_or_update_labels);
        group.labels.retain(|key, _| !changes.remove_labels.contains(key));
    }
    if let Some(changes) = request.taints {
        params.push(("TaintsToAdd", json_text(&changes.add_or_update_taints)));
        params.push(("TaintsToRemove", json_text(&changes.remove_taints)));
        // Source: docs (a taint is known by key and effect).
        let same = |a: &Taint, b: &Taint| a.key == b.key && a.effect == b.effect;
        let touched = |taint: &Taint| {
            changes.remove_taints.iter().chain(&changes.add_or_update_taints).any(|other| same(taint, other))
        };
        group.taints.retain(|taint| !touched(taint));
        group.taints.extend(changes.add_or_update_taints);
    }
    if let Some(config) = request.scaling_config {
        let before = group.scaling_config;
        let after = NodeScalingConfig {
            min_size: config.min_size.or(before.min_size),
            max_size: config.max_size.or(before.max_size),
            desired_size: config.desired_size.or(before.desired_size),
        };
        check_scaling(&after)?;
        for (name, size) in
            [("MinSize", after.min_size), ("MaxSize", after.max_size), ("DesiredSize", after.desired_size)]
        {
            params.extend(size.map(|size| (name, size.to_string())));
        }
        group.scaling_config = after;
    }
    if let Some(config) = request.update_config {
        check_update_config(Some(&config))?;
        params.extend(config.max_unavailable.map(|count| ("MaxUnavailable", count.to_string())));
        params.extend(
            config.max_unavailable_percentage.map(|part| ("MaxUnavailablePercentage", part.to_string())),
        );
        group.update_config = config;
    }
    if let Some(config) = request.node_repair_config {
        params.push(("NodeRepairConfig", json_text(&config)));
        group.node_repair_config = Some(config);
    }
    // Source: unverified (text).
    match params.is_empty() {
        true => Err(ApiError::invalid_parameter("No changes were given.")),
        false => Ok((group, params)),
    }
}

pub(super) fn update_version(call: &mut Call<'_>, input: &Input) -> Answer {
    let (cluster, name) = (input.path(0).to_owned(), input.path(1).to_owned());
    let request: VersionRequest = input.body()?;
    let idempotency = input.idempotency(request.client_request_token.as_ref());
    let record = call.cluster(&cluster)?;
    if let Some(answer) = updates::begun_before(record, idempotency.as_ref())? {
        return Ok(answer);
    }
    let place =
        |error: ApiError| error.with("clusterName", cluster.as_str()).with("nodegroupName", name.as_str());
    let before = find(record, &name)?.nodegroup.clone();
    check_changeable(record, &before, "VersionUpdate").map_err(place)?;
    let (after, params) = moved(call, record, before, &request).map_err(place)?;
    begin(call, &cluster, after, "VersionUpdate", params, idempotency)
}

/// The node group after a move to another minor, release or version of its template.
fn moved(
    call: &Call<'_>,
    record: &ClusterRecord,
    mut group: Nodegroup,
    request: &VersionRequest,
) -> Result<(Nodegroup, Params), ApiError> {
    let template = same_template(call, &group, request)?;
    let stays = group.version.to_string();
    // Source: docs (without a version the minor stays and the newest release of it is taken).
    let wanted = request.version.as_deref().unwrap_or(&stays);
    let version = check_release(record, Some(wanted), request.release_version.as_deref(), &group.ami_type)?;
    if version < group.version && !may_go_back(record, version) {
        return Err(ApiError::invalid_parameter(format!(
            "Nodegroup Kubernetes version {version} must not be older than the current version {}",
            group.version
        )));
    }
    group.version = version;
    group.release_version =
        request.release_version.clone().unwrap_or_else(|| release(version, &group.ami_type));
    let mut params =
        vec![("Version", version.to_string()), ("ReleaseVersion", group.release_version.clone())];
    if let Some(template) = template {
        params.extend(template.name.clone().map(|name| ("LaunchTemplateName", name)));
        params.extend(template.version.clone().map(|version| ("LaunchTemplateVersion", version)));
        group.launch_template = Some(template);
    }
    Ok((group, params))
}

/// Source: docs (the template's id or name is for the life of the node group, its version is not).
fn same_template(
    call: &Call<'_>,
    group: &Nodegroup,
    request: &VersionRequest,
) -> Result<Option<LaunchTemplateSpec>, ApiError> {
    let Some(wanted) = &request.launch_template else { return Ok(None) };
    let Some(before) = &group.launch_template else {
        return Err(ApiError::invalid_parameter("The node group was not made with a launch template."));
    };
    let found = check_launch_template(call, wanted)?;
    match found.id == before.id {
        true => Ok(Some(found)),
        false => Err(ApiError::invalid_parameter("The launch template cannot be changed, only its version.")),
    }
}

/// Nodes go back before the control plane does. Source: docs of rollbacks; the API's own text says that node groups
/// cannot go back, and nobody compared the two with the live service: unverified.
fn may_go_back(record: &ClusterRecord, to: Minor) -> bool {
    record.upgraded.is_some_and(|upgraded| upgraded.from == to)
}

fn check_changeable(record: &ClusterRecord, group: &Nodegroup, kind: &str) -> Result<(), ApiError> {
    check_active(record)?;
    updates::check_idle(record, &Part::Nodegroup(group.nodegroup_name.clone()), kind)?;
    // Source: docs; the text: unverified.
    match group.status {
        PartStatus::Active | PartStatus::Degraded => Ok(()),
        status => Err(ApiError::resource_in_use(format!(
            "Nodegroup {} cannot be updated while it is {}",
            group.nodegroup_name,
            json_text(&status).trim_matches('"')
        ))),
    }
}

fn begin(
    call: &mut Call<'_>,
    cluster: &str,
    after: Nodegroup,
    kind: &'static str,
    params: Params,
    idempotency: Option<Idempotency>,
) -> Answer {
    let name = after.nodegroup_name.clone();
    if let Some(group) = call.cluster_mut(cluster)?.nodegroups.get_mut(&name) {
        group.nodegroup.status = PartStatus::Updating;
    }
    updates::begin(
        call,
        cluster,
        Begin {
            kind,
            part: Part::Nodegroup(name),
            change: Change::Nodegroup(Box::new(after)),
            params,
            work: Work::NodegroupUpdate,
            before: None,
            idempotency,
        },
    )
}

/// The value of a parameter: JSON text, as the live service answers.
fn json_text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
