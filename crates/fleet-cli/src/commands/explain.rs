//! `fleet explain FIELD|CONTROL|CODE`: the manual, complete without a network.

use fleet_api::v1alpha1::definitions;
use fleet_render::{Catalogue, Control, Reach};
use fleet_spec::nearest;
use serde_json::Value;

use crate::{
    error::{CliError, Exit, Result},
    printer::{Tone, table, toned},
    session::Session,
    spec,
};

/// The width of running text.
const WIDTH: usize = 96;

pub(crate) fn run(session: &Session, subject: Option<&str>) -> Result<Exit> {
    let catalogue = spec::catalogue()?;
    let text = match subject {
        None => overview(&catalogue),
        Some(subject) => explain(subject, &catalogue, &kinds())?,
    };
    session.printer.data(&text)?;
    Ok(Exit::Done)
}

fn overview(catalogue: &Catalogue) -> String {
    let kinds = kinds()
        .into_iter()
        .map(|(kind, schema)| vec![kind.to_lowercase(), first_sentence(&describe(&schema))]);
    let controls = catalogue.controls().iter().map(|control| vec![control.id.clone(), control.title.clone()]);
    format!(
        "{}\n\n{}\n\nAsk for a field such as `fleet explain tenant.spec.maintenance`, a control such as `fleet explain NET-1`,\nor the code of a finding or report, such as `fleet explain window-too-short`.",
        table(&["kind", "what"], kinds.collect()),
        table(&["control", "what"], controls.collect()),
    )
}

fn explain(subject: &str, catalogue: &Catalogue, kinds: &[(String, Value)]) -> Result<String> {
    let id = subject.to_uppercase();
    if let Some(control) = catalogue.control(&id) {
        return Ok(explain_control(control));
    }
    if let Some(code) = fleet_spec::Code::ALL.iter().find(|code| code.as_str() == subject) {
        return Ok(format!(
            "{} (finding)\n\n{}",
            toned(code.as_str(), Tone::Strong),
            wrapped(&code.explanation(), 0)
        ));
    }
    if let Some(code) =
        fleet_plan::report::Code::ALL.iter().find(|code| code.as_str().eq_ignore_ascii_case(subject))
    {
        return Ok(format!(
            "{} (report)\n\n{}",
            toned(code.as_str(), Tone::Strong),
            wrapped(code.meaning(), 0)
        ));
    }
    let mut parts = subject.split('.').filter(|part| !part.is_empty());
    let kind_name = parts.next().unwrap_or_default();
    let kind = kinds.iter().find(|(kind, _)| {
        let singular = kind.to_lowercase();
        let typed = kind_name.to_lowercase();
        typed == singular
            || singular.strip_prefix("tenant").is_some_and(|short| !short.is_empty() && short == typed)
    });
    let Some((kind, schema)) = kind else {
        return Err(unknown(subject, kind_name, kinds, catalogue));
    };
    let mut here = schema;
    let mut path: Vec<&str> = Vec::new();
    let mut required = false;
    for part in parts {
        let name = part.split('[').next().unwrap_or(part);
        let object = items_of(here);
        let Some(below) = object["properties"].get(name) else {
            let known: Vec<&str> = object["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.as_str())
                .collect();
            let within = if path.is_empty() { kind.clone() } else { format!("`{}`", path.join(".")) };
            let error = CliError::usage(format!("{within} has no field `{name}`"));
            return Err(match nearest(name, known.iter().copied()) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None if known.is_empty() => error.hint("it has no fields of its own"),
                None => error.hint(format!("it has {}", known.join(", "))),
            });
        };
        required = is_required(object, name);
        path.push(name);
        here = below;
    }
    Ok(explain_field(kind, &path, here, required))
}

fn unknown(subject: &str, kind: &str, kinds: &[(String, Value)], catalogue: &Catalogue) -> CliError {
    let mut names: Vec<String> = kinds.iter().map(|(kind, _)| kind.to_lowercase()).collect();
    names.extend(catalogue.controls().iter().map(|control| control.id.clone()));
    names.extend(fleet_spec::Code::ALL.iter().map(|code| code.as_str().to_owned()));
    names.extend(fleet_plan::report::Code::ALL.iter().map(|code| code.as_str().to_owned()));
    let error = CliError::usage(format!("there is nothing called `{subject}`"));
    match nearest(kind, names.iter().map(String::as_str)) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint("list what there is with `fleet explain`"),
    }
}

/// The kinds with their schemas, in the order in which a reader meets them.
fn kinds() -> Vec<(String, Value)> {
    definitions()
        .into_iter()
        .map(|definition| {
            let version = definition.spec.versions.first();
            let schema =
                version.and_then(|version| serde_json::to_value(&version.schema).ok()).unwrap_or_default();
            (definition.spec.names.kind, schema["openAPIV3Schema"].clone())
        })
        .collect()
}

