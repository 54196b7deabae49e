//! A stage between judging a tenant and composing it: what its own people chose, inside the operators' bounds.
//!
//! The status is written before anything is composed from it, and over the version that was judged: a deferral is counted
//! once, whatever becomes of this process.

use fleet_api::{
    conditions,
    eks::durations,
    v1alpha1::{Chosen, Tenant, UpgradePreference, UpgradePreferenceStatus},
};
use fleet_plan::{
    compose::maintenance_of,
    fleet_versions::support_end,
    preference::{self, Bounds, NAME, SupportEnd, namespace_of},
};
use kube::{Api, ResourceExt as _, api::PostParams, runtime::reflector::ObjectRef};

use super::dereference::Seen;
use crate::{context::Context, error::ReconcileError, status::says_the_same};

/// What is in force of the preference of a tenant's people.
pub(super) async fn judge(
    context: &Context,
    tenant: &Tenant,
    seen: &Seen,
) -> Result<Option<Chosen>, ReconcileError> {
    let name = tenant.name_any();
    let namespace = namespace_of(&name);
    let reference = ObjectRef::<UpgradePreference>::new(NAME).within(&namespace);
    let Some(preference) = context.stores.preferences.get(&reference) else { return Ok(None) };
    let eks = seen.cluster.as_ref().and_then(|cluster| cluster.spec.eks.as_ref());
    let eks = eks.or_else(|| seen.class.as_ref().and_then(|class| class.spec.eks.as_ref()));
    let status = seen.cluster.as_ref().and_then(|cluster| cluster.status.as_ref());
    let at = status.and_then(|status| status.versions.control_plane);
    let calendar = eks.and_then(|eks| context.stores.calendars.get(&ObjectRef::new(&eks.region)));
    let maintenance = maintenance_of(tenant, Some(&seen.fleet));
    let bounds = Bounds {
        maintenance: maintenance.as_ref(),
        at,
        support_ends: at.map_or(SupportEnd::Unknown, |at| support_end(calendar.as_deref(), at)),
        minutes: eks.map_or(durations::CONTROL_PLANE_UPDATE, durations::longest_step),
    };
    let judged = preference::judge(&preference.spec, preference.status.as_ref(), &bounds, context.now());
    let generation = preference.metadata.generation;
    let mut after = UpgradePreferenceStatus {
        observed_generation: generation,
        deferral: judged.deferral,
        conditions: preference.status.as_ref().map(|it| it.conditions.clone()).unwrap_or_default(),
    };
    conditions::set(&mut after.conditions, &judged.verdict, generation, context.now());
    if !says_the_same(preference.status.as_ref(), &after) {
        context.fence.check()?;
        let api: Api<UpgradePreference> = Api::namespaced(context.client.clone(), &namespace);
        let mut wanted = (*preference).clone();
        wanted.status = Some(after);
        match api.replace_status(NAME, &PostParams::default(), &wanted).await {
            Ok(_) => context.metrics.status_written("UpgradePreference"),
            // It was taken away in the meantime: what the operators say holds.
            Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(None),
            Err(error) => {
                return Err(ReconcileError::hub("write the status of", "UpgradePreference", &name)(error));
            }
        }
    }
    Ok(judged.chosen)
}
