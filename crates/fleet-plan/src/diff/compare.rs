//! Which fields of an object differ.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{FieldChange, Object};

/// The fields that differ: the whole spec, and those labels and annotations that the wanted object names.
pub(super) fn field_changes<K: Object>(wanted: &K, have: &K) -> Vec<FieldChange> {
    let part = |object: &K, name: &str| {
        serde_json::to_value(object).ok().and_then(|value| value.get(name).cloned()).unwrap_or_default()
    };
    let mut changes = Vec::new();
    compare("spec", Some(&part(wanted, "spec")), Some(&part(have, "spec")), &mut changes);
    let maps = [
        ("labels", &wanted.metadata().labels, &have.metadata().labels),
        ("annotations", &wanted.metadata().annotations, &have.metadata().annotations),
    ];
    for (field, wanted, have) in maps {
        for (key, value) in wanted.iter().flatten() {
            let there = have.as_ref().and_then(|have| have.get(key));
            if there != Some(value) {
                changes.push(FieldChange {
                    path: format!("metadata.{field}[{key}]"),
                    old: there.cloned().map(Value::from),
                    new: Some(Value::from(value.clone())),
                });
            }
        }
    }
    changes
}

/// Goes down as far as both sides have the same shape; lists whose items have a `name` are compared by it.
fn compare(path: &str, wanted: Option<&Value>, have: Option<&Value>, changes: &mut Vec<FieldChange>) {
    let nothing = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    };
    if wanted == have || (nothing(wanted) && nothing(have)) {
        return;
    }
    match (wanted, have) {
        (Some(Value::Object(wanted)), Some(Value::Object(have))) => compare_maps(path, wanted, have, changes),
        (Some(Value::Array(wanted_items)), Some(Value::Array(have_items))) => {
            match (by_name(wanted_items), by_name(have_items)) {
                (Some(wanted), Some(have)) => compare_maps(path, &wanted, &have, changes),
                _ if wanted_items.len() == have_items.len() => {
                    for (index, pair) in wanted_items.iter().zip(have_items).enumerate() {
                        compare(&format!("{path}[{index}]"), Some(pair.0), Some(pair.1), changes);
                    }
                }
                _ => changes.push(changed(path, wanted, have)),
            }
        }
        _ => changes.push(changed(path, wanted, have)),
    }
}

fn changed(path: &str, wanted: Option<&Value>, have: Option<&Value>) -> FieldChange {
    FieldChange { path: path.to_owned(), old: have.cloned(), new: wanted.cloned() }
}

fn compare_maps(
    path: &str,
    wanted: &Map<String, Value>,
    have: &Map<String, Value>,
    changes: &mut Vec<FieldChange>,
) {
    let keys: BTreeSet<&String> = wanted.keys().chain(have.keys()).collect();
    for key in keys {
        let plain = key.bytes().all(|b| b.is_ascii_alphanumeric());
        let below = if plain { format!("{path}.{key}") } else { format!("{path}[{key}]") };
        compare(&below, wanted.get(key), have.get(key), changes);
    }
}

/// The items of a list by their names, when each has one of its own.
fn by_name(items: &[Value]) -> Option<Map<String, Value>> {
    let named: Option<Map<String, Value>> =
        items.iter().map(|item| Some((item.get("name")?.as_str()?.to_owned(), item.clone()))).collect();
    named.filter(|named| named.len() == items.len() && !items.is_empty())
}
