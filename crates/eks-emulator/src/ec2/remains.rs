//! What outlived its cluster: volumes, network interfaces, instances, and all tags.

use super::{
    filter::{Filtered, passes},
    tag_set,
};
use crate::{
    eks::Call,
    error::ApiError,
    state::{Leftover, LeftoverKind},
    wire::{
        query::Params,
        xml::{Element, items, node, text},
    },
};

/// What was left behind of a kind, in the caller's account and region.
pub(super) fn here<'a>(call: &'a Call<'_>, kind: LeftoverKind) -> impl Iterator<Item = &'a Leftover> {
    call.state.shared().leftovers.iter().filter(move |left| {
        left.kind == kind && left.account == call.caller.account && left.region == call.region
    })
}

/// The left-overs of a kind that a call asks for.
fn wanted<'a>(
    call: &'a Call<'_>,
    params: &Params,
    kind: LeftoverKind,
    parameter: &str,
    id_filter: &'static str,
    names: &[&str],
) -> Result<Vec<&'a Leftover>, ApiError> {
    let ids = params.list(parameter);
    let mut found = Vec::new();
    for left in here(call, kind) {
        let fields = vec![
            (id_filter, left.id.clone()),
            ("status", "available".to_owned()),
            ("description", left.description.clone()),
            ("instance-state-name", "running".to_owned()),
        ];
        let passed = passes(params, names, &Filtered { fields, tags: &left.tags })?;
        if (ids.is_empty() || ids.contains(&left.id)) && passed {
            found.push(left);
        }
    }
    Ok(found)
}

pub(super) fn volumes(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let found =
        wanted(call, params, LeftoverKind::Volume, "VolumeId", "volume-id", &["volume-id", "status"])?;
    let volumes = found.iter().map(|left| {
        vec![
            text("volumeId", &left.id),
            text("size", 20),
            text("status", "available"),
            text("volumeType", "gp3"),
            text("encrypted", true),
            tag_set(&left.tags),
        ]
    });
    Ok(vec![items("volumeSet", volumes.collect())])
}

pub(super) fn network_interfaces(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let names = ["network-interface-id", "status", "description"];
    let found = wanted(
        call,
        params,
        LeftoverKind::NetworkInterface,
        "NetworkInterfaceId",
        "network-interface-id",
        &names,
    )?;
    let interfaces = found.iter().map(|left| {
        vec![
            text("networkInterfaceId", &left.id),
            text("description", &left.description),
            text("status", "available"),
            text("ownerId", &left.account),
            tag_set(&left.tags),
        ]
    });
    Ok(vec![items("networkInterfaceSet", interfaces.collect())])
}

/// No nodes run behind node groups, so only what a test left behind is here.
pub(super) fn instances(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let names = ["instance-id", "instance-state-name"];
    let found = wanted(call, params, LeftoverKind::Instance, "InstanceId", "instance-id", &names)?;
    let reservations = found.iter().map(|left| {
        vec![
            text("reservationId", left.id.replace("i-", "r-")),
            text("ownerId", &left.account),
            items(
                "instancesSet",
                vec![vec![
                    text("instanceId", &left.id),
                    node("instanceState", vec![text("code", 16), text("name", "running")]),
                    tag_set(&left.tags),
                ]],
            ),
        ]
    });
    Ok(vec![items("reservationSet", reservations.collect())])
}

pub(super) fn tags(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let mut tagged: Vec<(&str, &str, &String, &String)> = Vec::new();
    for left in &call.state.shared().leftovers {
        if left.account == call.caller.account && left.region == call.region {
            tagged.extend(left.tags.iter().map(|(k, v)| (left.id.as_str(), left.kind.ec2_type(), k, v)));
        }
    }
    for template in super::launch_template::here(call) {
        tagged.extend(template.tags.iter().map(|(k, v)| (template.id.as_str(), "launch-template", k, v)));
    }
    let mut found = Vec::new();
    for (id, kind, key, value) in tagged {
        let fields = vec![
            ("resource-id", id.to_owned()),
            ("resource-type", kind.to_owned()),
            ("key", key.clone()),
            ("value", value.clone()),
        ];
        let tags = std::collections::BTreeMap::from([(key.clone(), value.clone())]);
        let names = ["resource-id", "resource-type", "key", "value"];
        if passes(params, &names, &Filtered { fields, tags: &tags })? {
            found.push(vec![
                text("resourceId", id),
                text("resourceType", kind),
                text("key", key),
                text("value", value),
            ]);
        }
    }
    Ok(vec![items("tagSet", found)])
}
