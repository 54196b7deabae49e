//! The add-ons that EKS offers, with their versions and settings.
//!
//! Names, publishers and kinds are those of the documentation. Versions and compatibilities have the form of the live
//! service's answers; which of them the live service offers today is unverified.

use crate::model::Minor;

/// An add-on of the catalogue.
#[derive(Debug)]
pub(crate) struct AddonOffer {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespace: &'static str,
    /// Whether it runs as a Deployment, which needs nodes to be healthy; a DaemonSet does not.
    pub(crate) deployment: bool,
    pub(crate) iam: bool,
    /// The keys that its settings may have at the top.
    pub(crate) settings: &'static [&'static str],
    /// Service account and managed policy, of an add-on that wants an identity.
    pub(crate) identity: Option<(&'static str, &'static str)>,
    /// Newest first.
    pub(crate) versions: &'static [AddonVersion],
}

/// A version of an add-on.
#[derive(Debug)]
pub(crate) struct AddonVersion {
    pub(crate) version: &'static str,
    /// The first and the last minor that it runs on.
    pub(crate) runs_on: (u16, u16),
    /// The first and the last minor of which it is the default; (0, 0) for none.
    pub(crate) default_for: (u16, u16),
}

impl AddonVersion {
    pub(crate) fn runs_on(&self, minor: Minor) -> bool {
        (self.runs_on.0..=self.runs_on.1).contains(&minor.0)
    }

    pub(crate) fn default_for(&self, minor: Minor) -> bool {
        (self.default_for.0..=self.default_for.1).contains(&minor.0)
    }
}

const fn version(version: &'static str, runs_on: (u16, u16), default_for: (u16, u16)) -> AddonVersion {
    AddonVersion { version, runs_on, default_for }
}

const SCHEDULING: [&str; 3] = ["resources", "tolerations", "affinity"];

