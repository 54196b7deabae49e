//! A fleet in memory, to plan rollouts in.

use std::collections::BTreeMap;

use fleet_api::{
    KubernetesVersion,
    eks::{EksVersionOffer, SupportStatus},
    v1alpha1::{Baseline, Fleet, RolloutStrategy, Tenant, TenantClass, TenantCluster, VersionChannel},
};
use fleet_plan::rollout::plan::{Input, Refusal, RolloutPlan, plan};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn version(text: &str) -> KubernetesVersion {
    text.parse().unwrap()
}

/// What a rollout is planned in.
pub(crate) struct World {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) clusters: Vec<TenantCluster>,
    pub(crate) classes: BTreeMap<String, TenantClass>,
    pub(crate) baselines: BTreeMap<String, Baseline>,
    pub(crate) channels: BTreeMap<String, VersionChannel>,
    pub(crate) fleet: Fleet,
    pub(crate) calendar: Vec<EksVersionOffer>,
    pub(crate) taken: BTreeMap<String, String>,
    pub(crate) author: Option<String>,
    pub(crate) by: Option<Timestamp>,
    pub(crate) now: Timestamp,
}

impl World {
    pub(crate) fn new(now: &str) -> Self {
        Self {
            tenants: Vec::new(),
            clusters: Vec::new(),
            classes: BTreeMap::new(),
            baselines: BTreeMap::new(),
            channels: BTreeMap::new(),
            fleet: serde_json::from_value(json!({
                "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Fleet",
                "metadata": {"name": "fleet"}, "spec": {},
            }))
            .unwrap(),
            calendar: [
                ("1.34", "2026-12-02"),
                ("1.35", "2027-03-27"),
                ("1.36", "2027-08-02"),
                ("1.37", "2027-12-01"),
            ]
            .iter()
            .map(|(minor, end)| EksVersionOffer {
                version: version(minor),
                default: false,
                status: SupportStatus::Standard,
                end_of_standard: Some(end.parse().unwrap()),
                end_of_extended: None,
            })
            .collect(),
            taken: BTreeMap::new(),
            author: None,
            by: None,
            now: at(now),
        }
    }

    /// Adds a tenant with its cluster: `maintenance` is what the controller composed.
    pub(crate) fn tenant(&mut self, name: &str, ring: &str, minor: &str, maintenance: &Value) -> &mut Self {
        let tenant = json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Tenant",
            "metadata": {"name": name, "labels": {"ring": ring}, "generation": 1, "uid": format!("t-{name}")},
            "spec": {"owner": {"team": "t", "contact": "c"}, "class": "eks"},
        });
        let mut cluster = json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "TenantCluster",
            "metadata": {"name": name, "uid": format!("c-{name}"), "generation": 1},
            "spec": {
                "tenant": name, "tenantUid": format!("t-{name}"), "owner": {"team": "t", "contact": "c"},
                "class": "eks", "clusterName": name, "version": minor,
                "hardening": {"baseline": "standard", "namespaces": [name]},
            },
            "status": {
                "versions": {"controlPlane": minor, "createdAt": minor},
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": "AsWanted", "message": "",
                    "lastTransitionTime": "2026-11-01T00:00:00Z",
                }],
            },
        });
        if !maintenance.is_null() {
            cluster["spec"]["maintenance"] = maintenance.clone();
        }
        self.tenants.push(serde_json::from_value(tenant).unwrap());
        self.clusters.push(serde_json::from_value(cluster).unwrap());
        self
    }

    pub(crate) fn input<'a>(&'a self, strategy: &'a RolloutStrategy) -> Input<'a> {
        Input {
            name: "up",
            strategy,
            tenants: &self.tenants,
            clusters: &self.clusters,
            classes: &self.classes,
            baselines: &self.baselines,
            channels: &self.channels,
            fleet: &self.fleet,
            calendar: &self.calendar,
            taken: &self.taken,
            author: self.author.as_deref(),
            by: self.by,
            part: None,
            now: self.now,
        }
    }

    pub(crate) fn plan(&self, strategy: &RolloutStrategy) -> Result<RolloutPlan, Refusal> {
        plan(&self.input(strategy))
    }
}

pub(crate) fn strategy(spec: Value) -> RolloutStrategy {
    serde_json::from_value(spec).unwrap()
}

/// A rollout to 1.36 in one wave for each ring.
pub(crate) fn by_ring(rings: &[&str]) -> RolloutStrategy {
    let waves: Vec<Value> = rings
        .iter()
        .map(|ring| json!({"name": ring, "selector": {"labels": {"matchLabels": {"ring": ring}}}}))
        .collect();
    strategy(json!({"target": {"kubernetes": "1.36"}, "waves": waves}))
}

/// Windows in one zone.
pub(crate) fn windows(zone: &str, days: &[&str], start: &str, duration: &str) -> Value {
    json!({"timeZone": zone, "windows": [{"days": days, "start": start, "duration": duration}]})
}
