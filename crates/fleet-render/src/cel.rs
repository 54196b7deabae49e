//! Values as CEL literals.
//!
//! Source: the CEL specification, "String and Bytes Values" (cel-spec, `doc/langdef.md`).

use std::fmt::Write as _;

/// A text as a CEL string literal. Everything but printable ASCII is written as an escape, so that nothing in it
/// can end the literal, whatever a reader takes for a line or a quote.
pub(crate) fn string(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for character in text.chars() {
        match character {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            ' '..='~' => literal.push(character),
            _ => {
                let code = u32::from(character);
                // Writing to a String cannot fail.
                let _ = if code <= 0xFFFF {
                    write!(literal, "\\u{code:04x}")
                } else {
                    write!(literal, "\\U{code:08x}")
                };
            }
        }
    }
    literal.push('"');
    literal
}

/// A list of literals as a CEL list.
pub(crate) fn list(literals: &[String]) -> String {
    format!("[{}]", literals.join(", "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a literal back by the specification's rules, and says what stands behind its end.
    fn read(literal: &str) -> Option<(String, &str)> {
        let mut rest = literal.strip_prefix('"')?;
        let mut text = String::new();
        loop {
            let character = rest.chars().next()?;
            rest = &rest[character.len_utf8()..];
            match character {
                '"' => return Some((text, rest)),
                '\\' => {
                    let (kind, after) = rest.split_at(1);
                    let digits = match kind {
                        "u" => 4,
                        "U" => 8,
                        "\"" | "\\" => 0,
                        _ => return None,
                    };
                    if digits == 0 {
                        text.push_str(kind);
                    } else {
                        text.push(char::from_u32(u32::from_str_radix(&after[..digits], 16).ok()?)?);
                    }
                    rest = &after[digits..];
                }
                '\n' | '\r' => return None,
                other => text.push(other),
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_one_literal_that_means_the_text(text in "\\PC*|.*|(?s)[\"'\\\\\n\r\0-~]*") {
            let literal = string(&text);
            prop_assert_eq!(read(&literal), Some((text, "")));
            prop_assert!(literal.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }

    #[test]
    fn what_would_end_a_literal_is_escaped() {
        assert_eq!(string("a\") || true || (\""), r#""a\") || true || (\"""#);
        assert_eq!(string("\\"), r#""\\""#);
        assert_eq!(string("\n\u{2028}\u{1F600}"), r#""\u000a\u2028\U0001f600""#);
        assert_eq!(list(&[string("a"), string("b")]), r#"["a", "b"]"#);
    }
}
