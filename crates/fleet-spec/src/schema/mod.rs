//! Located YAML against the generated schemas: unknown fields, types, bounds, patterns.
//!
//! The schemas are those of the CRDs, so that what passes here is what an API server takes.

use std::{collections::BTreeMap, sync::LazyLock};

use fleet_api::v1alpha1::{DRIVEN_FIELDS, definitions};
use regex_lite::Regex;
use serde_json::{Map, Value as Json};

use crate::{
    field_path::FieldPath,
    finding::{Code, Severity},
    input::Source,
    node::{Mark, Node, Value},
    text::{nearest, one_of, shown},
};

mod patterns;

/// The schemas of the kinds' specs, and their patterns compiled.
struct Schemas {
    specs: BTreeMap<String, Json>,
    patterns: BTreeMap<String, Regex>,
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let mut specs = BTreeMap::new();
    let mut patterns = BTreeMap::new();
    for definition in definitions() {
        let version = definition.spec.versions.first();
        let schema =
            version.and_then(|version| serde_json::to_value(&version.schema).ok()).unwrap_or_default();
        let mut spec = schema["openAPIV3Schema"]["properties"]["spec"].clone();
        if definition.spec.names.kind == "Rollout"
            && let Some(required) = spec["required"].as_array_mut()
        {
            required.retain(|field| !field.as_str().is_some_and(|field| DRIVEN_FIELDS.contains(&field)));
        }
        patterns::collect(&spec, &mut patterns);
        specs.insert(definition.spec.names.kind, spec);
    }
    Schemas { specs, patterns }
});

/// The schema of a kind's spec.
pub(crate) fn of_spec(kind: &str) -> &'static Json {
    SCHEMAS.specs.get(kind).unwrap_or(&Json::Null)
}

/// A fault at a mark, before it is told which object it is in.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: Mark,
    pub(crate) severity: Severity,
    pub(crate) code: Code,
    pub(crate) path: FieldPath,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Collects faults while a tree is held against a schema.
pub(crate) struct Walk<'a> {
    source: &'a Source,
    pub(crate) faults: Vec<Fault>,
}

impl<'a> Walk<'a> {
    pub(crate) const fn new(source: &'a Source) -> Self {
        Self { source, faults: Vec::new() }
    }

    pub(crate) fn error(
        &mut self,
        at: Mark,
        code: Code,
        path: &FieldPath,
        message: String,
        hint: Option<String>,
    ) {
        self.faults.push(Fault { at, severity: Severity::Error, code, path: path.clone(), message, hint });
    }

    pub(crate) fn warning(
        &mut self,
        at: Mark,
        code: Code,
        path: &FieldPath,
        message: String,
        hint: Option<String>,
    ) {
        self.faults.push(Fault { at, severity: Severity::Warning, code, path: path.clone(), message, hint });
    }

    /// Reports every key of a map that stands twice.
    pub(crate) fn duplicates(&mut self, node: &Node, path: &FieldPath) {
        let mut first = BTreeMap::new();
        for (key, _) in node.entries() {
            if let Some(line) = first.get(key.text.as_str()) {
                let message = format!("`{}` stands twice in one map", shown(&key.text));
                let hint = format!("keep one of the two: the first is in line {line}");
                self.error(key.at, Code::DuplicateKey, &path.field(&key.text), message, Some(hint));
            } else {
                first.insert(key.text.as_str(), key.at.line);
            }
        }
    }

