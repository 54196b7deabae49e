//! Drains what lives in the cloud but is known only to a tenant's cluster: load balancers, ingresses, gateways and
//! claims. They are deleted through the API server while the controllers that clean up behind them still run;
//! after the cluster is gone nobody would.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use crate::remote::{Fault, Place, Remote, Resource, Writing};

/// How long draining takes at most before what remains is told.
#[derive(Debug, Clone)]
pub struct DrainLimits {
    /// How long one call waits for things to go. A step that is not done is repeated.
    pub patience: Duration,
    /// How long between two looks.
    pub between: Duration,
}

impl Default for DrainLimits {
    fn default() -> Self {
        Self { patience: Duration::from_secs(20), between: Duration::from_secs(1) }
    }
}

/// Something that was deleted and is not gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remaining {
    /// The kind.
    pub kind: String,
    /// Namespace and name.
    pub name: String,
    /// What holds it: its finalizers, as far as they say.
    pub why: String,
}

impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.kind, self.name, self.why)
    }
}

/// What is drained. Kinds that an API server does not have are skipped.
const DRAINED: [(&str, &str); 4] = [
    ("v1", "Service"),
    ("networking.k8s.io/v1", "Ingress"),
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("v1", "PersistentVolumeClaim"),
];

/// Deletes everything that is drained, waits for it to go, and gives back what is still there.
///
/// # Errors
/// The API server does not do its part.
pub async fn drain(remote: &Remote, limits: &DrainLimits) -> Result<Vec<Remaining>, Fault> {
    let end = Instant::now() + limits.patience;
    loop {
        let found = look(remote).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        for (resource, object) in found.iter().filter(|(_, object)| !is_leaving(object)) {
            delete(remote, resource, object).await?;
        }
        release_claims(remote, &found).await?;
        if Instant::now() + limits.between >= end {
            return Ok(look(remote)
                .await?
                .iter()
                .map(|(resource, object)| remaining(resource, object))
                .collect());
        }
        tokio::time::sleep(limits.between).await;
    }
}

async fn look(remote: &Remote) -> Result<Vec<(Resource, Value)>, Fault> {
    let mut found = Vec::new();
    for (api_version, kind) in DRAINED {
        let resource = Resource::new(api_version, kind);
        let drained = |item: &Value| kind != "Service" || text(item, "/spec/type") == Some("LoadBalancer");
        match remote.list(&resource, None, drained).await {
            Ok(list) => found.extend(list.items.into_iter().map(|item| (resource.clone(), item))),
            Err(fault) if fault.is_not_found() => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

async fn delete(remote: &Remote, resource: &Resource, object: &Value) -> Result<(), Fault> {
    let Some(name) = text(object, "/metadata/name") else { return Ok(()) };
    let place = Place { resource, namespace: text(object, "/metadata/namespace"), name };
    match remote.delete(place, text(object, "/metadata/uid"), Writing::default()).await {
        Err(fault) if !fault.is_not_found() && !fault.is_conflict() => Err(fault),
        _ => Ok(()),
    }
}

/// A claim stays for as long as a pod mounts it (`kubernetes.io/pvc-protection`): such pods are deleted too. A new
/// pod of the same workload does not get a claim that is on its way out.
async fn release_claims(remote: &Remote, found: &[(Resource, Value)]) -> Result<(), Fault> {
    let claims: BTreeSet<(&str, &str)> = found
        .iter()
        .filter(|(resource, _)| resource.kind == "PersistentVolumeClaim")
        .filter_map(|(_, claim)| Some((text(claim, "/metadata/namespace")?, text(claim, "/metadata/name")?)))
        .collect();
    if claims.is_empty() {
        return Ok(());
    }
    let pods = Resource::new("v1", "Pod");
    let mounts = |pod: &Value| {
        let namespace = text(pod, "/metadata/namespace").unwrap_or_default();
        let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
        volumes
            .filter_map(|volume| text(volume, "/persistentVolumeClaim/claimName"))
            .any(|claim| claims.contains(&(namespace, claim)))
    };
    for pod in remote.list(&pods, None, mounts).await?.items.iter().filter(|pod| !is_leaving(pod)) {
        delete(remote, &pods, pod).await?;
    }
    Ok(())
}

fn remaining(resource: &Resource, object: &Value) -> Remaining {
    let finalizers: Vec<&str> = object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let why = if finalizers.is_empty() {
        "no finalizer holds it".to_owned()
    } else {
        format!("held by {}", finalizers.join(", "))
    };
    let name = text(object, "/metadata/name").unwrap_or("?");
    let name = match text(object, "/metadata/namespace") {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    };
    Remaining { kind: resource.kind.clone(), name, why }
}

fn is_leaving(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}
