//! A spec that holds together.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{
    Baseline, ControlException, Fleet, FleetSpec, Tenant, TenantClass, VersionChannel,
};

/// A spec of which every error is gone: names are unique, references lead somewhere, windows open.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedFleet {
    /// The settings of the fleet; the defaults when the spec has no Fleet.
    pub fleet: Fleet,
    /// Whether the spec itself has the Fleet.
    pub fleet_given: bool,
    /// The tenants by name.
    pub tenants: BTreeMap<String, Tenant>,
    /// The classes by name.
    pub classes: BTreeMap<String, TenantClass>,
    /// The baselines by name.
    pub baselines: BTreeMap<String, Baseline>,
    /// The channels by name.
    pub channels: BTreeMap<String, VersionChannel>,
    /// The exceptions by name.
    pub exceptions: BTreeMap<String, ControlException>,
}

impl Default for ValidatedFleet {
    fn default() -> Self {
        Self {
            fleet: Fleet::new("fleet", FleetSpec::default()),
            fleet_given: false,
            tenants: BTreeMap::new(),
            classes: BTreeMap::new(),
            baselines: BTreeMap::new(),
            channels: BTreeMap::new(),
            exceptions: BTreeMap::new(),
        }
    }
}

impl ValidatedFleet {
    /// How many objects the spec has.
    pub fn len(&self) -> usize {
        usize::from(self.fleet_given)
            + self.tenants.len()
            + self.classes.len()
            + self.baselines.len()
            + self.channels.len()
            + self.exceptions.len()
    }

    /// True when the spec has no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
