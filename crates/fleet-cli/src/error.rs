//! Errors of commands: what failed, why, what to do, and the exit code that says which sort it is.

use std::{error::Error as StdError, fmt, process::ExitCode};

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
    source: Option<Box<dyn StdError + Send + Sync>>,
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
        Self { kind, message: message.into(), source: None, hints: Vec::new() }
    }

    /// Adds the cause.
    #[must_use]
    pub(crate) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
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
        self.source.as_ref().is_some_and(|source| source.to_string().contains("conflict"))
    }

    /// What failed and why, in one line.
    pub(crate) fn to_text_of_causes(&self) -> String {
        match &self.source {
            Some(source) => format!("{}: {source}", self.message),
            None => self.message.clone(),
        }
    }

    /// The error for people: what failed, the numbered chain of causes, and the hints.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("error: {}", self.message);
        let mut causes = Vec::new();
        let mut next = self.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(cause) = next {
            let line = cause.to_string();
            // Wrappers that repeat their source's text would be read as two causes.
            if causes.last() != Some(&line) {
                causes.push(line);
            }
            next = cause.source();
        }
        if !causes.is_empty() {
            text.push_str("\nCaused by:");
            for (number, cause) in causes.iter().enumerate() {
                text.push_str(&format!("\n  {}: {}", number + 1, cause.replace('\n', "\n     ")));
            }
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

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for CliError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
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
