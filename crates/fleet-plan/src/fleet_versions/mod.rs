//! What runs where, how far it is behind, and what that costs: from what is stored on the management cluster.
//!
//! Dates come from the calendars of the regions, which the controller reads from the cloud; none is written here. What no
//! calendar says is unknown, and costs nothing that anybody could name.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    KubernetesVersion,
    eks::{EksVersionOffer, SupportStatus},
    labels,
    text::Day,
    v1alpha1::{ComponentVersion, Costs, TenantCluster, VersionCalendar, VersionChannel},
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{moves, preference::SupportEnd};

mod skew;

pub use skew::{Level, SkewFinding};

/// The hours by which cloud prices are told for a month: 365 days in twelve.
pub const HOURS_PER_MONTH: f64 = 730.0;
/// How many days ahead the end of a support counts as coming.
const COMING_DAYS: i64 = 90;

/// How a minor is supported on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SupportState {
    /// At the normal price.
    Standard,
    /// At the higher price.
    Extended,
    /// Neither: the cloud may upgrade it by itself.
    Unsupported,
    /// No calendar says.
    Unknown,
}

impl SupportState {
    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Extended => "extended",
            Self::Unsupported => "unsupported",
            Self::Unknown => "unknown",
        }
    }
}

/// How a minor is supported, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Support {
    /// The state.
    pub state: SupportState,
    /// The end of standard support.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_of_standard: Option<Day>,
    /// The end of extended support.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_of_extended: Option<Day>,
    /// Days to the end of standard support; negative when it is past.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_of_standard: Option<i64>,
    /// Days to the end of extended support; negative when it is past.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_of_extended: Option<i64>,
}

/// How a minor is supported at a moment. Dates go before what the cloud calls the state, because the price changes with
/// the day: a state that was read yesterday may be one day old.
pub fn support(offers: &[EksVersionOffer], minor: KubernetesVersion, now: Timestamp) -> Support {
    let offer = offers.iter().find(|offer| offer.version == minor);
    let today = now.to_zoned(TimeZone::UTC).date();
    let left =
        |end: Option<Day>| end.and_then(|end| today.until(end.0).ok()).map(|span| i64::from(span.get_days()));
    let (standard, extended) =
        offer.map_or((None, None), |offer| (offer.end_of_standard, offer.end_of_extended));
    let (days_of_standard, days_of_extended) = (left(standard), left(extended));
    let over = |days: Option<i64>| days.is_some_and(|days| days <= 0);
    let state = match offer.map(|offer| offer.status) {
        None => SupportState::Unknown,
        Some(_) if over(days_of_extended) => SupportState::Unsupported,
        Some(SupportStatus::Unsupported) => SupportState::Unsupported,
        Some(_) if over(days_of_standard) => SupportState::Extended,
        Some(SupportStatus::Standard) => SupportState::Standard,
        // Without a date, or with one that is still to come, the cloud's word counts.
        Some(SupportStatus::Extended) => SupportState::Extended,
    };
    Support {
        state,
        end_of_standard: standard,
        end_of_extended: extended,
        days_of_standard,
        days_of_extended,
    }
}

/// When standard support of a minor ends, as a calendar says.
pub fn support_end(calendar: Option<&VersionCalendar>, minor: KubernetesVersion) -> SupportEnd {
    let offers = calendar.map(|calendar| calendar.spec.versions.as_slice()).unwrap_or_default();
    match offers.iter().find(|offer| offer.version == minor) {
        None => SupportEnd::Unknown,
        Some(offer) => offer.end_of_standard.map_or(SupportEnd::Unnamed, SupportEnd::On),
    }
}

/// The versions of the whole fleet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetVersions {
    /// The sums.
    pub summary: VersionSummary,
    /// One line for each cluster, by tenant.
    pub tenants: Vec<TenantVersions>,
    /// What the channels promise and the cloud does not hold.
    pub channels: Vec<ChannelFinding>,
}

/// Sums over the fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionSummary {
    /// How many clusters there are.
    pub clusters: usize,
    /// How many run which minor.
    pub versions: BTreeMap<String, usize>,
    /// How many are supported how.
    pub support: BTreeMap<SupportState, usize>,
    /// How many are behind the minor that is wanted of them.
    pub behind: usize,
    /// How many run a newer minor than is wanted of them, and stay there.
    pub ahead: usize,
    /// How many a rollout takes back to the minor that is wanted of them.
    pub going_back: usize,
    /// USD that all control planes cost in one hour.
    pub per_hour: f64,
    /// USD of it that are paid in one hour for waiting in extended support.
    pub extra_per_hour: f64,
    /// The same for a month of 730 hours.
    pub extra_per_month: f64,
    /// What waiting begins to cost within the next 90 days, by the day.
    pub coming: Vec<ComingCost>,
}

/// A minor whose standard support ends soon.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComingCost {
    /// The minor.
    pub version: KubernetesVersion,
    /// The day from which the higher price is paid.
    pub from: Day,
    /// How many clusters run it.
    pub clusters: usize,
    /// USD a month that they then cost more.
    pub extra_per_month: f64,
}

