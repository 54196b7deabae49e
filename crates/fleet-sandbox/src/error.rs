//! What can go wrong with a sandbox.

use std::{io, path::PathBuf};

use local_control_plane::Exit;

use crate::ownership::Holder;

/// A failure of this crate: the action that failed and what it was about. The cause is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sandbox runs in this folder already.
    #[error("the sandbox in {} is held by {holder}", dir.display())]
    Held {
        /// The state folder.
        dir: PathBuf,
        /// Who holds it.
        holder: Holder,
    },
    /// A folder that holds something, but no sandbox.
    #[error("{} is not empty and holds no sandbox", dir.display())]
    NotASandbox {
        /// The folder.
        dir: PathBuf,
    },
    /// The supervisor did not let go of the state folder.
    #[error("{holder} did not let go of {}", dir.display())]
    NotReleased {
        /// The state folder.
        dir: PathBuf,
        /// Who holds it.
        holder: Holder,
    },
    /// A file or folder could not be read, written, made or removed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, such as `write`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The supervisor could not be started.
    #[error("cannot start the supervisor ({})", program.display())]
    StartSupervisor {
        /// Its program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The supervisor ended before the sandbox was ready, without saying why.
    #[error("the supervisor ended with {status} before the sandbox was ready\n{log_end}")]
    SupervisorEnded {
        /// How it ended.
        status: String,
        /// The end of its log.
        log_end: String,
    },
    /// The supervisor could not start the sandbox and said why.
    #[error("{message}")]
    NotStarted {
        /// What it said.
        message: String,
        /// What can be done about it.
        hint: Option<String>,
    },
    /// The supervisor was told nothing that it understands.
    #[error("the supervisor was not started by `up`: it got no options")]
    NoOptions(#[source] serde_json::Error),
    /// The supervisor was told to end.
    #[error("the supervisor was told to end")]
    ToldToEnd,
    /// A file of the state folder is of another version of fleet, or broken.
    #[error("cannot understand {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// Etcd or the management control plane failed.
    #[error(transparent)]
    Servers(#[from] local_control_plane::Error),
    /// A service ended while it was started.
    #[error("{0}")]
    ServiceEnded(Box<Exit>),
    /// A service did not become healthy.
    #[error("{service} was not healthy after {seconds} s, its last answer: {answer}\n{log_end}")]
    NotHealthy {
        /// The service.
        service: String,
        /// How long it was waited for.
        seconds: u64,
        /// What it answered last.
        answer: String,
        /// The end of its log.
        log_end: String,
    },
    /// A manifest is not what a manifest should be.
    #[error("manifest {name} cannot be read: {why}")]
    Manifest {
        /// The manifest.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A request to the management API server failed.
    #[error("{action} on the management cluster failed")]
    Management {
        /// What was tried.
        action: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// What a person can do about it, as one imperative with the command, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Held { .. } => Some(
                "use it as it is, or end it with `fleet sandbox down`; another one needs another FLEET_SANDBOX_DIR"
                    .to_owned(),
            ),
            Self::NotASandbox { .. } => Some("name an empty or a new folder in FLEET_SANDBOX_DIR".to_owned()),
            Self::Unreadable { .. } => Some("remove the sandbox with `fleet sandbox down`".to_owned()),
            Self::Servers(error) => error.hint(),
            Self::NotStarted { hint, .. } => hint.clone(),
            Self::SupervisorEnded { .. } | Self::NotHealthy { .. } | Self::ServiceEnded(_) => {
                Some("read more with `fleet sandbox logs`".to_owned())
            }
            _ => None,
        }
    }

    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    pub(crate) fn management(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |error| {
            // An answer of the server says all there is to say; kube's words around it are for programmers.
            let source: Box<dyn std::error::Error + Send + Sync> = match error {
                kube::Error::Api(status) => status,
                error => Box::new(error),
            };
            Self::Management { action, source }
        }
    }

    /// The message with all its causes, as one text.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
