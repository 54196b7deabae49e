//! Which tenants a selector means.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::v1alpha1::{MemberSelector, Tenant};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

/// A selector that is asked for many tenants.
pub(super) struct Selector<'a> {
    labels: Vec<(&'a str, &'a str)>,
    expressions: &'a [LabelSelectorRequirement],
    classes: Option<BTreeSet<&'a str>>,
    tenants: Option<BTreeSet<&'a str>>,
}

impl<'a> Selector<'a> {
    pub(super) fn new(selector: &'a MemberSelector) -> Self {
        fn set(names: Option<&Vec<String>>) -> Option<BTreeSet<&str>> {
            names.map(|names| names.iter().map(String::as_str).collect())
        }
        let labels = selector.labels.as_ref();
        let pairs = labels.and_then(|labels| labels.match_labels.as_ref()).into_iter().flatten();
        Self {
            labels: pairs.map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            expressions: labels.and_then(|labels| labels.match_expressions.as_deref()).unwrap_or_default(),
            classes: set(selector.classes.as_ref()),
            tenants: set(selector.tenants.as_ref()),
        }
    }

    /// Whether it means a tenant: every part of it has to.
    pub(super) fn matches(&self, tenant: &Tenant) -> bool {
        static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();
        let labels = tenant.metadata.labels.as_ref().unwrap_or(&NO_LABELS);
        let name = tenant.metadata.name.as_deref().unwrap_or_default();
        self.classes.as_ref().is_none_or(|classes| classes.contains(tenant.spec.class.as_str()))
            && self.tenants.as_ref().is_none_or(|tenants| tenants.contains(name))
            && self.labels.iter().all(|(key, value)| labels.get(*key).is_some_and(|have| have == value))
            && self.expressions.iter().all(|one| meets(one, labels))
    }
}

/// One expression, as Kubernetes reads it: `NotIn` holds for an object without the label. An operator that Kubernetes
/// does not know means nobody.
fn meets(one: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let have = labels.get(&one.key);
    let listed = || have.is_some_and(|have| one.values.iter().flatten().any(|value| value == have));
    match one.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => have.is_some(),
        "DoesNotExist" => have.is_none(),
        _ => false,
    }
}
