//! Conditions of gates: CEL over a member's TenantCluster, as `cluster`.
//!
//! [`check`] judges an expression without any cluster: whether it is CEL, whether it speaks of what a TenantCluster has,
//! and whether it can be answered with true. [`check_on`] tries it on clusters as they are. [`Condition`] judges clusters
//! by it. Parser, evaluator and walk recurse with the expression, and an overflow of the
//! stack would end the process. An expression is therefore bounded in its length (by the definition of the Rollout) and
//! in its brackets, and whoever judges it does so on a thread with a stack of [`STACK`], which its length cannot use up.

mod sample;
mod walk;

use std::{collections::BTreeMap, thread};

use cel::{Context, ExecutionError, ParseErrors, Program, Value};
use fleet_api::v1alpha1::TenantCluster;

use self::sample::Signed;
use crate::text::shown;

/// The stack, in bytes, of a thread on which conditions are judged. Only what is used of it takes memory.
pub const STACK: usize = 256 * 1024 * 1024;
/// The deepest nesting of brackets.
const BRACKETS: usize = 32;
/// The only name that a condition has.
const CLUSTER: &str = "cluster";
/// A condition that was compiled.
#[derive(Debug)]
pub struct Condition {
    program: Program,
}

impl Condition {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Why it is none.
    pub fn compile(expression: &str) -> Result<Self, String> {
        if nesting(expression) > BRACKETS {
            return Err(format!("the condition nests its brackets deeper than {BRACKETS}"));
        }
        let program = Program::compile(expression).map_err(|errors| no_cel(&errors))?;
        Ok(Self { program })
    }

    /// Whether a cluster meets it.
    ///
    /// # Errors
    /// Why that cannot be told: it speaks of what the cluster does not have, or gives no truth.
    pub fn meets(&self, cluster: &TenantCluster) -> Result<bool, String> {
        let object = serde_json::to_value(cluster).map_err(|error| error.to_string())?;
        match self.answer(&object)? {
            Ok(Value::Bool(meets)) => Ok(meets),
            Ok(_) => Err(NO_TRUTH.to_owned()),
            Err(error) => Err(format!("the condition cannot be judged: {error}")),
        }
    }

    /// What the expression gives for an object.
    fn answer(&self, object: &serde_json::Value) -> Result<Result<Value, ExecutionError>, String> {
        let mut context = Context::default();
        context.add_variable(CLUSTER, Signed(object)).map_err(|error| error.to_string())?;
        Ok(self.program.execute(&context))
    }

    /// What keeps an object from being judged whatever its data say: what is missing in it may come.
    fn misuse(&self, object: &serde_json::Value) -> Option<String> {
        match self.answer(object) {
            Ok(Ok(Value::Bool(_))) | Err(_) => None,
            Ok(Ok(other)) => Some(format!("gives {}, which is neither true nor false", said(&other))),
            Ok(Err(error)) => {
                depends_on_kinds(&error).then(|| format!("cannot be judged: {}", shown(&error.to_string())))
            }
        }
    }
}

const NO_TRUTH: &str = "the condition gives neither true nor false";
const COMPARE: &str = "compare the value with something, as in `cluster.spec.version == '1.36'`";

/// The first error of the parser, with its place inside the expression and without the list of what might have followed.
fn no_cel(errors: &ParseErrors) -> String {
    let Some(first) = errors.errors.first() else { return "the condition is no CEL".to_owned() };
    let message = first.msg.lines().next().unwrap_or_default();
    let message = message.split(" expecting ").next().unwrap_or_default();
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message).replace("'<EOF>'", "the end");
    let (line, column) = first.pos;
    let at = if line > 1 { format!("line {line}, column {column}") } else { format!("column {column}") };
    format!("the condition is no CEL: {} at {at}", shown(&message))
}

/// A value that should have been a truth.
fn said(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::String(text) => format!("the text `{}`", shown(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "an object".to_owned(),
        Value::Null => "null".to_owned(),
        _ => "something else".to_owned(),
    }
}

/// Whether an error comes from what the expression does with values of such kinds, and not from what the values are.
const fn depends_on_kinds(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::InvalidArgumentCount { .. }
            | ExecutionError::UnsupportedTargetType { .. }
            | ExecutionError::NotSupportedAsMethod { .. }
            | ExecutionError::UnsupportedKeyType(_)
            | ExecutionError::UnexpectedType { .. }
            | ExecutionError::NoSuchOverload(_)
            | ExecutionError::UndeclaredReference(_)
            | ExecutionError::MissingArgumentOrTarget
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::UnsupportedBinaryOperator(..)
            | ExecutionError::UnsupportedIndex(..)
    )
}