/// kube-proxy may be up to three minors older than the API server and never newer (source: docs, version skew).
pub(crate) const ADDONS: &[AddonOffer] = &[
    AddonOffer {
        name: "vpc-cni",
        kind: "networking",
        namespace: "kube-system",
        deployment: false,
        iam: true,
        settings: &[
            "env",
            "init",
            "enableNetworkPolicy",
            "nodeAgent",
            "eniConfig",
            "resources",
            "tolerations",
        ],
        identity: Some(("aws-node", "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy")),
        versions: &[
            version("v1.21.1-eksbuild.1", (33, 36), (36, 36)),
            version("v1.20.4-eksbuild.2", (30, 36), (32, 35)),
            version("v1.19.6-eksbuild.7", (30, 34), (30, 31)),
        ],
    },
    AddonOffer {
        name: "coredns",
        kind: "networking",
        namespace: "kube-system",
        deployment: true,
        iam: false,
        settings: &[
            "corefile",
            "replicaCount",
            "autoScaling",
            "nodeSelector",
            "podDisruptionBudget",
            "resources",
            "tolerations",
            "affinity",
        ],
        identity: None,
        versions: &[
            version("v1.13.2-eksbuild.1", (34, 36), (36, 36)),
            version("v1.12.4-eksbuild.1", (31, 35), (33, 35)),
            version("v1.11.4-eksbuild.24", (30, 34), (30, 32)),
        ],
    },
    AddonOffer {
        name: "kube-proxy",
        kind: "networking",
        namespace: "kube-system",
        deployment: false,
        iam: false,
        settings: &["mode", "ipvs", "resources", "tolerations"],
        identity: None,
        versions: &[
            version("v1.36.3-eksbuild.2", (36, 39), (36, 36)),
            version("v1.35.4-eksbuild.2", (35, 38), (35, 35)),
            version("v1.34.6-eksbuild.2", (34, 37), (34, 34)),
            version("v1.33.9-eksbuild.2", (33, 36), (33, 33)),
            version("v1.32.12-eksbuild.2", (32, 35), (32, 32)),
            version("v1.31.14-eksbuild.2", (31, 34), (31, 31)),
            version("v1.30.14-eksbuild.8", (30, 33), (30, 30)),
        ],
    },
    AddonOffer {
        name: "eks-pod-identity-agent",
        kind: "security",
        namespace: "kube-system",
        deployment: false,
        iam: false,
        settings: &["agent", "daemonsets", "init", "resources", "tolerations", "affinity"],
        identity: None,
        versions: &[
            version("v1.3.10-eksbuild.1", (30, 36), (30, 36)),
            version("v1.3.9-eksbuild.3", (30, 36), (0, 0)),
        ],
    },
    AddonOffer {
        name: "aws-ebs-csi-driver",
        kind: "storage",
        namespace: "kube-system",
        deployment: true,
        iam: true,
        settings: &["controller", "node", "sidecars", "defaultStorageClass"],
        identity: Some((
            "ebs-csi-controller-sa",
            "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy",
        )),
        versions: &[
            version("v1.54.0-eksbuild.1", (30, 36), (33, 36)),
            version("v1.48.0-eksbuild.2", (30, 35), (30, 32)),
        ],
    },
    AddonOffer {
        name: "metrics-server",
        kind: "observability",
        namespace: "kube-system",
        deployment: true,
        iam: false,
        settings: &["replicas", "resources", "tolerations", "affinity", "podDisruptionBudget"],
        identity: None,
        versions: &[
            version("v0.8.0-eksbuild.6", (30, 36), (30, 36)),
            version("v0.7.2-eksbuild.4", (30, 34), (0, 0)),
        ],
    },
    AddonOffer {
        name: "eks-node-monitoring-agent",
        kind: "observability",
        namespace: "kube-system",
        deployment: false,
        iam: false,
        settings: &["nodeAgent", "dcgmAgent", "monitoringAgent"],
        identity: None,
        versions: &[version("v1.5.1-eksbuild.1", (30, 36), (30, 36))],
    },
    AddonOffer {
        name: "snapshot-controller",
        kind: "storage",
        namespace: "kube-system",
        deployment: true,
        iam: false,
        settings: &SCHEDULING,
        identity: None,
        versions: &[version("v8.3.0-eksbuild.1", (30, 36), (30, 36))],
    },
];

/// An add-on of the catalogue by name.
pub(crate) fn addon(name: &str) -> Option<&'static AddonOffer> {
    ADDONS.iter().find(|offer| offer.name == name)
}

/// Whether an add-on is unwell without nodes.
pub(crate) fn needs_nodes(name: &str) -> bool {
    addon(name).is_some_and(|offer| offer.deployment)
}

impl AddonOffer {
    /// A version by its name.
    pub(crate) fn version(&self, name: &str) -> Option<&'static AddonVersion> {
        self.versions.iter().find(|version| version.version == name)
    }

    /// The version of a cluster that names none.
    pub(crate) fn default_version(&self, minor: Minor) -> Option<&'static AddonVersion> {
        self.versions.iter().find(|version| version.default_for(minor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eks::catalogue::VERSIONS;

    #[test]
    fn every_addon_has_one_default_that_runs_on_each_minor() {
        for addon in ADDONS {
            for offer in VERSIONS {
                let defaults: Vec<_> = addon.versions.iter().filter(|v| v.default_for(offer.minor)).collect();
                assert_eq!(defaults.len(), 1, "{} on {}", addon.name, offer.minor);
                assert!(defaults[0].runs_on(offer.minor), "{} on {}", addon.name, offer.minor);
            }
        }
    }

    #[test]
    fn from_every_minor_there_is_a_version_that_also_runs_on_the_next() {
        for addon in ADDONS {
            for pair in VERSIONS.windows(2) {
                let bridge =
                    addon.versions.iter().any(|v| v.runs_on(pair[0].minor) && v.runs_on(pair[1].minor));
                assert!(bridge, "{} from {} to {}", addon.name, pair[0].minor, pair[1].minor);
            }
        }
    }
}
