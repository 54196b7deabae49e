"""What is asked, in order. Each step is one call; `both` says that moto is asked the same."""

CLUSTER_ROLE = "arn:aws:iam::111122223333:role/eks-cluster"
NODE_ROLE = "arn:aws:iam::111122223333:role/eks-node"
POD_ROLE = "arn:aws:iam::111122223333:role/eks-pod"
TENANT = "arn:aws:iam::111122223333:role/globex-web-admin"
SUBNETS = ["subnet-0aa000000000000a1", "subnet-0bb000000000000b1"]
GROUP = "sg-0aa00000000000001"
KEY = "arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001"
POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"

# What the scenario needs of moto, which the emulator does not lack: moto has no route for these operations.
EMULATOR_ONLY = {
    "AssociateAccessPolicy", "CancelUpdate", "CreateAccessEntry", "CreateAddon", "CreatePodIdentityAssociation",
    "DeleteAccessEntry", "DeleteAddon", "DeletePodIdentityAssociation", "DescribeAccessEntry", "DescribeAddon",
    "DescribeAddonConfiguration", "DescribeAddonVersions", "DescribeClusterVersions", "DescribeInsight",
    "DescribeInsightsRefresh", "DescribePodIdentityAssociation", "DescribeUpdate", "DisassociateAccessPolicy",
    "ListAccessEntries", "ListAccessPolicies", "ListAddons", "ListAssociatedAccessPolicies", "ListInsights",
    "ListPodIdentityAssociations", "ListUpdates", "StartInsightsRefresh", "UpdateAccessEntry", "UpdateAddon",
    "UpdateClusterVersion", "UpdateNodegroupVersion", "UpdatePodIdentityAssociation",
}