/// What is wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it is, without full stop.
    pub message: String,
    /// What to do, as one imperative.
    pub hint: String,
}

/// Judges an expression by itself, on a thread of its own.
///
/// # Errors
/// The first thing that is wrong with it: that it is no CEL, that it names what a TenantCluster does not have, or that no
/// cluster whatever can meet it.
pub fn check(expression: &str) -> Result<(), Fault> {
    on_own_stack(|| judge(expression))
}

/// Tries an expression on clusters as they are, on a thread of its own. What a cluster does not have is no fault: it may
/// have it by the time at which the gate can open.
///
/// # Errors
/// What it gives for the first cluster that it cannot judge, when that is no matter of the cluster's data.
pub fn check_on<'a>(
    expression: &str,
    clusters: impl Iterator<Item = &'a TenantCluster> + Send,
) -> Result<(), Fault> {
    on_own_stack(move || {
        let Ok(compiled) = Condition::compile(expression) else { return Ok(()) };
        for cluster in clusters {
            let Ok(object) = serde_json::to_value(cluster) else { continue };
            if let Some(why) = compiled.misuse(&object) {
                let message =
                    format!("the condition {why}, for the cluster of {}", shown(&cluster.spec.tenant));
                return Err(Fault { message, hint: COMPARE.to_owned() });
            }
        }
        Ok(())
    })
}

fn on_own_stack(judge: impl FnOnce() -> Result<(), Fault> + Send) -> Result<(), Fault> {
    let cannot = |why: String| {
        let message = format!("the condition could not be judged: {why}");
        Err(Fault { message, hint: "write it shorter, and plan again".to_owned() })
    };
    thread::scope(|scope| {
        match thread::Builder::new().name("condition".to_owned()).stack_size(STACK).spawn_scoped(scope, judge)
        {
            Ok(judged) => judged.join().unwrap_or_else(|_| cannot("it ended in a fault".to_owned())),
            Err(error) => cannot(error.to_string()),
        }
    })
}

