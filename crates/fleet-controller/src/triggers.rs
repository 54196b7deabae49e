//! Whom a change concerns: from what a watch saw to the objects that are looked at again.
//!
//! A write to a status concerns the objects above it and never the object itself, or every write would cause
//! the next reconcile.

use fleet_api::{
    labels,
    v1alpha1::{
        Approval, Baseline, ControlException, Fleet, Rollout, RolloutMember, Tenant, TenantClass,
        TenantCluster, UpgradePreference, VersionCalendar, VersionChannel,
    },
};
use fleet_plan::preference::namespace_of;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Resource, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::reflector::{ObjectRef, Store},
};

use crate::watch::{Change, Reach};

/// True when something changed that the object's own loop acts on: its spec, its deletion, one of our
/// annotations, or the loss of our finalizer.
fn concerns_itself<K: Resource>(before: Option<&K>, now: &K) -> bool {
    let Some(before) = before else { return true };
    let (before, now) = (before.meta(), now.meta());
    let ours = |annotations: &Option<std::collections::BTreeMap<String, String>>| {
        annotations
            .iter()
            .flatten()
            .filter(|(key, _)| key.starts_with("tenantfleet.dev/"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Vec<_>>()
    };
    let finalizers = |all: &Option<Vec<String>>| {
        all.iter().flatten().filter(|name| name.starts_with("tenantfleet.dev/")).count()
    };
    before.uid != now.uid
        || before.generation != now.generation
        || before.deletion_timestamp.is_some() != now.deletion_timestamp.is_some()
        || ours(&before.annotations) != ours(&now.annotations)
        || finalizers(&before.finalizers) > finalizers(&now.finalizers)
}

/// Every object of a store.
fn all<K: Resource<DynamicType = ()> + Clone + 'static>(
    store: &Store<K>,
    concerned: impl Fn(&K) -> bool,
) -> Vec<ObjectRef<K>> {
    store
        .state()
        .iter()
        .filter(|object| concerned(object))
        .map(|object| ObjectRef::from_obj(&**object))
        .collect()
}

impl Reach {
    fn ask_for_tenants(&self, concerned: impl Fn(&Tenant) -> bool) {
        all(&self.stores.tenants, concerned)
            .into_iter()
            .for_each(|tenant| self.queues.tenants.ask_for(tenant));
    }

    fn ask_for_clusters(&self, concerned: impl Fn(&TenantCluster) -> bool) {
        all(&self.stores.clusters, concerned)
            .into_iter()
            .for_each(|cluster| self.queues.clusters.ask_for(cluster));
    }

    fn ask_for_rollouts(&self, concerned: impl Fn(&Rollout) -> bool) {
        all(&self.stores.rollouts, concerned)
            .into_iter()
            .for_each(|rollout| self.queues.rollouts.ask_for(rollout));
    }

    /// The rollouts of which the cluster is a member, and that may still want something of it.
    fn ask_for_rollouts_of(&self, cluster: &TenantCluster) {
        let name = cluster.name_any();
        let standing = cluster.spec.rollout.as_ref().map(|wanted| wanted.rollout.as_str());
        let concerned = all(&self.stores.rollouts, |rollout| {
            let over = rollout.status.as_ref().is_some_and(|status| status.phase.is_over());
            !over || rollout.metadata.name.as_deref() == standing
        });
        for rollout in concerned {
            let is_member =
                |member: &RolloutMember| member.spec.rollout == rollout.name && member.spec.cluster == name;
            if self.stores.members.find(is_member).is_some() {
                self.queues.rollouts.ask_for(rollout);
            }
        }
    }
}

/// The Fleet speaks to every tenant; its brake speaks to whatever is being deleted, and its approvers to rollouts.
pub(crate) fn fleet(reach: &Reach, _: Change<'_, Fleet>) {
    reach.ask_for_tenants(|_| true);
    reach.ask_for_clusters(|cluster| cluster.metadata.deletion_timestamp.is_some());
    reach.ask_for_rollouts(|_| true);
}

/// A tenant concerns itself.
pub(crate) fn tenant(reach: &Reach, change: Change<'_, Tenant>) {
    match change {
        Change::All => reach.ask_for_tenants(|_| true),
        Change::Applied { before, now } if concerns_itself(before, now) => {
            reach.queues.tenants.ask_for(ObjectRef::from_obj(now));
        }
        Change::Applied { .. } | Change::Gone(_) => {}
    }
}

/// A class concerns the tenants that name it.
pub(crate) fn class(reach: &Reach, change: Change<'_, TenantClass>) {
    match change {
        Change::All => reach.ask_for_tenants(|_| true),
        Change::Applied { now: class, .. } | Change::Gone(class) => {
            let name = class.name_any();
            reach.ask_for_tenants(|tenant| tenant.spec.class == name);
        }
    }
}

/// A cluster concerns itself, and with its status the tenant and the rollouts that it takes part in.
pub(crate) fn cluster(reach: &Reach, change: Change<'_, TenantCluster>) {
    match change {
        Change::All => {
            reach.ask_for_clusters(|_| true);
            reach.ask_for_tenants(|_| true);
            reach.ask_for_rollouts(|_| true);
        }
        Change::Applied { before, now } => {
            if concerns_itself(before, now) {
                reach.queues.clusters.ask_for(ObjectRef::from_obj(now));
            }
            if concerns_rollouts(before, now) {
                reach.ask_for_rollouts_of(now);
            }
            reach.queues.tenants.ask_for(ObjectRef::new(&now.spec.tenant));
        }
        Change::Gone(gone) => {
            // The loop finds it gone, and forgets it.
            reach.queues.clusters.ask_for(ObjectRef::from_obj(gone));
            reach.ask_for_rollouts_of(gone);
            reach.queues.tenants.ask_for(ObjectRef::new(&gone.spec.tenant));
        }
    }
}

/// A baseline concerns the clusters that it hardens, and the tenants whose class names it.
pub(crate) fn baseline(reach: &Reach, change: Change<'_, Baseline>) {
    match change {
        Change::All => {
            reach.ask_for_clusters(|_| true);
            reach.ask_for_tenants(|_| true);
        }
        Change::Applied { now: baseline, .. } | Change::Gone(baseline) => {
            let name = baseline.name_any();
            reach.ask_for_clusters(|cluster| cluster.spec.hardening.baseline == name);
            let classes = all(&reach.stores.classes, |class| class.spec.baseline == name);
            reach.ask_for_tenants(|tenant| classes.iter().any(|class| class.name == tenant.spec.class));
        }
    }
}

/// A channel concerns the tenants that follow it, by name or by the Fleet's default, and those that stay on a
/// version, because a version has to be on offer.
pub(crate) fn channel(reach: &Reach, change: Change<'_, VersionChannel>) {
    match change {
        Change::All => reach.ask_for_tenants(|_| true),
        Change::Applied { now: channel, .. } | Change::Gone(channel) => {
            let name = channel.name_any();
            reach.ask_for_tenants(|tenant| {
                tenant.spec.kubernetes.channel.as_ref().is_none_or(|follows| *follows == name)
            });
        }
    }
}

/// An exception concerns its tenant and the tenant's clusters.
pub(crate) fn exception(reach: &Reach, change: Change<'_, ControlException>) {
    match change {
        Change::All => reach.ask_for_clusters(|_| true),
        Change::Applied { before, now } => {
            let before = before.map(|before| before.spec.tenant.as_str());
            reach.ask_for_clusters(|cluster| {
                cluster.spec.tenant == now.spec.tenant || Some(cluster.spec.tenant.as_str()) == before
            });
        }
        Change::Gone(gone) => reach.ask_for_clusters(|cluster| cluster.spec.tenant == gone.spec.tenant),
    }
}

/// True when something changed of a cluster that its rollouts judge it by.
fn concerns_rollouts(before: Option<&TenantCluster>, now: &TenantCluster) -> bool {
    let Some(before) = before else { return true };
    let judged = |cluster: &TenantCluster| {
        cluster.status.as_ref().map(|status| (status.evidence.clone(), status.versions.clone()))
    };
    concerns_itself(Some(before), now) || judged(before) != judged(now)
}

/// A rollout concerns itself; and with its end, or with one that is new, those that want the same clusters. One that is
/// gone leaves its moves to the tenants.
///
/// Its status is written by its own loop, which looks again by itself after a write.
pub(crate) fn rollout(reach: &Reach, change: Change<'_, Rollout>) {
    match change {
        Change::All => reach.ask_for_rollouts(|_| true),
        Change::Applied { before, now } => {
            let over =
                |rollout: &Rollout| rollout.status.as_ref().is_some_and(|status| status.phase.is_over());
            if before.is_some_and(|before| over(before) != over(now)) {
                reach.ask_for_rollouts(|_| true);
            } else if concerns_itself(before, now) {
                reach.queues.rollouts.ask_for(ObjectRef::from_obj(now));
            }
        }
        Change::Gone(gone) => {
            reach.queues.rollouts.ask_for(ObjectRef::from_obj(gone));
            reach.ask_for_rollouts(|_| true);
            let name = gone.name_any();
            let moved = reach.stores.clusters.state_filter(|cluster| {
                cluster.spec.rollout.as_ref().is_some_and(|wanted| wanted.rollout == name && !wanted.over)
            });
            moved
                .iter()
                .for_each(|cluster| reach.queues.tenants.ask_for(ObjectRef::new(&cluster.spec.tenant)));
        }
    }
}

/// A member concerns its rollout, with its spec and its end, and its cluster, which begins or ends to be watched.
pub(crate) fn member(reach: &Reach, change: Change<'_, RolloutMember>) {
    match change {
        Change::All => reach.ask_for_rollouts(|_| true),
        Change::Applied { before, now } => {
            if concerns_itself(before, now) {
                reach.queues.rollouts.ask_for(ObjectRef::new(&now.spec.rollout));
            }
            let settled = |member: &RolloutMember| {
                member.status.as_ref().is_some_and(|status| status.state.is_settled())
            };
            if before.is_none_or(|before| settled(before) != settled(now)) {
                reach.queues.clusters.ask_for(ObjectRef::new(&now.spec.cluster));
            }
        }
        Change::Gone(gone) => reach.queues.rollouts.ask_for(ObjectRef::new(&gone.spec.rollout)),
    }
}

/// A vote concerns its rollout.
pub(crate) fn approval(reach: &Reach, change: Change<'_, Approval>) {
    match change {
        Change::All => reach.ask_for_rollouts(|_| true),
        Change::Applied { now: vote, .. } | Change::Gone(vote) => {
            reach.queues.rollouts.ask_for(ObjectRef::new(&vote.spec.rollout));
        }
    }
}

/// A preference concerns the tenant whose namespace it lies in. A write to its status is our own.
pub(crate) fn preference(reach: &Reach, change: Change<'_, UpgradePreference>) {
    let namespace = match change {
        Change::All => return reach.ask_for_tenants(|_| true),
        Change::Applied { before, now } if concerns_itself(before, now) => now.namespace(),
        Change::Applied { .. } => return,
        Change::Gone(gone) => gone.namespace(),
    };
    reach.ask_for_tenants(|tenant| namespace == Some(namespace_of(&tenant.name_any())));
}

/// A calendar bounds what tenants' people may put off.
pub(crate) fn calendar(reach: &Reach, change: Change<'_, VersionCalendar>) {
    let moved = match change {
        Change::Applied { before: Some(before), now } => before.spec.versions != now.spec.versions,
        Change::All | Change::Applied { before: None, .. } | Change::Gone(_) => true,
    };
    if moved {
        let choosing = all(&reach.stores.preferences, |_| true);
        reach.ask_for_tenants(|tenant| {
            let namespace = namespace_of(&tenant.name_any());
            choosing.iter().any(|preference| preference.namespace.as_ref() == Some(&namespace))
        });
    }
}

/// A receipt concerns the tenant and the cluster whose deletion it records.
pub(crate) fn receipt(reach: &Reach, change: Change<'_, PartialObjectMeta<ConfigMap>>) {
    let concerned = match change {
        Change::All => None,
        Change::Applied { now: receipt, .. } | Change::Gone(receipt) => {
            Some(receipt.labels().get(labels::TENANT).cloned().unwrap_or_default())
        }
    };
    let is_concerned = |name: &str| concerned.as_deref().is_none_or(|concerned| concerned == name);
    reach.ask_for_tenants(|tenant| {
        tenant.metadata.deletion_timestamp.is_some() && is_concerned(&tenant.name_any())
    });
    reach.ask_for_clusters(|cluster| {
        cluster.metadata.deletion_timestamp.is_some() && is_concerned(&cluster.spec.tenant)
    });
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
        jiff::Timestamp,
    };

    use super::*;

    fn make_map(change: impl FnOnce(&mut ObjectMeta)) -> ConfigMap {
        let mut metadata = ObjectMeta {
            name: Some("acme".to_owned()),
            uid: Some("u1".to_owned()),
            generation: Some(1),
            finalizers: Some(vec![labels::CLUSTER_FINALIZER.to_owned(), "other.example/x".to_owned()]),
            ..ObjectMeta::default()
        };
        change(&mut metadata);
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    #[test]
    fn a_write_to_a_status_or_by_others_does_not_concern_the_object_itself() {
        let before = make_map(|_| {});
        let same: [fn(&mut ObjectMeta); 4] = [
            |_| {},
            |m| m.resource_version = Some("2".to_owned()),
            |m| m.annotations = Some([("other.example/a".to_owned(), "1".to_owned())].into()),
            |m| m.finalizers = Some(vec![labels::CLUSTER_FINALIZER.to_owned()]),
        ];
        for change in same {
            assert!(!concerns_itself(Some(&before), &make_map(change)));
        }
    }

    #[test]
    fn a_new_spec_a_deletion_an_annotation_and_a_lost_finalizer_concern_it() {
        let before = make_map(|_| {});
        let other: [fn(&mut ObjectMeta); 5] = [
            |m| m.generation = Some(2),
            |m| m.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH)),
            |m| m.annotations = Some([(labels::RETRY.to_owned(), "1".to_owned())].into()),
            |m| m.finalizers = None,
            |m| m.uid = Some("u2".to_owned()),
        ];
        for change in other {
            assert!(concerns_itself(Some(&before), &make_map(change)));
        }
        assert!(concerns_itself(None, &before));
    }
}
