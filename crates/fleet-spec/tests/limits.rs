//! What is too large, too deep or too entangled is refused with one finding, and arbitrary bytes never panic.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::{fmt::Write as _, fs, path::Path};

use fleet_spec::{Code, Context, Finding, Input, check, limits, load};
use proptest::prelude::*;

fn judge(inputs: &[Input]) -> Vec<Finding> {
    let context = Context::on("2026-11-24".parse().unwrap());
    match check(&load(inputs), &context) {
        Ok(checked) => checked.findings,
        Err(findings) => findings,
    }
}

fn judge_text(text: String) -> Vec<Finding> {
    judge(&[Input::text("input.yaml", text)])
}

fn codes(findings: &[Finding]) -> Vec<Code> {
    findings.iter().map(|finding| finding.code).collect()
}

/// The peak of resident memory of this process in bytes, where the system tells it.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn billion_laughs() -> String {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (before, name) in ('a'..='y').zip('b'..='z') {
        let aliases = vec![format!("*{before}"); 10].join(", ");
        writeln!(text, "{name}: &{name} [{aliases}]").unwrap();
    }
    text
}

#[test]
fn bombs_are_refused_in_bounded_memory() {
    let before = peak_memory();
    let deep_flow = "[".repeat(1_000_000);
    let deep_block: String = (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let quadratic = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(9_000));
    let merges: String = (0..500).fold("a0: &a0 {k: v}\n".to_owned(), |text, step| {
        text + &format!("a{next}: &a{next} {{<<: [*a{step}, *a{step}], k{next}: v}}\n", next = step + 1)
    });
    for (name, text) in [
        ("aliases", billion_laughs()),
        ("flow", deep_flow),
        ("block", deep_block),
        ("quadratic", quadratic),
        ("merges", merges),
    ] {
        let findings = judge_text(text);
        assert_eq!(codes(&findings), [Code::TooLarge], "{name}: {findings:?}");
    }

    // Many small documents are bounded by the nodes of the file, not of each.
    let many = "{a: [1, 2, 3, 4, 5, 6, 7, 8, 9]}\n---\n".repeat(50_000);
    assert!(codes(&judge_text(many)).contains(&Code::TooLarge));

    if let (Some(before), Some(after)) = (before, peak_memory()) {
        let grown = after - before;
        assert!(grown < 900 << 20, "{} MiB", grown >> 20);
    }
}

#[test]
fn a_file_of_a_hundred_megabytes_is_refused_without_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.yaml");
    fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let findings = judge(&[Input::Path(folder.path().to_owned())]);
    assert_eq!(codes(&findings), [Code::TooLarge]);
    assert!(findings[0].message.contains("larger than 16 MiB"), "{findings:?}");
}

#[test]
fn ten_thousand_tenants_fit() {
    let mut text = String::from(
        "apiVersion: tenantfleet.dev/v1alpha1\nkind: VersionChannel\nmetadata: {name: stable}\nspec: {versions: [{version: \"1.35\"}]}\n",
    );
    for number in 0..10_000 {
        write!(
            text,
            "---\napiVersion: tenantfleet.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: tenant-{number}}}\nspec:\n  owner: {{team: t, contact: c}}\n  class: nowhere\n  kubernetes: {{channel: stable}}\n"
        )
        .unwrap();
    }
    let loaded = load(&[Input::text("tenants.yaml", text)]);
    assert_eq!(loaded.len(), 10_001);
    let findings = check(&loaded, &Context::on("2026-11-24".parse().unwrap())).unwrap_err();
    // One cause that repeats is cut off.
    assert_eq!(findings.len(), limits::FINDINGS);
    assert!(findings.iter().all(|finding| finding.code == Code::DanglingReference));
}

