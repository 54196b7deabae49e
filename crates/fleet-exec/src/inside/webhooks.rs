//! Which admission webhooks are asked about what an upgrade does: by their failure policy, rules and selectors.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use fleet_api::selector::Selector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize as _;
use serde_json::Value;

use super::text;
use crate::remote::{Fault, Remote, Resource};

/// The namespace in which nodes renew their leases.
const LEASES: &str = "kube-node-lease";

/// What an upgrade asks the API server for whatever the tenant runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Pods are made anew, and deleted by their nodes.
    Pods,
    /// Pods are evicted.
    Evictions,
    /// Nodes join and leave.
    Nodes,
    /// Nodes renew their leases.
    Leases,
}

impl Need {
    const ALL: [Self; 4] = [Self::Pods, Self::Evictions, Self::Nodes, Self::Leases];

    /// Group and resource.
    const fn resource(self) -> (&'static str, &'static str) {
        match self {
            Self::Pods => ("", "pods"),
            Self::Evictions => ("", "pods/eviction"),
            Self::Nodes => ("", "nodes"),
            Self::Leases => ("coordination.k8s.io", "leases"),
        }
    }

    const fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Pods => &["CREATE", "DELETE"],
            Self::Evictions => &["CREATE"],
            Self::Nodes => &["CREATE", "UPDATE", "DELETE"],
            Self::Leases => &["CREATE", "UPDATE"],
        }
    }

    const fn scope(self) -> &'static str {
        match self {
            Self::Nodes => "Cluster",
            Self::Pods | Self::Evictions | Self::Leases => "Namespaced",
        }
    }
}

/// What an upgrade asks for that fails when the webhook does, by its failure policy and its rules.
pub(super) fn needs(webhook: &Value) -> Vec<Need> {
    if text(webhook, "/failurePolicy") == Some("Ignore") {
        return Vec::new();
    }
    let rules: Vec<&Value> =
        webhook.pointer("/rules").and_then(Value::as_array).into_iter().flatten().collect();
    Need::ALL.into_iter().filter(|need| rules.iter().any(|rule| covers(rule, *need))).collect()
}

fn covers(rule: &Value, need: Need) -> bool {
    let has = |list: &str, wanted: &dyn Fn(&str) -> bool| {
        let words = rule.get(list).and_then(Value::as_array).into_iter().flatten();
        words.filter_map(Value::as_str).any(wanted)
    };
    let (group, resource) = need.resource();
    let any_subresource = resource.split_once('/').map(|(kind, _)| format!("{kind}/*"));
    let all = if resource.contains('/') { "*/*" } else { "*" };
    let scope = text(rule, "/scope").unwrap_or("*");
    (scope == "*" || scope == need.scope())
        && has("apiGroups", &|word| word == "*" || word == group)
        && has("operations", &|word| word == "*" || need.operations().contains(&word))
        && has("resources", &|word| {
            word == resource || word == all || word == "*/*" || any_subresource.as_deref() == Some(word)
        })
}

/// A selector in a field of an object. One with an operator that nobody knows may select anything.
pub(super) fn selector(object: &Value, field: &str) -> Selector {
    let read = object.get(field).and_then(|selector| LabelSelector::deserialize(selector).ok());
    read.and_then(|selector| Selector::of(&selector).ok()).unwrap_or_default()
}

/// The selectors of a webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selectors {
    namespace: Selector,
    object: Selector,
}

impl Selectors {
    pub(super) fn of(webhook: &Value) -> Self {
        Self {
            namespace: selector(webhook, "namespaceSelector"),
            object: selector(webhook, "objectSelector"),
        }
    }
}

/// What there is in a cluster for webhooks to select. It is read when it is first asked for.
pub(super) struct Around<'a> {
    remote: &'a Remote,
    namespaces: Option<BTreeMap<String, BTreeMap<String, String>>>,
}

impl<'a> Around<'a> {
    pub(super) const fn new(remote: &'a Remote) -> Self {
        Self { remote, namespaces: None }
    }

