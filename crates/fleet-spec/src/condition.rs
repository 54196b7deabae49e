//! Conditions of gates: CEL over a member's TenantCluster, as `cluster`.
//!
//! [`check`] judges an expression without any cluster: whether it is CEL, and whether it speaks of what a TenantCluster has.
//! [`Condition`] judges clusters by it. Parser, evaluator and walk recurse with the expression, and an overflow of the
//! stack would end the process. An expression is therefore bounded in its length (by the definition of the Rollout) and
//! in its brackets, and whoever judges it does so on a thread with a stack of [`STACK`], which its length cannot use up.

use std::{collections::BTreeMap, sync::LazyLock, thread};

use cel::{
    Context, Program, Value,
    common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue},
};
use fleet_api::v1alpha1::{TenantCluster, definitions};
use serde_json::{Value as Json, json};

use crate::text::{nearest, shown};

/// The stack, in bytes, of a thread on which conditions are judged. Only what is used of it takes memory.
pub const STACK: usize = 256 * 1024 * 1024;
/// The deepest nesting of brackets.
const BRACKETS: usize = 32;
/// The only name that a condition has.
const CLUSTER: &str = "cluster";
/// Names of CEL's own: its types.
const TYPES: [&str; 12] = [
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "uint",
];

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
        let program = Program::compile(expression).map_err(|errors| {
            let told: Vec<String> = errors
                .to_string()
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(shown)
                .collect();
            format!("the condition is no CEL: {}", told.join(" "))
        })?;
        Ok(Self { program })
    }

    /// Whether a cluster meets it.
    ///
    /// # Errors
    /// Why that cannot be told: it speaks of what the cluster does not have, or gives no truth.
    pub fn meets(&self, cluster: &TenantCluster) -> Result<bool, String> {
        let mut context = Context::default();
        let object = serde_json::to_value(cluster).map_err(|error| error.to_string())?;
        context.add_variable(CLUSTER, object).map_err(|error| error.to_string())?;
        match self.program.execute(&context) {
            Ok(Value::Bool(meets)) => Ok(meets),
            Ok(_) => Err(NO_TRUTH.to_owned()),
            Err(error) => Err(format!("the condition cannot be judged: {error}")),
        }
    }
}

const NO_TRUTH: &str = "the condition gives neither true nor false";

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
/// The first thing that is wrong with it: that it is no CEL, or that it names what a TenantCluster does not have.
pub fn check(expression: &str) -> Result<(), Fault> {
    let cannot = |why: String| {
        let message = format!("the condition could not be judged: {why}");
        Err(Fault { message, hint: "write it shorter, and plan again".to_owned() })
    };
    thread::scope(|scope| {
        let judge = || judge(expression);
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
    let known = of(compiled.program.expression(), &BTreeMap::new())?;
    let gives_truth = known.is_none_or(|known| known["type"].as_str().is_none_or(|type_| type_ == "boolean"));
    if gives_truth {
        return Ok(());
    }
    Err(Fault {
        message: NO_TRUTH.to_owned(),
        hint: "compare the value with something, as in `cluster.spec.version == '1.36'`".to_owned(),
    })
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

/// What a TenantCluster has, as the definition that the management cluster serves.
static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
    let definition = definitions().into_iter().find(|one| one.spec.names.kind == "TenantCluster");
    let version = definition.and_then(|one| one.spec.versions.into_iter().next());
    let schema = version.and_then(|version| serde_json::to_value(version.schema).ok()).unwrap_or_default();
    let properties = &schema["openAPIV3Schema"]["properties"];
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": text});
    json!({"type": "object", "properties": {
        "apiVersion": text,
        "kind": text,
        "metadata": {"type": "object", "properties": {
            "name": text,
            "uid": text,
            "generation": {"type": "integer"},
            "resourceVersion": text,
            "creationTimestamp": text,
            "deletionTimestamp": text,
            "labels": texts,
            "annotations": texts,
            "finalizers": {"type": "array", "items": text},
            "ownerReferences": {"type": "array"},
            "managedFields": {"type": "array"},
        }},
        "spec": properties["spec"],
        "status": properties["status"],
    }})
});

/// The variables that macros such as `all` and `exists` bring in, with what is known of them.
type Scope<'a> = BTreeMap<&'a str, Option<&'static Json>>;

/// Walks an expression, and gives the schema of its value where that is known.
fn of<'a>(node: &'a IdedExpr, scope: &Scope<'a>) -> Result<Option<&'static Json>, Fault> {
    match &node.expr {
        Expr::Unspecified => Ok(None),
        Expr::Literal(literal) => Ok(of_literal(literal)),
        Expr::Ident(name) => of_name(name, scope),
        Expr::Select(select) => {
            let Some(operand) = of(&select.operand, scope)? else { return Ok(None) };
            let known = field(operand, &select.field)?;
            // Whether there is a field is a truth, whatever the field is.
            Ok(known.filter(|_| !select.test))
        }
        Expr::Call(call) => {
            let mut known = Vec::new();
            for part in call.target.as_deref().into_iter().chain(&call.args) {
                known.push(of(part, scope)?);
            }
            match (call.func_name.as_str(), call.args.as_slice(), known.as_slice()) {
                ("_[_]", [_, key], [Some(known), _]) => element(known, key),
                _ => Ok(None),
            }
        }
        Expr::List(list) => {
            list.elements.iter().try_for_each(|one| of(one, scope).map(drop))?;
            Ok(None)
        }
        Expr::Map(map) => {
            map.entries.iter().try_for_each(|entry| of_entry(&entry.expr, scope))?;
            Ok(None)
        }
        Expr::Struct(one) => {
            one.entries.iter().try_for_each(|entry| of_entry(&entry.expr, scope))?;
            Ok(None)
        }
        Expr::Comprehension(all) => {
            let range = of(&all.iter_range, scope)?;
            let item = range.filter(|_| all.iter_var2.is_none()).and_then(|range| range.get("items"));
            of(&all.accu_init, scope)?;
            let mut inner = scope.clone();
            inner.insert(&all.iter_var, item);
            inner.insert(&all.accu_var, None);
            if let Some(second) = &all.iter_var2 {
                inner.insert(second, None);
            }
            for part in [&all.loop_cond, &all.loop_step, &all.result] {
                of(part, &inner)?;
            }
            Ok(None)
        }
    }
}

fn of_entry<'a>(entry: &'a EntryExpr, scope: &Scope<'a>) -> Result<(), Fault> {
    match entry {
        EntryExpr::StructField(field) => of(&field.value, scope).map(drop),
        EntryExpr::MapEntry(entry) => {
            of(&entry.key, scope)?;
            of(&entry.value, scope).map(drop)
        }
    }
}

