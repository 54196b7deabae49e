//! Launch templates and their versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    fault,
    filter::{Filtered, passes},
    tag_set,
};
use crate::{
    eks::Call,
    error::ApiError,
    state::State,
    wire::{
        query::Params,
        xml::{Element, items, node, text, text_items},
    },
};

/// A launch template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LaunchTemplate {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The id.
    pub id: String,
    /// The name, unique in account and region.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// The versions, from 1.
    pub versions: Vec<LaunchTemplateVersion>,
}

/// One version of a launch template. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LaunchTemplateVersion {
    /// When it was made.
    pub created_at: Timestamp,
    /// A description.
    pub description: Option<String>,
    /// The caller's token.
    pub token: Option<String>,
    /// The content.
    pub data: LaunchTemplateData,
}

/// The content of a version, as far as the emulator carries it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LaunchTemplateData {
    /// The machine image.
    pub image_id: Option<String>,
    /// The kind of machine.
    pub instance_type: Option<String>,
    /// What runs at the first start, in base64.
    pub user_data: Option<String>,
    /// The security groups.
    pub security_group_ids: Vec<String>,
    /// The instance metadata service.
    pub metadata_options: MetadataOptions,
    /// The volumes.
    pub block_devices: Vec<BlockDevice>,
    /// The tags of what is made from it, by resource type.
    pub tags: Vec<(String, BTreeMap<String, String>)>,
}

/// The instance metadata service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetadataOptions {
    /// `required` or `optional`.
    pub http_tokens: Option<String>,
    /// How far an answer goes.
    pub http_put_response_hop_limit: Option<String>,
    /// `enabled` or `disabled`.
    pub http_endpoint: Option<String>,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockDevice {
    /// The device.
    pub device_name: String,
    /// The members of its `Ebs`, by their names in the answer.
    pub ebs: BTreeMap<String, String>,
}

/// Members of `LaunchTemplateData` that the emulator carries; another one is refused by name, never dropped.
const DATA: [&str; 7] = [
    "ImageId",
    "InstanceType",
    "UserData",
    "SecurityGroupId",
    "MetadataOptions",
    "BlockDeviceMapping",
    "TagSpecification",
];
const EBS: [(&str, &str); 8] = [
    ("VolumeSize", "volumeSize"),
    ("VolumeType", "volumeType"),
    ("Encrypted", "encrypted"),
    ("KmsKeyId", "kmsKeyId"),
    ("DeleteOnTermination", "deleteOnTermination"),
    ("Iops", "iops"),
    ("Throughput", "throughput"),
    ("SnapshotId", "snapshotId"),
];

/// The launch templates of the caller's account and region.
pub(super) fn here<'a>(call: &'a Call<'_>) -> impl Iterator<Item = &'a LaunchTemplate> {
    call.state
        .shared()
        .launch_templates
        .values()
        .filter(|template| template.account == call.caller.account && template.region == call.region)
}

fn read_tags(params: &Params) -> BTreeMap<String, String> {
    let tags = params.each("Tag");
    tags.iter()
        .filter_map(|tag| Some((tag.get("Key")?.to_owned(), tag.get("Value").unwrap_or_default().to_owned())))
        .collect()
}

fn read_data(params: &Params) -> Result<LaunchTemplateData, ApiError> {
    if let Some(unknown) = params.unknown(&DATA) {
        return Err(fault(
            "UnknownParameter",
            format!("The parameter LaunchTemplateData.{unknown} is not carried by the emulator"),
        ));
    }
    let one = |name: &str| params.get(name).map(str::to_owned);
    let metadata = params.below("MetadataOptions");
    if let Some(unknown) = metadata.unknown(&["HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint"]) {
        return Err(fault(
            "UnknownParameter",
            format!("The parameter MetadataOptions.{unknown} is not carried by the emulator"),
        ));
    }
    let metadata_options = MetadataOptions {
        http_tokens: metadata.get("HttpTokens").map(str::to_owned),
        http_put_response_hop_limit: metadata.get("HttpPutResponseHopLimit").map(str::to_owned),
        http_endpoint: metadata.get("HttpEndpoint").map(str::to_owned),
    };
    // Source: docs (values).
    let wrong =
        metadata_options.http_tokens.as_deref().is_some_and(|t| !["required", "optional"].contains(&t));
    if wrong {
        return Err(fault("InvalidParameterValue", "HttpTokens must be `required` or `optional`."));
    }
    let mut block_devices = Vec::new();
    for device in params.each("BlockDeviceMapping") {
        let below = device.below("Ebs");
        let known: Vec<&str> = EBS.iter().map(|(name, _)| *name).collect();
        if let Some(unknown) = below.unknown(&known) {
            return Err(fault(
                "UnknownParameter",
                format!("The parameter Ebs.{unknown} is not carried by the emulator"),
            ));
        }
        block_devices.push(BlockDevice {
            device_name: device.get("DeviceName").unwrap_or_default().to_owned(),
            ebs: EBS
                .iter()
                .filter_map(|(name, answer)| Some(((*answer).to_owned(), below.get(name)?.to_owned())))
                .collect(),
        });
    }
    Ok(LaunchTemplateData {
        image_id: one("ImageId"),
        instance_type: one("InstanceType"),
        user_data: one("UserData"),
        security_group_ids: params.list("SecurityGroupId"),
        metadata_options,
        block_devices,
        tags: params
            .each("TagSpecification")
            .iter()
            .map(|spec| (spec.get("ResourceType").unwrap_or_default().to_owned(), read_tags(spec)))
            .collect(),
    })
}

