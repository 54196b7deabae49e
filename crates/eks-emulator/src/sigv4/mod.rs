//! AWS Signature Version 4, from the side of the service: rebuild what the caller signed, and compare.
//!
//! Source of every rule here: the AWS documentation of Signature Version 4 ("Create a signed AWS API request").
//! Nothing in this module reads a clock or a key store: both are arguments.

mod canonical;
mod parse;
mod verify;

pub use canonical::{CanonicalRequest, SigningKey, payload_hash};
pub use parse::{CredentialScope, Signed, SignedVia};
pub use verify::{SignatureFault, check_signature, check_time};
