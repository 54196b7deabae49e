//! The fault plan: what goes wrong, for which calls, how often. Set over the control API.

use serde::{Deserialize, Serialize};

use crate::{
    journal::changes_something,
    model::{ErrorDetail, Issue},
};

/// One planned fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The id; given by the emulator.
    #[serde(default)]
    pub id: String,
    /// The operation, such as `UpdateClusterVersion`; without it, every one to which the effect can happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Only calls about this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Only calls whose subject, as the journal has it, contains this text: launch templates belong to no cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Only calls in this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How many more calls it happens to.
    #[serde(default = "once")]
    pub times: u32,
    /// How many calls that it could happen to are let through first.
    #[serde(default)]
    pub after: u32,
    /// What happens.
    #[serde(flatten)]
    pub effect: Effect,
}

const fn once() -> u32 {
    1
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Effect {
    /// The call is answered `ThrottlingException` (429) and changes nothing.
    Throttle,
    /// The call is answered `ServerException` (500) and changes nothing.
    ServerError,
    /// The connection is reset before anything happens.
    ResetBefore,
    /// The call takes effect, then the connection is reset and no answer arrives.
    ResetAfter,
    /// A call that changes something is held until it is let go over the control API.
    Hold {
        /// On which side of its effect.
        when: When,
    },
    /// The accepted update ends as `Failed` with this error.
    FailUpdate {
        /// The error.
        error: ErrorDetail,
    },
    /// The cluster ends as `FAILED`, the node group as `CREATE_FAILED`, with this issue.
    FailCreate {
        /// The issue.
        issue: Issue,
    },
    /// After the accepted update the cluster reads `ACTIVE` for this many reads.
    StaleActive {
        /// How many reads.
        reads: u32,
    },
    /// The access entry or policy reaches the API server this much later.
    SlowAccess {
        /// How much later.
        seconds: u32,
    },
    /// The add-on ends as `DEGRADED` with this issue, until it is updated.
    DegradedAddon {
        /// The issue.
        issue: Issue,
    },
}

/// On which side of its effect a call is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Nothing has happened yet.
    Before,
    /// It has taken effect, and its answer is held.
    After,
}

impl Effect {
    /// Whether the call is held before anything else can happen to it.
    pub fn holds_before(&self) -> bool {
        matches!(self, Self::Hold { when: When::Before })
    }

    /// Whether the effect replaces the call.
    pub fn prevents(&self) -> bool {
        matches!(self, Self::Throttle | Self::ServerError | Self::ResetBefore)
    }

    /// Whether it can happen to an operation at all.
    fn can_happen_to(&self, operation: &str) -> bool {
        match self {
            Self::Throttle | Self::ServerError | Self::ResetBefore | Self::ResetAfter => true,
            Self::Hold { .. } => changes_something(operation),
            Self::FailUpdate { .. } => operation.starts_with("Update"),
            Self::FailCreate { .. } => matches!(operation, "CreateCluster" | "CreateNodegroup"),
            Self::StaleActive { .. } => matches!(operation, "UpdateClusterVersion" | "UpdateClusterConfig"),
            Self::SlowAccess { .. } => {
                matches!(operation, "CreateAccessEntry" | "UpdateAccessEntry" | "AssociateAccessPolicy")
            }
            Self::DegradedAddon { .. } => matches!(operation, "CreateAddon" | "UpdateAddon"),
        }
    }
}

/// The planned faults that happen to one call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Struck(Vec<(String, Effect)>);

impl Struck {
    /// The effect that replaces the call, if there is one.
    pub fn preventing(&self) -> Option<&Effect> {
        self.0.iter().map(|(_, effect)| effect).find(|effect| effect.prevents())
    }

    /// Whether nothing happens.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The effects.
    pub fn effects(&self) -> impl Iterator<Item = &Effect> {
        self.0.iter().map(|(_, effect)| effect)
    }
}

/// What faults are chosen by.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The operation.
    pub operation: &'a str,
    /// The account.
    pub account: &'a str,
    /// The cluster, if the call is about one.
    pub cluster: Option<&'a str>,
    /// The subject, as the journal has it.
    pub about: &'a str,
}

