//! The API servers behind clusters: a follower that makes the processes be what the state wants, and reports back.

mod etcd_prefix;
mod left_behind;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use local_control_plane::{
    Assets, ControlPlane, ControlPlaneReport, ControlPlaneSpec, Controllers, Etcd, Webhook,
};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    model::{ClusterKey, Identity, Minor, Oidc, ServerAccess},
    world::{ServerNews, World},
};

/// How often the follower looks without being told: a server may have died.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long it waits before it tries again what failed.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// How long an API server believes an answer of the token webhook.
const TOKEN_CACHE: Duration = Duration::from_secs(1);

/// The API servers could not be prepared.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare the API servers behind clusters")]
pub struct ControlPlanesError(#[from] local_control_plane::Error);

/// What a cluster without an API server of its own shows as endpoint and authority: a host of the reserved domain
/// `.invalid`, and a certificate whose key nobody has.
pub(crate) fn standin(key: &ClusterKey) -> ServerAccess {
    let id = cluster_id(key);
    ServerAccess {
        endpoint: format!("https://{id}.{}.eks.emulated.invalid", key.region),
        certificate_authority: STANDARD.encode(include_str!("../../seed/standin-ca.pem")),
        identity: identity(key),
    }
}

fn cluster_id(key: &ClusterKey) -> String {
    hex::encode_upper(Sha256::digest(key.to_string()))[..32].to_owned()
}

/// Source of the form: docs.
fn identity(key: &ClusterKey) -> Identity {
    let issuer = format!("https://oidc.eks.{}.amazonaws.com/id/{}", key.region, cluster_id(key));
    Identity { oidc: Oidc { issuer } }
}

/// The processes behind clusters.
pub(crate) struct ControlPlanes {
    assets: Assets,
    /// Ours, when none was given.
    own_etcd: Mutex<Option<Etcd>>,
    etcd: String,
    dir: PathBuf,
    webhooks: String,
    planes: Mutex<HashMap<ClusterKey, Arc<Mutex<Slot>>>>,
}

/// The process of one cluster. Whoever holds the lock works on it.
#[derive(Default)]
struct Slot {
    plane: Option<ControlPlane>,
    /// Not to be tried before this moment of the machine's clock.
    not_before: Option<tokio::time::Instant>,
    /// The minor that was last reported as up.
    reported: Option<Minor>,
    warned: Option<Minor>,
}

/// What a cluster's API server should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Run(Minor),
    Stop,
    Remove,
}

impl ControlPlanes {
    /// Prepares the servers, and an etcd if none is given.
    pub(crate) async fn prepare(
        dir: &Path,
        etcd: Option<String>,
        minors: &[Minor],
        emulator_url: &str,
    ) -> Result<Self, ControlPlanesError> {
        let minors: Vec<_> = minors.iter().map(|minor| local_control_plane::Minor::new(minor.0)).collect();
        let assets = Assets::ensure(&minors, &|progress| info!("{progress}")).await?;
        let (own_etcd, etcd) = match etcd {
            Some(endpoint) => (None, endpoint),
            None => {
                let own = Etcd::start(&assets, &dir.join("etcd")).await?;
                let endpoint = own.endpoint();
                (Some(own), endpoint)
            }
        };
        Ok(Self {
            assets,
            own_etcd: Mutex::new(own_etcd),
            etcd,
            dir: dir.join("control-planes"),
            webhooks: format!("{emulator_url}/_emulator/clusters"),
            planes: Mutex::new(HashMap::new()),
        })
    }

