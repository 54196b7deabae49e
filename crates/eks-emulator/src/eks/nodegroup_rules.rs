//! Rules that creating and updating a node group share.

use std::collections::BTreeMap;

use super::Call;
use crate::{
    error::ApiError,
    model::{ClusterRecord, LaunchTemplateSpec, Minor, NodeScalingConfig, NodeUpdateConfig},
};

/// Source: docs (kubelets may be three minors older than the API server, never newer).
const KUBELET_SKEW: u16 = 3;
/// Source: docs (service quotas).
const NODES: i32 = 450;
/// Source: docs (the last minor with Amazon Linux 2).
const LAST_AL2: Minor = Minor(32);

/// The release of the machine image of a minor. The form is the live service's; the dates are made up.
pub(super) fn release(version: Minor, ami_type: &str) -> String {
    let patch = super::catalogue::version(version).map_or(0, |offer| offer.patch);
    match ami_type.starts_with("BOTTLEROCKET") {
        true => "1.50.0-5a8f4c3b".to_owned(),
        false => format!("{version}.{patch}-20261105"),
    }
}

/// Checks minor and release of a node group, and answers the minor.
pub(super) fn check_release(
    record: &ClusterRecord,
    version: Option<&str>,
    release_version: Option<&str>,
    ami_type: &str,
) -> Result<Minor, ApiError> {
    let control_plane = record.cluster.version;
    let version = match version {
        None => control_plane,
        Some(text) => {
            Minor::parse(text).filter(|minor| super::catalogue::version(*minor).is_some()).ok_or_else(
                || ApiError::invalid_parameter(format!("The Kubernetes version {text} is not valid.")),
            )?
        }
    };
    // Source: docs; the texts: unverified.
    if version > control_plane {
        return Err(ApiError::invalid_parameter(format!(
            "Nodegroup Kubernetes version {version} may not be newer than the cluster's version {control_plane}"
        )));
    }
    if version.0.saturating_add(KUBELET_SKEW) < control_plane.0 {
        return Err(ApiError::invalid_parameter(format!(
            "Nodegroup Kubernetes version {version} is more than {KUBELET_SKEW} minors older than the cluster's \
             version {control_plane}"
        )));
    }
    if ami_type.starts_with("AL2_") && version > LAST_AL2 {
        return Err(ApiError::invalid_parameter(format!(
            "AMI type {ami_type} is not supported for Kubernetes version {version}"
        )));
    }
    let fits = release_version.is_none_or(|release| {
        ami_type.starts_with("BOTTLEROCKET") || release.starts_with(&format!("{version}."))
    });
    match fits {
        true => Ok(version),
        false => Err(ApiError::invalid_parameter(format!(
            "Requested release version is not valid for Kubernetes version {version}"
        ))),
    }
}

/// Source: model (minimums), docs (450 nodes); issue (texts).
pub(super) fn check_scaling(config: &NodeScalingConfig) -> Result<(), ApiError> {
    let (min, max) = (config.min_size.unwrap_or(0), config.max_size.unwrap_or(NODES));
    let desired = config.desired_size.unwrap_or(min);
    let refuse = |message: String| Err(ApiError::invalid_parameter(message));
    if min < 0 || !(1..=NODES).contains(&max) {
        return refuse(format!("minSize is at least 0, and maxSize between 1 and {NODES}."));
    }
    if min > max {
        return refuse(format!("Minimum capacity {min} can't be greater than max size {max}"));
    }
    if desired < min {
        return refuse(format!("desired capacity {desired} can't be less than min size {min}"));
    }
    if desired > max {
        return refuse(format!("desired capacity {desired} can't be greater than max size {max}"));
    }
    Ok(())
}

/// Source: model (one of the two, at least 1, at most 100 nodes or percent).
pub(super) fn check_update_config(config: Option<&NodeUpdateConfig>) -> Result<(), ApiError> {
    let Some(config) = config else { return Ok(()) };
    let wrong = |message: &str| Err(ApiError::invalid_parameter(message));
    match (config.max_unavailable, config.max_unavailable_percentage) {
        (Some(_), Some(_)) => wrong("Only one of maxUnavailable and maxUnavailablePercentage can be given."),
        (Some(count), None) if !(1..=100).contains(&count) => wrong("maxUnavailable is between 1 and 100."),
        (None, Some(percent)) if !(1..=100).contains(&percent) => {
            wrong("maxUnavailablePercentage is between 1 and 100.")
        }
        _ => Ok(()),
    }
}

/// Source: model (1 to 63 characters).
pub(super) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let wrong = labels.iter().find(|(key, value)| key.is_empty() || key.len() > 63 || value.len() > 63);
    match wrong {
        Some((key, _)) => Err(ApiError::invalid_parameter(format!("The label `{key}` is not valid."))),
        None => Ok(()),
    }
}

/// Finds a launch template by id or name, and fills in what the request left out. Source: docs; texts: unverified.
pub(super) fn check_launch_template(
    call: &Call<'_>,
    spec: &LaunchTemplateSpec,
) -> Result<LaunchTemplateSpec, ApiError> {
    // Source: model (id or name, not both).
    if spec.id.is_some() == spec.name.is_some() {
        return Err(ApiError::invalid_parameter(
            "Exactly one of the launch template's id and name is needed.",
        ));
    }
    let found = call.state.shared().launch_templates.values().find(|template| {
        template.account == call.caller.account
            && template.region == call.region
            && (spec.id.as_ref() == Some(&template.id) || spec.name.as_ref() == Some(&template.name))
    });
    let Some(template) = found else {
        return Err(ApiError::invalid_request("The launch template does not exist."));
    };
    let newest = template.versions.len();
    let version = match spec.version.as_deref() {
        // Source: docs (the default version, which is the first).
        None | Some("$Default") => 1,
        Some("$Latest") => newest,
        Some(text) => text.parse().ok().filter(|number| (1..=newest).contains(number)).ok_or_else(|| {
            ApiError::invalid_request(format!("The launch template {} has no version {text}.", template.id))
        })?,
    };
    Ok(LaunchTemplateSpec {
        id: Some(template.id.clone()),
        name: Some(template.name.clone()),
        version: Some(version.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_group_is_scaled_between_its_bounds() {
        for (min, max, desired, good) in [
            (Some(1), Some(3), Some(2), true),
            (Some(0), Some(1), Some(0), true),
            (Some(2), Some(1), Some(2), false),
            (Some(1), Some(3), Some(4), false),
            (Some(2), Some(3), Some(1), false),
            (Some(0), Some(451), Some(1), false),
            (None, None, None, true),
        ] {
            let config = NodeScalingConfig { min_size: min, max_size: max, desired_size: desired };
            assert_eq!(check_scaling(&config).is_ok(), good, "{config:?}");
        }
    }

    #[test]
    fn an_update_takes_away_a_number_or_a_percentage() {
        let config = |count, percent| NodeUpdateConfig {
            max_unavailable: count,
            max_unavailable_percentage: percent,
            update_strategy: None,
        };
        for (count, percent, good) in [
            (Some(1), None, true),
            (None, Some(33), true),
            (Some(1), Some(1), false),
            (None, Some(101), false),
        ] {
            assert_eq!(
                check_update_config(Some(&config(count, percent))).is_ok(),
                good,
                "{count:?} {percent:?}"
            );
        }
    }
}
