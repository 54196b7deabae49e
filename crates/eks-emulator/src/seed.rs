//! What exists before anybody calls: accounts, principals, networks, keys. Configuration, not state.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The accounts that the emulator knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seed {
    /// The accounts by their number.
    pub accounts: BTreeMap<String, Account>,
}

/// One AWS account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Account {
    /// IAM users by name.
    pub users: BTreeMap<String, User>,
    /// IAM roles by name.
    pub roles: BTreeMap<String, Role>,
    /// Networks by region.
    pub regions: BTreeMap<String, Region>,
}

/// An IAM user with one long-lived key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// The access key's id.
    pub access_key_id: String,
    /// The access key's secret.
    pub secret_access_key: String,
    /// What IAM allows: `service:Operation` with `*` at the end.
    pub allow: BTreeSet<String>,
}

/// An IAM role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    /// The services that may assume it, such as `eks.amazonaws.com`.
    #[serde(default)]
    pub trusted_services: BTreeSet<String>,
    /// The principals that may assume it, by ARN.
    #[serde(default)]
    pub trusted_principals: BTreeSet<String>,
    /// Whether and which external id is demanded.
    #[serde(default)]
    pub external_id: ExternalId,
    /// What IAM allows: `service:Operation` with `*` at the end.
    #[serde(default)]
    pub allow: BTreeSet<String>,
}

/// What a role's trust policy says about `sts:ExternalId`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExternalId {
    /// Nothing.
    #[default]
    Ignored,
    /// One must be there (`Null: false`).
    Demanded,
    /// One of these must be there (`StringEquals`).
    OneOf(BTreeSet<String>),
}

/// What an account has in one region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Region {
    /// Networks by id, with their CIDR.
    pub vpcs: BTreeMap<String, Vpc>,
    /// KMS keys by id.
    pub keys: BTreeMap<String, Key>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vpc {
    /// The range.
    pub cidr: String,
    /// Subnets by id.
    #[serde(default)]
    pub subnets: BTreeMap<String, Subnet>,
    /// Security groups by id, with their names.
    #[serde(default)]
    pub security_groups: BTreeMap<String, String>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subnet {
    /// The availability zone, such as `eu-central-1a`.
    pub zone: String,
    /// The range.
    pub cidr: String,
    /// How many addresses are free.
    pub free_addresses: u32,
}

/// A KMS key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// `Enabled`, `Disabled` or `PendingDeletion`.
    pub state: String,
}

/// A principal that the seed knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal<'s> {
    /// A user.
    User(&'s User),
    /// A role.
    Role(&'s Role),
}

impl Seed {
    /// The seed of the sandbox, the demo and the tests: a management account and two accounts of tenants.
    ///
    /// # Errors
    /// Never in a program whose tests passed: the text is part of it.
    pub fn builtin() -> Result<Self, serde_json::Error> {
        serde_json::from_str(include_str!("../seed/default.json"))
    }

    /// The principal of an IAM ARN (`arn:aws:iam::ACCOUNT:role/NAME` or `...:user/NAME`).
    pub fn principal(&self, arn: &str) -> Option<Principal<'_>> {
        let rest = arn.strip_prefix("arn:aws:iam::")?;
        let (account, resource) = rest.split_once(':')?;
        let account = self.accounts.get(account)?;
        match resource.split_once('/')? {
            ("role", name) => account.roles.get(name).map(Principal::Role),
            ("user", name) => account.users.get(name).map(Principal::User),
            _ => None,
        }
    }

    /// The role of an ARN.
    pub fn role(&self, arn: &str) -> Option<&Role> {
        match self.principal(arn)? {
            Principal::Role(role) => Some(role),
            Principal::User(_) => None,
        }
    }

    /// The user with an access key: account, name, user.
    pub fn user_of_key(&self, access_key_id: &str) -> Option<(&str, &str, &User)> {
        self.accounts.iter().find_map(|(number, account)| {
            let (name, user) = account.users.iter().find(|(_, user)| user.access_key_id == access_key_id)?;
            Some((number.as_str(), name.as_str(), user))
        })
    }

    /// What an account has in a region; empty when it has nothing there.
    pub fn region(&self, account: &str, region: &str) -> Option<&Region> {
        self.accounts.get(account)?.regions.get(region)
    }
}

impl Region {
    /// A subnet with the id of its network.
    pub fn subnet(&self, id: &str) -> Option<(&str, &Subnet)> {
        self.vpcs.iter().find_map(|(vpc, network)| Some((vpc.as_str(), network.subnets.get(id)?)))
    }

    /// The network of a security group.
    pub fn vpc_of_security_group(&self, id: &str) -> Option<&str> {
        self.vpcs
            .iter()
            .find_map(|(vpc, network)| network.security_groups.contains_key(id).then_some(vpc.as_str()))
    }
}

/// Whether IAM allows an action: `service:Operation` against patterns with `*` at the end.
pub(crate) fn allows(allow: &BTreeSet<String>, action: &str) -> bool {
    allow.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => action.starts_with(start),
        None => pattern == action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_seed_is_read_and_its_trust_points_at_principals_that_exist() {
        let seed = Seed::builtin().unwrap();
        for (number, account) in &seed.accounts {
            for (name, role) in &account.roles {
                for principal in &role.trusted_principals {
                    assert!(seed.principal(principal).is_some(), "{number} {name} trusts {principal}");
                }
            }
        }
        assert!(seed.role("arn:aws:iam::444455556666:role/acme-payments-admin").is_some());
        assert!(seed.role("arn:aws:iam::999988887777:user/operator").is_none());
        let (account, name, _) = seed.user_of_key("AKIAFLEETCONTROLLER0").unwrap();
        assert_eq!((account, name), ("999988887777", "fleet-controller"));
    }

    #[test]
    fn a_star_at_the_end_of_an_action_allows_what_begins_so() {
        let allow = BTreeSet::from(["eks:*".to_owned(), "sts:AssumeRole".to_owned()]);
        assert!(allows(&allow, "eks:CreateCluster"));
        assert!(allows(&allow, "sts:AssumeRole"));
        assert!(!allows(&allow, "sts:AssumeRoleWithSAML"));
        assert!(!allows(&allow, "ec2:DescribeSubnets"));
    }
}
