//! One form for objects that mean the same, so that equal meaning has an equal hash.

use serde_json::Value;

/// Whether a value says nothing: null, or a list or map without entries.
pub(crate) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
