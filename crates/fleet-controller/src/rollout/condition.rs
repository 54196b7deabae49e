//! Conditions of gates: CEL over a member's TenantCluster, as `cluster`.
//!
//! The parser and the evaluator recurse with the expression, and an overflow of the stack would end the process. An
//! expression is therefore bounded in its length (by the definition of the Rollout) and in its brackets, and judged on a
//! thread with a stack that its length cannot use up.

use std::io;

use cel::{Context, Program, Value};
use fleet_api::v1alpha1::TenantCluster;

/// The deepest nesting of brackets.
const BRACKETS: usize = 32;
/// The stack of the thread on which conditions are judged. Only what is used of it takes memory.
const STACK: usize = 256 * 1024 * 1024;

/// Runs something that judges conditions on a thread of its own.
///
/// # Errors
/// No thread can be had, or it ended in a fault.
pub(super) async fn on_deep_stack<T: Send + 'static>(
    judge: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (told, answer) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("conditions".to_owned()).stack_size(STACK).spawn(move || {
        // Nobody waits any more when the controller has ended.
        drop(told.send(judge()));
    })?;
    answer.await.map_err(io::Error::other)
}

/// How deep the brackets of an expression nest, those inside texts included.
fn nesting(expression: &str) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for character in expression.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Whether a cluster meets a condition. `Err` says why that cannot be told: the expression is none, or it speaks of what
/// the cluster does not have.
pub(super) fn meets(expression: &str, cluster: &TenantCluster) -> Result<bool, String> {
    if nesting(expression) > BRACKETS {
        return Err(format!("the condition nests its brackets deeper than {BRACKETS}"));
    }
    let program =
        Program::compile(expression).map_err(|error| format!("the condition is no CEL: {error}"))?;
    let mut context = Context::default();
    let object = serde_json::to_value(cluster).map_err(|error| error.to_string())?;
    context.add_variable("cluster", object).map_err(|error| error.to_string())?;
    match program.execute(&context) {
        Ok(Value::Bool(meets)) => Ok(meets),
        Ok(_) => Err("the condition gives neither true nor false".to_owned()),
        Err(error) => Err(format!("the condition cannot be judged: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster() -> TenantCluster {
        serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "TenantCluster",
            "metadata": { "name": "acme", "labels": { "ring": "canary" } },
            "spec": {
                "tenant": "acme", "tenantUid": "u", "owner": { "team": "t", "contact": "t@acme.example" }, "class": "eks",
                "clusterName": "acme-1", "version": "1.35", "hardening": { "baseline": "standard", "namespaces": ["acme"] },
            },
            "status": {
                "conditions": [{ "type": "Ready", "status": "True", "reason": "AsWanted", "message": "",
                                 "lastTransitionTime": "2026-11-24T12:00:00Z" }],
                "baseline": { "objects": 40, "repairs": 2 },
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_condition_reads_the_object_as_the_management_cluster_has_it() {
        let table = [
            ("cluster.metadata.labels.ring == 'canary'", true),
            ("cluster.spec.version == '1.36'", false),
            ("cluster.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')", true),
            ("cluster.status.baseline.repairs < 10", true),
            ("!has(cluster.status.deletion)", true),
            ("cluster.spec.hardening.namespaces.all(n, n.startsWith('acme'))", true),
        ];
        for (expression, meets_it) in table {
            assert_eq!(meets(expression, &cluster()), Ok(meets_it), "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_no_answer() {
        for expression in
            ["cluster.", "cluster.spec.nothing == 1", "cluster.spec.version", "tenant.spec", "1 + 1"]
        {
            assert!(meets(expression, &cluster()).is_err(), "{expression}");
        }
        let deep = format!("{}true{}", "(".repeat(1000), ")".repeat(1000));
        assert!(meets(&deep, &cluster()).unwrap_err().contains("deeper"));
    }

    #[tokio::test]
    async fn an_expression_as_long_as_may_be_does_not_use_up_the_stack() {
        let long = [
            format!("{}true", "!".repeat(2040)),
            format!("1{} > 0", "+1".repeat(1020)),
            format!("cluster{}", ".a".repeat(1020)),
            format!("true{}", "?true:true".repeat(204)),
            format!("{}1 < 0", "-".repeat(2040)),
        ];
        for expression in long {
            let cluster = cluster();
            // Whatever the answer is, there is one.
            on_deep_stack(move || meets(&expression, &cluster).is_ok()).await.unwrap();
        }
    }
}
