//! The wire protocols besides restJson1: form in and XML out (query, ec2), and what they share.

pub(crate) mod query;
pub(crate) mod xml;
