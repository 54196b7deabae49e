//! `state.json`: what the supervisor says of the sandbox, for everybody else to read.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use local_control_plane::{ControlPlaneReport, Exit, ProcessIdentity, ProcessReport, write_private};
use serde::{Deserialize, Serialize};

use crate::{error::Error, place::Place};

/// How far a sandbox is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "name")]
pub enum Phase {
    /// Its parts are being started.
    Starting,
    /// Everything answers, or did.
    Ready,
    /// It could not be started, or a part that it cannot be without has ended.
    Failed {
        /// Why, with all causes.
        message: String,
        /// What can be done about it.
        hint: Option<String>,
    },
    /// It is being stopped.
    Stopping,
}

/// One stage of starting a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageState {
    /// Its name, such as `etcd`.
    pub name: String,
    /// When it began.
    pub began_at: Timestamp,
    /// How long it took in milliseconds, when it is over.
    pub took_millis: Option<u64>,
    /// What there is to say about it.
    pub note: Option<String>,
}

/// A program of ours that the supervisor keeps running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceState {
    /// Its name, such as `eks-emulator`.
    pub name: String,
    /// Where it listens, such as `127.0.0.1:20017`.
    pub address: std::net::SocketAddr,
    /// Its process, while it runs.
    pub process: Option<ProcessReport>,
    /// How often it was started again.
    pub restarts: u32,
    /// How it ended last.
    pub last_exit: Option<Exit>,
    /// When it is started again, while it waits for that.
    pub next_start_at: Option<Timestamp>,
}

/// What somebody needs to work with a sandbox.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxEnv {
    /// The kubeconfig of the management cluster's admin.
    pub kubeconfig: PathBuf,
    /// The emulator's URL, when it runs.
    pub aws_endpoint_url: Option<String>,
    /// The region of the emulated accounts.
    pub aws_region: String,
    /// The access key of the emulated user `operator`.
    pub aws_access_key_id: String,
    /// Its secret, known to everybody: it opens nothing but an emulator on loopback.
    pub aws_secret_access_key: String,
}

impl std::fmt::Debug for SandboxEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SandboxEnv")
            .field("kubeconfig", &self.kubeconfig)
            .field("aws_endpoint_url", &self.aws_endpoint_url)
            .finish_non_exhaustive()
    }
}

impl SandboxEnv {
    /// The same as environment variables, by their names.
    pub fn variables(&self) -> BTreeMap<&'static str, String> {
        let Self { kubeconfig, aws_endpoint_url, aws_region, aws_access_key_id, aws_secret_access_key } =
            self;
        let mut variables = BTreeMap::from([
            ("KUBECONFIG", kubeconfig.display().to_string()),
            ("AWS_REGION", aws_region.clone()),
            ("AWS_ACCESS_KEY_ID", aws_access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", aws_secret_access_key.clone()),
        ]);
        if let Some(url) = aws_endpoint_url {
            variables.insert("AWS_ENDPOINT_URL", url.clone());
        }
        variables
    }
}

/// Everything that the supervisor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The supervisor.
    pub supervisor: ProcessIdentity,
    /// When it started.
    pub started_at: Timestamp,
    /// How far the sandbox is.
    pub phase: Phase,
    /// The stages of its start, in order.
    pub stages: Vec<StageState>,
    /// etcd.
    pub etcd: Option<ProcessReport>,
    /// The management control plane.
    pub management: Option<ControlPlaneReport>,
    /// The emulator and the controller.
    pub services: Vec<ServiceState>,
    /// Ends of processes that the sandbox cannot be without.
    pub crashes: Vec<Exit>,
    /// What somebody needs to work with it, once there is something.
    pub environment: Option<SandboxEnv>,
}

impl State {
    /// Reads the state of a folder, when there is one.
    pub(crate) fn read(place: &Place) -> Result<Option<Self>, Error> {
        let path = place.state();
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Unreadable { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::file("read", path)(source)),
        }
    }

    /// Who every process was that this state tells of.
    pub(crate) fn identities(&self) -> impl Iterator<Item = &ProcessIdentity> {
        let management = self.management.iter().flat_map(|management| &management.processes);
        let services = self.services.iter().filter_map(|service| service.process.as_ref());
        self.etcd.iter().chain(management).chain(services).map(|process| &process.identity)
    }
}

/// The state of a running supervisor: every change is on disk at once.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    state: Mutex<State>,
}

impl StateFile {
    pub(crate) fn create(path: &Path, state: State) -> Result<Self, Error> {
        let file = Self { path: path.to_path_buf(), state: Mutex::new(state) };
        file.write(&file.state.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(file)
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if let Err(error) = self.write(&state) {
            tracing::error!(error = %error.chain(), "the state could not be written");
        }
    }

    /// Changes what is said of one service.
    pub(crate) fn update_service(&self, name: &str, change: impl FnOnce(&mut ServiceState)) {
        self.update(|state| {
            if let Some(service) = state.services.iter_mut().find(|service| service.name == name) {
                change(service);
            }
        });
    }

    fn write(&self, state: &State) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(state)
            .map_err(|source| Error::Unreadable { path: self.path.clone(), source })?;
        Ok(write_private(&self.path, text)?)
    }
}
