//! Whether a text can be a query to a Prometheus server, or to one that speaks its language.
//!
//! The dialects differ in functions and modifiers, and only the server knows its own. What is judged here holds in each of
//! them: brackets and quotes end, operators stand between two values, and values do not stand side by side.

use crate::text::shown;

/// Words that stand beside values without being any.
const WORDS: [&str; 18] = [
    "and",
    "as",
    "atan2",
    "bool",
    "by",
    "default",
    "group_left",
    "group_right",
    "if",
    "ifnot",
    "ignoring",
    "keep_metric_names",
    "limit",
    "offset",
    "on",
    "or",
    "unless",
    "without",
];
/// Those of them after which something has to follow.
const UNFINISHED: [&str; 10] =
    ["and", "atan2", "bool", "by", "ignoring", "offset", "on", "or", "unless", "without"];
/// Functions and aggregations that are misspelt easily, with those whose names are nearly the same in other dialects.
const FUNCTIONS: [&str; 61] = [
    "abs",
    "absent",
    "absent_over_time",
    "avg",
    "avg_over_time",
    "bottomk",
    "ceil",
    "changes",
    "clamp",
    "clamp_max",
    "clamp_min",
    "count",
    "count_over_time",
    "count_values",
    "delta",
    "deriv",
    "floor",
    "group",
    "histogram_avg",
    "histogram_count",
    "histogram_fraction",
    "histogram_quantile",
    "histogram_quantiles",
    "histogram_sum",
    "idelta",
    "increase",
    "irate",
    "label_join",
    "label_replace",
    "last_over_time",
    "limitk",
    "mad_over_time",
    "max",
    "max_over_time",
    "min",
    "min_over_time",
    "mode_over_time",
    "outliersk",
    "predict_linear",
    "present_over_time",
    "quantile",
    "quantile_over_time",
    "quantiles",
    "quantiles_over_time",
    "rate",
    "resets",
    "round",
    "scalar",
    "sort_desc",
    "stddev",
    "stddev_over_time",
    "stdvar",
    "stdvar_over_time",
    "sum",
    "sum2_over_time",
    "sum_over_time",
    "tfirst_over_time",
    "timestamp",
    "tmax_over_time",
    "tmin_over_time",
    "vector",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A name, a number or a length of time.
    Word(&'a str),
    /// A text in quotes.
    Text,
    Operator(&'a str),
    Open(char),
    Close(char),
    Comma,
}

/// Judges a query.
///
/// # Errors
/// Why no server can answer it, as it goes on after "the query".
pub(crate) fn check(query: &str) -> Result<(), String> {
    let tokens = tokens(query)?;
    if tokens.is_empty() {
        return Err("is empty".to_owned());
    }
    let mut open: Vec<char> = Vec::new();
    let mut before: Option<Token<'_>> = None;
    for token in &tokens {
        // Selectors and ranges have rules of their own, which the server knows.
        if open.last() != Some(&'{') {
            beside(before, *token)?;
        }
        match token {
            Token::Open(bracket) => open.push(*bracket),
            Token::Close(bracket) => {
                if open.pop() != Some(opens(*bracket)) {
                    return Err(format!("closes `{bracket}`, which is not open there"));
                }
                if *bracket == ']' && before == Some(Token::Open('[')) {
                    return Err("has a range without a length".to_owned());
                }
            }
            _ => {}
        }
        before = Some(*token);
    }
    if let Some(bracket) = open.last() {
        return Err(format!("does not close `{bracket}`"));
    }
    match before {
        Some(Token::Operator(operator)) => Err(nothing_right(operator)),
        Some(Token::Word(word)) if tokens.len() > 1 && UNFINISHED.contains(&&*word.to_lowercase()) => {
            Err(nothing_right(word))
        }
        _ => Ok(()),
    }
}

/// The function that is meant by one that nearly has its name. It may be one of the server's own all the same.
pub(crate) fn misspelt(query: &str) -> Option<(String, &'static str)> {
    let tokens = tokens(query).ok()?;
    tokens.windows(2).find_map(|pair| {
        let [Token::Word(word), Token::Open('(')] = pair else { return None };
        let lower = word.to_lowercase();
        if lower.len() < 5 || FUNCTIONS.contains(&&*lower) || WORDS.contains(&&*lower) {
            return None;
        }
        let near = FUNCTIONS.iter().find(|known| strsim::damerau_levenshtein(known, &lower) == 1)?;
        Some(((*word).to_owned(), *near))
    })
}

fn nothing_right(operator: &str) -> String {
    format!("has nothing on the right of `{operator}`")
}

/// Judges a token by the one before it.
fn beside(before: Option<Token<'_>>, token: Token<'_>) -> Result<(), String> {
    let is_value = |token: Token<'_>| match token {
        Token::Text => true,
        Token::Word(word) => !WORDS.contains(&&*word.to_lowercase()),
        _ => false,
    };
    let ends = matches!(token, Token::Close(')' | ']') | Token::Comma);
    match (before, token) {
        (Some(Token::Operator(operator)), _) if ends => Err(nothing_right(operator)),
        (Some(Token::Operator(left)), Token::Operator(right)) if !is_sign(right) && left != "@" => {
            Err(format!("has nothing between `{left}` and `{right}`"))
        }
        (None | Some(Token::Open(_) | Token::Comma), Token::Operator(operator)) if !is_sign(operator) => {
            Err(format!("has nothing on the left of `{operator}`"))
        }
        (Some(left), right) if is_value(left) && is_value(right) => {
            let named = |token: Token<'_>| match token {
                Token::Word(word) => format!("`{}`", shown(word)),
                _ => "a text".to_owned(),
            };
            Err(format!("has {} and {} side by side, with no operator between", named(left), named(right)))
        }
        _ => Ok(()),
    }
}

