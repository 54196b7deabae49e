//! Composes a tenant, its class and the fleet's settings into the spec of one TenantCluster, or says what is missing.

use std::collections::BTreeMap;

use fleet_api::{
    ClusterName, KubernetesVersion, TenantName, labels,
    text::Day,
    v1alpha1::{
        ChannelUpgrades, Chosen, EksClass, Fleet, Hardening, Maintenance, Moved, ReportEntry, Tenant,
        TenantClass, TenantCluster, TenantClusterSpec, VersionChannel,
    },
};
use jiff::Timestamp;

use crate::{
    moves,
    report::{Code, Who, entry, entry_with_hint},
    windows,
};

/// What a cluster is composed from, beside its tenant.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The tenant's class, if there is one of the name.
    pub class: Option<&'a TenantClass>,
    /// The fleet's settings; without them the built-in defaults hold.
    pub fleet: Option<&'a Fleet>,
    /// Every channel, by name.
    pub channels: &'a BTreeMap<String, VersionChannel>,
    /// What the tenant's people chose inside the operators' bounds, as [`preference::judge`](crate::preference::judge)
    /// left it in force.
    pub chosen: Option<&'a Chosen>,
    /// The tenant's cluster as it is stored, once there is one.
    pub existing: Option<&'a TenantCluster>,
}

/// A composed spec, and what a reader should know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Composed {
    /// The spec.
    pub spec: TenantClusterSpec,
    /// What was decided that the tenant's spec does not say. Nothing of it stops anything.
    pub notes: Vec<ReportEntry>,
}

/// Composes the spec of a tenant's cluster.
///
/// The name, the tenant's UID, the account and the region of an existing cluster are kept whatever the class says
/// now: a cluster does not move, and one that was looked for elsewhere would be made a second time.
///
/// What a rollout has moved the cluster to is kept as well, from the moment at which it was seen there: in a channel with
/// `upgrades: Rollout` an existing cluster keeps its minor until a rollout has moved it, and a rollout's baseline and
/// add-ons go before those of the class until the class names the same ones. What went back is not sent forward again by a
/// channel, until a rollout moves it or a pin asks for it. What a rollout wants and has not brought about is no part of the
/// composed spec: `rollout` is passed on as it is, and [`moves::effective`] puts it over the rest while it holds.
///
/// # Errors
/// Every reason why no spec can be composed, each with who can act.
pub fn compose(tenant: &Tenant, sources: &Sources<'_>, now: Timestamp) -> Result<Composed, Vec<ReportEntry>> {
    let mut notes = Vec::new();
    let mut missing = Vec::new();

    let identity = identity(tenant, sources.existing).map_err(|e| missing.push(e)).ok();
    let class = class_of(tenant, sources, &mut notes).map_err(|e| missing.extend(e)).ok();
    let mut maintenance = maintenance_of(tenant, sources.fleet);
    if let Some(chosen) = sources.chosen {
        let bounds = maintenance.get_or_insert_with(|| Maintenance::any_time("UTC".to_owned()));
        bounds.chosen = Some(chosen.clone());
    }
    let version = match windows::zone(maintenance.as_ref()) {
        Ok(zone) => {
            let today = Day(now.to_zoned(zone).date());
            version_of(tenant, sources, today, &mut notes).map_err(|e| missing.push(e)).ok()
        }
        Err(error) => {
            missing.push(entry_with_hint(
                Code::UnknownTimeZone,
                Who::Operator,
                error.to_string(),
                "write the zone as the IANA database names it, such as `Europe/Berlin`",
            ));
            None
        }
    };
    let (Some((cluster_name, tenant_uid)), Some((mut baseline, mut eks)), Some(version)) =
        (identity, class, version)
    else {
        return Err(missing);
    };
    let rollout = sources.existing.and_then(|existing| existing.spec.rollout.clone());
    let moved = still_moved(moves::moved(sources.existing), &baseline, &eks);
    if let Some(moved) = &moved {
        baseline = moved.baseline.clone().unwrap_or(baseline);
        moves::put_addons(&mut eks.addons, &moved.addons);
    }

    let name = name_of(tenant);
    let namespaces = match tenant.spec.namespaces.as_slice() {
        [] => vec![name.clone()],
        given => given.to_vec(),
    };
    let spec = TenantClusterSpec {
        tenant: name.clone(),
        tenant_uid,
        owner: tenant.spec.owner.clone(),
        class: tenant.spec.class.clone(),
        cluster_name,
        version,
        hardening: Hardening {
            baseline,
            compliance: tenant.spec.compliance.clone(),
            namespaces,
            capacity: tenant.spec.capacity.clone(),
            network: tenant.spec.network.clone(),
            images: tenant.spec.images.clone(),
            access: tenant.spec.access.clone(),
        },
        maintenance,
        // The annotation repeats the name, so that one copied from another manifest confirms nothing.
        deletion_confirmed: annotation(tenant, labels::CONFIRM_DELETION) == Some(name.as_str()),
        paused: annotation(tenant, labels::PAUSED) == Some("true"),
        eks: Some(eks),
        rollout,
        moved,
    };
    Ok(Composed { spec, notes })
}

