//! The Fleet.

use fleet_api::v1alpha1::{Fleet, FleetDefaults, FleetSpec};

use super::{
    Problem, References,
    maintenance::{self, Need},
    prometheus,
    unique::unique,
};
use crate::{field_path::FieldPath, finding::Code, text::shown};

/// The problems of the fleet's settings.
pub fn fleet(fleet: &Fleet, references: &References<'_>) -> Vec<Problem> {
    let FleetSpec { defaults, freezes, brakes: _, costs, approvers, prometheus } = &fleet.spec;
    let FleetDefaults { channel, maintenance } = defaults;
    let path = FieldPath::spec();
    let mut problems = Vec::new();
    let name = fleet.metadata.name.as_deref().unwrap_or_default();
    if name != "fleet" {
        problems.push(
            Problem::error(
                Code::OneFleet,
                FieldPath::name(),
                format!("a Fleet cannot be called `{}`", shown(name)),
            )
            .hint("name it `fleet`: there is one"),
        );
    }
    if let Some(channel) = channel {
        let here = path.field("defaults").field("channel");
        problems.extend(references.dangling("VersionChannel", channel, &references.channels, here));
    }
    if let Some(times) = maintenance {
        let here = path.field("defaults").field("maintenance");
        problems.extend(maintenance::maintenance(times, &here, &Need::of(None), freezes, references.today));
    }
    problems.extend(maintenance::freezes(freezes, &path.field("freezes")));
    for (field, amount) in
        [("standardPerHour", costs.standard_per_hour), ("extendedPerHour", costs.extended_per_hour)]
    {
        if amount < 0.0 || !amount.is_finite() {
            let here = path.field("costs").field(field);
            problems.push(Problem::error(
                Code::OutOfRange,
                here,
                format!("`{field}` is an amount of at least 0"),
            ));
        }
    }
    let roles = path.field("approvers");
    problems.extend(unique(approvers, &roles, "role", |role| &role.name));
    for (index, role) in approvers.iter().enumerate() {
        if role.groups.is_empty() && role.users.is_empty() {
            problems.push(
                Problem::error(
                    Code::MissingField,
                    roles.index(index),
                    format!(
                        "nobody has the role `{}`: a gate that asks for it never opens",
                        shown(&role.name)
                    ),
                )
                .hint("name `groups` or `users` of the management cluster"),
            );
        }
    }
    problems.extend(prometheus::servers(prometheus, &path.field("prometheus")));
    problems
}
