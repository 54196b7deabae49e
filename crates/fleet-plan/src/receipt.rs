//! The receipt of a deletion: what was there when it began, against what was last seen.

use fleet_api::{
    eks::EksObservation,
    receipt::{DeletionReceipt, ReceiptItem},
    v1alpha1::TenantCluster,
};
use jiff::Timestamp;

/// Writes the receipt of a cluster whose deletion has begun; `None` before that.
///
/// `finished_at` is the moment of the last look, and `None` while the deletion runs. Nothing counts as deleted until
/// then: what was there and is not among the leftovers is gone.
pub fn receipt(
    cluster: &TenantCluster,
    seen: &EksObservation,
    finished_at: Option<Timestamp>,
) -> Option<DeletionReceipt> {
    let status = cluster.status.as_ref()?;
    let deletion = status.deletion.as_ref()?;
    let (account, region) =
        cluster.spec.eks.as_ref().map(|eks| (eks.account.clone(), eks.region.clone())).unwrap_or_default();
    let mut remaining: Vec<ReceiptItem> = seen
        .leftovers
        .present()
        .into_iter()
        .flatten()
        .map(|left| ReceiptItem { kind: left.kind.clone(), id: left.id.clone(), note: left.why.clone() })
        .collect();
    let mut deleted = Vec::new();
    for item in &deletion.there {
        if remaining.iter().any(|left| left.id == item.id) {
            continue;
        }
        match finished_at {
            Some(_) => deleted
                .push(ReceiptItem { note: "not there any more at the last look".to_owned(), ..item.clone() }),
            None => remaining.push(ReceiptItem { note: "not seen gone yet".to_owned(), ..item.clone() }),
        }
    }
    // A cluster that was never handed over had no workloads to drain.
    if let Some(why) = deletion.drain.skipped.as_ref().filter(|_| status.baseline.proven_at.is_some()) {
        let note = format!("not drained before the deletion: {why}");
        remaining.push(ReceiptItem {
            kind: "workloads".to_owned(),
            id: cluster.spec.cluster_name.clone(),
            note,
        });
    }
    deleted.sort();
    remaining.sort();
    Some(DeletionReceipt {
        tenant: cluster.spec.tenant.clone(),
        tenant_uid: cluster.spec.tenant_uid.clone(),
        cluster_name: cluster.spec.cluster_name.clone(),
        account,
        region,
        began_at: deletion.began_at.0,
        finished_at,
        deleted,
        remaining,
    })
}
