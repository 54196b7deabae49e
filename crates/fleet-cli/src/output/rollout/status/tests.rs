use serde_json::json;

use super::{member::SoakClock, *};

#[test]
fn a_rollout_shows_its_waves_gates_soak_clocks_and_what_holds_it() {
    let rollout: Rollout = serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "up", "uid": "r"},
        "spec": {
            "target": {"kubernetes": "1.36"}, "author": "jane", "plannedMembers": 1, "planHash": "0".repeat(64), "run": "Running",
            "waves": [
                {"name": "first", "selector": {}, "soak": "24h"},
                {"name": "second", "selector": {}, "before": [{"name": "sign-off", "approval": {"roles": ["security"]}}]},
            ],
        },
        "status": {
            "phase": "Running", "wave": "first", "startedAt": "2026-11-24T12:00:00Z",
            "counts": {"members": 2, "soaking": 1, "waiting": 1},
            "waves": [{"name": "first", "counts": {"members": 1, "soaking": 1}, "beganAt": "2026-11-24T12:00:00Z"}],
            "report": [{"code": "Soaking", "message": "acme soaks", "who": "nobody"}],
        },
    }))
    .unwrap();
    let member = |tenant: &str, wave: &str, status: serde_json::Value| -> RolloutMember {
        serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "RolloutMember", "metadata": {"name": format!("up.{tenant}")},
            "spec": {
                "rollout": "up", "tenant": tenant, "cluster": tenant, "clusterUid": "c", "wave": wave, "from": "1.35",
                "slot": "2026-11-24T12:00:00Z",
            },
            "status": status,
        }))
        .unwrap()
    };
    let records = [
        member("zorg", "second", json!({"message": "waits for wave first"})),
        member(
            "acme",
            "first",
            json!({
                "state": "Soaking", "since": "2026-11-24T13:00:00Z", "message": "healthy", "attempt": 1,
                "rollbackUntil": "2026-12-01T13:00:00Z",
            }),
        ),
    ];
    let cluster = |move_id: &str, healthy: i64| -> TenantCluster {
        serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "TenantCluster", "metadata": {"name": "acme"},
            "spec": {
                "tenant": "acme", "tenantUid": "t", "owner": {"team": "t", "contact": "c"}, "class": "c",
                "clusterName": "acme", "version": "1.36", "hardening": {"baseline": "b", "namespaces": ["acme"]},
                "rollout": {"rollout": "up", "rolloutUid": "r", "seq": 3, "id": "this", "stage": "Go"},
            },
            "status": {
                "versions": {"controlPlane": "1.36", "nodes": [{"name": "workers", "version": "1.35"}]},
                "evidence": {
                    "moveId": move_id, "stage": "Go", "observedAt": "2026-11-24T15:00:00Z", "healthySeconds": healthy,
                },
            },
        }))
        .unwrap()
    };
    let now = "2026-11-24T15:00:00Z".parse().unwrap();
    let view = RolloutView::of(&rollout, &records, &[cluster("this", 7_260)], now);
    let text = anstream::adapter::strip_str(&view.to_text(false, now)).to_string();
    let expected = [
        "rollout up to Kubernetes 1.36 is running, begun 3h0m ago, wave first",
        "2 members: 1 soaking, 1 waiting",
        &format!("plan {} by jane", "0".repeat(64)),
        "",
        "WAVE    MEMBERS  WAITING  MOVING  SOAKING  DONE  FAILED  BACK  LEFT OUT  BEGAN              PASSED",
        "first   1        0        0       1        0     0       0     0         2026-11-24 12:00Z  -",
        "second  0        0        0       0        0     0       0     0         -                  -",
        "",
        "GATE      STANDS         STATE   WHAT",
        "sign-off  before second  closed  not looked at yet",
        "",
        "TENANT  WAVE    STATE    SINCE  SOAK          SLOT               WHAT",
        "acme    first   Soaking  2h0m   2h1m of 1d0h  2026-11-24 12:00Z  healthy",
        "zorg    second  Pending  -      -             2026-11-24 12:00Z  waits for wave first",
        "",
        "Soaking (passes by itself): acme soaks",
    ];
    assert_eq!(text, expected.join("\n"));
    let wide = anstream::adapter::strip_str(&view.to_text(true, now)).to_string();
    let members = [
        "TENANT  WAVE    STATE    SINCE  SOAK          SLOT               ATTEMPT  FROM  AT    NODES  ROLL BACK UNTIL    WHAT",
        "acme    first   Soaking  2h0m   2h1m of 1d0h  2026-11-24 12:00Z  1        1.35  1.36  1.35   2026-12-01 13:00Z  healthy",
        "zorg    second  Pending  -      -             2026-11-24 12:00Z  0        1.35  -     -      -                  waits for wave first",
    ];
    assert!(wide.contains(&members.join("\n")), "{wide}");
    // A clock that went on is nothing new, and a member elsewhere is.
    let mut later = RolloutView::of(&rollout, &records, &[cluster("this", 7_320)], now);
    assert!(later != view && later.is_same_but_for_clocks(&view));
    later.members[0].state = MemberState::Verifying;
    assert!(!later.is_same_but_for_clocks(&view));
    // What was seen under another move runs no clock.
    let other = RolloutView::of(&rollout, &records, &[cluster("another", 7_260)], now);
    assert_eq!(other.members[0].soak, Some(SoakClock { seconds: 0, of: 86_400 }));
}

