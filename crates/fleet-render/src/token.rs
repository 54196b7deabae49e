//! How values travel through a template: as code points that YAML cannot take for syntax.
//!
//! A value that meets a template's text becomes a token: a mark from Unicode's private use area, the value's bytes
//! in hexadecimal, and an end mark. YAML sees letters of a scalar, wherever the value stands: plain, quoted, in a
//! block, in the middle of a word or as a key. Only after the YAML has been parsed are the tokens read back, inside
//! the scalars that hold them. So no value can become structure, whatever the template's author forgot.
//!
//! There are two kinds, so that CEL is as safe as YAML: a token that the filter `cel` made (a CEL literal) is read
//! back in expressions alone, and every other token everywhere but in expressions.

use serde_json::{Map, Value};

/// Begins the token of a text.
const TEXT: char = '\u{E000}';
/// Begins the token of a CEL literal.
const CEL: char = '\u{E001}';
/// Ends a token.
const END: char = '\u{E002}';

/// The fields of Kubernetes objects that hold CEL expressions, by their own name.
const EXPRESSIONS: [&str; 3] = ["expression", "messageExpression", "valueExpression"];

/// The token of a text.
pub(crate) fn text(value: &str) -> String {
    format!("{TEXT}{}{END}", hex::encode(value))
}

/// The token of a CEL literal.
pub(crate) fn cel(literal: &str) -> String {
    format!("{CEL}{}{END}", hex::encode(literal))
}

/// Whether a text holds one of the marks: it could not be told from a token.
pub(crate) fn holds_mark(text: &str) -> bool {
    text.contains([TEXT, CEL, END])
}

/// Reads every token of a parsed document back. Fails with what the template's author has to mend.
pub(crate) fn read_back(document: Value) -> Result<Value, String> {
    read(document, false)
}

fn read(value: Value, expression: bool) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(read_text(&text, expression)?),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| read(item, expression)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let mut read_fields = Map::new();
            for (key, value) in fields {
                let is_expression = EXPRESSIONS.contains(&key.as_str());
                let key = read_text(&key, false)?;
                if read_fields.contains_key(&key) {
                    return Err(format!("two fields of one map are called `{key}`"));
                }
                read_fields.insert(key, read(value, is_expression)?);
            }
            Value::Object(read_fields)
        }
        other => other,
    })
}

fn read_text(text: &str, expression: bool) -> Result<String, String> {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find([TEXT, CEL, END]) {
        let (before, token) = rest.split_at(start);
        whole.push_str(before);
        let mut characters = token.chars();
        let mark = characters.next();
        let (hexadecimal, after) =
            characters.as_str().split_once(END).ok_or("a value was changed after it was written out")?;
        let bytes = hex::decode(hexadecimal).map_err(|_| "a value was changed after it was written out")?;
        let value = String::from_utf8(bytes).map_err(|_| "a value was changed after it was written out")?;
        match (mark == Some(CEL), expression) {
            (true, false) => {
                return Err(format!("the filter `cel` is for expressions alone, not for `{value}`"));
            }
            (false, true) => {
                return Err(format!("`{value}` meets a CEL expression without the filter `cel`"));
            }
            _ if holds_mark(&value) => return Err("a value holds a private use character".to_owned()),
            _ => whole.push_str(&value),
        }
        rest = after;
    }
    whole.push_str(rest);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn any_text_comes_back_whole_from_any_place_of_a_scalar(value in "\\PC*|.*", before in "[a-z ]{0,8}") {
            prop_assume!(!holds_mark(&value));
            let scalar = format!("{before}{}!", text(&value));
            let read = read_back(json!({ "name": scalar })).unwrap();
            prop_assert_eq!(read, json!({ "name": format!("{before}{value}!") }));
        }
    }

    #[test]
    fn a_text_in_an_expression_is_refused_unless_it_is_a_literal() {
        let refused = read_back(json!({ "expression": format!("a == {}", text("b")) })).unwrap_err();
        assert!(refused.contains("without the filter `cel`"), "{refused}");
        let read = read_back(json!({ "expression": format!("a == {}", cel("\"b\"")) })).unwrap();
        assert_eq!(read, json!({ "expression": "a == \"b\"" }));
    }

    #[test]
    fn a_literal_outside_an_expression_is_refused() {
        let refused = read_back(json!({ "message": cel("\"b\"") })).unwrap_err();
        assert!(refused.contains("for expressions alone"), "{refused}");
    }

    #[test]
    fn a_mark_that_no_token_explains_is_refused() {
        for torn in ["\u{E000}6", "\u{E000}zz\u{E002}", "\u{E002}", "\u{E000}ff\u{E002}"] {
            assert!(read_back(json!(torn)).is_err(), "{torn:?}");
        }
        assert!(read_back(json!(text("\u{E001}"))).is_err());
    }

    #[test]
    fn two_keys_that_become_one_are_refused() {
        let fields = json!({ "a": 1, text("a"): 2 });
        assert!(read_back(fields).unwrap_err().contains("two fields"));
    }
}
