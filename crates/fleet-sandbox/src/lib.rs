//! A whole management plane on one machine: servers, emulator and controller, supervised
