//! The patterns of text in the schemas: compiled, in words, and with the parser that knows more than they do.

use std::{collections::BTreeMap, str::FromStr};

use fleet_api::{
    KubernetesVersion,
    text::{Day, Gap, Minutes, TimeOfDay},
};
use regex_lite::Regex;
use serde_json::Value as Json;

/// The pattern of lengths of time in minutes.
pub(super) const MINUTES: &str = "^(([1-9][0-9]{0,3}|[1-3][0-9]{4}|4[0-3][0-9]{3}|44[0-5][0-9]{2}|446[0-3][0-9]|44640)m|([1-9][0-9]?|[1-6][0-9]{2}|7[0-3][0-9]|74[0-3])h([0-5]?[0-9]m)?|744h)$";

/// How lengths of time are written.
pub(super) const DURATION_HINT: &str = "write hours, minutes or both, from `1m` to `744h` (31 days)";

/// Compiles the patterns of a schema.
pub(super) fn collect(schema: &Json, into: &mut BTreeMap<String, Regex>) {
    match schema {
        Json::Object(fields) => {
            if let Some(pattern) = fields.get("pattern").and_then(Json::as_str)
                && let Ok(regex) = Regex::new(pattern)
            {
                into.insert(pattern.to_owned(), regex);
            }
            fields.values().for_each(|below| collect(below, into));
        }
        Json::Array(items) => items.iter().for_each(|below| collect(below, into)),
        _ => {}
    }
}

/// What a pattern stands for, in words.
pub(super) fn words(pattern: &str) -> Option<&'static str> {
    Some(match pattern {
        "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$" => {
            "a label value: letters, digits, `-`, `_` and `.`, with a letter or digit at both ends"
        }
        "^[0-9]{12}$" => "an AWS account: 12 digits in quotes",
        "^[a-z]{2}(-[a-z]+)+-[0-9]$" => "an AWS region such as `eu-central-1`",
        r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$" => {
            "the ARN of an IAM role, such as `arn:aws:iam::111122223333:role/NAME`"
        }
        r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$" => {
            "the ARN of an IAM role or user, such as `arn:aws:iam::111122223333:role/NAME`"
        }
        r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$" => {
            "the ARN of a KMS key, such as `arn:aws:kms:eu-central-1:111122223333:key/ID`"
        }
        "^[a-z]([-a-z0-9]*[a-z0-9])?$" => {
            "a name of lower-case letters, digits and `-` that begins with a letter"
        }
        "^AmazonEKS[A-Za-z]+Policy$" => "the name of an EKS access policy, such as `AmazonEKSViewPolicy`",
        "^[0-9a-f]{64}$" => "a SHA-256 in 64 hexadecimal digits",
        "^[A-Z]{2,4}-[0-9]{1,2}$" => "the id of a control, such as `POD-7`",
        "^[-._a-zA-Z0-9]+$" => "a key of a Secret: letters, digits, `-`, `.` and `_`",
        _ => return None,
    })
}

/// Values that are parsed, by the pattern that their schema has: the parser knows more than the pattern.
pub(super) fn parse_error(pattern: &str, text: &str) -> Option<Result<(), String>> {
    fn parse<T: FromStr>(text: &str) -> Result<(), String>
    where
        T::Err: std::fmt::Display,
    {
        text.parse::<T>().map(drop).map_err(|error| error.to_string())
    }
    Some(match pattern {
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" => parse::<Day>(text),
        "^([01][0-9]|2[0-3]):[0-5][0-9]$" => parse::<TimeOfDay>(text),
        MINUTES => parse::<Minutes>(text),
        "^[0-9]{1,4}[hd]$" => parse::<Gap>(text),
        r"^1\.(0|[1-9][0-9]{0,2})$" => parse::<KubernetesVersion>(text),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{SCHEMAS, of_spec},
        *,
    };

    #[test]
    fn every_pattern_of_the_schemas_compiles_and_has_words_or_a_parser() {
        fn walk(schema: &Json, found: &mut Vec<String>) {
            match schema {
                Json::Object(fields) => {
                    found.extend(fields.get("pattern").and_then(Json::as_str).map(str::to_owned));
                    fields.values().for_each(|below| walk(below, found));
                }
                Json::Array(items) => items.iter().for_each(|below| walk(below, found)),
                _ => {}
            }
        }
        let mut patterns = Vec::new();
        for kind in
            ["Fleet", "Tenant", "TenantClass", "Baseline", "VersionChannel", "ControlException", "Rollout"]
        {
            walk(of_spec(kind), &mut patterns);
            assert!(of_spec(kind).is_object(), "{kind}");
        }
        assert!(patterns.len() > 10);
        for pattern in patterns {
            assert!(SCHEMAS.patterns.contains_key(&pattern), "{pattern}");
            assert!(words(&pattern).is_some() || parse_error(&pattern, "").is_some(), "{pattern}");
        }
    }

    #[test]
    fn the_pattern_of_durations_takes_what_their_parser_takes() {
        let pattern = SCHEMAS.patterns.get(MINUTES).unwrap();
        let hours = (0..1100).flat_map(|hours| {
            ["", "0m", "00m", "5m", "05m", "59m", "60m", "090m"].map(|minutes| format!("{hours}h{minutes}"))
        });
        let minutes = (0..60_000).step_by(7).chain(44_600..44_700).map(|minutes| format!("{minutes}m"));
        let odd = ["", "h", "m", "4", "04h", "090m", "-5h", "+5h", "4h ", "1.5h", "8d", "1h30", "1m1h", "٤h"];
        for text in hours.chain(minutes).chain(odd.map(str::to_owned)) {
            assert_eq!(pattern.is_match(&text), text.parse::<Minutes>().is_ok(), "{text}");
        }
        for (text, minutes) in [("1m", 1), ("90m", 90), ("4h", 240), ("1h30m", 90), ("744h", 44_640)] {
            assert_eq!(text.parse(), Ok(Minutes(minutes)), "{text}");
        }
    }
}
