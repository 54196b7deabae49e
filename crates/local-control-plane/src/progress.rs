//! What is said while servers are built.

use std::{fmt, path::PathBuf, time::Duration};

/// What is being done to get servers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Another process builds; this one waits for it.
    Waiting {
        /// The other process, if it said who it is.
        builder: Option<u32>,
    },
    /// The Go modules of a version are being fetched.
    Fetching {
        /// The version, such as `v1.36.3`.
        version: String,
        /// What is built of it, such as `kube-apiserver`.
        programs: Vec<String>,
        /// How long fetching and building are expected to take the first time.
        estimate: Estimate,
    },
    /// A version is being compiled.
    Compiling {
        /// The version.
        version: String,
        /// Packages compiled so far. Those that Go has in its own cache are not compiled again.
        packages: usize,
        /// Packages that the servers are made of.
        of: usize,
        /// Since the start of the build.
        elapsed: Duration,
        /// How long fetching and building are expected to take the first time.
        estimate: Estimate,
    },
    /// A version is in the cache.
    Built {
        /// The version.
        version: String,
        /// Its folder.
        dir: PathBuf,
        /// How long it took.
        took: Duration,
    },
}

/// How long a build is expected to take from empty caches on an idle machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Whole minutes.
    pub minutes: usize,
    /// The cores that it was reckoned for.
    pub cores: usize,
}

/// Measured: 4.5 minutes per minor on 2 cores, from empty caches.
const CORE_MINUTES_PER_BUILD: usize = 9;

impl Estimate {
    /// The estimate for one version on so many cores.
    pub(crate) fn on(cores: usize) -> Self {
        Self { minutes: CORE_MINUTES_PER_BUILD.div_ceil(cores.max(1)), cores }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { minutes, cores } = self;
        let (many, several) = (if *minutes == 1 { "" } else { "s" }, if *cores == 1 { "" } else { "s" });
        write!(f, "about {minutes} minute{many} on {cores} core{several}")
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { builder: Some(pid) } => {
                write!(f, "another process (pid {pid}) is building the servers; waiting for it")
            }
            Self::Waiting { builder: None } => {
                f.write_str("another process is building the servers; waiting for it")
            }
            Self::Fetching { version, programs, estimate } => write!(
                f,
                "building {} of Kubernetes {version} with Go, once, which takes {estimate} from empty caches; fetching \
                 modules",
                listed(programs)
            ),
            Self::Compiling { version, packages, of, elapsed, estimate } if packages < of => write!(
                f,
                "building Kubernetes {version}: {packages} of at most {of} packages compiled, {} of {estimate}",
                clock(*elapsed)
            ),
            Self::Compiling { version, packages: _, of, elapsed, estimate } => write!(
                f,
                "building Kubernetes {version}: all {of} packages compiled, linking, {} of {estimate}",
                clock(*elapsed)
            ),
            Self::Built { version, dir, took } => {
                write!(f, "built Kubernetes {version} in {} into {}", clock(*took), dir.display())
            }
        }
    }
}

/// `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => "the servers".to_owned(),
        [only] => only.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// Times as `7s` or `4m 05s`.
fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m {:02}s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_says_what_it_builds_how_far_it_is_and_how_long_it_may_take() {
        let estimate = Estimate::on(2);
        let version = "v1.36.3".to_owned();
        let programs = ["etcd", "kube-apiserver", "kubectl"].map(str::to_owned).to_vec();
        assert_eq!(
            Progress::Fetching { version: version.clone(), programs, estimate }.to_string(),
            "building etcd, kube-apiserver and kubectl of Kubernetes v1.36.3 with Go, once, which takes about 5 minutes \
             on 2 cores from empty caches; fetching modules"
        );
        let elapsed = Duration::from_secs(125);
        assert_eq!(
            Progress::Compiling { version, packages: 812, of: 1204, elapsed, estimate }.to_string(),
            "building Kubernetes v1.36.3: 812 of at most 1204 packages compiled, 2m 05s of about 5 minutes on 2 cores"
        );
        assert_eq!(Estimate::on(16).to_string(), "about 1 minute on 16 cores");
    }
}
