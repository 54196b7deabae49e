//! What the tenant of a life wants, and how that changes.

use fleet_api::labels;
use serde_json::{Value, json};

use crate::{
    emulator::PEOPLE,
    life::{Kind, Life},
};

/// The settings of the fleet that all lives share.
const FLEET: &str = r#"apiVersion: tenantfleet.dev/v1alpha1
kind: Fleet
metadata: {name: fleet}
spec:
  defaults: {channel: stable}
  brakes: {maxDeletionsPerHour: 100}
---
apiVersion: tenantfleet.dev/v1alpha1
kind: VersionChannel
metadata: {name: stable}
spec: {versions: [{version: "1.35"}, {version: "1.36"}]}
---
apiVersion: tenantfleet.dev/v1alpha1
kind: Baseline
metadata: {name: standard}
spec: {parameters: {allowedRegistries: [registry.k8s.io/]}}"#;

impl Life {
    /// The fleet's settings, the tenant's class and the tenant.
    pub fn manifests(&self) -> String {
        let Self { tenant, account, .. } = self;
        let mut class = json!({
            "apiVersion": "tenantfleet.dev/v1alpha1",
            "kind": "TenantClass",
            "metadata": { "name": tenant },
            "spec": { "baseline": "standard", "eks": self.settings(false) },
        });
        class["spec"]["eks"].as_object_mut().unwrap().extend([
            ("account".to_owned(), json!(account)),
            ("region".to_owned(), json!("eu-central-1")),
            ("roleArn".to_owned(), json!(self.role("fleet-manager"))),
            ("clusterRoleArn".to_owned(), json!(self.role("eks-cluster"))),
        ]);
        let network = &mut class["spec"]["eks"]["network"];
        network["subnetIds"] = json!(["subnet-0aa000000000000a1", "subnet-0bb000000000000b1"]);
        network["securityGroupIds"] = json!(["sg-0aa00000000000001"]);
        let people = json!({ "group": "people", "principalArn": self.role(PEOPLE), "role": "admin" });
        let tenant = json!({
            "apiVersion": "tenantfleet.dev/v1alpha1",
            "kind": "Tenant",
            "metadata": { "name": tenant, "annotations": { (labels::CONFIRM_DELETION): tenant } },
            "spec": {
                "owner": { "team": "campaign", "contact": "campaign@example.com" },
                "class": tenant,
                "kubernetes": { "version": "1.35" },
                "access": [people],
            },
        });
        format!("{FLEET}\n---\n{class}\n---\n{tenant}\n")
    }

    /// What the class says of a cluster, before the settings are changed and after.
    pub fn settings(&self, changed: bool) -> Value {
        let logs = ["api", "audit", "authenticator", "controllerManager", "scheduler"];
        let policy = if changed { "AmazonEKSAdminViewPolicy" } else { "AmazonEKSClusterAdminPolicy" };
        let identity = |account: &str| json!({ "namespace": "kube-system", "serviceAccount": account, "roleArn": self.role("eks-pod") });
        let mut settings = json!({
            "logging": if changed { &logs[..] } else { &logs[..2] },
            "network": { "endpoint": { "publicCidrs": if changed { vec!["203.0.113.0/24"] } else { vec![] } } },
            "deletionProtection": true,
            "platformAccess": [{ "principalArn": self.role("platform-admin"), "policy": policy }],
            "podIdentities": [identity(if changed { "second" } else { "first" })],
            "tags": { "cost-center": "campaign" },
        });
        match self.kind {
            Kind::Nodes => {
                let agent = json!({ "name": "eks-pod-identity-agent" });
                let network =
                    json!({ "name": "vpc-cni", "configuration": "{\"enableNetworkPolicy\":\"true\"}" });
                settings["addons"] = if changed { json!([network, agent]) } else { json!([agent]) };
                settings["supportType"] = json!(if changed { "EXTENDED" } else { "STANDARD" });
                settings["nodeGroups"] = json!([{
                    "name": "workers",
                    "platform": "bottlerocket-x86_64",
                    "instanceTypes": ["m7i.large"],
                    "scaling": { "min": 1, "desired": if changed { 3 } else { 2 }, "max": 3 },
                    "nodeRoleArn": self.role("eks-node"),
                    "diskGib": if changed { 80 } else { 50 },
                    "labels": if changed { json!({ "ring": "later" }) } else { json!({}) },
                }]);
            }
            Kind::Auto => {
                let pools = if changed { vec!["general-purpose", "system"] } else { vec!["general-purpose"] };
                settings["autoMode"] = json!({ "nodeRoleArn": self.role("eks-node"), "nodePools": pools });
            }
        }
        settings
    }

    fn role(&self, name: &str) -> String {
        format!("arn:aws:iam::{}:role/{name}", self.account)
    }
}
