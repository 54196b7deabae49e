//! The metadata of an object: what people write, and what the API server alone writes.

use fleet_api::labels;
use serde_json::{Map, Value as Json};

use crate::{
    field_path::FieldPath,
    finding::Code,
    node::{Mark, Node, Value},
    schema::Walk,
    text::{nearest, shown},
};

/// Metadata that people write.
const WRITTEN: [&str; 3] = ["name", "labels", "annotations"];
/// Metadata that the API server or controllers write; it comes along when an object is copied out of a cluster.
const SERVED: [&str; 10] = [
    "finalizers",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "ownerReferences",
    "selfLink",
];
/// Annotations of fleet that people set.
const OWN_ANNOTATIONS: [&str; 3] = [labels::CONFIRM_DELETION, labels::PAUSED, labels::ADOPT_VERSION];

/// The metadata as JSON, with name, labels and annotations alone; `None` without a usable name.
pub(crate) fn read(root: &Node, walk: &mut Walk<'_>) -> Option<Json> {
    let path = FieldPath::root().field("metadata");
    let Some(metadata) = root.get("metadata") else {
        let hint = Some("add `metadata:` with `name:` below it".to_owned());
        walk.error(
            Mark::default(),
            Code::MissingField,
            &path,
            "the object needs `metadata`".to_owned(),
            hint,
        );
        return None;
    };
    if !matches!(metadata.value, Value::Map(_)) {
        let message = format!("`metadata` takes a map, not {}", metadata.value.kind());
        walk.error(metadata.at, Code::WrongType, &path, message, None);
        return None;
    }
    walk.duplicates(metadata, &path);
    for (key, value) in metadata.entries() {
        let below = path.field(&key.text);
        match key.text.as_str() {
            name if WRITTEN.contains(&name) => {}
            name if SERVED.contains(&name) => {
                let message = format!("`{name}` is written in the cluster, and is left out");
                walk.warning(
                    key.at,
                    Code::ServerMetadata,
                    &below,
                    message,
                    Some(format!("take `{name}` away")),
                );
            }
            "namespace" => {
                let message = "objects of a fleet spec stand in no namespace".to_owned();
                walk.error(
                    key.at,
                    Code::UnknownField,
                    &below,
                    message,
                    Some("take `namespace` away".to_owned()),
                );
            }
            "generateName" => {
                let message = "objects of a fleet spec have fixed names".to_owned();
                walk.error(
                    key.at,
                    Code::UnknownField,
                    &below,
                    message,
                    Some("give `name` instead".to_owned()),
                );
            }
            other => walk.unknown(key.at, other, &path, &WRITTEN),
        }
        if matches!(value.value, Value::Null) && key.text != "name" && WRITTEN.contains(&key.text.as_str()) {
            let message = format!("`{}` has no value and counts as left out", key.text);
            walk.warning(key.at, Code::EmptyValue, &below, message, Some("take the line away".to_owned()));
        }
    }
    let name = name(metadata, walk, &path);
    let mut out = Map::new();
    for (field, is_label) in [("labels", true), ("annotations", false)] {
        if let Some(map) = metadata.get(field).filter(|node| !matches!(node.value, Value::Null)) {
            let values = strings(map, walk, &path.field(field), is_label);
            out.insert(field.to_owned(), Json::Object(values));
        }
    }
    out.insert("name".to_owned(), Json::from(name?));
    Some(Json::Object(out))
}

fn name(metadata: &Node, walk: &mut Walk<'_>, path: &FieldPath) -> Option<String> {
    let path = path.field("name");
    match metadata.get("name") {
        Some(Node { value: Value::Text(name), .. }) => Some(name.clone()),
        Some(Node { value: Value::Null, .. }) | None => {
            let misspelt = metadata.entries().iter().any(|(key, _)| {
                !WRITTEN.contains(&key.text.as_str()) && nearest(&key.text, WRITTEN) == Some("name")
            });
            if !misspelt {
                let hint = Some("add `name`".to_owned());
                walk.error(
                    Mark::default(),
                    Code::MissingField,
                    &path,
                    "`metadata` needs `name`".to_owned(),
                    hint,
                );
            }
            None
        }
        Some(other) => {
            let message = format!("`metadata.name` takes text, not {}", other.value.kind());
            walk.error(other.at, Code::WrongType, &path, message, Some("put it in quotes".to_owned()));
            None
        }
    }
}

