//! Probes: requests that show whether a control bites, as data.
//!
//! Every writing attempt is meant to be sent as a server-side dry run, impersonating the persona.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request and the answer it must get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// The id, unique in the bundle, such as `POD-7/foreign-image`.
    pub id: String,
    /// The control that it judges, such as `POD-7`.
    pub control: String,
    /// What it tries, in one line.
    pub title: String,
    /// As whom it is sent.
    pub persona: Persona,
    /// What it tries.
    pub attempt: Attempt,
    /// The answer that shows that the control holds.
    pub expect: Expect,
    /// For a request that must pass: the denied request that it differs from in the judged point alone. If it
    /// is denied too, the denial proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin_of: Option<String>,
}

/// As whom a request is sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Persona {
    /// The user to impersonate. Empty stands for fleet itself, without impersonation.
    pub user: String,
    /// The groups to impersonate.
    #[serde(default)]
    pub groups: Vec<String>,
}

impl Persona {
    /// Whether the request is sent as fleet itself.
    pub fn is_platform(&self) -> bool {
        self.user.is_empty()
    }
}

/// What a probe tries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Attempt {
    /// Creates an object, as a dry run.
    #[serde(rename_all = "camelCase")]
    Create {
        /// The object, with its `apiVersion`, `kind` and `metadata`.
        object: Value,
    },
    /// Changes an object by a JSON merge patch, as a dry run.
    #[serde(rename_all = "camelCase")]
    Patch {
        /// Group and version.
        api_version: String,
        /// The kind.
        kind: String,
        /// The namespace, unless the object belongs to the whole cluster.
        #[serde(default)]
        namespace: Option<String>,
        /// The name.
        name: String,
        /// The JSON merge patch.
        patch: Value,
    },
    /// Deletes an object, as a dry run.
    #[serde(rename_all = "camelCase")]
    Delete {
        /// Group and version.
        api_version: String,
        /// The kind.
        kind: String,
        /// The namespace, unless the object belongs to the whole cluster.
        #[serde(default)]
        namespace: Option<String>,
        /// The name.
        name: String,
    },
    /// Asks whether the persona may do something (SelfSubjectAccessReview). `Denied` means that the answer is
    /// no, whatever the words.
    #[serde(rename_all = "camelCase")]
    Access {
        /// The verb.
        verb: String,
        /// The API group; empty for the core group.
        #[serde(default)]
        group: String,
        /// The resource, plural.
        resource: String,
        /// The subresource.
        #[serde(default)]
        subresource: Option<String>,
        /// The namespace; everywhere when left out.
        #[serde(default)]
        namespace: Option<String>,
        /// The object's name; any when left out.
        #[serde(default)]
        name: Option<String>,
    },
    /// Reads an object and compares. `Allowed` means that every comparison holds; `Denied` that the object does
    /// not exist.
    #[serde(rename_all = "camelCase")]
    Inspect {
        /// Group and version.
        api_version: String,
        /// The kind.
        kind: String,
        /// The namespace, unless the object belongs to the whole cluster.
        #[serde(default)]
        namespace: Option<String>,
        /// The name.
        name: String,
        /// What must hold.
        checks: Vec<Check>,
    },
    /// No request to an API server can show it: the verdict is "not proven".
    #[serde(rename_all = "camelCase")]
    NotShowable {
        /// What would have to be seen, and where.
        why: String,
    },
}

/// One comparison of an [`Attempt::Inspect`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// The JSON pointer (RFC 6901) into the object.
    pub pointer: String,
    /// What must stand there.
    pub is: Comparison,
}

/// What must stand at a place of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Comparison {
    /// Exactly this value.
    Value(Value),
    /// Exactly what stands at this other JSON pointer of the same object.
    SameAs(String),
    /// Nothing, or an empty list or map.
    Absent(bool),
}

impl Check {
    /// Whether the object holds what must stand there.
    pub fn holds(&self, object: &Value) -> bool {
        let found = object.pointer(&self.pointer);
        match &self.is {
            Comparison::Value(wanted) => found == Some(wanted),
            Comparison::SameAs(other) => found.is_some() && found == object.pointer(other),
            Comparison::Absent(wanted) => {
                crate::normalise::is_nothing(found.unwrap_or(&Value::Null)) == *wanted
            }
        }
    }
}

/// The answer that shows that a control holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expect {
    /// The server refuses.
    #[serde(rename_all = "camelCase")]
    Denied {
        /// Words that the refusal must contain, so that a refusal for another reason does not count. For an
        /// admission policy they name it.
        by: String,
    },
    /// The server accepts.
    Allowed,
}
