//! Parameters of the query protocols: `Action=...&Filter.1.Name=...`.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Parameters by their dotted names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads a form, or the query of a URL.
    pub(crate) fn parse(text: &str) -> Self {
        let decode =
            |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(pairs.map(|(name, value)| (decode(name), decode(value))).collect())
    }

    /// One parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All parameters by their names, as JSON.
    pub(crate) fn all(&self) -> BTreeMap<String, Value> {
        self.0.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect()
    }

    /// Everything below a name, such as `LaunchTemplateData`.
    pub(crate) fn below(&self, name: &str) -> Self {
        let prefix = format!("{name}.");
        let below = self
            .0
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())));
        Self(below.collect())
    }

    /// The structures of a list, in their order: `NAME.1.*`, `NAME.2.*`.
    pub(crate) fn each(&self, name: &str) -> Vec<Self> {
        let below = self.below(name);
        below.numbers().into_iter().map(|number| below.below(&number.to_string())).collect()
    }

    /// The values of a list, in their order: `NAME.1`, `NAME.2`.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let below = self.below(name);
        below.numbers().into_iter().filter_map(|number| below.0.get(&number.to_string()).cloned()).collect()
    }

    /// The names at the top that are none of these; a number stands for itself.
    pub(crate) fn unknown(&self, known: &[&str]) -> Option<&str> {
        self.0.keys().map(|key| key.split('.').next().unwrap_or(key)).find(|top| !known.contains(top))
    }

    fn numbers(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> =
            self.0.keys().filter_map(|key| key.split('.').next()?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_structures_are_read_in_their_order() {
        let params = Params::parse(
            "Action=X&Filter.2.Name=b&Filter.10.Name=c&Filter.1.Name=tag%3Aa&Filter.1.Value.1=x+y&Filter.1.Value.2=z",
        );
        let filters = params.each("Filter");
        let names: Vec<_> = filters.iter().filter_map(|filter| filter.get("Name")).collect();
        assert_eq!(names, ["tag:a", "b", "c"]);
        assert_eq!(filters[0].list("Value"), ["x y", "z"]);
        assert_eq!(params.unknown(&["Action", "Filter"]), None);
        assert_eq!(params.unknown(&["Action"]), Some("Filter"));
    }
}
