//! The alert rules that are shipped, held against the metrics that there are and against what happens to rollouts.

use std::sync::Arc;

use fleet_api::v1alpha1::{Rollout, RolloutMember, TenantCluster};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{rollout::of_rollouts, tenant_cluster::failing};

/// Every rule of every file below `deploy/alerts`.
fn rules() -> Vec<serde_yaml::Value> {
    let files = [
        include_str!("../../../../deploy/alerts/clusters.yaml"),
        include_str!("../../../../deploy/alerts/rollouts.yaml"),
    ];
    let mut rules = Vec::new();
    for text in files {
        let parsed: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
        for group in parsed["groups"].as_sequence().unwrap() {
            rules.extend(group["rules"].as_sequence().unwrap().clone());
        }
    }
    rules
}

fn expression(rule: &serde_yaml::Value) -> &str {
    rule["expr"].as_str().unwrap()
}

#[test]
fn every_alert_says_when_how_bad_it_is_and_what_to_do() {
    assert!(rules().len() >= 3);
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        assert!(name.starts_with("Fleet") && rule["expr"].is_string(), "{name}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}");
        for text in ["summary", "action"] {
            assert!(!rule["annotations"][text].as_str().unwrap().is_empty(), "{name}: {text}");
        }
    }
}

#[test]
fn every_alert_speaks_of_metrics_that_there_are_and_its_brackets_close() {
    let metrics = Metrics::new();
    let facts = RolloutFacts {
        name: "r".to_owned(),
        members: [("moving", 1); 7],
        wave_age: Some(1),
        overdue: Some(1),
        blocked: [("Paused".to_owned(), 1)].into(),
        missing: 1,
    };
    metrics.rollouts(&[("Running", 1)], &[facts]);
    metrics.ticked(Duration::from_millis(1));
    metrics.failing(&[("nodes", 1)].into());
    let known = metrics.encode().unwrap();
    for rule in rules() {
        let expression = expression(&rule);
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: Vec<&str> = words.filter(|word| word.starts_with("fleet_")).collect();
        assert!(!named.is_empty(), "{expression}");
        for metric in named {
            let metric = metric.trim_end_matches("_bucket");
            assert!(known.contains(&format!("# TYPE {metric} ")), "{metric}: {known}");
        }
        for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
            let count = |wanted| expression.chars().filter(|c| *c == wanted).count();
            assert_eq!(count(open), count(close), "{expression}");
        }
    }
}

/// The alerts of the form `max by (...) (METRIC) > NUMBER` that are true of the metrics, whatever their `for`.
fn firing(metrics: &str) -> Vec<String> {
    let is_true = |expression: &str| {
        let inner = expression.strip_prefix("max by (")?.split_once(") (")?.1;
        let (metric, threshold) = inner.split_once(") > ")?;
        let threshold: f64 = threshold.parse().ok()?;
        let values = metrics.lines().filter_map(|line| {
            let labels = line.strip_prefix(metric)?.strip_prefix('{')?;
            labels.rsplit_once(' ')?.1.parse::<f64>().ok()
        });
        Some(values.fold(f64::MIN, f64::max) > threshold)
    };
    let rules = rules();
    let fires = rules.iter().filter(|rule| is_true(expression(rule)) == Some(true));
    fires.map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect()
}

/// A member whose record says so; it is in the wave `canary`, which soaks for two days.
fn member(name: &str, slot: &str, status: Value) -> Arc<RolloutMember> {
    let member = json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "RolloutMember", "metadata": { "name": name },
        "spec": {
            "rollout": "to-136", "tenant": name, "cluster": name, "clusterUid": name, "wave": "canary",
            "from": "1.35", "slot": slot,
        },
        "status": status,
    });
    Arc::new(serde_json::from_value(member).unwrap())
}

