//! Templates to documents: tera over typed data, every value as a token, undefined is an error.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde_json::Value;
use tera::{Context, ErrorKind, Kwargs, State, Tera, TeraResult};

use crate::{
    RenderError, cel,
    names::{self, Name},
    token,
};

/// The most bytes that one template may give. A catalogue's own templates give a few kilobytes.
const OUTPUT_MAX: usize = 4 << 20;

/// The parsed templates.
#[derive(Clone)]
pub(crate) struct Engine {
    tera: Tera,
    /// The dotted names that each template uses.
    names: BTreeMap<String, Vec<Name>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("templates", &self.tera.get_template_names().collect::<Vec<_>>())
            .finish()
    }
}

impl Engine {
    /// An engine without templates.
    pub(crate) fn new() -> Self {
        let mut tera = Tera::default();
        tera.autoescape_on([""]);
        tera.set_escape_fn(|value, output| output.write_all(token::text(value).as_bytes()));
        tera.register_filter("cel", CelLiteral);
        tera.register_filter("data", Data);
        // The one built-in filter that lets a value pass as it is.
        tera.register_filter("safe", |_: tera::Value, _: Kwargs, _: &State| -> TeraResult<tera::Value> {
            Err(tera::Error::message("the filter `safe` is refused: no value may become structure"))
        });
        Self { tera, names: BTreeMap::new() }
    }

    /// Adds templates, by name and text.
    pub(crate) fn add<'a>(
        &mut self,
        templates: impl IntoIterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<(), RenderError> {
        for (name, text) in templates.clone() {
            if token::holds_mark(text) {
                return Err(RenderError::Template {
                    template: name.to_owned(),
                    line: None,
                    message: "a template holds none of the characters U+E000 to U+E002".to_owned(),
                });
            }
        }
        for (name, text) in templates.clone() {
            self.names.insert(name.to_owned(), names::used(text));
        }
        let first = templates.clone().into_iter().next().map(|(name, _)| name).unwrap_or_default();
        self.tera.add_raw_templates(templates).map_err(|error| template_error(first, &error))
    }

    /// The documents that a template gives for the data.
    pub(crate) fn render(&self, template: &str, context: &Context) -> Result<Vec<Value>, RenderError> {
        let text = self.render_text(template, context)?;
        self.every_name_is_defined(template, context)?;
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).map_err(|error| RenderError::Yaml {
                template: template.to_owned(),
                line: error.location().map(|location| location.line()),
                message: error.without_snippet().to_string(),
            })?;
        documents
            .into_iter()
            .map(|document| {
                token::read_back(document).map_err(|message| RenderError::Template {
                    template: template.to_owned(),
                    line: None,
                    message,
                })
            })
            .collect()
    }

    /// Refuses a name that the values do not have, where tera would have taken it for false.
    fn every_name_is_defined(&self, template: &str, context: &Context) -> Result<(), RenderError> {
        let undefined = |path: &str, line| RenderError::Template {
            template: template.to_owned(),
            line,
            message: format!("`{path}` is not defined"),
        };
        let variables = self.tera.get_template_variables(template);
        let variables = variables.map_err(|error| template_error(template, &error))?;
        if let Some(name) = variables.into_iter().filter(|name| !context.contains_key(name)).min() {
            return Err(undefined(name, None));
        }
        for name in self.names.get(template).into_iter().flatten() {
            // A name whose first part is no value of ours is one that the template itself has set.
            let Some((root, rest)) = name.path.split_once('.') else { continue };
            if context.get(root).is_some_and(|value| value.get_from_path(rest).is_none()) {
                return Err(undefined(&name.path, Some(name.line)));
            }
        }
        Ok(())
    }

    fn render_text(&self, template: &str, context: &Context) -> Result<String, RenderError> {
        let mut output = Bounded { bytes: Vec::new() };
        self.tera
            .render_to(template, context, &mut output)
            .map_err(|error| template_error(template, &error))?;
        String::from_utf8(output.bytes).map_err(|_| RenderError::Template {
            template: template.to_owned(),
            line: None,
            message: "the output is not UTF-8".to_owned(),
        })
    }
}

