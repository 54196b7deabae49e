//! A program of ours that is kept running: started, waited for, and started again when it ends.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use local_control_plane::{Exit, ProcessSpec, ServerProcess, free_port, get_over_http};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    error::Error,
    state::{ServiceState, StateFile},
};

const HEALTHY_WITHIN: Duration = Duration::from_secs(90);
const ASK_EVERY: Duration = Duration::from_millis(50);
const STOP_GRACE: Duration = Duration::from_secs(30);
const PORT_TRIES: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Who has run for this long was healthy, and starts again without a grudge.
const STEADY: Duration = Duration::from_secs(60);

/// What to keep running. The program takes `--listen ADDRESS` before its other arguments.
#[derive(Debug, Clone)]
pub(crate) struct ServiceSpec {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) unset: Vec<String>,
    pub(crate) dir: PathBuf,
    /// The path that answers 200 when the program is healthy.
    pub(crate) health: &'static str,
}

impl ServiceSpec {
    fn start(&self, address: SocketAddr) -> Result<ServerProcess, Error> {
        let listen = ["--listen".to_owned(), address.to_string()];
        Ok(ServerProcess::start(ProcessSpec {
            name: self.name.to_owned(),
            program: self.program.clone(),
            args: listen.into_iter().chain(self.args.iter().cloned()).collect(),
            env: self.env.clone(),
            unset: self.unset.clone(),
            dir: self.dir.clone(),
        })?)
    }

    /// Starts the program on a free port and waits until it is healthy.
    async fn start_healthy(&self) -> Result<(ServerProcess, SocketAddr), Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            let process = self.start(address)?;
            match self.wait_until_healthy(&process, address).await {
                Ok(()) => return Ok((process, address)),
                Err(Error::ServiceEnded(exit)) if tries < PORT_TRIES && port_was_taken(&exit) => {
                    tracing::debug!(service = self.name, %address, "another process took the port first");
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn wait_until_healthy(&self, process: &ServerProcess, address: SocketAddr) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            if let Some(exit) = process.exited() {
                return Err(Error::ServiceEnded(Box::new(exit)));
            }
            let answer = match get_over_http(address, self.health).await {
                Ok((200, _)) => return Ok(()),
                Ok((status, body)) => format!("{status} {body}"),
                Err(error) => error.to_string(),
            };
            if started.elapsed() > HEALTHY_WITHIN {
                return Err(Error::NotHealthy {
                    service: self.name.to_owned(),
                    seconds: HEALTHY_WITHIN.as_secs(),
                    answer,
                    log_end: process.log_end(),
                });
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

fn port_was_taken(exit: &Exit) -> bool {
    exit.log_end.to_lowercase().contains("address already in use")
}

/// How long to wait before the next start after so many ends in a row.
fn pause_after(ends_in_a_row: u32) -> Duration {
    let doublings = ends_in_a_row.saturating_sub(1).min(16);
    LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(doublings))
}

/// A service that runs. Its process is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    keeper: JoinHandle<()>,
}

impl Service {
    /// Starts a service, waits until it is healthy, and keeps it running from then on.
    pub(crate) async fn start(spec: ServiceSpec, state: Arc<StateFile>) -> Result<Self, Error> {
        let (process, address) = spec.start_healthy().await?;
        state.update(|state| {
            state.services.push(ServiceState {
                name: spec.name.to_owned(),
                address,
                process: Some(process.report()),
                restarts: 0,
                last_exit: None,
                next_start_at: None,
            });
        });
        let (stop, stopped) = watch::channel(false);
        let keeper = tokio::spawn(keep(spec, address, process, state, stopped));
        Ok(Self { address, stop, keeper })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the service for good.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.keeper).await {
            tracing::error!(%error, "the keeper of a service did not end as it should");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Watches a process and starts it again when it ends, at the same address, until it is told to stop.
async fn keep(
    spec: ServiceSpec,
    address: SocketAddr,
    mut process: ServerProcess,
    state: Arc<StateFile>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut ends_in_a_row = 0;
    loop {
        let began = Instant::now();
        let exit = tokio::select! {
            exit = process.wait_exit() => exit,
            () = told_to_stop(&mut stopped) => {
                let exit = process.stop(STOP_GRACE).await;
                state.update_service(spec.name, |service| {
                    service.process = None;
                    service.last_exit = Some(exit);
                });
                return;
            }
        };
        tracing::warn!(service = spec.name, %exit, "a service ended");
        ends_in_a_row = if began.elapsed() >= STEADY { 1 } else { ends_in_a_row + 1 };
        state.update_service(spec.name, |service| {
            service.process = None;
            service.last_exit = Some(exit);
        });
        process = loop {
            let pause = pause_after(ends_in_a_row);
            state.update_service(spec.name, |service| {
                service.next_start_at = Timestamp::now().checked_add(pause).ok();
            });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = told_to_stop(&mut stopped) => return,
            }
            match spec.start(address) {
                Ok(process) => break process,
                Err(error) => {
                    tracing::error!(service = spec.name, error = %error.chain(), "cannot start a service");
                    ends_in_a_row += 1;
                }
            }
        };
        state.update_service(spec.name, |service| {
            service.process = Some(process.report());
            service.restarts += 1;
            service.next_start_at = None;
        });
    }
}

/// Waits until the service is to stop, or nobody is left who could say so.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // The guard that this gives must not be held over an await, so it ends here.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let seconds: Vec<u64> = (1..=7).map(|ends| pause_after(ends).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }
}
