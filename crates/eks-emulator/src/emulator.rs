//! Starting and stopping: the library's front.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    control::Control,
    control_planes::{ControlPlanes, ControlPlanesError},
    durations::Durations,
    model::Minor,
    seed::Seed,
    server,
    store::{Store, StoreError},
    world::World,
};

/// How often time moves the world on when nobody calls.
const TICK: Duration = Duration::from_millis(100);

/// What stands behind clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Nothing: endpoints lead nowhere.
    None,
    /// An API server of the cluster's minor.
    Real {
        /// The endpoint of an etcd to keep their data in, `unix://...` or `http://...`; without it one is started.
        etcd: Option<String>,
        /// The minors to have servers for. A cluster of another minor only reports its version.
        minors: Vec<Minor>,
    },
}

impl Backend {
    /// API servers of the minors that the sandbox builds, over an etcd of the emulator's own.
    pub fn real() -> Self {
        Self::Real { etcd: None, minors: vec![Minor(35), Minor(36)] }
    }
}

/// How an emulator is started.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 takes a free one. Loopback only.
    pub listen: SocketAddr,
    /// The folder of its state.
    pub state_dir: PathBuf,
    /// What exists before anybody calls.
    pub seed: Seed,
    /// How long things take.
    pub durations: Durations,
    /// What stands behind clusters.
    pub backend: Backend,
}

impl Config {
    /// The builtin seed, a free port, sandbox durations, nothing behind clusters.
    ///
    /// # Errors
    /// When the builtin seed cannot be read, which its test rules out.
    pub fn new(state_dir: impl Into<PathBuf>) -> Result<Self, StartError> {
        Ok(Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            state_dir: state_dir.into(),
            seed: Seed::builtin().map_err(StartError::Seed)?,
            durations: Durations::sandbox(),
            backend: Backend::None,
        })
    }
}

/// The emulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The seed cannot be read.
    #[error("cannot read the seed")]
    Seed(#[source] serde_json::Error),
    /// The state folder cannot be used.
    #[error("cannot use the state folder")]
    Store(#[from] StoreError),
    /// The address is not loopback.
    #[error("will not listen on {0}: the control API is not signed, so only loopback is allowed")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The API servers cannot be prepared.
    #[error("cannot have real control planes")]
    ControlPlanes(#[from] ControlPlanesError),
}

/// The emulator.
#[derive(Debug)]
pub struct Emulator;

/// A running emulator. It stops when this is dropped; [`Running::stop`] also waits for it.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Emulator {
    /// Starts an emulator. When this returns, it answers.
    ///
    /// # Errors
    /// When the address, the state folder or the servers cannot be used.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        if !config.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(config.listen));
        }
        let listen_error = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let url = format!("http://{address}");
        let store = Store::open(&config.state_dir)?;
        let state = store.load()?;
        let planes = match config.backend {
            Backend::None => None,
            Backend::Real { etcd, minors } => {
                Some(Arc::new(ControlPlanes::prepare(&config.state_dir, etcd, &minors, &url).await?))
            }
        };
        let hosts = vec![address.to_string(), format!("localhost:{}", address.port())];
        let world =
            Arc::new(World::new(config.seed, config.durations, store, state, planes.is_some(), hosts));
        let control = Arc::new(Control { world: world.clone(), planes: planes.clone() });
        let stop = CancellationToken::new();
        let mut tasks = vec![
            tokio::spawn(server::serve(listener, control, stop.clone())),
            tokio::spawn(tick(world.clone(), stop.clone())),
        ];
        if let Some(planes) = planes {
            tasks.push(tokio::spawn(planes.follow(world, stop.clone())));
        }
        info!(%url, "the emulator answers");
        Ok(Running { address, stop, tasks })
    }
}

async fn tick(world: Arc<World>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => world.tick(),
            () = stop.cancelled() => return,
        }
    }
}

impl Running {
    /// The URL for `AWS_ENDPOINT_URL`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it, with the servers behind its clusters. Their data stays.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            // A task that panicked is over too; its panic is in the log.
            let _ = task.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
