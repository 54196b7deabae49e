//! An EKS endpoint for the real AWS SDKs, with real kube-apiservers behind its clusters.
//!
//! It serves the parts of EKS, STS, EC2, IAM, KMS, the tagging API and CloudWatch Logs that a manager of many clusters
//! calls, on one loopback port: `AWS_ENDPOINT_URL=http://127.0.0.1:PORT` sends every SDK there, and the signature of a
//! call says which service it means. SigV4 is checked, accounts come from access keys, roles are assumed.
//!
//! It is not EKS. Its rules are those of the service model, the documentation and public issues, each named beside
//! its rule; nothing that passes here has been tested on EKS. No nodes run behind node groups, and no workload behind
//! add-ons: both have lifecycles only. What is real is the control plane: with [`Backend::Real`] a kube-apiserver of
//! the cluster's minor serves its endpoint, asks back who a token speaks for, and is replaced by the next minor over
//! the same data when an upgrade is accepted.
//!
//! Time is the machine's and an offset that `POST /_emulator/clock` advances; signatures, sessions and tokens go by the
//! machine's clock alone, because their callers do. `POST /_emulator/faults` plans what goes
//! wrong. The state folder keeps everything: an emulator that was killed goes on where it was.

pub mod durations;
pub mod faults;
pub mod holds;
pub mod journal;
pub mod model;
pub mod seed;
pub mod sigv4;

mod clock;
mod control;
mod control_planes;
mod ec2;
mod eks;
mod emulator;
mod error;
mod iam;
mod identity;
mod json_services;
mod lifecycle;
mod reply;
mod server;
mod state;
mod store;
mod sts;
mod token;
mod wire;
mod world;

pub use clock::Epoch;
pub use control_planes::ControlPlanesError;
pub use durations::{Durations, Work};
pub use eks::operations;
pub use emulator::{Backend, Config, Emulator, Running, StartError};
pub use seed::Seed;
pub use state::{Leftover, LeftoverKind};
pub use store::StoreError;
