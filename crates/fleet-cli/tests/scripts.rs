//! Golden scripts: commands in, whole output out.
//!
//! Each `tests/scripts/NAME.txt` holds commands (`$ fleet ...`, run at the root of the checkout, `< FILE` for standard
//! input) with what they print: stdout as it is, stderr behind `! `, and `[exit N]` unless N is 0. With
//! `UPDATE_GOLDEN=1` the outputs are written anew, to be read before they are committed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Runs one command line as a user without any configuration would.
fn run(line: &str, home: &Path) -> String {
    let (line, input) = match line.split_once(" < ") {
        Some((line, file)) => (line, Stdio::from(File::open(root().join(file)).unwrap())),
        None => (line, Stdio::null()),
    };
    let mut words = line.split_whitespace();
    assert_eq!(words.next(), Some("fleet"), "{line}");
    let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(words)
        .current_dir(root())
        .env_clear()
        .env("HOME", home)
        .env("PATH", "")
        .stdin(input)
        .output()
        .unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        text.push_str(format!("! {line}").trim_end());
        text.push('\n');
    }
    match output.status.code() {
        Some(0) => {}
        code => text.push_str(&format!("[exit {}]\n", code.unwrap())),
    }
    text
}

#[test]
fn every_script_prints_what_it_is_written_to_print() {
    let home = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    let mut wrong = Vec::new();
    for script in scripts {
        let text = fs::read_to_string(&script).unwrap();
        let mut printed = String::new();
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                if !printed.is_empty() {
                    printed.push('\n');
                }
                printed.push_str(&format!("$ {command}\n{}", run(command, home.path())));
            } else if line.starts_with("# ")
                && (printed.is_empty() || printed.starts_with("# ") && !printed.contains("$ "))
            {
                printed.push_str(&format!("{line}\n"));
            }
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&script, &printed).unwrap();
        } else if text != printed {
            wrong.push(format!("{}:\n{printed}", script.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

#[test]
fn the_timeline_of_the_readme_is_the_one_that_is_printed() {
    let script = fs::read_to_string(root().join("crates/fleet-cli/tests/scripts/rollout.txt")).unwrap();
    let command = "$ fleet rollout plan -f fleet/demo/rollouts/to-1-36.yaml --against fleet/demo --on 2026-11-24 -o timeline\n";
    let printed = script.split_once(command).unwrap().1.split_once("\n\n$ ").unwrap().0;
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&format!("{command}{printed}\n")), "the README shows something else");
}

#[test]
fn completions_exist_for_every_shell() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&format!("fleet completions {shell}"), home.path());
        assert!(script.contains("kubeconfig"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(["explain"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
