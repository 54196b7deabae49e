//! The crate against servers: hostile ones in this process, and real API servers with their controllers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what it expects by failing, and tells its figures"
)]

mod catalogue;
mod drain;
mod engine;
mod fake;
mod hostile;
mod hub;
mod inside;
mod support;
