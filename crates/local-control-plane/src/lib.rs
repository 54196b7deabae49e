//! Real etcd, kube-apiserver and kube-controller-manager processes on one machine.
//!
//! [`Assets`] finds the servers or builds them, [`Etcd`] keeps the data of many control planes apart by prefix,
//! and a [`ControlPlane`] is one API server with its controllers. Everything listens on loopback or on a Unix
//! socket, and every process dies with the process that started it.
//!
//! ```no_run
//! # async fn example() -> Result<(), local_control_plane::Error> {
//! use std::path::Path;
//! use local_control_plane::{Assets, ControlPlane, ControlPlaneSpec, Etcd, Minor};
//!
//! let assets = Assets::ensure(&[Minor::V1_35, Minor::V1_36], &|progress| eprintln!("{progress}")).await?;
//! let etcd = Etcd::start(&assets, Path::new("/tmp/example/etcd")).await?;
//! let spec = ControlPlaneSpec::new("one", Minor::V1_35, Path::new("/tmp/example/one"), etcd.endpoint());
//! let mut one = ControlPlane::start(&assets, spec).await?;
//! one.restart_as(Minor::V1_36).await?;
//! one.stop().await;
//! # Ok(())
//! # }
//! ```

mod ask;
mod assets;
mod certificates;
mod control_plane;
mod error;
mod etcd;
#[cfg(test)]
mod fake_program;
mod files;
mod flags;
mod go_build;
mod go_tool;
mod identity;
mod kubeconfig;
mod minor;
mod ports;
mod private_files;
mod process;
mod progress;
mod spec;
pub mod test_support;

pub use ask::get_over_http;
pub use assets::{Assets, Places, Servers};
pub use certificates::{Authority, Certified};
pub use control_plane::{ControlPlane, ControlPlaneReport};
pub use error::Error;
pub use etcd::Etcd;
pub use flags::{Controllers, Webhook};
pub use identity::ProcessIdentity;
pub use minor::{Minor, MinorError};
pub use ports::free_port;
pub use private_files::{create_private_dir, write_private};
pub use process::{Exit, ProcessReport, ProcessSpec, ServerProcess, log_end};
pub use progress::{Estimate, Progress};
pub use spec::ControlPlaneSpec;