/// A rollout of two waves that was started on Tuesday and whose status says so besides.
fn rollout(planned: usize, status: Value) -> Arc<Rollout> {
    let mut whole = json!({
        "phase": "Running", "wave": "canary", "startedAt": TUESDAY,
        "waves": [{ "name": "canary", "beganAt": TUESDAY }, { "name": "rest" }],
    });
    whole.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    let rollout = json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Rollout",
        "metadata": { "name": "to-136", "creationTimestamp": TUESDAY },
        "spec": {
            "target": { "kubernetes": "1.36" }, "author": "ann", "planHash": "0".repeat(64), "run": "Running",
            "plannedMembers": planned,
            "waves": [
                { "name": "canary", "selector": {}, "soak": "48h" },
                { "name": "rest", "selector": {} },
            ],
        },
        "status": whole,
    });
    Arc::new(serde_json::from_value(rollout).unwrap())
}

/// The windows are on Tuesdays and Thursdays from 22:00; it is 22:55 on Thursday.
const TUESDAY: &str = "2026-11-24T22:00:00Z";
const THURSDAY: &str = "2026-11-26T22:00:00Z";
const NOW: &str = "2026-11-26T22:55:00Z";

const STUCK: &str = "FleetWaveStuck";
const BLOCKED: &str = "FleetRolloutMembersBlocked";
const MISSING: &str = "FleetRolloutRecordsMissing";

#[test]
fn a_stuck_wave_is_told_and_one_that_waits_as_it_should_is_not() {
    let blockers = json!([{ "code": "BudgetBlocks", "message": "b", "who": "tenant" }]);
    let preflight = json!({ "state": "Preflight", "since": TUESDAY });
    let is = |state: &str, since: &str| json!({ "state": state, "since": since });
    let none = || json!({});
    type Members = Vec<Arc<RolloutMember>>;
    let table: Vec<(&str, Value, Members, usize, &[&str])> = vec![
        (
            "blocked in preflight beyond its slot",
            none(),
            vec![member(
                "a",
                TUESDAY,
                json!({ "state": "Preflight", "since": TUESDAY, "blockers": blockers }),
            )],
            1,
            &[STUCK, BLOCKED],
        ),
        (
            "blocked in preflight on the day before its slot",
            none(),
            vec![member(
                "a",
                "2026-11-27T22:00:00Z",
                json!({ "state": "Preflight", "since": NOW, "blockers": blockers }),
            )],
            1,
            &[BLOCKED],
        ),
        ("no window will do any more", none(), vec![member("a", TUESDAY, preflight.clone())], 1, &[STUCK]),
        (
            "its window comes on Tuesday",
            none(),
            vec![member(
                "a",
                TUESDAY,
                json!({ "state": "Preflight", "since": TUESDAY, "notBefore": "2026-12-01T22:00:00Z" }),
            )],
            1,
            &[],
        ),
        (
            "its window opened a moment ago",
            none(),
            vec![member(
                "a",
                TUESDAY,
                json!({ "state": "Preflight", "since": TUESDAY, "notBefore": "2026-11-26T22:50:00Z" }),
            )],
            1,
            &[],
        ),
        (
            "the record of the other member is missing",
            none(),
            vec![member("a", TUESDAY, is("Succeeded", "2026-11-24T22:40:00Z"))],
            2,
            &[STUCK, MISSING],
        ),
        (
            "no record is there",
            json!({ "startedAt": null, "waves": [{ "name": "canary" }, { "name": "rest" }] }),
            vec![],
            1,
            &[STUCK, MISSING],
        ),
        (
            "a move hangs for four hours",
            none(),
            vec![member("a", TUESDAY, is("Upgrading", "2026-11-26T18:54:00Z"))],
            1,
            &[STUCK],
        ),
        (
            "a move takes three hours",
            none(),
            vec![
                member("a", TUESDAY, is("Upgrading", "2026-11-26T19:55:00Z")),
                member("b", TUESDAY, preflight.clone()),
            ],
            2,
            &[],
        ),
        (
            "a move of 55 minutes after two quiet days",
            none(),
            vec![
                member("a", TUESDAY, is("Succeeded", "2026-11-24T22:40:00Z")),
                member("b", THURSDAY, is("Upgrading", THURSDAY)),
                member("c", THURSDAY, preflight.clone()),
            ],
            3,
            &[],
        ),
        (
            "a soak of two days",
            none(),
            vec![member("a", TUESDAY, is("Soaking", "2026-11-24T23:00:00Z"))],
            1,
            &[],
        ),
        (
            "a soak that should have ended two hours ago",
            none(),
            vec![member("a", TUESDAY, is("Soaking", "2026-11-24T20:50:00Z"))],
            1,
            &[STUCK],
        ),
        (
            "a gate that waits for two days",
            json!({ "phase": "WaitingForGate", "waves": [
                { "name": "canary", "gates": [{ "name": "go", "openableSince": TUESDAY, "message": "0 of 1" }] },
            ] }),
            vec![member("a", TUESDAY, preflight.clone())],
            1,
            &[],
        ),
        (
            "a gate that opened two days ago, and nobody has begun",
            json!({ "waves": [{ "name": "canary", "gates": [
                { "name": "go", "openableSince": TUESDAY, "openedAt": TUESDAY, "message": "1 of 1" },
            ] }] }),
            vec![member("a", TUESDAY, preflight.clone())],
            1,
            &[STUCK],
        ),
        (
            "somebody paused it",
            json!({ "phase": "Paused" }),
            vec![member("a", TUESDAY, preflight.clone())],
            1,
            &[],
        ),
        (
            "it was resumed ten minutes ago",
            json!({ "conditions": [{
                "type": "Progressing", "status": "True", "reason": "InProgress", "message": "",
                "lastTransitionTime": "2026-11-26T22:45:00Z",
            }] }),
            vec![member("a", TUESDAY, preflight.clone())],
            1,
            &[],
        ),
    ];
    let now: Timestamp = NOW.parse().unwrap();
    for (situation, status, members, planned, fires) in table {
        let metrics = Metrics::new();
        let (phases, facts) = of_rollouts(&[rollout(planned, status)], &members, now);
        metrics.rollouts(&phases, &facts);
        assert_eq!(firing(&metrics.encode().unwrap()), fires, "{situation}: {facts:?}");
    }
}

