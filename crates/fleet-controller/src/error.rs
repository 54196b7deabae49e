//! What keeps a reconcile from its end. What a cluster lacks is no error: it is told in its status.

use crate::lease::FenceClosed;

/// A reconcile that could not be carried to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    /// The management cluster refused or did not answer.
    #[error("cannot {action} {kind} {name}")]
    Hub {
        /// What was to be done, as a verb.
        action: &'static str,
        /// The kind.
        kind: &'static str,
        /// The object's name.
        name: String,
        /// What happened.
        #[source]
        source: Box<kube::Error>,
    },
    /// The receipt of a deletion could not be written or read.
    #[error("the receipt of {name} could not be written or read")]
    Receipt {
        /// The cluster or tenant.
        name: String,
        /// What happened.
        #[source]
        source: Box<fleet_exec::hub::HubError>,
    },
    /// A fault of fleet's own. It ends this reconcile, and no other.
    #[error("the reconcile of {kind} {name} ended in a fault of fleet's own")]
    Panicked {
        /// The kind.
        kind: &'static str,
        /// The object's name.
        name: String,
    },
    /// Somebody else writes the status of an object that only the leader writes.
    #[error("the status of {kind} {name} was written by somebody else")]
    OtherWriter {
        /// The kind.
        kind: &'static str,
        /// The object's name.
        name: String,
    },
    /// Another replica leads.
    #[error(transparent)]
    Fence(#[from] FenceClosed),
}

impl ReconcileError {
    /// Builds the error of a call to the management cluster.
    pub(crate) fn hub(
        action: &'static str,
        kind: &'static str,
        name: &str,
    ) -> impl FnOnce(kube::Error) -> Self + use<> {
        let name = name.to_owned();
        move |source| Self::Hub { action, kind, name, source: Box::new(source) }
    }

    /// The fixed word by which metrics know it.
    pub(crate) fn category(&self) -> &'static str {
        match self {
            Self::Hub { source, .. } => match &**source {
                kube::Error::Api(status) if status.code == 409 => "conflict",
                _ => "hub",
            },
            Self::Receipt { .. } => "receipt",
            Self::Panicked { .. } => "panic",
            Self::OtherWriter { .. } => "conflict",
            Self::Fence(_) => "fence",
        }
    }
}

/// An error with everything below it, on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Wrappers that repeat their source's text would say it twice.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
