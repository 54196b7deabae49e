//! Tables of what time does.

use serde_json::json;

use super::*;
use crate::model::{ErrorDetail, Part, UpdateRecord};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A cluster of 1.35 that is being created until second 10, in the form in which it is saved.
fn creating() -> ClusterRecord {
    serde_json::from_value(json!({
        "cluster": {
            "name": "one",
            "arn": "arn:aws:eks:r:1:cluster/one",
            "createdAt": 1_800_000_000,
            "version": "1.35",
            "roleArn": "arn:aws:iam::1:role/r",
            "resourcesVpcConfig": {
                "subnetIds": [], "securityGroupIds": [], "clusterSecurityGroupId": "sg", "vpcId": "vpc",
                "endpointPublicAccess": false, "endpointPrivateAccess": true, "publicAccessCidrs": []
            },
            "kubernetesNetworkConfig": {},
            "logging": { "clusterLogging": [] },
            "status": "CREATING",
            "certificateAuthority": {},
            "platformVersion": "eks.1",
            "tags": {},
            "health": { "issues": [] },
            "accessConfig": { "authenticationMode": "API" },
            "upgradePolicy": { "supportType": "STANDARD" },
            "deletionProtection": false
        },
        "due": at(10),
        "server": { "wanted": "1.35", "stopped": false },
        "staleReads": 0,
        "updates": [],
        "nodegroups": {},
        "addons": {},
        "accessEntries": {},
        "podIdentities": {},
        "insights": {}
    }))
    .unwrap()
}

fn serves(record: &mut ClusterRecord, minor: u16) {
    record.server.seen = Some(Minor(minor));
    record.server.access = Some(crate::model::ServerAccess {
        endpoint: "https://127.0.0.1:1".to_owned(),
        certificate_authority: "Y2E=".to_owned(),
        identity: crate::model::Identity { oidc: crate::model::Oidc { issuer: "https://issuer".to_owned() } },
    });
}

fn active() -> ClusterRecord {
    let mut record = creating();
    serves(&mut record, 35);
    advance(&mut record, at(10));
    assert_eq!(record.cluster.status, ClusterStatus::Active);
    record
}

fn updating(change: Change) -> ClusterRecord {
    let mut record = active();
    record.updates.push(UpdateRecord {
        update: Update {
            id: "u".to_owned(),
            status: UpdateStatus::InProgress,
            kind: "VersionUpdate".to_owned(),
            params: Vec::new(),
            created_at: Epoch(at(20)),
            errors: Vec::new(),
            cancellation: None,
        },
        part: Part::Cluster,
        change,
        due: at(30),
        fails_with: None,
        idempotency: None,
    });
    record
}

fn upgrade() -> Change {
    Change::Version { from: Minor(35), to: Minor(36), rollback: false, nodes_until: None }
}

#[test]
fn a_cluster_is_active_when_its_time_is_over_and_its_server_answers() {
    let mut record = creating();
    assert_eq!(advance(&mut record, at(9)), Advanced::Same);
    assert_eq!(advance(&mut record, at(10)), Advanced::Same);
    assert_eq!(record.cluster.endpoint, None);
    serves(&mut record, 35);
    assert_eq!(advance(&mut record, at(10)), Advanced::Changed);
    assert_eq!(record.cluster.status, ClusterStatus::Active);
    assert_eq!(record.cluster.endpoint.as_deref(), Some("https://127.0.0.1:1"));

    // A server that is ready early does not make the cluster ready early.
    let mut record = creating();
    serves(&mut record, 35);
    assert_eq!(advance(&mut record, at(9)), Advanced::Same);
    assert_eq!(record.cluster.endpoint, None);
}

#[test]
fn an_upgrade_first_takes_its_time_and_then_waits_for_the_server_of_the_next_minor() {
    let mut record = updating(upgrade());
    advance(&mut record, at(29));
    assert_eq!((record.cluster.status, record.server.wanted), (ClusterStatus::Updating, Some(Minor(35))));
    advance(&mut record, at(30));
    assert_eq!((record.cluster.status, record.server.wanted), (ClusterStatus::Updating, Some(Minor(36))));
    assert_eq!(record.cluster.version, Minor(35));
    serves(&mut record, 36);
    advance(&mut record, at(40));
    assert_eq!((record.cluster.status, record.cluster.version), (ClusterStatus::Active, Minor(36)));
    assert_eq!(record.updates[0].update.status, UpdateStatus::Successful);
    assert_eq!(record.upgraded, Some(Upgraded { from: Minor(35), at: at(40) }));
}

#[test]
fn a_failed_upgrade_leaves_the_version_and_the_server_as_they_were() {
    let mut record = updating(upgrade());
    let error = ErrorDetail {
        error_code: "IpNotAvailable".into(),
        error_message: String::new(),
        resource_ids: Vec::new(),
    };
    record.updates[0].fails_with = Some(error.clone());
    advance(&mut record, at(30));
    assert_eq!((record.cluster.status, record.cluster.version), (ClusterStatus::Active, Minor(35)));
    assert_eq!(record.server.wanted, Some(Minor(35)));
    assert_eq!(record.updates[0].update.errors, [error]);
    assert_eq!(record.upgraded, None);
}

#[test]
fn an_auto_mode_cluster_reads_active_while_its_nodes_go_back() {
    let nodes_until = Some(at(25));
    let mut record =
        updating(Change::Version { from: Minor(36), to: Minor(35), rollback: true, nodes_until });
    record.cluster.version = Minor(36);
    advance(&mut record, at(24));
    assert_eq!(record.cluster.status, ClusterStatus::Active);
    advance(&mut record, at(25));
    assert_eq!(record.cluster.status, ClusterStatus::Updating);

    cancel(&mut record.updates[0].update, "why");
    advance(&mut record, at(40));
    assert_eq!((record.cluster.status, record.cluster.version), (ClusterStatus::Active, Minor(36)));
}

#[test]
fn a_cluster_is_gone_only_when_its_server_and_its_data_are() {
    let mut record = active();
    record.cluster.status = ClusterStatus::Deleting;
    record.due = Some(at(20));
    assert_eq!(advance(&mut record, at(19)), Advanced::Same);
    assert_eq!(advance(&mut record, at(20)), Advanced::Changed);
    assert_eq!(record.server.wanted, None);
    assert_eq!(advance(&mut record, at(30)), Advanced::Same);
    record.server.removed = true;
    assert_eq!(advance(&mut record, at(31)), Advanced::Gone);
}

#[test]
fn a_moment_that_is_seen_twice_changes_nothing_the_second_time() {
    for seconds in [0, 10, 25, 30, 60] {
        let mut record = updating(upgrade());
        serves(&mut record, 36);
        advance(&mut record, at(seconds));
        let once = record.clone();
        assert_eq!(advance(&mut record, at(seconds)), Advanced::Same, "{seconds}");
        assert_eq!(record, once, "{seconds}");
    }
}
