//! A simulator of rollouts.
//!
//! A [`Scenario`] writes down everything that will happen: the plan, the clusters, the people and the faults. [`run`]
//! lets it happen in virtual time, with the engine acting on caches that lag, through writes that fail, in processes that
//! die between any two of them, under clocks that step. The rules of [`Rule`] are checked on every write that takes
//! effect, by code that is written apart from the engine and reads only what an outside observer sees. The same
//! scenario always runs the same way.

mod checks;
mod cloud;
mod controller;
mod faults;
mod generate;
mod hub;
mod log;
mod observer;
mod people;
mod random;
mod scenario;
mod shrink;
mod start;
mod time;
pub mod typical;
mod world;

pub use checks::{Rule, Violation};
pub use generate::{large, scenario};
pub use scenario::{Act, Behaviour, Ends, Fault, Kind, Member, Pace, Scenario, Target};
pub use shrink::{Shrunk, shrink};
pub use time::Millis;

use fleet_api::v1alpha1::{MemberState, RolloutPhase};
use fleet_plan::rollout::{Tick, World as Reading};

/// An engine: what `fleet_plan::rollout::tick` is, or one with a fault.
pub type Engine<'a> = dyn Fn(&Reading<'_>) -> Tick + Sync + 'a;

/// How a scenario ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The first rule that was broken.
    pub violation: Option<Violation>,
    /// Where the rollout stood at the end.
    pub phase: RolloutPhase,
    /// Where each member stood.
    pub states: Vec<MemberState>,
    /// How often the engine ticked.
    pub ticks: u64,
    /// The readable log, when it was asked for.
    pub log: Option<String>,
}

/// Runs a scenario.
///
/// Of a scenario in which only controllers suffer, the end is compared with that of the same scenario without any fault:
/// they have to be the same.
pub fn run(scenario: &Scenario, engine: &Engine<'_>) -> Outcome {
    let outcome = run_once(scenario, engine, log::Log::silent());
    // Who never ends may have been held up by what controllers suffered, which is told by the comparison.
    let ended_ill = outcome.violation.as_ref().is_some_and(|violation| violation.rule != Rule::Liveness);
    if ended_ill || !scenario.is_fair() || scenario.faults.is_empty() {
        return outcome;
    }
    let calm = Scenario { faults: Vec::new(), ..scenario.clone() };
    let undisturbed = run_once(&calm, engine, log::Log::silent());
    let violation = difference(scenario, &undisturbed, &outcome);
    Outcome { violation: violation.or(outcome.violation), ..outcome }
}

/// Runs a scenario once more for its readable log, which ends with the rule that was broken.
pub fn replay(scenario: &Scenario, engine: &Engine<'_>) -> Outcome {
    let judged = run(scenario, engine);
    let mut outcome = run_once(scenario, engine, log::Log::from(scenario.start));
    if let (Some(violation), Some(log)) = (&judged.violation, &mut outcome.log) {
        log.push_str(&violation.describe(scenario.start));
        log.push('\n');
    }
    Outcome { violation: judged.violation, ..outcome }
}

fn run_once(scenario: &Scenario, engine: &Engine<'_>, log: log::Log) -> Outcome {
    let mut world = world::World::new(scenario, engine, log);
    let violation = world.run();
    Outcome {
        violation,
        phase: world.hub.rollout().map(|rollout| rollout.status.phase).unwrap_or_default(),
        states: (0..scenario.members.len()).map(|index| world.state(index)).collect(),
        ticks: world.ticks,
        log: Some(world.log.into_text()).filter(|text| text.len() > 1),
    }
}

fn difference(scenario: &Scenario, calm: &Outcome, stormy: &Outcome) -> Option<Violation> {
    let text = if let Some(violation) = &calm.violation {
        if stormy.violation.is_some() {
            return None;
        }
        format!("without any fault: {}", violation.text)
    } else if let Some(violation) = &stormy.violation {
        format!("without any fault it ended {:?}, and with them: {}", calm.phase, violation.text)
    } else if calm.phase != stormy.phase {
        format!("it ended {:?}, and without any fault {:?}", stormy.phase, calm.phase)
    } else {
        let differs = calm.states.iter().zip(&stormy.states).position(|(calm, stormy)| calm != stormy)?;
        let name = scenario.members.get(differs).map_or("?", |member| member.name.as_str());
        format!(
            "{name} ended {:?}, and without any fault {:?}",
            stormy.states.get(differs),
            calm.states.get(differs)
        )
    };
    Some(Violation { rule: Rule::Restart, at: scenario.start + scenario.mended_after, text })
}
