//! Filters: `Filter.1.Name=vpc-id&Filter.1.Value.1=...`, with `*` and `?` in values.

use std::collections::BTreeMap;

use super::fault;
use crate::{error::ApiError, wire::query::Params};

/// What can be filtered by, of one resource: the filters' names with its values, and its tags.
pub(super) struct Filtered<'r> {
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) tags: &'r BTreeMap<String, String>,
}

/// Whether a resource passes all filters. Source: docs; `names` are the filters that the emulator knows.
pub(super) fn passes(params: &Params, names: &[&str], resource: &Filtered<'_>) -> Result<bool, ApiError> {
    for filter in params.each("Filter") {
        let name = filter.get("Name").unwrap_or_default();
        let wanted = filter.list("Value");
        let found: Vec<&str> = if let Some(key) = name.strip_prefix("tag:") {
            resource.tags.get(key).map(String::as_str).into_iter().collect()
        } else if name == "tag-key" {
            resource.tags.keys().map(String::as_str).collect()
        } else if names.contains(&name) {
            resource
                .fields
                .iter()
                .filter(|(field, _)| *field == name)
                .map(|(_, value)| value.as_str())
                .collect()
        } else {
            return Err(fault("InvalidParameterValue", format!("The filter '{name}' is invalid")));
        };
        if !found
            .iter()
            .any(|value| wanted.iter().any(|pattern| matches(pattern.as_bytes(), value.as_bytes())))
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a text is as a pattern with `*` and `?` says, in time linear in their product.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for &symbol in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            if symbol == b'*' {
                next[at] = reached[at] || (at > 0 && next[at - 1]);
            } else if at > 0 {
                next[at] = reached[at - 1] && (symbol == b'?' || symbol == text[at - 1]);
            }
        }
        reached = next;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_stars_and_question_marks() {
        for (pattern, text, good) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*c", "a1b2c", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), good, "{pattern} {text}");
        }
    }

    #[test]
    fn all_filters_must_pass_and_an_unknown_one_is_refused() {
        let tags = BTreeMap::from([("owner".to_owned(), "x".to_owned())]);
        let resource = Filtered { fields: vec![("vpc-id", "vpc-1".to_owned())], tags: &tags };
        let check = |query: &str| passes(&Params::parse(query), &["vpc-id"], &resource).ok();
        assert_eq!(check(""), Some(true));
        assert_eq!(check("Filter.1.Name=tag:owner&Filter.1.Value.1=y&Filter.1.Value.2=x"), Some(true));
        assert_eq!(
            check("Filter.1.Name=tag:owner&Filter.1.Value.1=x&Filter.2.Name=vpc-id&Filter.2.Value.1=vpc-2"),
            Some(false)
        );
        assert_eq!(check("Filter.1.Name=colour&Filter.1.Value.1=x"), None);
    }
}
