//! A fleet of any size, as a management cluster would hold it, and a rollout through all of it.

use std::collections::BTreeMap;

use anyhow::Result;
use fleet_api::v1alpha1::{
    Baseline, Fleet, RolloutStrategy, Tenant, TenantClass, TenantCluster, VersionChannel,
};
use fleet_plan::rollout::plan::{Input, RolloutPlan, plan};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The name of the rollout.
pub(crate) const ROLLOUT: &str = "up";
/// The waves, each with the share of the fleet that is in it or in one before, in percent.
const RINGS: [(&str, usize); 3] = [("canary", 10), ("early", 40), ("rest", 100)];
/// Zones of the tenants that have windows, in turn.
const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];

/// When the tenants may be disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Windows {
    /// Three nights a week, in zones of their own.
    Nights,
    /// At any time.
    Always,
}

/// A fleet at 1.35 that is to be at 1.36.
pub(crate) struct MadeFleet {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) clusters: Vec<TenantCluster>,
    classes: BTreeMap<String, TenantClass>,
    baselines: BTreeMap<String, Baseline>,
    channels: BTreeMap<String, VersionChannel>,
    fleet: Fleet,
    taken: BTreeMap<String, String>,
    strategy: RolloutStrategy,
}

impl MadeFleet {
    /// Makes one of so many tenants.
    pub(crate) fn of(count: usize, windows: Windows) -> Result<Self> {
        let mut tenants = Vec::with_capacity(count);
        let mut clusters = Vec::with_capacity(count);
        for index in 0..count {
            let name = format!("tenant-{index:05}");
            let ring =
                RINGS.iter().find(|(_, share)| index * 100 < share * count).map_or("rest", |ring| ring.0);
            tenants.push(serde_json::from_value(tenant(&name, ring))?);
            let zone = ZONES.get(index % ZONES.len()).filter(|_| windows == Windows::Nights);
            clusters.push(serde_json::from_value(cluster(&name, zone.copied()))?);
        }
        Ok(Self {
            tenants,
            clusters,
            classes: BTreeMap::new(),
            baselines: BTreeMap::new(),
            channels: BTreeMap::new(),
            fleet: serde_json::from_value(json!({
                "apiVersion": fleet_api::API_VERSION, "kind": "Fleet", "metadata": {"name": "fleet"}, "spec": {},
            }))?,
            taken: BTreeMap::new(),
            strategy: strategy(windows)?,
        })
    }

    /// Plans the rollout.
    pub(crate) fn plan(&self, now: Timestamp) -> Result<RolloutPlan> {
        let input = Input {
            name: ROLLOUT,
            strategy: &self.strategy,
            tenants: &self.tenants,
            clusters: &self.clusters,
            classes: &self.classes,
            baselines: &self.baselines,
            channels: &self.channels,
            fleet: &self.fleet,
            calendar: &[],
            taken: &self.taken,
            author: None,
            by: None,
            part: None,
            now,
        };
        plan(&input).map_err(|refusal| anyhow::anyhow!("the rollout is refused: {refusal:?}"))
    }
}

fn strategy(windows: Windows) -> Result<RolloutStrategy> {
    let waves: Vec<Value> = RINGS
        .iter()
        .map(|(ring, _)| {
            let mut wave = json!({
                "name": ring,
                "selector": {"labels": {"matchLabels": {"ring": ring}}},
                "maxConcurrent": "100%",
            });
            if windows == Windows::Nights {
                wave["maxConcurrent"] = "10%".into();
                wave["soak"] = "1h".into();
            }
            wave
        })
        .collect();
    Ok(serde_json::from_value(
        json!({"target": {"kubernetes": "1.36"}, "waves": waves, "slots": "Advisory"}),
    )?)
}

fn tenant(name: &str, ring: &str) -> Value {
    json!({
        "apiVersion": fleet_api::API_VERSION, "kind": "Tenant",
        "metadata": {"name": name, "labels": {"ring": ring}, "generation": 1, "uid": format!("t-{name}")},
        "spec": {"owner": {"team": name, "contact": format!("{name}@example.com")}, "class": "eks"},
    })
}

fn cluster(name: &str, zone: Option<&str>) -> Value {
    let mut cluster = json!({
        "apiVersion": fleet_api::API_VERSION, "kind": "TenantCluster",
        "metadata": {"name": name, "uid": format!("c-{name}"), "generation": 1},
        "spec": {
            "tenant": name, "tenantUid": format!("t-{name}"),
            "owner": {"team": name, "contact": format!("{name}@example.com")},
            "class": "eks", "clusterName": name, "version": "1.35",
            "hardening": {"baseline": "standard", "namespaces": [name]},
        },
        "status": {
            "versions": {"controlPlane": "1.35", "createdAt": "1.35"},
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "AsWanted", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        },
    });
    if let Some(zone) = zone {
        cluster["spec"]["maintenance"] = json!({
            "timeZone": zone,
            "windows": [{"days": ["Mon", "Wed", "Fri"], "start": "22:00", "duration": "4h"}],
        });
    }
    cluster
}
