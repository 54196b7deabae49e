//! Where a sandbox keeps its files, and where its programs are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The state folder: `FLEET_SANDBOX_DIR`, else `fleet/sandbox` in the user's state folder.
pub fn default_dir() -> PathBuf {
    let dir = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    dir("FLEET_SANDBOX_DIR").unwrap_or_else(|| {
        let state = dir("XDG_STATE_HOME")
            .or_else(|| env::home_dir().map(|home| home.join(".local").join("state")))
            .unwrap_or_else(|| PathBuf::from("/var/lib"));
        state.join("fleet").join("sandbox")
    })
}

/// A program of fleet: beside the program that runs, else on `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let own_dir = env::current_exe().ok().and_then(|program| program.parent().map(Path::to_path_buf));
    let path =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    own_dir.into_iter().chain(path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// The files of a state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
}

impl Place {
    pub(crate) fn new(dir: &Path) -> Self {
        // A folder that cannot be found from here cannot be found by the supervisor either; it will say so.
        Self { dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf()) }
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    pub(crate) fn supervisor_log(&self) -> PathBuf {
        self.dir.join("supervisor.log")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    pub(crate) fn etcd(&self) -> PathBuf {
        self.dir.join("etcd")
    }

    pub(crate) fn management(&self) -> PathBuf {
        self.dir.join("management")
    }

    pub(crate) fn emulator(&self) -> PathBuf {
        self.dir.join("emulator")
    }

    pub(crate) fn controller(&self) -> PathBuf {
        self.dir.join("controller")
    }
}
