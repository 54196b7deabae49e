//! What EKS finds in a cluster, and what it names.

use aws_sdk_eks::types as sdk;
use fleet_api::eks::{DeprecatedUse, EksInsight};

use super::{Read, Unreadable, required, time, version};

/// The longest name that is kept: clients call themselves what they like.
const LONGEST: usize = 120;

/// A finding, with its details where they were read.
pub(crate) fn insight(from: &sdk::InsightSummary, details: Option<&sdk::Insight>) -> Read<EksInsight> {
    let status = from.insight_status.as_ref().ok_or_else(|| Unreadable::without("insightStatus"))?;
    let reason = status.reason.clone().unwrap_or_default();
    let resources = details.and_then(|details| details.resources.as_deref()).unwrap_or_default();
    let deprecated = details
        .and_then(|details| details.category_specific_summary.as_ref())
        .and_then(|summary| summary.deprecation_details.as_deref())
        .unwrap_or_default();
    Ok(EksInsight {
        id: required(from.id.as_ref(), "id")?,
        name: from.name.clone().unwrap_or_default(),
        category: from.category.as_ref().map(|category| category.as_str().to_owned()).unwrap_or_default(),
        status: status.status.as_ref().map_or("UNKNOWN", sdk::InsightStatusValue::as_str).to_owned(),
        kubernetes_version: from.kubernetes_version.as_deref().map(version).transpose()?,
        refreshed_at: from.last_refresh_time.as_ref().and_then(time),
        message: match details.and_then(|details| details.recommendation.as_deref()) {
            Some(recommendation) => format!("{reason} {recommendation}").trim().to_owned(),
            None => reason,
        },
        resources: resources.iter().filter_map(resource).collect(),
        deprecated: deprecated.iter().filter_map(deprecated_use).collect(),
    })
}

/// What a finding names, if it does not pass by itself.
fn resource(from: &sdk::InsightResourceDetail) -> Option<String> {
    let status = from.insight_status.as_ref().and_then(|status| status.status.as_ref());
    if status == Some(&sdk::InsightStatusValue::Passing) {
        return None;
    }
    from.kubernetes_resource_uri.as_deref().or(from.arn.as_deref()).map(plain)
}

fn deprecated_use(from: &sdk::DeprecationDetail) -> Option<DeprecatedUse> {
    let clients = from.client_stats.as_deref().unwrap_or_default();
    Some(DeprecatedUse {
        usage: plain(from.usage.as_deref()?),
        replaced_with: from.replaced_with.as_deref().map(plain),
        clients: clients.iter().filter_map(|client| client.user_agent.as_deref()).map(plain).collect(),
    })
}

/// A name that may come from anybody, fit for a line of text.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(of: sdk::InsightStatusValue) -> sdk::InsightStatus {
        sdk::InsightStatus::builder().status(of).reason("Deprecated API usage detected.").build()
    }

    fn details() -> sdk::Insight {
        let resource =
            |of: sdk::InsightStatusValue| sdk::InsightResourceDetail::builder().insight_status(status(of));
        let client = sdk::ClientStat::builder().user_agent("kubectl/v1.29.0\u{1b}[31m").build();
        let deprecation = sdk::DeprecationDetail::builder()
            .usage("/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas")
            .replaced_with("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas")
            .client_stats(client)
            .build();
        sdk::Insight::builder()
            .recommendation("Move to the new API.")
            .resources(
                resource(sdk::InsightStatusValue::Error)
                    .kubernetes_resource_uri("/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas/mine")
                    .build(),
            )
            .resources(
                resource(sdk::InsightStatusValue::Passing).kubernetes_resource_uri("/apis/fine").build(),
            )
            .resources(resource(sdk::InsightStatusValue::Error).arn("arn:aws:eks:::addon/x").build())
            .category_specific_summary(
                sdk::InsightCategorySpecificSummary::builder().deprecation_details(deprecation).build(),
            )
            .build()
    }

    #[test]
    fn what_a_finding_names_is_read_with_who_asks_for_it() {
        let summary = sdk::InsightSummary::builder()
            .id("i-1")
            .insight_status(status(sdk::InsightStatusValue::Error))
            .build();
        let read = insight(&summary, Some(&details())).unwrap();
        assert_eq!(read.message, "Deprecated API usage detected. Move to the new API.");
        assert_eq!(
            read.resources,
            ["/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas/mine", "arn:aws:eks:::addon/x"]
        );
        let used = &read.deprecated[0];
        assert_eq!(used.replaced_with.as_deref(), Some("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"));
        assert_eq!(used.clients, ["kubectl/v1.29.0[31m"], "nothing that a terminal would obey");
        let bare = insight(&summary, None).unwrap();
        assert!(bare.resources.is_empty() && bare.deprecated.is_empty());
    }
}
