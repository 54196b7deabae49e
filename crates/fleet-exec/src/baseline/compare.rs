//! What an object is, compared with what it should be. Pure, and lenient about shapes: the objects come from a
//! tenant's API server.
//!
//! Two comparisons work together. [`shortfall`] asks whether a live object holds everything that is wanted, and is
//! blind to what somebody added. [`fingerprint`] is over everything that an object says, and is compared with the
//! fingerprint of our own last write, so that an addition shows: `egress: [{}]` beside a policy that denies all.

use fleet_api::labels;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The operation that a server-side apply leaves in `managedFields`.
const APPLY: &str = "Apply";

/// Kinds whose objects belong to others too: additions to them are nobody's fault.
pub(crate) fn is_shared(kind: &str) -> bool {
    matches!(kind, "Namespace" | "ServiceAccount")
}

/// Where a live object falls short of what is wanted, as a JSON pointer; `None` when it holds everything.
///
/// Lists are compared as wholes, because an entry more in a list of rules or subjects changes what it means.
pub(crate) fn shortfall(wanted: &Value, live: &Value) -> Option<String> {
    let quantities =
        matches!(wanted.get("kind").and_then(Value::as_str), Some("ResourceQuota" | "LimitRange"));
    let mut path = String::new();
    holds(wanted, live, quantities, &mut path).err()
}

fn holds(wanted: &Value, live: &Value, quantities: bool, path: &mut String) -> Result<(), String> {
    let mut deeper = |key: &str, wanted: &Value, live: &Value| {
        let length = path.len();
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        let result = holds(wanted, live, quantities, path);
        path.truncate(length);
        result
    };
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted
            .iter()
            .try_for_each(|(key, wanted)| deeper(key, wanted, live.get(key).unwrap_or(&Value::Null))),
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() => wanted
            .iter()
            .zip(live)
            .enumerate()
            .try_for_each(|(at, (wanted, live))| deeper(&at.to_string(), wanted, live)),
        (wanted, live) if wanted == live || (says_nothing(wanted) && says_nothing(live)) => Ok(()),
        (Value::String(wanted), Value::String(live)) if quantities && same_quantity(wanted, live) => Ok(()),
        (Value::Number(wanted), Value::String(live))
            if quantities && same_quantity(&wanted.to_string(), live) =>
        {
            Ok(())
        }
        _ => Err(path.clone()),
    }
}

/// Whether a value says nothing: the server drops empty lists and maps, and may fill them in.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
        _ => false,
    }
}

/// Whether two quantities are the same number, as `1000m` and `1` are.
fn same_quantity(a: &str, b: &str) -> bool {
    matches!((quantity(a), quantity(b)), (Some(a), Some(b)) if (a - b).abs() <= a.abs() * 1e-12)
}

fn quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    if let Ok(number) = text.parse::<f64>() {
        return Some(number);
    }
    SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some(text.strip_suffix(suffix)?.parse::<f64>().ok()? * factor))
}

/// What an object says beside its metadata and its status, without empty lists and maps.
pub(crate) fn content(object: &Value) -> Value {
    let Value::Object(fields) = object else { return Value::Null };
    let said = fields
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status"))
        .map(|(key, value)| (key.clone(), without_nothing(value)))
        .filter(|(_, value)| !value.is_null());
    Value::Object(said.collect())
}