fn new_version(call: &Call<'_>, params: &Params) -> Result<LaunchTemplateVersion, ApiError> {
    Ok(LaunchTemplateVersion {
        created_at: call.now,
        description: params.get("VersionDescription").map(str::to_owned),
        token: params.get("ClientToken").map(str::to_owned),
        data: read_data(&params.below("LaunchTemplateData"))?,
    })
}

pub(super) fn create(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let name = params.get("LaunchTemplateName").unwrap_or_default().to_owned();
    // Source: model (3 to 128 characters).
    if !(3..=128).contains(&name.len()) {
        return Err(fault(
            "InvalidLaunchTemplateName.MalformedException",
            "The name has 3 to 128 characters.",
        ));
    }
    let version = new_version(call, params)?;
    if let Some(before) = here(call).find(|template| template.name == name) {
        let first = before.versions.first();
        let again = first.is_some_and(|first| first.token.is_some() && first.token == version.token);
        // Source: docs (idempotency of EC2: the same token with other parameters is refused).
        return match (again, first.is_some_and(|first| first.data == version.data)) {
            (true, true) => Ok(vec![shown("launchTemplate", before)]),
            (true, false) => Err(fault(
                "IdempotentParameterMismatch",
                "The client token was used before with other parameters.",
            )),
            (false, _) => Err(fault(
                "InvalidLaunchTemplateName.AlreadyExistsException",
                "Launch template name already in use.",
            )),
        };
    }
    let tags = params
        .each("TagSpecification")
        .iter()
        .filter(|spec| spec.get("ResourceType") == Some("launch-template"))
        .flat_map(read_tags)
        .collect();
    let template = LaunchTemplate {
        account: call.caller.account.clone(),
        region: call.region.to_owned(),
        id: format!("lt-{}", &call.id().simple().to_string()[..17]),
        name,
        created_at: call.now,
        created_by: call.caller.arn(),
        tags,
        versions: vec![version],
    };
    let answer = shown("launchTemplate", &template);
    call.state.shared_mut().launch_templates.insert(template.id.clone(), template);
    Ok(vec![answer])
}

/// The template that a call names by id or by name. Source: docs (codes).
fn find(call: &Call<'_>, params: &Params) -> Result<LaunchTemplate, ApiError> {
    match (params.get("LaunchTemplateId"), params.get("LaunchTemplateName")) {
        (Some(id), None) => {
            here(call).find(|template| template.id == id).cloned().ok_or_else(|| not_found(id))
        }
        (None, Some(name)) => here(call).find(|template| template.name == name).cloned().ok_or_else(|| {
            fault(
                "InvalidLaunchTemplateName.NotFoundException",
                "At least one of the launch templates specified in the request does not exist.",
            )
        }),
        _ => Err(fault(
            "MissingParameter",
            "Exactly one of LaunchTemplateId and LaunchTemplateName is needed.",
        )),
    }
}

/// The name of the template that a call is about, whether it names it or gives its id.
pub(crate) fn named(state: &State, params: &Params) -> String {
    let by_id = params.get("LaunchTemplateId").map(|id| {
        state
            .shared()
            .launch_templates
            .get(id)
            .map_or_else(|| id.to_owned(), |template| template.name.clone())
    });
    by_id.or_else(|| params.get("LaunchTemplateName").map(str::to_owned)).unwrap_or_default()
}

fn not_found(id: &str) -> ApiError {
    fault(
        "InvalidLaunchTemplateId.NotFound",
        format!("The specified launch template, with template ID {id}, does not exist."),
    )
}

pub(super) fn create_version(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let mut template = find(call, params)?;
    let version = new_version(call, params)?;
    let before =
        template.versions.iter().position(|before| before.token.is_some() && before.token == version.token);
    let index = match before {
        Some(index) => index,
        None => {
            template.versions.push(version);
            template.versions.len() - 1
        }
    };
    let answer = shown_version("launchTemplateVersion", &template, index);
    call.state.shared_mut().launch_templates.insert(template.id.clone(), template);
    Ok(vec![answer])
}

