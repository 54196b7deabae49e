//! The checks of a rollout's gates that ask somebody: a Prometheus server, and a Job in a tenant's cluster.

mod job;
mod prometheus;

pub use job::{JobRun, JobState, run_job};
pub use prometheus::{BearerToken, QueryError, TokenError, query};