fn without_nothing(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept: Map<String, Value> = fields
                .iter()
                .map(|(key, value)| (key.clone(), without_nothing(value)))
                .filter(|(_, value)| !value.is_null())
                .collect();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        // An empty entry of a list says much: `egress: [{}]` allows everything. It stays.
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| match without_nothing(item) {
                    Value::Null => item.clone(),
                    kept => kept,
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

/// A short hash of a value. serde_json keeps maps ordered, so that equal values have equal hashes.
pub(crate) fn fingerprint(value: &Value) -> u64 {
    let digest = Sha256::digest(value.to_string().as_bytes());
    digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// A hash of everything in an object's metadata that tells of a change to more than its status.
///
/// Whoever changes a field leaves a trace in `managedFields`; status is written through a subresource, whose
/// entries are left out. So a quota whose usage moves with every pod costs nothing.
pub(crate) fn trace(metadata: &Value) -> u64 {
    let mut kept = Map::new();
    for field in ["labels", "annotations", "deletionTimestamp", "generation", "ownerReferences"] {
        if let Some(value) = metadata.get(field) {
            kept.insert(field.to_owned(), value.clone());
        }
    }
    let managers = managers(metadata).filter(|entry| !is_status(entry)).cloned().collect();
    kept.insert("managedFields".to_owned(), Value::Array(managers));
    fingerprint(&Value::Object(kept))
}

fn managers(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata.get("managedFields").and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn is_status(entry: &Value) -> bool {
    text(entry, "subresource") == "status"
}

fn is_ours(entry: &Value) -> bool {
    text(entry, "manager") == labels::BASELINE_MANAGER && text(entry, "operation") == APPLY
}

/// Whether an object is one that a baseline of ours made: it has our label and was applied by our field manager.
pub(crate) fn is_of_the_baseline(metadata: &Value) -> bool {
    let managed_by =
        metadata.get("labels").and_then(|labels| labels.get(labels::MANAGED_BY)).and_then(Value::as_str);
    managed_by == Some(labels::MANAGED_BY_FLEET) && managers(metadata).any(is_ours)
}

/// Whether somebody else has set anything beside metadata and status.
pub(crate) fn has_foreign_content(metadata: &Value) -> bool {
    managers(metadata).filter(|entry| !is_ours(entry) && !is_status(entry)).any(|entry| {
        let fields = entry.get("fieldsV1").and_then(Value::as_object);
        fields
            .is_some_and(|fields| fields.keys().any(|key| !matches!(key.as_str(), "f:metadata" | "f:status")))
    })
}

/// The field manager, other than ours, that changed the object last.
pub(crate) fn other_manager(metadata: &Value) -> Option<String> {
    managers(metadata)
        .filter(|entry| !is_ours(entry) && !is_status(entry))
        .max_by(|a, b| text(a, "time").cmp(text(b, "time")))
        .map(|entry| crate::remote::shorten(text(entry, "manager")))
        .filter(|manager| !manager.is_empty())
}

/// The JSON patch that takes from a live object what is not in the expected one. Both are [`content`]s.
///
/// Only removals: with a value it would make us an owner by update, and server-side apply could never let go.
pub(crate) fn removals(live: &Value, expected: &Value) -> Vec<Value> {
    let mut patch = Vec::new();
    remove(live, expected, &mut String::new(), &mut patch);
    patch
}

fn remove(live: &Value, expected: &Value, path: &mut String, patch: &mut Vec<Value>) {
    let length = path.len();
    match (live, expected) {
        (Value::Object(live), Value::Object(expected)) => {
            for (key, value) in live {
                path.push('/');
                path.push_str(&key.replace('~', "~0").replace('/', "~1"));
                match expected.get(key) {
                    Some(expected) => remove(value, expected, path, patch),
                    None => patch.push(serde_json::json!({ "op": "remove", "path": path })),
                }
                path.truncate(length);
            }
        }
        (Value::Array(live), Value::Array(expected)) if live.len() > expected.len() => {
            // From the end, so that the places of the others do not move.
            for (at, item) in live.iter().enumerate().rev() {
                if !expected.contains(item) {
                    patch.push(serde_json::json!({ "op": "remove", "path": format!("{path}/{at}") }));
                }
            }
        }
        (Value::Array(live), Value::Array(expected)) => {
            for (at, (live, expected)) in live.iter().zip(expected).enumerate() {
                path.push_str(&format!("/{at}"));
                remove(live, expected, path, patch);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_of_the_server_are_no_shortfall_and_changes_are() {
        let wanted = json!({
            "kind": "NetworkPolicy",
            "metadata": { "name": "n", "labels": { "a": "b" } },
            "spec": { "policyTypes": ["Ingress", "Egress"], "egress": [{ "ports": [{ "port": 53 }] }] },
        });
        let mut live = json!({
            "kind": "NetworkPolicy",
            "metadata": { "name": "n", "uid": "u", "labels": { "a": "b", "other": "x" } },
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress", "Egress"],
                "egress": [{ "ports": [{ "port": 53, "protocol": "TCP" }] }],
            },
            "status": {},
        });
        assert_eq!(shortfall(&wanted, &live), None);
        live["spec"]["egress"] = json!([{ "ports": [{ "port": 53 }] }, {}]);
        assert_eq!(shortfall(&wanted, &live).as_deref(), Some("/spec/egress"));
        live["metadata"]["labels"] = json!("not a map");
        assert_eq!(shortfall(&wanted, &live).as_deref(), Some("/metadata/labels"));
    }

    #[test]
    fn quantities_are_numbers_where_the_kind_has_them() {
        let quota = |cpu: &str| json!({ "kind": "ResourceQuota", "spec": { "hard": { "cpu": cpu } } });
        assert_eq!(shortfall(&quota("1000m"), &quota("1")), None);
        assert_eq!(shortfall(&quota("1Gi"), &quota("1024Mi")), None);
        assert!(shortfall(&quota("1"), &quota("2")).is_some());
        let map = |value: &str| json!({ "kind": "ConfigMap", "data": { "cpu": value } });
        assert!(shortfall(&map("1000m"), &map("1")).is_some());
    }

    #[test]
    fn an_addition_changes_the_fingerprint_and_the_status_does_not() {
        let ours = json!({ "kind": "NetworkPolicy", "metadata": {}, "spec": { "podSelector": {}, "policyTypes": ["Egress"] } });
        let mut live = ours.clone();
        live["status"] = json!({ "x": 1 });
        live["metadata"] = json!({ "resourceVersion": "9" });
        assert_eq!(fingerprint(&content(&ours)), fingerprint(&content(&live)));
        live["spec"]["egress"] = json!([{}]);
        assert_ne!(fingerprint(&content(&ours)), fingerprint(&content(&live)));
        assert_eq!(
            removals(&content(&live), &content(&ours)),
            vec![json!({ "op": "remove", "path": "/spec/egress" })]
        );
    }

    #[test]
    fn entries_that_somebody_added_to_a_list_are_removed_from_its_end() {
        let expected = json!({ "spec": { "matchConditions": [{ "name": "a" }] } });
        let live =
            json!({ "spec": { "matchConditions": [{ "name": "x" }, { "name": "a" }, { "name": "y" }] } });
        let paths: Vec<_> = removals(&live, &expected).iter().map(|op| op["path"].clone()).collect();
        assert_eq!(paths, ["/spec/matchConditions/2", "/spec/matchConditions/0"]);
    }

    fn entry(manager: &str, operation: &str, time: &str, subresource: &str, fields: Value) -> Value {
        json!({ "manager": manager, "operation": operation, "time": time, "subresource": subresource, "fieldsV1": fields })
    }

    #[test]
    fn a_status_write_leaves_no_trace_and_any_other_does() {
        let ours = entry(labels::BASELINE_MANAGER, "Apply", "1", "", json!({ "f:spec": {} }));
        let quota =
            |time| entry("kube-controller-manager", "Update", time, "status", json!({ "f:status": {} }));
        let before = json!({ "resourceVersion": "1", "managedFields": [ours, quota("1")] });
        let after = json!({ "resourceVersion": "2", "managedFields": [ours, quota("2")] });
        assert_eq!(trace(&before), trace(&after));
        assert!(!has_foreign_content(&after));
        let edited = entry("kubectl-edit", "Update", "3", "", json!({ "f:spec": { "f:egress": {} } }));
        let after = json!({ "managedFields": [ours, quota("2"), edited] });
        assert_ne!(trace(&before), trace(&after));
        assert!(has_foreign_content(&after));
        assert_eq!(other_manager(&after).as_deref(), Some("kubectl-edit"));
    }

    #[test]
    fn only_what_we_applied_and_labelled_is_ours() {
        let ours = entry(labels::BASELINE_MANAGER, "Apply", "1", "", json!({}));
        let label = json!({ labels::MANAGED_BY: labels::MANAGED_BY_FLEET });
        assert!(is_of_the_baseline(&json!({ "labels": label, "managedFields": [ours] })));
        assert!(!is_of_the_baseline(&json!({ "labels": {}, "managedFields": [ours] })));
        assert!(!is_of_the_baseline(&json!({ "labels": label, "managedFields": [] })));
        let other = entry("kubectl", "Update", "1", "", json!({}));
        assert!(!is_of_the_baseline(&json!({ "labels": label, "managedFields": [other] })));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z/~0-9]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z/~]{1,3}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_object_holds_itself_and_no_shape_stops_a_comparison(a in any_json(), b in any_json()) {
            prop_assert_eq!(shortfall(&a, &a), None);
            prop_assert!(removals(&a, &a).is_empty());
            let _ = (shortfall(&a, &b), removals(&content(&a), &content(&b)), trace(&a), other_manager(&a));
            let _ = (is_of_the_baseline(&a), has_foreign_content(&b));
        }
    }
}
