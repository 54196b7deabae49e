//! Errors of commands: what failed, why, what to do, and the exit code that says which sort it is.

use std::{error::Error as StdError, process::ExitCode};

use crate::printer::plain;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or the same.
    Done,
    /// The answer is no: differences, findings, not ready.
    No,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::No => Self::from(1),
        }
    }
}

/// Which sort of failure, which is what scripts need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was asked for is not there or not so.
    No,
    /// Usage, spec or configuration is wrong: nothing changes until somebody edits something.
    Usage,
    /// A cluster or the cloud failed: trying again can help.
    Remote,
    /// Interrupted from the keyboard.
    Interrupted,
}

/// The failure of a command.
#[derive(Debug)]
pub(crate) struct CliError {
    kind: Kind,
    message: String,
    /// The chain of causes, outermost first.
    causes: Vec<String>,
    hints: Vec<String>,
}

/// The result of a command.
pub(crate) type Result<T> = std::result::Result<T, CliError>;

impl CliError {
    /// What was asked for is not there or not so.
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self::new(Kind::No, message)
    }

    /// Usage, spec or configuration is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A cluster or the cloud failed.
    pub(crate) fn remote(message: impl Into<String>) -> Self {
        Self::new(Kind::Remote, message)
    }

    /// Interrupted from the keyboard.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, message)
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new() }
    }

    /// Adds the cause, with the causes behind it.
    #[must_use]
    pub(crate) fn because(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source: Box<dyn StdError + Send + Sync> = source.into();
        self.because_of(Some(source.as_ref()))
    }

    /// Adds a cause that is no error of a library.
    #[must_use]
    pub(crate) fn because_text(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds a chain of causes, when there is one.
    #[must_use]
    pub(crate) fn because_of(mut self, source: Option<&(dyn StdError + 'static)>) -> Self {
        let mut next = source;
        while let Some(cause) = next {
            let line = cause.to_string();
            // What the SDK says below these words is the answer that stands above them, as a debug form.
            if line == "service error" || line == "unhandled error" {
                break;
            }
            // Wrappers that repeat their source's text would be read as two causes.
            if self.causes.last() != Some(&line) {
                self.causes.push(line);
            }
            next = cause.source();
        }
        self
    }

    /// Adds what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::No => 1,
            Kind::Usage => 2,
            Kind::Remote => 3,
            Kind::Interrupted => 130,
        })
    }

    /// True when somebody else holds what was to be written.
    pub(crate) fn is_conflict(&self) -> bool {
        self.causes.iter().any(|cause| cause.contains("conflict"))
    }

    /// What failed and why, in one line.
    pub(crate) fn to_text_of_causes(&self) -> String {
        std::iter::once(&self.message).chain(&self.causes).cloned().collect::<Vec<_>>().join(": ")
    }

    /// The error for people: what failed, the numbered chain of causes, and the hints.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("error: {}", self.message);
        if !self.causes.is_empty() {
            text.push_str("\nCaused by:");
        }
        for (number, cause) in self.causes.iter().enumerate() {
            text.push_str(&format!("\n  {}: {}", number + 1, plain(cause).replace('\n', "\n     ")));
        }
        if !self.hints.is_empty() {
            text.push('\n');
        }
        for hint in &self.hints {
            text.push_str(&format!("\nhint: {hint}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_what_failed_why_and_what_to_do() {
        let error = CliError::remote("tenants cannot be listed")
            .because(std::io::Error::other("connection refused"))
            .hint("check that the management cluster runs");
        assert_eq!(
            error.to_text(),
            "error: tenants cannot be listed\nCaused by:\n  1: connection refused\n\nhint: check that the management \
             cluster runs"
        );
    }
}
