//! Broken specs and exactly what is said about them.
//!
//! Each `tests/broken/NAME.yaml` is judged on 2026-11-24 beside the demo fleet, and what is printed must be
//! `NAME.txt`. With `UPDATE_GOLDEN=1` the texts are written anew, to be read before they are committed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use fleet_spec::{
    Code, Context, FieldPath, Finding, Input, Severity, ValidatedFleet, check, load, render, rollout_file,
    rules::Problem,
};

fn demo() -> ValidatedFleet {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fleet/demo");
    check(&load(&[Input::Path(folder)]), &Context::on("2026-11-24".parse().unwrap())).unwrap().fleet
}

fn judge(name: &str, text: &str, beside: Option<&ValidatedFleet>) -> Vec<Finding> {
    let controls: BTreeSet<String> = ["NET-1", "NET-2", "POD-7", "RB-1"].map(str::to_owned).into();
    let context = Context { today: "2026-11-24".parse().unwrap(), controls: Some(&controls), beside };
    let loaded = load(&[Input::text(name, text)]);
    match check(&loaded, &context) {
        Ok(checked) => checked.findings,
        Err(findings) => findings,
    }
}

fn print(findings: &[Finding]) -> String {
    let mut parts: Vec<String> = findings.iter().map(Finding::to_text).collect();
    parts.push(render::summary(findings) + "\n");
    parts.join("\n\n")
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_broken_spec_gets_exactly_its_findings() {
    let demo = demo();
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&case).unwrap();
        // A spec that says so is judged alone.
        let beside = (!text.starts_with("# alone")).then_some(&demo);
        let printed = print(&judge(&name, &text, beside));
        let golden = case.with_extension("txt");
        if update {
            fs::write(&golden, &printed).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != printed {
            wrong.push(format!("{name}:\n{printed}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

#[test]
fn every_code_is_shown_by_a_broken_spec_or_a_test_of_its_own() {
    // These need files, or sizes, that no fixture should have.
    // What is said of a rollout's members is said by the planner, which knows them.
    let elsewhere = [
        Code::Unreadable,
        Code::TooLarge,
        Code::NoObjects,
        Code::OneRollout,
        Code::ApproversTooFew,
        Code::NoWave,
        Code::TwoWaves,
        Code::EmptyWave,
        Code::MinorSkipped,
        Code::VersionBelow,
        Code::NothingToDo,
        Code::MemberUnknown,
        Code::MemberTaken,
        Code::MemberPinned,
        Code::BudgetSpent,
        Code::DeadlineTooShort,
        Code::GateTooLate,
        Code::CannotHoldTogether,
    ];
    let demo = demo();
    let seen: BTreeSet<Code> = cases()
        .iter()
        .flat_map(|case| {
            let text = fs::read_to_string(case).unwrap();
            let beside = (!text.starts_with("# alone")).then_some(&demo);
            judge("x.yaml", &text, beside)
        })
        .map(|finding| finding.code)
        .collect();
    let missing: Vec<&str> = Code::ALL
        .iter()
        .filter(|code| !seen.contains(code) && !elsewhere.contains(code))
        .map(|code| code.as_str())
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn a_finding_has_a_stable_shape_in_json() {
    let text =
        "apiVersion: tenantfleet.dev/v1alpha1\nkind: Fleet\nmetadata: {name: fleet}\nspec: {brake: {}}\n";
    let findings = judge("fleet.yaml", text, None);
    assert_eq!(
        serde_json::to_value(&findings).unwrap(),
        serde_json::json!([{
            "severity": "error",
            "code": "unknown-field",
            "place": {"file": "fleet.yaml", "line": 4, "column": 8},
            "object": "Fleet fleet",
            "path": "spec.brake",
            "message": "`spec` has no field `brake`",
            "hint": "did you mean `brakes`?",
            "snippet": {
                "lines": [
                    {"number": 3, "text": "metadata: {name: fleet}"},
                    {"number": 4, "text": "spec: {brake: {}}"},
                ],
                "indent": 7,
                "length": 5,
            },
        }])
    );
}

#[test]
fn of_several_rollouts_every_fault_is_told_and_where_the_first_of_them_is() {
    let text = "apiVersion: tenantfleet.dev/v1alpha1\nkind: Rollout\nmetadata: {name: one}\n\
                spec: {target: {kubernetes: '1.36'}, waves: [{name: all, selector: {}}], slotz: Binding}\n---\n\
                apiVersion: tenantfleet.dev/v1alpha1\nkind: Rollout\nmetadata: {name: two}\n\
                spec: {target: {kubernetes: '1.36'}}\n";
    let findings = rollout_file(&load(&[Input::text("up.yaml", text)])).unwrap_err();
    let said = findings.iter().map(|one| {
        let place = one.place.as_ref().unwrap();
        (one.code, place.line, one.hint.as_deref().unwrap_or_default())
    });
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            (Code::UnknownField, 4, "did you mean `slots`?"),
            (Code::OneRollout, 8, "keep it in a file of its own: the first is at up.yaml:3"),
            (Code::MissingField, 9, "add `waves`: the waves, in the order in which they run"),
        ]
    );
}

#[test]
fn who_belongs_where_is_told_only_when_every_selector_could_be_read() {
    let waves = FieldPath::spec().field("waves");
    let selector = waves.index(1).field("selector");
    let problem = |code, path: &FieldPath| Problem {
        severity: Severity::Error,
        code,
        path: path.clone(),
        message: "acme".to_owned(),
        hint: None,
    };
    let told = |written: &str, beside: Problem| {
        let text = format!(
            "apiVersion: tenantfleet.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: up}}\nspec:\n  target: {{kubernetes: \
             '1.36'}}\n  members: {{}}\n  waves:\n    - {{name: a, selector: {written}}}\n    - {{name: b, selector: \
             {{tenants: [x]}}}}\n"
        );
        let loaded = load(&[Input::text("up.yaml", text)]);
        let problems = vec![beside, problem(Code::NoWave, &waves), problem(Code::TwoWaves, &selector)];
        let findings = rollout_file(&loaded).unwrap().located(problems);
        findings.into_iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    let unknown = problem(Code::DanglingReference, &selector.field("tenants").index(0));
    let taken = problem(Code::MemberTaken, &FieldPath::spec().field("members"));
    let unreadable = problem(Code::InvalidValue, &selector.field("tenants").index(0));
    let whole = "{tenants: [acme]}";
    assert_eq!(told(whole, taken.clone()), [Code::MemberTaken, Code::NoWave, Code::TwoWaves]);
    assert_eq!(told(whole, unknown), [Code::NoWave, Code::TwoWaves, Code::DanglingReference]);
    assert_eq!(told(whole, unreadable), [Code::InvalidValue]);
    assert_eq!(told("{tenant: [acme]}", taken), [Code::MemberTaken, Code::UnknownField]);
}
