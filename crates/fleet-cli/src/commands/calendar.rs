//! `fleet calendar [TENANT]`: when tenants may be disturbed, and what waits for it.

use std::collections::BTreeMap;

use fleet_api::{
    eks::durations,
    labels,
    v1alpha1::{
        DeferralStatus, Fleet, Maintenance, Tenant, TenantCluster, TenantClusterSpec, UpgradePreference,
    },
};
use fleet_plan::{
    calendar::{Entry, Range, TenantCalendar, days_ahead, tenant_calendar},
    compose::{Sources, compose, maintenance_of},
    moves::wanted_version,
    preference::{NAME, namespace_of},
};
use fleet_spec::{ValidatedFleet, nearest};
use jiff::{Timestamp, tz::TimeZone};
use kube::{
    ResourceExt as _,
    api::{Api, ListParams},
};

use crate::{
    cli::{CalendarArguments, CalendarFormat, Format},
    error::{CliError, Exit, Result},
    foresight::NO_UID,
    hub::{Hub, failed},
    output::{Document, calendar::Calendar, ics::to_ics},
    session::Session,
    spec,
};

/// How many openings are listed of one tenant, and of each of several, when nobody says.
const SLOTS_OF_ONE: u16 = 10;
const SLOTS_OF_EACH: u16 = 3;
/// How many openings go into a file for calendar programs.
const SLOTS_IN_FILE: u16 = 100;

