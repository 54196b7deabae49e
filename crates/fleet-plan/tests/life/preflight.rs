//! What stands in the way of a prepared move, each alone, with who can act.

use fleet_api::{
    conditions::{self, Verdict, reason},
    eks::{EksInsight, EksObservation},
    inside::{Budget, Inside, Webhook},
    step::Seen,
    v1alpha1::{ControlExceptionSpec, MoveStage},
};
use fleet_plan::cluster::{
    ClusterPlan, plan,
    preflight::{Preflight, Surroundings, preflight},
};
use serde_json::json;

use super::{
    hub::{Hub, class, spec},
    moves::move_to,
    run,
};

/// A proven cluster with node groups under a prepared move to 1.36, and everything around it that a preflight looks at.
struct Case {
    hub: Hub,
    seen: EksObservation,
    planned: ClusterPlan,
    inside: Seen<Inside>,
    exceptions: Vec<ControlExceptionSpec>,
    baselines: Vec<String>,
}

impl Case {
    fn new() -> Self {
        run(async {
            let mut hub = Hub::new(spec(&class(false, false), "1.35"));
            hub.settle().await;
            hub.edit(|spec| spec.rollout = Some(move_to(MoveStage::Prepare, 36)));
            let _ = hub.turn(None).await;
            let generation = hub.object.metadata.generation;
            let now = hub.clock.now();
            for part in [conditions::REACHABLE, conditions::HARDENED] {
                let verdict = Verdict::holds(part, reason::AS_WANTED, "");
                conditions::set(
                    &mut hub.object.status.as_mut().unwrap().conditions,
                    &verdict,
                    generation,
                    now,
                );
            }
            let seen = hub.look(None).await;
            let planned = plan(&hub.object, &seen, now);
            let inside = Seen::Present(Inside::default());
            Self {
                hub,
                seen,
                planned,
                inside,
                exceptions: Vec::new(),
                baselines: vec!["standard".to_owned()],
            }
        })
    }

    fn find(&self) -> Preflight {
        let around = Surroundings {
            inside: &self.inside,
            exceptions: &self.exceptions,
            baselines: &self.baselines,
            today: "2026-11-24".parse().unwrap(),
            until: "2026-11-27".parse().unwrap(),
        };
        let wanted = self.hub.object.spec.rollout.clone().unwrap();
        let now = self.hub.clock.now();
        preflight(&self.hub.object, &wanted, &self.seen, &self.planned, &around, now)
    }

    fn inside(&mut self, budget: Option<Budget>, webhook: Option<Webhook>) {
        let inside = Inside {
            budgets: budget.into_iter().collect(),
            webhooks: webhook.into_iter().collect(),
            cut_off: false,
        };
        self.inside = Seen::Present(inside);
    }

    fn insight(&mut self, status: &str, refreshed: bool) {
        self.seen.insights = Seen::Present(vec![EksInsight {
            id: "i-1".to_owned(),
            name: "Deprecated APIs removed in Kubernetes v1.36".to_owned(),
            category: "UPGRADE_READINESS".to_owned(),
            status: status.to_owned(),
            kubernetes_version: "1.36".parse().ok(),
            refreshed_at: refreshed.then(|| self.hub.clock.now()),
            message: "flowschemas v1beta3 are read by kube-state-metrics".to_owned(),
            resources: Vec::new(),
            deprecated: Vec::new(),
        }]);
    }

    fn wants(&mut self, more: serde_json::Value) {
        let mut wanted = serde_json::to_value(move_to(MoveStage::Prepare, 36)).unwrap();
        wanted.as_object_mut().unwrap().remove("version");
        for (key, value) in more.as_object().unwrap() {
            wanted[key] = value.clone();
        }
        self.hub.object.spec.rollout = serde_json::from_value(wanted).unwrap();
    }
}

#[test]
fn nothing_stands_in_the_way_of_a_cluster_that_is_well() {
    assert_eq!(Case::new().find(), Preflight { looked: true, blockers: Vec::new() });
}

#[test]
fn add_ons_that_the_move_itself_moves_first_are_in_nobodys_way() {
    let mut case = Case::new();
    for offer in case.seen.addon_offers.get_mut("coredns").unwrap() {
        if offer.version == "v1.20.4-eksbuild.1" {
            offer.runs_on.retain(|minor| minor.minor() != 36);
        }
    }
    case.insight("ERROR", true);
    let Seen::Present(insights) = &mut case.seen.insights else { unreachable!() };
    "EKS add-on version compatibility".clone_into(&mut insights[0].name);
    assert_eq!(case.find(), Preflight { looked: true, blockers: Vec::new() });
}