/// A cluster of which these steps have failed.
fn cluster(failed: &[&str]) -> Arc<TenantCluster> {
    let failure = |step: &&str| json!({ "step": step, "attempts": 3, "code": "PodEvictionFailure", "message": "m", "lastAt": TUESDAY });
    let failures: Vec<Value> = failed.iter().map(failure).collect();
    let cluster = json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "TenantCluster", "metadata": { "name": "acme" },
        "spec": {
            "tenant": "acme", "tenantUid": "u", "owner": { "team": "acme", "contact": "acme@example.com" },
            "class": "eks", "clusterName": "acme-1", "version": "1.36",
            "hardening": { "baseline": "standard", "namespaces": ["acme"] },
        },
        "status": { "failures": failures },
    });
    Arc::new(serde_json::from_value(cluster).unwrap())
}

#[test]
fn nodes_that_cannot_follow_are_told_though_no_rollout_watches_them() {
    let told = |clusters: &[Arc<TenantCluster>]| {
        let metrics = Metrics::new();
        metrics.failing(&failing(clusters));
        metrics.encode().unwrap()
    };
    let nodes = ["nodegroup/workers/version", "nodegroup/batch/version"];
    let metrics = told(&[cluster(&nodes), cluster(&[nodes[0], "addon/vpc-cni/version"]), cluster(&[])]);
    for line in [r#"fleet_clusters_failing{part="nodes"} 2"#, r#"fleet_clusters_failing{part="add-ons"} 1"#] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert_eq!(firing(&metrics), ["FleetClusterStepFailed"]);
    assert!(firing(&told(&[cluster(&[])])).is_empty());
}
