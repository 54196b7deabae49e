//! The part of EC2 that a manager of EKS clusters calls: reads of networks and of what was left behind, and launch
//! templates. Query in, XML out.

mod filter;
mod launch_template;
mod network;
mod remains;

pub(crate) use launch_template::{LaunchTemplate, named};

use http::StatusCode;

use crate::{
    eks::Call,
    error::ApiError,
    wire::{
        query::Params,
        xml::{Element, items, node, text},
    },
};

/// The namespace of answers.
pub(crate) const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

type Run = fn(&mut Call<'_>, &Params) -> Result<Vec<Element>, ApiError>;

/// An action: its name, its parameters besides paging and filters, and what it does.
struct Action {
    name: &'static str,
    parameters: &'static [&'static str],
    run: Run,
}

const fn action(name: &'static str, parameters: &'static [&'static str], run: Run) -> Action {
    Action { name, parameters, run }
}

const ACTIONS: [Action; 13] = [
    action("DescribeVpcs", &["VpcId"], network::vpcs),
    action("DescribeSubnets", &["SubnetId"], network::subnets),
    action("DescribeSecurityGroups", &["GroupId", "GroupName"], network::security_groups),
    action("DescribeVolumes", &["VolumeId"], remains::volumes),
    action("DescribeNetworkInterfaces", &["NetworkInterfaceId"], remains::network_interfaces),
    action("DescribeInstances", &["InstanceId"], remains::instances),
    action("DescribeTags", &[], remains::tags),
    action(
        "CreateLaunchTemplate",
        &[
            "LaunchTemplateName",
            "VersionDescription",
            "LaunchTemplateData",
            "TagSpecification",
            "ClientToken",
        ],
        launch_template::create,
    ),
    action(
        "CreateLaunchTemplateVersion",
        &[
            "LaunchTemplateId",
            "LaunchTemplateName",
            "VersionDescription",
            "LaunchTemplateData",
            "ClientToken",
        ],
        launch_template::create_version,
    ),
    action("DescribeLaunchTemplates", &["LaunchTemplateId", "LaunchTemplateName"], launch_template::describe),
    action(
        "DescribeLaunchTemplateVersions",
        &["LaunchTemplateId", "LaunchTemplateName", "LaunchTemplateVersion", "MinVersion", "MaxVersion"],
        launch_template::describe_versions,
    ),
    action("DeleteLaunchTemplate", &["LaunchTemplateId", "LaunchTemplateName"], launch_template::delete),
    action("DescribeAvailabilityZones", &["ZoneName", "AllAvailabilityZones"], network::zones),
];

/// Every action takes these.
const SHARED: [&str; 6] = ["Action", "Version", "Filter", "MaxResults", "NextToken", "DryRun"];

/// Carries out an action.
pub(crate) fn run(call: &mut Call<'_>, name: &str, params: &Params) -> Result<Element, ApiError> {
    let action = ACTIONS.iter().find(|action| action.name == name).ok_or_else(|| {
        ApiError::unknown_operation(format!("The action {name} is not valid for this web service."))
    })?;
    let known: Vec<&str> = SHARED.iter().chain(action.parameters).copied().collect();
    if let Some(unknown) = params.unknown(&known) {
        return Err(fault("UnknownParameter", format!("The parameter {unknown} is not recognized")));
    }
    let mut children = vec![text("requestId", call.id())];
    children.extend((action.run)(call, params)?);
    Ok(node(&format!("{name}Response"), children))
}

/// A refusal of EC2: always 400 with a code of its own.
fn fault(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code, message)
}

/// A set of tags.
fn tag_set<'t>(tags: impl IntoIterator<Item = (&'t String, &'t String)>) -> Element {
    items(
        "tagSet",
        tags.into_iter().map(|(key, value)| vec![text("key", key), text("value", value)]).collect(),
    )
}
