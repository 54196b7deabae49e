//! Parts of a cluster: how steps name them, and the fingerprint by which a step knows one again.

use std::{fmt, str::FromStr};

use serde::Serialize;

use super::{EksAddon, EksCluster, EksNodegroup, EksObservation};
use crate::{names::content_hash, step::Seen};

/// A part of a cluster, written as `KIND NAME` in expectations and in the focus.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The control plane: `cluster`.
    Cluster,
    /// A node group: `nodegroup NAME`.
    Nodegroup(String),
    /// An add-on: `addon NAME`.
    Addon(String),
    /// An access entry: `access-entry PRINCIPAL-ARN`.
    AccessEntry(String),
    /// A pod identity association: `pod-identity NAMESPACE/SERVICE-ACCOUNT`.
    PodIdentity {
        /// The namespace of the service account.
        namespace: String,
        /// The service account.
        service_account: String,
    },
    /// A launch template: `launch-template NAME`.
    LaunchTemplate(String),
}

/// A text that names no part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no part of a cluster: write `KIND NAME`, such as `addon vpc-cni`")]
pub struct PartError {
    text: String,
}

impl FromStr for Part {
    type Err = PartError;
    fn from_str(text: &str) -> Result<Self, PartError> {
        let wrong = || PartError { text: text.to_owned() };
        if text == "cluster" {
            return Ok(Self::Cluster);
        }
        let (kind, name) = text.split_once(' ').filter(|(_, name)| !name.is_empty()).ok_or_else(wrong)?;
        match kind {
            "nodegroup" => Ok(Self::Nodegroup(name.to_owned())),
            "addon" => Ok(Self::Addon(name.to_owned())),
            "access-entry" => Ok(Self::AccessEntry(name.to_owned())),
            "pod-identity" => {
                let (namespace, service_account) = name.split_once('/').ok_or_else(wrong)?;
                Ok(Self::PodIdentity {
                    namespace: namespace.to_owned(),
                    service_account: service_account.to_owned(),
                })
            }
            "launch-template" => Ok(Self::LaunchTemplate(name.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Nodegroup(name) => write!(f, "nodegroup {name}"),
            Self::Addon(name) => write!(f, "addon {name}"),
            Self::AccessEntry(principal) => write!(f, "access-entry {principal}"),
            Self::PodIdentity { namespace, service_account } => {
                write!(f, "pod-identity {namespace}/{service_account}")
            }
            Self::LaunchTemplate(name) => write!(f, "launch-template {name}"),
        }
    }
}

impl EksObservation {
    /// The fingerprint of a part as it was seen: the one function for whoever plans a step and whoever carries
    /// it out.
    ///
    /// Health is left out, because EKS words it anew while nothing that a step depends on has changed.
    pub fn part_fingerprint(&self, part: &Part) -> Seen<String> {
        match part {
            Part::Cluster => match &self.cluster {
                Seen::Present(cluster) => hashed(&EksCluster { health: Vec::new(), ..cluster.clone() }),
                Seen::Absent => Seen::Absent,
                Seen::Unknown { why } => Seen::Unknown { why: why.clone() },
            },
            Part::Nodegroup(name) => found(
                &self.nodegroups,
                |group| group.name == *name,
                |group| hashed(&EksNodegroup { health: Vec::new(), ..group.clone() }),
            ),
            Part::Addon(name) => found(
                &self.addons,
                |addon| addon.name == *name,
                |addon| hashed(&EksAddon { health: Vec::new(), ..addon.clone() }),
            ),
            Part::AccessEntry(principal) => {
                found(&self.access_entries, |entry| entry.principal_arn == *principal, hashed)
            }
            Part::PodIdentity { namespace, service_account } => found(
                &self.pod_identities,
                |identity| identity.namespace == *namespace && identity.service_account == *service_account,
                hashed,
            ),
            Part::LaunchTemplate(name) => {
                found(&self.launch_templates, |template| template.name == *name, hashed)
            }
        }
    }
}

/// Looks for one part in a list that was read, or not.
fn found<T>(
    list: &Seen<Vec<T>>,
    is_it: impl Fn(&T) -> bool,
    fingerprint: impl Fn(&T) -> Seen<String>,
) -> Seen<String> {
    match list {
        Seen::Present(items) => items.iter().find(|item| is_it(item)).map_or(Seen::Absent, fingerprint),
        Seen::Absent => Seen::Absent,
        Seen::Unknown { why } => Seen::Unknown { why: why.clone() },
    }
}

fn hashed<T: Serialize>(part: &T) -> Seen<String> {
    match content_hash(part) {
        Ok(hash) => Seen::Present(hash),
        Err(_) => Seen::Unknown { why: "the observed part has no JSON form".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::eks::{HealthIssue, PartStatus};

    fn addon(version: &str, health: Vec<HealthIssue>) -> EksAddon {
        EksAddon {
            name: "vpc-cni".to_owned(),
            status: PartStatus::Active,
            version: version.to_owned(),
            configuration: None,
            role_arn: None,
            tags: BTreeMap::new(),
            health,
        }
    }

    fn seen(addons: Seen<Vec<EksAddon>>) -> Seen<String> {
        let observation =
            EksObservation { addons, ..EksObservation::nothing_seen(jiff::Timestamp::UNIX_EPOCH) };
        observation.part_fingerprint(&Part::Addon("vpc-cni".to_owned()))
    }

    #[test]
    fn a_part_is_written_and_read_back() {
        for text in [
            "cluster",
            "nodegroup workers",
            "addon vpc-cni",
            "access-entry arn:aws:iam::111122223333:role/a",
            "pod-identity kube-system/ebs-csi",
            "launch-template acme-workers",
        ] {
            assert_eq!(text.parse::<Part>().unwrap().to_string(), text);
        }
        for text in ["", "addon", "addon ", "pod-identity x", "volume v"] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_fingerprint_follows_what_a_step_depends_on_and_nothing_else() {
        let plain = seen(Seen::Present(vec![addon("v1", vec![])]));
        let issue =
            HealthIssue { code: "Degraded".to_owned(), message: "m".to_owned(), resource_ids: vec![] };
        assert_eq!(plain, seen(Seen::Present(vec![addon("v1", vec![issue])])));
        assert_ne!(plain, seen(Seen::Present(vec![addon("v2", vec![])])));
    }

    #[test]
    fn what_was_not_read_is_never_absent() {
        assert_eq!(seen(Seen::Present(vec![])), Seen::Absent);
        assert!(matches!(seen(Seen::not_looked_at()), Seen::Unknown { .. }));
    }
}
