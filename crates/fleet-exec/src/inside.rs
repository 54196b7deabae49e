//! Looks into a tenant's cluster for what an upgrade depends on: disruption budgets, and webhooks that must answer.
//!
//! Only a bounded number of objects is kept, and of each only what is judged.

mod webhooks;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicI64, Ordering},
};

use fleet_api::{
    inside::{Budget, Inside, Webhook},
    selector::Selector,
};
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
    budgets(remote, &mut inside).await?;
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

/// Looks for the budgets that have pods.
async fn budgets(remote: &Remote, inside: &mut Inside) -> Result<(), Fault> {
    let matters = |budget: &Value| !is_leaving(budget) && expected_pods(budget) != Some(0);
    let mut listed =
        remote.list(&Resource::new("policy/v1", "PodDisruptionBudget"), None, matters).await?.items;
    if listed.len() > KEPT {
        listed.truncate(KEPT);
        inside.cut_off = true;
    }
    // The API server stores a new budget with zeros, which say nothing. Until somebody has judged it, it lets none of its
    // pods be evicted, so its pods are counted here.
    let unjudged: Vec<Unjudged> =
        listed.iter().filter(|budget| expected_pods(budget).is_none()).map(Unjudged::of).collect();
    if !unjudged.is_empty() {
        let count = |pod: &Value| {
            for budget in unjudged.iter().filter(|budget| budget.has(pod)) {
                budget.pods.fetch_add(1, Ordering::Relaxed);
            }
            false
        };
        remote.list(&Resource::new("v1", "Pod"), None, count).await?;
    }
    let mut counted = unjudged.iter().map(|budget| budget.pods.load(Ordering::Relaxed));
    for budget in &listed {
        let name = format!(
            "{}/{}",
            text(budget, "/metadata/namespace").unwrap_or("?"),
            text(budget, "/metadata/name").unwrap_or("?")
        );
        let (pods, allowed) = match expected_pods(budget) {
            Some(pods) => (pods, number(budget, "/status/disruptionsAllowed")),
            None => (counted.next().unwrap_or(1), None),
        };
        if pods > 0 {
            inside.budgets.push(Budget { name, allowed, pods });
        }
    }
    Ok(())
}

/// How many pods a budget has by its own status, when that speaks of its present spec.
fn expected_pods(budget: &Value) -> Option<i64> {
    let seen = number(budget, "/status/observedGeneration")?;
    let current = number(budget, "/metadata/generation").is_none_or(|now| seen >= now);
    number(budget, "/status/expectedPods").filter(|_| current)
}

/// A budget that nobody has judged as it stands, and how many pods it was seen to have.
struct Unjudged {
    namespace: String,
    /// A budget without a selector has no pods.
    selector: Option<Selector>,
    pods: AtomicI64,
}

impl Unjudged {
    fn of(budget: &Value) -> Self {
        Self {
            namespace: text(budget, "/metadata/namespace").unwrap_or_default().to_owned(),
            selector: budget
                .get("spec")
                .filter(|spec| spec.get("selector").is_some())
                .map(|spec| webhooks::selector(spec, "selector")),
            pods: AtomicI64::new(0),
        }
    }

    /// Whether a pod that has not ended is one of its pods.
    fn has(&self, pod: &Value) -> bool {
        text(pod, "/metadata/namespace") == Some(self.namespace.as_str())
            && !matches!(text(pod, "/status/phase"), Some("Succeeded" | "Failed"))
            && self.selector.as_ref().is_some_and(|selector| selector.selects(&webhooks::labels(pod)))
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
    fn a_budgets_status_counts_while_it_speaks_of_the_present_spec() {
        let pods = |generation: i64, status: Value| {
            expected_pods(&json!({ "metadata": { "generation": generation }, "status": status }))
        };
        let judged = json!({ "observedGeneration": 2, "disruptionsAllowed": 1, "expectedPods": 3 });
        assert_eq!(pods(2, judged.clone()), Some(3));
        assert_eq!(pods(3, judged), None);
        // As an API server stores a new one.
        let new =
            json!({ "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 });
        assert_eq!(pods(1, new), None);
    }
}
