//! Kubernetes minors that this crate can serve, and the releases that stand for them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A Kubernetes minor, written `1.36`.
///
/// This crate stands beside fleet and not on it, so it has its own word for a minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor(u16);

impl Minor {
    /// Kubernetes 1.35.
    pub const V1_35: Self = Self(35);
    /// Kubernetes 1.36.
    pub const V1_36: Self = Self(36);

    /// The minor `1.NUMBER`.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number after the dot.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The minor of a version text such as `v1.36.3`, `1.36.3-eks-1` or `1.36`.
    ///
    /// # Errors
    /// When the text does not start with a Kubernetes minor.
    pub fn of_version(text: &str) -> Result<Self, MinorError> {
        let wrong = || MinorError { text: text.to_owned() };
        let rest = text.strip_prefix('v').unwrap_or(text).strip_prefix("1.").ok_or_else(wrong)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().map(Self).map_err(|_| wrong())
    }
}

/// A text that is not a Kubernetes minor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a Kubernetes minor such as `1.36`")]
pub struct MinorError {
    text: String,
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl FromStr for Minor {
    type Err = MinorError;
    fn from_str(text: &str) -> Result<Self, MinorError> {
        let minor = Self::of_version(text)?;
        if minor.to_string() == text { Ok(minor) } else { Err(MinorError { text: text.to_owned() }) }
    }
}

impl Serialize for Minor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Minor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A release that can be built: one Go module that names it and pins everything below it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release {
    pub(crate) minor: Minor,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
}

/// What can be built, oldest first. The newest module also builds etcd and kubectl for all.
pub(crate) const RELEASES: [Release; 2] = [
    Release {
        minor: Minor::V1_35,
        go_mod: include_str!("../../../deploy/sandbox/k8s-1.35/go.mod"),
        go_sum: include_str!("../../../deploy/sandbox/k8s-1.35/go.sum"),
    },
    Release {
        minor: Minor::V1_36,
        go_mod: include_str!("../../../deploy/sandbox/k8s-1.36/go.mod"),
        go_sum: include_str!("../../../deploy/sandbox/k8s-1.36/go.sum"),
    },
];

impl Release {
    /// The release of a minor, when it is one of those that can be built.
    pub(crate) fn of(minor: Minor) -> Option<Self> {
        RELEASES.into_iter().find(|release| release.minor == minor)
    }

    /// The version as `/version` must report it, such as `v1.36.3`: go.mod is the one place that says it.
    pub(crate) fn version(&self) -> &'static str {
        self.required("k8s.io/kubernetes ").unwrap_or("v0.0.0")
    }

    /// The oldest Go that can build it, such as `1.26.0`.
    pub(crate) fn go_version(&self) -> &'static str {
        self.required("go ").unwrap_or("1.26.0")
    }

    /// The programs that its module builds, by the names that they have in the cache.
    pub(crate) fn programs(&self) -> Vec<String> {
        let tools = self.go_mod.lines().skip_while(|line| *line != "tool (").skip(1);
        tools
            .take_while(|line| *line != ")")
            .map(|line| match line.trim() {
                "go.etcd.io/etcd/server/v3" => "etcd".to_owned(),
                package => package.rsplit('/').next().unwrap_or(package).to_owned(),
            })
            .collect()
    }

    fn required(&self, start: &str) -> Option<&'static str> {
        let line = self.go_mod.lines().find_map(|line| line.trim().strip_prefix(start))?;
        line.split_whitespace().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minor_is_read_from_any_version_text() {
        for text in ["1.36", "v1.36.3", "1.36.3-eks-12", "v1.36.0-rc.1", "1.36+"] {
            assert_eq!(Minor::of_version(text), Ok(Minor::V1_36), "{text}");
        }
        for text in ["", "v2.1", "1.", "Kubernetes v1.36"] {
            assert!(Minor::of_version(text).is_err(), "{text}");
        }
        assert!("v1.36.3".parse::<Minor>().is_err());
        assert_eq!("1.35".parse(), Ok(Minor::V1_35));
    }

    #[test]
    fn every_release_says_its_version_in_its_module() {
        for release in RELEASES {
            assert_eq!(Minor::of_version(release.version()), Ok(release.minor));
            assert!(release.go_version().starts_with("1."), "{}", release.go_version());
            assert!(release.go_sum.contains(&format!("k8s.io/kubernetes {}", release.version())));
        }
    }
}
