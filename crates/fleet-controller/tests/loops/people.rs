//! Tenants' people choose inside the operators' bounds, with the rights of their role and no others.

use std::sync::Arc;

use fleet_api::{
    conditions,
    v1alpha1::{Tenant, UpgradePreference, UpgradePreferenceStatus, VersionCalendar},
};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{
    process::{PLAIN, Process},
    support::{Hub, config, fleet, quick_cloud, tenant, until},
};

/// The namespace of a tenant's people.
pub(crate) const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: tenant-acme}\n";

/// A preference of theirs.
pub(crate) fn preference(spec: &str) -> String {
    format!(
        "apiVersion: tenantfleet.dev/v1alpha1\nkind: UpgradePreference\n\
         metadata: {{name: upgrades, namespace: tenant-acme}}\nspec: {{{spec}}}\n"
    )
}

const BINDING: &str = r"apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: people, namespace: tenant-acme}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: fleet-tenant-people}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: acme-people}]
";

/// The tenant's own people, as the management cluster knows them.
async fn people(hub: &Hub) -> Client {
    let mut config = config(&hub.plane.control_plane.admin_kubeconfig()).await;
    config.auth_info.impersonate = Some("someone@acme.example".to_owned());
    config.auth_info.impersonate_groups =
        Some(vec!["acme-people".to_owned(), "system:authenticated".to_owned()]);
    Client::try_from(config).unwrap()
}

fn is_forbidden<T>(answer: kube::Result<T>) -> bool {
    matches!(answer, Err(kube::Error::Api(status)) if status.code == 403)
}

fn day(ahead: i64) -> String {
    let at = Timestamp::now() + SignedDuration::from_hours(24 * ahead);
    at.strftime("%Y-%m-%d").to_string()
}

async fn ask(api: &Api<UpgradePreference>, until: &str) {
    let wish = json!({"apiVersion": "tenantfleet.dev/v1alpha1", "kind": "UpgradePreference",
                      "metadata": {"name": "upgrades"}, "spec": {"deferUntil": until}});
    api.patch("upgrades", &PatchParams::apply("people").force(), &Patch::Apply(&wish)).await.unwrap();
}

/// The status and the message of `Accepted`, once it speaks of the present spec and tells what is waited for.
async fn judged(api: &Api<UpgradePreference>, what: &str) -> String {
    until(what, || async {
        let found = api.get("upgrades").await.unwrap();
        let status = found.status?;
        let accepted = conditions::get(&status.conditions, conditions::ACCEPTED)?;
        let current = accepted.observed_generation == found.metadata.generation;
        (current && accepted.status != "Unknown")
            .then(|| format!("{}: {}", accepted.status, accepted.message))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_people_choose_for_their_own_tenant_inside_the_bounds_and_reset_no_count() {
    let hub = Hub::start().await;
    let cloud = quick_cloud();
    hub.apply(&fleet(3)).await;
    let bound = json!({"spec": {"defaults": {"maintenance": {
        "timeZone": "UTC", "deferral": {"times": 1, "days": 30},
    }}}});
    hub.fleets().patch("fleet", &PatchParams::default(), &Patch::Merge(&bound)).await.unwrap();
    hub.apply(&tenant("acme", "eks")).await;
    hub.apply(NAMESPACE).await;
    hub.apply(BINDING).await;
    let controller = Process::start(&hub.controller, Arc::new(cloud.clone()), PLAIN);
    hub.cluster_is("acme", "the control plane was seen", |cluster| {
        cluster.status.as_ref().is_some_and(|status| status.versions.control_plane.is_some())
    })
    .await;
    let calendars: Api<VersionCalendar> = Api::all(hub.admin.clone());
    let mut calendar = until("the region's calendar is stored", || async {
        calendars.get_opt("eu-central-1").await.unwrap()
    })
    .await;
    // Far away from whatever day this runs on.
    for offer in &mut calendar.spec.versions {
        offer.end_of_standard = Some(day(400).parse().unwrap());
    }
    calendars.replace("eu-central-1", &PostParams::default(), &calendar).await.unwrap();

    let people = people(&hub).await;
    let own: Api<UpgradePreference> = Api::namespaced(people.clone(), "tenant-acme");
    let first = day(10);
    ask(&own, &first).await;
    let told = judged(&own, "the deferral is judged").await;
    assert_eq!(told, format!("True: upgrades are put off until {first} (deferral 1 of 1)"));
    hub.cluster_is("acme", "the deferral is in the cluster's spec", |cluster| {
        let chosen = cluster.spec.maintenance.as_ref().and_then(|times| times.chosen.as_ref());
        chosen.and_then(|chosen| chosen.not_before).is_some_and(|until| until.to_string() == first)
    })
    .await;

    // A second one is one too many; the first goes on to hold.
    ask(&own, &day(12)).await;
    let refused = judged(&own, "the second deferral is judged").await;
    assert!(refused.starts_with("False: spec.deferUntil: all 1 deferrals"), "{refused}");
    let stored = own.get("upgrades").await.unwrap().status.unwrap().deferral.unwrap();
    assert_eq!((stored.used, stored.until.to_string()), (1, first));

    // None of them writes the count, takes it away with the object, or speaks for another tenant.
    let mut forged = own.get("upgrades").await.unwrap();
    forged.status = Some(UpgradePreferenceStatus::default());
    assert!(is_forbidden(own.replace_status("upgrades", &PostParams::default(), &forged).await));
    assert!(is_forbidden(own.delete("upgrades", &DeleteParams::default()).await));
    let others: Api<UpgradePreference> = Api::namespaced(people.clone(), "default");
    assert!(is_forbidden(others.list(&ListParams::default()).await));
    let tenants: Api<Tenant> = Api::all(people);
    assert!(is_forbidden(tenants.list(&ListParams::default()).await));
    // Another name would be another count.
    forged.metadata = ObjectMeta { name: Some("other".to_owned()), ..ObjectMeta::default() };
    let answer = own.create(&PostParams::default(), &forged).await.unwrap_err();
    assert!(answer.to_string().contains("its name is `upgrades`"), "{answer}");
    controller.stop().await;
}
