//! Reads a fleet spec (YAML files) into a [`ValidatedFleet`], with every finding located.
//!
//! [`load`] reads files into located documents, [`check`] judges them. The rules themselves ([`rules`]) run over
//! typed objects and know no files, so that the controller judges by the same ones. The crate touches no network.

mod check;
pub mod condition;
mod field_path;
mod finding;
mod input;
pub mod limits;
mod load;
mod metadata;
mod node;
mod object;
mod parse;
mod place;
pub mod prometheus;
mod promql;
pub mod render;
mod rollout;
pub mod rules;
mod schema;
mod text;
mod validated;

pub use check::{Checked, Context, check};
pub use field_path::{FieldPath, Segment};
pub use finding::{Code, Finding, Place, Severity, Snippet, SnippetLine, any_error};
pub use input::Input;
pub use load::{Loaded, load};
pub use rollout::{RolloutFile, rollout_file};
pub use text::nearest;
pub use validated::ValidatedFleet;