fn of_literal(literal: &LiteralValue) -> Option<&'static Json> {
    static SOMETHING: LazyLock<Json> = LazyLock::new(|| json!({"type": "literal"}));
    (!matches!(literal, LiteralValue::Boolean(_))).then(|| &*SOMETHING)
}

fn of_name<'a>(name: &str, scope: &Scope<'a>) -> Result<Option<&'static Json>, Fault> {
    if let Some(known) = scope.get(name) {
        return Ok(*known);
    }
    if name == CLUSTER {
        return Ok(Some(&SCHEMA));
    }
    if TYPES.contains(&name) {
        return Ok(None);
    }
    Err(Fault {
        message: format!("the condition names `{}`, and has `{CLUSTER}` alone", shown(name)),
        hint: format!("write `{CLUSTER}.spec`, `{CLUSTER}.status` or `{CLUSTER}.metadata`"),
    })
}

/// The schema of a field. Where any field may stand, or where nothing is known, nothing is wrong.
fn field(of: &'static Json, name: &str) -> Result<Option<&'static Json>, Fault> {
    if let Some(found) = of["properties"].get(name) {
        return Ok(Some(found));
    }
    if let Some(any) = of.get("additionalProperties").filter(|any| any.is_object()) {
        return Ok(Some(any));
    }
    let open = of["x-kubernetes-preserve-unknown-fields"] == true || of["additionalProperties"] == true;
    match of["type"].as_str() {
        None => Ok(None),
        Some("object") if open || of.get("properties").is_none() => Ok(None),
        Some("object") => {
            let names: Vec<&str> =
                of["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            let hint = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? The fields are {}", names.join(", ")),
                None => format!("name one of {}", names.join(", ")),
            };
            Err(Fault { message: format!("a TenantCluster has no field `{}` there", shown(name)), hint })
        }
        Some(_) => Err(Fault {
            message: format!("the condition asks a value without fields for its field `{}`", shown(name)),
            hint: "`fleet explain tenantcluster` shows what has fields".to_owned(),
        }),
    }
}

/// The schema of an element, by index or by key.
fn element(of: &'static Json, key: &IdedExpr) -> Result<Option<&'static Json>, Fault> {
    match (&key.expr, of["type"].as_str()) {
        (_, Some("array")) => Ok(of.get("items")),
        (Expr::Literal(LiteralValue::String(name)), Some("object")) => field(of, name.inner()),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
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
        ];
        for (expression, why) in table {
            let fault = check(expression).unwrap_err();
            assert!(fault.message.contains(why) && !fault.hint.is_empty(), "{expression}: {fault:?}");
        }
        let near = check("cluster.status.basline.objects > 0").unwrap_err();
        assert!(near.hint.starts_with("did you mean `baseline`?"), "{near:?}");
    }

    #[test]
    fn what_a_cluster_may_have_is_left_to_the_cluster() {
        for expression in [
            "cluster.metadata.annotations['example.com/checked'] == 'yes'",
            "cluster.spec.version in ['1.35', '1.36']",
            "cluster.status.versions.nodes.map(n, n.version).all(v, v == '1.36')",
            "cluster.status.conditions.filter(c, c.type == 'Ready').size() == 1",
            "type(cluster.spec.version) == string",
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
