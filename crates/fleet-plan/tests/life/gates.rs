//! What stands between a cluster at rest and its next minor: each gate alone, and what it says.

use fleet_api::{
    KubernetesVersion,
    eks::{EksInsight, EksObservation, EksSubnet, PartStatus, SupportStatus},
    step::{Expectation, Seen},
    v1alpha1::TenantCluster,
};
use fleet_plan::cluster::{ClusterPlan, plan};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    hub::{Hub, class, spec},
    run,
};

fn minor(minor: u16) -> KubernetesVersion {
    KubernetesVersion::from_minor(minor)
}

/// The plan of a cluster at rest at 1.35 whose spec now wants 1.36, after somebody had a hand in it.
fn planned(change: impl FnOnce(&mut TenantCluster, &mut EksObservation, Timestamp)) -> ClusterPlan {
    run(async {
        let mut hub = Hub::new(spec(&class(false, false), "1.35"));
        hub.settle().await;
        hub.edit(|spec| spec.version = minor(36));
        let mut seen = hub.look(None).await;
        let mut cluster = hub.object.clone();
        // The proof is of the spec before; the gates are asked one by one here.
        let generation = cluster.metadata.generation;
        cluster
            .status
            .as_mut()
            .unwrap()
            .conditions
            .iter_mut()
            .for_each(|one| one.observed_generation = generation);
        let now = hub.clock.now();
        change(&mut cluster, &mut seen, now);
        plan(&cluster, &seen, now)
    })
}

/// The minor that the plan upgrades to, if it does.
fn upgrades(planned: &ClusterPlan) -> Option<String> {
    planned.steps.iter().find(|step| step.id == "update-version").map(|step| step.summary.clone())
}

/// Asserts that the upgrade is held, and gives the message and who can act.
fn held(planned: &ClusterPlan, code: &str) -> (String, String) {
    assert_eq!(upgrades(planned), None, "{:?}", planned.report);
    let found = planned.report.iter().find(|entry| entry.code == code);
    let entry = found.unwrap_or_else(|| panic!("no {code} in {:?}", planned.report));
    (entry.message.clone(), entry.who.clone())
}

fn insight(status: &str, refreshed_at: Option<Timestamp>) -> EksInsight {
    EksInsight {
        id: "i-1".to_owned(),
        name: "Deprecated APIs".to_owned(),
        category: "UPGRADE_READINESS".to_owned(),
        status: status.to_owned(),
        kubernetes_version: Some(minor(36)),
        refreshed_at,
        message: "flowcontrol v1beta3 is still called".to_owned(),
        resources: Vec::new(),
        deprecated: Vec::new(),
    }
}

fn with_insight(change: impl FnOnce(&mut EksInsight, Timestamp)) -> ClusterPlan {
    planned(|_, seen, now| {
        let mut one = insight("PASSING", Some(now - SignedDuration::from_hours(1)));
        change(&mut one, now);
        seen.insights = Seen::Present(vec![one]);
    })
}

#[test]
fn with_nothing_in_the_way_the_next_minor_begins_and_expects_the_present_one() {
    let planned = planned(|_, _, _| ());
    assert_eq!(upgrades(&planned).as_deref(), Some("Upgrade the control plane from 1.35 to 1.36"));
    let step = planned.steps.iter().find(|step| step.id == "update-version").unwrap();
    assert!(step.disruptive);
    assert!(matches!(&step.expects, Expectation::Cluster { version, .. } if *version == minor(35)));
    assert!(planned.focus.readiness);
}

#[test]
fn an_insight_that_finds_an_error_holds_the_upgrade_and_the_tenant_can_act() {
    let (message, who) = held(&with_insight(|one, _| one.status = "ERROR".to_owned()), "UpgradeInsight");
    assert!(message.contains("flowcontrol v1beta3"), "{message}");
    assert_eq!(who, "tenant");
    let named = with_insight(|one, _| {
        one.status = "ERROR".to_owned();
        one.resources = vec!["/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas/mine".to_owned()];
    });
    assert!(held(&named, "UpgradeInsight").0.contains("flowschemas/mine"));
    // Even an old error is an error.
    let old = with_insight(|one, now| {
        one.status = "ERROR".to_owned();
        one.refreshed_at = Some(now - SignedDuration::from_hours(100));
    });
    held(&old, "UpgradeInsight");
}

