//! A whole management plane on one machine: servers, emulator and controller, supervised.
//!
//! [`up`] starts a supervisor in the background and waits until the sandbox answers; [`status`], [`logs`] and
//! [`down`] find it by its state folder. The supervisor is the caller's own program, started again: it has to call
//! [`supervise`].
//!
//! A sandbox is for trying and testing. It holds no data that anybody must keep.

mod access;
mod down;
mod error;
mod logs;
mod manifests;
mod ownership;
mod place;
mod progress;
mod service;
mod state;
mod status;
mod supervisor;
mod sweep;
mod up;

pub use down::{Down, down};
pub use error::Error;
pub use logs::{LogFile, logs};
pub use ownership::{Holder, Purpose};
pub use place::{default_dir, find_program};
pub use progress::Progress;
pub use state::{Phase, SandboxEnv, ServiceState, StageState, State};
pub use status::{Status, StatusPhase, environment, status};
pub use supervisor::supervise;
pub use up::{Manifest, Programs, Supervisor, UpOptions, up};
