//! What would help a rollout of which not every rule can hold.

use fleet_plan::rollout::plan::ConflictSet;

use super::moment;
use crate::printer::{Tone, plain, table, toned};

/// For each rule that cannot hold together with the others: how to relax it, and what that brings.
pub(crate) fn what_helps(conflicts: &[ConflictSet]) -> String {
    let rows = conflicts.iter().enumerate().flat_map(|(index, set)| {
        set.rules.iter().map(move |rule| {
            let then = rule.without.map_or_else(|| "never".to_owned(), moment);
            let enough = if rule.enough {
                toned("in time", Tone::Good)
            } else {
                toned("not enough alone", Tone::Busy)
            };
            vec![(index + 1).to_string(), plain(&rule.relax), then, enough]
        })
    });
    let head = conflicts.first().map(|set| {
        let by = set.by.map(|by| format!(", and would have to be by {}", moment(by))).unwrap_or_default();
        match set.expected {
            Some(expected) => format!("{} is expected at {}{by}.", plain(&set.tenant), moment(expected)),
            None => format!("{} is never expected{by}.", plain(&set.tenant)),
        }
    });
    format!("{}\n\n{}", head.unwrap_or_default(), table(&["set", "if you", "expected", ""], rows.collect()))
}
