//! Scenarios, golden files and end-to-end tests on real API servers.