/// A map of texts, without the entries that no label or annotation can hold.
fn strings(map: &Node, walk: &mut Walk<'_>, path: &FieldPath, is_label: bool) -> Map<String, Json> {
    let mut out = Map::new();
    if !matches!(map.value, Value::Map(_)) {
        walk.error(
            map.at,
            Code::WrongType,
            path,
            format!("`{path}` takes a map, not {}", map.value.kind()),
            None,
        );
        return out;
    }
    walk.duplicates(map, path);
    for (key, value) in map.entries() {
        let below = path.field(&key.text);
        if let Err(why) = qualified_name(&key.text) {
            let message = format!("`{}` is no key of a label or annotation: {why}", shown(&key.text));
            walk.error(key.at, Code::LabelValue, &below, message, None);
            continue;
        }
        let Value::Text(text) = &value.value else {
            let message = format!("`{below}` takes text, not {}", value.value.kind());
            let hint = (!matches!(value.value, Value::Map(_) | Value::List(_)))
                .then(|| "put it in quotes".to_owned());
            walk.error(value.at, Code::WrongType, &below, message, hint);
            continue;
        };
        if is_label && let Err(why) = label_value(text) {
            let message = format!("no label can hold `{}`: {why}", shown(text));
            let hint = Some("keep free text in `annotations`".to_owned());
            walk.error(value.at, Code::LabelValue, &below, message, hint);
            continue;
        }
        if is_label && key.text == labels::MANAGED_BY {
            // An object copied out of the management cluster carries the mark that `fleet apply` sets anyway.
            if text != labels::MANAGED_BY_FLEET {
                let message =
                    format!("`{}` becomes `{}` when fleet applies it", key.text, labels::MANAGED_BY_FLEET);
                walk.warning(key.at, Code::InvalidName, &below, message, Some("take it away".to_owned()));
            }
            continue;
        }
        if reserved(&key.text, is_label) {
            let hint = match nearest(&key.text, OWN_ANNOTATIONS).filter(|_| !is_label) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "take it away, or use a prefix of your own".to_owned(),
            };
            let message =
                format!("`{}` is one of the keys that fleet itself writes or reads", shown(&key.text));
            walk.error(key.at, Code::InvalidName, &below, message, Some(hint));
            continue;
        }
        out.insert(key.text.clone(), Json::from(text.as_str()));
    }
    out
}

/// Keys of fleet's own prefix, but for the annotations that people set.
fn reserved(key: &str, is_label: bool) -> bool {
    let own = key.split_once('/').is_some_and(|(prefix, _)| prefix == fleet_api::GROUP);
    own && (is_label || !OWN_ANNOTATIONS.contains(&key))
}

/// Whether a label can hold the value; why not otherwise.
pub(crate) fn label_value(value: &str) -> Result<(), &'static str> {
    if value.len() > 63 {
        return Err("it is longer than 63 characters");
    }
    let inside = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !inside {
        return Err("it takes letters, digits, `-`, `_` and `.` alone");
    }
    let ends = [value.bytes().next(), value.bytes().last()];
    if ends.into_iter().flatten().all(|b| b.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err("it must begin and end with a letter or digit")
    }
}

/// Whether a label, annotation or taint can have the key; why not otherwise.
pub(crate) fn qualified_name(key: &str) -> Result<(), &'static str> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if name.is_empty() {
        return Err("it has no name");
    }
    label_value(name)?;
    match prefix {
        Some(prefix) if !dns_subdomain(prefix) => Err("the part before `/` is not a DNS name"),
        _ => Ok(()),
    }
}

/// A DNS label of at most 63 characters, as names of namespaces are.
pub(crate) fn dns_label(text: &str) -> bool {
    let inside = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let ends = !text.starts_with('-') && !text.ends_with('-');
    (1..=63).contains(&text.len()) && inside && ends
}

/// DNS labels with dots between them, at most 253 characters.
pub(crate) fn dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(dns_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_takes_as_a_label_passes_and_the_rest_says_why() {
        for value in ["", "a", "ring-1", "v1.35_x", &"a".repeat(63)] {
            assert_eq!(label_value(value), Ok(()), "{value}");
        }
        for value in ["-a", "a-", "a b", "grün", "a/b", &"a".repeat(64)] {
            assert!(label_value(value).is_err(), "{value}");
        }
        for key in ["ring", "example.com/ring"] {
            assert_eq!(qualified_name(key), Ok(()), "{key}");
        }
        for key in ["", "/ring", "example.com/", "Example.com/ring", "a/b/c"] {
            assert!(qualified_name(key).is_err(), "{key}");
        }
    }
}
