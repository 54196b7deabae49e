//! One form for objects that mean the same, so that equal meaning has an equal hash.

use serde_json::{Map, Value};

use crate::quantity;

/// Maps whose emptiness says something: an empty selector selects everything, and an empty volume is one.
const MEANINGFUL_WHEN_EMPTY: [&str; 5] =
    ["podSelector", "namespaceSelector", "objectSelector", "selector", "emptyDir"];

/// Maps whose values are quantities, by their own name.
const QUANTITIES: [&str; 8] =
    ["hard", "default", "defaultRequest", "min", "max", "maxLimitRequestRatio", "requests", "limits"];

/// Whether a value says nothing: null, or a list or map without entries.
pub(crate) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// The one form of an object: keys in order, nothing that says nothing, canonical quantities, and nothing that
/// only a server may write.
pub(crate) fn object(value: Value) -> Value {
    let Value::Object(mut fields) = value else { return value };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        for server_side in
            ["creationTimestamp", "managedFields", "resourceVersion", "uid", "generation", "selfLink"]
        {
            metadata.remove(server_side);
        }
    }
    sorted(Value::Object(fields))
}

fn sorted(value: Value) -> Value {
    match value {
        // Elements are never dropped: an empty rule in a list is a rule.
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Object(fields) => {
            let mut entries: Vec<(String, Value)> = fields.into_iter().collect();
            entries.sort_by(|left, right| left.0.cmp(&right.0));
            let mut kept = Map::new();
            for (key, value) in entries {
                let value =
                    if QUANTITIES.contains(&key.as_str()) { with_quantities(value) } else { sorted(value) };
                if !is_nothing(&value) || (value.is_object() && MEANINGFUL_WHEN_EMPTY.contains(&key.as_str()))
                {
                    kept.insert(key, value);
                }
            }
            Value::Object(kept)
        }
        other => other,
    }
}

/// A map of quantities with each in its canonical form. What is no such map stays as it is.
fn with_quantities(value: Value) -> Value {
    let Value::Object(fields) = value else { return sorted(value) };
    let canonical = fields.into_iter().map(|(name, value)| {
        let text = match &value {
            Value::String(text) => quantity::canonical(text),
            Value::Number(number) => quantity::canonical(&number.to_string()),
            _ => None,
        };
        (name, text.map_or(value, Value::String))
    });
    sorted(Value::Object(canonical.collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_nothing_is_dropped_and_what_means_everything_stays() {
        let given = json!({
            "kind": "NetworkPolicy", "status": { "x": 1 },
            "metadata": { "name": "a", "creationTimestamp": null, "labels": {}, "uid": "u" },
            "spec": { "podSelector": {}, "ingress": [], "egress": [{}], "policyTypes": ["Egress"] },
        });
        let wanted = json!({
            "kind": "NetworkPolicy", "metadata": { "name": "a" },
            "spec": { "podSelector": {}, "egress": [{}], "policyTypes": ["Egress"] },
        });
        assert_eq!(object(given), wanted);
    }

    #[test]
    fn quantities_that_mean_the_same_become_the_same() {
        let given = json!({ "spec": { "hard": { "limits.cpu": "1000m", "pods": 1000, "requests.memory": "1024Mi" } } });
        let wanted =
            json!({ "spec": { "hard": { "limits.cpu": "1", "pods": "1k", "requests.memory": "1Gi" } } });
        assert_eq!(object(given), wanted);
    }

    #[test]
    fn normalising_twice_changes_nothing_more() {
        let given = json!({ "b": 1, "a": [{ "d": [], "c": { "e": {} } }], "limits": { "cpu": "0.5" } });
        let once = object(given);
        assert_eq!(object(once.clone()), once);
    }
}
