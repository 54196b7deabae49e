//! A spec against what the management cluster has: what would be made, changed and deleted, what is in the way, and
//! the brake on deletions.

mod compare;
mod prune;

use std::collections::BTreeMap;

use fleet_api::{
    labels,
    v1alpha1::{Baseline, ControlException, Fleet, Tenant, TenantClass, VersionChannel},
};
use fleet_spec::ValidatedFleet;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{compare::field_changes, prune::brake};

/// What applying a spec would do to the objects of the management cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub struct Diff {
    /// Every object that differs, and how, in the order in which it is written: what tenants refer to comes first.
    pub changes: Vec<Change>,
    /// How many objects are as wanted.
    pub unchanged: usize,
    /// Why the deletions are refused, when they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brake: Option<Brake>,
}

/// One object that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// What would happen to it.
    pub action: ChangeAction,
    /// The UID of the object that is there, for changes and deletions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The generation of the object that is there. It moves when somebody changes the spec, and not when the
    /// controller writes a status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The fields that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

/// What would happen to an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "do")]
pub enum ChangeAction {
    /// It is made.
    Create,
    /// It is changed.
    Change,
    /// It is deleted.
    Delete,
    /// It is left as it is, although the spec wants it otherwise.
    Blocked {
        /// Why.
        why: String,
        /// What to do, as one imperative.
        hint: String,
    },
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// The field, such as `spec.kubernetes.version`.
    pub path: String,
    /// What is there; nothing when the field is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What is wanted; nothing when the field goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// Why deletions are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Brake {
    /// How many tenants may be deleted in one hour.
    pub allowed: usize,
    /// How many deletions began within the last hour.
    pub recent: usize,
    /// The tenants that would be deleted.
    pub tenants: Vec<String>,
}

/// How a spec is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffOptions {
    /// Whether objects that fleet applied earlier and that the spec no longer has are deleted.
    pub prune: bool,
    /// How many deletions of tenants that are gone by now began within the last hour.
    pub recent_deletions: usize,
    /// The moment, by which deletions that still run count as recent.
    pub now: Timestamp,
}

impl Diff {
    /// True when nothing would be written.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| matches!(change.action, ChangeAction::Blocked { .. }))
    }

    /// How many objects have an action.
    pub fn count(&self, of: impl Fn(&ChangeAction) -> bool) -> usize {
        self.changes.iter().filter(|change| of(&change.action)).count()
    }
}

/// Compares a spec, [`marked`], with what the management cluster has.
///
/// Only what the spec says is compared: labels, annotations and status that others write are theirs. The brake is
/// that of the fleet as it is, so that no spec lifts the brake that stops it.
pub fn diff(wanted: &ValidatedFleet, have: &ValidatedFleet, options: &DiffOptions) -> Diff {
    let mut comparison = Comparison { changes: Vec::new(), unchanged: 0 };
    if wanted.fleet_given {
        let there = have.fleet_given.then_some(&have.fleet);
        comparison.object("Fleet", "fleet", &wanted.fleet, there, &|_| None);
    }
    comparison.kind("VersionChannel", &wanted.channels, &have.channels, &|_, _| None);
    comparison.kind("Baseline", &wanted.baselines, &have.baselines, &|_, _| None);
    comparison.kind("TenantClass", &wanted.classes, &have.classes, &|_, _| None);
    comparison.kind("ControlException", &wanted.exceptions, &have.exceptions, &|_, _| None);
    comparison.kind("Tenant", &wanted.tenants, &have.tenants, &class_stays);
    if options.prune {
        comparison.prune(wanted, have);
    }
    let deletes: Vec<&Change> =
        comparison.changes.iter().filter(|change| change.action == ChangeAction::Delete).collect();
    let brake = brake(&deletes, have, options);
    Diff { changes: comparison.changes, unchanged: comparison.unchanged, brake }
}

/// An object of the fleet, as far as comparing needs it.
trait Object: Serialize {
    fn metadata(&self) -> &ObjectMeta;
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
}

macro_rules! objects {
    ($($kind:ident),+) => {
        $(impl Object for $kind {
            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn metadata_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        })+
    };
}

objects!(Baseline, ControlException, Fleet, Tenant, TenantClass, VersionChannel);

/// The spec with the mark of fleet on every object, as it is applied: pruning goes by this mark alone.
pub fn marked(mut spec: ValidatedFleet) -> ValidatedFleet {
    fn mark<K: Object>(object: &mut K) {
        let labels = object.metadata_mut().labels.get_or_insert_default();
        labels.insert(labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_FLEET.to_owned());
    }
    mark(&mut spec.fleet);
    spec.tenants.values_mut().for_each(mark);
    spec.classes.values_mut().for_each(mark);
    spec.baselines.values_mut().for_each(mark);
    spec.channels.values_mut().for_each(mark);
    spec.exceptions.values_mut().for_each(mark);
    spec
}

