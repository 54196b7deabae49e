//! The tenants that a rollout means, and what each of them has to do.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    KubernetesVersion, conditions, labels,
    text::Day,
    v1alpha1::{
        AddonChoice, ChannelUpgrades, EksClass, Maintenance, RolloutStrategy, RolloutTarget, Tenant,
        TenantCluster,
    },
};
use jiff::{Timestamp, tz::TimeZone};

use super::{Input, Part, selector::Selector};
use crate::windows;

/// A tenant that a rollout means.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) tenant: &'a str,
    pub(super) cluster: &'a str,
    pub(super) cluster_uid: &'a str,
    /// The waves that select it, by index.
    pub(super) waves: Vec<usize>,
    pub(super) errand: Errand,
    /// The version that it was made with, when it is known.
    pub(super) created_at: Option<KubernetesVersion>,
    pub(super) eks: Option<&'a EksClass>,
    /// How many add-ons it has.
    pub(super) addons: usize,
    /// When it may be disturbed, freezes of the fleet included.
    pub(super) maintenance: Option<&'a Maintenance>,
    /// When its nodes have followed that the hop before of a chain holds back.
    pub(super) not_before: Option<Timestamp>,
    /// When a change last disturbed it: a minimum gap is counted from there.
    pub(super) last_change: Option<Timestamp>,
    /// What has failed in it, and waits for somebody.
    pub(super) failing: Option<String>,
    /// The minor below the target that its spec pins it to, while the pin holds.
    pub(super) pinned: Option<KubernetesVersion>,
    pub(super) standing: Standing,
}

/// What a tenant has to do for a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Errand {
    /// It moves.
    Move { from: KubernetesVersion, to: KubernetesVersion },
    /// It is at the target.
    Nothing,
    /// It is beyond the target.
    Beyond(KubernetesVersion),
    /// It is more than one minor behind the target.
    TooFar(KubernetesVersion),
    /// Nobody knows where it is: why.
    Unknown(&'static str),
}

/// What is worth a note.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    pub(super) not_ready: bool,
    pub(super) paused: bool,
    pub(super) automatic: bool,
}

/// The candidates by the tenant's name, and for each wave whether its selector means any tenant at all.
pub(super) struct Found<'a> {
    pub(super) candidates: Vec<Candidate<'a>>,
    pub(super) meant: Vec<bool>,
}

/// Finds the tenants that take part. Tenants that are being deleted do not.
pub(super) fn find<'a>(input: &Input<'a>, strategy: &RolloutStrategy) -> Found<'a> {
    let members = strategy.members.as_ref().map(Selector::new);
    let waves: Vec<Selector<'_>> = strategy.waves.iter().map(|wave| Selector::new(&wave.selector)).collect();
    let clusters: BTreeMap<&str, &TenantCluster> =
        input.clusters.iter().map(|cluster| (cluster.spec.tenant.as_str(), cluster)).collect();
    let mut meant = vec![false; waves.len()];
    let mut candidates = Vec::new();
    for tenant in input.tenants {
        let Some(name) = tenant.metadata.name.as_deref() else { continue };
        if tenant.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let selected: Vec<usize> = waves
            .iter()
            .enumerate()
            .filter(|(_, wave)| wave.matches(tenant))
            .map(|(index, _)| index)
            .collect();
        for index in &selected {
            if let Some(meant) = meant.get_mut(*index) {
                *meant = true;
            }
        }
        if members.as_ref().is_none_or(|members| members.matches(tenant)) {
            let cluster = clusters.get(name).copied();
            candidates.push(candidate(input, strategy, tenant, name, cluster, selected));
        }
    }
    candidates.sort_by(|a, b| a.tenant.cmp(b.tenant));
    Found { candidates, meant }
}

