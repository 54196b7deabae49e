//! Builds the servers from the Go module proxy into the cache.

use std::{
    collections::VecDeque,
    env, fmt, fs,
    fs::{File, OpenOptions},
    io::{Seek, Write},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{
    error::Error,
    minor::Release,
    private_files::{create_private_dir, read_if_there},
};

/// Measured: 4.5 minutes per minor on 2 cores, from an empty build cache.
const CORE_MINUTES_PER_BUILD: usize = 9;
const REPORT_EVERY: Duration = Duration::from_secs(2);
const LOCK_ASKED_EVERY: Duration = Duration::from_secs(1);
const KEPT_OUTPUT_LINES: usize = 30;

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
        /// How long fetching and building are expected to take the first time.
        about_minutes: usize,
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

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { builder: Some(pid) } => {
                write!(f, "another process (pid {pid}) is building the servers; waiting for it")
            }
            Self::Waiting { builder: None } => {
                f.write_str("another process is building the servers; waiting for it")
            }
            Self::Fetching { version, about_minutes } => write!(
                f,
                "building Kubernetes {version} with Go, which takes about {about_minutes} minutes the first time \
                 on an idle machine; fetching its modules"
            ),
            Self::Compiling { version, packages, of, elapsed } => write!(
                f,
                "building Kubernetes {version}: {packages} of at most {of} packages compiled after {} s",
                elapsed.as_secs()
            ),
            Self::Built { version, dir, took } => {
                write!(f, "built Kubernetes {version} in {} s into {}", took.as_secs(), dir.display())
            }
        }
    }
}

/// Builds a release into the cache, unless another process does so first.
///
/// The release's folder appears in one step, so whoever sees it sees all of it.
pub(crate) async fn install(
    release: Release,
    cache: &Path,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), Error> {
    let go = find_go(release, &go_dirs())?;
    create_private_dir(cache)?;
    let target = cache.join(release.version());
    let before = modified(&target);
    let _lock = BuildLock::take(&cache.join(".build.lock"), progress).await?;
    if modified(&target) != before {
        return Ok(());
    }

    let started = Instant::now();
    remove_unfinished(cache)?;
    let work = cache.join(format!("{UNFINISHED}{}", release.version()));
    let (module, out) = (work.join("module"), work.join("out"));
    create_private_dir(&module)?;
    create_private_dir(&out)?;
    let write = |name: &str, text: &str| {
        fs::write(module.join(name), text).map_err(Error::file("write", module.join(name)))
    };
    write("go.mod", release.go_mod)?;
    write("go.sum", release.go_sum)?;
    let built = compile(release, &go, &module, &out, started, progress).await;
    if built.is_ok() {
        // Go names a program after its package's folder, which for etcd is `server`.
        let server = out.join("server");
        if server.is_file() {
            fs::rename(&server, out.join("etcd")).map_err(Error::file("rename", server))?;
        }
        if target.exists() {
            fs::remove_dir_all(&target).map_err(Error::file("remove", &target))?;
        }
        fs::rename(&out, &target).map_err(Error::file("move into the cache", &out))?;
    }
    fs::remove_dir_all(&work).map_err(Error::file("remove", &work))?;
    built?;
    progress(Progress::Built { version: release.version().to_owned(), dir: target, took: started.elapsed() });
    Ok(())
}

const UNFINISHED: &str = ".building-";

fn modified(dir: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(dir).and_then(|metadata| metadata.modified()).ok()
}

/// Removes what killed builders left. The caller holds the lock, so none of it is in use.
fn remove_unfinished(cache: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(cache).map_err(Error::file("read", cache))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path()).map_err(Error::file("remove", entry.path()))?;
        }
    }
    Ok(())
}

/// Where Go may be: on `PATH`, or where Go's own instructions put it.
fn go_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    dirs.push(PathBuf::from("/usr/local/go/bin"));
    dirs
}

fn find_go(release: Release, dirs: &[PathBuf]) -> Result<PathBuf, Error> {
    dirs.iter().map(|dir| dir.join("go")).find(|go| go.is_file()).ok_or_else(|| {
        let version = release.go_version();
        let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        Error::MissingTool {
            tool: "go",
            purpose: format!("to build the Kubernetes {} servers", release.version()),
            looked: "PATH and /usr/local/go/bin".to_owned(),
            get_it: format!(
                "install Go {version} or later: `curl -fsSL \
                 https://go.dev/dl/go{version}.linux-{machine}.tar.gz | sudo tar -C /usr/local -xz`, or name \
                 a folder with the servers in FLEET_SANDBOX_ASSETS"
            ),
        }
    })
}

