//! Kubernetes minor versions, parsed once.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::text::text_value;

/// A Kubernetes minor version, written `1.35`.
///
/// EKS takes and reports minors only; patches are its own business, so fleet has no word for them here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubernetesVersion {
    minor: u16,
}

impl KubernetesVersion {
    /// The version `1.MINOR`.
    pub const fn from_minor(minor: u16) -> Self {
        Self { minor }
    }

    /// The number after the dot.
    pub const fn minor(self) -> u16 {
        self.minor
    }

    /// The next minor: the only one that a control plane may move to.
    pub const fn next(self) -> Self {
        Self { minor: self.minor.saturating_add(1) }
    }

    /// The minor before this one, unless this is `1.0`.
    pub const fn previous(self) -> Option<Self> {
        match self.minor.checked_sub(1) {
            Some(minor) => Some(Self { minor }),
            None => None,
        }
    }

    /// How many minors this version is ahead of `other`; negative when it is behind.
    pub const fn ahead_of(self, other: Self) -> i32 {
        self.minor as i32 - other.minor as i32
    }
}

/// A text that is not a Kubernetes minor version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a Kubernetes minor version such as `1.35`{}", .hint.map(|h| format!(" ({h})")).unwrap_or_default())]
pub struct VersionError {
    text: String,
    hint: Option<&'static str>,
}

impl FromStr for KubernetesVersion {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let wrong = |hint| VersionError { text: text.to_owned(), hint };
        if text.starts_with('v') {
            return Err(wrong(Some("leave out the `v`")));
        }
        let minor = text.strip_prefix("1.").ok_or_else(|| wrong(None))?;
        if minor.contains('.') {
            return Err(wrong(Some("leave out the patch: the cloud chooses it")));
        }
        let plain = minor == "0" || !minor.starts_with('0');
        if minor.is_empty() || minor.len() > 3 || !plain || !minor.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong(None));
        }
        Ok(Self { minor: minor.parse().map_err(|_| wrong(None))? })
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor)
    }
}

text_value!(KubernetesVersion, "KubernetesVersion", r"^1\.(0|[1-9][0-9]{0,2})$", "1.35");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minors_are_ordered_as_numbers_and_not_as_text() {
        let older: KubernetesVersion = "1.9".parse().unwrap();
        let newer: KubernetesVersion = "1.10".parse().unwrap();
        assert!(older < newer);
        assert_eq!(newer.ahead_of(older), 1);
        assert_eq!(older.next(), newer);
        assert_eq!(newer.previous(), Some(older));
    }

    #[test]
    fn a_patch_or_a_v_is_refused_with_what_to_leave_out() {
        assert!("v1.35".parse::<KubernetesVersion>().unwrap_err().to_string().contains("leave out the `v`"));
        assert!(
            "1.35.4".parse::<KubernetesVersion>().unwrap_err().to_string().contains("leave out the patch")
        );
        for text in ["", "1", "1.", "2.0", "1.035", "1.x", "1.99999"] {
            assert!(text.parse::<KubernetesVersion>().is_err(), "{text}");
        }
    }
}
