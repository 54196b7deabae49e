//! The example specs hold together.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::path::PathBuf;

use fleet_spec::{Checked, Code, Context, Finding, Input, check, load};

fn check_example(name: &str) -> Checked {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fleet").join(name);
    let loaded = load(&[Input::Path(folder)]);
    let context = Context::on("2026-11-24".parse().unwrap());
    check(&loaded, &context).unwrap_or_else(|findings| panic!("{}", as_text(&findings)))
}

fn as_text(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_text).collect::<Vec<_>>().join("\n\n")
}

#[test]
fn the_demo_has_three_tenants_in_two_classes_and_a_rollout_that_is_left_alone() {
    let Checked { fleet, findings } = check_example("demo");
    assert!(findings.iter().all(|finding| finding.code == Code::RolloutInSpec), "{}", as_text(&findings));
    assert_eq!(findings.len(), 1);
    assert_eq!(fleet.tenants.keys().collect::<Vec<_>>(), ["acme-payments", "globex-web", "initech-batch"]);
    assert_eq!(fleet.classes.len(), 2);
    assert_eq!(fleet.channels.len(), 3);
    assert_eq!(fleet.baselines.len(), 2);
    assert_eq!(fleet.fleet.spec.defaults.channel.as_deref(), Some("stable"));
}

#[test]
fn the_minimal_spec_has_no_finding() {
    let Checked { fleet, findings } = check_example("minimal");
    assert!(findings.is_empty(), "{}", as_text(&findings));
    assert_eq!(fleet.len(), 5);
}
