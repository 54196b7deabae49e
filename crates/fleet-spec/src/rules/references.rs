//! What objects may refer to, and when "today" is.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    KubernetesVersion,
    text::Day,
    v1alpha1::{Baseline, FleetSpec, Tenant, TenantClass, VersionChannel},
};

use super::Problem;
use crate::{
    field_path::FieldPath,
    finding::Code,
    text::{nearest, one_of, shown},
};

/// What objects may refer to.
///
/// A name that stands for `None` is known to exist, and what it holds is not: rules ask nothing of it.
#[derive(Debug, Clone)]
pub struct References<'a> {
    /// The day on which the spec is judged.
    pub today: Day,
    /// The fleet's settings.
    pub fleet: &'a FleetSpec,
    /// The tenants.
    pub tenants: BTreeMap<&'a str, Option<&'a Tenant>>,
    /// The classes.
    pub classes: BTreeMap<&'a str, Option<&'a TenantClass>>,
    /// The baselines.
    pub baselines: BTreeMap<&'a str, Option<&'a Baseline>>,
    /// The channels.
    pub channels: BTreeMap<&'a str, Option<&'a VersionChannel>>,
    /// The ids of the controls; `None` when the catalogue is not at hand, and then no id is judged.
    pub controls: Option<&'a BTreeSet<String>>,
    /// False when a part of the spec could not be read: what is not there may be in that part.
    pub complete: bool,
    /// False when there may be objects of any name that could not be read: then no reference is called dangling.
    pub names_known: bool,
    /// Names of objects whose kinds are not known: whoever refers to one of them may mean it.
    pub of_unknown_kind: BTreeSet<&'a str>,
}

impl<'a> References<'a> {
    /// References to nothing, to be filled.
    pub const fn new(today: Day, fleet: &'a FleetSpec) -> Self {
        Self {
            today,
            fleet,
            tenants: BTreeMap::new(),
            classes: BTreeMap::new(),
            baselines: BTreeMap::new(),
            channels: BTreeMap::new(),
            controls: None,
            complete: true,
            names_known: true,
            of_unknown_kind: BTreeSet::new(),
        }
    }

    /// The problem of a name that leads nowhere, with the nearest one that does not.
    pub(super) fn dangling<T>(
        &self,
        kind: &str,
        name: &str,
        known: &BTreeMap<&str, T>,
        path: FieldPath,
    ) -> Option<Problem> {
        if known.contains_key(name) || !self.names_known || self.of_unknown_kind.contains(name) {
            return None;
        }
        let problem =
            Problem::error(Code::DanglingReference, path, format!("there is no {kind} `{}`", shown(name)));
        Some(match nearest(name, known.keys().copied()) {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None if known.is_empty() => problem.hint(format!("add a {kind} of this name")),
            None => {
                problem.hint(format!("name {}, or add a {kind} of this name", one_of(known.keys().copied())))
            }
        })
    }

    /// The version that a channel offers today: the newest one whose day has come.
    pub(super) fn current(&self, channel: &VersionChannel) -> Option<KubernetesVersion> {
        channel
            .spec
            .versions
            .iter()
            .filter(|offer| offer.from.is_none_or(|from| from <= self.today))
            .map(|offer| offer.version)
            .max()
    }
}
