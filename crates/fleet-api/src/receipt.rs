//! The receipt of a deletion: what was deleted, what remains and why.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was deleted with a tenant's cluster, and what remains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletionReceipt {
    /// The tenant.
    pub tenant: String,
    /// The tenant's UID.
    pub tenant_uid: String,
    /// The cluster's name in the cloud.
    pub cluster_name: String,
    /// The AWS account.
    pub account: String,
    /// The AWS region.
    pub region: String,
    /// When the deletion began.
    pub began_at: Timestamp,
    /// When the last look at the cloud was taken; `None` while the deletion runs.
    pub finished_at: Option<Timestamp>,
    /// What was there when the deletion began, and is gone.
    pub deleted: Vec<ReceiptItem>,
    /// What is still there.
    pub remaining: Vec<ReceiptItem>,
}

/// One thing of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptItem {
    /// What it is, such as `cluster`, `node group` or `volume`.
    pub kind: String,
    /// Its ARN, id or name.
    pub id: String,
    /// For what remains: why. For what is gone: how that was seen.
    pub note: String,
}

impl DeletionReceipt {
    /// The receipt for people.
    pub fn to_text(&self) -> String {
        let mut lines = vec![
            format!("Deletion receipt for tenant {} ({})", self.tenant, self.tenant_uid),
            format!("Cluster {} in account {}, region {}", self.cluster_name, self.account, self.region),
            match self.finished_at {
                Some(at) => format!("Began {:.0}, finished {at:.0}", self.began_at),
                None => format!("Began {}, not finished", self.began_at),
            },
        ];
        let mut part = |title: &str, items: &[ReceiptItem], none: &str| {
            lines.push(String::new());
            if items.is_empty() {
                lines.push(none.to_owned());
                return;
            }
            lines.push(format!("{title} ({}):", items.len()));
            lines
                .extend(items.iter().map(|item| format!("  {:<22} {}  ({})", item.kind, item.id, item.note)));
        };
        part("Deleted", &self.deleted, "Nothing was deleted.");
        part("Remaining", &self.remaining, "Nothing remains that carries the cluster's tags.");
        lines.push(String::new());
        lines.join("\n")
    }
}
