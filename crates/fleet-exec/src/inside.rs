//! Looks into a tenant's cluster for what an upgrade depends on: disruption budgets, and webhooks that must answer.
//!
//! Only a bounded number of objects is kept, and of each only what is judged.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::inside::{Budget, Inside, Webhook};
use serde_json::Value;

use crate::remote::{Fault, Remote, Resource};

/// The most budgets, and the most webhooks, that are looked at.
const KEPT: usize = 200;
/// The most Services behind webhooks that are looked at.
const SERVICES: usize = 50;
/// What an upgrade asks the API server for whatever the tenant runs: nodes join, renew their leases and leave, and pods
/// are evicted and made anew. Group and resource.
const NEEDED: [(&str, &str); 4] =
    [("", "pods"), ("", "pods/eviction"), ("", "nodes"), ("coordination.k8s.io", "leases")];

/// Looks into a cluster.
///
/// # Errors
/// The API server does not do its part.
pub async fn look_inside(remote: &Remote) -> Result<Inside, Fault> {
    let mut inside = Inside::default();
    let budgets = Resource::new("policy/v1", "PodDisruptionBudget");
    let with_pods = |budget: &Value| {
        number(budget, "/status/expectedPods").is_none_or(|pods| pods > 0) && !is_leaving(budget)
    };
    for budget in remote.list(&budgets, None, with_pods).await?.items {
        match inside.budgets.len() < KEPT {
            true => inside.budgets.push(budget_of(&budget)),
            false => inside.cut_off = true,
        }
    }
    let mut asked: Vec<(String, Option<(String, String)>)> = Vec::new();
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        let resource = Resource::new("admissionregistration.k8s.io/v1", kind);
        for configuration in remote.list(&resource, None, |_| true).await?.items {
            let name = text(&configuration, "/metadata/name").unwrap_or("?");
            let all = configuration.pointer("/webhooks").and_then(Value::as_array).into_iter().flatten();
            for webhook in all.filter(|webhook| must_answer(webhook)) {
                let own = text(webhook, "/name").unwrap_or("?");
                match asked.len() < KEPT {
                    true => asked.push((format!("{kind} {name}/{own}"), service_of(webhook))),
                    false => inside.cut_off = true,
                }
            }
        }
    }
    let services: BTreeSet<&(String, String)> =
        asked.iter().filter_map(|(_, service)| service.as_ref()).collect();
    let mut answering: BTreeMap<(String, String), bool> = BTreeMap::new();
    for service in services {
        if answering.len() == SERVICES {
            inside.cut_off = true;
            break;
        }
        answering.insert(service.clone(), answers(remote, service).await?);
    }
    inside.webhooks = asked
        .into_iter()
        .map(|(name, service)| Webhook {
            name,
            answers: service
                .as_ref()
                .and_then(|service| answering.get(service))
                .is_none_or(|answers| *answers),
            service: service.map(|(namespace, name)| format!("{namespace}/{name}")),
        })
        .collect();
    Ok(inside)
}

/// A budget, judged by its own status when that speaks of its present spec.
fn budget_of(budget: &Value) -> Budget {
    let namespace = text(budget, "/metadata/namespace").unwrap_or("?");
    let name = text(budget, "/metadata/name").unwrap_or("?");
    let current = number(budget, "/status/observedGeneration")
        .is_some_and(|seen| number(budget, "/metadata/generation").is_none_or(|now| seen >= now));
    Budget {
        name: format!("{namespace}/{name}"),
        allowed: number(budget, "/status/disruptionsAllowed").filter(|_| current),
        // One that nobody has judged may have pods.
        pods: number(budget, "/status/expectedPods").filter(|_| current).unwrap_or(1),
    }
}

