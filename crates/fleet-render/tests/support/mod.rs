//! The clusters that the tests render for: specs as the controller composes them.
#![allow(dead_code, reason = "each test binary uses the part that it needs")]

pub(crate) mod server;

use fleet_api::{
    KubernetesVersion,
    text::Day,
    v1alpha1::{BaselineSpec, ControlExceptionSpec, TenantClusterSpec},
};
use fleet_render::{Bundle, Catalogue, RenderError, RenderInput, render};
use serde::de::DeserializeOwned;

/// One cluster with everything that its bundle is rendered from.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) spec: TenantClusterSpec,
    pub(crate) baseline: BaselineSpec,
    pub(crate) exceptions: Vec<ControlExceptionSpec>,
    pub(crate) version: KubernetesVersion,
    pub(crate) today: Day,
}

impl Cluster {
    pub(crate) fn render(&self, catalogue: &Catalogue) -> Result<Bundle, RenderError> {
        let input = RenderInput {
            spec: &self.spec,
            baseline: &self.baseline,
            exceptions: &self.exceptions,
            version: self.version,
            today: self.today,
        };
        render(catalogue, &input)
    }

    pub(crate) fn bundle(&self, catalogue: &Catalogue) -> Bundle {
        self.render(catalogue).unwrap()
    }

    /// The same cluster with a waiver of a control.
    pub(crate) fn waiving(mut self, control: &str, namespaces: &[&str], expires: &str) -> Self {
        self.exceptions.push(yaml(&format!(
            "control: {control}\ntenant: {}\nscope: {{namespaces: [{}]}}\nreason: the vendor ships it this way\n\
             owner: shop team\napprover: risk office\nexpires: {expires}\n",
            self.spec.tenant,
            namespaces.join(", ")
        )));
        self
    }
}

pub(crate) fn yaml<T: DeserializeOwned>(text: &str) -> T {
    serde_saphyr::from_str(text).unwrap()
}

fn cluster(spec: &str, baseline: &str, version: &str) -> Cluster {
    Cluster {
        spec: yaml(spec),
        baseline: yaml(baseline),
        exceptions: Vec::new(),
        version: version.parse().unwrap(),
        today: "2026-11-24".parse().unwrap(),
    }
}

/// A tenant under PCI DSS on node groups, with egress, a Pod Identity and access for two groups.
pub(crate) fn regulated() -> Cluster {
    cluster(
        r"
tenant: acme-payments
tenantUid: 3f6d8f0e-6d0b-4e0e-9b5c-7f1f7e6a1c01
owner: {team: payments, contact: payments@acme.example}
class: eks-regulated
clusterName: acme-payments-8b1c9a2d
version: '1.35'
hardening:
  baseline: regulated
  compliance: [pci]
  namespaces: [payments, payments-jobs]
  capacity: {cpu: '40', memory: 80Gi, pods: 500}
  network:
    egress:
      - {cidr: 203.0.113.0/24, ports: [443]}
      - {cidr: 0.0.0.0/0, ports: [443, 8443]}
  images: {registries: [444455556666.dkr.ecr.eu-central-1.amazonaws.com/payments/]}
  access:
    - {group: acme-payments-admins, role: admin, principalArn: 'arn:aws:iam::444455556666:role/acme-payments-admin'}
    - {group: 'acme auditors', role: view}
eks:
  account: '444455556666'
  region: eu-central-1
  roleArn: arn:aws:iam::444455556666:role/fleet-manager
  clusterRoleArn: arn:aws:iam::444455556666:role/eks-cluster
  network: {subnetIds: [subnet-0aa000000000000a4, subnet-0bb000000000000b4], serviceCidr: 172.20.0.0/16}
  nodeGroups:
    - name: workers
      platform: bottlerocket-x86_64
      instanceTypes: [m7i.large]
      scaling: {min: 1, max: 3, desired: 1}
      nodeRoleArn: arn:aws:iam::444455556666:role/eks-node
  podIdentities:
    - {namespace: payments, serviceAccount: ledger, roleArn: 'arn:aws:iam::444455556666:role/ledger'}
",
        "
profile: pci
parameters:
  allowedRegistries: [public.ecr.aws/eks-distro/]
  exemptNamespaces: [{name: amazon-cloudwatch, reason: the log agent reads the nodes' files}]
",
        "1.35",
    )
}

/// A tenant without a regime on Auto Mode, with everything left to the defaults.
pub(crate) fn plain() -> Cluster {
    cluster(
        r"
tenant: initech-batch
tenantUid: 3f6d8f0e-6d0b-4e0e-9b5c-7f1f7e6a1c02
owner: {team: batch, contact: '#batch'}
class: eks-standard
clusterName: initech-batch-1f00ba11
version: '1.36'
hardening:
  baseline: standard
  namespaces: [initech-batch]
  images: {registries: [docker.io/library/]}
  access: [{group: initech, role: edit}]
eks:
  account: '111122223333'
  region: eu-central-1
  roleArn: arn:aws:iam::111122223333:role/fleet-manager
  clusterRoleArn: arn:aws:iam::111122223333:role/eks-cluster
  network: {subnetIds: [subnet-0aa000000000000a1, subnet-0bb000000000000b1]}
  autoMode: {nodeRoleArn: 'arn:aws:iam::111122223333:role/eks-node', nodePools: [general-purpose]}
",
        "profile: standard",
        "1.36",
    )
}
