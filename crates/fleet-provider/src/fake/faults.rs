//! The fault plan: what goes wrong, at which operation, and how often.

use crate::ErrorClass;

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the effect: an error, and nothing happened.
    CrashBefore,
    /// The connection breaks after the effect: an error, and yet it happened.
    CrashAfter,
    /// The cloud asks to slow down.
    Throttle,
    /// The cloud refuses with this class and code, and nothing happened.
    Refuse {
        /// The class.
        class: ErrorClass,
        /// The cloud's code.
        code: String,
    },
    /// The effect happens, and the next observations still show the state before it.
    StaleReads {
        /// How many observations.
        reads: u32,
    },
    /// What the call creates ends as failed: the cluster `FAILED`, a node group or an add-on `CREATE_FAILED`.
    FailedCreate,
    /// The update that the call begins ends as failed, and changes nothing.
    FailedUpdate {
        /// The code of the update's error, such as `PodEvictionFailure`.
        code: String,
    },
}

/// A fault, and when it strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// The operation, such as `CreateCluster` or `Observe`; any when left out.
    pub operation: Option<String>,
    /// How many matching calls pass first.
    pub skip: u32,
    /// How many matching calls it strikes.
    pub times: u32,
    /// What goes wrong.
    pub fault: Fault,
}

impl FaultRule {
    /// Strikes the next call of an operation, once.
    pub fn once(operation: &str, fault: Fault) -> Self {
        Self { operation: Some(operation.to_owned()), skip: 0, times: 1, fault }
    }

    /// Strikes the call after `skip` calls of whatever operation, once: for campaigns that crash everywhere.
    pub const fn nth(skip: u32, fault: Fault) -> Self {
        Self { operation: None, skip, times: 1, fault }
    }
}

/// The rules that are still to strike.
#[derive(Debug, Clone, Default)]
pub(super) struct FaultPlan {
    rules: Vec<FaultRule>,
}

impl FaultPlan {
    pub(super) fn add(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    /// The fault of the first rule that strikes this call. Every matching rule before it counts the call.
    pub(super) fn strike(&mut self, operation: &str) -> Option<Fault> {
        let mut struck = None;
        for rule in &mut self.rules {
            if rule.operation.as_deref().is_some_and(|wanted| wanted != operation) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                struck = Some(rule.fault.clone());
                break;
            }
        }
        self.rules.retain(|rule| rule.times > 0);
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_strikes_after_its_skips_and_then_is_gone() {
        let mut plan = FaultPlan::default();
        plan.add(FaultRule {
            operation: Some("CreateAddon".to_owned()),
            skip: 1,
            times: 2,
            fault: Fault::Throttle,
        });
        let strikes: Vec<bool> = ["CreateAddon", "DeleteAddon", "CreateAddon", "CreateAddon", "CreateAddon"]
            .iter()
            .map(|operation| plan.strike(operation).is_some())
            .collect();
        assert_eq!(strikes, [false, false, true, true, false]);
    }
}