/// Whether the failure of a webhook fails a request that an upgrade needs. Its selectors are not looked at: a webhook that
/// must answer and cannot is in the way of somebody's pods.
fn must_answer(webhook: &Value) -> bool {
    if text(webhook, "/failurePolicy") == Some("Ignore") {
        return false;
    }
    let rules = webhook.pointer("/rules").and_then(Value::as_array).into_iter().flatten();
    rules.into_iter().any(|rule| {
        let has = |list: &str, wanted: &dyn Fn(&str) -> bool| {
            let words = rule.get(list).and_then(Value::as_array).into_iter().flatten();
            words.filter_map(Value::as_str).any(wanted)
        };
        NEEDED.iter().any(|(group, resource)| {
            let any_subresource = resource.split_once('/').map(|(kind, _)| format!("{kind}/*"));
            has("apiGroups", &|word| word == "*" || word == *group)
                && has("resources", &|word| {
                    let all = if resource.contains('/') { "*/*" } else { "*" };
                    word == *resource
                        || word == all
                        || word == "*/*"
                        || any_subresource.as_deref() == Some(word)
                })
        })
    })
}

/// Namespace and name of the Service behind a webhook.
fn service_of(webhook: &Value) -> Option<(String, String)> {
    let part = |name: &str| text(webhook, &format!("/clientConfig/service/{name}")).map(str::to_owned);
    Some((part("namespace")?, part("name")?))
}

/// Whether a Service has an endpoint that is ready.
async fn answers(remote: &Remote, (namespace, name): &(String, String)) -> Result<bool, Fault> {
    let slices = Resource::new("discovery.k8s.io/v1", "EndpointSlice");
    let selector = format!("kubernetes.io/service-name={name}");
    let ready = |slice: &Value| {
        let endpoints = slice.pointer("/endpoints").and_then(Value::as_array).into_iter().flatten();
        text(slice, "/metadata/namespace") == Some(namespace)
            // An endpoint that says nothing counts as ready (EndpointSlice API).
            && endpoints.into_iter().any(|one| one.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false))
    };
    Ok(!remote.list(&slices, Some(&selector), ready).await?.items.is_empty())
}

fn is_leaving(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn webhook(policy: Option<&str>, group: &str, resource: &str) -> Value {
        let mut webhook =
            json!({ "rules": [{ "apiGroups": [group], "resources": [resource], "operations": ["*"] }] });
        if let Some(policy) = policy {
            webhook["failurePolicy"] = json!(policy);
        }
        webhook
    }

    #[test]
    fn a_webhook_matters_when_its_failure_fails_what_an_upgrade_asks_for() {
        let table = [
            (Some("Fail"), "", "pods", true),
            // `Fail` is the default.
            (None, "", "pods", true),
            (Some("Ignore"), "", "pods", false),
            (Some("Fail"), "*", "*", true),
            (Some("Fail"), "*", "*/*", true),
            (Some("Fail"), "", "pods/*", true),
            (Some("Fail"), "", "pods/exec", false),
            (Some("Fail"), "coordination.k8s.io", "leases", true),
            (Some("Fail"), "apps", "pods", false),
            (Some("Fail"), "apps", "deployments", false),
        ];
        for (policy, group, resource, matters) in table {
            assert_eq!(
                must_answer(&webhook(policy, group, resource)),
                matters,
                "{policy:?} {group} {resource}"
            );
        }
        assert!(!must_answer(&json!({})));
    }

    #[test]
    fn a_budget_that_was_changed_since_it_was_judged_allows_nothing_known() {
        let budget = |generation: i64| {
            budget_of(&json!({
                "metadata": { "namespace": "shop", "name": "web", "generation": generation },
                "status": { "observedGeneration": 2, "disruptionsAllowed": 1, "expectedPods": 3 },
            }))
        };
        assert_eq!(budget(2), Budget { name: "shop/web".to_owned(), allowed: Some(1), pods: 3 });
        assert_eq!(budget(3).allowed, None);
        let unjudged =
            budget_of(&json!({ "metadata": { "namespace": "shop", "name": "web", "generation": 1 } }));
        assert_eq!((unjudged.allowed, unjudged.pods), (None, 1));
    }
}
