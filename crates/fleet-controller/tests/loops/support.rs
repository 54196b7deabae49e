//! What the tests share: a management cluster with definitions and permissions, a spec, and waiting.

use std::{sync::Arc, time::Duration};

use fleet_api::{
    conditions, labels,
    v1alpha1::{Fleet, Tenant, TenantClass, TenantCluster, definitions},
};
use fleet_provider::fake::{Durations, FakeEks};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Config,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::ApiResource,
    discovery,
};
use local_control_plane::{Controllers, Minor, test_support::TestControlPlane};

/// Longer than anything takes on a machine that builds beside the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A management cluster.
pub(crate) struct Hub {
    pub(crate) plane: TestControlPlane,
    /// As its admin.
    pub(crate) admin: Client,
    /// As the controller's ServiceAccount: every request is judged by the Roles of the manifests.
    pub(crate) controller: Config,
}

/// The configuration of a kubeconfig.
pub(crate) async fn config(kubeconfig: &str) -> Config {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
}

impl Hub {
    /// Starts one with fleet's definitions and the controller's permissions, and nothing else.
    pub(crate) async fn start() -> Self {
        let plane = TestControlPlane::start_with(Minor::V1_36, |spec| spec.controllers = Controllers::None)
            .await
            .expect("a management cluster starts");
        let config = config(&plane.control_plane.admin_kubeconfig()).await;
        let admin = Client::try_from(config.clone()).unwrap();
        let api: Api<CustomResourceDefinition> = Api::all(admin.clone());
        for definition in definitions() {
            let name = definition.metadata.name.clone().unwrap();
            api.create(&PostParams::default(), &definition).await.unwrap();
            let served = kube::runtime::wait::conditions::is_crd_established();
            let wait = kube::runtime::wait::await_condition(api.clone(), &name, served);
            tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
        }
        let hub = Self { plane, admin, controller: as_controller(config) };
        for (_, yaml) in fleet_controller::access().unwrap() {
            hub.apply(&yaml).await;
        }
        hub
    }

    /// Applies a stream of manifests as the admin.
    pub(crate) async fn apply(&self, yaml: &str) {
        for text in yaml.split("\n---\n") {
            let object: DynamicObject = serde_yaml::from_str(text).unwrap();
            let types = object.types.clone().unwrap();
            let gvk = kube::core::GroupVersionKind::try_from(types).unwrap();
            let (resource, capabilities) = discovery::pinned_kind(&self.admin, &gvk).await.unwrap();
            let api = self.api(&object, &resource, &capabilities.scope);
            let name = object.metadata.name.clone().unwrap();
            api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.unwrap();
        }
    }

    fn api(
        &self,
        object: &DynamicObject,
        resource: &ApiResource,
        scope: &discovery::Scope,
    ) -> Api<DynamicObject> {
        match (scope, &object.metadata.namespace) {
            (discovery::Scope::Namespaced, Some(namespace)) => {
                Api::namespaced_with(self.admin.clone(), namespace, resource)
            }
            _ => Api::all_with(self.admin.clone(), resource),
        }
    }

    pub(crate) fn tenants(&self) -> Api<Tenant> {
        Api::all(self.admin.clone())
    }

    pub(crate) fn clusters(&self) -> Api<TenantCluster> {
        Api::all(self.admin.clone())
    }

    pub(crate) fn classes(&self) -> Api<TenantClass> {
        Api::all(self.admin.clone())
    }

    pub(crate) fn fleets(&self) -> Api<Fleet> {
        Api::all(self.admin.clone())
    }

    /// Waits until the condition of a tenant is as wanted, and gives the tenant.
    pub(crate) async fn tenant_is(&self, name: &str, what: &str, wanted: impl Fn(&Tenant) -> bool) -> Tenant {
        let api = self.tenants();
        until(what, || async { api.get_opt(name).await.unwrap().filter(|tenant| wanted(tenant)) }).await
    }

    /// Waits until a cluster is as wanted, and gives it.
    pub(crate) async fn cluster_is(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&TenantCluster) -> bool,
    ) -> TenantCluster {
        let api = self.clusters();
        until(what, || async { api.get_opt(name).await.unwrap().filter(|cluster| wanted(cluster)) }).await
    }

    /// Waits until a tenant is gone.
    pub(crate) async fn tenant_is_gone(&self, name: &str) {
        let api = self.tenants();
        until("the tenant is gone", || async { api.get_opt(name).await.unwrap().is_none().then_some(()) })
            .await;
    }
}

