//! The IAM documents of the manager's role, from the list of operations: no right that no call needs.
//!
//! What the manager may change is what carries fleet's ownership tag, and what it makes has to carry the tag from
//! its first moment. `ACCOUNT_ID`, the names of roles, `CONTROLLER_ARN` and `EXTERNAL_ID` are to be replaced.
//! The condition keys are those of the service authorization reference; no live account has judged them.

use fleet_api::labels;
use serde_json::{Value, json};

use crate::operations::{Effect, OPERATIONS, Service};

/// The path of the policy in the repository.
pub const MANAGER_POLICY_FILE: &str = "deploy/aws/fleet-manager-policy.json";
/// The path of the trust policy in the repository.
pub const TRUST_POLICY_FILE: &str = "deploy/aws/trust-policy.json";

/// What the manager's role may do.
pub fn manager_policy() -> Value {
    let tagged = |kind: &str| json!({"Null": {format!("aws:{kind}/{}", labels::TAG_OWNER): "false"}});
    let roles =
        ["eks-cluster", "eks-node", "eks-pod"].map(|role| format!("arn:aws:iam::ACCOUNT_ID:role/{role}"));
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Look",
                "Effect": "Allow",
                "Action": actions(|_, effect| effect == Effect::Reads),
                "Resource": "*",
            },
            {
                "Sid": "MakeWithOwnershipTag",
                "Effect": "Allow",
                "Action": with(
                    actions(|service, effect| service == Service::Eks && effect == Effect::Makes),
                    &["eks:TagResource"],
                ),
                "Resource": "*",
                "Condition": tagged("RequestTag"),
            },
            {
                "Sid": "ChangeWhatCarriesTheOwnershipTag",
                "Effect": "Allow",
                "Action": actions(|service, effect| service == Service::Eks && effect == Effect::Changes),
                "Resource": "*",
                "Condition": tagged("ResourceTag"),
            },
            {
                "Sid": "MakeLaunchTemplates",
                "Effect": "Allow",
                "Action": actions(|service, effect| service == Service::Ec2 && effect == Effect::Makes),
                "Resource": "arn:aws:ec2:*:ACCOUNT_ID:launch-template/*",
                "Condition": tagged("RequestTag"),
            },
            {
                "Sid": "TagWhatIsMade",
                "Effect": "Allow",
                "Action": ["ec2:CreateTags"],
                "Resource": "arn:aws:ec2:*:ACCOUNT_ID:*/*",
                "Condition": {"StringEquals": {"ec2:CreateAction": ["CreateLaunchTemplate", "RunInstances"]}},
            },
            {
                "Sid": "ChangeLaunchTemplates",
                "Effect": "Allow",
                "Action": actions(|service, effect| service == Service::Ec2 && effect == Effect::Changes),
                "Resource": "arn:aws:ec2:*:ACCOUNT_ID:launch-template/*",
                "Condition": tagged("ResourceTag"),
            },
            {
                // EKS checks that whoever makes a node group could start its machines from the template.
                "Sid": "StartNodesFromLaunchTemplates",
                "Effect": "Allow",
                "Action": ["ec2:RunInstances"],
                "Resource": "*",
                "Condition": {
                    "ArnLike": {"ec2:LaunchTemplate": "arn:aws:ec2:*:ACCOUNT_ID:launch-template/*"}
                },
            },
            {
                "Sid": "LookAtRoles",
                "Effect": "Allow",
                "Action": ["iam:GetRole", "iam:ListAttachedRolePolicies"],
                "Resource": roles,
            },
            {
                "Sid": "PassRolesToEks",
                "Effect": "Allow",
                "Action": ["iam:PassRole"],
                "Resource": roles,
                "Condition": {"StringEquals": {"iam:PassedToService": [
                    "eks.amazonaws.com",
                    "ec2.amazonaws.com",
                    "pods.eks.amazonaws.com",
                ]}},
            },
            {
                "Sid": "LetEksMakeItsServiceRoles",
                "Effect": "Allow",
                "Action": ["iam:CreateServiceLinkedRole"],
                "Resource": "arn:aws:iam::ACCOUNT_ID:role/aws-service-role/*",
                "Condition": {"StringEquals": {"iam:AWSServiceName": [
                    "eks.amazonaws.com",
                    "eks-nodegroup.amazonaws.com",
                ]}},
            },
            {
                "Sid": "LookAtKeys",
                "Effect": "Allow",
                "Action": ["kms:DescribeKey"],
                "Resource": "arn:aws:kms:*:ACCOUNT_ID:key/*",
            },
            {
                "Sid": "LetEksUseKeys",
                "Effect": "Allow",
                "Action": ["kms:CreateGrant"],
                "Resource": "arn:aws:kms:*:ACCOUNT_ID:key/*",
                "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
            },
        ],
    })
}

/// Who may assume the manager's role: the controller alone, with the external id of the class.
pub fn trust_policy() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "Controller",
            "Effect": "Allow",
            "Principal": {"AWS": "CONTROLLER_ARN"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"sts:ExternalId": "EXTERNAL_ID"},
                "StringLike": {"sts:RoleSessionName": "fleet-*"},
            },
        }],
    })
}

/// Both documents as the repository has them: path and text.
pub fn documents() -> Result<[(&'static str, String); 2], serde_json::Error> {
    let text = |value: &Value| serde_json::to_string_pretty(value).map(|text| text + "\n");
    Ok([(MANAGER_POLICY_FILE, text(&manager_policy())?), (TRUST_POLICY_FILE, text(&trust_policy())?)])
}

fn actions(wanted: impl Fn(Service, Effect) -> bool) -> Vec<String> {
    OPERATIONS
        .iter()
        .filter(|operation| wanted(operation.service, operation.effect))
        .map(|operation| format!("{}:{}", operation.service.iam_prefix(), operation.name))
        .collect()
}

fn with(mut actions: Vec<String>, more: &[&str]) -> Vec<String> {
    actions.extend(more.iter().map(|action| (*action).to_owned()));
    actions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every action of the policy, and the actions that no operation of ours stands for.
    fn allowed() -> Vec<String> {
        let policy = manager_policy();
        let statements = policy["Statement"].as_array().unwrap();
        statements
            .iter()
            .flat_map(|statement| statement["Action"].as_array().unwrap())
            .map(|action| action.as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_operation_is_allowed_and_nothing_by_wildcard() {
        let allowed = allowed();
        for action in actions(|_, _| true) {
            assert!(allowed.contains(&action), "{action}");
        }
        assert!(allowed.iter().all(|action| !action.contains('*')), "{allowed:?}");
    }

    #[test]
    fn what_is_allowed_beyond_the_operations_is_what_eks_checks_of_its_caller() {
        let ours = actions(|_, _| true);
        let beyond: Vec<String> = allowed().into_iter().filter(|action| !ours.contains(action)).collect();
        assert_eq!(
            beyond,
            [
                "ec2:CreateTags",
                "ec2:RunInstances",
                "iam:GetRole",
                "iam:ListAttachedRolePolicies",
                "iam:PassRole",
                "iam:CreateServiceLinkedRole",
                "kms:DescribeKey",
                "kms:CreateGrant",
            ]
        );
    }
}
