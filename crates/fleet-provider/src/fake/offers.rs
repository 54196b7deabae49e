//! What the in-memory EKS has on offer: three minors, and add-ons that move with them.

use std::collections::BTreeSet;

use fleet_api::{
    KubernetesVersion,
    eks::{AddonOffer, EksVersionOffer, SupportStatus},
};

/// The minors on offer, with the dates of the EKS release calendar.
pub(super) fn versions() -> Vec<EksVersionOffer> {
    [(34, "2026-12-02", "2027-12-02"), (35, "2027-03-27", "2028-03-27"), (36, "2027-08-02", "2028-08-02")]
        .into_iter()
        .map(|(minor, standard, extended)| EksVersionOffer {
            version: KubernetesVersion::from_minor(minor),
            default: minor == 35,
            status: SupportStatus::Standard,
            end_of_standard: standard.parse().ok(),
            end_of_extended: extended.parse().ok(),
        })
        .collect()
}

/// The versions of an add-on: `kube-proxy` has one for each minor, the others have one that runs on every minor
/// and a newer one that needs 1.35 and is the default of 1.36.
pub(super) fn addon(name: &str) -> Vec<AddonOffer> {
    let minors = |of: &[u16]| -> BTreeSet<KubernetesVersion> {
        of.iter().map(|minor| KubernetesVersion::from_minor(*minor)).collect()
    };
    let offer = |version: String, runs_on: &[u16], default_for: &[u16]| AddonOffer {
        version,
        runs_on: minors(runs_on),
        default_for: minors(default_for),
    };
    if name == "kube-proxy" {
        return [36, 35, 34]
            .into_iter()
            .map(|minor| offer(format!("v1.{minor}.0-eksbuild.1"), &[minor], &[minor]))
            .collect();
    }
    vec![
        offer("v1.21.0-eksbuild.1".to_owned(), &[35, 36], &[36]),
        offer("v1.20.4-eksbuild.1".to_owned(), &[34, 35, 36], &[34, 35]),
    ]
}
