//! Fresh clusters, and the bundle that is brought to them.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use fleet_api::v1alpha1::{Baseline, TenantClusterSpec};
use fleet_exec::{
    baseline::{Engine, EngineConfig, EngineHandle, EngineReport},
    clock::system_clock,
    remote::{Addresses, Endpoint, Identity, Limits, Remote, connect, pem_from_base64},
};
use fleet_render::{Bundle, Catalogue, RenderInput, render};
use local_control_plane::{Assets, ControlPlane, ControlPlaneSpec, Etcd, Minor};
use serde_yaml::Value;

/// How long the clusters may take to get there.
const PATIENCE: Duration = Duration::from_secs(300);

/// The bundle of `acme-payments` of the example fleet.
pub(crate) fn bundle(root: &Path) -> Result<Arc<Bundle>> {
    let documents = |file: &str| -> Result<Vec<Value>> {
        let path = root.join("fleet/demo").join(file);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let all = serde_yaml::Deserializer::from_str(&text);
        Ok(all.map(<Value as serde::Deserialize>::deserialize).collect::<std::result::Result<_, _>>()?)
    };
    let named = |all: Vec<Value>, name: &str| {
        all.into_iter()
            .find(|one| one["metadata"]["name"] == name)
            .with_context(|| format!("the example fleet has no `{name}`"))
    };
    let tenant = named(documents("tenants/acme-payments.yaml")?, "acme-payments")?;
    let tenant: fleet_api::v1alpha1::Tenant = serde_yaml::from_value(tenant)?;
    let class = named(documents("classes.yaml")?, "eks-regulated")?;
    let class: fleet_api::v1alpha1::TenantClass = serde_yaml::from_value(class)?;
    let baseline: Baseline =
        serde_yaml::from_value(named(documents("baselines.yaml")?, &class.spec.baseline)?)?;
    let spec: TenantClusterSpec = serde_json::from_value(serde_json::json!({
        "tenant": "acme-payments", "tenantUid": "bench", "owner": tenant.spec.owner, "class": tenant.spec.class,
        "clusterName": "acme-payments-bench", "version": "1.36",
        "hardening": {
            "baseline": class.spec.baseline, "compliance": tenant.spec.compliance,
            "namespaces": tenant.spec.namespaces, "capacity": tenant.spec.capacity,
            "network": tenant.spec.network, "images": tenant.spec.images, "access": tenant.spec.access,
        },
        "eks": class.spec.eks,
    }))?;
    let input = RenderInput {
        spec: &spec,
        baseline: &baseline.spec,
        exceptions: &[],
        version: "1.36".parse()?,
        today: "2026-11-24".parse()?,
    };
    Ok(Arc::new(render(&Catalogue::builtin()?, &input)?))
}

/// A set of fresh control planes over one etcd.
pub(crate) struct Planes {
    pub(crate) etcd: Etcd,
    pub(crate) planes: Vec<ControlPlane>,
}

impl Planes {
    pub(crate) async fn start(assets: &Assets, folder: &Path, count: usize) -> Result<(Self, Vec<Duration>)> {
        let etcd = Etcd::start(assets, &folder.join("etcd")).await?;
        let (mut planes, mut times) = (Vec::new(), Vec::new());
        for index in 0..count {
            let began = std::time::Instant::now();
            let name = format!("bench-{index}");
            let spec = ControlPlaneSpec::new(&name, Minor::V1_36, &folder.join(&name), etcd.endpoint());
            planes.push(ControlPlane::start(assets, spec).await?);
            times.push(began.elapsed());
        }
        Ok((Self { etcd, planes }, times))
    }

    pub(crate) async fn stop(self) {
        for plane in self.planes {
            plane.stop().await;
        }
        self.etcd.stop().await;
    }
}

/// The way to a control plane as its admin.
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

/// An engine over a way.
pub(crate) fn engine(remote: &Remote) -> EngineHandle {
    Engine::spawn(remote.clone(), EngineConfig::new("bench", system_clock()))
}

/// Waits for a report of an engine.
pub(crate) async fn until(
    engine: &EngineHandle,
    is_so: impl Fn(&EngineReport) -> bool,
) -> Result<EngineReport> {
    let mut reports = engine.report();
    let waited = tokio::time::timeout(PATIENCE, reports.wait_for(|report| is_so(report))).await;
    match waited {
        Ok(Ok(report)) => Ok(report.clone()),
        _ => bail!("an engine did not get there: {:?}", engine.report().borrow().stage),
    }
}