fn candidate<'a>(
    input: &Input<'a>,
    strategy: &RolloutStrategy,
    tenant: &'a Tenant,
    name: &'a str,
    cluster: Option<&'a TenantCluster>,
    waves: Vec<usize>,
) -> Candidate<'a> {
    let status = cluster.and_then(|cluster| cluster.status.as_ref());
    let eks = cluster.and_then(|cluster| cluster.spec.eks.as_ref());
    let ready = status.and_then(|status| conditions::get(&status.conditions, conditions::READY));
    let nodes = input.part.and_then(|part| part.nodes.get(name).copied());
    Candidate {
        tenant: name,
        cluster: cluster.and_then(|cluster| cluster.metadata.name.as_deref()).unwrap_or_default(),
        cluster_uid: cluster.and_then(|cluster| cluster.metadata.uid.as_deref()).unwrap_or_default(),
        waves,
        errand: errand(&strategy.target, cluster, input.part),
        created_at: status.and_then(|status| status.versions.created_at),
        eks,
        addons: status.map_or(0, |status| status.versions.addons.len()).max(addons_of(eks).len()),
        maintenance: cluster.and_then(|cluster| cluster.spec.maintenance.as_ref()),
        not_before: nodes,
        last_change: status
            .and_then(|status| status.versions.last_disrupted_at())
            .max(input.part.and_then(|part| part.last))
            .max(nodes),
        failing: status.and_then(|status| status.failures.first()).map(|failure| {
            format!("step {} of it has failed: {} {}", failure.step, failure.code, failure.message)
        }),
        pinned: pinned(input, strategy, tenant, cluster),
        standing: Standing {
            not_ready: ready.is_none_or(|ready| ready.status != "True"),
            paused: cluster.is_some_and(|cluster| cluster.spec.paused)
                || tenant
                    .metadata
                    .annotations
                    .as_ref()
                    .and_then(|all| all.get(labels::PAUSED))
                    .is_some_and(|text| text == "true"),
            automatic: follows_automatic(input, tenant, &strategy.target),
        },
    }
}

/// The minor that a tenant is pinned to, when that is below the target and the pin has not ended in the tenant's zone.
fn pinned(
    input: &Input<'_>,
    strategy: &RolloutStrategy,
    tenant: &Tenant,
    cluster: Option<&TenantCluster>,
) -> Option<KubernetesVersion> {
    let choice = &tenant.spec.kubernetes;
    let pin = choice.version.filter(|pin| strategy.target.kubernetes.is_some_and(|to| *pin < to))?;
    let zone = windows::zone(cluster.and_then(|cluster| cluster.spec.maintenance.as_ref()));
    let today = Day(input.now.to_zoned(zone.unwrap_or(TimeZone::UTC)).date());
    choice.until.is_none_or(|until| today <= until).then_some(pin)
}

/// The add-ons that a cluster of a class gets: three by itself without Auto Mode, and those of the class.
pub(super) fn addons_of(eks: Option<&EksClass>) -> BTreeSet<&str> {
    let Some(eks) = eks else { return BTreeSet::new() };
    let mut names: BTreeSet<&str> = eks.addons.iter().map(|addon| addon.name.as_str()).collect();
    if eks.auto_mode.is_none() {
        names.extend(["vpc-cni", "kube-proxy", "coredns"]);
    }
    names
}

fn errand(target: &RolloutTarget, cluster: Option<&TenantCluster>, part: Option<Part<'_>>) -> Errand {
    let Some(cluster) = cluster else { return Errand::Unknown("it has no cluster yet") };
    if cluster.metadata.deletion_timestamp.is_some() {
        return Errand::Unknown("its cluster is being deleted");
    }
    let seen = cluster.status.as_ref().and_then(|status| status.versions.control_plane);
    let Some(seen) = seen else { return Errand::Unknown("nobody has seen its version yet") };
    // In a chain, what the hops before bring is where this hop begins.
    let at = part.map_or(seen, |part| seen.max(part.from));
    if let Some(to) = target.kubernetes {
        return match to.ahead_of(at) {
            0 => Errand::Nothing,
            1 => Errand::Move { from: at, to },
            behind if behind > 1 => Errand::TooFar(at),
            _ if part.is_some_and(|part| at <= part.to) => Errand::Nothing,
            _ => Errand::Beyond(at),
        };
    }
    let there = target.baseline.as_ref().is_some_and(|name| cluster.spec.hardening.baseline == *name)
        || target.addons.as_ref().is_some_and(|wanted| have_addons(cluster, wanted));
    if there { Errand::Nothing } else { Errand::Move { from: at, to: at } }
}

/// Whether every wanted add-on runs at its version. One without a version follows EKS, so that it always is.
fn have_addons(cluster: &TenantCluster, wanted: &[AddonChoice]) -> bool {
    let have = cluster.status.as_ref().map(|status| status.versions.addons.as_slice()).unwrap_or_default();
    wanted.iter().all(|addon| {
        have.iter().any(|one| {
            one.name == addon.name && addon.version.as_ref().is_none_or(|version| one.version == *version)
        })
    })
}

/// Whether a tenant follows a channel that moves it to the target by itself.
fn follows_automatic(input: &Input<'_>, tenant: &Tenant, target: &RolloutTarget) -> bool {
    let (Some(to), None) = (target.kubernetes, tenant.spec.kubernetes.version) else { return false };
    let name = tenant.spec.kubernetes.channel.as_ref().or(input.fleet.spec.defaults.channel.as_ref());
    name.and_then(|name| input.channels.get(name)).is_some_and(|channel| {
        channel.spec.upgrades == ChannelUpgrades::Automatic
            && channel.spec.versions.iter().any(|offer| offer.version >= to)
    })
}