    /// Follows the state until told to stop, then stops every server.
    pub(crate) async fn follow(self: Arc<Self>, world: Arc<World>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.look(&world).await;
            tokio::select! {
                () = world.changed.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
        self.stop_all().await;
    }

    async fn stop_all(&self) {
        let slots: Vec<_> = self.planes.lock().await.values().cloned().collect();
        let mut stops = tokio::task::JoinSet::new();
        for slot in slots {
            stops.spawn(async move {
                if let Some(plane) = slot.lock().await.plane.take() {
                    plane.stop().await;
                }
            });
        }
        stops.join_all().await;
        if let Some(etcd) = self.own_etcd.lock().await.take() {
            etcd.stop().await;
        }
    }

    /// What status commands show of a cluster's server.
    pub(crate) async fn report(&self, key: &ClusterKey) -> Option<ControlPlaneReport> {
        let slot = self.planes.lock().await.get(key)?.clone();
        // While somebody works on it there is nothing to show.
        let slot = slot.try_lock().ok()?;
        slot.plane.as_ref().map(|plane| plane.report().measured())
    }

    /// Compares every cluster with its process, and sets to work where they differ and nobody works yet.
    async fn look(self: &Arc<Self>, world: &Arc<World>) {
        let wishes: Vec<(ClusterKey, Wish)> = world.with_clusters(|clusters| {
            clusters
                .iter()
                .filter_map(|(key, record)| {
                    let server = &record.server;
                    let wish = match server.wanted {
                        Some(_) if server.stopped => Wish::Stop,
                        Some(minor) => Wish::Run(minor),
                        None if server.removed => return None,
                        None => Wish::Remove,
                    };
                    Some((key.clone(), wish))
                })
                .collect()
        });
        let mut planes = self.planes.lock().await;
        planes.retain(|key, slot| wishes.iter().any(|(other, _)| other == key) || slot.try_lock().is_err());
        for (key, wish) in wishes {
            let slot = planes.entry(key.clone()).or_default().clone();
            let Ok(held) = slot.clone().try_lock_owned() else { continue };
            if held.fulfils(wish) || held.not_before.is_some_and(|at| tokio::time::Instant::now() < at) {
                continue;
            }
            let (this, world) = (self.clone(), world.clone());
            tokio::spawn(async move { this.fulfil(held, key, wish, &world).await });
        }
    }

    async fn fulfil(
        &self,
        mut slot: tokio::sync::OwnedMutexGuard<Slot>,
        key: ClusterKey,
        wish: Wish,
        world: &World,
    ) {
        let result = match wish {
            Wish::Run(minor) => self.run(&mut slot, &key, minor, world).await,
            Wish::Stop => {
                self.stop(&mut slot, &key).await;
                world.server_news(&key, ServerNews::Down);
                Ok(())
            }
            Wish::Remove => self.remove(&mut slot, &key, world).await,
        };
        slot.not_before = None;
        if let Err(fault) = result {
            error!(cluster = %key, ?wish, fault = %chain(fault.as_ref()), "the API server is not as it should be");
            slot.not_before = Some(tokio::time::Instant::now() + TRY_AGAIN_AFTER);
            if slot.plane.as_ref().is_none_or(|plane| plane.exited().is_some()) {
                slot.reported = None;
                world.server_news(&key, ServerNews::Down);
            }
        }
    }

    async fn run(&self, slot: &mut Slot, key: &ClusterKey, minor: Minor, world: &World) -> Result<(), Fault> {
        let servers = local_control_plane::Minor::new(minor.0);
        if self.assets.servers(servers).is_err() {
            if slot.warned != Some(minor) {
                warn!(cluster = %key, %minor, "there are no servers of this minor: only the version is reported");
                slot.warned = Some(minor);
            }
            let access = match &slot.plane {
                Some(plane) => access(key, plane),
                None => standin(key),
            };
            slot.reported = Some(minor);
            world.server_news(key, ServerNews::Up(minor, access));
            return Ok(());
        }
        if let Some(exit) = slot.plane.as_ref().and_then(ControlPlane::exited) {
            warn!(cluster = %key, ?exit, "the API server ended; starting it again");
            if let Some(plane) = slot.plane.take() {
                plane.stop().await;
            }
        }
        match &mut slot.plane {
            Some(plane) => {
                info!(cluster = %key, %minor, "starting the API server as another minor over the same data");
                plane.restart_as(servers).await?;
            }
            None => {
                info!(cluster = %key, %minor, "starting an API server");
                slot.plane = Some(ControlPlane::start(&self.assets, self.spec(key, servers, world)).await?);
            }
        }
        if let Some(plane) = &slot.plane {
            slot.reported = Some(minor);
            world.server_news(key, ServerNews::Up(minor, access(key, plane)));
        }
        Ok(())
    }

    fn spec(&self, key: &ClusterKey, minor: local_control_plane::Minor, world: &World) -> ControlPlaneSpec {
        let dir = self.folder(key);
        let webhook =
            |kind: &str| Webhook { url: format!("{}/{key}/{kind}", self.webhooks), cache: TOKEN_CACHE };
        let service_cidr = world
            .with_clusters(|clusters| {
                clusters.get(key)?.cluster.kubernetes_network_config.service_ipv4_cidr.clone()
            })
            .unwrap_or_else(|| "10.100.0.0/16".to_owned());
        ControlPlaneSpec {
            etcd_prefix: etcd_prefix(key),
            service_cidr,
            controllers: Controllers::Tenant,
            token_webhook: Some(webhook("token")),
            authorization_webhook: Some(webhook("authorize")),
            ..ControlPlaneSpec::new(&process_name(key), minor, &dir, self.etcd.clone())
        }
    }

    fn folder(&self, key: &ClusterKey) -> PathBuf {
        self.dir.join(&key.account).join(&key.region).join(&key.name)
    }

    async fn stop(&self, slot: &mut Slot, key: &ClusterKey) {
        if let Some(plane) = slot.plane.take() {
            info!(cluster = %key, "stopping the API server");
            plane.stop().await;
        }
        slot.reported = None;
    }

    async fn remove(&self, slot: &mut Slot, key: &ClusterKey, world: &World) -> Result<(), Fault> {
        if let (Some(plane), Some(kubectl)) = (&slot.plane, self.assets.kubectl()) {
            match left_behind::ask(kubectl, &plane.admin_kubeconfig(), &self.folder(key), key).await {
                Ok(left) if left.is_empty() => {}
                Ok(left) => {
                    world.with(|state, _| state.shared_mut().leftovers.extend(left));
                }
                Err(fault) => {
                    warn!(cluster = %key, fault = %chain(fault.as_ref()), "cannot ask what is left behind");
                }
            }
        }
        self.stop(slot, key).await;
        etcd_prefix::remove(&self.etcd, &etcd_prefix(key)).await?;
        match tokio::fs::remove_dir_all(self.folder(key)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        world.server_news(key, ServerNews::Removed);
        Ok(())
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

impl Slot {
    fn fulfils(&self, wish: Wish) -> bool {
        match wish {
            Wish::Run(minor) => {
                let dead = self.plane.as_ref().is_some_and(|plane| plane.exited().is_some());
                self.reported == Some(minor) && !dead
            }
            Wish::Stop => self.plane.is_none() && self.reported.is_none(),
            Wish::Remove => false,
        }
    }
}

fn access(key: &ClusterKey, plane: &ControlPlane) -> ServerAccess {
    ServerAccess {
        endpoint: plane.endpoint(),
        certificate_authority: STANDARD.encode(plane.ca_pem()),
        identity: identity(key),
    }
}

/// Each cluster keeps its data apart; the slash at the end keeps `a` from reaching into `ab`.
fn etcd_prefix(key: &ClusterKey) -> String {
    format!("/eks/{key}/")
}

/// A DNS label for processes and kubeconfigs: the name as far as it goes, and a hash that makes it the cluster's own.
fn process_name(key: &ClusterKey) -> String {
    let name: String = key
        .name
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    format!("{}-{}", name.trim_matches('-'), &cluster_id(key).to_ascii_lowercase()[..8])
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
