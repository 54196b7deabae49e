//! Every call that this crate makes, in one list: the IAM policy of the manager's role follows from it.

/// A service of AWS, as its endpoints, signatures and IAM actions name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// EKS.
    Eks,
    /// EC2.
    Ec2,
    /// STS.
    Sts,
    /// The Resource Groups Tagging API.
    Tagging,
    /// CloudWatch Logs.
    Logs,
}

impl Service {
    /// The first label of the service's hosts.
    pub const fn endpoint_prefix(self) -> &'static str {
        match self {
            Self::Eks => "eks",
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
            Self::Tagging => "tagging",
            Self::Logs => "logs",
        }
    }

    /// The service in the credential scope of a signature.
    pub const fn signing_name(self) -> &'static str {
        self.endpoint_prefix()
    }

    /// The service in IAM actions.
    pub const fn iam_prefix(self) -> &'static str {
        match self {
            Self::Tagging => "tag",
            other => other.endpoint_prefix(),
        }
    }
}

/// What a call does to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It reads.
    Reads,
    /// It makes something that carries our ownership tag from its first moment.
    Makes,
    /// It changes or deletes something that carries our ownership tag.
    Changes,
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation {
    /// The service.
    pub service: Service,
    /// The name, as the service's API has it.
    pub name: &'static str,
    /// What it does.
    pub effect: Effect,
}

const fn reads(service: Service, name: &'static str) -> Operation {
    Operation { service, name, effect: Effect::Reads }
}

const fn makes(service: Service, name: &'static str) -> Operation {
    Operation { service, name, effect: Effect::Makes }
}

const fn changes(service: Service, name: &'static str) -> Operation {
    Operation { service, name, effect: Effect::Changes }
}

/// Every operation that is called with the manager's role.
pub const OPERATIONS: &[Operation] = &[
    reads(Service::Eks, "DescribeCluster"),
    reads(Service::Eks, "DescribeClusterVersions"),
    reads(Service::Eks, "ListUpdates"),
    reads(Service::Eks, "DescribeUpdate"),
    reads(Service::Eks, "ListNodegroups"),
    reads(Service::Eks, "DescribeNodegroup"),
    reads(Service::Eks, "ListAddons"),
    reads(Service::Eks, "DescribeAddon"),
    reads(Service::Eks, "DescribeAddonVersions"),
    reads(Service::Eks, "ListAccessEntries"),
    reads(Service::Eks, "DescribeAccessEntry"),
    reads(Service::Eks, "ListAssociatedAccessPolicies"),
    reads(Service::Eks, "ListPodIdentityAssociations"),
    reads(Service::Eks, "DescribePodIdentityAssociation"),
    reads(Service::Eks, "ListInsights"),
    reads(Service::Eks, "DescribeInsight"),
    makes(Service::Eks, "CreateCluster"),
    changes(Service::Eks, "UpdateClusterConfig"),
    changes(Service::Eks, "UpdateClusterVersion"),
    changes(Service::Eks, "StartInsightsRefresh"),
    changes(Service::Eks, "DeleteCluster"),
    changes(Service::Eks, "CreateNodegroup"),
    changes(Service::Eks, "UpdateNodegroupConfig"),
    changes(Service::Eks, "UpdateNodegroupVersion"),
    changes(Service::Eks, "DeleteNodegroup"),
    changes(Service::Eks, "CreateAddon"),
    changes(Service::Eks, "UpdateAddon"),
    changes(Service::Eks, "DeleteAddon"),
    changes(Service::Eks, "CreateAccessEntry"),
    changes(Service::Eks, "UpdateAccessEntry"),
    changes(Service::Eks, "AssociateAccessPolicy"),
    changes(Service::Eks, "DisassociateAccessPolicy"),
    changes(Service::Eks, "DeleteAccessEntry"),
    changes(Service::Eks, "CreatePodIdentityAssociation"),
    changes(Service::Eks, "UpdatePodIdentityAssociation"),
    changes(Service::Eks, "DeletePodIdentityAssociation"),
    changes(Service::Eks, "TagResource"),
    reads(Service::Ec2, "DescribeSubnets"),
    reads(Service::Ec2, "DescribeLaunchTemplates"),
    reads(Service::Ec2, "DescribeLaunchTemplateVersions"),
    makes(Service::Ec2, "CreateLaunchTemplate"),
    changes(Service::Ec2, "CreateLaunchTemplateVersion"),
    changes(Service::Ec2, "DeleteLaunchTemplate"),
    // What the sweep after a deletion reads.
    reads(Service::Ec2, "DescribeInstances"),
    reads(Service::Ec2, "DescribeVolumes"),
    reads(Service::Ec2, "DescribeNetworkInterfaces"),
    reads(Service::Ec2, "DescribeSecurityGroups"),
    reads(Service::Tagging, "GetResources"),
    reads(Service::Logs, "DescribeLogGroups"),
];
