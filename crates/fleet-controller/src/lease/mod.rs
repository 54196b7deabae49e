//! Leader election by a Lease of the management cluster: one replica writes, the others stay warm.
//!
//! [`decide`] says whose turn it is, [`Fence`] whether this replica may still write; here is what they do to the
//! API server. Every write carries the resource version that was read, so two replicas cannot both win.

mod decide;
mod fence;

pub use fence::{Fence, FenceClosed};

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tracing::{debug, info, warn};

use crate::clock::Clock;
use decide::{Move, Record, decide};

/// Where the lease is, and how long it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSettings {
    /// The namespace of the lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who this replica is: never the same for two processes.
    pub identity: String,
    /// How long a holder may stay silent before another takes the lease.
    pub duration: Duration,
    /// How often the holder renews, and how often the others look.
    pub every: Duration,
    /// How much earlier than `duration` this replica stops writing when it cannot renew.
    pub margin: Duration,
}

impl LeaseSettings {
    /// How long a renewal opens the fence.
    fn held_for(&self) -> Duration {
        self.duration.saturating_sub(self.margin)
    }
}

/// The lease could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else holds it now.
    #[error("lease {lease} is now held by {holder}")]
    TakenAway {
        /// Namespace and name.
        lease: String,
        /// The other replica.
        holder: String,
    },
    /// No renewal succeeded in time.
    #[error("lease {lease} could not be renewed in time")]
    NotRenewed {
        /// Namespace and name.
        lease: String,
        /// The last thing that went wrong.
        #[source]
        source: Option<Box<kube::Error>>,
    },
}

/// Wins, keeps and gives back the lease of one replica.
pub struct Elector<C> {
    api: Api<Lease>,
    settings: LeaseSettings,
    fence: Fence,
    clock: C,
    /// The lease as it was last read or written, and since when it has looked like that.
    seen: Option<(Lease, Instant)>,
}

impl<C: Clock> Elector<C> {
    /// An elector that has not looked at the lease yet. Its fence is closed.
    pub fn new(client: Client, settings: LeaseSettings, clock: C) -> Self {
        let api = Api::namespaced(client, &settings.namespace);
        Self { api, settings, fence: Fence::closed(), clock, seen: None }
    }

    /// The fence that opens when the lease is won.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Waits until this replica holds the lease. Errors of the API server are logged and tried again.
    pub async fn acquire(&mut self) {
        loop {
            match self.try_acquire().await {
                Ok(None) => {
                    info!(lease = self.lease_name(), identity = self.settings.identity, "the lease is won");
                    return;
                }
                Ok(Some(wait)) => tokio::time::sleep(wait.min(self.settings.every)).await,
                Err(error) => {
                    warn!(
                        lease = self.lease_name(),
                        error = &error as &dyn std::error::Error,
                        "cannot read or take the lease"
                    );
                    tokio::time::sleep(self.settings.every).await;
                }
            }
        }
    }

    /// One attempt: `None` when the lease is held now, else how long to wait.
    async fn try_acquire(&mut self) -> Result<Option<Duration>, kube::Error> {
        self.look().await?;
        let (record, unchanged_for) = match &self.seen {
            Some((lease, since)) => (Some(record(lease)), since.elapsed()),
            None => (None, Duration::ZERO),
        };
        let sent_at = Instant::now();
        let written = match decide(&self.settings.identity, record.as_ref(), unchanged_for) {
            Move::Wait(rest) => return Ok(Some(rest)),
            Move::Create => self.api.create(&PostParams::default(), &self.lease(None, 0)).await,
            Move::Take { transitions } => self.replace(Some(transitions)).await,
            Move::Renew => self.replace(None).await,
        };
        match written {
            Ok(lease) => {
                self.seen = Some((lease, Instant::now()));
                self.fence.renewed(sent_at, self.settings.held_for());
                Ok(None)
            }
            // Another replica was faster: look again soon.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Some(Duration::ZERO)),
            Err(error) => Err(error),
        }
    }

