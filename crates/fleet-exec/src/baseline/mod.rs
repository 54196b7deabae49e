//! The baseline engine: one task per cluster that applies a bundle in phases, watches it, puts back what drifts,
//! and proves that it bites.
//!
//! Idle costs nothing: a watch of metadata per kind, and no request. After a restart each kind is listed once and
//! compared by value; nothing is written to a cluster where all is as wanted.

mod compare;
mod decide;
mod engine;
mod fight;
mod proving;
mod report;
mod restore;
mod state;
mod watch;
mod work;

use std::{sync::Arc, time::Duration};

use fleet_api::v1alpha1::ProbeCounts;
use fleet_render::Bundle;
use jiff::Timestamp;
use tokio::sync::watch as latest;
use tokio_util::sync::CancellationToken;

pub use report::{EngineReport, Reach, Stage};

use crate::{clock::Clock, remote::Remote};

/// How an engine works.
#[derive(Clone)]
pub struct EngineConfig {
    /// The cluster's name, for logs and as the seed of jitter.
    pub name: String,
    /// The clock that stamps reports.
    pub clock: Clock,
    /// How often the probes run when nothing changes, before jitter.
    pub probe_every: Duration,
    /// How often everything is read and compared although no watch told of a change, before jitter.
    pub check_every: Duration,
    /// What the management cluster remembers of the last proof, so that a restart does not probe the whole fleet.
    pub proof: Option<KnownProof>,
}

impl EngineConfig {
    /// The usual periods: probes every 6 hours, a full check every 4.
    pub fn new(name: impl Into<String>, clock: Clock) -> Self {
        Self {
            name: name.into(),
            clock,
            probe_every: Duration::from_secs(6 * 3600),
            check_every: Duration::from_secs(4 * 3600),
            proof: None,
        }
    }
}

/// A proof that an earlier engine made, as the management cluster remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProof {
    /// The revision that was judged.
    pub revision: String,
    /// When.
    pub at: Timestamp,
    /// The verdicts.
    pub counts: ProbeCounts,
}

/// What an engine is told.
#[derive(Clone, Default)]
struct Orders {
    bundle: Option<Arc<Bundle>>,
    paused: bool,
    /// Counts the demands for probes.
    probe: u64,
    /// Counts the demands for a full check.
    check: u64,
}

/// Starts engines.
pub struct Engine;

impl Engine {
    /// Starts the engine of one cluster. It does nothing before it has a target.
    ///
    /// Must be called inside a tokio runtime.
    pub fn spawn(remote: Remote, config: EngineConfig) -> EngineHandle {
        let (orders, given) = latest::channel(Orders::default());
        let (said, report) = latest::channel(EngineReport::blank());
        let stop = CancellationToken::new();
        let task = tokio::spawn(engine::Actor::new(remote.clone(), config, said).run(given, stop.clone()));
        EngineHandle { orders, report, stop, remote, task: Some(task) }
    }
}

/// The way to tell an engine what to do and to hear what it knows. The engine ends with its handle.
pub struct EngineHandle {
    orders: latest::Sender<Orders>,
    report: latest::Receiver<EngineReport>,
    stop: CancellationToken,
    remote: Remote,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl EngineHandle {
    /// Sets the bundle that the cluster should have. The same revision again changes nothing and sends nothing.
    pub fn set_target(&self, bundle: Arc<Bundle>) {
        self.orders.send_if_modified(|orders| {
            let same = orders.bundle.as_ref().is_some_and(|current| current.revision == bundle.revision);
            if !same {
                orders.bundle = Some(bundle);
            }
            !same
        });
    }

    /// Pauses the engine, or lets it go on: a paused engine reads and watches, and changes nothing.
    pub fn set_paused(&self, paused: bool) {
        self.orders.send_if_modified(|orders| std::mem::replace(&mut orders.paused, paused) != paused);
    }

    /// Asks for the probes to run as soon as everything is applied.
    pub fn request_probe(&self) {
        self.orders.send_modify(|orders| orders.probe += 1);
    }

    /// Asks for everything to be read and compared.
    pub fn request_check(&self) {
        self.orders.send_modify(|orders| orders.check += 1);
    }

    /// What the engine knows. The receiver wakes when anything changes but the time of the last evidence.
    pub fn report(&self) -> latest::Receiver<EngineReport> {
        self.report.clone()
    }

    /// The way to the cluster.
    pub const fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Ends the engine and waits until its watches are closed. What is written stays.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // A task that panicked has nothing left to close.
            let _ = task.await;
        }
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
