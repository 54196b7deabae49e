//! What can be told of an expression without evaluating it: which fields it names, and of which kind its values are.

use std::{collections::BTreeMap, sync::LazyLock};

use cel::{
    Context, ExecutionError, Program,
    common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue},
};
use fleet_api::v1alpha1::definitions;
use serde_json::{Value as Json, json};

use super::{CLUSTER, COMPARE, Fault};
use crate::text::{nearest, shown};

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

/// The functions that people look for most.
const FUNCTIONS: [&str; 8] =
    ["contains", "double", "endsWith", "int", "size", "startsWith", "string", "type"];
/// The kind of what a condition has to give.
pub(super) const TRUTH: &str = "a truth";

/// What a TenantCluster has, as the definition that the management cluster serves.
pub(super) static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
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
pub(super) type Scope<'a> = BTreeMap<&'a str, Option<&'static Json>>;

/// Walks an expression, and gives the schema of its value where that is known.
pub(super) fn of<'a>(node: &'a IdedExpr, scope: &Scope<'a>) -> Result<Option<&'static Json>, Fault> {
    match &node.expr {
        Expr::Unspecified => Ok(None),
        Expr::Literal(literal) => Ok(of_literal(literal)),
        Expr::Ident(name) => of_name(name, scope),
        Expr::Select(select) => {
            let operand = of(&select.operand, scope)?;
            let known = operand.map(|operand| field(operand, &select.field)).transpose()?.flatten();
            // Whether there is a field is a truth, whatever the field is.
            Ok(if select.test { some("boolean") } else { known })
        }
        Expr::Call(call) => of_call(call, scope),
        Expr::List(list) => {
            list.elements.iter().try_for_each(|one| of(one, scope).map(drop))?;
            Ok(some("array"))
        }
        Expr::Map(map) => {
            map.entries.iter().try_for_each(|entry| of_entry(&entry.expr, scope))?;
            Ok(some("object"))
        }
        Expr::Struct(one) => {
            one.entries.iter().try_for_each(|entry| of_entry(&entry.expr, scope))?;
            Ok(None)
        }
        Expr::Comprehension(all) => {
            let range = of(&all.iter_range, scope)?;
            let item = range.filter(|_| all.iter_var2.is_none()).and_then(|range| range.get("items"));
            let gathered = of(&all.accu_init, scope)?;
            let mut inner = scope.clone();
            inner.insert(&all.iter_var, item);
            inner.insert(&all.accu_var, gathered);
            if let Some(second) = &all.iter_var2 {
                inner.insert(second, None);
            }
            for part in [&all.loop_cond, &all.loop_step] {
                of(part, &inner)?;
            }
            of(&all.result, &inner)
        }
    }
}

/// What a call gives. Operators are calls of functions with names of their own.
fn of_call<'a>(call: &'a CallExpr, scope: &Scope<'a>) -> Result<Option<&'static Json>, Fault> {
    let mut known = Vec::new();
    for part in call.target.as_deref().into_iter().chain(&call.args) {
        known.push(of(part, scope)?);
    }
    match (call.func_name.as_str(), known.as_slice()) {
        ("_[_]", [Some(operand), _]) => call.args.get(1).map_or(Ok(None), |key| element(operand, key)),
        ("!_" | "_&&_" | "_||_", parts) => {
            parts.iter().try_for_each(|part| truth(*part))?;
            Ok(some("boolean"))
        }
        ("_?_:_", [asked, yes, no]) => {
            truth(*asked)?;
            alike(*yes, *no)?;
            Ok(yes.or(*no))
        }
        ("_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_", [left, right]) => {
            alike(*left, *right)?;
            Ok(some("boolean"))
        }
        ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [left, right]) => {
            alike(*left, *right)?;
            Ok(left.or(*right))
        }
        ("@in", [wanted, _]) => {
            if let Some(Expr::List(list)) = call.args.get(1).map(|list| &list.expr) {
                for one in &list.elements {
                    alike(*wanted, of(one, scope)?)?;
                }
            }
            Ok(some("boolean"))
        }
        (name, parts) if name.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            if !is_function(name, call.target.is_some()) {
                return Err(unknown_function(name));
            }
            Ok(match (name, parts.len()) {
                ("size" | "int" | "uint", _) => some("integer"),
                ("double", _) => some("number"),
                ("string", _) => some("string"),
                ("bool" | "startsWith" | "endsWith" | "contains" | "hasValue", _) => some("boolean"),
                _ => None,
            })
        }
        _ => Ok(None),
    }
}

/// Whether there is a function of a name. The evaluator is asked, as it alone knows what it was built with.
fn is_function(name: &str, of_value: bool) -> bool {
    let call = if of_value { format!("''.{name}()") } else { format!("{name}()") };
    let answer = Program::compile(&call).map(|program| program.execute(&Context::default()));
    !matches!(answer, Ok(Err(ExecutionError::UndeclaredReference(_))))
}

fn unknown_function(name: &str) -> Fault {
    let hint = match nearest(name, FUNCTIONS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the functions are {}", FUNCTIONS.join(", ")),
    };
    Fault { message: format!("there is no function `{}` in a condition", shown(name)), hint }
}

/// A schema of which nothing but the type is known.
fn some(type_: &str) -> Option<&'static Json> {
    static ALL: LazyLock<BTreeMap<&str, Json>> = LazyLock::new(|| {
        let types = ["boolean", "integer", "number", "string", "array", "object", "bytes"];
        types.into_iter().map(|type_| (type_, json!({"type": type_}))).collect()
    });
    ALL.get(type_)
}

/// The kind of a value, where it is known. Null is of every kind.
pub(super) fn kind(known: Option<&'static Json>) -> Option<&'static str> {
    match known?["type"].as_str()? {
        "boolean" => Some(TRUTH),
        "integer" | "number" => Some("a number"),
        "string" => Some("a text"),
        "array" => Some("a list"),
        "object" => Some("an object"),
        "bytes" => Some("bytes"),
        _ => None,
    }
}

/// Values of different kinds are never equal and cannot be added, and the evaluator says so only of some.
fn alike(left: Option<&'static Json>, right: Option<&'static Json>) -> Result<(), Fault> {
    match kind(left).zip(kind(right)) {
        Some((left, right)) if left != right => Err(Fault {
            message: format!("the condition holds {left} against {right}"),
            hint: "compare values of one kind: a minor is a text, such as `'1.36'`".to_owned(),
        }),
        _ => Ok(()),
    }
}

fn truth(known: Option<&'static Json>) -> Result<(), Fault> {
    match kind(known) {
        Some(kind) if kind != TRUTH => Err(Fault {
            message: format!("the condition has {kind} where only true or false can stand"),
            hint: COMPARE.to_owned(),
        }),
        _ => Ok(()),
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
    some(match literal {
        LiteralValue::Boolean(_) => "boolean",
        LiteralValue::Int(_) | LiteralValue::UInt(_) => "integer",
        LiteralValue::Double(_) => "number",
        LiteralValue::String(_) => "string",
        LiteralValue::Bytes(_) => "bytes",
        LiteralValue::Null => return None,
    })
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
