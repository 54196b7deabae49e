//! Label selectors, as Kubernetes reads them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Expression, ParseExpressionError, SelectorExt as _};

/// A label selector that is asked about many objects. `NotIn` and `DoesNotExist` hold for an object without the label,
/// and a selector without any demand selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    demands: Vec<Expression>,
}

impl Selector {
    /// The demands of a selector.
    ///
    /// # Errors
    ///
    /// When it has an operator that Kubernetes does not know, or one that lacks its values.
    pub fn of(selector: &LabelSelector) -> Result<Self, ParseExpressionError> {
        let equal = selector.match_labels.iter().flatten();
        let equal = equal.map(|(key, value)| Ok(Expression::Equal(key.clone(), value.clone())));
        let others = selector.match_expressions.iter().flatten().cloned().map(Expression::try_from);
        Ok(Self { demands: equal.chain(others).collect::<Result<_, _>>()? })
    }

    /// Whether it demands nothing.
    pub const fn selects_all(&self) -> bool {
        self.demands.is_empty()
    }

    /// Whether it selects an object with these labels.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.demands.iter().all(|demand| demand.matches(labels))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(selector: serde_json::Value) -> Result<Selector, ParseExpressionError> {
        Selector::of(&serde_json::from_value(selector).unwrap())
    }

    #[test]
    fn a_selector_selects_as_kubernetes_does() {
        let labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
        let expression = |key: &str, operator: &str| json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": ["web"] }] });
        let table = [
            (json!({}), true),
            (json!({ "matchLabels": { "team": "web" } }), true),
            (json!({ "matchLabels": { "team": "data" } }), false),
            (expression("team", "In"), true),
            (expression("ring", "In"), false),
            (expression("team", "NotIn"), false),
            (expression("ring", "NotIn"), true),
            (json!({ "matchExpressions": [{ "key": "ring", "operator": "Exists" }] }), false),
            (json!({ "matchExpressions": [{ "key": "ring", "operator": "DoesNotExist" }] }), true),
            (
                json!({ "matchLabels": { "team": "web" }, "matchExpressions": [{ "key": "ring", "operator": "Exists" }] }),
                false,
            ),
        ];
        for (selector, selects) in table {
            assert_eq!(of(selector.clone()).unwrap().selects(&labels), selects, "{selector}");
        }
    }

    #[test]
    fn an_operator_that_kubernetes_does_not_know_is_no_selector() {
        assert!(
            of(json!({ "matchExpressions": [{ "key": "ring", "operator": "Gt", "values": ["1"] }] }))
                .is_err()
        );
        assert!(of(json!({ "matchExpressions": [{ "key": "ring", "operator": "In" }] })).is_err());
        assert!(of(json!({})).unwrap().selects_all());
    }
}
