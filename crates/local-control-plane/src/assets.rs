//! Where the servers come from: a folder that was named, the cache, or a build with Go.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::{
    error::Error,
    go_build,
    minor::{Minor, RELEASES, Release},
    progress::Progress,
};

const NAMED: &str = "FLEET_SANDBOX_ASSETS";
const ENVTEST: &str = "KUBEBUILDER_ASSETS";

/// Where servers are looked for and built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `FLEET_SANDBOX_ASSETS`: a folder with the servers, or with a folder per version such as `v1.36.3`. What is
    /// asked for must be there: nothing is built.
    pub named: Option<PathBuf>,
    /// `KUBEBUILDER_ASSETS`: a folder with the servers of one version. What it lacks comes from the cache.
    pub envtest: Option<PathBuf>,
    /// The folder where built servers are kept, one folder per version.
    pub cache: PathBuf,
}

impl Places {
    /// The places that this process' environment names.
    pub fn from_env() -> Self {
        let dir = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = dir("XDG_CACHE_HOME")
            .or_else(|| env::home_dir().map(|home| home.join(".cache")))
            .unwrap_or_else(|| PathBuf::from("/var/cache"));
        Self { named: dir(NAMED), envtest: dir(ENVTEST), cache: cache.join("fleet").join("servers") }
    }
}

/// The servers of one minor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// Their version, such as `v1.36.3`.
    pub version: String,
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// Its controllers.
    pub kube_controller_manager: PathBuf,
}

/// The programs that control planes are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    etcd: PathBuf,
    kubectl: Option<PathBuf>,
    servers: BTreeMap<Minor, Servers>,
}

impl Assets {
    /// The programs for these minors, in the places of the environment; what is missing is built with Go. That
    /// takes minutes, once per version; `progress` is told what is being done.
    ///
    /// # Errors
    /// When a named folder lacks something, or Go is missing or fails.
    pub async fn ensure(
        minors: &[Minor],
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Self, Error> {
        Self::ensure_in(&Places::from_env(), minors, progress).await
    }

    /// The same for places given by the caller.
    ///
    /// # Errors
    /// When a named folder lacks something, or Go is missing or fails.
    pub async fn ensure_in(
        places: &Places,
        minors: &[Minor],
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Self, Error> {
        loop {
            let found = Found::look(places).await;
            let missing = match found.complete(minors) {
                Ok(assets) => return Ok(assets),
                Err(missing) => missing,
            };
            if let Some(dir) = &places.named {
                let missing = missing.to_string();
                return Err(Error::AssetsIncomplete { variable: NAMED, dir: dir.clone(), missing });
            }
            go_build::install(missing.release()?, &places.cache, progress).await?;
        }
    }

    /// The programs for these minors if all are there already: nothing is built.
    pub async fn find(places: &Places, minors: &[Minor]) -> Option<Self> {
        Found::look(places).await.complete(minors).ok()
    }

    /// etcd.
    pub fn etcd(&self) -> &Path {
        &self.etcd
    }

    /// kubectl, when it came with the servers.
    pub fn kubectl(&self) -> Option<&Path> {
        self.kubectl.as_deref()
    }

    /// The minors that there are servers for.
    pub fn minors(&self) -> impl Iterator<Item = Minor> + '_ {
        self.servers.keys().copied()
    }

    /// The servers of a minor.
    ///
    /// # Errors
    /// When there are none.
    pub fn servers(&self, minor: Minor) -> Result<&Servers, Error> {
        self.servers.get(&minor).ok_or(Error::NoServers { minor })
    }
}

#[derive(Debug, Default)]
struct Found {
    etcd: Option<PathBuf>,
    kubectl: Option<PathBuf>,
    servers: BTreeMap<Minor, Servers>,
}

/// What a search did not find.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    Servers(Minor),
    Etcd,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Servers(minor) => {
                write!(f, "pair of kube-apiserver and kube-controller-manager of Kubernetes {minor}")
            }
            Self::Etcd => f.write_str("etcd"),
        }
    }
}

impl Missing {
    /// The release whose build brings it.
    fn release(&self) -> Result<Release, Error> {
        match self {
            Self::Servers(minor) => Release::of(*minor).ok_or_else(|| Error::UnknownMinor {
                minor: *minor,
                buildable: RELEASES.map(|release| release.minor.to_string()).join(" and "),
            }),
            Self::Etcd => Ok(RELEASES[RELEASES.len() - 1]),
        }
    }
}

impl Found {
    /// What is there, the first place first.
    async fn look(places: &Places) -> Self {
        let mut found = Self::default();
        if let Some(dir) = &places.named {
            found.add(dir).await;
            for dir in version_dirs(dir) {
                found.add(&dir).await;
            }
            return found;
        }
        if let Some(dir) = &places.envtest {
            found.add(dir).await;
        }
        for dir in version_dirs(&places.cache) {
            found.add(&dir).await;
        }
        found
    }

