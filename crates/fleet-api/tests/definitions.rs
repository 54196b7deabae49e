//! The definitions of the custom resources hold what Kubernetes demands of a structural schema.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use fleet_api::v1alpha1::definitions;
use serde_json::Value;

/// Calls `visit` with every schema below `schema` and the path to it.
fn walk(schema: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, schema);
    if let Some(properties) = schema["properties"].as_object() {
        for (name, below) in properties {
            walk(below, &format!("{path}.{name}"), visit);
        }
    }
    for below in [&schema["items"], &schema["additionalProperties"]] {
        if below.is_object() {
            walk(below, &format!("{path}[]"), visit);
        }
    }
}

fn schemas() -> Vec<(String, Value)> {
    definitions()
        .into_iter()
        .map(|crd| {
            let kind = crd.spec.names.kind.clone();
            let version = serde_json::to_value(&crd.spec.versions[0]).unwrap();
            (kind, version["schema"]["openAPIV3Schema"].clone())
        })
        .collect()
}

#[test]
fn every_field_of_every_kind_is_documented() {
    let mut missing = Vec::new();
    for (kind, schema) in schemas() {
        walk(&schema, &kind, &mut |path, schema| {
            let is_item = path.ends_with("[]");
            if !is_item && schema["description"].as_str().is_none_or(str::is_empty) {
                missing.push(path.to_owned());
            }
        });
    }
    // `kube` gives the root's own fields no description; the API server explains them itself.
    missing.retain(|path| !path.ends_with(".status") && !path.ends_with(".spec"));
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn no_field_has_a_number_format_that_kubernetes_does_not_know() {
    for (kind, schema) in schemas() {
        walk(&schema, &kind, &mut |path, schema| {
            if let Some(format) = schema["format"].as_str() {
                assert!(["int32", "int64", "double", "date-time"].contains(&format), "{path}: {format}");
            }
        });
    }
}

#[test]
fn conditions_are_a_list_map_by_type() {
    for (kind, schema) in schemas() {
        walk(&schema, &kind, &mut |path, schema| {
            if path.ends_with(".conditions") {
                assert_eq!(schema["x-kubernetes-list-type"], "map", "{path}");
                assert_eq!(schema["x-kubernetes-list-map-keys"][0], "type", "{path}");
            }
        });
    }
}
