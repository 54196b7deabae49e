//! One etcd for all control planes of a machine; each keeps its data under a prefix of its own.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    ask::get_over_socket,
    assets::Assets,
    error::Error,
    process::{Exit, ProcessReport, ProcessSpec, ServerProcess},
};

const READY_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(25);
const STOP_GRACE: Duration = Duration::from_secs(10);
/// `sun_path` of a Unix socket holds 108 bytes with its terminator.
const LONGEST_SOCKET_PATH: usize = 107;

/// A running etcd with one member. It serves on a Unix socket in a folder that only the owner may enter: no port
/// to race for, and no other user of the machine reaches the data.
#[derive(Debug)]
pub struct Etcd {
    process: ServerProcess,
    socket: PathBuf,
}

impl Etcd {
    /// Starts etcd over the data of a folder, which is made when it is not there, and waits until it is healthy.
    ///
    /// Data is not synced to disk before it is acknowledged: a sandbox that loses power starts anew.
    ///
    /// # Errors
    /// When etcd cannot be started, ends, or does not become healthy within a minute.
    pub async fn start(assets: &Assets, dir: &Path) -> Result<Self, Error> {
        let dir = std::path::absolute(dir).map_err(Error::file("find", dir))?;
        let socket = dir.join("client.sock");
        if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            let why = format!(
                "the path of its socket, {}, is longer than {LONGEST_SOCKET_PATH} bytes",
                socket.display()
            );
            return Err(Error::Spec { name: "etcd".to_owned(), why });
        }
        // etcd wants host and port in these two although a single member never dials either.
        let nowhere = "http://127.0.0.1:1";
        let args = [
            "--name=one".to_owned(),
            format!("--data-dir={}", dir.join("data").display()),
            format!("--listen-client-urls=unix://{}", socket.display()),
            format!("--advertise-client-urls={nowhere}"),
            format!("--listen-peer-urls=unix://{}", dir.join("peer.sock").display()),
            format!("--initial-advertise-peer-urls={nowhere}"),
            format!("--initial-cluster=one={nowhere}"),
            "--unsafe-no-fsync".to_owned(),
            // Fewer entries held in memory between snapshots than the default of 10,000.
            "--snapshot-count=2000".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let process = ServerProcess::start(ProcessSpec {
            name: "etcd".to_owned(),
            program: assets.etcd().to_path_buf(),
            args: args.to_vec(),
            env: Vec::new(),
            unset: Vec::new(),
            dir: dir.clone(),
        })?;
        let etcd = Self { process, socket };
        etcd.wait_until_healthy().await?;
        Ok(etcd)
    }

    /// The endpoint to give to `--etcd-servers`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The process, for status commands.
    pub fn report(&self) -> ProcessReport {
        self.process.report()
    }

    /// How etcd ended, if it has.
    pub fn exited(&self) -> Option<Exit> {
        self.process.exited()
    }

    /// Waits until etcd ends.
    pub fn wait_exit(&self) -> impl Future<Output = Exit> + Send + 'static {
        self.process.wait_exit()
    }

    /// Stops etcd and keeps its data.
    pub async fn stop(mut self) {
        self.process.stop(STOP_GRACE).await;
    }

    async fn wait_until_healthy(&self) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            if let Some(exit) = self.process.exited() {
                return Err(Error::Exited(Box::new(exit)));
            }
            let answer = match get_over_socket(&self.socket, "/health").await {
                Ok((200, _)) => return Ok(()),
                Ok((status, body)) => format!("{status} {body}"),
                Err(error) => error.to_string(),
            };
            if started.elapsed() > READY_WITHIN {
                return Err(Error::NotReady {
                    process: "etcd".to_owned(),
                    seconds: READY_WITHIN.as_secs(),
                    answer,
                    log_end: self.process.log_end(),
                });
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}