pub(super) fn describe(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let (ids, names) = (params.list("LaunchTemplateId"), params.list("LaunchTemplateName"));
    if let Some(id) = ids.iter().find(|id| !here(call).any(|template| template.id == **id)) {
        return Err(not_found(id));
    }
    if names.iter().any(|name| !here(call).any(|template| template.name == *name)) {
        return Err(fault(
            "InvalidLaunchTemplateName.NotFoundException",
            "At least one of the launch templates specified in the request does not exist.",
        ));
    }
    let mut found = Vec::new();
    for template in here(call) {
        let fields = vec![("launch-template-name", template.name.clone())];
        let passed = passes(params, &["launch-template-name"], &Filtered { fields, tags: &template.tags })?;
        let named = (ids.is_empty() || ids.contains(&template.id))
            && (names.is_empty() || names.contains(&template.name));
        if named && passed {
            found.push(members(template));
        }
    }
    Ok(vec![items("launchTemplates", found)])
}

pub(super) fn describe_versions(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let template = find(call, params)?;
    let asked = params.list("LaunchTemplateVersion");
    let mut found = Vec::new();
    for index in 0..template.versions.len() {
        let number = (index + 1).to_string();
        let newest = index + 1 == template.versions.len();
        let wanted = asked.is_empty()
            || asked.iter().any(|version| match version.as_str() {
                "$Latest" => newest,
                "$Default" => index == 0,
                version => version == number,
            });
        if wanted {
            found.push(version_members(&template, index));
        }
    }
    if found.is_empty() {
        return Err(fault(
            "InvalidLaunchTemplateId.VersionNotFound",
            "Could not find the specified version for the launch template.",
        ));
    }
    Ok(vec![items("launchTemplateVersionSet", found)])
}

pub(super) fn delete(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let template = find(call, params)?;
    // A node group whose template is gone becomes unwell on the live service; the call itself is not refused.
    call.state.shared_mut().launch_templates.remove(&template.id);
    Ok(vec![shown("launchTemplate", &template)])
}

fn time(timestamp: Timestamp) -> Element {
    text("createTime", timestamp.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
}

fn shown(name: &str, template: &LaunchTemplate) -> Element {
    node(name, members(template))
}

fn members(template: &LaunchTemplate) -> Vec<Element> {
    vec![
        text("launchTemplateId", &template.id),
        text("launchTemplateName", &template.name),
        time(template.created_at),
        text("createdBy", &template.created_by),
        text("defaultVersionNumber", 1),
        text("latestVersionNumber", template.versions.len()),
        tag_set(&template.tags),
    ]
}

fn shown_version(name: &str, template: &LaunchTemplate, index: usize) -> Element {
    node(name, version_members(template, index))
}

fn version_members(template: &LaunchTemplate, index: usize) -> Vec<Element> {
    let mut members = vec![
        text("launchTemplateId", &template.id),
        text("launchTemplateName", &template.name),
        text("versionNumber", index + 1),
        text("createdBy", &template.created_by),
        text("defaultVersion", index == 0),
    ];
    if let Some(version) = template.versions.get(index) {
        members.push(time(version.created_at));
        members.extend(version.description.iter().map(|description| text("versionDescription", description)));
        members.push(node("launchTemplateData", data_members(&version.data)));
    }
    members
}

fn data_members(data: &LaunchTemplateData) -> Vec<Element> {
    let one = |name, value: &Option<String>| value.as_ref().map(|value| text(name, value));
    let mut members: Vec<Element> = [
        one("imageId", &data.image_id),
        one("instanceType", &data.instance_type),
        one("userData", &data.user_data),
    ]
    .into_iter()
    .flatten()
    .collect();
    let options = &data.metadata_options;
    let metadata: Vec<Element> = [
        one("httpTokens", &options.http_tokens),
        one("httpPutResponseHopLimit", &options.http_put_response_hop_limit),
        one("httpEndpoint", &options.http_endpoint),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !metadata.is_empty() {
        members.push(node("metadataOptions", metadata));
    }
    let devices = data.block_devices.iter().map(|device| {
        let ebs = device.ebs.iter().map(|(name, value)| text(name, value)).collect();
        vec![text("deviceName", &device.device_name), node("ebs", ebs)]
    });
    members.push(items("blockDeviceMappingSet", devices.collect()));
    members.push(text_items("securityGroupIdSet", &data.security_group_ids));
    let tags = data.tags.iter().map(|(kind, tags)| vec![text("resourceType", kind), tag_set(tags)]);
    members.push(items("tagSpecificationSet", tags.collect()));
    members
}
