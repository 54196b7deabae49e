//! No value of a tenant's changes the structure of a rendered object.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::sync::LazyLock;

use fleet_render::{Bundle, Catalogue};
use proptest::prelude::*;
use serde_json::Value;
use support::Cluster;

/// Stands for the hostile text in the bundle that the hostile one is held against.
const STAND_IN: &str = "STANDINq7f3";

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::builtin().unwrap());
static TAME: LazyLock<Bundle> = LazyLock::new(|| with_text(STAND_IN).bundle(&CATALOGUE));

/// The regulated tenant with a text in every field that takes free text.
fn with_text(text: &str) -> Cluster {
    let mut cluster = support::regulated();
    cluster.spec.owner.team = text.to_owned();
    cluster.spec.owner.contact = text.to_owned();
    cluster.spec.class = text.to_owned();
    cluster.spec.cluster_name = text.to_owned();
    cluster.spec.hardening.baseline = text.to_owned();
    cluster.spec.hardening.access.truncate(1);
    cluster.spec.hardening.access[0].group = text.to_owned();
    cluster.spec.hardening.access[0].principal_arn = Some(text.to_owned());
    cluster.spec.hardening.images.registries = vec![format!("registry.example.com/{text}/")];
    cluster.baseline.parameters.allowed_registries = vec![format!("registry.example.com/x{text}/")];
    cluster.baseline.parameters.exempt_namespaces[0].reason = text.to_owned();
    if let Some(eks) = cluster.spec.eks.as_mut() {
        eks.tags.insert(text.to_owned(), text.to_owned());
        eks.pod_identities[0].service_account = text.to_owned();
        eks.pod_identities[0].role_arn = text.to_owned();
    }
    cluster
}

/// A text inside a CEL string literal, by the CEL specification.
fn in_cel(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '"' | '\\' => format!("\\{character}"),
            ' '..='~' => character.to_string(),
            other if u32::from(other) <= 0xFFFF => format!("\\u{:04x}", u32::from(other)),
            other => format!("\\U{:08x}", u32::from(other)),
        })
        .collect()
}

/// The hostile value has to be the tame one with the text in place of the stand-in, and nothing else.
fn same_but_for_the_text(
    tame: &Value,
    hostile: &Value,
    text: &str,
    place: &str,
) -> Result<(), TestCaseError> {
    match (tame, hostile) {
        (Value::Object(tame), Value::Object(hostile)) => {
            prop_assert_eq!(tame.keys().collect::<Vec<_>>(), hostile.keys().collect::<Vec<_>>(), "{}", place);
            for (key, value) in tame {
                same_but_for_the_text(value, &hostile[key], text, &format!("{place}/{key}"))?;
            }
        }
        (Value::Array(tame), Value::Array(hostile)) => {
            prop_assert_eq!(tame.len(), hostile.len(), "{}", place);
            for (index, (tame, hostile)) in tame.iter().zip(hostile).enumerate() {
                same_but_for_the_text(tame, hostile, text, &format!("{place}/{index}"))?;
            }
        }
        (Value::String(tame), Value::String(hostile)) => {
            let text =
                if place.to_lowercase().ends_with("expression") { in_cel(text) } else { text.to_owned() };
            prop_assert_eq!(&tame.replace(STAND_IN, &text), hostile, "{}", place);
        }
        _ => prop_assert_eq!(tame, hostile, "{}", place),
    }
    Ok(())
}

fn hold(tame: &Bundle, hostile: &Bundle, text: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(tame.objects.len(), hostile.objects.len());
    for (tame, hostile) in tame.objects.iter().zip(&hostile.objects) {
        prop_assert_eq!(
            (&tame.control, tame.phase, &tame.api_version, &tame.kind, &tame.namespace),
            (&hostile.control, hostile.phase, &hostile.api_version, &hostile.kind, &hostile.namespace)
        );
        let (mut tame_value, mut hostile_value) = (tame.value.clone(), hostile.value.clone());
        if let Some(hash) = hostile.name.strip_prefix("fleet:tenant-admin:") {
            // The one name that depends on a text is made of a hash of it.
            prop_assert!(hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
            tame_value["metadata"]["name"].take();
            hostile_value["metadata"]["name"].take();
        }
        same_but_for_the_text(&tame_value, &hostile_value, text, &tame.name)?;
    }
    prop_assert_eq!(tame.probes.len(), hostile.probes.len());
    for (tame, hostile) in tame.probes.iter().zip(&hostile.probes) {
        let tame = serde_json::to_value(tame).unwrap();
        same_but_for_the_text(&tame, &serde_json::to_value(hostile).unwrap(), text, "probe")?;
    }
    Ok(())
}

/// Texts that mean something to YAML, to tera or to CEL, and any other.
fn hostile_text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "a: b",
        "- a",
        "\n- a",
        "\nkind: ClusterRoleBinding",
        "---",
        "\n---\n",
        "\n...\n",
        "# no",
        " #",
        "{}",
        "[]",
        "&a",
        "*a",
        "!!binary x",
        "!tag",
        "|",
        ">",
        "? a",
        "'",
        "\"",
        "\\",
        "%YAML 1.2",
        "@",
        "`",
        "null",
        "~",
        "true",
        "0x1F",
        "1e3",
        ".inf",
        "<<",
        "=",
        "{{ namespaces }}",
        "{% raw %}",
        "{# x #}",
        "\"] || true || [\"",
        "\") || true || (\"",
        "' + 'x",
        "\\\" + \"",
        "\u{feff}",
        "\u{2028}",
        "\u{85}",
        "\0",
        "\r\n",
        "\t",
        "\u{1F600}",
        "a\u{202e}b",
        "${x}",
        "$(x)",
        "\u{7f}",
    ]);
    let known = prop::collection::vec(known, 1..5).prop_map(|parts| parts.concat());
    prop_oneof![known, "(?s).{1,40}", "\\PC{1,40}", "[-:#{}\\[\\],&*!|>'\"%@`\\\\\n\t ]{1,40}"]
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hostile_text_appears_as_a_scalar_and_changes_nothing_else(text in hostile_text()) {
        prop_assume!(!text.contains(['\u{E000}', '\u{E001}', '\u{E002}']) && !text.trim().is_empty());
        prop_assume!(!text.starts_with("system:") && !text.starts_with("tenantfleet.dev:"));
        hold(&TAME, &with_text(&text).bundle(&CATALOGUE), &text)?;
    }

    #[test]
    fn a_hostile_name_or_network_is_refused(text in hostile_text()) {
        let mut tenant = support::regulated();
        tenant.spec.tenant = text.clone();
        prop_assert!(tenant.render(&CATALOGUE).is_err() || is_plain(&text));
        let mut namespace = support::regulated();
        namespace.spec.hardening.namespaces[0] = text.clone();
        prop_assert!(namespace.render(&CATALOGUE).is_err() || is_plain(&text));
        let mut cidr = support::regulated();
        cidr.spec.hardening.network.egress[0].cidr = text;
        prop_assert!(cidr.render(&CATALOGUE).is_err());
    }
}

#[test]
fn a_text_that_holds_a_mark_of_a_token_is_refused() {
    for mark in ["\u{E000}61\u{E002}", "\u{E001}61\u{E002}", "\u{E002}"] {
        assert!(with_text(mark).render(&CATALOGUE).is_err(), "{mark:?}");
    }
}