#[test]
fn an_insight_that_is_old_unknown_or_was_never_looked_at_does_not_count_as_passed() {
    let stale = with_insight(|one, now| one.refreshed_at = Some(now - SignedDuration::from_hours(49)));
    assert_eq!(held(&stale, "ReadinessUnknown").1, "cloud");
    held(&with_insight(|one, _| one.refreshed_at = None), "ReadinessUnknown");
    held(&with_insight(|one, _| one.status = "UNKNOWN".to_owned()), "ReadinessUnknown");
    held(&with_insight(|one, _| one.status = "SOMETHING_NEW".to_owned()), "ReadinessUnknown");
    held(
        &planned(|_, seen, _| seen.insights = Seen::Unknown { why: "denied".to_owned() }),
        "ReadinessUnknown",
    );
}

#[test]
fn a_warning_and_what_is_about_something_else_do_not_hold_an_upgrade() {
    for planned in [
        with_insight(|_, _| ()),
        with_insight(|one, _| one.status = "WARNING".to_owned()),
        with_insight(|one, now| one.refreshed_at = Some(now - SignedDuration::from_hours(47))),
        with_insight(|one, _| {
            one.status = "ERROR".to_owned();
            one.kubernetes_version = Some(minor(37));
        }),
        with_insight(|one, _| {
            one.status = "ERROR".to_owned();
            one.category = "ROLLBACK_READINESS".to_owned();
        }),
    ] {
        assert!(upgrades(&planned).is_some(), "{:?}", planned.report);
    }
    let unversioned = with_insight(|one, _| {
        one.status = "ERROR".to_owned();
        one.kubernetes_version = None;
    });
    held(&unversioned, "UpgradeInsight");
}

#[test]
fn an_upgrade_needs_five_free_addresses_in_the_clusters_own_subnets() {
    let with_free = |own: i64, elsewhere: i64| {
        planned(|_, seen, _| {
            let subnet = |id: &str, free_addresses| EksSubnet {
                id: id.to_owned(),
                zone: "eu-central-1a".to_owned(),
                vpc_id: None,
                free_addresses,
            };
            seen.subnets = Seen::Present(vec![
                subnet("subnet-a", own),
                subnet("subnet-b", 1),
                subnet("subnet-x", elsewhere),
            ]);
        })
    };
    let (message, who) = held(&with_free(3, 200), "FreeAddresses");
    assert!(message.contains("have 4 free addresses"), "{message}");
    assert_eq!(who, "operator");
    assert!(upgrades(&with_free(4, 0)).is_some());
    let unread = planned(|_, seen, _| seen.subnets = Seen::Unknown { why: "denied".to_owned() });
    held(&unread, "ReadinessUnknown");
}

#[test]
fn an_add_on_that_runs_on_one_side_of_the_hop_only_blocks_it() {
    let only_here = planned(|_, seen, _| {
        for offer in seen.addon_offers.get_mut("coredns").unwrap() {
            offer.runs_on.remove(&minor(36));
        }
    });
    let (message, who) = held(&only_here, "AddonBlocksUpgrade");
    assert_eq!(message, "add-on coredns has no version that runs on 1.35 and on 1.36");
    assert_eq!(who, "operator");
    let pinned = planned(|cluster, seen, _| {
        // The pin runs here, and not on the next minor.
        let eks = cluster.spec.eks.as_mut().unwrap();
        eks.addons =
            serde_json::from_value(json!([{"name": "coredns", "version": "v1.20.4-eksbuild.1"}])).unwrap();
        for offer in seen.addon_offers.get_mut("coredns").unwrap() {
            if offer.version == "v1.20.4-eksbuild.1" {
                offer.runs_on.remove(&minor(36));
            }
        }
    });
    held(&pinned, "AddonBlocksUpgrade");
}

#[test]
fn an_add_on_that_must_move_first_moves_before_the_control_plane() {
    let planned = planned(|_, seen, _| {
        // What is installed stops at 1.35; the newer version runs on both.
        for offer in seen.addon_offers.get_mut("coredns").unwrap() {
            if offer.version == "v1.20.4-eksbuild.1" {
                offer.runs_on.remove(&minor(36));
            }
        }
    });
    assert_eq!(upgrades(&planned), None);
    let summaries: Vec<&str> = planned.steps.iter().map(|step| step.summary.as_str()).collect();
    assert_eq!(summaries, ["Update add-on coredns from v1.20.4-eksbuild.1 to v1.21.0-eksbuild.1"]);
}

