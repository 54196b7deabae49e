//! Insights: computed from what the emulator knows, beside those that a test put in.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Call, Input, addon_catalogue, catalogue, input::paged};
use crate::{
    clock::Epoch,
    durations::Work,
    error::ApiError,
    model::{ClusterRecord, Insight, InsightCategory, InsightLevel, InsightStatus, InsightsRefresh, Minor},
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListRequest {
    #[serde(default)]
    filter: Filter,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    #[serde(default)]
    categories: Vec<InsightCategory>,
    #[serde(default)]
    kubernetes_versions: Vec<String>,
    #[serde(default)]
    statuses: Vec<InsightLevel>,
}

/// The insights of a cluster at a moment: a finding about the next minor for each check, about the minor before while
/// a rollback is possible, and what was put in.
///
/// The checks and their names: docs (cluster insights). Their texts: unverified.
pub(crate) fn current(record: &ClusterRecord, now: Timestamp) -> Vec<Insight> {
    let version = record.cluster.version;
    let seen_at = record.insights_refresh.map_or(record.cluster.created_at, |refresh| {
        if refresh.ends_at.0 <= now { refresh.ends_at } else { refresh.started_at }
    });
    let mut insights = Vec::new();
    if catalogue::version(version.next()).is_some() {
        let target = version.next();
        insights.push(skew(record, target, InsightCategory::UpgradeReadiness, seen_at));
        insights.push(addons(record, target, InsightCategory::UpgradeReadiness, seen_at));
        insights.push(deprecated(record, target, seen_at));
    }
    if let Some(upgraded) = record.upgraded {
        insights.push(skew(record, upgraded.from, InsightCategory::RollbackReadiness, seen_at));
        insights.push(addons(record, upgraded.from, InsightCategory::RollbackReadiness, seen_at));
    }
    insights.extend(record.insights.values().cloned());
    insights.sort_by(|a, b| a.id.cmp(&b.id));
    insights
}

struct Finding {
    level: InsightLevel,
    reason: String,
    recommendation: String,
    resources: Vec<Value>,
}

fn insight(
    record: &ClusterRecord,
    name: &str,
    description: &str,
    target: Minor,
    category: InsightCategory,
    seen_at: Epoch,
    finding: Finding,
) -> Insight {
    // The same finding keeps its id from call to call.
    let text = format!("{}/{name}/{target}/{category:?}", record.cluster.arn);
    Insight {
        id: Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()).to_string(),
        name: name.to_owned(),
        category,
        kubernetes_version: target,
        last_refresh_time: seen_at,
        last_transition_time: seen_at,
        description: description.to_owned(),
        insight_status: InsightStatus { status: finding.level, reason: finding.reason },
        recommendation: finding.recommendation,
        resources: finding.resources,
        category_specific_summary: None,
    }
}

fn skew(record: &ClusterRecord, target: Minor, category: InsightCategory, seen_at: Epoch) -> Insight {
    let wrong: Vec<&str> = record
        .nodegroups
        .values()
        .filter(|group| {
            let version = group.nodegroup.version;
            version > target || version.0.saturating_add(3) < target.0
        })
        .map(|group| group.nodegroup.nodegroup_arn.as_str())
        .collect();
    let finding = if wrong.is_empty() {
        Finding {
            level: InsightLevel::Passing,
            reason: "Node kubelet versions match the cluster control plane version skew policy.".to_owned(),
            recommendation: String::new(),
            resources: Vec::new(),
        }
    } else {
        let status =
            json!({ "status": "ERROR", "reason": "The version of the node group is outside of the skew." });
        Finding {
            level: InsightLevel::Error,
            reason: format!("{} node groups are outside of the version skew for {target}.", wrong.len()),
            recommendation: "Update the node groups first.".to_owned(),
            resources: wrong.iter().map(|arn| json!({ "insightStatus": status, "arn": arn })).collect(),
        }
    };
    insight(
        record,
        "Kubelet version skew",
        "Checks for kubelet versions of worker nodes in the cluster that would violate the Kubernetes skew policy.",
        target,
        category,
        seen_at,
        finding,
    )
}

