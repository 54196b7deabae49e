//! The tenant loop: from what operators write to one TenantCluster, and back to what they read.

mod apply;
mod delete;
mod dereference;
mod orphan;
mod preference;
mod update_status;
mod validate;

use std::sync::Arc;

use fleet_api::{labels, v1alpha1::Tenant};
use fleet_plan::compose::compose;
use kube::{ResourceExt as _, runtime::controller::Action};

pub(crate) use update_status::PARTS;

use self::update_status::Said;

use crate::{context::Context, error::ReconcileError, finalizer, pace::jittered};

/// One reconcile of a tenant.
pub(crate) async fn reconcile(tenant: Arc<Tenant>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let tenant = context.tenants_written.freshest(tenant);
    let name = tenant.name_any();
    context.fence.check()?;
    let mut seen = dereference::dereference(&context, &tenant);
    if tenant.metadata.deletion_timestamp.is_some() {
        return delete::delete(&context, &tenant, seen.cluster.as_deref()).await;
    }
    if let Some(cluster) = seen.cluster.take() {
        seen.cluster = Some(orphan::end_move(&context, cluster).await?);
    }
    dereference::look_again(&context, &tenant, &mut seen).await?;
    let tenant = finalizer::ensure(&context, tenant, labels::TENANT_FINALIZER).await?;
    let problems = validate::validate(&context, &tenant, &seen);
    seen.chosen = preference::judge(&context, &tenant, &seen).await?;
    let composed = if problems.iter().any(validate::is_error) {
        None
    } else {
        Some(compose(&tenant, &seen.sources(), context.now()))
    };
    let cluster = match &composed {
        Some(Ok(composed)) => {
            Some(apply::apply_cluster(&context, &tenant, &composed.spec, seen.cluster.clone()).await?)
        }
        Some(Err(_)) | None => seen.cluster.clone(),
    };
    let said = match &composed {
        Some(Ok(composed)) => Said { missing: &[], notes: &composed.notes },
        Some(Err(missing)) => Said { missing, notes: &[] },
        None => Said::default(),
    };
    update_status::update_status(&context, &tenant, cluster.as_deref(), &problems, said).await?;
    Ok(Action::requeue(jittered(context.resync, &name, 0)))
}
