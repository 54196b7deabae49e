//! What can go wrong with a provider, sorted by what to do about it.

use std::error::Error;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The cloud asks to slow down: try again later, with the account's other calls in mind.
    Throttled,
    /// A passing fault: try again with backoff.
    Transient,
    /// The world is not as the step expected: make a new plan at once.
    WorldMoved,
    /// The cloud says that the caller may not: an operator has to change a role or a policy.
    Denied,
    /// The cloud says that the request is wrong: an operator has to change the spec.
    Invalid,
    /// A quota is used up: an operator has to raise it.
    LimitReached,
    /// Something of the same name belongs to somebody else: an operator has to decide.
    NotOurs,
    /// Something that this version of fleet does not understand. Never read as "not there".
    Unknown,
}

impl ErrorClass {
    /// True when trying again, later, can help without anybody acting.
    pub const fn passes_by_itself(self) -> bool {
        matches!(self, Self::Throttled | Self::Transient | Self::WorldMoved | Self::Unknown)
    }

    /// The class as reports and metrics write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "Throttled",
            Self::Transient => "Transient",
            Self::WorldMoved => "WorldMoved",
            Self::Denied => "Denied",
            Self::Invalid => "Invalid",
            Self::LimitReached => "LimitReached",
            Self::NotOurs => "NotOurs",
            Self::Unknown => "Unknown",
        }
    }
}

/// A call that did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed for cluster {cluster}{}{}", .code.as_deref().map(|c| format!(" with {c}")).unwrap_or_default(), .message.as_deref().map(|m| format!(": {m}")).unwrap_or_default())]
pub struct ProviderError {
    /// What to do about it.
    pub class: ErrorClass,
    /// The operation, as the cloud names it, such as `CreateCluster`.
    pub operation: String,
    /// The cluster's name.
    pub cluster: String,
    /// The cloud's code, such as `InvalidParameterException`.
    pub code: Option<String>,
    /// The cloud's message.
    pub message: Option<String>,
    /// What happened below.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}
