//! Deletion receipts, kept as ConfigMaps on the management cluster: they outlive what they speak of.

use std::collections::BTreeMap;

use fleet_api::{labels, receipt::DeletionReceipt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Client, Resource as _,
    api::{Api, ObjectMeta, Patch, PatchParams},
    core::ApiResource,
};

use super::{HubError, list_all};

const JSON: &str = "receipt.json";
const TEXT: &str = "receipt.txt";

/// Writes a receipt, or the same one again with more in it. Gives back the ConfigMap's name.
///
/// # Errors
/// The management cluster refuses.
pub async fn write_receipt(client: &Client, receipt: &DeletionReceipt) -> Result<String, HubError> {
    let name = format!("receipt-{}", receipt.cluster_name);
    let json = serde_json::to_string_pretty(receipt)
        .map_err(|source| HubError::Receipt { cluster: receipt.cluster_name.clone(), source })?;
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(labels::SYSTEM_NAMESPACE.to_owned()),
            labels: Some(BTreeMap::from([
                label(labels::MANAGED_BY, labels::MANAGED_BY_FLEET),
                label(labels::RECEIPT, "true"),
                label(labels::TENANT, &receipt.tenant),
            ])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(JSON.to_owned(), json), (TEXT.to_owned(), receipt.to_text())])),
        ..ConfigMap::default()
    };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), labels::SYSTEM_NAMESPACE);
    let params = PatchParams::apply(labels::CONTROLLER_MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(&map)).await.map_err(|source| HubError::Apply {
        kind: ConfigMap::kind(&()).into_owned(),
        name: name.clone(),
        source,
    })?;
    Ok(name)
}

/// Reads the receipts, of one tenant or of all, newest deletion last. One that cannot be read is left out.
///
/// # Errors
/// The ConfigMaps cannot be listed.
pub async fn read_receipts(client: &Client, tenant: Option<&str>) -> Result<Vec<DeletionReceipt>, HubError> {
    let mut selector = format!("{}=true", labels::RECEIPT);
    if let Some(tenant) = tenant {
        selector.push_str(&format!(",{}={tenant}", labels::TENANT));
    }
    let maps = list_all(
        client,
        &ApiResource::erase::<ConfigMap>(&()),
        Some(labels::SYSTEM_NAMESPACE),
        Some(&selector),
    )
    .await?;
    let mut receipts: Vec<DeletionReceipt> = maps
        .iter()
        .filter_map(|map| map.data.get("data")?.get(JSON)?.as_str())
        .filter_map(|json| serde_json::from_str(json).ok())
        .collect();
    receipts.sort_by_key(|receipt| receipt.began_at);
    Ok(receipts)
}
