//! The one way in which a status is written: over the status that was read, by the leader alone.

use std::sync::Arc;

use kube::{Api, ResourceExt as _, api::PostParams, core::object::HasStatus};
use serde::Serialize;

use crate::{context::Context, error::ReconcileError, written::Ours};

/// Whether two statuses are the same once they are written: the API server keeps whole seconds, clocks do not.
pub(crate) fn says_the_same<S: Serialize>(before: Option<&S>, after: &S) -> bool {
    let written = |status: &S| serde_json::to_value(status).ok();
    before.and_then(written).is_some_and(|before| Some(before) == written(after))
}

/// How often a write is repeated when somebody else wrote to the object in between.
const TRIES: usize = 4;

/// Writes a status and remembers what the API server answered.
///
/// Operators may write spec and annotations at the same moment: then the status is written over the newer version,
/// as long as nobody else wrote the status itself. Somebody who did is another leader, and this one stops.
pub(crate) async fn write<K>(
    context: &Context,
    object: &K,
    status: K::Status,
) -> Result<Arc<K>, ReconcileError>
where
    K: Ours + HasStatus,
    K::Status: PartialEq,
{
    let name = object.name_any();
    let api: Api<K> = Api::all(context.client.clone());
    let mut wanted = object.clone();
    *wanted.status_mut() = Some(status);
    for _ in 0..TRIES {
        context.fence.check()?;
        match api.replace_status(&name, &PostParams::default(), &wanted).await {
            Ok(written) => {
                context.metrics.status_written(K::KIND);
                return Ok(K::writes(context).remember(written));
            }
            Err(kube::Error::Api(answer)) if answer.code == 409 => {
                let latest = api.get(&name).await.map_err(ReconcileError::hub("read", K::KIND, &name))?;
                if latest.uid() != object.uid() || latest.status() != object.status() {
                    break;
                }
                wanted.meta_mut().resource_version = latest.resource_version();
            }
            Err(error) => return Err(ReconcileError::hub("write the status of", K::KIND, &name)(error)),
        }
    }
    Err(ReconcileError::OtherWriter { kind: K::KIND, name })
}

#[cfg(test)]
mod tests {
    use fleet_api::v1alpha1::TenantClusterStatus;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn a_part_of_a_second_is_no_difference() {
        let at = |text: &str| {
            let mut status = TenantClusterStatus::default();
            status.baseline.proven_at = Some(Time(text.parse::<Timestamp>().unwrap()));
            status
        };
        let stored = at("2026-11-24T10:22:11Z");
        assert!(says_the_same(Some(&stored), &at("2026-11-24T10:22:11.669609Z")));
        assert!(!says_the_same(Some(&stored), &at("2026-11-24T10:22:12Z")));
        assert!(!says_the_same(None, &stored));
    }
}
