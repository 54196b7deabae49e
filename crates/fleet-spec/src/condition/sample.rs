//! Objects as conditions get them, and a made-up cluster that has everything.

use std::sync::LazyLock;

use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::{Map, Value as Json, json};

use super::walk::SCHEMA;

/// An object whose whole numbers are signed. CEL does not add signed and unsigned numbers, and what people write is signed.
pub(super) struct Signed<'a>(pub(super) &'a Json);

impl Serialize for Signed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(truth) => serializer.serialize_bool(*truth),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => serializer.serialize_i64(whole),
                (None, Some(number)) => serializer.serialize_f64(number),
                (None, None) => Err(S::Error::custom("a number is out of range")),
            },
            Json::String(text) => serializer.serialize_str(text),
            Json::Array(items) => serializer.collect_seq(items.iter().map(Signed)),
            Json::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, Signed(value))))
            }
        }
    }
}

/// A cluster with every field that a TenantCluster can have, each list with one item. Its values mean nothing: it shows
/// of which kinds they are.
pub(super) static CLUSTER: LazyLock<Json> = LazyLock::new(|| of(&SCHEMA).unwrap_or_default());

/// A value of a schema; none where nothing is known of its kind.
fn of(schema: &Json) -> Option<Json> {
    if let Some(first) = schema.pointer("/enum/0") {
        return Some(first.clone());
    }
    match schema["type"].as_str()? {
        "boolean" => Some(json!(false)),
        "integer" => Some(json!(1)),
        "number" => Some(json!(0.5)),
        "string" => Some(json!("sample")),
        "array" => Some(schema.get("items").and_then(of).into_iter().collect()),
        "object" => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let fields: Map<String, Json> =
                properties.filter_map(|(name, schema)| Some((name.clone(), of(schema)?))).collect();
            Some(Json::Object(fields))
        }
        _ => None,
    }
}