/// What of the moved things the class does not say by itself.
fn still_moved(mut moved: Moved, baseline: &str, eks: &EksClass) -> Option<Moved> {
    moved.baseline = moved.baseline.filter(|moved| moved != baseline);
    moved.addons.retain(|moved| {
        let own = eks.addons.iter().find(|own| own.name == moved.name);
        own.is_none_or(|own| {
            own.version != moved.version
                || moved.configuration.as_ref().is_some_and(|_| own.configuration != moved.configuration)
                || moved.role_arn.as_ref().is_some_and(|_| own.role_arn != moved.role_arn)
        })
    });
    (moved != Moved::default()).then_some(moved)
}

fn name_of(tenant: &Tenant) -> String {
    tenant.metadata.name.clone().unwrap_or_default()
}

fn annotation<'a>(tenant: &'a Tenant, key: &str) -> Option<&'a str> {
    tenant.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The cluster's name and the tenant's UID: derived once, and then kept.
fn identity(tenant: &Tenant, existing: Option<&TenantCluster>) -> Result<(String, String), ReportEntry> {
    if let Some(TenantCluster { spec, .. }) = existing {
        return Ok((spec.cluster_name.clone(), spec.tenant_uid.clone()));
    }
    let Some(uid) = tenant.metadata.uid.clone() else {
        return Err(entry(Code::NotStoredYet, Who::Nobody, "the tenant has no UID yet"));
    };
    match name_of(tenant).parse::<TenantName>() {
        Ok(name) => Ok((ClusterName::derive(&name, &uid).as_str().to_owned(), uid)),
        Err(error) => Err(entry_with_hint(
            Code::NameRefused,
            Who::Operator,
            error.to_string(),
            "make the tenant again under a name that is a DNS label",
        )),
    }
}

/// The baseline's name and the EKS settings of the tenant's class, with an existing cluster's place kept.
fn class_of(
    tenant: &Tenant,
    sources: &Sources<'_>,
    notes: &mut Vec<ReportEntry>,
) -> Result<(String, EksClass), Vec<ReportEntry>> {
    let name = &tenant.spec.class;
    let Some(class) = sources.class else {
        return Err(vec![entry_with_hint(
            Code::ClassMissing,
            Who::Operator,
            format!("there is no TenantClass `{name}`"),
            format!("apply a TenantClass named `{name}`"),
        )]);
    };
    let mut missing: Vec<ReportEntry> = tenant
        .spec
        .compliance
        .iter()
        .filter(|regime| !class.spec.carries.contains(regime))
        .map(|regime| {
            entry_with_hint(
                Code::ClassCannotCarry,
                Who::Operator,
                format!("class `{name}` cannot carry `{}`", regime.as_str()),
                "make the tenant again in a class whose `carries` names the regime",
            )
        })
        .collect();
    let Some(eks) = &class.spec.eks else {
        missing.push(entry_with_hint(
            Code::ProviderMissing,
            Who::Operator,
            format!("class `{name}` names no provider that this version of fleet has"),
            "give the class an `eks` section, or upgrade fleet",
        ));
        return Err(missing);
    };
    if !missing.is_empty() {
        return Err(missing);
    }
    let mut eks = eks.clone();
    if let Some(placed) = sources.existing.and_then(|existing| existing.spec.eks.as_ref())
        && (&placed.account, &placed.region) != (&eks.account, &eks.region)
    {
        notes.push(entry_with_hint(
            Code::ClassMoved,
            Who::Operator,
            format!(
                "class `{name}` now names account {} in {}; the cluster stays in account {} in {}, \
                     with the settings that it had",
                eks.account, eks.region, placed.account, placed.region
            ),
            "make a class of another name for the new place, and move tenants to it",
        ));
        // Roles, subnets and keys belong to an account: those of the new place cannot serve the old one.
        eks = placed.clone();
    }
    Ok((class.spec.baseline.clone(), eks))
}