    /// Renews until that no longer works; then the fence is closed and the process has to end.
    pub async fn hold(&mut self) -> LeaseError {
        let mut last_error = None;
        loop {
            let open_for = self.fence.open_for(Instant::now()).unwrap_or(self.settings.every);
            if open_for.is_zero() {
                self.fence.close();
                return LeaseError::NotRenewed { lease: self.lease_name(), source: last_error.map(Box::new) };
            }
            // A failed renewal is repeated sooner, so that several fit into the time that is left.
            let pause = if last_error.is_some() { self.settings.every / 4 } else { self.settings.every };
            tokio::time::sleep(pause.min(open_for)).await;
            let sent_at = Instant::now();
            let left = self.fence.open_for(sent_at).unwrap_or(self.settings.every);
            match tokio::time::timeout(left, self.renew()).await {
                Ok(Ok(None)) => {
                    self.fence.renewed(sent_at, self.settings.held_for());
                    last_error = None;
                    debug!(lease = self.lease_name(), "the lease is renewed");
                }
                Ok(Ok(Some(holder))) => {
                    self.fence.close();
                    return LeaseError::TakenAway { lease: self.lease_name(), holder };
                }
                Ok(Err(error)) => {
                    warn!(
                        lease = self.lease_name(),
                        error = &error as &dyn std::error::Error,
                        "cannot renew the lease"
                    );
                    last_error = Some(error);
                }
                Err(_elapsed) => {}
            }
        }
    }

    /// Renews once. Gives the holder when it is somebody else.
    async fn renew(&mut self) -> Result<Option<String>, kube::Error> {
        match self.replace(None).await {
            Ok(lease) => {
                self.seen = Some((lease, Instant::now()));
                return Ok(None);
            }
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {}
            Err(error) => return Err(error),
        }
        // Somebody wrote to the lease. If it was not about the holder, the next renewal carries the new version.
        self.look().await?;
        let holder = self.seen.as_ref().and_then(|(lease, _)| record(lease).holder);
        match holder {
            Some(holder) if holder == self.settings.identity => {
                let lease = self.replace(None).await?;
                self.seen = Some((lease, Instant::now()));
                Ok(None)
            }
            Some(other) => Ok(Some(other)),
            None => Ok(Some("nobody".to_owned())),
        }
    }

    /// Gives the lease back, so that another replica need not wait for its end.
    pub async fn release(&mut self) {
        self.fence.close();
        let Some((seen, _)) = self.seen.take() else { return };
        let mut lease = self.lease(seen.metadata.resource_version.clone(), record(&seen).transitions);
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
        }
        if let Err(error) = self.api.replace(&self.settings.name, &PostParams::default(), &lease).await {
            warn!(
                lease = self.lease_name(),
                error = &error as &dyn std::error::Error,
                "cannot give the lease back"
            );
        }
    }

    /// Reads the lease, and keeps the time since it has looked the same.
    async fn look(&mut self) -> Result<(), kube::Error> {
        let read = self.api.get_opt(&self.settings.name).await?;
        let since = match (&read, &self.seen) {
            (Some(read), Some((before, since)))
                if read.metadata.resource_version == before.metadata.resource_version =>
            {
                *since
            }
            _ => Instant::now(),
        };
        self.seen = read.map(|lease| (lease, since));
        Ok(())
    }

    /// Writes the lease over the version that was last seen; `transitions` is given when it changes hands.
    async fn replace(&self, transitions: Option<i32>) -> Result<Lease, kube::Error> {
        let seen = self.seen.as_ref().map(|(lease, _)| lease);
        let kept = seen.map_or(0, |lease| record(lease).transitions);
        let version = seen.and_then(|lease| lease.metadata.resource_version.clone());
        let mut lease = self.lease(version, transitions.unwrap_or(kept));
        if transitions.is_none()
            && let (Some(spec), Some(before)) = (&mut lease.spec, seen.and_then(|lease| lease.spec.as_ref()))
        {
            spec.acquire_time.clone_from(&before.acquire_time);
        }
        self.api.replace(&self.settings.name, &PostParams::default(), &lease).await
    }

    /// The lease as this replica writes it.
    fn lease(&self, resource_version: Option<String>, transitions: i32) -> Lease {
        let now = MicroTime(whole_microseconds(self.clock.now()));
        Lease {
            metadata: ObjectMeta {
                name: Some(self.settings.name.clone()),
                namespace: Some(self.settings.namespace.clone()),
                resource_version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.settings.identity.clone()),
                lease_duration_seconds: i32::try_from(self.settings.duration.as_secs()).ok(),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    fn lease_name(&self) -> String {
        format!("{}/{}", self.settings.namespace, self.settings.name)
    }
}

/// What the election reads of a lease. A lease without a duration is taken to last 15 seconds, as others do.
fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(15);
    Record {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: Duration::from_secs(seconds),
        transitions: spec.lease_transitions.unwrap_or(0),
    }
}

/// The API server keeps microseconds of a `MicroTime` and no more.
fn whole_microseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