fn addons(record: &ClusterRecord, target: Minor, category: InsightCategory, seen_at: Epoch) -> Insight {
    let wrong: Vec<&str> = record
        .addons
        .values()
        .map(|state| &state.addon)
        .filter(|addon| {
            addon_catalogue::addon(&addon.addon_name)
                .and_then(|offer| offer.version(&addon.addon_version))
                .is_some_and(|version| !version.runs_on(target))
        })
        .map(|addon| addon.addon_name.as_str())
        .collect();
    let finding = if wrong.is_empty() {
        Finding {
            level: InsightLevel::Passing,
            reason: format!(
                "All installed EKS add-on versions are compatible with Kubernetes version {target}."
            ),
            recommendation: String::new(),
            resources: Vec::new(),
        }
    } else {
        Finding {
            level: InsightLevel::Error,
            reason: format!(
                "These add-ons are not compatible with Kubernetes version {target}: {}.",
                wrong.join(", ")
            ),
            recommendation: "Update the add-ons to versions that are compatible with both minors.".to_owned(),
            resources: Vec::new(),
        }
    };
    insight(
        record,
        "EKS add-on version compatibility",
        "Checks version of installed EKS add-ons to ensure they are compatible with the next version of Kubernetes.",
        target,
        category,
        seen_at,
        finding,
    )
}

fn deprecated(record: &ClusterRecord, target: Minor, seen_at: Epoch) -> Insight {
    // The emulator does not read the audit log: tests put a finding in where one is the subject.
    let finding = Finding {
        level: InsightLevel::Passing,
        reason: "No deprecated API usage detected within the last 30 days.".to_owned(),
        recommendation: String::new(),
        resources: Vec::new(),
    };
    insight(
        record,
        &format!("Deprecated APIs removed in Kubernetes v{target}"),
        "Checks for usage of deprecated APIs that are scheduled for removal in the next version of Kubernetes.",
        target,
        InsightCategory::UpgradeReadiness,
        seen_at,
        finding,
    )
}

pub(super) fn list(call: &mut Call<'_>, input: &Input) -> Answer {
    let request: ListRequest = input.body()?;
    let filter = request.filter;
    let record = call.cluster(input.path(0))?;
    let insights = current(record, call.now).into_iter().filter(|insight| {
        (filter.categories.is_empty() || filter.categories.contains(&insight.category))
            && (filter.statuses.is_empty() || filter.statuses.contains(&insight.insight_status.status))
            && (filter.kubernetes_versions.is_empty()
                || filter.kubernetes_versions.contains(&insight.kubernetes_version.to_string()))
    });
    let items: Vec<(String, Value)> = insights
        .map(|insight| {
            let mut summary = json!(insight);
            // Source: model (InsightSummary has none of them).
            if let Some(members) = summary.as_object_mut() {
                members.remove("recommendation");
                members.remove("resources");
                members.remove("categorySpecificSummary");
            }
            (insight.id, summary)
        })
        .collect();
    let size = request.max_results.map(|size| size.to_string());
    paged("insights", items, size.as_deref(), request.next_token.as_deref(), 100)
}

pub(super) fn describe(call: &mut Call<'_>, input: &Input) -> Answer {
    let record = call.cluster(input.path(0))?;
    let found = current(record, call.now).into_iter().find(|insight| insight.id == input.path(1));
    match found {
        Some(insight) => Ok(json!({ "insight": insight })),
        None => Err(ApiError::resource_not_found(format!("No insight found for id: {}.", input.path(1)))),
    }
}

pub(super) fn start_refresh(call: &mut Call<'_>, input: &Input) -> Answer {
    let now = call.now;
    let refresh = InsightsRefresh { started_at: Epoch(now), ends_at: Epoch(call.due(Work::InsightsRefresh)) };
    let record = call.cluster_mut(input.path(0))?;
    // Source: docs (one at a time); what the live service answers to a second one: unverified.
    if record.insights_refresh.is_none_or(|running| running.ends_at.0 <= now) {
        record.insights_refresh = Some(refresh);
    }
    Ok(json!({ "message": "An insights refresh is in progress.", "status": "IN_PROGRESS" }))
}

pub(super) fn describe_refresh(call: &mut Call<'_>, input: &Input) -> Answer {
    let record = call.cluster(input.path(0))?;
    Ok(match record.insights_refresh {
        None => json!({
            "message": "The insights were refreshed when the cluster was made.",
            "status": "COMPLETED",
            "startedAt": record.cluster.created_at,
            "endedAt": record.cluster.created_at,
        }),
        Some(refresh) if refresh.ends_at.0 > call.now => json!({
            "message": "An insights refresh is in progress.",
            "status": "IN_PROGRESS",
            "startedAt": refresh.started_at,
        }),
        Some(refresh) => json!({
            "message": "The insights refresh is complete.",
            "status": "COMPLETED",
            "startedAt": refresh.started_at,
            "endedAt": refresh.ends_at,
        }),
    })
}
