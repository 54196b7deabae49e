//! Turns the control catalogue and its templates into typed Kubernetes objects