def steps(call):
    """Runs everything with `call(step, service, operation, both=False, **parameters) -> answer or None`."""

    def eks(step, operation, **parameters):
        return call(step, "eks", operation, both=operation not in EMULATOR_ONLY, **parameters)

    def emulator(step, operation, **parameters):
        return call(step, "eks", operation, both=False, **parameters)

    network = {"subnetIds": SUBNETS, "securityGroupIds": [GROUP], "endpointPrivateAccess": True}
    cluster = {
        "roleArn": CLUSTER_ROLE,
        "resourcesVpcConfig": network,
        "version": "1.35",
        "tags": {"owner": "conformance"},
        "encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": KEY}}],
        "logging": {"clusterLogging": [{"types": ["api", "audit"], "enabled": True}]},
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
        "kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.200.0.0/16"},
        "bootstrapSelfManagedAddons": False,
        "upgradePolicy": {"supportType": "STANDARD"},
    }

    # Clusters.
    eks("describe a cluster that is not there", "DescribeCluster", name="nobody")
    eks("list no clusters", "ListClusters")
    eks("create", "CreateCluster", name="one", clientRequestToken="token-one", **cluster)
    eks("create the same name", "CreateCluster", name="one", **cluster)
    eks("create the same name with the same token", "CreateCluster", name="one", clientRequestToken="token-one", **cluster)
    eks("create a version that is not there", "CreateCluster", name="bad", **{**cluster, "version": "9.99"})
    eks("create with one subnet", "CreateCluster", name="bad",
        **{**cluster, "resourcesVpcConfig": {"subnetIds": SUBNETS[:1]}})
    eks("create with unknown subnets", "CreateCluster", name="bad",
        **{**cluster, "resourcesVpcConfig": {"subnetIds": ["subnet-1", "subnet-2"]}})
    eks("create with a bad name", "CreateCluster", name="not.a.name", **cluster)
    eks("create with a role that is not there", "CreateCluster", name="bad",
        **{**cluster, "roleArn": "arn:aws:iam::111122223333:role/nobody"})
    eks("describe", "DescribeCluster", name="one")
    eks("create another", "CreateCluster", name="two", **cluster)
    page = eks("list the first page", "ListClusters", maxResults=1)
    if page and page.get("nextToken"):
        eks("list the second page", "ListClusters", maxResults=1, nextToken=page["nextToken"])
    eks("delete another", "DeleteCluster", name="two")
    eks("delete what is not there", "DeleteCluster", name="nobody")

    # Configuration: one kind, and never none.
    eks("enable deletion protection", "UpdateClusterConfig", name="one", deletionProtection=True)
    eks("enable it again", "UpdateClusterConfig", name="one", deletionProtection=True)
    emulator("delete a protected cluster", "DeleteCluster", name="one")
    eks("disable deletion protection", "UpdateClusterConfig", name="one", deletionProtection=False)
    eks("change the endpoint", "UpdateClusterConfig", name="one",
        resourcesVpcConfig={"endpointPublicAccess": True, "publicAccessCidrs": ["203.0.113.0/24"]})
    eks("change logs", "UpdateClusterConfig", name="one",
        logging={"clusterLogging": [{"types": ["scheduler"], "enabled": True}]})
    emulator("change the subnets", "UpdateClusterConfig", name="one",
             resourcesVpcConfig={"subnetIds": [*SUBNETS, "subnet-0cc000000000000c1"], "securityGroupIds": [GROUP]})
    emulator("change two kinds", "UpdateClusterConfig", name="one", deletionProtection=True,
             upgradePolicy={"supportType": "EXTENDED"})
    emulator("change the support type", "UpdateClusterConfig", name="one", upgradePolicy={"supportType": "EXTENDED"})
    emulator("change the tier", "UpdateClusterConfig", name="one", controlPlaneScalingConfig={"tier": "tier-xl"})
    emulator("switch Auto Mode on", "UpdateClusterConfig", name="one",
             computeConfig={"enabled": True, "nodePools": ["system"], "nodeRoleArn": NODE_ROLE},
             storageConfig={"blockStorage": {"enabled": True}},
             kubernetesNetworkConfig={"elasticLoadBalancing": {"enabled": True}})
    emulator("describe with Auto Mode", "DescribeCluster", name="one")
    emulator("switch Auto Mode off", "UpdateClusterConfig", name="one",
             computeConfig={"enabled": False}, storageConfig={"blockStorage": {"enabled": False}},
             kubernetesNetworkConfig={"elasticLoadBalancing": {"enabled": False}})

    # Access.
    eks("create an access entry", "CreateAccessEntry", clusterName="one", principalArn=TENANT,
        kubernetesGroups=["web"], tags={"owner": "conformance"})
    eks("create the entry again", "CreateAccessEntry", clusterName="one", principalArn=TENANT)
    eks("describe it", "DescribeAccessEntry", clusterName="one", principalArn=TENANT)
    eks("change it", "UpdateAccessEntry", clusterName="one", principalArn=TENANT, kubernetesGroups=["web", "more"])
    eks("list entries", "ListAccessEntries", clusterName="one")
    eks("list policies", "ListAccessPolicies", maxResults=2)
    eks("associate a policy", "AssociateAccessPolicy", clusterName="one", principalArn=TENANT, policyArn=POLICY,
        accessScope={"type": "namespace", "namespaces": ["web"]})
    eks("associate no policy", "AssociateAccessPolicy", clusterName="one", principalArn=TENANT, policyArn="arn:x",
        accessScope={"type": "cluster"})
    eks("list its policies", "ListAssociatedAccessPolicies", clusterName="one", principalArn=TENANT)
    eks("take the policy away", "DisassociateAccessPolicy", clusterName="one", principalArn=TENANT, policyArn=POLICY)
    eks("delete the entry", "DeleteAccessEntry", clusterName="one", principalArn=TENANT)
    eks("delete the entry again", "DeleteAccessEntry", clusterName="one", principalArn=TENANT)

    # Pod identity.
    made = eks("associate a pod identity", "CreatePodIdentityAssociation", clusterName="one", namespace="web",
               serviceAccount="app", roleArn=POD_ROLE, tags={"owner": "conformance"})
    eks("associate it again", "CreatePodIdentityAssociation", clusterName="one", namespace="web",
        serviceAccount="app", roleArn=POD_ROLE)
    if made:
        association = made["association"]["associationId"]
        eks("describe the association", "DescribePodIdentityAssociation", clusterName="one", associationId=association)
        eks("change the association", "UpdatePodIdentityAssociation", clusterName="one", associationId=association,
            targetRoleArn="arn:aws:iam::444455556666:role/other", disableSessionTags=True)
        eks("list associations", "ListPodIdentityAssociations", clusterName="one", namespace="web")
        eks("delete the association", "DeletePodIdentityAssociation", clusterName="one", associationId=association)

    # Add-ons.
    eks("offered versions", "DescribeAddonVersions", kubernetesVersion="1.35")
    eks("offered configuration", "DescribeAddonConfiguration", addonName="vpc-cni", addonVersion="v1.20.4-eksbuild.2")
    eks("create an add-on", "CreateAddon", clusterName="one", addonName="coredns", tags={"owner": "conformance"},
        configurationValues='{"replicaCount": 2}')
    eks("create it with wrong settings", "CreateAddon", clusterName="one", addonName="kube-proxy",
        configurationValues='{"colour": 2}')
    eks("create one with an identity", "CreateAddon", clusterName="one", addonName="aws-ebs-csi-driver",
        podIdentityAssociations=[{"serviceAccount": "ebs-csi-controller-sa", "roleArn": POD_ROLE}])
    eks("describe the add-on without nodes", "DescribeAddon", clusterName="one", addonName="coredns")
    updated = eks("update the add-on", "UpdateAddon", clusterName="one", addonName="coredns",
                  addonVersion="v1.13.2-eksbuild.1", resolveConflicts="OVERWRITE")
    if updated:
        eks("describe its update", "DescribeUpdate", name="one", updateId=updated["update"]["id"], addonName="coredns")
    eks("list add-ons", "ListAddons", clusterName="one")

    # Node groups.
    nodes = {
        "clusterName": "one",
        "subnets": SUBNETS,
        "nodeRole": NODE_ROLE,
        "scalingConfig": {"minSize": 1, "maxSize": 3, "desiredSize": 2},
        "amiType": "BOTTLEROCKET_x86_64",
        "labels": {"pool": "workers"},
        "taints": [{"key": "dedicated", "value": "web", "effect": "NO_SCHEDULE"}],
        "updateConfig": {"maxUnavailablePercentage": 33},
        "tags": {"owner": "conformance"},
    }
    eks("create a node group", "CreateNodegroup", nodegroupName="workers", **nodes)
    eks("create the node group again", "CreateNodegroup", nodegroupName="workers", **nodes)
    emulator("create one ahead of its control plane", "CreateNodegroup", nodegroupName="ahead", version="1.36", **nodes)
    eks("create one in a cluster that is not there", "CreateNodegroup", nodegroupName="x",
        **{**nodes, "clusterName": "nobody"})
    eks("describe the node group", "DescribeNodegroup", clusterName="one", nodegroupName="workers")
    eks("describe no node group", "DescribeNodegroup", clusterName="one", nodegroupName="nobody")
    eks("list node groups", "ListNodegroups", clusterName="one")
    eks("list node groups of no cluster", "ListNodegroups", clusterName="nobody")
    eks("change the node group", "UpdateNodegroupConfig", clusterName="one", nodegroupName="workers",
        scalingConfig={"minSize": 2, "maxSize": 4, "desiredSize": 2},
        labels={"addOrUpdateLabels": {"tier": "web"}, "removeLabels": ["pool"]},
        taints={"removeTaints": [{"key": "dedicated", "value": "web", "effect": "NO_SCHEDULE"}]})
    emulator("describe the add-on with nodes", "DescribeAddon", clusterName="one", addonName="coredns")

    # Versions.
    eks("the calendar", "DescribeClusterVersions", includeAll=True)
    eks("one version", "DescribeClusterVersions", clusterVersions=["1.36"])
    eks("skip a minor", "UpdateClusterVersion", name="one", version="1.37")
    upgraded = eks("upgrade", "UpdateClusterVersion", name="one", version="1.36", clientRequestToken="up")
    if upgraded:
        eks("describe the upgrade", "DescribeUpdate", name="one", updateId=upgraded["update"]["id"])
        eks("cancel what cannot be cancelled", "CancelUpdate", name="one", updateId=upgraded["update"]["id"])
    eks("list updates", "ListUpdates", name="one", maxResults=2)
    eks("move the nodes", "UpdateNodegroupVersion", clusterName="one", nodegroupName="workers", version="1.36")
    eks("roll back under newer nodes", "UpdateClusterVersion", name="one", version="1.35")

    # Insights.
    insights = eks("list insights", "ListInsights", clusterName="one",
                   filter={"categories": ["UPGRADE_READINESS", "ROLLBACK_READINESS"]})
    if insights and insights["insights"]:
        eks("describe an insight", "DescribeInsight", clusterName="one", id=insights["insights"][0]["id"])
    eks("describe no refresh", "DescribeInsightsRefresh", clusterName="one")
    eks("refresh insights", "StartInsightsRefresh", clusterName="one")
    eks("describe the refresh", "DescribeInsightsRefresh", clusterName="one")

    # Tags.
    arn = "arn:aws:eks:eu-central-1:111122223333:cluster/one"
    eks("tag", "TagResource", resourceArn=arn, tags={"more": "x"})
    eks("list tags", "ListTagsForResource", resourceArn=arn)
    eks("untag", "UntagResource", resourceArn=arn, tagKeys=["more"])
    eks("tag what is not there", "TagResource", resourceArn=arn.replace("/one", "/nobody"), tags={"a": "b"})

    # What is around clusters.
    call("who am I", "sts", "GetCallerIdentity")
    call("is the role there", "iam", "GetRole", RoleName="eks-cluster")
    call("is the key there", "kms", "DescribeKey", KeyId=KEY)
    for operation in ("DescribeVpcs", "DescribeSubnets", "DescribeSecurityGroups", "DescribeVolumes",
                      "DescribeNetworkInterfaces", "DescribeInstances", "DescribeTags", "DescribeAvailabilityZones"):
        call(operation, "ec2", operation)
    made = call("create a launch template", "ec2", "CreateLaunchTemplate", LaunchTemplateName="workers",
                LaunchTemplateData={
                    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
                    "BlockDeviceMappings": [{"DeviceName": "/dev/xvdb", "Ebs": {"VolumeSize": 50, "Encrypted": True}}],
                    "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
                },
                TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "owner", "Value": "x"}]}])
    if made:
        template = made["LaunchTemplate"]["LaunchTemplateId"]
        call("a version of it", "ec2", "CreateLaunchTemplateVersion", LaunchTemplateId=template,
             LaunchTemplateData={"InstanceType": "m7i.large"})
        call("describe templates", "ec2", "DescribeLaunchTemplates",
             Filters=[{"Name": "tag:owner", "Values": ["x"]}])
        call("describe its versions", "ec2", "DescribeLaunchTemplateVersions", LaunchTemplateId=template,
             Versions=["$Latest"])
        emulator("use the template", "CreateNodegroup", nodegroupName="templated",
                 launchTemplate={"id": template, "version": "1"}, **nodes)
        emulator("describe what uses it", "DescribeNodegroup", clusterName="one", nodegroupName="templated")
        emulator("delete what uses it", "DeleteNodegroup", clusterName="one", nodegroupName="templated")
        call("delete the template", "ec2", "DeleteLaunchTemplate", LaunchTemplateId=template)
    call("what is tagged", "resourcegroupstaggingapi", "GetResources",
         TagFilters=[{"Key": "owner", "Values": ["conformance"]}])
    call("log groups", "logs", "DescribeLogGroups", logGroupNamePrefix="/aws/eks/one")

    # The end.
    eks("delete with a node group", "DeleteCluster", name="one")
    eks("delete the node group", "DeleteNodegroup", clusterName="one", nodegroupName="workers")
    eks("delete the add-on", "DeleteAddon", clusterName="one", addonName="coredns")
    eks("delete", "DeleteCluster", name="one")
    eks("describe what is gone", "DescribeCluster", name="one")
