//! What EKS offers: Kubernetes minors with their dates.

use jiff::{Timestamp, civil::Date, civil::date, tz::TimeZone};

use crate::model::Minor;

pub(crate) use super::addon_catalogue::needs_nodes;

/// A minor that EKS offers or offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionOffer {
    pub(crate) minor: Minor,
    pub(crate) patch: u16,
    pub(crate) platform: u16,
    pub(crate) released: Date,
    pub(crate) standard_ends: Date,
    pub(crate) extended_ends: Date,
}

const fn offer(
    minor: u16,
    patch: u16,
    platform: u16,
    released: Date,
    standard_ends: Date,
    extended_ends: Date,
) -> VersionOffer {
    VersionOffer { minor: Minor(minor), patch, platform, released, standard_ends, extended_ends }
}

/// Source of the dates: docs (Kubernetes release calendar of EKS). Patches and platforms: unverified.
pub(crate) const VERSIONS: [VersionOffer; 7] = [
    offer(30, 14, 62, date(2024, 5, 23), date(2025, 7, 23), date(2026, 7, 23)),
    offer(31, 14, 46, date(2024, 9, 26), date(2025, 11, 26), date(2026, 11, 26)),
    offer(32, 12, 37, date(2025, 1, 23), date(2026, 3, 23), date(2027, 3, 23)),
    offer(33, 9, 26, date(2025, 5, 29), date(2026, 7, 29), date(2027, 7, 29)),
    offer(34, 6, 18, date(2025, 10, 2), date(2026, 12, 2), date(2027, 12, 2)),
    offer(35, 4, 9, date(2026, 1, 27), date(2027, 3, 27), date(2028, 3, 27)),
    offer(36, 3, 4, date(2026, 6, 2), date(2027, 8, 2), date(2028, 8, 2)),
];

/// The minor of a cluster that names none. Source: unverified.
pub(crate) const DEFAULT_VERSION: Minor = Minor(35);

/// The state of a minor's support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    Standard,
    Extended,
    Unsupported,
}

impl VersionOffer {
    /// The state of support at a moment. It ends with its last day; the price changes at 00:00 UTC (source: docs).
    pub(crate) fn support(&self, now: Timestamp) -> Support {
        let today = now.to_zoned(TimeZone::UTC).date();
        if today < self.released || today >= self.extended_ends {
            Support::Unsupported
        } else if today >= self.standard_ends {
            Support::Extended
        } else {
            Support::Standard
        }
    }
}

/// The offer of a minor.
pub(crate) fn version(minor: Minor) -> Option<&'static VersionOffer> {
    VERSIONS.iter().find(|offer| offer.minor == minor)
}

/// The platform version of a minor.
pub(crate) fn platform_version(minor: Minor) -> String {
    version(minor).map_or_else(|| "eks.1".to_owned(), |offer| format!("eks.{}", offer.platform))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn support_moves_from_standard_to_extended_to_none() {
        let offer = version(Minor(34)).unwrap();
        for (now, support) in [
            ("2025-10-01T23:59:59Z", Support::Unsupported),
            ("2026-12-01T23:59:59Z", Support::Standard),
            ("2026-12-02T00:00:00Z", Support::Extended),
            ("2027-12-02T00:00:00Z", Support::Unsupported),
        ] {
            assert_eq!(offer.support(now.parse().unwrap()), support, "{now}");
        }
    }

    #[test]
    fn every_minor_follows_the_one_before() {
        for pair in VERSIONS.windows(2) {
            assert_eq!(pair[0].minor.next(), pair[1].minor);
            assert!(pair[0].released < pair[1].released);
        }
        assert!(version(DEFAULT_VERSION).is_some());
    }
}
