//! What the in-memory EKS has on offer: a few minors, and add-ons that move with them.

use std::collections::BTreeSet;

use fleet_api::{
    KubernetesVersion,
    eks::{AddonOffer, EksVersionOffer, SupportStatus},
};

/// The minors that are on offer when nobody says otherwise.
pub(super) const MINORS: [u16; 3] = [34, 35, 36];

/// The minors on offer, with the dates of the EKS release calendar where they are known.
pub(super) fn versions(minors: &[u16]) -> Vec<EksVersionOffer> {
    let ends = |minor: u16| match minor {
        34 => Some(("2026-12-02", "2027-12-02")),
        35 => Some(("2027-03-27", "2028-03-27")),
        36 => Some(("2027-08-02", "2028-08-02")),
        _ => None,
    };
    minors
        .iter()
        .map(|minor| EksVersionOffer {
            version: KubernetesVersion::from_minor(*minor),
            default: *minor == 35,
            status: SupportStatus::Standard,
            end_of_standard: ends(*minor).and_then(|(standard, _)| standard.parse().ok()),
            end_of_extended: ends(*minor).and_then(|(_, extended)| extended.parse().ok()),
        })
        .collect()
}

/// The versions of an add-on: `kube-proxy` has one for each minor, which runs on newer ones as well; the others have one
/// that runs on every minor and a newer one that does not run on the oldest and is the default of the newest.
pub(super) fn addon(name: &str, minors: &[u16]) -> Vec<AddonOffer> {
    let set = |of: &[u16]| -> BTreeSet<KubernetesVersion> {
        of.iter().map(|minor| KubernetesVersion::from_minor(*minor)).collect()
    };
    let offer = |version: String, runs_on: &[u16], default_for: &[u16]| AddonOffer {
        version,
        runs_on: set(runs_on),
        default_for: set(default_for),
    };
    if name == "kube-proxy" {
        return minors
            .iter()
            .rev()
            .map(|minor| {
                let newer: Vec<u16> = minors.iter().copied().filter(|other| other >= minor).collect();
                offer(format!("v1.{minor}.0-eksbuild.1"), &newer, &[*minor])
            })
            .collect();
    }
    let newer = minors.get(1..).unwrap_or_default();
    let (older, newest) = minors.split_at(minors.len().saturating_sub(1));
    vec![
        offer("v1.21.0-eksbuild.1".to_owned(), newer, newest),
        offer("v1.20.4-eksbuild.1".to_owned(), minors, older),
    ]
}
