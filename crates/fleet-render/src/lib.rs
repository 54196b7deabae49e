//! Turns the control catalogue and its templates into typed Kubernetes objects.
//!
//! [`render`] is pure: catalogue, specs, version and day in, [`Bundle`] out, byte for byte the same for the same
//! input. A control is a folder of `templates/hardening` (its `control.yaml` says what it demands and answers, and
//! names its templates and probes); adding one needs no Rust.
//!
//! Three things hold by construction, whatever a template's author forgets:
//! - No value changes the structure of an object. Values travel through a template as tokens that YAML cannot take
//!   for syntax, and are read back inside the parsed scalars.
//! - No value changes a CEL expression but as a literal: an expression takes what the filter `cel` made and nothing
//!   else.
//! - Nothing is undefined, and no field of an object is one that Kubernetes does not know.
//!
//! The crate talks to no network and reads no clock.

mod bundle;
mod catalogue;
mod cel;
mod cidr;
mod engine;
mod error;
mod hash;
mod lint;
mod names;
mod normalise;
mod persona;
mod probe;
mod quantity;
mod render;
mod token;
mod typed;
mod values;

pub use bundle::{Bundle, BundleObject, ControlInfo, ControlState, Phase, Waiver};
pub use catalogue::{Catalogue, Control, Maps, NotApplicable, Reach, Template};
pub use error::RenderError;
pub use probe::{Attempt, Check, Comparison, Expect, Persona, Probe};
pub use render::{RenderInput, render};