/// Tera's error with the template and line that it names; the template alone when it names none.
fn template_error(template: &str, error: &tera::Error) -> RenderError {
    match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => RenderError::Template {
            template: match report.filename() {
                "" => template.to_owned(),
                name => name.to_owned(),
            },
            line: Some(report.span().start_line),
            message: report.message().to_owned(),
        },
        other => {
            RenderError::Template { template: template.to_owned(), line: None, message: other.to_string() }
        }
    }
}

/// The filter `cel`: a text, a number, a truth value or a list of them as a CEL literal.
struct CelLiteral;

impl tera::Filter<tera::Value, TeraResult<String>> for CelLiteral {
    fn call(&self, value: tera::Value, _: Kwargs, _: &State) -> TeraResult<String> {
        cel_literal(&value).map(|literal| token::cel(&literal))
    }

    // What it gives is a token already.
    fn is_safe(&self) -> bool {
        true
    }
}

fn cel_literal(value: &tera::Value) -> TeraResult<String> {
    if let Some(text) = value.as_str() {
        return Ok(cel::string(text));
    }
    if let Some(items) = value.as_array() {
        return Ok(cel::list(&items.iter().map(cel_literal).collect::<TeraResult<Vec<_>>>()?));
    }
    if let Some(whole) = value.as_i64() {
        return Ok(whole.to_string());
    }
    match value.as_bool() {
        Some(truth) => Ok(truth.to_string()),
        None => Err(tera::Error::message(
            "the filter `cel` takes texts, whole numbers, truth values and lists of them",
        )),
    }
}

/// The filter `data`: a list or map as a flow collection, its texts as tokens.
struct Data;

impl tera::Filter<tera::Value, TeraResult<String>> for Data {
    fn call(&self, value: tera::Value, _: Kwargs, _: &State) -> TeraResult<String> {
        let value = serde_json::to_value(&value).map_err(tera::Error::message)?;
        let mut output = String::new();
        write_data(&value, &mut output);
        Ok(output)
    }

    // Its texts are tokens, and its structure is the data's own.
    fn is_safe(&self) -> bool {
        true
    }
}

fn write_data(value: &Value, output: &mut String) {
    match value {
        Value::String(value) => output.push_str(&token::text(value)),
        Value::Array(items) => {
            output.push('[');
            for item in items {
                write_data(item, output);
                output.push_str(", ");
            }
            output.push(']');
        }
        Value::Object(fields) => {
            output.push('{');
            for (key, value) in fields {
                output.push_str(&token::text(key));
                output.push_str(": ");
                write_data(value, output);
                output.push_str(", ");
            }
            output.push('}');
        }
        plain => output.push_str(&plain.to_string()),
    }
}

/// Refuses to hold more than [`OUTPUT_MAX`] bytes.
struct Bounded {
    bytes: Vec<u8>,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the output is too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn render(text: &str, data: &Value) -> Result<Vec<Value>, RenderError> {
        let mut engine = Engine::new();
        engine.add([("test.yaml", text)])?;
        engine.render("test.yaml", &Context::from_serialize(data).unwrap())
    }

