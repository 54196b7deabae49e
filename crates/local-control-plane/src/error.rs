//! What can go wrong with servers on this machine.

use std::{io, path::PathBuf};

use crate::{minor::Minor, process::Exit};

/// A failure of this crate: the action that failed and what it was about. The cause is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    /// A program is not on this machine.
    #[error("`{tool}` is needed {purpose}, and it is not on this machine (looked in {looked})")]
    MissingTool {
        /// The program.
        tool: &'static str,
        /// What it is needed for, as the rest of a sentence.
        purpose: String,
        /// Where it was looked for.
        looked: String,
        /// The command that gets it.
        get_it: String,
    },
    /// A program is on this machine, and too old.
    #[error("{} is {found}, and {needed}", program.display())]
    OldTool {
        /// Where it is.
        program: PathBuf,
        /// What it is, such as `Go 1.20.14`.
        found: String,
        /// What is needed and what for, as the rest of a sentence.
        needed: String,
        /// The command that gets a newer one.
        get_it: String,
    },
    /// A folder that was named explicitly does not hold the servers that it should.
    #[error("{variable} is {}, but no {missing} is there", dir.display())]
    AssetsIncomplete {
        /// The environment variable that named the folder.
        variable: &'static str,
        /// The folder.
        dir: PathBuf,
        /// What it lacks.
        missing: String,
    },
    /// A minor was asked for that can neither be found nor built.
    #[error("no Kubernetes {minor} servers were found, and only {buildable} can be built")]
    UnknownMinor {
        /// The minor asked for.
        minor: Minor,
        /// Those that can be built.
        buildable: String,
    },
    /// These assets hold no servers of a minor.
    #[error("no Kubernetes {minor} servers among the assets")]
    NoServers {
        /// The minor asked for.
        minor: Minor,
    },
    /// The Go build of the servers failed.
    #[error("building {version} with Go failed with {status}\n{output}")]
    Build {
        /// The version, such as `v1.36.3`.
        version: String,
        /// How Go ended.
        status: String,
        /// The end of what Go said.
        output: String,
    },
    /// A program could not be started at all.
    #[error("cannot start {process} ({})", program.display())]
    Spawn {
        /// The process's name.
        process: String,
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A server ended while it should have served.
    #[error("{0}")]
    Exited(Box<Exit>),
    /// A server did not become ready in time.
    #[error("{process} was not ready after {seconds} s, its last answer: {answer}\n{log_end}")]
    NotReady {
        /// The process's name.
        process: String,
        /// How long it was waited for.
        seconds: u64,
        /// What it answered last.
        answer: String,
        /// The end of its log.
        log_end: String,
    },
    /// A port that must be used is held by another process.
    #[error("port {port} of {name} is held by another process")]
    PortTaken {
        /// The control plane.
        name: String,
        /// The port.
        port: u16,
    },
    /// No free port was found.
    #[error("no free loopback port between {from} and {to}")]
    NoPort {
        /// The first port tried.
        from: u16,
        /// The last port tried.
        to: u16,
    },
    /// A control plane was described in a way that cannot be started.
    #[error("control plane `{name}` cannot be started: {why}")]
    Spec {
        /// The control plane.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A certificate could not be made or read.
    #[error("cannot make the certificate of {subject}")]
    Certificate {
        /// Whose certificate.
        subject: String,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// A request to a server failed.
    #[error("asking {url} failed")]
    Ask {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A server answered something that it never should.
    #[error("{url} answered {status}: {body}")]
    Answer {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
}

impl Error {
    /// What a person can do about it, as one imperative with the command, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::MissingTool { get_it, .. } | Self::OldTool { get_it, .. } => Some(get_it.clone()),
            Self::AssetsIncomplete { variable, .. } => {
                Some(format!("unset {variable} to use the cache, or to build the servers with Go"))
            }
            Self::Build { .. } => {
                Some("check that the Go module proxy can be reached: `go env GOPROXY`".to_owned())
            }
            Self::PortTaken { port, .. } => Some(format!("see who holds it: `ss -ltnp sport = :{port}`")),
            _ => None,
        }
    }

    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    pub(crate) fn ask(url: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Ask { url: url.to_owned(), source: source.into() }
    }
}
