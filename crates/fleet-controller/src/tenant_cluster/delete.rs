//! The receipt of a deletion: begun when the deletion begins, and finished before the finalizer goes.

use fleet_api::{
    eks::EksObservation,
    v1alpha1::{TenantCluster, TenantClusterStatus},
};
use fleet_exec::hub;
use fleet_plan::receipt::receipt;
use kube::ResourceExt as _;

use crate::{context::Context, error::ReconcileError};

/// Writes the receipt as it stands: at the beginning, and at the end.
pub(super) async fn write_receipt(
    context: &Context,
    object: &TenantCluster,
    status: &TenantClusterStatus,
    seen: &EksObservation,
    finished: bool,
) -> Result<(), ReconcileError> {
    let begun_before = object.status.as_ref().is_some_and(|before| before.deletion.is_some());
    if begun_before && !finished {
        return Ok(());
    }
    let current = TenantCluster { status: Some(status.clone()), ..object.clone() };
    let Some(receipt) = receipt(&current, seen, finished.then(|| context.now())) else { return Ok(()) };
    context.fence.check()?;
    hub::write_receipt(&context.client, &receipt)
        .await
        .map_err(|source| ReconcileError::Receipt { name: object.name_any(), source: Box::new(source) })?;
    Ok(())
}