#[test]
fn what_eks_finds_of_add_ons_that_move_first_blocks_nothing_and_is_looked_at_again_afterwards() {
    let with = |moved: bool, age: SignedDuration| {
        planned(|_, seen, now| {
            for offer in seen.addon_offers.get_mut("coredns").unwrap() {
                if offer.version == "v1.20.4-eksbuild.1" && !moved {
                    offer.runs_on.remove(&minor(36));
                }
            }
            let mut one = insight("ERROR", Some(now - age));
            "EKS add-on version compatibility".clone_into(&mut one.name);
            seen.insights = Seen::Present(vec![one]);
        })
    };
    let before = with(false, SignedDuration::from_hours(1));
    assert_eq!(held(&before, "PartsUnsettled").1, "nobody");
    assert!(before.report.iter().all(|entry| entry.code != "UpgradeInsight"), "{:?}", before.report);
    assert_eq!(
        before.steps[0].summary,
        "Update add-on coredns from v1.20.4-eksbuild.1 to v1.21.0-eksbuild.1"
    );
    // They have moved, and EKS looked before that.
    let after = with(true, SignedDuration::from_hours(1));
    held(&after, "ReadinessUnknown");
    assert_eq!(after.steps[0].id, "insights/refresh");
    // It has looked since, and still finds something.
    held(&with(true, SignedDuration::from_mins(1)), "UpgradeInsight");
}

#[test]
fn kube_proxy_never_stands_in_the_way() {
    let planned = planned(|_, seen, _| {
        seen.addon_offers.get_mut("kube-proxy").unwrap().retain(|offer| !offer.runs_on.contains(&minor(36)));
    });
    assert!(upgrades(&planned).is_some(), "{:?}", planned.report);
}

#[test]
fn nodes_beyond_the_skew_of_three_minors_hold_the_control_plane() {
    let with_nodes_at = |version: u16| {
        planned(|_, seen, _| {
            if let Seen::Present(groups) = &mut seen.nodegroups {
                groups.iter_mut().for_each(|group| group.version = Some(minor(version)));
            }
        })
    };
    // Nodes behind the control plane are levelled first, one update at a time.
    let levelled = with_nodes_at(34);
    assert_eq!(upgrades(&levelled), None);
    assert_eq!(levelled.steps[0].id, "nodegroup/workers/version");
    let foreign = |version: u16| {
        planned(|_, seen, _| {
            if let Seen::Present(groups) = &mut seen.nodegroups {
                let mut other = groups[0].clone();
                other.name = "by-hand".to_owned();
                other.tags.clear();
                other.version = Some(minor(version));
                groups.push(other);
            }
        })
    };
    let (message, _) = held(&foreign(32), "NodesBeyondSkew");
    assert!(message.contains("by-hand (1.32)"), "{message}");
    assert!(upgrades(&foreign(33)).is_some());
}

#[test]
fn a_version_two_minors_away_is_reached_one_minor_at_a_time() {
    let planned = planned(|cluster, seen, _| {
        cluster.spec.version = minor(37);
        let mut newest = seen.versions.last().unwrap().clone();
        newest.version = minor(37);
        seen.versions.push(newest);
    });
    assert_eq!(upgrades(&planned).as_deref(), Some("Upgrade the control plane from 1.35 to 1.36"));
}

#[test]
fn a_minor_that_eks_does_not_offer_is_not_tried() {
    let gone = planned(|_, seen, _| seen.versions.retain(|offer| offer.version != minor(36)));
    let (message, _) = held(&gone, "VersionNotOffered");
    assert_eq!(message, "EKS does not offer 1.36 (it offers 1.34, 1.35)");
    let unsupported = planned(|_, seen, _| {
        let offer = seen.versions.iter_mut().find(|offer| offer.version == minor(36)).unwrap();
        offer.status = SupportStatus::Unsupported;
    });
    held(&unsupported, "VersionNotOffered");
    held(&planned(|_, seen, _| seen.versions.clear()), "ReadinessUnknown");
}

#[test]
fn the_end_of_support_is_told_before_it_comes_and_stops_nothing() {
    let with = |status: SupportStatus, end_of_standard: &str| {
        planned(|_, seen, _| {
            let offer = seen.versions.iter_mut().find(|offer| offer.version == minor(35)).unwrap();
            offer.status = status;
            offer.end_of_standard = Some(end_of_standard.parse().unwrap());
            offer.end_of_extended = Some("2028-03-27".parse().unwrap());
        })
    };
    let said = |planned: &ClusterPlan, code: &str| {
        assert!(upgrades(planned).is_some(), "{:?}", planned.report);
        planned.report.iter().find(|entry| entry.code == code).map(|entry| entry.message.clone())
    };
    // The cluster is looked at on the 24th of November.
    assert_eq!(said(&with(SupportStatus::Standard, "2027-01-24"), "SupportEnds"), None);
    assert_eq!(
        said(&with(SupportStatus::Standard, "2027-01-23"), "SupportEnds").as_deref(),
        Some("standard support of 1.35 ends on 2027-01-23, in 60 days")
    );
    let extended = said(&with(SupportStatus::Extended, "2026-11-01"), "ExtendedSupport").unwrap();
    assert!(extended.contains("costs more, until 2028-03-27"), "{extended}");
    assert!(said(&with(SupportStatus::Unsupported, "2026-11-01"), "Unsupported").is_some());
}

