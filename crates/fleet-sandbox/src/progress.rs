//! What `up` and `down` say while they work.

use std::{fmt, time::Duration};

/// A step of `up` or `down`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The servers are being built or waited for.
    Servers(local_control_plane::Progress),
    /// What a sandbox that was killed left behind was removed.
    Cleaned {
        /// How many of its processes were still alive and were ended.
        processes: usize,
    },
    /// A stage has begun.
    Began {
        /// The stage, such as `etcd`.
        stage: String,
    },
    /// A stage is over.
    Finished {
        /// The stage.
        stage: String,
        /// How long it took.
        took: Duration,
        /// What there is to say about it, such as a version, or why it was left out.
        note: Option<String>,
    },
    /// The supervisor was asked to end.
    Stopping {
        /// Its pid.
        pid: u32,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Servers(progress) => progress.fmt(f),
            Self::Cleaned { processes: 0 } => f.write_str("removed the files of a sandbox that was killed"),
            Self::Cleaned { processes } => {
                write!(f, "removed a sandbox that was killed, and {processes} of its processes")
            }
            Self::Began { stage } => write!(f, "{stage} ..."),
            Self::Finished { stage, took, note } => {
                write!(f, "{stage}: {:.1} s", took.as_secs_f64())?;
                note.iter().try_for_each(|note| write!(f, " ({note})"))
            }
            Self::Stopping { pid } => write!(f, "stopping the sandbox (pid {pid})"),
        }
    }
}