    /// Adds the programs of one folder, without displacing any found before.
    async fn add(&mut self, dir: &Path) {
        let program = |name: &str| Some(dir.join(name)).filter(|path| path.is_file());
        if self.etcd.is_none() {
            self.etcd = program("etcd");
        }
        if self.kubectl.is_none() {
            self.kubectl = program("kubectl");
        }
        let (Some(kube_apiserver), Some(kube_controller_manager)) =
            (program("kube-apiserver"), program("kube-controller-manager"))
        else {
            return;
        };
        // A folder of the cache is called after its version; in any other, the program is asked.
        let named = dir.file_name().and_then(|name| name.to_str()).filter(|name| is_full_version(name));
        let version = match named {
            Some(name) => name.to_owned(),
            None => match asked_version(&kube_apiserver).await {
                Some(version) => version,
                None => return,
            },
        };
        if let Ok(minor) = Minor::of_version(&version) {
            let servers = Servers { version, kube_apiserver, kube_controller_manager };
            self.servers.entry(minor).or_insert(servers);
        }
    }

    fn complete(self, minors: &[Minor]) -> Result<Assets, Missing> {
        let Self { etcd, kubectl, servers } = self;
        if let Some(missing) = minors.iter().find(|minor| !servers.contains_key(minor)) {
            return Err(Missing::Servers(*missing));
        }
        Ok(Assets { etcd: etcd.ok_or(Missing::Etcd)?, kubectl, servers })
    }
}

/// The folders of `dir` called after a version, the newest first.
fn version_dirs(dir: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(Vec<u32>, PathBuf)> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let numbers = version_numbers(&name)?;
            Some((numbers, entry.path()))
        })
        .collect();
    versions.sort_by(|left, right| right.cmp(left));
    versions.into_iter().map(|(_, path)| path).collect()
}

fn is_full_version(name: &str) -> bool {
    version_numbers(name).is_some()
}

/// The three numbers of `v1.36.3`.
fn version_numbers(name: &str) -> Option<Vec<u32>> {
    let numbers: Vec<u32> =
        name.strip_prefix('v')?.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    (numbers.len() == 3).then_some(numbers)
}

/// The version that `kube-apiserver --version` prints.
async fn asked_version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().strip_prefix("Kubernetes ").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_program::place_program;

    fn place_servers(dir: &Path, version: &str) {
        place_program(dir, "kube-apiserver", &format!("echo Kubernetes {version}"));
        place_program(dir, "kube-controller-manager", "");
    }

    fn places(root: &Path) -> Places {
        Places { named: None, envtest: None, cache: root.join("cache") }
    }

    #[tokio::test]
    async fn the_newest_patch_of_the_cache_wins() {
        let root = tempfile::tempdir().unwrap();
        let places = places(root.path());
        for version in ["v1.36.9", "v1.36.10", "v1.35.4"] {
            place_servers(&places.cache.join(version), "unused");
        }
        place_program(&places.cache.join("v1.36.10"), "etcd", "");
        let assets = Assets::find(&places, &[Minor::V1_35, Minor::V1_36]).await.unwrap();
        assert_eq!(assets.servers(Minor::V1_36).unwrap().version, "v1.36.10");
        assert_eq!(assets.kubectl(), None);
        assert!(assets.servers(Minor::new(34)).is_err());
    }

    #[tokio::test]
    async fn a_folder_of_envtest_is_asked_for_its_version_and_the_rest_comes_from_the_cache() {
        let root = tempfile::tempdir().unwrap();
        let envtest = root.path().join("envtest");
        place_servers(&envtest, "v1.36.1");
        place_program(&envtest, "etcd", "");
        let places = Places { envtest: Some(envtest.clone()), ..places(root.path()) };
        place_servers(&places.cache.join("v1.35.4"), "unused");
        let assets = Assets::find(&places, &[Minor::V1_35, Minor::V1_36]).await.unwrap();
        assert_eq!(assets.servers(Minor::V1_36).unwrap().version, "v1.36.1");
        assert_eq!(assets.etcd(), envtest.join("etcd"));
    }

    #[tokio::test]
    async fn a_named_folder_that_lacks_a_minor_is_an_error_and_nothing_is_built() {
        let root = tempfile::tempdir().unwrap();
        let named = root.path().join("named");
        place_servers(&named.join("v1.36.3"), "unused");
        place_program(&named.join("v1.36.3"), "etcd", "");
        let places = Places { named: Some(named), ..places(root.path()) };
        let error = Assets::ensure_in(&places, &[Minor::V1_35], &|_| ()).await.unwrap_err();
        assert!(error.to_string().contains("kube-controller-manager of Kubernetes 1.35"), "{error}");
        assert!(error.hint().unwrap().contains("FLEET_SANDBOX_ASSETS"));
    }

    #[tokio::test]
    async fn a_minor_that_nothing_builds_is_named_with_those_that_can_be_built() {
        let root = tempfile::tempdir().unwrap();
        let error = Assets::ensure_in(&places(root.path()), &[Minor::new(20)], &|_| ()).await.unwrap_err();
        assert!(error.to_string().contains("only 1.35 and 1.36 can be built"), "{error}");
    }
}
