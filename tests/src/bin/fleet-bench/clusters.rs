//! Control planes that can be made fresh again, and the ways to them.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use fleet_exec::{
    clock::system_clock,
    remote::{Addresses, Endpoint, Identity, Limits, Remote, connect, pem_from_base64},
};
use fleet_render::BundleObject;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api,
    core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta},
};
use local_control_plane::{Assets, ControlPlane, ControlPlaneSpec, Etcd, Minor};
use serde_json::Value;

/// Control planes over one etcd.
pub(crate) struct Clusters {
    pub(crate) planes: Vec<ControlPlane>,
    // After the control planes: fields are dropped in order, and the servers need it to the last.
    etcd: Etcd,
    assets: Assets,
    minor: Minor,
    folder: PathBuf,
    /// Counts how often they were made fresh.
    generation: usize,
}

impl Clusters {
    /// Starts control planes, one after the other, and says how long each took to be ready.
    pub(crate) async fn start(
        assets: &Assets,
        minor: Minor,
        folder: &Path,
        count: usize,
    ) -> Result<(Self, Vec<Duration>)> {
        let etcd = Etcd::start(assets, &folder.join("etcd")).await?;
        let folder = folder.to_owned();
        let mut clusters =
            Self { planes: Vec::new(), etcd, assets: assets.clone(), minor, folder, generation: 0 };
        let mut times = Vec::new();
        for index in 0..count {
            let began = Instant::now();
            let plane = ControlPlane::start(assets, clusters.spec(index)).await?;
            times.push(began.elapsed());
            clusters.planes.push(plane);
        }
        Ok((clusters, times))
    }

    /// Stops the servers and starts them again over empty data: the same programs, folders, ports and certificates,
    /// and nothing left of what was applied.
    pub(crate) async fn renew(&mut self) -> Result<()> {
        let old = std::mem::take(&mut self.planes);
        let count = old.len();
        futures::future::join_all(old.into_iter().map(ControlPlane::stop)).await;
        self.generation += 1;
        let starts = (0..count).map(|index| ControlPlane::start(&self.assets, self.spec(index)));
        // Two at a time: all at once would only wait for each other.
        self.planes = stream::iter(starts).buffered(2).try_collect().await?;
        Ok(())
    }

    fn spec(&self, index: usize) -> ControlPlaneSpec {
        let name = format!("bench-{index}");
        let mut spec =
            ControlPlaneSpec::new(&name, self.minor, &self.folder.join(&name), self.etcd.endpoint());
        spec.etcd_prefix = format!("/{}/{name}", self.generation);
        spec
    }

    /// Resident memory of one control plane in bytes, on average.
    pub(crate) fn memory_each(&self) -> u64 {
        let all: u64 = self.planes.iter().map(|plane| plane.report().measured().rss_bytes()).sum();
        all / self.planes.len().max(1) as u64
    }

    /// Ends everything.
    pub(crate) async fn stop(self) {
        futures::future::join_all(self.planes.into_iter().map(ControlPlane::stop)).await;
        self.etcd.stop().await;
    }
}

/// A new way to a control plane as its admin. Nothing is sent before the first request.
pub(crate) fn way(plane: &ControlPlane) -> Result<Remote> {
    let kubeconfig: Value = serde_yaml::from_str(&plane.admin_kubeconfig())?;
    let user = &kubeconfig["users"][0]["user"];
    let pem = |field: &str| -> Result<Vec<u8>> {
        Ok(pem_from_base64(user[field].as_str().context("the admin's kubeconfig has no certificate")?)?)
    };
    let identity =
        Identity::Certificate { certificate: pem("client-certificate-data")?, key: pem("client-key-data")? };
    let endpoint = Endpoint::parse(&plane.endpoint(), Addresses::LOCAL)?;
    Ok(connect(endpoint, plane.ca_pem().as_bytes(), identity, Limits::default(), system_clock())?)
}

/// The objects of the kind and the namespace of one.
pub(crate) fn beside(way: &Remote, object: &BundleObject) -> Result<Api<DynamicObject>> {
    let types = TypeMeta { api_version: object.api_version.clone(), kind: object.kind.clone() };
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
    Ok(match &object.namespace {
        Some(namespace) => Api::namespaced_with(way.client(), namespace, &resource),
        None => Api::all_with(way.client(), &resource),
    })
}

/// The labels that an object has when it is as wanted. They are written together with all of it.
pub(crate) fn has_labels_of(
    labels: Option<&std::collections::BTreeMap<String, String>>,
    object: &BundleObject,
) -> bool {
    let wanted = object.value.pointer("/metadata/labels").and_then(Value::as_object);
    wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.and_then(|labels| labels.get(key)).map(String::as_str) == value.as_str())
}