pub(crate) async fn run(session: &Session, arguments: &CalendarArguments) -> Result<Exit> {
    let CalendarArguments { tenant, files, from, days, slots, output } = arguments;
    let now = match from {
        Some(day) => {
            day.0.to_zoned(TimeZone::UTC).map_or_else(|_| session.now(), |midnight| midnight.timestamp())
        }
        // People and programs read whole seconds, as the management cluster writes them.
        None => whole_second(session.now()),
    };
    let default = match (output, tenant) {
        (CalendarFormat::Ics, _) => SLOTS_IN_FILE,
        (_, Some(_)) => SLOTS_OF_ONE,
        (_, None) => SLOTS_OF_EACH,
    };
    let range = Range { now, until: days_ahead(now, *days), most: slots.unwrap_or(default).into() };
    let entries = if files.is_empty() {
        of_hub(&session.hub().await?, tenant.as_deref()).await?
    } else {
        let fleet = spec::read(&session.printer, files, session.day(*from), None)?;
        of_spec(&fleet, tenant.as_deref(), now)?
    };
    let mut tenants = Vec::with_capacity(entries.len());
    for entry in &entries {
        tenants.push(entry.calendar(range)?);
    }
    let calendar = Calendar { from: now, until: range.until, tenants };
    let format = match output {
        CalendarFormat::Ics => {
            session.printer.data(&to_ics(&calendar))?;
            return Ok(Exit::Done);
        }
        CalendarFormat::Table => Format::Table,
        CalendarFormat::Wide => Format::Wide,
        CalendarFormat::Json => Format::Json,
        CalendarFormat::Yaml => Format::Yaml,
        CalendarFormat::Name => Format::Name,
    };
    session.printer.value(
        format,
        &Document::new("Calendar", &calendar),
        |wide| calendar.to_text(tenant.is_some(), wide),
        || calendar.tenants.iter().map(|tenant| format!("tenant/{}", tenant.tenant)).collect(),
    )?;
    Ok(Exit::Done)
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// What a calendar is made from, of one tenant.
struct Known {
    tenant: String,
    maintenance: Option<Maintenance>,
    spec: Option<TenantClusterSpec>,
    cluster: Option<TenantCluster>,
    deferral: Option<DeferralStatus>,
    paused: bool,
}

impl Known {
    fn calendar(&self, range: Range) -> Result<TenantCalendar> {
        let status = self.cluster.as_ref().and_then(|cluster| cluster.status.as_ref());
        let eks = self.spec.as_ref().and_then(|spec| spec.eks.as_ref());
        let entry = Entry {
            tenant: &self.tenant,
            maintenance: self.maintenance.as_ref(),
            at: status.and_then(|status| status.versions.control_plane),
            wanted: self.spec.as_ref().map(wanted_version),
            last: status.and_then(|status| status.versions.last_disrupted_at()),
            deferral: self.deferral.as_ref(),
            paused: self.paused,
            minutes: eks.map_or(durations::CONTROL_PLANE_UPDATE, durations::longest_step),
        };
        tenant_calendar(&entry, range).map_err(|error| {
            CliError::usage(format!("tenant `{}` has no calendar", self.tenant))
                .because(error)
                .hint("write the zone as the IANA database names it, such as `Europe/Berlin`")
        })
    }
}

fn paused(tenant: &Tenant) -> bool {
    tenant.annotations().get(labels::PAUSED).is_some_and(|value| value == "true")
}

/// From the management cluster: what was composed where it was, and what will be where it was not yet.
async fn of_hub(hub: &Hub, wanted: Option<&str>) -> Result<Vec<Known>> {
    let everything = ListParams::default();
    let (tenants, clusters): (Vec<Tenant>, BTreeMap<String, TenantCluster>) = match wanted {
        Some(name) => {
            let tenant = hub.tenant(name).await?;
            let cluster = hub.cluster_of(name).await?;
            (vec![tenant], cluster.map(|cluster| (name.to_owned(), cluster)).into_iter().collect())
        }
        None => {
            let tenants: Api<Tenant> = Api::all(hub.client.clone());
            let clusters: Api<TenantCluster> = Api::all(hub.client.clone());
            let (tenants, clusters) =
                futures::try_join!(tenants.list(&everything), clusters.list(&everything))
                    .map_err(|error| failed("the tenants cannot be listed", &error))?;
            let by_tenant = clusters.items.into_iter().map(|one| (one.spec.tenant.clone(), one)).collect();
            (tenants.items, by_tenant)
        }
    };
    let fleets: Api<Fleet> = Api::all(hub.client.clone());
    let fleet = fleets.get_opt("fleet").await.map_err(|error| failed("the Fleet cannot be read", &error))?;
    // A right of its own, which not everybody has who may read tenants: without it the counts are left out.
    let preferences: Api<UpgradePreference> = Api::all(hub.client.clone());
    let preferences = preferences.list(&everything).await.map(|list| list.items).unwrap_or_default();
    let mut clusters = clusters;
    let known = tenants.into_iter().map(|tenant| {
        let name = tenant.name_any();
        let cluster = clusters.remove(&name);
        let maintenance = match &cluster {
            Some(cluster) => cluster.spec.maintenance.clone(),
            None => maintenance_of(&tenant, fleet.as_ref()),
        };
        let namespace = namespace_of(&name);
        let preference = preferences
            .iter()
            .find(|one| one.name_any() == NAME && one.namespace().as_deref() == Some(namespace.as_str()));
        Known {
            maintenance,
            spec: cluster.as_ref().map(|cluster| cluster.spec.clone()),
            deferral: preference.and_then(|it| it.status.as_ref()).and_then(|status| status.deferral.clone()),
            paused: paused(&tenant),
            tenant: name,
            cluster,
        }
    });
    Ok(known.collect())
}

/// From a spec, without a cluster.
fn of_spec(fleet: &ValidatedFleet, wanted: Option<&str>, now: Timestamp) -> Result<Vec<Known>> {
    if let Some(name) = wanted.filter(|name| !fleet.tenants.contains_key(*name)) {
        let error = CliError::no(format!("the spec has no tenant `{name}`"));
        return Err(match nearest(name, fleet.tenants.keys().map(String::as_str)) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint("it is not among the files of `-f`"),
        });
    }
    let shown = fleet.tenants.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name));
    let known = shown.map(|(name, tenant)| {
        let mut stored = tenant.clone();
        stored.metadata.uid.get_or_insert_with(|| NO_UID.to_owned());
        let sources = Sources {
            class: fleet.classes.get(&tenant.spec.class),
            fleet: Some(&fleet.fleet),
            channels: &fleet.channels,
            chosen: None,
            existing: None,
        };
        Known {
            tenant: name.clone(),
            maintenance: maintenance_of(tenant, Some(&fleet.fleet)),
            spec: compose(&stored, &sources, now).ok().map(|composed| composed.spec),
            cluster: None,
            deferral: None,
            paused: paused(tenant),
        }
    });
    Ok(known.collect())
}
