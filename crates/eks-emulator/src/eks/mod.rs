//! The EKS service: its operations by path, each in the file of the thing that it is about.
//!
//! Every refusal names the source of its rule: *model* (the service model of the SDKs), *docs* (the AWS documentation),
//! *issue* (a public issue that quotes the live service), or *unverified* (our reading; nobody compared it with the
//! live service).

mod access;
pub(crate) mod access_policies;
mod addon_catalogue;
mod addon_versions;
mod addons;
pub(crate) mod catalogue;
mod cluster_config;
mod cluster_version;
mod clusters;
mod input;
pub(crate) mod insights;
mod network;
mod nodegroup_rules;
mod nodegroup_updates;
mod nodegroups;
mod pod_identity;
mod tags;
mod updates;
mod versions;

pub(crate) use input::Input;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    durations::{Durations, Work},
    error::ApiError,
    faults::{Effect, Struck},
    identity::Caller,
    model::{ClusterKey, ClusterRecord, ErrorDetail, Issue},
    seed::Seed,
    state::State,
};

/// The answer of an operation.
pub(crate) type Answer = Result<Value, ApiError>;

/// Everything that an operation may look at: nothing is read from anywhere else.
pub(crate) struct Call<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) seed: &'a Seed,
    pub(crate) durations: &'a Durations,
    /// The time of the emulator's world, by which things begin and end.
    pub(crate) now: Timestamp,
    /// The machine's time, by which callers sign and credentials end.
    pub(crate) machine_now: Timestamp,
    pub(crate) caller: &'a Caller,
    pub(crate) region: &'a str,
    pub(crate) ids: &'a mut dyn FnMut() -> Uuid,
    pub(crate) struck: &'a Struck,
}

impl Call<'_> {
    /// The key of a cluster of the caller's account and region.
    pub(crate) fn key(&self, name: &str) -> ClusterKey {
        ClusterKey {
            account: self.caller.account.clone(),
            region: self.region.to_owned(),
            name: name.to_owned(),
        }
    }

    /// A cluster by name.
    pub(crate) fn cluster(&self, name: &str) -> Result<&ClusterRecord, ApiError> {
        self.state.cluster(&self.key(name)).ok_or_else(|| no_cluster(name))
    }

    /// A cluster by name, to be changed. Only called when nothing can be refused any more.
    pub(crate) fn cluster_mut(&mut self, name: &str) -> Result<&mut ClusterRecord, ApiError> {
        let key = self.key(name);
        self.state.cluster_mut(&key).ok_or_else(|| no_cluster(name))
    }

    /// When work that begins now is over.
    pub(crate) fn due(&self, work: Work) -> Timestamp {
        self.after(self.durations.of(work))
    }

    /// A moment from now.
    pub(crate) fn after(&self, duration: SignedDuration) -> Timestamp {
        self.now.checked_add(duration).unwrap_or(Timestamp::MAX)
    }

    /// A new id.
    pub(crate) fn id(&mut self) -> Uuid {
        (self.ids)()
    }

    /// A new ARN part of EKS: two letters and a UUID's beginning keep it readable.
    pub(crate) fn arn(&self, path: &str) -> String {
        format!("arn:aws:eks:{}:{}:{path}", self.region, self.caller.account)
    }

    /// The error that a planned fault ends this update with.
    pub(crate) fn planned_update_error(&self) -> Option<ErrorDetail> {
        self.struck.effects().find_map(|effect| match effect {
            Effect::FailUpdate { error } => Some(error.clone()),
            _ => None,
        })
    }

    /// The issue that a planned fault ends this creation with.
    pub(crate) fn planned_create_issue(&self) -> Option<Issue> {
        self.struck.effects().find_map(|effect| match effect {
            Effect::FailCreate { issue } => Some(issue.clone()),
            _ => None,
        })
    }
}

/// Source: issue (the text is quoted in many).
pub(crate) fn no_cluster(name: &str) -> ApiError {
    ApiError::resource_not_found(format!("No cluster found for name: {name}.")).with("clusterName", name)
}

