//! All side effects that the controller and the CLI share