fn judge(expression: &str) -> Result<(), Fault> {
    let compiled = Condition::compile(expression).map_err(|message| Fault {
        message,
        hint: "write it as a CEL expression, such as `cluster.status.baseline.probes.fail == 0`".to_owned(),
    })?;
    let known = walk::of(compiled.program.expression(), &BTreeMap::new())?;
    let compare = |message: String| Err(Fault { message, hint: COMPARE.to_owned() });
    if walk::kind(known).is_some_and(|kind| kind != walk::TRUTH) {
        return compare(NO_TRUTH.to_owned());
    }
    // What is false without any cluster is false for each.
    if compiled.program.execute(&Context::default()) == Ok(Value::Bool(false)) {
        let message = "the condition is always false, so that its gate would never open".to_owned();
        let hint = "ask something of the cluster, or take the gate away".to_owned();
        return Err(Fault { message, hint });
    }
    match compiled.misuse(&sample::CLUSTER) {
        Some(why) => compare(format!("the condition {why}")),
        None => Ok(()),
    }
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

    fn meets(expression: &str) -> Result<bool, String> {
        Condition::compile(expression)?.meets(&cluster())
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
            ("cluster.status.baseline.repairs + 1 == 3", true),
        ];
        for (expression, meets_it) in table {
            assert_eq!(meets(expression), Ok(meets_it), "{expression}");
            assert_eq!(check(expression), Ok(()), "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_no_answer() {
        for expression in
            ["cluster.", "cluster.spec.nothing == 1", "cluster.spec.version", "tenant.spec", "1 + 1"]
        {
            assert!(meets(expression).is_err(), "{expression}");
        }
        let deep = format!("{}true{}", "(".repeat(1000), ")".repeat(1000));
        assert!(meets(&deep).unwrap_err().contains("deeper"));
        assert!(check(&deep).unwrap_err().message.contains("deeper"));
    }

    #[test]
    fn what_a_cluster_cannot_have_is_found_without_a_cluster() {
        let table = [
            ("cluster.status.baseline.probes.fail =", "no CEL"),
            ("tenant.spec.version == '1.36'", "names `tenant`"),
            ("cluster.status.basline.objects > 0", "no field `basline`"),
            ("has(cluster.spec.nothing)", "no field `nothing`"),
            ("cluster['status'].versions.controlplane == '1.36'", "no field `controlplane`"),
            ("cluster.status.conditions.exists(c, c.kind == 'Ready')", "no field `kind`"),
            ("cluster.status.conditions[0].state == 'True'", "no field `state`"),
            ("cluster.spec.clusterName.length > 3", "without fields"),
            ("[cluster.status.baseline.objects, other].size() > 1", "names `other`"),
            ("cluster.spec.paused ? ready : true", "names `ready`"),
            ("cluster.spec.version", "neither true nor false"),
            ("'yes'", "neither true nor false"),
            ("1 + 1", "neither true nor false"),
            ("size(cluster.status.conditions)", "neither true nor false"),
            ("'a' + 'b'", "neither true nor false"),
            ("[true]", "neither true nor false"),
            ("cluster.spec.paused ? 1 : 2", "neither true nor false"),
            ("type(cluster.spec.version)", "neither true nor false"),
            ("nosuchfunc(cluster)", "no function `nosuchfunc`"),
            ("cluster.spec.version.startWith('1.3')", "no function `startWith`"),
            ("cluster.spec.version == 1.36", "a text against a number"),
            ("cluster.spec.version in ['1.36', 1.37]", "a text against a number"),
            ("cluster.status.baseline.repairs < '10'", "a number against a text"),
            ("cluster.status.baseline.repairs && true", "where only true or false can stand"),
            ("cluster.status.conditions.all(c, c.status)", "where only true or false can stand"),
            ("cluster.spec.paused + true", "cannot be judged"),
            ("size(cluster.spec.paused) == 1", "cannot be judged"),
            ("false", "always false"),
            ("1 == 2", "always false"),
            ("cluster.spec.paused && false", "always false"),
        ];
        for (expression, why) in table {
            let fault = check(expression).unwrap_err();
            assert!(fault.message.contains(why) && !fault.hint.is_empty(), "{expression}: {fault:?}");
        }
        let near = check("cluster.status.basline.objects > 0").unwrap_err();
        assert!(near.hint.starts_with("did you mean `baseline`?"), "{near:?}");
        let near = check("cluster.spec.version.startWith('1.3')").unwrap_err();
        assert_eq!(near.hint, "did you mean `startsWith`?");
    }

    #[test]
    fn an_expression_that_does_not_parse_is_told_where_without_what_might_have_followed() {
        let told = |expression: &str| check(expression).unwrap_err().message;
        assert_eq!(
            told("cluster.spec.version =="),
            "the condition is no CEL: mismatched input the end at column 24"
        );
        assert!(told("true &&\n )").ends_with("at line 2, column 2"), "{}", told("true &&\n )"));
    }

    #[test]
    fn a_condition_is_tried_on_clusters_and_missing_data_are_no_fault() {
        let clusters = [cluster()];
        let tried = |expression: &str| check_on(expression, clusters.iter());
        assert_eq!(tried("cluster.status.baseline.probes.fail == 0"), Ok(()));
        assert_eq!(tried("cluster.metadata.annotations['checked'] == 'yes'"), Ok(()));
        assert_eq!(tried("cluster.status.conditions[7].status == 'True'"), Ok(()));
        // Nothing is known of what labels hold before a cluster is there to look at.
        let fault = tried("dyn(cluster.metadata.labels.ring)").unwrap_err();
        assert_eq!(
            fault.message,
            "the condition gives the text `canary`, which is neither true nor false, for the cluster of acme"
        );
    }

    #[test]
    fn what_a_cluster_may_have_is_left_to_the_cluster() {
        for expression in [
            "cluster.metadata.annotations['example.com/checked'] == 'yes'",
            "cluster.spec.version in ['1.35', '1.36']",
            "cluster.status.versions.nodes.map(n, n.version).all(v, v == '1.36')",
            "cluster.status.conditions.filter(c, c.type == 'Ready').size() == 1",
            "type(cluster.spec.version) == string",
            "cluster.status.conditions.exists_one(c, c.type == 'Ready')",
            "int(cluster.spec.version) > 35",
            "cluster.metadata.labels.ring == 'canary' ? true : cluster.status.baseline.objects > 3",
            "cluster.status.baseline.objects / cluster.status.baseline.repairs > 2",
            "cluster.spec.paused",
            "true",
        ] {
            assert_eq!(check(expression), Ok(()), "{expression}");
        }
    }

    #[test]
    fn an_expression_as_long_as_may_be_does_not_use_up_the_stack() {
        let long = [
            format!("{}true", "!".repeat(2040)),
            format!("1{} > 0", "+1".repeat(1020)),
            format!("cluster{}", ".a".repeat(1020)),
            format!("true{}", "?true:true".repeat(204)),
            format!("{}1 < 0", "-".repeat(2040)),
        ];
        for expression in long {
            // Whatever the answer is, there is one.
            let _ = check(&expression);
        }
    }
}