#[test]
fn every_blocker_names_the_object_and_who_can_act() {
    type Change = fn(&mut Case);
    let table: [(&str, &str, &str, Change); 15] = [
        ("UpgradeInsight", "tenant", "kube-state-metrics", |case| case.insight("ERROR", true)),
        ("ReadinessUnknown", "cloud", "does not count as passed", |case| case.insight("PASSING", false)),
        ("FreeAddresses", "operator", "0 free addresses", |case| {
            let Seen::Present(subnets) = &mut case.seen.subnets else { return };
            subnets.iter_mut().for_each(|subnet| subnet.free_addresses = 0);
        }),
        ("AddonBlocksUpgrade", "operator", "coredns", |case| {
            let offers = case.seen.addon_offers.get_mut("coredns").unwrap();
            offers.iter_mut().for_each(|offer| offer.runs_on.retain(|minor| minor.minor() != 36));
        }),
        ("NodesBeyondSkew", "operator", "workers (1.32)", |case| {
            let Seen::Present(groups) = &mut case.seen.nodegroups else { return };
            groups[0].version = "1.32".parse().ok();
        }),
        ("VersionNotOffered", "operator", "does not offer 1.36", |case| {
            case.seen.versions.retain(|offer| offer.version.minor() != 36);
        }),
        ("VersionNotOffered", "operator", "2 minors ahead", |case| {
            case.wants(json!({"version": "1.37"}));
        }),
        ("DisruptionBudgetBlocks", "tenant", "shop/web allows no disruption: its 3 pods", |case| {
            case.inside(Some(Budget { name: "shop/web".to_owned(), allowed: Some(0), pods: 3 }), None);
        }),
        ("DisruptionBudgetBlocks", "tenant", "has not been judged", |case| {
            case.inside(Some(Budget { name: "shop/web".to_owned(), allowed: None, pods: 3 }), None);
        }),
        ("WebhookBlocks", "tenant", "policy/pods.example.com must answer, and Service policy/hook", |case| {
            let name = "ValidatingWebhookConfiguration policy/pods.example.com".to_owned();
            case.inside(
                None,
                Some(Webhook { name, service: Some("policy/hook".to_owned()), answers: false }),
            );
        }),
        ("NotReady", "operator", "Proven does not hold: NET-1", |case| {
            let status = case.hub.object.status.as_mut().unwrap();
            let fails = Verdict::fails(conditions::PROVEN, reason::PROBE_FAILED, "NET-1 does not bite");
            conditions::set(&mut status.conditions, &fails, Some(2), case.hub.clock.now());
        }),
        ("NotReady", "operator", "no Baseline `strict`", |case| case.wants(json!({"baseline": "strict"}))),
        ("AddonVersionUnknown", "operator", "coredns v9.9.9", |case| {
            case.wants(json!({"addons": [{"name": "coredns", "version": "v9.9.9"}]}));
        }),
        ("ExceptionExpires", "operator", "POD-7 ends on 2026-11-26", |case| {
            case.exceptions = vec![exception("2026-11-26")];
        }),
        ("Paused", "operator", "paused", |case| case.hub.object.spec.paused = true),
    ];
    for (code, who, told, change) in table {
        let mut case = Case::new();
        change(&mut case);
        let found = case.find();
        let said: Vec<_> = found.blockers.iter().filter(|one| one.code == code).collect();
        assert_eq!(said.len(), 1, "{code}: {:?}", found.blockers);
        assert_eq!(said[0].who, who, "{code}");
        assert!(said[0].message.contains(told), "{}", said[0].message);
        assert!(found.looked, "{code} was looked at: {:?}", found.blockers);
    }
}

fn exception(expires: &str) -> ControlExceptionSpec {
    serde_json::from_value(json!({
        "control": "POD-7", "tenant": "acme", "reason": "a legacy agent", "owner": "a", "approver": "b", "expires": expires,
    }))
    .unwrap()
}

#[test]
fn what_could_not_be_looked_at_does_not_pass() {
    let unknown = || "timeout".to_owned();
    let table: [fn(&mut Case, String); 6] = [
        |case, why| case.inside = Seen::Unknown { why },
        |case, why| case.seen.insights = Seen::Unknown { why },
        |case, why| case.seen.subnets = Seen::Unknown { why },
        |case, why| case.seen.nodegroups = Seen::Unknown { why },
        |case, why| case.seen.cluster = Seen::Unknown { why },
        |case, _| case.hub.object.metadata.generation = Some(9),
    ];
    for (at, change) in table.into_iter().enumerate() {
        let mut case = Case::new();
        change(&mut case, unknown());
        let found = case.find();
        assert!(!found.looked && !found.blockers.is_empty(), "{at}: {found:?}");
    }
}

#[test]
fn what_is_no_obstacle_is_not_called_one() {
    let table: [fn(&mut Case); 5] = [
        |case| case.inside(Some(Budget { name: "shop/web".to_owned(), allowed: Some(1), pods: 3 }), None),
        |case| case.inside(Some(Budget { name: "shop/web".to_owned(), allowed: Some(0), pods: 0 }), None),
        |case| {
            let webhook = Webhook { name: "policy".to_owned(), service: None, answers: false };
            case.inside(None, Some(webhook));
        },
        |case| case.exceptions = vec![exception("2026-12-24"), exception("2026-11-01")],
        |case| {
            // A rollout of add-ons drains nothing.
            case.inside(Some(Budget { name: "shop/web".to_owned(), allowed: Some(0), pods: 3 }), None);
            case.wants(json!({"addons": [{"name": "coredns", "version": "v1.20.4-eksbuild.1"}]}));
        },
    ];
    for (at, change) in table.into_iter().enumerate() {
        let mut case = Case::new();
        change(&mut case);
        assert_eq!(case.find(), Preflight { looked: true, blockers: Vec::new() }, "{at}");
    }
}
