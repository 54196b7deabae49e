//! Names: parsed once, and derived in one place.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The longest tenant name. A Kubernetes label value holds 63 bytes, and derived names need room behind it.
pub const TENANT_NAME_MAX: usize = 50;

/// A text that cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is no name.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than the limit.
    #[error("`{name}` has {length} characters; a tenant's name has at most {TENANT_NAME_MAX}")]
    TooLong {
        /// The text.
        name: String,
        /// Its length.
        length: usize,
    },
    /// A character, or a place of one, that no DNS label has.
    #[error("`{name}` is not a DNS label: use lower-case letters, digits and `-`, and begin with a letter")]
    NotADnsLabel {
        /// The text.
        name: String,
    },
}

/// The name of a tenant: a DNS label of at most [`TENANT_NAME_MAX`] characters that begins with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(String);

impl TenantName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        let length = name.chars().count();
        if length > TENANT_NAME_MAX {
            return Err(NameError::TooLong { name: name.to_owned(), length });
        }
        let label = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !label || !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.ends_with('-') {
            return Err(NameError::NotADnsLabel { name: name.to_owned() });
        }
        Ok(Self(name.to_owned()))
    }
}

impl TryFrom<String> for TenantName {
    type Error = NameError;
    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl From<TenantName> for String {
    fn from(name: TenantName) -> Self {
        name.0
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a cluster in the cloud, derived from the tenant's name and UID.
///
/// The UID's hash keeps a tenant that is deleted and made again from meeting its own ghost, and two tenants
/// whose names begin alike from sharing a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterName(String);

impl ClusterName {
    /// `TENANT-HASH`, at most 59 characters; always the same for the same tenant and UID.
    pub fn derive(tenant: &TenantName, tenant_uid: &str) -> Self {
        let hash = hex::encode(Sha256::digest(tenant_uid.as_bytes()));
        let short = hash.get(..8).unwrap_or_default();
        Self(format!("{tenant}-{short}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The idempotency token of one cloud call: the same for the same owner, step and request.
///
/// A controller that died between a call and the note of it sends the same token again, and the cloud answers
/// as it did the first time (EKS API reference, `clientRequestToken`).
pub fn client_token(owner_uid: &str, step: &str, request_hash: &str) -> String {
    /// The namespace of all tokens of fleet (a version 4 UUID chosen once).
    const NAMESPACE: Uuid = Uuid::from_u128(0x7a0f_6c1e_3c57_4b53_9d54_5a1d_2f60_88e1);
    Uuid::new_v5(&NAMESPACE, format!("{owner_uid}\n{step}\n{request_hash}").as_bytes()).to_string()
}

/// The SHA-256 of a value's JSON in 64 hexadecimal digits, for what people sign: see [`content_hash`].
pub fn full_hash<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(value)?)))
}

/// The first 16 hexadecimal digits of the SHA-256 of a value's JSON, which is the same for equal values as long
/// as every map in it is ordered (`BTreeMap`).
pub fn content_hash<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let hash = full_hash(value)?;
    Ok(hash.get(..16).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_made_again_gets_another_cluster_name() {
        let tenant: TenantName = "acme-payments".parse().unwrap();
        let first = ClusterName::derive(&tenant, "uid-1");
        assert_eq!(first, ClusterName::derive(&tenant, "uid-1"));
        assert_ne!(first, ClusterName::derive(&tenant, "uid-2"));
    }

    #[test]
    fn the_longest_tenant_name_still_fits_a_label_value() {
        let tenant: TenantName = "a".repeat(TENANT_NAME_MAX).parse().unwrap();
        assert!(ClusterName::derive(&tenant, "uid").as_str().len() <= 63);
    }

    #[test]
    fn names_that_no_label_can_hold_are_refused() {
        for name in ["", "Acme", "acme_payments", "-acme", "acme-", "4acme", "äcme", &"a".repeat(51)] {
            assert!(name.parse::<TenantName>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_token_changes_with_the_request_and_not_with_the_call() {
        assert_eq!(client_token("u", "create", "h"), client_token("u", "create", "h"));
        assert_ne!(client_token("u", "create", "h"), client_token("u", "create", "i"));
    }
}
