//! What the spec no longer has: what goes, what is still in use, and the brake on deletions.

use std::collections::BTreeMap;

use fleet_api::{
    labels,
    v1alpha1::{Fleet, Tenant},
};
use fleet_spec::ValidatedFleet;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Brake, Change, ChangeAction, Comparison, DiffOptions, Object, Obstacle};

impl Comparison {
    /// Deletions come last and in the opposite order: tenants before what they refer to.
    pub(super) fn prune(&mut self, wanted: &ValidatedFleet, have: &ValidatedFleet) {
        let kept: Vec<&Tenant> = have
            .tenants
            .iter()
            .filter(|(name, tenant)| wanted.tenants.contains_key(*name) || !is_ours(&tenant.metadata))
            .map(|(_, tenant)| tenant)
            .collect();
        self.prune_kind("Tenant", &wanted.tenants, &have.tenants, &|_| None);
        self.prune_kind("ControlException", &wanted.exceptions, &have.exceptions, &|_| None);
        self.prune_kind("TenantClass", &wanted.classes, &have.classes, &|name| {
            in_use(kept.iter().filter(|tenant| tenant.spec.class == name).map(|tenant| &tenant.metadata))
        });
        let class_of = |baseline: &str| {
            let classes = have.classes.iter().filter(|(name, class)| {
                class.spec.baseline == baseline
                    && (wanted.classes.contains_key(*name) || !is_ours(&class.metadata))
            });
            in_use(classes.map(|(_, class)| &class.metadata))
        };
        self.prune_kind("Baseline", &wanted.baselines, &have.baselines, &class_of);
        let follower_of = |channel: &str| {
            let follows = |tenant: &&&Tenant| tenant.spec.kubernetes.channel.as_deref() == Some(channel);
            in_use(kept.iter().filter(follows).map(|tenant| &tenant.metadata))
        };
        self.prune_kind("VersionChannel", &wanted.channels, &have.channels, &follower_of);
        if have.fleet_given && !wanted.fleet_given && is_ours(&have.fleet.metadata) {
            self.delete("Fleet", "fleet", &have.fleet.metadata, None);
        }
    }

    fn prune_kind<K: Object>(
        &mut self,
        kind: &str,
        wanted: &BTreeMap<String, K>,
        have: &BTreeMap<String, K>,
        obstacle: &dyn Fn(&str) -> Obstacle,
    ) {
        for (name, object) in have {
            let going = object.metadata().deletion_timestamp.is_some();
            if !wanted.contains_key(name) && is_ours(object.metadata()) && !going {
                self.delete(kind, name, object.metadata(), obstacle(name));
            }
        }
    }

    fn delete(&mut self, kind: &str, name: &str, metadata: &ObjectMeta, obstacle: Obstacle) {
        self.changes.push(Change {
            kind: kind.to_owned(),
            name: name.to_owned(),
            action: match obstacle {
                Some((why, hint)) => ChangeAction::Blocked { why, hint },
                None => ChangeAction::Delete,
            },
            uid: metadata.uid.clone(),
            generation: metadata.generation,
            fields: Vec::new(),
        });
    }
}

/// Whether fleet applied the object. Nothing else is ever pruned.
fn is_ours(metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(labels::MANAGED_BY)).is_some_and(|by| by == labels::MANAGED_BY_FLEET)
}

fn in_use<'a>(users: impl Iterator<Item = &'a ObjectMeta>) -> Obstacle {
    let names: Vec<&str> = users.filter_map(|metadata| metadata.name.as_deref()).collect();
    (!names.is_empty()).then(|| {
        let (shown, more) =
            (names.iter().take(5).copied().collect::<Vec<_>>().join(", "), names.len().saturating_sub(5));
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (format!("it is still used by {shown}{more}"), "change or delete those first".to_owned())
    })
}

/// A deletion that began this long ago counts no more.
const BRAKE_SPAN: SignedDuration = SignedDuration::from_hours(1);

pub(super) fn brake(deletes: &[&Change], have: &ValidatedFleet, options: &DiffOptions) -> Option<Brake> {
    let Fleet { spec, .. } = &have.fleet;
    let allowed = usize::try_from(spec.brakes.max_deletions_per_hour).unwrap_or_default();
    let tenants: Vec<String> =
        deletes.iter().filter(|change| change.kind == "Tenant").map(|change| change.name.clone()).collect();
    let began_recently = |tenant: &&Tenant| {
        let at = tenant.metadata.deletion_timestamp.as_ref();
        at.is_some_and(|at| options.now.duration_since(at.0) < BRAKE_SPAN)
    };
    let recent = options.recent_deletions + have.tenants.values().filter(began_recently).count();
    let too_many = !tenants.is_empty() && tenants.len() + recent > allowed;
    too_many.then_some(Brake { allowed, recent, tenants })
}
