//! Turns the control catalogue and its templates into typed Kubernetes objects

mod bundle;
mod normalise;
mod probe;

pub use bundle::{Bundle, BundleObject, ControlInfo, ControlState, Phase, Waiver};
pub use probe::{Attempt, Check, Comparison, Expect, Persona, Probe};
