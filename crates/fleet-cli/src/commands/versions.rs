//! `fleet versions [TENANT..]`: what runs where, how long it is supported, and what waiting costs.

use fleet_api::v1alpha1::{Fleet, TenantCluster, VersionCalendar, VersionChannel};
use fleet_plan::fleet_versions::fleet_versions;
use kube::api::{Api, ListParams};

use crate::{
    cli::Format,
    error::{Exit, Result},
    hub::failed,
    output::{Document, versions::to_text},
    session::Session,
};

pub(crate) async fn run(session: &Session, tenants: &[String], format: Format) -> Result<Exit> {
    let hub = session.hub().await?;
    let everything = ListParams::default();
    let clusters: Api<TenantCluster> = Api::all(hub.client.clone());
    let calendars: Api<VersionCalendar> = Api::all(hub.client.clone());
    let channels: Api<VersionChannel> = Api::all(hub.client.clone());
    let fleets: Api<Fleet> = Api::all(hub.client.clone());
    let (clusters, calendars, channels, fleet) = futures::try_join!(
        clusters.list(&everything),
        calendars.list(&everything),
        channels.list(&everything),
        fleets.get_opt("fleet"),
    )
    .map_err(|error| failed("the versions cannot be read", &error))?;
    let costs = fleet.map(|fleet| fleet.spec.costs).unwrap_or_default();
    let mut versions =
        fleet_versions(&clusters.items, &calendars.items, &channels.items, &costs, session.now());
    if let Some(missing) =
        tenants.iter().find(|name| !versions.tenants.iter().any(|one| one.tenant == **name))
    {
        // The error names the nearest one; a tenant that has no cluster yet has no versions.
        hub.tenant(missing).await?;
    }
    if !tenants.is_empty() {
        versions.tenants.retain(|one| tenants.contains(&one.tenant));
    }
    session.printer.value(
        format,
        &Document::new("FleetVersions", &versions),
        |wide| to_text(&versions, wide),
        || versions.tenants.iter().map(|one| format!("tenant/{}", one.tenant)).collect(),
    )?;
    Ok(Exit::Done)
}
