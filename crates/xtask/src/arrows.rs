//! Checks that the crates depend on each other only along the arrows of ARCHITECTURE.md.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::stages::cargo;

/// Which crates of the workspace each one may use. Development dependencies are free: tests may look everywhere.
const ARROWS: &[(&str, &[&str])] = &[
    ("fleet-api", &[]),
    ("fleet-spec", &["fleet-api"]),
    ("fleet-plan", &["fleet-api", "fleet-spec"]),
    ("fleet-render", &["fleet-api"]),
    ("fleet-provider", &["fleet-api"]),
    ("fleet-provider-eks", &["fleet-api", "fleet-provider"]),
    ("fleet-exec", &["fleet-api", "fleet-spec", "fleet-plan", "fleet-render", "fleet-provider"]),
    (
        "fleet-controller",
        &[
            "fleet-api",
            "fleet-spec",
            "fleet-plan",
            "fleet-render",
            "fleet-provider",
            "fleet-provider-eks",
            "fleet-exec",
        ],
    ),
    (
        "fleet-cli",
        &[
            "fleet-api",
            "fleet-spec",
            "fleet-plan",
            "fleet-render",
            "fleet-provider",
            "fleet-provider-eks",
            "fleet-exec",
            "fleet-sandbox",
        ],
    ),
    ("fleet-simulator", &["fleet-api", "fleet-plan"]),
    ("local-control-plane", &[]),
    ("eks-emulator", &["local-control-plane"]),
    ("fleet-sandbox", &["local-control-plane"]),
    ("xtask", &[]),
];

/// Crates that decide or describe. They get no runtime, no client and no cloud.
const PURE: &[&str] = &["fleet-api", "fleet-spec", "fleet-plan", "fleet-render", "fleet-simulator"];

/// What the pure crates may not use.
const IMPURE: &[&str] = &["tokio", "hyper", "kube-client", "reqwest", "axum", "rustls"];

/// Checks every member of the workspace and reports all findings at once.
pub(crate) fn check() -> Result<()> {
    let output = cargo(["metadata", "--format-version", "1", "--no-deps"])?.output()?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("`cargo metadata` gave no JSON")?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` lists no packages")?;
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        findings.extend(findings_of(name, &dependencies(package)));
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let text = std::fs::read_to_string(manifest).with_context(|| format!("{manifest} cannot be read"))?;
        if !text.contains("[lints]\nworkspace = true") {
            findings.push(format!("{name} does not take the workspace's lints"));
        }
    }
    if findings.is_empty() { Ok(()) } else { bail!("{}", findings.join("\n")) }
}

/// The names of a package's dependencies, without those for tests, with whether they lie in the workspace.
fn dependencies(package: &Value) -> Vec<(String, bool)> {
    let all = package["dependencies"].as_array().cloned().unwrap_or_default();
    all.iter()
        .filter(|dependency| dependency["kind"].is_null() || dependency["kind"] == "build")
        .map(|dependency| {
            (dependency["name"].as_str().unwrap_or_default().to_owned(), dependency["path"].is_string())
        })
        .collect()
}

/// What is wrong with the dependencies of one package.
fn findings_of(name: &str, dependencies: &[(String, bool)]) -> Vec<String> {
    let mut findings = Vec::new();
    // The tests' own crate stands at the end of every arrow.
    if name == "fleet-tests" {
        return findings;
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        return vec![format!(
            "{name} has no arrows: add it to crates/xtask/src/arrows.rs and ARCHITECTURE.md"
        )];
    };
    for (dependency, ours) in dependencies {
        if *ours && !allowed.contains(&dependency.as_str()) {
            findings.push(format!("{name} may not depend on {dependency}"));
        }
        if dependency.starts_with("aws-") && name != "fleet-provider-eks" {
            findings.push(format!("{name} names {dependency}: only fleet-provider-eks may name the AWS SDK"));
        }
        if PURE.contains(&name) && IMPURE.contains(&dependency.as_str()) {
            findings.push(format!("{name} is pure and may not depend on {dependency}"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_against_the_design_is_found() {
        let upward = [("fleet-exec".to_owned(), true), ("tokio".to_owned(), false)];
        assert_eq!(findings_of("fleet-plan", &upward).len(), 2);
        assert_eq!(findings_of("fleet-exec", &[("fleet-plan".to_owned(), true)]), Vec::<String>::new());
    }

    #[test]
    fn the_aws_sdk_is_named_in_one_crate_only() {
        let sdk = [("aws-sdk-eks".to_owned(), false)];
        assert_eq!(findings_of("fleet-provider-eks", &sdk), Vec::<String>::new());
        assert_eq!(findings_of("fleet-cli", &sdk).len(), 1);
    }

    #[test]
    fn a_crate_without_arrows_is_found() {
        assert!(findings_of("fleet-new", &[])[0].contains("has no arrows"));
    }
}
