//! Text of users inside our own: cut to a length, and without anything that a terminal would obey.

/// The most characters of a user's text that one message repeats.
const SHOWN_MAX: usize = 80;

/// A user's text as messages show it: control characters escaped, long text cut.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN_MAX {
            out.push('…');
            break;
        }
        if is_unsafe(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A message with whatever a terminal would obey escaped: names of the spec get into messages by many ways.
pub(crate) fn escaped(message: String) -> String {
    if !message.chars().any(is_unsafe) {
        return message;
    }
    message.chars().flat_map(|c| if is_unsafe(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Characters that move a cursor, change a colour or reorder a line.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The name of `candidates` that is meant by `name`, if one is close enough to be worth saying.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Distances are quadratic in the length; nobody means a field by a text of this size.
    if name.len() > 128 {
        return None;
    }
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&lower, &other);
            let allowed = 1 + name.chars().count().min(candidate.chars().count()) / 4;
            let related = distance <= allowed
                || (lower.len() >= 4
                    && other.len() >= 4
                    && (other.starts_with(&lower) || lower.starts_with(&other)));
            related.then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// `a, b or c`, with at most twelve of them.
pub(crate) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", shown(name))).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] if names.len() <= 12 => format!("{} or {last}", first.join(", ")),
        many => format!("{} and {} more", many.get(..12).unwrap_or_default().join(", "), many.len() - 12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name_and_nonsense_finds_none() {
        assert_eq!(nearest("chanel", ["channel", "version"]), Some("channel"));
        assert_eq!(nearest("Europe/Berln", ["Europe/Berlin", "Europe/Dublin"]), Some("Europe/Berlin"));
        assert_eq!(nearest("timezone", ["timeZone", "windows"]), Some("timeZone"));
        assert_eq!(nearest("colour", ["channel", "version"]), None);
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(shown("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), SHOWN_MAX + 1);
    }
}