struct Comparison {
    changes: Vec<Change>,
    unchanged: usize,
}

/// What keeps an object from being changed: why, and what to do.
type Obstacle = Option<(String, String)>;

impl Comparison {
    fn kind<K: Object>(
        &mut self,
        kind: &str,
        wanted: &BTreeMap<String, K>,
        have: &BTreeMap<String, K>,
        obstacle: &dyn Fn(&K, &K) -> Obstacle,
    ) {
        for (name, object) in wanted {
            self.object(kind, name, object, have.get(name), &|there| obstacle(object, there));
        }
    }

    fn object<K: Object>(
        &mut self,
        kind: &str,
        name: &str,
        wanted: &K,
        have: Option<&K>,
        obstacle: &dyn Fn(&K) -> Obstacle,
    ) {
        let mut change = Change {
            kind: kind.to_owned(),
            name: name.to_owned(),
            action: ChangeAction::Create,
            uid: None,
            generation: None,
            fields: Vec::new(),
        };
        if let Some(have) = have {
            change.fields = field_changes(wanted, have);
            if change.fields.is_empty() {
                self.unchanged += 1;
                return;
            }
            change.uid.clone_from(&have.metadata().uid);
            change.generation = have.metadata().generation;
            change.action = match obstacle(have).or_else(|| going(have.metadata())) {
                Some((why, hint)) => ChangeAction::Blocked { why, hint },
                None => ChangeAction::Change,
            };
        }
        self.changes.push(change);
    }
}

fn class_stays(wanted: &Tenant, have: &Tenant) -> Obstacle {
    let (from, to) = (&have.spec.class, &wanted.spec.class);
    (from != to).then(|| {
        (
            format!("a tenant's class cannot be edited ({from} -> {to}): moving a tenant is a migration"),
            "make a new tenant in the other class, move the workloads, and delete this one".to_owned(),
        )
    })
}

