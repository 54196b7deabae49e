//! Probes: requests that show that the controls bite, sent as server-side dry runs in the tenant's name.

mod run;
mod verdict;

pub use run::{ProbeResult, Saw, run};

pub(crate) use run::bites;
pub use verdict::{ControlVerdict, Verdict, count, judge};
