//! What a rollout is planned in: the management cluster, or a fleet spec in its place.

use std::collections::BTreeMap;

use fleet_api::{
    KubernetesVersion, conditions,
    eks::EksVersionOffer,
    text::Day,
    v1alpha1::{
        Baseline, ChannelUpgrades, Fleet, Rollout, RolloutMember, RolloutStrategy, Tenant, TenantClass,
        TenantCluster, TenantClusterStatus, VersionCalendar, VersionChannel, VersionStatus,
    },
};
use fleet_plan::{
    compose::{Sources, compose},
    rollout::plan::{Input, taken},
};
use fleet_spec::ValidatedFleet;
use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::{
    api::authentication::v1::SelfSubjectReview,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::api::{Api, ListParams, PostParams};

use crate::{
    error::{CliError, Result},
    foresight::NO_UID,
    hub::{Hub, as_spec, failed},
    session::Session,
};

/// What a rollout is planned in.
pub(crate) struct World {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) clusters: Vec<TenantCluster>,
    classes: BTreeMap<String, TenantClass>,
    baselines: BTreeMap<String, Baseline>,
    channels: BTreeMap<String, VersionChannel>,
    fleet: Fleet,
    calendar: Vec<EksVersionOffer>,
    taken: BTreeMap<String, String>,
    /// Who asks, as the management cluster knows them.
    pub(crate) user: Option<String>,
}

impl World {
    /// The management cluster as it is.
    pub(crate) async fn read(session: &Session, hub: &Hub) -> Result<Self> {
        let inventory = hub.inventory(&session.printer).await?;
        if let Some(object) = inventory.unreadable.first() {
            // An object that cannot be read may be a member, or be what holds one back.
            return Err(CliError::usage(format!(
                "no rollout can be planned while {} {} cannot be read",
                object.kind, object.name
            ))
            .hint("use the version of fleet that wrote it"));
        }
        let (rollouts, members, calendars, user) = futures::try_join!(
            list::<Rollout>(hub, "rollouts"),
            list::<RolloutMember>(hub, "members of rollouts"),
            list::<VersionCalendar>(hub, "calendars of versions"),
            user(hub),
        )?;
        let spec = as_spec(&inventory);
        Ok(Self {
            tenants: inventory.tenants,
            clusters: inventory.clusters,
            classes: spec.classes,
            baselines: spec.baselines,
            channels: spec.channels,
            fleet: spec.fleet,
            calendar: merged(&calendars),
            taken: taken(&rollouts, &members),
            user: Some(user),
        })
    }

    /// The world that a fleet spec describes, once every tenant runs what it says. Tenants of a channel whose upgrades are
    /// left to rollouts wait for a rollout to `target` below it.
    ///
    /// # Errors
    /// A tenant of which no cluster can be composed.
    pub(crate) fn of_spec(
        spec: ValidatedFleet,
        target: Option<KubernetesVersion>,
        now: Timestamp,
    ) -> Result<Self> {
        let mut clusters = Vec::new();
        for (name, tenant) in &spec.tenants {
            let mut tenant = tenant.clone();
            tenant.metadata.uid = Some(NO_UID.to_owned());
            let sources = Sources {
                class: spec.classes.get(&tenant.spec.class),
                fleet: Some(&spec.fleet),
                channels: &spec.channels,
                existing: None,
                chosen: None,
            };
            let composed = compose(&tenant, &sources, now).map_err(|report| {
                let why: Vec<String> = report.into_iter().map(|entry| entry.message).collect();
                CliError::usage(format!("no cluster can be composed for tenant `{name}`: {}", why.join("; ")))
            })?;
            let mut cluster = TenantCluster::new(name, composed.spec);
            if let Some(waits_at) = waits_at(&tenant, &spec, target, cluster.spec.version, now) {
                cluster.spec.version = waits_at;
            }
            cluster.metadata.uid = Some(format!("{name}-as-the-spec-says"));
            cluster.status = Some(as_wanted(cluster.spec.version, now));
            clusters.push(cluster);
        }
        Ok(Self {
            tenants: spec.tenants.into_values().collect(),
            clusters,
            classes: spec.classes,
            baselines: spec.baselines,
            channels: spec.channels,
            fleet: spec.fleet,
            calendar: Vec::new(),
            taken: BTreeMap::new(),
            user: None,
        })
    }

    /// What the planner reads.
    pub(crate) fn input<'a>(
        &'a self,
        name: &'a str,
        strategy: &'a RolloutStrategy,
        by: Option<Timestamp>,
        now: Timestamp,
    ) -> Input<'a> {
        Input {
            name,
            strategy,
            tenants: &self.tenants,
            clusters: &self.clusters,
            classes: &self.classes,
            baselines: &self.baselines,
            channels: &self.channels,
            fleet: &self.fleet,
            calendar: &self.calendar,
            taken: &self.taken,
            author: self.user.as_deref(),
            by,
            part: None,
            now,
        }
    }
}

