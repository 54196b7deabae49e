//! The kube-rs loops of fleet
