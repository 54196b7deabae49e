//! The names that a template uses, so that a misspelt one is an error wherever it stands.
//!
//! Tera itself refuses to write out something undefined, but takes it for false in a condition: a misspelt
//! `profile.regulated` would leave the stricter rule out, and nobody would see it.

/// A dotted name that a template uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// The path, such as `profile.pci`.
    pub(crate) path: String,
    /// The line; the first is 1.
    pub(crate) line: usize,
}

/// Every dotted name in the tags and expressions of a template, but for those that it asks about itself, by
/// `is defined`, `is undefined` or the filter `default`.
pub(crate) fn used(template: &str) -> Vec<Name> {
    let mut names = Vec::new();
    let mut rest = template;
    let mut line = 1;
    while let Some(start) = rest.find('{') {
        line += newlines(&rest[..start]);
        rest = &rest[start..];
        let end = match rest.as_bytes().get(1) {
            Some(b'%') => "%}",
            Some(b'{') => "}}",
            Some(b'#') => "#}",
            _ => {
                rest = &rest[1..];
                continue;
            }
        };
        let length = rest.find(end).map_or(rest.len(), |found| found + end.len());
        let (tag, after) = rest.split_at(length);
        if end != "#}" {
            in_tag(tag, line, &mut names);
        }
        line += newlines(tag);
        rest = after;
    }
    names
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn in_tag(tag: &str, mut line: usize, names: &mut Vec<Name>) {
    let mut rest = tag;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        if matches!(first, '"' | '\'' | '`') {
            length += string_length(&rest[length..], first);
        } else if first.is_ascii_alphabetic() || first == '_' {
            let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            length = rest.find(|c| !part(c)).unwrap_or(rest.len());
            let path = rest[..length].trim_end_matches('.');
            if path.contains('.') && !is_asked_about(&rest[length..]) {
                names.push(Name { path: path.to_owned(), line });
            }
        }
        line += newlines(&rest[..length]);
        rest = &rest[length..];
    }
}

/// How much of the text belongs to a string that has begun, its closing quote included.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            other if other == quote => return index + quote.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn is_asked_about(after: &str) -> bool {
    let words: Vec<&str> = after.split_ascii_whitespace().take(3).collect();
    match words.as_slice() {
        ["is", "defined" | "undefined", ..] | ["is", "not", "defined" | "undefined"] => true,
        ["|", filter, ..] => filter.starts_with("default"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(template: &str) -> Vec<(String, usize)> {
        used(template).into_iter().map(|name| (name.path, name.line)).collect()
    }

    #[test]
    fn names_are_found_in_conditions_and_expressions_with_their_lines() {
        let template =
            "a: {b: 1}\n{% if profile.pci and\n  not x.y %}\nc: {{ tenant.name ~ \"no.name\" }}{% endif %}";
        assert_eq!(
            paths(template),
            [("profile.pci".into(), 2), ("x.y".into(), 3), ("tenant.name".into(), 4)]
        );
    }

    #[test]
    fn what_a_template_asks_about_itself_is_left_out() {
        let template =
            "{% if a.b is defined %}{% if a.c is not defined %}{{ a.d | default(value=1) }}{{ a.e }}";
        assert_eq!(paths(template), [("a.e".into(), 1)]);
    }

    #[test]
    fn comments_strings_and_plain_braces_hold_no_names() {
        assert_eq!(paths("{# a.b #}{a.b: c.d}{{ 'a.b\\'c.d' }}{{ `e.f` }}{{ 1.5 }}"), []);
    }

    #[test]
    fn a_tag_without_an_end_is_read_to_the_end() {
        assert_eq!(paths("{{ a.b"), [("a.b".into(), 1)]);
        assert_eq!(paths("{"), []);
    }
}