/// The tenant's maintenance times or the fleet's default, with the fleet's freezes added: the operators' bounds.
pub fn maintenance_of(tenant: &Tenant, fleet: Option<&Fleet>) -> Option<Maintenance> {
    let own = tenant.spec.maintenance.as_ref();
    let default = fleet.and_then(|fleet| fleet.spec.defaults.maintenance.as_ref());
    let freezes = fleet.map(|fleet| fleet.spec.freezes.as_slice()).unwrap_or_default();
    let mut maintenance = match own.or(default) {
        Some(maintenance) => maintenance.clone(),
        None if freezes.is_empty() => return None,
        None => Maintenance::any_time("UTC".to_owned()),
    };
    maintenance.freezes.extend(freezes.iter().cloned());
    Some(maintenance)
}

/// The wanted minor: the pin while it holds, else the newest of the channel whose day has come. A channel whose tenants
/// are upgraded by rollouts gives its newest to new clusters only.
fn version_of(
    tenant: &Tenant,
    sources: &Sources<'_>,
    today: Day,
    notes: &mut Vec<ReportEntry>,
) -> Result<KubernetesVersion, ReportEntry> {
    let choice = &tenant.spec.kubernetes;
    if let Some(version) = choice.version {
        match choice.until {
            Some(until) if until < today => notes.push(entry_with_hint(
                Code::PinExpired,
                Who::Tenant,
                format!("the pin to {version} ended on {until}; the fleet's default channel is followed"),
                "take `version` and `until` out of the tenant's spec, or set a later day",
            )),
            _ => return Ok(version),
        }
    }
    let default = sources.fleet.and_then(|fleet| fleet.spec.defaults.channel.as_ref());
    let Some(name) = choice.channel.as_ref().or(default) else {
        return Err(entry_with_hint(
            Code::ChannelUnnamed,
            Who::Operator,
            "neither the tenant nor the fleet's defaults name a version channel",
            "set `spec.kubernetes.channel` of the tenant, or `spec.defaults.channel` of the Fleet",
        ));
    };
    let Some(channel) = sources.channels.get(name) else {
        return Err(entry_with_hint(
            Code::ChannelMissing,
            Who::Operator,
            format!("there is no VersionChannel `{name}`"),
            format!("apply a VersionChannel named `{name}`"),
        ));
    };
    if let (ChannelUpgrades::Rollout, Some(existing)) = (channel.spec.upgrades, sources.existing) {
        return Ok(moves::brought_to(existing));
    }
    let newest = newest_offered(channel, today).ok_or_else(|| {
        entry_with_hint(
            Code::ChannelEmpty,
            Who::Operator,
            format!("channel `{name}` offers no version on {today}"),
            format!("give channel `{name}` a version without `from`, or with one that has come"),
        )
    })?;
    let back = moves::moved(sources.existing).back_to.filter(|back| *back < newest);
    if let Some(back) = back {
        notes.push(entry_with_hint(
            Code::HeldBack,
            Who::Operator,
            format!(
                "a rollout took it back to {back}, and channel `{name}` does not send it to {newest} again"
            ),
            "move it by a rollout, or pin it to the newer minor by `spec.kubernetes.version` of the Tenant",
        ));
    }
    Ok(back.unwrap_or(newest))
}

/// The newest minor of a channel whose day has come.
pub fn newest_offered(channel: &VersionChannel, today: Day) -> Option<KubernetesVersion> {
    channel
        .spec
        .versions
        .iter()
        .filter(|offered| offered.from.is_none_or(|from| from <= today))
        .map(|offered| offered.version)
        .max()
}
