//! EKS behind the provider seam: the only crate that names the AWS SDK.
//!
//! It reads, or it carries out one step, as the role of the cluster's class. It plans nothing and retries nothing
//! but throttles and broken connections. What cannot be read is unknown, never absent.

mod bucket;
mod cache;
mod carry_out;
mod convert;
mod credentials;
mod endpoint;
mod error;
mod launch_template;
mod leftovers;
mod observe;
pub mod operations;
pub mod policy;
mod provider;
mod read;
mod requests;
mod session;
mod signed;
mod token;
mod xml;

pub use aws_config::SdkConfig;
pub use aws_credential_types::Credentials;
pub use bucket::{Bucket, Rate};
pub use credentials::{CredentialsUnavailable, Role, ambient, ambient_config};
pub use endpoint::Endpoints;
pub use provider::EksProvider;
pub use token::{TOKEN_PREFIX, TokenError, mint_token};
