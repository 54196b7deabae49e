//! Receipts: what went, what remains and why, and that nothing counts as gone before the last look.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use fleet_api::{
    eks::{EksObservation, Leftover},
    receipt::{DeletionReceipt, ReceiptItem},
    step::Seen,
    v1alpha1::TenantCluster,
};
use fleet_plan::receipt::receipt;
use jiff::Timestamp;
use serde_json::{Value, json};

const FINISHED: &str = "2026-11-24T13:00:00Z";

/// A cluster whose deletion has begun, with what was there; `proven` when it was once handed over.
fn cluster(there: &[(&str, &str)], drain: &Value, proven: bool) -> TenantCluster {
    let there: Vec<Value> =
        there.iter().map(|(kind, id)| json!({"kind": kind, "id": id, "note": ""})).collect();
    let baseline = if proven { json!({"provenAt": "2026-11-01T00:00:00Z"}) } else { json!({}) };
    serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "TenantCluster", "metadata": {"name": "acme"},
        "spec": {
            "tenant": "acme", "tenantUid": "uid", "owner": {"team": "t", "contact": "c"}, "class": "eks",
            "clusterName": "acme-1", "version": "1.35",
            "hardening": {"baseline": "standard", "namespaces": ["acme"]},
        },
        "status": {
            "baseline": baseline,
            "deletion": {"beganAt": "2026-11-24T12:00:00Z", "there": there, "drain": drain},
        },
    }))
    .unwrap()
}

fn seen(leftovers: &[(&str, &str, &str)]) -> EksObservation {
    let leftovers = leftovers
        .iter()
        .map(|(kind, id, why)| Leftover { id: (*id).into(), kind: (*kind).into(), why: (*why).into() })
        .collect();
    EksObservation {
        leftovers: Seen::Present(leftovers),
        ..EksObservation::nothing_seen(Timestamp::UNIX_EPOCH)
    }
}

fn finished(cluster: &TenantCluster, seen: &EksObservation) -> DeletionReceipt {
    receipt(cluster, seen, Some(FINISHED.parse().unwrap())).unwrap()
}

/// Kind, id and note of each item.
fn items(items: &[ReceiptItem]) -> Vec<(&str, &str, &str)> {
    items.iter().map(|item| (item.kind.as_str(), item.id.as_str(), item.note.as_str())).collect()
}

const GONE: &str = "not there any more at the last look";

#[test]
fn there_is_no_receipt_before_a_deletion_has_begun() {
    let mut untouched = cluster(&[], &json!({}), false);
    untouched.status.as_mut().unwrap().deletion = None;
    assert_eq!(receipt(&untouched, &seen(&[]), Some(FINISHED.parse().unwrap())), None);
    untouched.status = None;
    assert_eq!(receipt(&untouched, &seen(&[]), None), None);
}

#[test]
fn a_cluster_of_which_nothing_was_there_leaves_an_empty_receipt() {
    let receipt = finished(&cluster(&[], &json!({}), false), &seen(&[]));
    assert!(receipt.deleted.is_empty() && receipt.remaining.is_empty());
    assert_eq!(receipt.began_at.to_string(), "2026-11-24T12:00:00Z");
    assert_eq!(receipt.finished_at.map(|at| at.to_string()).as_deref(), Some(FINISHED));
}

#[test]
fn what_was_there_and_is_not_left_over_is_deleted_and_the_rest_remains_with_its_reason() {
    let there =
        [("node group", "workers"), ("cluster", "arn:cluster"), ("launch template", "acme-1-workers")];
    let left = [
        ("volume", "vol-1", "its storage class keeps volumes"),
        ("launch template", "acme-1-workers", "it was not deleted"),
    ];
    let receipt = finished(&cluster(&there, &json!({}), true), &seen(&left));
    assert_eq!(items(&receipt.deleted), [("cluster", "arn:cluster", GONE), ("node group", "workers", GONE)]);
    assert_eq!(
        items(&receipt.remaining),
        [
            ("launch template", "acme-1-workers", "it was not deleted"),
            ("volume", "vol-1", "its storage class keeps volumes"),
        ]
    );
}

#[test]
fn while_a_deletion_runs_nothing_counts_as_deleted() {
    let there = [("cluster", "arn:cluster"), ("add-on", "coredns")];
    let running = receipt(&cluster(&there, &json!({}), true), &seen(&[]), None).unwrap();
    assert_eq!(running.finished_at, None);
    assert!(running.deleted.is_empty());
    assert_eq!(
        items(&running.remaining),
        [("add-on", "coredns", "not seen gone yet"), ("cluster", "arn:cluster", "not seen gone yet")]
    );
}

#[test]
fn workloads_that_were_not_drained_remain_and_those_that_never_were_do_not() {
    let skipped = json!({"skipped": "an operator set `x`"});
    let handed_over = finished(&cluster(&[("cluster", "arn")], &skipped, true), &seen(&[]));
    assert_eq!(
        items(&handed_over.remaining),
        [("workloads", "acme-1", "not drained before the deletion: an operator set `x`")]
    );
    let never = finished(&cluster(&[("cluster", "arn")], &skipped, false), &seen(&[]));
    assert!(never.remaining.is_empty());
    let drained = json!({"finishedAt": "2026-11-24T12:10:00Z"});
    assert!(finished(&cluster(&[("cluster", "arn")], &drained, true), &seen(&[])).remaining.is_empty());
}

#[test]
fn the_order_in_which_things_were_seen_does_not_show_in_a_receipt() {
    let forth = [("add-on", "a"), ("add-on", "b"), ("cluster", "arn")];
    let back = [("cluster", "arn"), ("add-on", "b"), ("add-on", "a")];
    let left = [("volume", "v-2", "w"), ("volume", "v-1", "w")];
    let turned = [left[1], left[0]];
    let one = finished(&cluster(&forth, &json!({}), false), &seen(&left));
    assert_eq!(one, finished(&cluster(&back, &json!({}), false), &seen(&turned)));
}
