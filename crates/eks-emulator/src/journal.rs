//! The journal: every call that changes something, as it arrived, with what came of it. Tests read it to say that
//! nothing was done twice. It is kept in memory alone.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How many calls are kept; the oldest go first.
const MOST: usize = 20_000;

/// Whether an operation changes something that a caller made or pays for. Sessions of STS do not count.
pub fn changes_something(operation: &str) -> bool {
    ["Create", "Update", "Delete", "Associate", "Disassociate", "Tag", "Untag", "Cancel"]
        .iter()
        .any(|verb| operation.starts_with(verb))
}

/// What a call asks for, apart from the token that says which try it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The operation, such as `CreateAddon`.
    pub operation: String,
    /// What it is about: the path of an EKS call, with the name of what is made at its end; the name of a launch
    /// template.
    pub about: String,
    /// The caller's token.
    pub token: Option<String>,
    /// A hash of everything else.
    pub asked: String,
}

impl Question {
    /// A question from the parameters of its body or form. `token` is the name of the token's parameter.
    pub(crate) fn new(
        operation: &str,
        about: String,
        mut parameters: BTreeMap<String, Value>,
        token: &str,
    ) -> Self {
        let token = parameters.remove(token).and_then(|token| token.as_str().map(str::to_owned));
        let mut hash = Sha256::new();
        for (name, value) in &parameters {
            hash.update(format!("{name}={value}\n"));
        }
        Self { operation: operation.to_owned(), about, token, asked: hex::encode(hash.finalize()) }
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its place in the journal, from 1.
    pub number: u64,
    /// When it was carried out or refused.
    pub at: Timestamp,
    /// The account.
    pub account: String,
    /// What it asked for.
    #[serde(flatten)]
    pub question: Question,
    /// How many updates of the cluster and its parts were running when it arrived.
    pub running_updates: usize,
    /// The code with which it was refused.
    pub refused: Option<String>,
}

/// The journal.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<(u64, VecDeque<Entry>)>);

impl Journal {
    /// Adds a call, which gets its number here.
    pub(crate) fn add(&self, mut entry: Entry) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0 += 1;
        entry.number = kept.0;
        if kept.1.len() == MOST {
            kept.1.pop_front();
        }
        kept.1.push_back(entry);
    }

    /// All calls that are kept, oldest first.
    pub(crate) fn all(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_differs_by_its_token_alone() {
        let ask = |token: &str, name: &str| {
            let parameters = BTreeMap::from([
                ("clientRequestToken".to_owned(), Value::from(token)),
                ("name".to_owned(), Value::from(name)),
            ]);
            Question::new("CreateCluster", "clusters".to_owned(), parameters, "clientRequestToken")
        };
        assert_eq!(ask("a", "x").asked, ask("b", "x").asked);
        assert_eq!(ask("a", "x").token.as_deref(), Some("a"));
        assert_ne!(ask("a", "x").asked, ask("a", "y").asked);
    }

    #[test]
    fn reads_and_sessions_change_nothing() {
        for operation in ["CreateAddon", "UpdateClusterConfig", "DeleteLaunchTemplate", "TagResource"] {
            assert!(changes_something(operation), "{operation}");
        }
        for operation in ["DescribeCluster", "ListAddons", "AssumeRole", "GetResources"] {
            assert!(!changes_something(operation), "{operation}");
        }
    }
}