fn explain_field(kind: &str, path: &[&str], schema: &Value, required: bool) -> String {
    let mut lines = vec![format!("{}   {kind} ({})", toned("KIND", Tone::Faint), fleet_api::API_VERSION)];
    if !path.is_empty() {
        let mark = if required { ", required" } else { "" };
        lines.push(format!(
            "{}  {} <{}{mark}>",
            toned("FIELD", Tone::Faint),
            toned(path.join("."), Tone::Strong),
            type_of(schema)
        ));
    }
    let description = describe(schema);
    if !description.is_empty() {
        lines.push(format!("\n{}", wrapped(&description, 0)));
    }
    let bounds = bounds(schema);
    if !bounds.is_empty() {
        lines.push(format!("\n{bounds}"));
    }
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        if let Some(message) = rule["message"].as_str() {
            lines.push(format!("\n{} {message}", toned("RULE", Tone::Faint)));
        }
    }
    let object = items_of(schema);
    let fields = object["properties"].as_object();
    if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
        lines.push(format!("\n{}", toned("FIELDS", Tone::Faint)));
        for (name, below) in fields {
            let mark = if is_required(object, name) { ", required" } else { "" };
            lines.push(format!("  {} <{}{mark}>", toned(name, Tone::Strong), type_of(below)));
            let sentence = first_sentence(&describe(below));
            if !sentence.is_empty() {
                lines.push(wrapped(&sentence, 4));
            }
        }
    }
    lines.join("\n")
}

fn explain_control(control: &Control) -> String {
    let Control {
        id,
        title,
        demands,
        maps,
        tightened_by,
        reach,
        waivable,
        not_applicable,
        templates,
        probes: _,
    } = control;
    let mut lines = vec![format!("{}  {title}", toned(id, Tone::Strong)), String::new(), wrapped(demands, 0)];
    let mut part = |name: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("\n{}\n{text}", toned(name, Tone::Faint)));
        }
    };
    part("ANSWERS", wrapped(&maps.texts().join(", "), 2));
    for (profile, text) in tightened_by {
        part(&format!("WITH {}", profile.to_uppercase()), wrapped(text, 2));
    }
    let waiver = match (waivable, reach) {
        (false, _) => "It cannot be waived: every other control stands on it.",
        (true, Reach::Namespaces) => {
            "A ControlException can waive it for single namespaces, or for the whole tenant."
        }
        (true, Reach::Cluster) => "A ControlException can waive it for the whole tenant alone.",
    };
    part("WAIVER", wrapped(waiver, 2));
    for none in not_applicable {
        part("DOES NOT APPLY", wrapped(&none.why, 2));
    }
    let phases: Vec<String> =
        templates.iter().map(|template| format!("{} ({})", template.file, template.phase.as_str())).collect();
    part("OBJECTS", wrapped(&phases.join(", "), 2));
    lines.join("\n")
}

/// The schema of what a list holds, or of the value itself.
fn items_of(schema: &Value) -> &Value {
    match schema.get("items") {
        Some(items) => items,
        None => schema,
    }
}

fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().into_iter().flatten().any(|required| required == name)
}

fn describe(schema: &Value) -> String {
    // The generated text of a Quantity is the whole grammar of Kubernetes.
    if schema["x-kubernetes-int-or-string"] == true {
        let text = schema["description"].as_str().unwrap_or_default();
        return text.split("\n\nThe serialization format is").next().unwrap_or(text).to_owned();
    }
    schema["description"].as_str().unwrap_or_default().to_owned()
}

fn first_sentence(text: &str) -> String {
    let text = text.replace('\n', " ");
    match text.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => text,
    }
}

fn type_of(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "quantity".to_owned();
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map of {}", type_of(&schema["additionalProperties"]))
        }
        Some("object") => "object".to_owned(),
        Some("string") if schema["enum"].is_array() => {
            let choices: Vec<&str> =
                schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            choices.join("|")
        }
        Some("string") => "text".to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some("number") => "number".to_owned(),
        Some("boolean") => "true|false".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

/// Example, default and bounds, one line each.
fn bounds(schema: &Value) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: &Value| {
        let text = match value {
            Value::Null => return,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines.push(format!("{} {text}", toned(name, Tone::Faint)));
    };
    line("EXAMPLE", &schema["example"]);
    line("DEFAULT", &schema["default"]);
    for (least, most, noun) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ] {
        let text = match (schema[least].as_f64(), schema[most].as_f64()) {
            (Some(least), Some(most)) => format!("{least} to {most}{noun}"),
            (Some(least), None) => format!("at least {least}{noun}"),
            (None, Some(most)) => format!("at most {most}{noun}"),
            (None, None) => continue,
        };
        line("BOUNDS", &Value::String(text));
    }
    lines.join("\n")
}

/// Running text in lines of a width, each behind an indent.
fn wrapped(text: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.trim().split("\n\n") {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let mut line = margin.clone();
        for word in paragraph.split_whitespace() {
            if line.len() > indent && line.chars().count() + 1 + word.chars().count() > WIDTH {
                lines.push(std::mem::replace(&mut line, margin.clone()));
            }
            if line.len() > indent {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_text_is_wrapped_at_words_and_keeps_its_paragraphs() {
        let text = wrapped(&format!("{} end\n\nnext", "word ".repeat(20)), 2);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(lines[3], "  next");
    }

    #[test]
    fn every_field_of_every_kind_can_be_explained() {
        fn walk(schema: &Value, path: &str, catalogue: &Catalogue, all: &[(String, Value)]) {
            explain(path, catalogue, all).unwrap();
            for (name, below) in items_of(schema)["properties"].as_object().into_iter().flatten() {
                walk(below, &format!("{path}.{name}"), catalogue, all);
            }
        }
        let catalogue = spec::catalogue().unwrap();
        let all = kinds();
        for (kind, schema) in &all {
            walk(schema, &kind.to_lowercase(), &catalogue, &all);
        }
        for control in catalogue.controls() {
            explain(&control.id.to_lowercase(), &catalogue, &all).unwrap();
        }
    }
}
