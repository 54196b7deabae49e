//! Which tenants a selector means.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    selector::Selector as Labels,
    v1alpha1::{MemberSelector, Tenant},
};

/// A selector that is asked for many tenants.
pub(super) struct Selector<'a> {
    /// `None` when an operator is unknown: such a selector means nobody.
    labels: Option<Labels>,
    classes: Option<BTreeSet<&'a str>>,
    tenants: Option<BTreeSet<&'a str>>,
}

impl<'a> Selector<'a> {
    pub(super) fn new(selector: &'a MemberSelector) -> Self {
        fn set(names: Option<&Vec<String>>) -> Option<BTreeSet<&str>> {
            names.map(|names| names.iter().map(String::as_str).collect())
        }
        let labels = selector.labels.as_ref();
        Self {
            labels: labels.map_or_else(|| Some(Labels::default()), |labels| Labels::of(labels).ok()),
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
            && self.labels.as_ref().is_some_and(|selector| selector.selects(labels))
    }
}