fn is_sign(operator: &str) -> bool {
    matches!(operator, "+" | "-")
}

const fn opens(closing: char) -> char {
    match closing {
        ')' => '(',
        ']' => '[',
        _ => '{',
    }
}

fn tokens(query: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if first.is_whitespace() => first.len_utf8(),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' | '`' => {
                tokens.push(Token::Text);
                quoted(rest, first)
                    .ok_or_else(|| format!("does not end the text that begins with `{first}`"))?
            }
            '(' | '[' | '{' => {
                tokens.push(Token::Open(first));
                1
            }
            ')' | ']' | '}' => {
                tokens.push(Token::Close(first));
                1
            }
            ',' => {
                tokens.push(Token::Comma);
                1
            }
            _ if in_word(first) => {
                let length = word(rest);
                tokens.push(Token::Word(rest.get(..length).unwrap_or(rest)));
                length
            }
            _ => {
                let operator = operator(rest).ok_or_else(|| {
                    format!("has `{}`, which is no part of the language", first.escape_debug())
                })?;
                tokens.push(Token::Operator(operator));
                operator.len()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(tokens)
}

/// A backslash escapes what a name could not have otherwise.
fn in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | ':' | '.' | '\\')
}

/// How long a name or a number is. The exponent of a number has a sign.
fn word(rest: &str) -> usize {
    let decimal =
        rest.starts_with(|first: char| first.is_ascii_digit() || first == '.') && !rest.starts_with("0x");
    let mut last = ' ';
    for (at, c) in rest.char_indices() {
        let exponent = decimal && matches!(last, 'e' | 'E') && matches!(c, '+' | '-');
        if !(in_word(c) || exponent || last == '\\') {
            return at;
        }
        last = c;
    }
    rest.len()
}

/// How long a text in quotes is, its quotes included.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn operator(rest: &str) -> Option<&str> {
    const OPERATORS: [&str; 16] =
        ["==", "!=", ">=", "<=", "=~", "!~", ">", "<", "=", "+", "-", "*", "/", "%", "^", "@"];
    let found = OPERATORS.iter().find(|operator| rest.starts_with(**operator))?;
    rest.get(..found.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_every_dialect_pass() {
        for query in [
            "up",
            "1",
            "time() > 5",
            "sum(rate(errors[5m])) < bool 1",
            "sum by (job, instance) (rate(http_requests_total{code=~\"5..\", job!='x'}[5m:1m] offset 1h)) / 2e-3 > 1e+9",
            "-up * -1 ^ +2",
            "a and on (job) b unless ignoring(x) group_left(y) c",
            "up{} @ 1609746000 == 1",
            "up @ start() == 1 # a comment with ( and '",
            "histogram_quantile(0.9, sum(rate(x_bucket[1h30m])) by (le))",
            "{\"http.status\", job=\"a\"}",
            "label_replace(up, 'a', \"$1\", `b`, '(.*)\\'')",
            "sum(rate(x)) keep_metric_names",
            "with (f(x) = x + 1) f(up) default 0 if up",
            "foo\\-bar > 0",
            "запросы > 0",
            "count_values('version', build_info) > 0x1F",
            "up{job='a' or job='b'}",
            "sum(up) without (instance) >= 3",
        ] {
            assert_eq!(check(query), Ok(()), "{query}");
        }
    }

    #[test]
    fn a_query_that_no_server_can_answer_is_told_why() {
        for (query, why) in [
            ("", "is empty"),
            ("   ", "is empty"),
            ("# nothing else", "is empty"),
            ("sum(", "does not close `(`"),
            ("sum(rate(x[5m)", "closes `)`, which is not open there"),
            ("sum(up))", "closes `)`, which is not open there"),
            ("up{job=\"a}", "does not end the text"),
            ("up ==", "nothing on the right of `==`"),
            ("sum(up +)", "nothing on the right of `+`"),
            ("up and", "nothing on the right of `and`"),
            ("== 1", "nothing on the left of `==`"),
            ("sum(* 2)", "nothing on the left of `*`"),
            ("up > < 1", "nothing between `>` and `<`"),
            ("up down", "`up` and `down` side by side"),
            ("rate(x[])", "a range without a length"),
            ("up > $threshold", "has `$`"),
            ("up; down", "has `;`"),
        ] {
            let told = check(query).unwrap_err();
            assert!(told.contains(why), "{query}: {told}");
        }
    }

    #[test]
    fn a_function_that_is_nearly_another_is_asked_about() {
        let near = |query: &str| misspelt(query).map(|(word, near)| format!("{word} {near}"));
        assert_eq!(
            near("histogram_quantil(0.9, x)").as_deref(),
            Some("histogram_quantil histogram_quantile")
        );
        for query in ["tmax_over_time(x[5m])", "rollup_rate(x[5m])", "sum(rate(x[5m]))", "my_own_function(x)"]
        {
            assert_eq!(near(query), None, "{query}");
        }
    }

    #[test]
    fn no_text_whatever_ends_in_a_fault() {
        for query in ["\\", "é\"", "1e", "e+", "'\\", "`\\`", "{", "}", "\u{200b}", "0x", "@@", "🦀(🦀"]
        {
            let _ = check(query);
            let _ = misspelt(query);
        }
    }
}