/// Where a tenant waits for a rollout to the target: at the newest minor below it that its channel offers, or at the minor
/// before it. `None` for one that the spec says more of: it is pinned, its channel moves it by itself, or it is below.
///
/// A channel with `upgrades: Rollout` gives its newest minor to new clusters alone. A spec that offers the target already
/// says nothing of where the clusters are that are to be moved there.
fn waits_at(
    tenant: &Tenant,
    spec: &ValidatedFleet,
    target: Option<KubernetesVersion>,
    composed: KubernetesVersion,
    now: Timestamp,
) -> Option<KubernetesVersion> {
    let target = target.filter(|target| *target <= composed)?;
    let choice = &tenant.spec.kubernetes;
    let today = Day(now.to_zoned(TimeZone::UTC).date());
    if choice.version.is_some() && choice.until.is_none_or(|until| today <= until) {
        return None;
    }
    let name = choice.channel.as_ref().or(spec.fleet.spec.defaults.channel.as_ref())?;
    let channel = spec.channels.get(name).filter(|one| one.spec.upgrades == ChannelUpgrades::Rollout)?;
    let offered = channel.spec.versions.iter().map(|offer| offer.version);
    offered.filter(|version| *version < target).max().or(target.previous())
}

/// The status of a cluster that runs what its spec says.
fn as_wanted(version: KubernetesVersion, now: Timestamp) -> TenantClusterStatus {
    TenantClusterStatus {
        versions: VersionStatus {
            control_plane: Some(version),
            created_at: Some(version),
            ..VersionStatus::default()
        },
        conditions: vec![Condition {
            type_: conditions::READY.to_owned(),
            status: "True".to_owned(),
            reason: conditions::reason::AS_WANTED.to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(now),
        }],
        ..TenantClusterStatus::default()
    }
}

/// The calendars of all regions as one: where they differ, support ends on the first of the days.
fn merged(calendars: &[VersionCalendar]) -> Vec<EksVersionOffer> {
    let first = |a: Option<Day>, b: Option<Day>| a.into_iter().chain(b).min();
    let mut offers: BTreeMap<KubernetesVersion, EksVersionOffer> = BTreeMap::new();
    for offer in calendars.iter().flat_map(|calendar| &calendar.spec.versions) {
        let known = offers.entry(offer.version).or_insert_with(|| offer.clone());
        known.end_of_standard = first(known.end_of_standard, offer.end_of_standard);
        known.end_of_extended = first(known.end_of_extended, offer.end_of_extended);
    }
    offers.into_values().collect()
}

/// Every object of a kind.
pub(crate) async fn list<K>(hub: &Hub, what: &str) -> Result<Vec<K>>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::all(hub.client.clone());
    let list = api.list(&ListParams::default()).await;
    list.map(|list| list.items).map_err(|error| failed(&format!("the {what} cannot be listed"), &error))
}

/// Who asks, as the management cluster knows them.
pub(crate) async fn user(hub: &Hub) -> Result<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(hub.client.clone());
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .map_err(|error| failed("the management cluster does not say who you are", &error))?;
    let name = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| CliError::usage("the management cluster does not say who you are"))
}

#[cfg(test)]
mod tests {
    use fleet_plan::rollout::plan::plan;
    use fleet_spec::{Context, Input as File, check, load, rollout_file};
    use serde_json::json;

    use super::*;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fleet/waves");

    /// The fleet of twelve, with a channel that offers these minors.
    fn offering(minors: &[&str]) -> ValidatedFleet {
        let context = Context::on("2026-11-24".parse().unwrap());
        let mut fleet = check(&load(&[File::Path(FOLDER.into())]), &context).unwrap().fleet;
        let offers = json!(minors.iter().map(|minor| json!({"version": minor})).collect::<Vec<_>>());
        let channel = fleet.channels.get_mut("coordinated").unwrap();
        channel.spec.versions = serde_json::from_value(offers).unwrap();
        fleet
    }

    fn strategy() -> RolloutStrategy {
        let file = format!("{FOLDER}/rollouts/to-1-36.yaml");
        rollout_file(&load(&[File::Path(file.into())])).unwrap().strategy
    }

    #[test]
    fn tenants_of_a_channel_that_offers_the_target_already_wait_for_their_rollout_below_it() {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let strategy = strategy();
        for offered in [&["1.35"][..], &["1.35", "1.36"], &["1.35", "1.36", "1.37"], &["1.36"]] {
            let world = World::of_spec(offering(offered), strategy.target.kubernetes, now).unwrap();
            let planned = plan(&world.input("up", &strategy, None, now)).unwrap();
            assert_eq!(planned.members.len(), 12, "{offered:?}");
            let from = |member: &fleet_plan::rollout::plan::PlannedMember| member.from.minor() == 35;
            assert!(planned.members.iter().all(from), "{offered:?}");
        }
    }

    #[test]
    fn a_tenant_that_is_pinned_or_moves_by_itself_is_where_its_spec_says() {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let target = strategy().target.kubernetes;
        let minor = |fleet: ValidatedFleet| {
            let world = World::of_spec(fleet, target, now).unwrap();
            let atlas = world.clusters.iter().find(|cluster| cluster.spec.tenant == "atlas").unwrap();
            atlas.status.as_ref().unwrap().versions.control_plane.unwrap().minor()
        };
        let both = || offering(&["1.35", "1.36"]);
        assert_eq!(minor(both()), 35);
        let mut automatic = both();
        automatic.channels.get_mut("coordinated").unwrap().spec.upgrades = ChannelUpgrades::Automatic;
        assert_eq!(minor(automatic), 36);
        let mut pinned = both();
        let choice = &mut pinned.tenants.get_mut("atlas").unwrap().spec.kubernetes;
        *choice = serde_json::from_value(json!({"version": "1.36"})).unwrap();
        assert_eq!(minor(pinned), 36);
    }
}