#[test]
fn nodes_that_are_held_back_or_cannot_follow_are_told() {
    let rollout: Rollout = serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "up", "uid": "r"},
        "spec": {
            "target": {"kubernetes": "1.36"}, "author": "jane", "plannedMembers": 1, "planHash": "0".repeat(64),
            "run": "Running", "waves": [{"name": "first", "selector": {}}],
        },
    }))
    .unwrap();
    let member: RolloutMember = serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "RolloutMember", "metadata": {"name": "up.acme"},
        "spec": {
            "rollout": "up", "tenant": "acme", "cluster": "acme", "clusterUid": "c", "wave": "first", "from": "1.35",
            "slot": "2026-11-24T12:00:00Z",
        },
        "status": {
            "state": "Succeeded", "message": "was healthy for 1h on 1.36", "arrivedAt": "2026-11-24T12:00:00Z",
        },
    }))
    .unwrap();
    let cluster = |nodes: &str| -> TenantCluster {
        serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "TenantCluster", "metadata": {"name": "acme"},
            "spec": {
                "tenant": "acme", "tenantUid": "t", "owner": {"team": "t", "contact": "c"}, "class": "c",
                "clusterName": "acme", "version": "1.36", "hardening": {"baseline": "b", "namespaces": ["acme"]},
                "rollout": {
                    "rollout": "up", "rolloutUid": "r", "seq": 3, "id": "this", "stage": "Go", "version": "1.36",
                    "holdNodesUntil": "2026-11-25T12:00:00Z",
                },
            },
            "status": {
                "versions": {"controlPlane": "1.36", "nodes": [{"name": "workers", "version": nodes}]},
                "report": [{
                    "code": "UpdateFailed", "message": "PodEvictionFailure: ledger-0", "who": "tenant",
                    "hint": "let ledger-0 be evicted",
                }],
            },
        }))
        .unwrap()
    };
    let shown = |member: &RolloutMember, nodes: &str, now: &str| {
        let now = now.parse().unwrap();
        let view = RolloutView::of(&rollout, std::slice::from_ref(member), &[cluster(nodes)], now);
        anstream::adapter::strip_str(&view.to_text(true, now)).to_string()
    };
    let text = |nodes: &str, now: &str| shown(&member, nodes, now);
    let held = text("1.35", "2026-11-24T15:00:00Z");
    assert!(held.contains("was healthy for 1h on 1.36; nodes held until 2026-11-25 12:00Z: workers at 1.35"));
    assert!(!held.contains("PodEvictionFailure"), "{held}");
    let mut moving = member.clone();
    moving.status.as_mut().unwrap().arrived_at = None;
    let moving = shown(&moving, "1.35", "2026-11-24T15:00:00Z");
    assert!(!moving.contains("nodes held"), "its hold has no end before the rest has arrived: {moving}");
    let late = text("1.35", "2026-11-25T13:00:00Z");
    assert!(late.contains("nodes cannot follow: workers at 1.35"), "{late}");
    assert!(
        late.ends_with(
            "nodes of acme: UpdateFailed (tenant can act): PodEvictionFailure: ledger-0\n  hint: let ledger-0 be evicted"
        ),
        "{late}"
    );
    assert!(!text("1.36", "2026-11-25T13:00:00Z").contains("nodes"));
}

#[test]
fn what_still_goes_on_after_an_abort_is_told_as_such() {
    let rollout: Rollout = serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "up", "uid": "r"},
        "spec": {
            "target": {"kubernetes": "1.36"}, "author": "jane", "plannedMembers": 2, "planHash": "0".repeat(64),
            "run": "Aborted", "waves": [{"name": "first", "selector": {}}],
        },
        "status": {"phase": "Running", "counts": {"members": 2, "rolledBack": 2}},
    }))
    .unwrap();
    let member = |tenant: &str, state: &str| -> RolloutMember {
        serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "RolloutMember",
            "metadata": {"name": format!("up.{tenant}")},
            "spec": {
                "rollout": "up", "tenant": tenant, "cluster": tenant, "clusterUid": "c", "wave": "first",
                "from": "1.35", "slot": "2026-11-24T12:00:00Z",
            },
            "status": {"state": state},
        }))
        .unwrap()
    };
    let members = [member("acme", "RollingBack"), member("globex", "RolledBack")];
    let now = "2026-11-24T15:00:00Z".parse().unwrap();
    let view = RolloutView::of(&rollout, &members, &[], now);
    let text = anstream::adapter::strip_str(&view.to_text(false, now)).to_string();
    assert!(text.starts_with("rollout up to Kubernetes 1.36 is being aborted\n"), "{text}");
    assert_eq!(text.lines().nth(1), Some("2 members: 1 going back, 1 rolled back"));
}