    /// Reports a key that its map does not know.
    pub(crate) fn unknown(&mut self, at: Mark, name: &str, path: &FieldPath, known: &[&str]) {
        let within = if path.segments().is_empty() { "an object".to_owned() } else { format!("`{path}`") };
        let hint = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it takes {}", one_of(known.iter().copied())),
        };
        let message = format!("{within} has no field `{}`", shown(name));
        self.error(at, Code::UnknownField, &path.field(name), message, Some(hint));
    }

    /// The value as JSON, without what is faulty and may be left out; `None` when the whole value is faulty.
    pub(crate) fn value(&mut self, schema: &Json, node: &Node, path: &FieldPath) -> Option<Json> {
        if schema["x-kubernetes-int-or-string"] == true {
            return match &node.value {
                Value::Integer(number) => self.whole_number(*number, node, path),
                Value::Text(text) => Some(Json::from(text.as_str())),
                _ => {
                    let hint = "write a whole number, or a percentage such as `25%`".to_owned();
                    self.wrong_type_with(node, path, "a whole number or a percentage", Some(hint))
                }
            };
        }
        match schema["type"].as_str() {
            Some("object") => self.object(schema, node, path),
            Some("array") => self.list(schema, node, path),
            Some("string") => self.text(schema, node, path),
            Some("boolean") => match node.value {
                Value::Bool(value) => Some(Json::from(value)),
                _ => self.wrong_type(node, path, "`true` or `false`"),
            },
            Some("integer") => match node.value {
                #[expect(clippy::cast_precision_loss, reason = "bounds of the schemas are far below 2^53")]
                Value::Integer(number) => {
                    self.bounds(schema, number as f64, node, path).then(|| Json::from(number))
                }
                _ => self.wrong_type(node, path, "a whole number"),
            },
            Some("number") => match node.value {
                #[expect(clippy::cast_precision_loss, reason = "the field is a floating-point number anyway")]
                Value::Integer(number) => {
                    self.bounds(schema, number as f64, node, path).then(|| Json::from(number))
                }
                Value::Float(number) => self.bounds(schema, number, node, path).then(|| Json::from(number)),
                _ => self.wrong_type(node, path, "a number"),
            },
            _ => Some(to_json(node)),
        }
    }

    /// A number beside which text may stand. It has 32 bits and no bounds of its own in the schema.
    fn whole_number(&mut self, number: i64, node: &Node, path: &FieldPath) -> Option<Json> {
        if i32::try_from(number).is_ok() {
            return Some(Json::from(number));
        }
        let message = format!("`{path}` takes a number of at most {}, not {number}", i32::MAX);
        self.error(node.at, Code::OutOfRange, path, message, None);
        None
    }

    fn object(&mut self, schema: &Json, node: &Node, path: &FieldPath) -> Option<Json> {
        if !matches!(node.value, Value::Map(_)) {
            return self.wrong_type(node, path, "a map");
        }
        self.duplicates(node, path);
        let no_fields = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&no_fields);
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let additional = schema.get("additionalProperties").filter(|below| below.is_object());
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let mut object = Map::new();
        let mut whole = true;
        for (key, value) in node.entries() {
            let below = path.field(&key.text);
            let Some(field) = known.get(&key.text).or(additional) else {
                if names.is_empty() && schema["x-kubernetes-preserve-unknown-fields"] == true {
                    object.insert(key.text.clone(), to_json(value));
                } else {
                    self.unknown(key.at, &key.text, path, &names);
                    // A misspelt field that the object cannot do without is read as the one that was meant, so that the
                    // rules judge the rest of the object too, and every finding comes at once.
                    let meant = nearest(&key.text, names.iter().copied())
                        .filter(|meant| required.contains(meant) && node.get(meant).is_none());
                    if let Some((meant, field)) = meant.and_then(|meant| Some((meant, known.get(meant)?)))
                        && let Some(json) = self.value(field, value, &path.field(meant))
                    {
                        object.insert(meant.to_owned(), json);
                    }
                }
                continue;
            };
            if object.contains_key(&key.text) {
                continue;
            }
            if matches!(value.value, Value::Null) {
                if !required.contains(&key.text.as_str()) {
                    let message = format!("`{}` has no value and counts as left out", shown(&key.text));
                    let hint = Some("give it a value, or take the line away".to_owned());
                    self.warning(key.at, Code::EmptyValue, &below, message, hint);
                }
                continue;
            }
            if let Some(json) = self.value(field, value, &below) {
                object.insert(key.text.clone(), json);
            }
        }
        for name in required {
            if object.contains_key(name) {
                continue;
            }
            if node.get(name).is_none_or(|value| matches!(value.value, Value::Null)) {
                self.missing(node, path, name, known.get(name), &names);
            }
            match known.get(name).and_then(|schema| nothing(name, schema)) {
                Some(json) => {
                    object.insert(name.to_owned(), json);
                }
                None => whole = false,
            }
        }
        whole.then_some(Json::Object(object))
    }

    fn missing(&mut self, node: &Node, path: &FieldPath, name: &str, schema: Option<&Json>, known: &[&str]) {
        let within = if path.segments().is_empty() { "the object".to_owned() } else { format!("`{path}`") };
        // A misspelt key is already reported with the right one: it is not missing as well.
        let misspelt = node.entries().iter().any(|(key, _)| {
            !known.contains(&key.text.as_str()) && nearest(&key.text, known.iter().copied()) == Some(name)
        });
        if misspelt {
            return;
        }
        let description = schema.and_then(|schema| schema["description"].as_str()).unwrap_or_default();
        let sentence =
            description.split(". ").next().unwrap_or_default().trim_end_matches('.').replace('\n', " ");
        let hint = (!sentence.is_empty()).then(|| format!("add `{name}`: {}", lower_first(&sentence)));
        let message = format!("{within} needs `{name}`");
        // No mark: the place is that of the nearest field around it.
        self.error(Mark::default(), Code::MissingField, &path.field(name), message, hint);
    }

    fn list(&mut self, schema: &Json, node: &Node, path: &FieldPath) -> Option<Json> {
        let Value::List(items) = &node.value else {
            return self.wrong_type(node, path, "a list");
        };
        let (least, most) = (schema["minItems"].as_u64(), schema["maxItems"].as_u64());
        let count = items.len() as u64;
        // A list that is too short is kept for the rules, so that what they say of the rest comes at once.
        if least.is_some_and(|least| count < least) || most.is_some_and(|most| count > most) {
            let message = format!("`{path}` takes {} and has {count}", span(least, most, "item"));
            self.error(node.at, Code::OutOfRange, path, message, None);
            // A list of a million items would otherwise give a million findings.
            if most.is_some_and(|most| count > most) {
                return None;
            }
        }
        let mut whole = true;
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match self.value(&schema["items"], item, &path.index(index)) {
                Some(json) => list.push(json),
                None => whole = false,
            }
        }
        whole.then_some(Json::Array(list))
    }

    fn text(&mut self, schema: &Json, node: &Node, path: &FieldPath) -> Option<Json> {
        let Value::Text(text) = &node.value else {
            let number = matches!(node.value, Value::Integer(_) | Value::Float(_));
            if schema["pattern"] == patterns::MINUTES && number {
                let raw = self.source.raw(node.at).map(|raw| shown(&raw)).unwrap_or_default();
                let hint = format!("write its unit behind it, such as `{raw}h` or `{raw}m`");
                return self.wrong_type_with(node, path, "a duration", Some(hint));
            }
            return self.wrong_type(node, path, "text");
        };
        let faults_before = self.faults.len();
        if let Some(choices) = schema["enum"].as_array() {
            let choices: Vec<&str> = choices.iter().filter_map(Json::as_str).collect();
            if !choices.contains(&text.as_str()) {
                let message = format!("`{path}` cannot be `{}`", shown(text));
                let hint = match nearest(text, choices.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("it is one of {}", one_of(choices.iter().copied())),
                };
                self.error(node.at, Code::InvalidValue, path, message, Some(hint));
            }
        }
        let (least, most) = (schema["minLength"].as_u64(), schema["maxLength"].as_u64());
        let count = text.chars().count() as u64;
        if least.is_some_and(|least| count < least) || most.is_some_and(|most| count > most) {
            let message = format!("`{path}` takes {} and has {count}", span(least, most, "character"));
            self.error(node.at, Code::OutOfRange, path, message, None);
        } else if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
            let hint =
                Some("write it as `2026-12-01T08:00:00Z`, or with an offset such as `+01:00`".to_owned());
            self.error(node.at, Code::InvalidValue, path, format!("`{}` is no moment", shown(text)), hint);
        } else if let Some(pattern) = schema["pattern"].as_str() {
            self.pattern(pattern, text, node, path);
        }
        (self.faults.len() == faults_before).then(|| Json::from(text.as_str()))
    }

    fn pattern(&mut self, pattern: &str, text: &str, node: &Node, path: &FieldPath) {
        if let Some(parsed) = patterns::parse_error(pattern, text) {
            if let Err(message) = parsed {
                let hint = (pattern == patterns::MINUTES).then(|| patterns::DURATION_HINT.to_owned());
                self.error(node.at, Code::InvalidValue, path, message, hint);
            }
            return;
        }
        if SCHEMAS.patterns.get(pattern).is_some_and(|regex| regex.is_match(text)) {
            return;
        }
        let words =
            patterns::words(pattern).map_or_else(|| format!("text that matches `{pattern}`"), str::to_owned);
        let code = if words.starts_with("a label value") { Code::LabelValue } else { Code::InvalidValue };
        let hint = text.contains(":assumed-role/").then(|| {
            "name the role itself, not a session of it: `arn:aws:iam::ACCOUNT:role/NAME`".to_owned()
        });
        self.error(node.at, code, path, format!("`{}` is not {words}", shown(text)), hint);
    }

    fn bounds(&mut self, schema: &Json, number: f64, node: &Node, path: &FieldPath) -> bool {
        let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
        // Types of 32 bits have no bounds of their own in the schema.
        let (least, most) = match schema["format"].as_str() {
            Some("int32") => (least.or(Some(f64::from(i32::MIN))), most.or(Some(f64::from(i32::MAX)))),
            _ => (least, most),
        };
        if least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most) {
            return true;
        }
        let bounds = match (least, most) {
            (Some(least), Some(most)) => format!("from {least} to {most}"),
            (Some(least), None) => format!("of at least {least}"),
            (None, Some(most)) => format!("of at most {most}"),
            (None, None) => String::new(),
        };
        self.error(
            node.at,
            Code::OutOfRange,
            path,
            format!("`{path}` takes a number {bounds}, not {number}"),
            None,
        );
        false
    }

    fn wrong_type(&mut self, node: &Node, path: &FieldPath, wanted: &str) -> Option<Json> {
        let raw = self.source.raw(node.at).map(|raw| shown(&raw));
        let hint = match (&node.value, wanted) {
            (Value::Bool(_) | Value::Integer(_) | Value::Float(_), "text") => {
                raw.map(|raw| format!("put it in quotes: `\"{raw}\"`"))
            }
            (Value::Text(text), "a whole number" | "a number") if text.parse::<f64>().is_ok() => {
                Some("leave out the quotes".to_owned())
            }
            (Value::Text(_) | Value::Map(_) | Value::Integer(_), "a list") => {
                Some("write a list: one item to a line, each behind `- `".to_owned())
            }
            (Value::Null, _) => Some("give it a value".to_owned()),
            _ => None,
        };
        self.wrong_type_with(node, path, wanted, hint)
    }

    fn wrong_type_with(
        &mut self,
        node: &Node,
        path: &FieldPath,
        wanted: &str,
        hint: Option<String>,
    ) -> Option<Json> {
        let raw = self.source.raw(node.at).map(|raw| shown(&raw));
        let found = match (&node.value, &raw) {
            (Value::Bool(_) | Value::Integer(_) | Value::Float(_), Some(raw)) => {
                format!("{} (`{raw}`)", node.value.kind())
            }
            (Value::Text(text), _) => format!("the text `{}`", shown(text)),
            _ => node.value.kind().to_owned(),
        };
        self.error(node.at, Code::WrongType, path, format!("`{path}` takes {wanted}, not {found}"), hint);
        None
    }
}