/// Finds the faults that happen to a call, among those with a `wanted` effect, and counts down those that let it
/// through.
pub fn strike(faults: &mut [Fault], target: Target<'_>, wanted: impl Fn(&Effect) -> bool) -> Struck {
    let Target { operation, account, cluster, about } = target;
    let mut struck = Vec::new();
    for fault in faults.iter_mut().filter(|fault| fault.times > 0 && wanted(&fault.effect)) {
        let named = fault.operation.as_deref().is_none_or(|wanted| wanted == operation);
        let here = fault.cluster.as_deref().is_none_or(|wanted| Some(wanted) == cluster)
            && fault.about.as_deref().is_none_or(|wanted| about.contains(wanted))
            && fault.account.as_deref().is_none_or(|wanted| wanted == account);
        if !(named && here && fault.effect.can_happen_to(operation)) {
            continue;
        }
        if fault.after > 0 {
            fault.after -= 1;
            continue;
        }
        struck.push((fault.id.clone(), fault.effect.clone()));
    }
    Struck(struck)
}

/// Counts down the faults that happened, and drops those that are used up.
///
/// A call that was refused for its own reasons leaves the effects of an accepted call planned.
pub fn spend(faults: &mut Vec<Fault>, struck: &Struck, accepted: bool) {
    for (id, effect) in &struck.0 {
        if !(effect.prevents() || accepted) {
            continue;
        }
        if let Some(fault) = faults.iter_mut().find(|fault| fault.id == *id) {
            fault.times = fault.times.saturating_sub(1);
        }
    }
    faults.retain(|fault| fault.times > 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Vec<Fault> {
        serde_json::from_str(json).unwrap()
    }

    fn strike(faults: &mut [Fault], operation: &str, account: &str, cluster: Option<&str>) -> Struck {
        let about = cluster.unwrap_or_default();
        super::strike(faults, Target { operation, account, cluster, about }, |_| true)
    }

    #[test]
    fn a_throttle_happens_as_often_as_planned() {
        let mut faults =
            plan(r#"[{"id": "1", "effect": "throttle", "times": 2, "operation": "DescribeCluster"}]"#);
        assert_eq!(strike(&mut faults, "ListClusters", "1", None), Struck::default());
        for _ in 0..2 {
            let struck = strike(&mut faults, "DescribeCluster", "1", Some("a"));
            assert_eq!(struck.preventing(), Some(&Effect::Throttle));
            spend(&mut faults, &struck, false);
        }
        assert_eq!(faults, []);
    }

    #[test]
    fn a_failing_update_waits_for_an_accepted_update() {
        let mut faults = plan(
            r#"[{"id": "1", "effect": "fail-update", "cluster": "a", "error": {"errorCode": "PodEvictionFailure"}}]"#,
        );
        assert_eq!(strike(&mut faults, "CreateCluster", "1", Some("a")), Struck::default());
        assert_eq!(strike(&mut faults, "UpdateClusterVersion", "1", Some("b")), Struck::default());
        let struck = strike(&mut faults, "UpdateClusterVersion", "1", Some("a"));
        assert_eq!(struck.effects().count(), 1);
        spend(&mut faults, &struck, false);
        assert_eq!(faults.len(), 1);
        spend(&mut faults, &struck, true);
        assert_eq!(faults.len(), 0);
    }

    #[test]
    fn a_hold_is_for_calls_that_change_something_and_looks_at_their_subject() {
        let mut faults =
            plan(r#"[{"id": "1", "effect": "hold", "when": "before", "about": "acme-1", "times": 9}]"#);
        let mut held = |operation, about| {
            let target = Target { operation, account: "1", cluster: None, about };
            !super::strike(&mut faults, target, Effect::holds_before).is_empty()
        };
        assert!(held("CreateLaunchTemplate", "fleet-acme-1-workers"));
        assert!(!held("CreateLaunchTemplate", "fleet-acme-2-workers"));
        assert!(!held("DescribeLaunchTemplates", "fleet-acme-1-workers"));
    }

    #[test]
    fn a_fault_can_let_calls_through_first() {
        let mut faults = plan(r#"[{"id": "1", "effect": "reset-after", "after": 1}]"#);
        assert_eq!(strike(&mut faults, "CreateCluster", "1", None), Struck::default());
        assert_eq!(strike(&mut faults, "CreateCluster", "1", None).effects().count(), 1);
    }
}