fn going(metadata: &ObjectMeta) -> Obstacle {
    metadata.deletion_timestamp.as_ref().map(|_| {
        (
            "it is being deleted".to_owned(),
            "wait until it is gone, and apply again to make a new one".to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn make_tenant(name: &str, class: &str, ours: bool) -> Tenant {
        let labels = if ours { json!({"app.kubernetes.io/managed-by": "fleet"}) } else { json!({}) };
        serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1",
            "kind": "Tenant",
            "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": labels},
            "spec": {"owner": {"team": "t", "contact": "c"}, "class": class},
        }))
        .unwrap()
    }

    fn make_fleet(tenants: &[Tenant]) -> ValidatedFleet {
        let by_name = |tenant: &Tenant| (tenant.metadata.name.clone().unwrap(), tenant.clone());
        ValidatedFleet { tenants: tenants.iter().map(by_name).collect(), ..ValidatedFleet::default() }
    }

    fn options(prune: bool) -> DiffOptions {
        DiffOptions { prune, recent_deletions: 0, now: NOW }
    }

    #[test]
    fn an_object_is_made_changed_or_left_alone() {
        let mut wanted = make_fleet(&[
            make_tenant("new", "c", true),
            make_tenant("old", "c", true),
            make_tenant("same", "c", true),
        ]);
        let have = make_fleet(&[
            make_tenant("old", "c", true),
            make_tenant("same", "c", true),
            make_tenant("other", "c", true),
        ]);
        wanted.tenants.get_mut("old").unwrap().spec.owner.contact = "d".to_owned();
        let diff = diff(&wanted, &have, &options(false));
        let seen: Vec<_> = diff.changes.iter().map(|change| (change.name.as_str(), &change.action)).collect();
        assert_eq!(seen, [("new", &ChangeAction::Create), ("old", &ChangeAction::Change)]);
        assert_eq!(diff.unchanged, 1);
        assert_eq!(
            diff.changes[1].fields,
            [FieldChange {
                path: "spec.owner.contact".to_owned(),
                old: Some(json!("c")),
                new: Some(json!("d"))
            }]
        );
    }

    #[test]
    fn nothing_is_pruned_without_being_asked_or_without_our_mark() {
        let wanted = make_fleet(&[]);
        let have = make_fleet(&[make_tenant("ours", "c", true), make_tenant("theirs", "c", false)]);
        assert!(diff(&wanted, &have, &options(false)).is_empty());
        let pruned = diff(&wanted, &have, &options(true));
        let names: Vec<_> = pruned.changes.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(names, ["ours"]);
    }

    #[test]
    fn the_brake_counts_what_was_deleted_within_the_hour_and_names_the_rest() {
        let wanted = make_fleet(&[]);
        let mut have = make_fleet(&["a", "b", "c"].map(|name| make_tenant(name, "c", true)));
        assert_eq!(diff(&wanted, &have, &options(true)).brake, None);
        let mut gone = make_tenant("gone", "c", true);
        gone.metadata.deletion_timestamp = Some(Time(NOW));
        have.tenants.insert("gone".to_owned(), gone);
        let brake = diff(&wanted, &have, &options(true)).brake.unwrap();
        assert_eq!((brake.allowed, brake.recent), (3, 1));
        assert_eq!(brake.tenants, ["a", "b", "c"]);
        let later = DiffOptions { now: NOW + SignedDuration::from_hours(2), ..options(true) };
        assert_eq!(diff(&wanted, &have, &later).brake, None);
    }

    #[test]
    fn a_spec_cannot_lift_the_brake_that_stops_it() {
        let mut wanted = make_fleet(&[]);
        wanted.fleet_given = true;
        wanted.fleet.spec.brakes.max_deletions_per_hour = 100;
        let have = make_fleet(&["a", "b", "c", "d"].map(|name| make_tenant(name, "c", true)));
        assert!(diff(&wanted, &have, &options(true)).brake.is_some());
    }

    #[test]
    fn a_changed_class_and_what_is_still_used_are_blocked_with_a_reason() {
        let wanted = make_fleet(&[make_tenant("mover", "b", true)]);
        let mut have = make_fleet(&[make_tenant("mover", "a", true), make_tenant("theirs", "a", false)]);
        let mut class: TenantClass = serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1",
            "kind": "TenantClass",
            "metadata": {"name": "a", "labels": {"app.kubernetes.io/managed-by": "fleet"}},
            "spec": {"baseline": "standard"},
        }))
        .unwrap();
        have.classes.insert("a".to_owned(), class.clone());
        class.metadata.name = Some("free".to_owned());
        have.classes.insert("free".to_owned(), class);
        let diff = diff(&wanted, &have, &options(true));
        let blocked: Vec<_> = diff
            .changes
            .iter()
            .filter_map(|change| match &change.action {
                ChangeAction::Blocked { why, .. } => Some((change.name.as_str(), why.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(blocked[0].0, "mover");
        assert!(blocked[0].1.contains("a -> b"));
        assert_eq!(blocked[1], ("a", "it is still used by mover, theirs"));
        assert_eq!(diff.count(|action| *action == ChangeAction::Delete), 1);
    }

    #[test]
    fn what_others_write_to_an_object_is_no_difference() {
        let wanted = make_fleet(&[make_tenant("acme", "c", true)]);
        let mut have = make_fleet(&[make_tenant("acme", "c", true)]);
        let metadata = &mut have.tenants.get_mut("acme").unwrap().metadata;
        metadata.labels.as_mut().unwrap().insert("theirs".to_owned(), "x".to_owned());
        metadata.annotations = Some(BTreeMap::from([("note".to_owned(), "y".to_owned())]));
        metadata.finalizers = Some(vec!["tenantfleet.dev/tenant".to_owned()]);
        assert!(diff(&wanted, &have, &options(true)).is_empty());
    }

    #[test]
    fn an_object_that_somebody_else_applied_is_taken_over_by_its_mark() {
        let wanted = marked(make_fleet(&[make_tenant("acme", "c", false)]));
        let have = make_fleet(&[make_tenant("acme", "c", false)]);
        let diff = diff(&wanted, &have, &options(false));
        assert_eq!(diff.changes[0].fields[0].path, "metadata.labels[app.kubernetes.io/managed-by]");
    }

    #[test]
    fn lists_of_named_items_are_compared_by_name() {
        let baseline = |registries: Value, templates: Value| -> Baseline {
            serde_json::from_value(json!({
                "apiVersion": "tenantfleet.dev/v1alpha1",
                "kind": "Baseline",
                "metadata": {"name": "b", "labels": {"app.kubernetes.io/managed-by": "fleet"}},
                "spec": {"parameters": {"allowedRegistries": registries}, "extraTemplates": templates},
            }))
            .unwrap()
        };
        let old =
            baseline(json!(["a/"]), json!([{"name": "x", "template": "1"}, {"name": "y", "template": "2"}]));
        let new = baseline(json!(["a/", "b/"]), json!([{"name": "y", "template": "3"}]));
        let paths: Vec<String> = field_changes(&new, &old).into_iter().map(|change| change.path).collect();
        assert_eq!(
            paths,
            ["spec.extraTemplates.x", "spec.extraTemplates.y.template", "spec.parameters.allowedRegistries"]
        );
    }
}