    /// Whether a webhook with these selectors is asked about any of what an upgrade needs.
    ///
    /// Evictions and leases carry no labels. Pods and nodes that come have labels like those that are there. Conditions
    /// of the webhook are not judged: one that has some may be asked.
    pub(super) async fn is_asked(&mut self, selectors: &Selectors, needs: &[Need]) -> Result<bool, Fault> {
        let bare = selectors.object.selects(&BTreeMap::new());
        for need in needs {
            let asked = match need {
                Need::Nodes => {
                    selectors.object.selects_all()
                        || self.any(Resource::new("v1", "Node"), &selectors.object, |_| true).await?
                }
                Need::Leases => {
                    bare && self.selected(&selectors.namespace).await?.iter().any(|one| one == LEASES)
                }
                Need::Evictions => bare && !self.selected(&selectors.namespace).await?.is_empty(),
                Need::Pods => {
                    let namespaces = self.selected(&selectors.namespace).await?;
                    let is_in = |pod: &Value| {
                        text(pod, "/metadata/namespace")
                            .is_some_and(|namespace| namespaces.iter().any(|one| one == namespace))
                    };
                    !namespaces.is_empty()
                        && (selectors.object.selects_all()
                            || self.any(Resource::new("v1", "Pod"), &selectors.object, is_in).await?)
                }
            };
            if asked {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The namespaces that a selector selects.
    async fn selected(&mut self, selector: &Selector) -> Result<Vec<String>, Fault> {
        if self.namespaces.is_none() {
            let list = self.remote.list(&Resource::new("v1", "Namespace"), None, |_| true).await?;
            let named = list
                .items
                .iter()
                .filter_map(|one| Some((text(one, "/metadata/name")?.to_owned(), labels(one))));
            self.namespaces = Some(named.collect());
        }
        let all = self.namespaces.iter().flatten();
        Ok(all.filter(|(_, labels)| selector.selects(labels)).map(|(name, _)| name.clone()).collect())
    }

    /// Whether there is an object of a kind that a selector selects. One is enough, and no more is kept.
    async fn any(
        &self,
        kind: Resource,
        selector: &Selector,
        counts: impl Fn(&Value) -> bool,
    ) -> Result<bool, Fault> {
        let found = AtomicBool::new(false);
        let keep = |one: &Value| {
            if counts(one) && selector.selects(&labels(one)) {
                found.store(true, Ordering::Relaxed);
            }
            false
        };
        self.remote.list(&kind, None, keep).await?;
        Ok(found.load(Ordering::Relaxed))
    }
}

pub(super) fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
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
            let needs = needs(&webhook(policy, group, resource));
            assert_eq!(!needs.is_empty(), matters, "{policy:?} {group} {resource}");
        }
        assert!(needs(&json!({})).is_empty());
    }

    #[test]
    fn operations_and_scopes_of_rules_are_those_of_an_upgrade() {
        let rule = |resource: &str, operation: &str, scope: &str| json!({ "rules": [{ "apiGroups": ["*"], "resources": [resource], "operations": [operation], "scope": scope }] });
        let table = [
            ("pods", "CREATE", "*", &[Need::Pods][..]),
            ("pods", "UPDATE", "*", &[]),
            ("pods", "CONNECT", "*", &[]),
            ("pods/eviction", "DELETE", "*", &[]),
            ("pods/*", "CREATE", "Namespaced", &[Need::Evictions]),
            ("nodes", "UPDATE", "Cluster", &[Need::Nodes]),
            ("nodes", "UPDATE", "Namespaced", &[]),
            ("*", "DELETE", "*", &[Need::Pods, Need::Nodes]),
            ("leases", "UPDATE", "Cluster", &[]),
        ];
        for (resource, operation, scope, expected) in table {
            assert_eq!(needs(&rule(resource, operation, scope)), expected, "{resource} {operation} {scope}");
        }
    }

    #[test]
    fn a_selector_that_nobody_can_read_may_select_anything() {
        let labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
        let of = |operator: &str| {
            let expression = json!({ "key": "ring", "operator": operator, "values": ["inner"] });
            Selectors::of(&json!({ "objectSelector": { "matchExpressions": [expression] } })).object
        };
        assert!(!of("In").selects(&labels));
        assert!(of("NotIn").selects(&labels));
        assert!(of("Near").selects(&labels));
        assert!(Selectors::of(&json!({})).object.selects_all());
    }
}