async fn compile(
    release: Release,
    go: &Path,
    module: &Path,
    out: &Path,
    started: Instant,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), Error> {
    let version = release.version().to_owned();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    progress(Progress::Fetching {
        version: version.clone(),
        about_minutes: CORE_MINUTES_PER_BUILD.div_ceil(cores),
    });
    let list = go_command(go, module).args(["list", "-deps", "tool"]).output().await;
    let list = list.map_err(|source| spawn_error(go, source))?;
    if !list.status.success() {
        let output = String::from_utf8_lossy(&list.stderr).into_owned();
        return Err(Error::Build { version, status: list.status.to_string(), output });
    }
    let of = list.stdout.iter().filter(|byte| **byte == b'\n').count();

    let mut build = go_command(go, module);
    build.args(["build", "-v", "-trimpath", "-ldflags", &link_flags(release), "-o"]).arg(out).arg("tool");
    let mut child = build.stderr(Stdio::piped()).spawn().map_err(|source| spawn_error(go, source))?;
    let mut packages = 0;
    let mut reported = Instant::now();
    let mut output = VecDeque::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        while let Some(line) = lines.next_line().await.map_err(|source| spawn_error(go, source))? {
            packages += 1;
            if reported.elapsed() > REPORT_EVERY {
                reported = Instant::now();
                let elapsed = started.elapsed();
                progress(Progress::Compiling { version: version.clone(), packages, of, elapsed });
            }
            output.push_back(line);
            if output.len() > KEPT_OUTPUT_LINES {
                output.pop_front();
            }
        }
    }
    let status = child.wait().await.map_err(|source| spawn_error(go, source))?;
    if status.success() {
        return Ok(());
    }
    let output = Vec::from(output).join("\n");
    Err(Error::Build { version, status: status.to_string(), output })
}

fn go_command(go: &Path, module: &Path) -> Command {
    let mut command = Command::new(go);
    command.current_dir(module).env("CGO_ENABLED", "0").env("GOWORK", "off").env_remove("GOFLAGS");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn spawn_error(go: &Path, source: std::io::Error) -> Error {
    Error::Spawn { process: "go".to_owned(), program: go.to_path_buf(), source }
}

/// `/version` is what is linked in here, so that it tells the truth: which release, and that nobody knows the
/// commit, since a module from the proxy does not say.
fn link_flags(release: Release) -> String {
    let (version, minor) = (release.version(), release.minor.number());
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor=1 -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean -X {package}.gitCommit=unknown \
         -X k8s.io/client-go/pkg/version.gitVersion={version}"
    )
}

/// Held by the one process that may change the cache.
struct BuildLock {
    _file: File,
}

impl BuildLock {
    async fn take(path: &Path, progress: &(dyn Fn(Progress) + Send + Sync)) -> Result<Self, Error> {
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let mut file = open.map_err(Error::file("open", path))?;
        let mut told = false;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    if !told {
                        let builder = read_if_there(path)?.and_then(|text| text.trim().parse().ok());
                        progress(Progress::Waiting { builder });
                        told = true;
                    }
                    tokio::time::sleep(LOCK_ASKED_EVERY).await;
                }
                Err(error) => return Err(Error::file("lock", path)(error.into())),
            }
        }
        let note = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())
        };
        note(&mut file).map_err(Error::file("write", path))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::minor::RELEASES;

    #[test]
    fn the_version_is_linked_in_whole() {
        let flags = link_flags(RELEASES[0]);
        assert!(flags.contains("gitVersion=v1.35."), "{flags}");
        assert!(flags.contains(".gitMinor=35 "), "{flags}");
    }

    #[test]
    fn missing_go_is_named_with_the_command_that_gets_it() {
        let error = find_go(RELEASES[1], &[PathBuf::from("/nowhere")]).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("`go` is needed to build the Kubernetes v1.36."), "{message}");
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("install Go 1.26.0 or later: `curl -fsSL https://go.dev/dl/go1.26.0."),
            "{hint}"
        );
    }

    #[tokio::test]
    async fn a_second_builder_waits_for_the_first_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = BuildLock::take(&path, &|_| ()).await.unwrap();
        let (told_sender, told) = tokio::sync::oneshot::channel();
        let told_sender = Mutex::new(Some(told_sender));
        let second = tokio::spawn(async move {
            let tell = |progress| {
                if let Some(sender) = told_sender.lock().unwrap().take() {
                    sender.send(progress).unwrap();
                }
            };
            BuildLock::take(&path, &tell).await.map(drop)
        });
        assert_eq!(told.await.unwrap(), Progress::Waiting { builder: Some(std::process::id()) });
        drop(first);
        second.await.unwrap().unwrap();
    }
}
