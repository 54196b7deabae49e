//! Which minors a cloud offers in a region, and until when it supports them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::eks::EksVersionOffer;

/// Which minors EKS offers in a region, and until when it supports them: as `DescribeClusterVersions` last said. The
/// controller reads it anew every few hours; people read it here. Its name is the region's.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "VersionCalendar",
    shortname = "vcal",
    category = "fleet",
    derive = "PartialEq",
    doc = "Which minors EKS offers in a region, and until when it supports them: made by the controller.",
    printcolumn(name = "Newest", type_ = "string", json_path = ".spec.versions[-1:].version"),
    printcolumn(name = "Read", type_ = "date", json_path = ".spec.readAt")
)]
pub struct VersionCalendarSpec {
    /// When it was read.
    pub read_at: Time,
    /// The account by which it was read. Every account of a region is told the same.
    pub account: String,
    /// The minors, oldest first, those that are no longer supported among them.
    #[schemars(length(max = 64))]
    pub versions: Vec<EksVersionOffer>,
}