/// What makes a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Provider {
    /// Amazon EKS: its release is the Kubernetes minor itself.
    Eks,
}

/// The versions of one tenant's cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantVersions {
    /// The tenant.
    pub tenant: String,
    /// Its class.
    pub class: String,
    /// What makes the cluster; releases of other providers stand beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// The AWS account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The observed minor of the control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<KubernetesVersion>,
    /// The wanted minor.
    pub wanted: KubernetesVersion,
    /// The node groups; none with Auto Mode, whose nodes follow by themselves.
    pub nodes: Vec<ComponentVersion>,
    /// The add-ons.
    pub addons: Vec<ComponentVersion>,
    /// The revision of the baseline of which every object was last seen applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Whether that is the wanted revision, and was proven.
    pub baseline_current: bool,
    /// How its minor is supported.
    pub support: Support,
    /// When the last upgrade was finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgraded_at: Option<Timestamp>,
    /// USD for one hour of it.
    pub per_hour: f64,
    /// USD of it for waiting in extended support.
    pub extra_per_hour: f64,
    /// The same for a month of 730 hours.
    pub extra_per_month: f64,
    /// Parts that do not fit together, and what keeps the next minor away.
    pub findings: Vec<SkewFinding>,
    /// The rollout that takes it back to the wanted minor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goes_back_by: Option<String>,
    /// For a cluster that is ahead of its spec and that nothing takes back: how its minor is adopted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt: Option<String>,
}

/// A channel that offers what the cloud does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelFinding {
    /// The channel.
    pub channel: String,
    /// The region whose calendar says so.
    pub region: String,
    /// The minor.
    pub version: KubernetesVersion,
    /// What is wrong, for people.
    pub message: String,
}

/// The versions of a fleet. Clusters that are being deleted are left out: nobody waits for them.
pub fn fleet_versions(
    clusters: &[TenantCluster],
    calendars: &[VersionCalendar],
    channels: &[VersionChannel],
    costs: &Costs,
    now: Timestamp,
) -> FleetVersions {
    let by_region: BTreeMap<&str, &[EksVersionOffer]> = calendars
        .iter()
        .filter_map(|calendar| Some((calendar.metadata.name.as_deref()?, calendar.spec.versions.as_slice())))
        .collect();
    let mut tenants: Vec<TenantVersions> = clusters
        .iter()
        .filter(|cluster| cluster.metadata.deletion_timestamp.is_none())
        .map(|cluster| {
            let region = cluster.spec.eks.as_ref().map(|eks| eks.region.as_str());
            let offers = region.and_then(|region| by_region.get(region)).copied().unwrap_or_default();
            tenant_versions(cluster, offers, costs, now)
        })
        .collect();
    tenants.sort_by(|a, b| a.tenant.cmp(&b.tenant));
    let used: BTreeSet<&str> = tenants.iter().filter_map(|tenant| tenant.region.as_deref()).collect();
    let channels = channels
        .iter()
        .flat_map(|channel| {
            let regions = by_region.iter().filter(|(region, _)| used.contains(*region));
            regions
                .flat_map(|(region, offers)| channel_findings(channel, region, offers, now))
                .collect::<Vec<_>>()
        })
        .collect();
    FleetVersions { summary: summary(&tenants, costs), tenants, channels }
}

/// The versions of one cluster, by the calendar of its region.
pub fn tenant_versions(
    cluster: &TenantCluster,
    offers: &[EksVersionOffer],
    costs: &Costs,
    now: Timestamp,
) -> TenantVersions {
    let spec = &cluster.spec;
    let status = cluster.status.clone().unwrap_or_default();
    let versions = &status.versions;
    let have = versions.control_plane;
    let nothing = Support {
        state: SupportState::Unknown,
        end_of_standard: None,
        end_of_extended: None,
        days_of_standard: None,
        days_of_extended: None,
    };
    let support = have.map_or(nothing, |have| support(offers, have, now));
    // A control plane that EKS no longer supports is billed as one in extended support until it is upgraded.
    let late = matches!(support.state, SupportState::Extended | SupportState::Unsupported);
    let more = (costs.extended_per_hour - costs.standard_per_hour).max(0.0);
    let extra = if have.is_some() && late { more } else { 0.0 };
    let base = if have.is_some() { costs.standard_per_hour } else { 0.0 };
    let adopted = cluster
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(labels::ADOPT_VERSION))
        .is_some_and(|text| have.is_some_and(|have| *text == have.to_string()));
    // What a rollout wants goes before what was composed, in either direction.
    let wanted = moves::wanted_version(spec);
    let by = spec.rollout.as_ref().map(|by| by.rollout.clone());
    let goes_back_by = by.filter(|_| have.is_some_and(|have| moves::back_to(cluster, have).is_some()));
    let ahead = have.filter(|have| *have > wanted && !adopted && goes_back_by.is_none());
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let baseline = &status.baseline;
    TenantVersions {
        tenant: spec.tenant.clone(),
        class: spec.class.clone(),
        provider: spec.eks.as_ref().map(|_| Provider::Eks),
        account: spec.eks.as_ref().map(|eks| eks.account.clone()),
        region: spec.eks.as_ref().map(|eks| eks.region.clone()),
        control_plane: have,
        wanted,
        goes_back_by,
        nodes: versions.nodes.clone(),
        addons: versions.addons.clone(),
        baseline: baseline.applied_revision.clone(),
        baseline_current: baseline.revision.is_some()
            && baseline.applied_revision == baseline.revision
            && baseline.proven_revision == baseline.revision,
        findings: skew::findings(cluster, &support, now),
        support,
        upgraded_at: versions.upgrade_completed_at.as_ref().map(|at| at.0),
        per_hour: base + extra,
        extra_per_hour: extra,
        extra_per_month: extra * HOURS_PER_MONTH,
        adopt: ahead
            .map(|have| format!("kubectl annotate tenantcluster {name} {}={have}", labels::ADOPT_VERSION)),
    }
}