/// The same cluster as the controller's ServiceAccount.
fn as_controller(mut config: Config) -> Config {
    config.auth_info.impersonate = Some("system:serviceaccount:fleet-system:fleet-controller".to_owned());
    config.auth_info.impersonate_groups = Some(vec![
        "system:serviceaccounts".to_owned(),
        "system:serviceaccounts:fleet-system".to_owned(),
        "system:authenticated".to_owned(),
    ]);
    config
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

/// True when the condition has the status for the tenant's present spec.
pub(crate) fn tenant_has(tenant: &Tenant, type_: &str, status: &str) -> bool {
    let conditions = tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions::get(conditions, type_)
        .is_some_and(|c| c.status == status && c.observed_generation == tenant.metadata.generation)
}

/// What a tenant's condition says.
pub(crate) fn message(tenant: &Tenant, type_: &str) -> String {
    let conditions = tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions::get(conditions, type_).map(|condition| condition.message.clone()).unwrap_or_default()
}

/// True when the condition holds for the cluster's present spec.
pub(crate) fn cluster_has(cluster: &TenantCluster, type_: &str) -> bool {
    let conditions = cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions::is_true(conditions, type_, cluster.metadata.generation)
}

/// True when everything that the cloud has to do for a cluster is done.
pub(crate) fn is_provisioned(cluster: &TenantCluster) -> bool {
    cluster_has(cluster, conditions::PROVISIONED) && cluster_has(cluster, conditions::UP_TO_DATE)
}

/// A cloud in which nothing takes long.
pub(crate) fn quick_cloud() -> FakeEks {
    let moment = SignedDuration::from_millis(50);
    let durations = Durations {
        create_cluster: moment,
        delete_cluster: moment,
        update_version: moment,
        update_config: moment,
        nodegroup: moment,
        addon: moment,
    };
    FakeEks::with_durations(Arc::new(Timestamp::now), durations)
}

/// The settings of a fleet of which `most` tenants may be deleted within an hour, and a class without protection.
pub(crate) fn fleet(most: i32) -> String {
    format!(
        r#"apiVersion: tenantfleet.dev/v1alpha1
kind: Fleet
metadata: {{name: fleet}}
spec:
  defaults: {{channel: stable}}
  brakes: {{maxDeletionsPerHour: {most}}}
---
apiVersion: tenantfleet.dev/v1alpha1
kind: VersionChannel
metadata: {{name: stable}}
spec: {{versions: [{{version: "1.35"}}]}}
---
apiVersion: tenantfleet.dev/v1alpha1
kind: Baseline
metadata: {{name: standard}}
spec: {{parameters: {{allowedRegistries: [registry.k8s.io/]}}}}
---
{}"#,
        class("eks", false)
    )
}

/// A class with Auto Mode.
pub(crate) fn class(name: &str, protected: bool) -> String {
    format!(
        r#"apiVersion: tenantfleet.dev/v1alpha1
kind: TenantClass
metadata: {{name: {name}}}
spec:
  baseline: standard
  eks:
    account: "111122223333"
    region: eu-central-1
    roleArn: arn:aws:iam::111122223333:role/fleet-manager
    clusterRoleArn: arn:aws:iam::111122223333:role/eks-cluster
    network: {{subnetIds: [subnet-0aa000000000000a1, subnet-0bb000000000000b1]}}
    deletionProtection: {protected}
    autoMode:
      nodeRoleArn: arn:aws:iam::111122223333:role/eks-node
      nodePools: [general-purpose]
"#
    )
}

/// A tenant of a class.
pub(crate) fn tenant(name: &str, class: &str) -> String {
    format!(
        r#"apiVersion: tenantfleet.dev/v1alpha1
kind: Tenant
metadata: {{name: {name}, annotations: {{{}: {name}}}}}
spec:
  owner: {{team: {name}, contact: {name}@example.com}}
  class: {class}
"#,
        labels::CONFIRM_DELETION
    )
}
