//! Finding a Go that can build the servers, and saying how to get one.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use crate::{error::Error, minor::Release};

/// Go's own instructions put it here.
const USUAL: &str = "/usr/local/go/bin";
/// From this minor of Go 1 on, Go fetches a newer Go by itself when a module asks for one.
const FETCHES_FROM: u32 = 21;

/// Where Go may be: on `PATH`, or where Go's own instructions put it.
pub(crate) fn go_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    dirs.push(PathBuf::from(USUAL));
    dirs
}

/// The first Go of these folders that can build a release.
pub(crate) async fn find_go(release: Release, dirs: &[PathBuf]) -> Result<PathBuf, Error> {
    let mut too_old = None;
    for go in dirs.iter().map(|dir| dir.join("go")).filter(|go| go.is_file()) {
        let said = ask(&go).await;
        if said.as_ref().is_some_and(|said| said.can_build(release.go_version())) {
            return Ok(go);
        }
        too_old.get_or_insert((go, said));
    }
    let purpose = format!("to build the Kubernetes {} servers", release.version());
    let version = release.go_version();
    Err(match too_old {
        None => Error::MissingTool {
            tool: "go",
            purpose,
            looked: format!("PATH and {USUAL}"),
            get_it: get_it(version),
        },
        Some((program, said)) => Error::OldTool {
            program,
            found: said
                .map_or("of no version that it tells".to_owned(), |said| format!("Go {}", said.version)),
            needed: format!("Go {version} or later is needed {purpose}"),
            get_it: get_it(version),
        },
    })
}

fn get_it(version: &str) -> String {
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    format!(
        "install Go {version} or later: `curl -fsSL https://go.dev/dl/go{version}.linux-{machine}.tar.gz -o /tmp/go.tar.gz \
         && sudo rm -rf /usr/local/go && sudo tar -C /usr/local -xzf /tmp/go.tar.gz`, which is found there even when \
         PATH does not name it; or name a folder with the servers in FLEET_SANDBOX_ASSETS"
    )
}

/// What `go env` says of a Go.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    /// Such as `1.26.8`.
    version: String,
    /// Whether it may fetch a newer one.
    may_fetch: bool,
}

impl Said {
    /// Reads the answer to `go env GOVERSION GOTOOLCHAIN`.
    fn read(answer: &str) -> Option<Self> {
        let mut lines = answer.lines().map(str::trim);
        let version = lines.next()?.strip_prefix("go")?.to_owned();
        // `local`, or one version alone, forbids it; `auto` and `NAME+auto` allow it.
        let may_fetch = lines.next().is_some_and(|toolchain| toolchain.ends_with("auto"));
        Some(Self { version, may_fetch })
    }

    fn can_build(&self, needed: &str) -> bool {
        let own = numbers(&self.version);
        own >= numbers(needed) || (self.may_fetch && own >= [1, FETCHES_FROM, 0])
    }
}

/// The numbers of `1.26.8`, `1.26rc1` or `1.26`.
fn numbers(version: &str) -> [u32; 3] {
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        *number = part.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    }
    numbers
}

async fn ask(go: &Path) -> Option<Said> {
    let mut command = Command::new(go);
    command.args(["env", "GOVERSION", "GOTOOLCHAIN"]).current_dir("/").env("GOWORK", "off");
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.ok()?;
    Said::read(&String::from_utf8_lossy(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fake_program::place_program, minor::RELEASES};

    fn place_go(dir: &Path, version: &str, toolchain: &str) -> PathBuf {
        place_program(dir, "go", &format!("echo {version}\necho {toolchain}"));
        dir.join("go")
    }

    #[tokio::test]
    async fn missing_go_is_named_with_the_command_that_gets_it() {
        let error = find_go(RELEASES[1], &[PathBuf::from("/nowhere")]).await.unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("`go` is needed to build the Kubernetes v1.36."), "{message}");
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("install Go 1.26.0 or later: `curl -fsSL https://go.dev/dl/go1.26.0."),
            "{hint}"
        );
    }

    #[tokio::test]
    async fn a_go_that_is_too_old_is_named_with_its_version_and_the_command_that_gets_a_newer_one() {
        let root = tempfile::tempdir().unwrap();
        let old = place_go(root.path(), "go1.24.3", "local");
        let error = find_go(RELEASES[1], &[root.path().to_owned()]).await.unwrap_err();
        let message = error.to_string();
        let start = format!("{} is Go 1.24.3", old.display());
        assert!(message.starts_with(&start), "{message}");
        assert!(message.contains("Go 1.26.0 or later is needed to build the Kubernetes v1.36."), "{message}");
        assert!(error.hint().unwrap().contains("curl -fsSL https://go.dev/dl/go1.26.0."));
    }

    #[tokio::test]
    async fn a_newer_go_further_on_is_taken_instead_of_an_old_one() {
        let root = tempfile::tempdir().unwrap();
        let dirs = [root.path().join("old"), root.path().join("new")];
        place_go(&dirs[0], "go1.20.14", "");
        let new = place_go(&dirs[1], "go1.26.8", "local");
        assert_eq!(find_go(RELEASES[1], &dirs).await.unwrap(), new);
    }

    #[test]
    fn an_older_go_will_do_where_it_may_fetch_a_newer_one() {
        let can = |answer: &str| Said::read(answer).unwrap().can_build("1.26.0");
        assert!(can("go1.24.3\nauto\n"));
        assert!(can("go1.24.3\ngo1.25.0+auto\n"));
        assert!(!can("go1.24.3\nlocal\n"));
        assert!(!can("go1.20.14\n\n"));
        assert!(can("go1.26\nlocal\n"));
        assert!(can("go1.27rc1\nlocal\n"));
        assert_eq!(Said::read("nonsense"), None);
    }
}
