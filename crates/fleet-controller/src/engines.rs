//! The baseline engines: one per cluster that can be entered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fleet_api::{
    eks::ClusterTarget,
    v1alpha1::{TenantCluster, TenantClusterStatus},
};
use fleet_exec::{
    baseline::{Engine, EngineConfig, EngineHandle, EngineReport, KnownProof, Reach, Stage},
    remote::{self, Endpoint, Identity, Limits, ProviderTokens, Remote, pem_from_base64},
};
use fleet_render::Bundle;
use kube::runtime::reflector::ObjectRef;

use crate::{context::Context, error::chain};

/// For how long the changes of an engine's report are taken together.
const CALM: Duration = Duration::from_millis(500);

/// The engines, by the UID of their TenantCluster.
#[derive(Default)]
pub(crate) struct Engines {
    running: Mutex<HashMap<String, Running>>,
}

struct Running {
    handle: EngineHandle,
    /// Endpoint and certificate authority: with either changed, the way is another one.
    way: (String, String),
    /// How many repairs have been counted.
    repairs: u64,
    /// The revision that it was last told to bring about.
    revision: Option<String>,
    /// What the engine's target was rendered from.
    rendered: Option<String>,
    /// Whether the engine has found out by itself how its cluster is.
    settled: bool,
}

/// What an engine knows.
pub(crate) struct Known {
    /// Its report.
    pub(crate) report: EngineReport,
    /// How many objects it has put back since it was last asked.
    pub(crate) repaired: u64,
    /// Whether it has found out by itself how its cluster is. Until then, what an earlier process saw of the same
    /// revision still stands.
    pub(crate) settled: bool,
}

impl Engines {
    /// Makes sure that the cluster's engine runs over the way that the status names.
    ///
    /// # Errors
    /// Why no way can be made, for people.
    pub(crate) fn ensure(
        &self,
        context: &Context,
        cluster: &TenantCluster,
        status: &TenantClusterStatus,
        target: &ClusterTarget,
    ) -> Result<(), String> {
        let (Some(endpoint), Some(authority)) = (&status.endpoint, &status.certificate_authority) else {
            return Err("the API server's address is not known yet".to_owned());
        };
        let way = (endpoint.clone(), authority.clone());
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.get(&target.owner_uid).is_some_and(|engine| engine.way == way) {
            return Ok(());
        }
        let parsed = Endpoint::parse(endpoint, context.addresses).map_err(|error| chain(&error))?;
        let authority = pem_from_base64(authority).map_err(|error| chain(&error))?;
        let tokens = ProviderTokens { provider: Arc::clone(&context.provider), target: target.clone() };
        let system = Arc::clone(&context.clock);
        let clock: fleet_exec::clock::Clock = Arc::new(move || system.now());
        let remote = remote::connect(
            parsed,
            &authority,
            Identity::Tokens(Arc::new(tokens)),
            Limits::default(),
            Arc::clone(&clock),
        )
        .map_err(|error| chain(&error))?;
        let config =
            EngineConfig { proof: known_proof(status), ..EngineConfig::new(&target.cluster_name, clock) };
        let handle = Engine::spawn(remote, config);
        forward(context, cluster, &handle);
        running.insert(
            target.owner_uid.clone(),
            Running { handle, way, repairs: 0, revision: None, rendered: None, settled: false },
        );
        context.metrics.engines(running.len());
        Ok(())
    }

    /// Whether the engine's target was rendered from just this.
    pub(crate) fn has_target_from(&self, uid: &str, source: &str) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(uid).is_some_and(|engine| engine.rendered.as_deref() == Some(source))
    }

    /// Tells the engine what its cluster should have, and remembers what that was rendered from.
    pub(crate) fn set_target(&self, uid: &str, bundle: Bundle, source: String) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = running.get_mut(uid) {
            engine.revision = Some(bundle.revision.clone());
            engine.handle.set_target(Arc::new(bundle));
            engine.rendered = Some(source);
        }
    }

    /// Keeps the engine from changing anything, or lets it go on.
    pub(crate) fn set_paused(&self, uid: &str, paused: bool) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = running.get(uid) {
            engine.handle.set_paused(paused);
        }
    }

    /// Whether the cluster has an engine.
    pub(crate) fn has(&self, uid: &str) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).contains_key(uid)
    }

    /// What the engine knows.
    pub(crate) fn known(&self, uid: &str) -> Option<Known> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = running.get_mut(uid)?;
        let report = engine.handle.report().borrow().clone();
        let repaired = report.repairs.saturating_sub(engine.repairs);
        engine.repairs = report.repairs;
        engine.settled |= has_found_out(&report);
        Some(Known {
            report: of_target(report, engine.revision.as_deref()),
            repaired,
            settled: engine.settled,
        })
    }

    /// Whether this process has found out by itself how the cluster is.
    pub(crate) fn has_found_out(&self, uid: &str) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .get(uid)
            .is_some_and(|engine| engine.settled && engine.handle.report().borrow().reach != Reach::Unknown)
    }

    /// The way to the cluster.
    pub(crate) fn remote(&self, uid: &str) -> Option<Remote> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(uid).map(|engine| engine.handle.remote().clone())
    }

    /// Ends the engine of a cluster that is gone. It stops in the background, with its handle.
    pub(crate) fn remove(&self, context: &Context, uid: &str) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.remove(uid).is_some() {
            context.metrics.engines(running.len());
        }
    }

    /// Ends all engines, and waits until their watches are closed.
    pub(crate) async fn stop(&self) {
        let all: Vec<Running> =
            self.running.lock().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, one)| one).collect();
        futures::future::join_all(all.into_iter().map(|one| one.handle.stop())).await;
    }
}

/// Whether a report says how the cluster is, and not only that it is being looked at.
fn has_found_out(report: &EngineReport) -> bool {
    let looking = matches!(
        report.stage,
        Stage::NoTarget
            | Stage::Reading
            | Stage::WaitingForMarkers
            | Stage::WaitingForQuotas
            | Stage::Probing
    );
    !looking
        || matches!(report.reach, Reach::Down(_))
        || report.last_error.is_some()
        || !report.fights.is_empty()
}

/// The report as an answer to what the engine was told last.
///
/// An engine takes up a new revision a moment after it was told. Until then its report speaks of the one before, and
/// a cluster that has just been upgraded must not pass for hardened and proven on that word.
fn of_target(report: EngineReport, revision: Option<&str>) -> EngineReport {
    if revision.is_none() || report.wanted_revision.as_deref() == revision {
        return report;
    }
    EngineReport {
        wanted_revision: revision.map(str::to_owned),
        applied_revision: None,
        applied: 0,
        stage: Stage::Reading,
        ..report
    }
}

/// The proof that the status remembers, so that a restart does not probe the whole fleet again.
fn known_proof(status: &TenantClusterStatus) -> Option<KnownProof> {
    let baseline = &status.baseline;
    Some(KnownProof {
        revision: baseline.proven_revision.clone()?,
        at: baseline.proven_at.as_ref()?.0,
        counts: baseline.probes,
    })
}

/// Asks for the cluster whenever its engine has something new to say. Ends with the engine.
fn forward(context: &Context, cluster: &TenantCluster, handle: &EngineHandle) {
    let (queues, object) = (Arc::clone(&context.queues), ObjectRef::from_obj(cluster));
    let mut report = handle.report();
    tokio::spawn(async move {
        while report.changed().await.is_ok() {
            queues.clusters.ask_for(object.clone());
            // A bundle of fifty objects that is being applied is worth a status now and then, and not fifty.
            tokio::time::sleep(CALM).await;
        }
    });
}