#[test]
fn a_shut_window_and_a_freeze_hold_the_upgrade_and_name_the_next_chance() {
    let with = |maintenance: serde_json::Value| {
        planned(|cluster, _, _| cluster.spec.maintenance = Some(serde_json::from_value(maintenance).unwrap()))
    };
    let nights = json!([{"days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "start": "22:00", "duration": "4h"}]);
    let shut = with(json!({"timeZone": "Europe/Berlin", "windows": nights}));
    let (message, who) = held(&shut, "WaitingForWindow");
    assert_eq!(
        message,
        "Upgrade the control plane from 1.35 to 1.36: no maintenance window is open; \
         the next chance is Tue 2026-11-24 22:00 CET"
    );
    assert_eq!(who, "nobody");
    // It is looked at again when the window opens, and not every few seconds until then.
    assert!(shut.look_again_after <= SignedDuration::from_mins(5));
    let freeze = json!([{"from": "2026-11-20", "to": "2026-11-30", "reason": "black friday"}]);
    let frozen = with(json!({"timeZone": "Europe/Berlin", "windows": nights, "freezes": freeze}));
    let (message, _) = held(&frozen, "Frozen");
    assert!(message.contains("up to and with 2026-11-30 (black friday)"), "{message}");
    assert!(message.contains("the next chance is Tue 2026-12-01 00:00 CET"), "{message}");
    let short = json!([{"days": ["Tue"], "start": "22:00", "duration": "20m"}]);
    let (_, who) = held(&with(json!({"timeZone": "Europe/Berlin", "windows": short})), "NoWindow");
    assert_eq!(who, "operator");
    let nowhere = with(json!({"timeZone": "Europe/Berln", "windows": nights}));
    assert_eq!(held(&nowhere, "UnknownTimeZone").1, "operator");
    let open =
        with(json!({"timeZone": "UTC", "windows": [{"days": ["Tue"], "start": "10:00", "duration": "6h"}]}));
    assert!(upgrades(&open).is_some(), "{:?}", open.report);
}

#[test]
fn an_upgrade_waits_for_parts_that_are_not_at_rest_and_for_the_proof() {
    let degraded = planned(|_, seen, _| {
        if let Seen::Present(groups) = &mut seen.nodegroups {
            groups[0].status = PartStatus::Degraded;
        }
    });
    assert!(held(&degraded, "PartsUnsettled").0.contains("node group workers"));
    let unproven = planned(|cluster, _, _| {
        let conditions = &mut cluster.status.as_mut().unwrap().conditions;
        conditions
            .iter_mut()
            .filter(|one| one.type_ == "Proven")
            .for_each(|one| one.status = "False".to_owned());
    });
    assert!(held(&unproven, "PartsUnsettled").0.contains("the proof of the baseline"));
}

#[test]
fn an_update_of_somebody_else_is_waited_for() {
    let busy = planned(|_, seen, now| {
        seen.update = Seen::Present(fleet_api::eks::EksUpdate {
            id: "update-9".to_owned(),
            kind: "LoggingUpdate".to_owned(),
            part: None,
            status: fleet_api::eks::EksUpdateStatus::InProgress,
            created_at: Some(now),
            errors: Vec::new(),
        });
    });
    let (message, _) = held(&busy, "WaitingForUpdate");
    assert!(message.contains("which fleet did not begin"), "{message}");
    assert_eq!(busy.in_flight, None);
}

#[test]
fn every_gate_that_is_shut_is_named_and_not_only_the_first() {
    let planned = planned(|_, seen, now| {
        let mut error = insight("ERROR", Some(now));
        error.kubernetes_version = None;
        seen.insights = Seen::Present(vec![error]);
        if let Seen::Present(subnets) = &mut seen.subnets {
            subnets.iter_mut().for_each(|subnet| subnet.free_addresses = 0);
        }
        for offer in seen.addon_offers.get_mut("vpc-cni").unwrap() {
            offer.runs_on.remove(&minor(36));
        }
    });
    for code in ["UpgradeInsight", "FreeAddresses", "AddonBlocksUpgrade"] {
        held(&planned, code);
    }
    let up_to_date = planned.verdicts.iter().find(|verdict| verdict.type_ == "UpToDate").unwrap();
    assert_eq!((up_to_date.status, up_to_date.reason), (Some(false), "Blocked"));
}
