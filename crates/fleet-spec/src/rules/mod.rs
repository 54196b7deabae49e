//! The rules that a schema cannot say. They run over typed objects and know no files: the controller judges by
//! the same ones.

mod baseline;
mod channel;
mod class;
mod exception;
mod fleet;
mod gates;
mod maintenance;
mod network;
mod prometheus;
mod quantity;
mod references;
mod rollout;
mod tenant;
mod unique;

pub use baseline::baseline;
pub use channel::channel;
pub use class::class;
pub use exception::exception;
pub use fleet::fleet;
pub use quantity::parse_quantity;
pub use references::References;
pub use rollout::rollout;
pub use tenant::tenant;

use serde::Serialize;

use crate::{
    field_path::FieldPath,
    finding::{Code, Severity},
    text::escaped,
};

/// A fault of an object, without a place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of fault it is.
    pub code: Code,
    /// The field.
    pub path: FieldPath,
    /// What is wrong, without full stop.
    pub message: String,
    /// What to do, as one imperative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn error(code: Code, path: FieldPath, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, path, message: escaped(message.into()), hint: None }
    }

    pub(crate) fn warning(code: Code, path: FieldPath, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, path, message: escaped(message.into()), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(escaped(hint.into()));
        self
    }
}
