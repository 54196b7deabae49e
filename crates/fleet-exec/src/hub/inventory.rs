//! Everything of fleet's on the management cluster, read object by object.

use fleet_api::v1alpha1::{
    Baseline, ControlException, Fleet, Tenant, TenantClass, TenantCluster, VersionChannel,
};
use kube::{Client, Resource, ResourceExt as _, api::DynamicObject, core::ApiResource};
use serde::de::DeserializeOwned;

use super::{HubError, list_all};

/// Every object of fleet's kinds, each list by name.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The fleet's settings, if they are there.
    pub fleet: Option<Fleet>,
    /// The tenants.
    pub tenants: Vec<Tenant>,
    /// The classes.
    pub classes: Vec<TenantClass>,
    /// The clusters.
    pub clusters: Vec<TenantCluster>,
    /// The baselines.
    pub baselines: Vec<Baseline>,
    /// The channels.
    pub channels: Vec<VersionChannel>,
    /// The waivers.
    pub exceptions: Vec<ControlException>,
    /// Objects that this version of fleet cannot read. They are there, and must not be taken for absent.
    pub unreadable: Vec<Unreadable>,
}

/// An object that this version of fleet cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Reads everything of fleet's kinds.
///
/// # Errors
/// A kind cannot be listed. An object that cannot be read is no error: it is named in the inventory.
pub async fn inventory(client: &Client) -> Result<Inventory, HubError> {
    let mut unreadable = Vec::new();
    // All are awaited, so that of several failures the same one is told whichever came first.
    let (fleets, tenants, classes, clusters, baselines, channels, exceptions) = futures::join!(
        raw::<Fleet>(client),
        raw::<Tenant>(client),
        raw::<TenantClass>(client),
        raw::<TenantCluster>(client),
        raw::<Baseline>(client),
        raw::<VersionChannel>(client),
        raw::<ControlException>(client),
    );
    let fleet = parse::<Fleet>(fleets?, &mut unreadable).into_iter().next();
    Ok(Inventory {
        fleet,
        tenants: parse(tenants?, &mut unreadable),
        classes: parse(classes?, &mut unreadable),
        clusters: parse(clusters?, &mut unreadable),
        baselines: parse(baselines?, &mut unreadable),
        channels: parse(channels?, &mut unreadable),
        exceptions: parse(exceptions?, &mut unreadable),
        unreadable,
    })
}

async fn raw<K: Resource<DynamicType = ()>>(client: &Client) -> Result<Vec<DynamicObject>, HubError> {
    list_all(client, &ApiResource::erase::<K>(&()), None, None).await
}

fn parse<K>(objects: Vec<DynamicObject>, unreadable: &mut Vec<Unreadable>) -> Vec<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let mut parsed: Vec<K> = Vec::with_capacity(objects.len());
    for object in objects {
        let name = object.name_any();
        match object.try_parse() {
            Ok(object) => parsed.push(object),
            Err(error) => {
                unreadable.push(Unreadable { kind: K::kind(&()).into_owned(), name, why: error.to_string() });
            }
        }
    }
    parsed.sort_by(|a, b| a.meta().name.cmp(&b.meta().name));
    parsed
}
