//! Calls as the emulator tells of them.

use std::collections::BTreeSet;

use serde::Deserialize;

/// When a controller dies in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Before the call takes effect, and it never does.
    Before,
    /// After it has taken effect, before its answer arrives.
    After,
    /// Before it takes effect, and it arrives when the next controller has sent it again.
    Late,
}

/// What a call asks for, without the token that says which try it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    pub operation: String,
    pub about: String,
    pub asked: String,
}

/// A call that is held.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    pub id: u64,
    #[serde(flatten)]
    pub call: Call,
}

/// A call in the journal.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    #[serde(flatten)]
    pub call: Call,
    pub token: Option<String>,
    pub running_updates: usize,
    pub refused: Option<String>,
}

impl Entry {
    /// Whether the call began something that EKS calls an update.
    pub fn begins_update(&self) -> bool {
        let operation = self.call.operation.as_str();
        operation.starts_with("Update")
            && !matches!(operation, "UpdateAccessEntry" | "UpdatePodIdentityAssociation")
    }
}

/// What a call is, with what differs between lives taken out: the operation, the subject, and how many calls before it
/// in the same life had the same two.
pub type Key = (String, String, usize);

/// The calls of a life in which its controllers die: every n-th of those that an undisturbed one makes.
#[derive(Debug, Clone, Default)]
pub struct Share {
    /// What tells the lives apart that share the calls.
    pub label: String,
    calls: BTreeSet<Key>,
}

impl Share {
    /// One of `of` shares of calls, which together are all of them.
    pub fn new(calls: &[Key], share: usize, of: usize) -> Self {
        let label = if of > 1 { format!("-{}", share + 1) } else { String::new() };
        Self { label, calls: calls.iter().skip(share).step_by(of).cloned().collect() }
    }

    /// Whether a controller is to die in this call.
    pub fn has(&self, key: &Key) -> bool {
        self.calls.contains(key)
    }
}
