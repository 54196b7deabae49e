//! Programs of tests' own, as shell scripts.

use std::{fs, path::Path, process::Command};

/// Places a program that runs a shell script.
///
/// The file is written by another process: a child that another test forks meanwhile could hold it open for writing,
/// and the kernel starts no such program.
pub(crate) fn place_program(dir: &Path, name: &str, script: &str) {
    fs::create_dir_all(dir).unwrap();
    let text = dir.join(format!("{name}.sh"));
    fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
    let install = Command::new("install").args(["-m", "755"]).arg(&text).arg(dir.join(name)).status();
    assert!(install.unwrap().success(), "{name} could not be placed");
    fs::remove_file(text).unwrap();
}
