//! Builds the servers from the Go module proxy into the cache.

use std::{
    collections::VecDeque,
    fs,
    fs::{File, OpenOptions},
    io::{Seek, Write},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::MissedTickBehavior,
};

use crate::{
    error::Error,
    go_tool::{find_go, go_dirs},
    minor::Release,
    private_files::{create_private_dir, read_if_there},
    progress::{Estimate, Progress},
};

const REPORT_EVERY: Duration = Duration::from_secs(10);
const LOCK_ASKED_EVERY: Duration = Duration::from_secs(1);
const KEPT_OUTPUT_LINES: usize = 30;

/// Builds a release into the cache, unless another process does so first.
///
/// The release's folder appears in one step, so whoever sees it sees all of it.
pub(crate) async fn install(
    release: Release,
    cache: &Path,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), Error> {
    let go = find_go(release, &go_dirs()).await?;
    install_with(&go, release, cache, progress).await
}

async fn install_with(
    go: &Path,
    release: Release,
    cache: &Path,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), Error> {
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
    let built = compile(release, go, &module, &out, started, progress).await;
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

async fn compile(
    release: Release,
    go: &Path,
    module: &Path,
    out: &Path,
    started: Instant,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), Error> {
    let version = release.version().to_owned();
    let estimate = Estimate::on(thread::available_parallelism().map_or(1, usize::from));
    progress(Progress::Fetching { version: version.clone(), programs: release.programs(), estimate });
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
    let mut output = VecDeque::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        // The first tick comes at once; the later ones also while one package, or the linker, takes long.
        let mut ticks = tokio::time::interval(REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => {
                    let elapsed = started.elapsed();
                    let version = version.clone();
                    progress(Progress::Compiling { version, packages, of, elapsed, estimate });
                }
                line = lines.next_line() => {
                    let Some(line) = line.map_err(|source| spawn_error(go, source))? else { break };
                    packages += 1;
                    output.push_back(line);
                    if output.len() > KEPT_OUTPUT_LINES {
                        output.pop_front();
                    }
                }
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
    use std::{path::PathBuf, sync::Mutex};

    use super::*;
    use crate::{fake_program::place_program, minor::RELEASES};

    #[test]
    fn the_version_is_linked_in_whole() {
        let flags = link_flags(RELEASES[0]);
        assert!(flags.contains("gitVersion=v1.35."), "{flags}");
        assert!(flags.contains(".gitMinor=35 "), "{flags}");
    }

    /// A Go that fetches nothing and makes empty programs.
    fn place_go(dir: &Path, build: &str) -> PathBuf {
        let script = format!(
            "if [ $1 = list ]; then echo one; echo two; exit; fi\n\
             for last; do [ \"$before\" = -o ] && out=$last; before=$last; done\n{build}"
        );
        place_program(dir, "go", &script);
        dir.join("go")
    }

    #[tokio::test]
    async fn a_build_tells_how_far_it_is_and_fills_the_cache_in_one_step() {
        let dir = tempfile::tempdir().unwrap();
        let go = place_go(dir.path(), "echo one >&2; echo two >&2; touch $out/server $out/kube-apiserver");
        let cache = dir.path().join("cache");
        let told = Mutex::new(Vec::new());
        let tell = |progress| told.lock().unwrap().push(progress);
        install_with(&go, RELEASES[1], &cache, &tell).await.unwrap();
        let home = cache.join(RELEASES[1].version());
        assert!(home.join("etcd").is_file() && home.join("kube-apiserver").is_file());
        let left = fs::read_dir(&cache).unwrap().flatten().map(|entry| entry.file_name());
        assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with(UNFINISHED)));
        let told = told.into_inner().unwrap();
        let Some(Progress::Fetching { programs, .. }) = told.first() else { panic!("{told:?}") };
        assert_eq!(programs, &["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"]);
        assert!(matches!(told[1], Progress::Compiling { of: 2, .. }), "{told:?}");
        assert!(matches!(told.last(), Some(Progress::Built { .. })), "{told:?}");
    }

    #[tokio::test]
    async fn a_build_that_fails_says_what_go_said_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let go = place_go(dir.path(), "echo no route to the proxy >&2; exit 3");
        let cache = dir.path().join("cache");
        let error = install_with(&go, RELEASES[0], &cache, &|_| ()).await.unwrap_err();
        assert!(error.to_string().ends_with("no route to the proxy"), "{error}");
        assert!(error.hint().unwrap().contains("go env GOPROXY"));
        let left: Vec<_> = fs::read_dir(&cache).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, [".build.lock"]);
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
