//! From steps to requests of the SDK: pure, one function for each action that takes more than a name.

mod cluster;
mod nodegroup;
mod parts;

pub(crate) use cluster::{create_cluster, update_config};
pub(crate) use nodegroup::{create_nodegroup, update_nodegroup_config, update_nodegroup_version};
pub(crate) use parts::{access_scope, create_access_entry, create_addon, create_pod_identity, update_addon};

#[cfg(test)]
mod test_support {
    use std::collections::BTreeSet;

    use aws_sdk_eks::{Client, config::BehaviorVersion};

    pub(super) fn eks() -> Client {
        Client::from_conf(aws_sdk_eks::Config::builder().behavior_version(BehaviorVersion::latest()).build())
    }

    pub(super) fn words(items: &[&str]) -> BTreeSet<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }
}