#[test]
fn a_folder_is_read_in_the_order_of_its_names_and_without_what_is_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("b/two.yml", "kind: two");
    write("a.json", "{\"kind\": \"one\"}");
    write("c.yaml", "kind: three");
    write("README.md", "kind: none");
    write("kustomization.yaml", "kind: Kustomization");
    write(".hidden/x.yaml", "kind: none");
    let kinds: Vec<String> = judge(&[Input::Path(folder.path().to_owned())])
        .into_iter()
        .map(|finding| {
            Path::new(&finding.place.unwrap().file).file_name().unwrap().to_string_lossy().into_owned()
        })
        .collect();
    assert_eq!(kinds, ["a.json", "two.yml", "c.yaml"]);
}

#[cfg(unix)]
#[test]
fn links_that_lead_in_a_circle_and_pipes_do_not_hold_the_reader_up() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("and-again")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.yaml")).unwrap();
    fs::write(folder.path().join("one.yaml"), "kind: one").unwrap();
    fs::write(folder.path().join("bad.yaml"), b"kind: \xff").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("lost.yaml")).unwrap();
    let findings =
        judge(&[Input::Path(folder.path().to_owned()), Input::Path(folder.path().join("one.yaml"))]);
    assert_eq!(codes(&findings), [Code::Unreadable, Code::Unreadable, Code::MissingField], "{findings:?}");
}

#[test]
fn what_is_not_there_and_what_is_empty_say_so() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(codes(&judge(&[Input::Path(folder.path().join("none"))])), [Code::Unreadable]);
    assert_eq!(codes(&judge(&[Input::Path(folder.path().to_owned())])), [Code::NoObjects]);
    assert_eq!(codes(&judge_text("# nothing\n---\n---\n".to_owned())), [Code::NoObjects]);
}

#[test]
fn a_list_as_kubectl_prints_it_stands_for_its_items() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: tenantfleet.dev/v1alpha1\n  kind: Baseline\n  metadata: {name: standard}\n  spec: {}\n";
    let checked =
        check(&load(&[Input::text("list.yaml", text)]), &Context::on("2026-11-24".parse().unwrap())).unwrap();
    assert_eq!(checked.fleet.baselines.len(), 1);
}

/// YAML-like noise: far more of it parses than of plain bytes.
fn yaml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("apiVersion: tenantfleet.dev/v1alpha1\n".to_owned()),
        Just("kind: Tenant\n".to_owned()),
        Just("kind: TenantClass\n".to_owned()),
        Just("metadata: {name: a}\n".to_owned()),
        Just("spec:\n".to_owned()),
        Just("  owner: {team: t, contact: c}\n".to_owned()),
        Just("  kubernetes: {version: \"1.35\", until: 2026-12-01}\n".to_owned()),
        Just(
            "  maintenance: {timeZone: UTC, windows: [{days: [Mon], start: \"00:00\", duration: 1h}]}\n"
                .to_owned()
        ),
        Just("---\n".to_owned()),
        Just("- &a [1, *a]\n".to_owned()),
        Just("  class: \"a\\tb\\e[31m\"\n".to_owned()),
        Just("kind: Baseline\nmetadata: {name: \"a\\tc\"}\nspec: {}\n".to_owned()),
        Just("<<: *a\n".to_owned()),
        "[ \\t\\n:,{}\\[\\]&*!|>'\"%@`#?-]{0,12}",
        "\\PC{0,8}",
        "[a-z]{1,6}: [0-9a-z.]{1,6}\n",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        for finding in judge(&[Input::Bytes { name: "noise".to_owned(), bytes }]) {
            let _ = finding.to_text();
        }
    }

    #[test]
    fn yaml_like_noise_never_panics_and_marks_stay_inside_their_line(text in yaml_like()) {
        for finding in judge_text(text) {
            let printed = finding.to_text();
            prop_assert!(printed.chars().all(|c| c == '\n' || !c.is_control()), "{printed:?}");
            if let Some(snippet) = &finding.snippet {
                let last = snippet.lines.last().unwrap();
                let room = last.text.chars().count().max(1);
                prop_assert!(snippet.indent + snippet.length <= room + 1, "{printed}");
            }
        }
    }
}