fn summary(tenants: &[TenantVersions], costs: &Costs) -> VersionSummary {
    let mut sum = VersionSummary { clusters: tenants.len(), ..VersionSummary::default() };
    let mut coming: BTreeMap<(Day, KubernetesVersion), usize> = BTreeMap::new();
    let mut late = 0_u32;
    let mut paid = 0_u32;
    for tenant in tenants {
        *sum.support.entry(tenant.support.state).or_default() += 1;
        let Some(have) = tenant.control_plane else { continue };
        *sum.versions.entry(have.to_string()).or_default() += 1;
        sum.behind += usize::from(have < tenant.wanted);
        sum.ahead += usize::from(have > tenant.wanted && tenant.goes_back_by.is_none());
        sum.going_back += usize::from(tenant.goes_back_by.is_some());
        paid += 1;
        late += u32::from(tenant.extra_per_hour > 0.0);
        let soon = tenant.support.days_of_standard.is_some_and(|days| (1..=COMING_DAYS).contains(&days));
        if let Some(end) =
            tenant.support.end_of_standard.filter(|_| soon && tenant.support.state == SupportState::Standard)
        {
            *coming.entry((end, have)).or_default() += 1;
        }
    }
    let more = (costs.extended_per_hour - costs.standard_per_hour).max(0.0);
    // Counted and then multiplied: sums of ten thousand small amounts would drift.
    sum.extra_per_hour = f64::from(late) * more;
    sum.per_hour = f64::from(paid) * costs.standard_per_hour + sum.extra_per_hour;
    sum.extra_per_month = sum.extra_per_hour * HOURS_PER_MONTH;
    sum.coming = coming
        .into_iter()
        .map(|((from, version), clusters)| ComingCost {
            version,
            from,
            clusters,
            extra_per_month: f64::from(u32::try_from(clusters).unwrap_or(u32::MAX)) * more * HOURS_PER_MONTH,
        })
        .collect();
    sum
}

/// What a channel promises and the calendar of a region does not hold.
pub fn channel_findings(
    channel: &VersionChannel,
    region: &str,
    offers: &[EksVersionOffer],
    now: Timestamp,
) -> Vec<ChannelFinding> {
    let today = Day(now.to_zoned(TimeZone::UTC).date());
    let mut found = Vec::new();
    let newest = crate::compose::newest_offered(channel, today);
    for offered in &channel.spec.versions {
        let version = offered.version;
        let state = support(offers, version, now);
        let message = match (state.state, offered.from.filter(|from| *from > today)) {
            (SupportState::Unknown, None) => {
                Some(format!("EKS does not offer {version}: no tenant can move to it"))
            }
            (SupportState::Unknown, Some(from)) => {
                Some(format!("EKS does not offer {version} yet, and the channel does from {from} on"))
            }
            (SupportState::Unsupported, _) if Some(version) >= newest => {
                Some(format!("EKS no longer supports {version}"))
            }
            (SupportState::Extended, None) if Some(version) == newest => Some(format!(
                "{version} is the newest that the channel offers, and is in extended support{}",
                state.end_of_standard.map(|end| format!(" since {end}")).unwrap_or_default()
            )),
            (SupportState::Standard | SupportState::Extended, Some(from))
                if state.end_of_standard.is_some_and(|end| from >= end) =>
            {
                Some(format!(
                    "the channel offers {version} from {from} on, when its standard support is over"
                ))
            }
            _ => None,
        };
        let kept_late = offered.until.zip(state.end_of_standard).filter(|(until, end)| until >= end);
        let late = kept_late.map(|(until, end)| {
            format!("{version} may be kept until {until}, and its standard support ends on {end}")
        });
        found.extend(message.into_iter().chain(late).map(|message| ChannelFinding {
            channel: channel.metadata.name.clone().unwrap_or_default(),
            region: region.to_owned(),
            version,
            message,
        }));
    }
    found
}
