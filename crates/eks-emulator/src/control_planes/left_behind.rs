//! What a cluster leaves in AWS when it is deleted before its own controllers could clean up: load balancers of
//! Services and volumes of claims. Asked of the API server just before it goes.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use local_control_plane::write_private;
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use super::Fault;
use crate::{
    model::ClusterKey,
    state::{Leftover, LeftoverKind},
};

/// An API server that does not answer must not keep its cluster from being deleted.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct List {
    items: Vec<Value>,
}

/// Asks with kubectl, as the administrator of the API server.
pub(super) async fn ask(
    kubectl: &Path,
    kubeconfig: &str,
    folder: &Path,
    key: &ClusterKey,
) -> Result<Vec<Leftover>, Fault> {
    let file = folder.join("left-behind.kubeconfig");
    write_private(&file, kubeconfig)?;
    let output = Command::new(kubectl)
        .arg("--kubeconfig")
        .arg(&file)
        .arg("--cache-dir")
        .arg(folder.join("kubectl-cache"))
        .args(["get", "services,persistentvolumes", "--all-namespaces", "--output=json"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(ANSWER_WITHIN, output).await??;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let list: List = serde_json::from_slice(&output.stdout)?;
    Ok(list.items.iter().filter_map(|object| left_by(object, key)).collect())
}

/// What an object stands for in AWS. Source of names and tags: docs (cloud provider, EBS CSI driver).
fn left_by(object: &Value, key: &ClusterKey) -> Option<Leftover> {
    let name = object.pointer("/metadata/name")?.as_str()?;
    let mut tags = BTreeMap::from([(format!("kubernetes.io/cluster/{}", key.name), "owned".to_owned())]);
    let (kind, id) = match object.get("kind")?.as_str()? {
        "Service" if object.pointer("/spec/type")? == "LoadBalancer" => {
            let namespace = object.pointer("/metadata/namespace")?.as_str()?;
            tags.insert("kubernetes.io/service-name".to_owned(), format!("{namespace}/{name}"));
            let uid = object.pointer("/metadata/uid")?.as_str()?.replace('-', "");
            (LeftoverKind::LoadBalancer, format!("a{}", uid.get(..31)?))
        }
        "PersistentVolume" if object.pointer("/spec/csi/driver")? == "ebs.csi.aws.com" => {
            tags.insert("kubernetes.io/created-for/pv/name".to_owned(), name.to_owned());
            (LeftoverKind::Volume, object.pointer("/spec/csi/volumeHandle")?.as_str()?.to_owned())
        }
        _ => return None,
    };
    let description = format!("left by {name} of cluster {}", key.name);
    Some(Leftover { account: key.account.clone(), region: key.region.clone(), kind, id, tags, description })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn load_balancers_and_volumes_are_left_and_nothing_else() {
        let key = ClusterKey { account: "1".into(), region: "r".into(), name: "one".into() };
        let uid = "0f3d8e0a-1c2b-4d5e-8f90-a1b2c3d4e5f6";
        let service = |kind: &str| {
            json!({
                "kind": "Service",
                "metadata": { "name": "web", "namespace": "shop", "uid": uid },
                "spec": { "type": kind },
            })
        };
        let left = left_by(&service("LoadBalancer"), &key).unwrap();
        assert_eq!(left.id, "a0f3d8e0a1c2b4d5e8f90a1b2c3d4e5f");
        assert_eq!(left.tags["kubernetes.io/cluster/one"], "owned");
        assert_eq!(left.tags["kubernetes.io/service-name"], "shop/web");
        assert_eq!(left_by(&service("ClusterIP"), &key), None);
        let volume = json!({
            "kind": "PersistentVolume",
            "metadata": { "name": "pvc-1" },
            "spec": { "csi": { "driver": "ebs.csi.aws.com", "volumeHandle": "vol-1" } },
        });
        assert_eq!(left_by(&volume, &key).unwrap().id, "vol-1");
    }
}
