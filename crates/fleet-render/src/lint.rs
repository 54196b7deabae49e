//! RES-3: what a quota counts has a default, and the limits of a container fit together.
//!
//! Where a quota counts a resource, the server refuses every container that does not name it, so each needs a
//! default; and a default limit acts as a maximum for requests that come without a limit.

use serde_json::Value;

use crate::{BundleObject, RenderError, quantity};

/// The control whose demand this is.
const CONTROL: &str = "RES-3";

/// Checks every quota of the bundle against the limits in its namespace.
pub(crate) fn limits_fit_quotas(objects: &[BundleObject]) -> Result<(), RenderError> {
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object.kind == kind);
    for range in of_kind("LimitRange") {
        let items = range.value.pointer("/spec/limits").and_then(Value::as_array).into_iter().flatten();
        for item in items {
            bounds_are_ordered(&place(range), item)?;
        }
    }
    for quota in of_kind("ResourceQuota") {
        let ranges: Vec<&BundleObject> =
            of_kind("LimitRange").filter(|range| range.namespace == quota.namespace).collect();
        let hard = quota.value.pointer("/spec/hard").and_then(Value::as_object).into_iter().flatten();
        for (key, _) in hard {
            let Some((field, resource)) = defaulted_by(key) else { continue };
            if !ranges.iter().any(|range| has_default(range, field, resource)) {
                let message = format!(
                    "{} counts `{key}`, and no LimitRange there has a `{field}` for it",
                    place(quota)
                );
                return Err(RenderError::Lint { control: CONTROL.to_owned(), message });
            }
        }
    }
    Ok(())
}

fn place(object: &BundleObject) -> String {
    format!("{} {}/{}", object.kind, object.namespace.as_deref().unwrap_or_default(), object.name)
}

/// The field of a LimitRange that gives containers a value for a key of a quota.
fn defaulted_by(key: &str) -> Option<(&'static str, &str)> {
    let (kind, resource) = key.split_once('.')?;
    let compute = matches!(resource, "cpu" | "memory" | "ephemeral-storage");
    match kind {
        "requests" if compute => Some(("defaultRequest", resource)),
        "limits" if compute => Some(("default", resource)),
        _ => None,
    }
}

fn has_default(range: &BundleObject, field: &str, resource: &str) -> bool {
    let items = range.value.pointer("/spec/limits").and_then(Value::as_array).into_iter().flatten();
    items
        .filter(|item| item.get("type").and_then(Value::as_str) == Some("Container"))
        .any(|item| item.get(field).and_then(|values| values.get(resource)).is_some())
}

/// min <= defaultRequest <= default <= max, for every resource that has two of them.
fn bounds_are_ordered(place: &str, item: &Value) -> Result<(), RenderError> {
    let order = ["min", "defaultRequest", "default", "max"];
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
    let mut resources: Vec<&String> = order
        .iter()
        .filter_map(|field| item.get(field)?.as_object())
        .flat_map(|values| values.keys())
        .collect();
    resources.sort();
    resources.dedup();
    for resource in resources {
        let bounds = order.iter().filter_map(|field| {
            let text = item.get(field)?.get(resource)?.as_str()?;
            Some((*field, text, quantity::nanos(text)?))
        });
        let bounds: Vec<_> = bounds.collect();
        for pair in bounds.windows(2) {
            if let [(lower, low, low_value), (upper, high, high_value)] = pair
                && low_value > high_value
            {
                let message =
                    format!("{place} has `{lower}` {low} above `{upper}` {high} for {resource} of a {kind}");
                return Err(RenderError::Lint { control: CONTROL.to_owned(), message });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Phase;

    fn object(kind: &str, spec: Value) -> BundleObject {
        BundleObject {
            control: "RES-1".to_owned(),
            phase: Phase::Quota,
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: Some("shop".to_owned()),
            name: "fleet".to_owned(),
            value: json!({ "spec": spec }),
            hash: String::new(),
        }
    }

    #[test]
    fn a_quota_without_a_default_is_found() {
        let quota = object("ResourceQuota", json!({ "hard": { "pods": "5", "limits.memory": "1Gi" } }));
        let range =
            object("LimitRange", json!({ "limits": [{ "type": "Container", "default": { "cpu": "1" } }] }));
        let error = limits_fit_quotas(&[quota.clone(), range]).unwrap_err().to_string();
        assert_eq!(
            error,
            "control RES-3: ResourceQuota shop/fleet counts `limits.memory`, and no LimitRange there has a `default` \
             for it"
        );
        let range = object(
            "LimitRange",
            json!({ "limits": [{ "type": "Container", "default": { "memory": "1Gi" } }] }),
        );
        assert!(limits_fit_quotas(&[quota, range]).is_ok());
    }

    #[test]
    fn bounds_out_of_order_are_found() {
        let range = object(
            "LimitRange",
            json!({ "limits": [{ "type": "Container", "default": { "cpu": "2" }, "max": { "cpu": "1500m" } }] }),
        );
        let error = limits_fit_quotas(&[range]).unwrap_err().to_string();
        assert!(error.ends_with("has `default` 2 above `max` 1500m for cpu of a Container"), "{error}");
    }
}