/// One operation: its name, method and path, and what it does.
pub(crate) struct Route {
    pub(crate) name: &'static str,
    method: Method,
    /// Segments; `*` is a parameter.
    path: &'static str,
    pub(crate) run: fn(&mut Call<'_>, &Input) -> Answer,
}

macro_rules! routes {
    ($($name:ident $method:ident $path:literal $run:path;)*) => {
        /// Source of names, methods and paths: model.
        const ROUTES: &[Route] =
            &[$(Route { name: stringify!($name), method: Method::$method, path: $path, run: $run }),*];
    };
}

routes! {
    CreateCluster POST "clusters" clusters::create;
    ListClusters GET "clusters" clusters::list;
    DescribeCluster GET "clusters/*" clusters::describe;
    DeleteCluster DELETE "clusters/*" clusters::delete;
    UpdateClusterConfig POST "clusters/*/update-config" cluster_config::update;
    UpdateClusterVersion POST "clusters/*/updates" cluster_version::update;
    ListUpdates GET "clusters/*/updates" updates::list;
    DescribeUpdate GET "clusters/*/updates/*" updates::describe;
    CreateAccessEntry POST "clusters/*/access-entries" access::create;
    ListAccessEntries GET "clusters/*/access-entries" access::list;
    DescribeAccessEntry GET "clusters/*/access-entries/*" access::describe;
    UpdateAccessEntry POST "clusters/*/access-entries/*" access::update;
    DeleteAccessEntry DELETE "clusters/*/access-entries/*" access::delete;
    AssociateAccessPolicy POST "clusters/*/access-entries/*/access-policies" access::associate;
    ListAssociatedAccessPolicies GET "clusters/*/access-entries/*/access-policies" access::list_associated;
    DisassociateAccessPolicy DELETE "clusters/*/access-entries/*/access-policies/*" access::disassociate;
    ListAccessPolicies GET "access-policies" access::list_policies;
    DescribeClusterVersions GET "cluster-versions" versions::describe;
    CreateNodegroup POST "clusters/*/node-groups" nodegroups::create;
    ListNodegroups GET "clusters/*/node-groups" nodegroups::list;
    DescribeNodegroup GET "clusters/*/node-groups/*" nodegroups::describe;
    DeleteNodegroup DELETE "clusters/*/node-groups/*" nodegroups::delete;
    UpdateNodegroupConfig POST "clusters/*/node-groups/*/update-config" nodegroup_updates::update_config;
    UpdateNodegroupVersion POST "clusters/*/node-groups/*/update-version" nodegroup_updates::update_version;
    CreateAddon POST "clusters/*/addons" addons::create;
    ListAddons GET "clusters/*/addons" addons::list;
    DescribeAddon GET "clusters/*/addons/*" addons::describe;
    UpdateAddon POST "clusters/*/addons/*/update" addons::update;
    DeleteAddon DELETE "clusters/*/addons/*" addons::delete;
    DescribeAddonVersions GET "addons/supported-versions" addon_versions::describe_versions;
    DescribeAddonConfiguration GET "addons/configuration-schemas" addon_versions::describe_configuration;
    CreatePodIdentityAssociation POST "clusters/*/pod-identity-associations" pod_identity::create;
    ListPodIdentityAssociations GET "clusters/*/pod-identity-associations" pod_identity::list;
    DescribePodIdentityAssociation GET "clusters/*/pod-identity-associations/*" pod_identity::describe;
    UpdatePodIdentityAssociation POST "clusters/*/pod-identity-associations/*" pod_identity::update;
    DeletePodIdentityAssociation DELETE "clusters/*/pod-identity-associations/*" pod_identity::delete;
    ListTagsForResource GET "tags/*" tags::list;
    TagResource POST "tags/*" tags::tag;
    UntagResource DELETE "tags/*" tags::untag;
    ListInsights POST "clusters/*/insights" insights::list;
    DescribeInsight GET "clusters/*/insights/*" insights::describe;
    StartInsightsRefresh POST "clusters/*/insights-refresh" insights::start_refresh;
    DescribeInsightsRefresh GET "clusters/*/insights-refresh" insights::describe_refresh;
    CancelUpdate POST "clusters/*/updates/*/cancel-update" updates::cancel;
}

/// The names of the operations of EKS that the emulator has.
pub fn operations() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.name)
}

/// Finds the operation of a method and a path, with the path's parameters decoded.
pub(crate) fn route(method: &Method, path: &str) -> Option<(&'static Route, Vec<String>)> {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    ROUTES.iter().filter(|route| route.method == method).find_map(|route| {
        let wanted: Vec<&str> = route.path.split('/').collect();
        if wanted.len() != segments.len() {
            return None;
        }
        let mut parameters = Vec::new();
        for (wanted, segment) in wanted.iter().zip(&segments) {
            match *wanted {
                "*" if segment.is_empty() => return None,
                "*" => parameters
                    .push(percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()),
                literal if literal == *segment => {}
                _ => return None,
            }
        }
        Some((route, parameters))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_operations_and_parameters() {
        let found =
            |method: Method, path| route(&method, path).map(|(route, parameters)| (route.name, parameters));
        assert_eq!(found(Method::POST, "/clusters"), Some(("CreateCluster", vec![])));
        assert_eq!(found(Method::GET, "/clusters/a"), Some(("DescribeCluster", vec!["a".to_owned()])));
        assert_eq!(found(Method::GET, "/clusters/"), None);
        assert_eq!(found(Method::GET, "/clusters/a/fargate-profiles"), None);
        assert_eq!(found(Method::PUT, "/clusters/a"), None);
        let arn = "arn%3Aaws%3Aeks%3Ar%3A1%3Acluster%2Fa";
        let decoded = "arn:aws:eks:r:1:cluster/a".to_owned();
        assert_eq!(found(Method::POST, &format!("/tags/{arn}")), Some(("TagResource", vec![decoded])));
    }
}
