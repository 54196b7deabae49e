//! Hashes of content: the same for the same content, whatever the order of its maps.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The first 16 hexadecimal digits of the SHA-256 of a value's JSON with its keys in order.
///
/// A map's own order is not enough: it depends on whether any crate of the build asks serde_json to keep the
/// order of insertion, and the controller's hash must be the command line's.
pub(crate) fn content(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    short(&text)
}

/// The first 16 hexadecimal digits of the SHA-256 of a text.
pub(crate) fn short(text: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(text.as_bytes()));
    digits.truncate(16);
    digits
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut entries: Vec<_> = fields.iter().collect();
            entries.sort_by(|left, right| left.0.cmp(right.0));
            text.push('{');
            for (key, value) in entries {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(value, text);
                text.push(',');
            }
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_fields_does_not_count_and_everything_else_does() {
        let hash = |text: &str| content(&serde_json::from_str(text).unwrap());
        assert_eq!(hash(r#"{"a":1,"b":[{"c":2,"d":3}]}"#), hash(r#"{"b":[{"d":3,"c":2}],"a":1}"#));
        assert_ne!(content(&json!([1, 2])), content(&json!([2, 1])));
        assert_ne!(content(&json!({ "a": "b" })), content(&json!({ "a": "c" })));
        assert_ne!(content(&json!(1)), content(&json!("1")));
        assert_eq!(content(&json!({})).len(), 16);
    }
}