    #[test]
    fn something_undefined_is_an_error_that_names_template_and_line() {
        let error =
            render("a: 1\nb: {{ tenant.nmae }}\n", &json!({ "tenant": { "name": "acme" } })).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("template `test.yaml`, line 2: "), "{text}");
        assert!(text.contains("`nmae` is not defined"), "{text}");
    }

    #[test]
    fn something_undefined_is_an_error_in_a_condition_too() {
        let data = json!({ "profile": { "pci": true, "deep": { "er": 1 } }, "list": [1] });
        for (text, path, line) in [
            ("{% if profile.pcii %}a: 1{% endif %}", "profile.pcii", Some(1)),
            ("a: 1\n{% set b = true and not profile.hippa %}", "profile.hippa", Some(2)),
            ("{% if profile.deep.est %}{% endif %}", "profile.deep.est", Some(1)),
            ("{% if profil %}{% endif %}", "profil", None),
        ] {
            match render(text, &data).unwrap_err() {
                RenderError::Template { line: found, message, .. } => {
                    assert_eq!((message, found), (format!("`{path}` is not defined"), line));
                }
                other => panic!("{text}: {other}"),
            }
        }
        let fine = "{% for a in list %}{% set b = {\"c\": a} %}{% if b.d or profile.deep.er or loop.first %}{% endif %}{% endfor %}";
        assert!(render(fine, &data).is_ok());
    }

    #[test]
    fn a_template_that_does_not_parse_is_an_error_that_names_template_and_line() {
        let error = render("a: 1\nb: {{ tenant }\n", &json!({})).unwrap_err().to_string();
        assert!(error.starts_with("template `test.yaml`, line 2: "), "{error}");
        let error = render("a: 1\nb: {{ tenant | nothing }}\n", &json!({})).unwrap_err().to_string();
        assert!(error.contains("test.yaml") && error.contains("nothing"), "{error}");
    }

    #[test]
    fn the_filter_safe_is_refused() {
        let error = render("a: {{ x | safe }}", &json!({ "x": "y" })).unwrap_err();
        assert!(error.to_string().contains("`safe` is refused"), "{error}");
    }

    #[test]
    fn numbers_and_truth_values_keep_their_type_and_texts_stay_texts() {
        let data = json!({ "n": 443, "t": "443", "yes": true, "no": "true", "nothing": null });
        let documents =
            render("n: {{ n }}\nt: {{ t }}\nyes: {{ yes }}\nno: {{ no }}\nnothing: {{ nothing }}", &data)
                .unwrap();
        assert_eq!(documents, [data]);
    }

    #[test]
    fn lists_and_maps_become_collections_by_the_filter_data() {
        let data =
            json!({ "list": ["a: b", "- c"], "map": { "k: 1": ["# no comment"], "n": 3 }, "empty": [] });
        let documents =
            render("list: {{ list | data }}\nmap: {{ map | data }}\nempty: {{ empty | data }}", &data)
                .unwrap();
        assert_eq!(documents, [data]);
    }

    #[test]
    fn an_output_without_end_is_cut_off() {
        let text =
            "{% for a in range(end=100000) %}{% for b in range(end=100000) %}x{% endfor %}{% endfor %}";
        assert!(render(text, &json!({})).unwrap_err().to_string().contains("test.yaml"));
    }

    proptest! {
        #[test]
        fn no_text_changes_the_structure_wherever_it_stands(value in "(?s).*|\\PC*|[-:#{}\\[\\],&*!|>'\"%@`\n\t ]*") {
            prop_assume!(!token::holds_mark(&value));
            let template = "plain: {{ x }}\nmiddle: a-{{ x }}-b\nsingle: '{{ x }}'\ndouble: \"{{ x }}\"\n{{ x }}k: 1\n\
                flow: [{{ x }}, {a: {{ x }}}]\nfolded: >-\n  a\n  {{ x }}\nliteral: |-\n  a\n  {{ x }}\n\
                {% set captured %}{{ x }}{% endset %}captured: {{ captured }}\njoined: {{ [x, x] | join(sep=\",\") }}\n\
                expression: a == {{ x | cel }}\n";
            let documents = render(template, &json!({ "x": value })).unwrap();
            prop_assert_eq!(documents, [json!({
                "plain": value, "middle": format!("a-{value}-b"), "single": value, "double": value,
                format!("{value}k"): 1, "flow": [value, { "a": value }], "folded": format!("a {value}"),
                "literal": format!("a\n{value}"), "captured": value, "joined": format!("{value},{value}"),
                "expression": format!("a == {}", cel::string(&value)),
            })]);
        }
    }
}