/// What stands for a required field that is missing or faulty, so that the rules judge the rest of the object too: an
/// empty list, empty text, or an object of such fields. What is said of it besides is only an echo of its own fault.
///
/// Nothing stands for a selector, because an empty one means everybody, nor for what has to be parsed.
fn nothing(name: &str, schema: &Json) -> Option<Json> {
    let pattern = schema["pattern"].as_str();
    let is_parsed = ["enum", "format"].iter().any(|word| schema.get(word).is_some())
        || pattern.is_some_and(|pattern| patterns::parse_error(pattern, "").is_some());
    match schema["type"].as_str() {
        Some("array") => Some(Json::Array(Vec::new())),
        Some("string") if !is_parsed => Some(Json::from("")),
        Some("object") if name != "selector" => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
            let filled =
                required.map(|name| Some((name.to_owned(), nothing(name, &schema["properties"][name])?)));
            filled.collect::<Option<Map<_, _>>>().map(Json::Object)
        }
        _ => None,
    }
}

fn lower_first(sentence: &str) -> String {
    let mut chars = sentence.chars();
    // A name such as `IAM` keeps its capitals.
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain([second]).chain(chars).collect()
        }
        _ => sentence.to_owned(),
    }
}

fn span(least: Option<u64>, most: Option<u64>, noun: &str) -> String {
    let plural = |count: u64| if count == 1 { noun.to_owned() } else { format!("{noun}s") };
    match (least, most) {
        (Some(least), Some(most)) => format!("{least} to {most} {}", plural(most)),
        (Some(least), None) => format!("at least {least} {}", plural(least)),
        (None, Some(most)) => format!("at most {most} {}", plural(most)),
        (None, None) => plural(2),
    }
}

fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::from(*value),
        Value::Integer(value) => Json::from(*value),
        Value::Float(value) => Json::from(*value),
        Value::Text(value) => Json::from(value.as_str()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.text.clone(), to_json(value))).collect())
        }
    }
}
