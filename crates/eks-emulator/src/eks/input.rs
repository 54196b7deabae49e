//! What an operation was asked: path parameters, query, body; and pages of answers.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{error::ApiError, journal::Question, model::Idempotency};

/// What an operation was asked.
#[derive(Debug)]
pub(crate) struct Input {
    operation: &'static str,
    path: Vec<String>,
    query: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Input {
    /// From the parts of a request; the query as sent.
    pub(crate) fn new(operation: &'static str, path: Vec<String>, query: &str, body: Vec<u8>) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        Self { operation, path, query, body }
    }

    /// A parameter of the path; the router made sure that it is there.
    pub(crate) fn path(&self, index: usize) -> &str {
        self.path.get(index).map_or("", String::as_str)
    }

    /// The cluster that the call is about, if it is about one.
    pub(crate) fn cluster(&self, operation: &str) -> Option<String> {
        if operation == "CreateCluster" {
            let body: Value = serde_json::from_slice(&self.body).ok()?;
            return body.get("name")?.as_str().map(str::to_owned);
        }
        // Paths that begin with something else than `clusters/NAME` have an ARN or nothing.
        self.path.first().filter(|name| !name.starts_with("arn:")).cloned()
    }

    /// What the call asks for, for the journal. Names of what is made are members of its body.
    pub(crate) fn question(&self, path: &str) -> Question {
        const NAMES: [&str; 6] =
            ["name", "nodegroupName", "addonName", "principalArn", "namespace", "serviceAccount"];
        let body: BTreeMap<String, Value> = serde_json::from_slice(&self.body).unwrap_or_default();
        let mut about = percent_decode_str(path.trim_start_matches('/')).decode_utf8_lossy().into_owned();
        if self.operation.starts_with("Create") {
            for name in NAMES.iter().filter_map(|name| body.get(*name)?.as_str()) {
                about = format!("{about}/{name}");
            }
        }
        // What an association names beside the principal of its path.
        if let Some(policy) = body.get("policyArn").and_then(Value::as_str) {
            about = format!("{about}/{policy}");
        }
        let token = "clientRequestToken";
        let query = self.query.iter().map(|(name, value)| (name.clone(), Value::from(value.clone())));
        Question::new(self.operation, about, body.into_iter().chain(query).collect(), token)
    }

    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A list of the query: the name is repeated (source: model, restJson1).
    pub(crate) fn query_list(&self, name: &str) -> Vec<&str> {
        self.query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A flag of the query.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.query(name) == Some("true")
    }

    /// The body as the shape that the operation takes.
    ///
    /// A member of the real operation that the emulator does not carry is refused by name, never dropped in silence.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let bytes: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        serde_json::from_slice(bytes).map_err(|error| {
            if error.is_data() {
                ApiError::invalid_parameter(format!("{}: {error}", self.operation))
            } else {
                ApiError::serialization(error.to_string())
            }
        })
    }

    /// The caller's token with a hash of what it asked for, so that the same question is known again.
    pub(crate) fn idempotency(&self, token: Option<&String>) -> Option<Idempotency> {
        let mut hash = Sha256::new();
        for part in std::iter::once(self.operation).chain(self.path.iter().map(String::as_str)) {
            hash.update(part);
            hash.update([0]);
        }
        // Members may come in any order: the canonical form of the body is hashed.
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(value) => hash.update(value.to_string()),
            Err(_) => hash.update(&self.body),
        }
        Some(Idempotency { token: token?.clone(), asked: hex::encode(hash.finalize()) })
    }

    /// One page of a sorted list, as `{member: [...], nextToken}`.
    pub(crate) fn page<T: Into<Value>>(
        &self,
        member: &str,
        items: Vec<(String, T)>,
    ) -> Result<Value, ApiError> {
        paged(member, items, self.query("maxResults"), self.query("nextToken"), 100)
    }
}

/// What a repeated token means.
pub(crate) enum Repeated {
    /// The same call again: answer again.
    Same,
    /// Another call.
    No,
}

/// Compares a call with one that was accepted before.
///
/// # Errors
/// When the token is the same and the request is not. Source: docs (EC2 and others); unverified for EKS.
pub(crate) fn repeated(
    before: Option<&Idempotency>,
    now: Option<&Idempotency>,
) -> Result<Repeated, ApiError> {
    match (before, now) {
        (Some(before), Some(now)) if before.token == now.token => match before.asked == now.asked {
            true => Ok(Repeated::Same),
            false => Err(ApiError::invalid_parameter(format!(
                "The client request token {} was used before with other parameters.",
                now.token
            ))),
        },
        _ => Ok(Repeated::No),
    }
}

/// One page of a sorted list. The token says after which item the page begins, so it survives changes of the list.
pub(crate) fn paged<T: Into<Value>>(
    member: &str,
    items: Vec<(String, T)>,
    max_results: Option<&str>,
    next_token: Option<&str>,
    default_size: usize,
) -> Result<Value, ApiError> {
    let size = match max_results {
        None => default_size,
        // Source: model (1 to 100).
        Some(text) => text
            .parse()
            .ok()
            .filter(|size| (1..=100).contains(size))
            .ok_or_else(|| ApiError::invalid_parameter("maxResults must be between 1 and 100."))?,
    };
    let after = match next_token {
        None => None,
        Some(token) => {
            Some(read_token(token).ok_or_else(|| ApiError::invalid_parameter("Invalid nextToken."))?)
        }
    };
    let mut rest = items.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let mut last = None;
    let mut page = Vec::new();
    for (key, item) in rest.by_ref().take(size) {
        last = Some(key);
        page.push(item.into());
    }
    let mut answer = json!({ member: page });
    if rest.next().is_some()
        && let (Some(last), Some(object)) = (last, answer.as_object_mut())
    {
        object.insert("nextToken".to_owned(), Value::String(URL_SAFE_NO_PAD.encode(format!("after:{last}"))));
    }
    Ok(answer)
}

fn read_token(token: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix("after:").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect()
    }

    #[test]
    fn pages_follow_each_other_although_the_list_changes() {
        let first = paged("clusters", items(&["a", "b", "c"]), Some("2"), None, 100).unwrap();
        assert_eq!(first["clusters"], json!(["a", "b"]));
        let token = first["nextToken"].as_str().unwrap();
        let second = paged("clusters", items(&["a", "c", "d"]), Some("2"), Some(token), 100).unwrap();
        assert_eq!(second, json!({"clusters": ["c", "d"]}));
    }

    #[test]
    fn a_page_has_one_to_a_hundred_items_and_a_token_of_ours() {
        for (size, token) in [(Some("0"), None), (Some("101"), None), (Some("x"), None), (None, Some("x"))] {
            assert!(paged("clusters", items(&["a"]), size, token, 100).is_err(), "{size:?} {token:?}");
        }
    }

    #[test]
    fn the_same_question_is_known_again_whatever_the_order_of_its_members() {
        let token = "t".to_owned();
        let ask = |body: &str| Input::new("CreateCluster", vec![], "", body.into()).idempotency(Some(&token));
        assert_eq!(ask(r#"{"a": 1, "b": 2}"#), ask(r#"{"b":2,"a":1}"#));
        assert_ne!(ask(r#"{"a": 1}"#), ask(r#"{"a": 2}"#));
        assert!(repeated(ask("{}").as_ref(), ask(r#"{"a": 2}"#).as_ref()).is_err());
    }
}
