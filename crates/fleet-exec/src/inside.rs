//! Looks into a tenant's cluster for what an upgrade depends on: disruption budgets, and webhooks that must answer.
//!
//! Only a bounded number of objects is kept, and of each only what is judged.

mod webhooks;

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::inside::{Budget, Inside, Webhook};
use serde_json::Value;

use self::webhooks::{Around, Need, Selectors};
use crate::remote::{Fault, Remote, Resource};

/// The most budgets, and the most webhooks, that are looked at.
const KEPT: usize = 200;
/// The most Services behind webhooks that are looked at.
const SERVICES: usize = 50;
/// A webhook whose failure fails a request that an upgrade makes.
struct Asked {
    name: String,
    service: Option<(String, String)>,
    selectors: Selectors,
    needs: Vec<Need>,
}

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
    let mut asked: Vec<Asked> = Vec::new();
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        let resource = Resource::new("admissionregistration.k8s.io/v1", kind);
        for configuration in remote.list(&resource, None, |_| true).await?.items {
            let name = text(&configuration, "/metadata/name").unwrap_or("?");
            let all = configuration.pointer("/webhooks").and_then(Value::as_array).into_iter().flatten();
            for webhook in all {
                let needs = webhooks::needs(webhook);
                let own = text(webhook, "/name").unwrap_or("?");
                match asked.len() < KEPT {
                    _ if needs.is_empty() => {}
                    true => asked.push(Asked {
                        name: format!("{kind} {name}/{own}"),
                        service: service_of(webhook),
                        selectors: Selectors::of(webhook),
                        needs,
                    }),
                    false => inside.cut_off = true,
                }
            }
        }
    }
    let services: BTreeSet<&(String, String)> =
        asked.iter().filter_map(|webhook| webhook.service.as_ref()).collect();
    let mut answering: BTreeMap<(String, String), bool> = BTreeMap::new();
    for service in services {
        if answering.len() == SERVICES {
            inside.cut_off = true;
            break;
        }
        answering.insert(service.clone(), answers(remote, service).await?);
    }
    let mut around = Around::new(remote);
    for webhook in asked {
        let answers = webhook
            .service
            .as_ref()
            .and_then(|service| answering.get(service))
            .is_none_or(|answers| *answers);
        // What it is asked about matters only of one that does not answer, and costs a look.
        if !answers && !around.is_asked(&webhook.selectors, &webhook.needs).await? {
            continue;
        }
        let service = webhook.service.map(|(namespace, name)| format!("{namespace}/{name}"));
        inside.webhooks.push(Webhook { name: webhook.name, service, answers });
    }
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
