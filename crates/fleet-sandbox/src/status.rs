//! What is to be said of a sandbox at this moment.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use local_control_plane::{ControlPlaneReport, Exit, ProcessReport, get_over_http};
use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    ownership::{Holder, Purpose, current_holder},
    place::Place,
    state::{Phase, SandboxEnv, ServiceState, StageState, State},
};

/// How a sandbox is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "name")]
pub enum StatusPhase {
    /// There is none.
    Absent,
    /// Its supervisor is at work.
    Supervised {
        /// How far it is.
        phase: Phase,
    },
    /// Its supervisor was killed, or gave up; `down` or `up` removes what it left.
    LeftBehind {
        /// How far it was.
        phase: Phase,
    },
}

/// Everything about a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The state folder.
    pub dir: PathBuf,
    /// How it is.
    pub phase: StatusPhase,
    /// Who holds the folder, and since when.
    pub holder: Option<Holder>,
    /// Resident memory of the supervisor in bytes.
    pub supervisor_rss_bytes: Option<u64>,
    /// The stages of its start.
    pub stages: Vec<StageState>,
    /// etcd, which holds the data of all control planes.
    pub etcd: Option<ProcessReport>,
    /// The management control plane.
    pub management: Option<ControlPlaneReport>,
    /// The control planes of emulated clusters, as the emulator tells of them.
    pub tenants: Vec<ControlPlaneReport>,
    /// Why nothing is known of them, when nothing is.
    pub tenants_unknown: Option<String>,
    /// The emulator and the controller.
    pub services: Vec<ServiceState>,
    /// Ends of processes that the sandbox cannot be without.
    pub crashes: Vec<Exit>,
    /// What somebody needs to work with it.
    pub environment: Option<SandboxEnv>,
}

impl Status {
    /// True when everything that was started answers or is kept running.
    pub fn is_ready(&self) -> bool {
        matches!(&self.phase, StatusPhase::Supervised { phase: Phase::Ready })
    }

    /// Resident memory of all processes that are known of, in bytes.
    pub fn rss_bytes(&self) -> u64 {
        let services = self.services.iter().filter_map(|service| service.process.as_ref()?.rss_bytes);
        let planes = self.management.iter().chain(&self.tenants).map(ControlPlaneReport::rss_bytes);
        let etcd = self.etcd.as_ref().and_then(|etcd| etcd.rss_bytes);
        services.chain(planes).chain(etcd).chain(self.supervisor_rss_bytes).sum()
    }
}

/// Looks at the sandbox of a state folder.
///
/// # Errors
/// When its files cannot be read.
pub async fn status(dir: &Path) -> Result<Status, Error> {
    let place = Place::new(dir);
    let holder = current_holder(&place)?.filter(|holder| holder.purpose == Purpose::Supervise);
    let Some(state) = State::read(&place)? else {
        return Ok(absent(place, holder));
    };
    let State { supervisor, started_at: _, phase, stages, etcd, management, services, crashes, environment } =
        state;
    let supervised = holder.is_some() && supervisor.is_alive();
    let emulator = services.iter().find(|service| service.name == "eks-emulator");
    let asked = match emulator.filter(|emulator| supervised && emulator.process.is_some()) {
        Some(emulator) => emulated_control_planes(emulator.address).await,
        None => Ok(Vec::new()),
    };
    let (tenants, tenants_unknown) = match asked {
        Ok(tenants) => (tenants, None),
        Err(error) => (Vec::new(), Some(error.chain())),
    };
    Ok(Status {
        dir: place.dir,
        phase: if supervised { StatusPhase::Supervised { phase } } else { StatusPhase::LeftBehind { phase } },
        holder,
        supervisor_rss_bytes: supervisor.rss_bytes(),
        stages,
        etcd: etcd.map(ProcessReport::measured),
        management: management.map(ControlPlaneReport::measured),
        tenants: tenants.into_iter().map(ControlPlaneReport::measured).collect(),
        tenants_unknown,
        services: services.into_iter().map(measured).collect(),
        crashes,
        environment,
    })
}

/// What somebody needs to work with the sandbox of a folder, when one is ready there.
///
/// # Errors
/// When its files cannot be read.
pub fn environment(dir: &Path) -> Result<Option<SandboxEnv>, Error> {
    let place = Place::new(dir);
    let state =
        State::read(&place)?.filter(|state| state.phase == Phase::Ready && state.supervisor.is_alive());
    Ok(state.and_then(|state| state.environment))
}

fn absent(place: Place, holder: Option<Holder>) -> Status {
    let phase = match &holder {
        Some(_) => StatusPhase::Supervised { phase: Phase::Starting },
        None => StatusPhase::Absent,
    };
    Status {
        dir: place.dir,
        phase,
        supervisor_rss_bytes: holder.as_ref().and_then(|holder| holder.identity.rss_bytes()),
        holder,
        stages: Vec::new(),
        etcd: None,
        management: None,
        tenants: Vec::new(),
        tenants_unknown: None,
        services: Vec::new(),
        crashes: Vec::new(),
        environment: None,
    }
}

fn measured(mut service: ServiceState) -> ServiceState {
    service.process = service.process.map(ProcessReport::measured);
    service
}

/// Asks the emulator which control planes stand behind its clusters.
async fn emulated_control_planes(address: SocketAddr) -> Result<Vec<ControlPlaneReport>, Error> {
    #[derive(Deserialize)]
    struct Answer {
        clusters: Vec<Cluster>,
    }
    #[derive(Deserialize)]
    struct Cluster {
        /// Absent while the cluster is being created or deleted, and while its server is stopped.
        server: Option<ControlPlaneReport>,
    }
    let path = "/_emulator/state";
    let (status, body) = get_over_http(address, path).await?;
    if status != 200 {
        let body = body.chars().take(500).collect();
        let url = format!("http://{address}{path}");
        return Err(local_control_plane::Error::Answer { url, status, body }.into());
    }
    let answer: Answer = serde_json::from_str(&body)
        .map_err(|source| Error::Unreadable { path: PathBuf::from(path), source })?;
    Ok(answer.clusters.into_iter().filter_map(|cluster| cluster.server).collect())
}
