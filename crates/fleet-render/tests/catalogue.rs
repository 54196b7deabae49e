//! A catalogue in a folder: a control is a folder, and a wrong one is named by its file.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::fs;

use fleet_render::{Catalogue, ControlState, Expect, RenderError};
use tempfile::TempDir;

const CONTROL: &str = "
id: TRY-1
title: Every namespace has a note
demands: A ConfigMap in every namespace of the tenant's.
maps: {pci: ['12.4']}
reach: namespaces
notApplicable:
  - {when: profile.pci and tenant.name == \"acme-payments\", why: The tenant keeps its notes elsewhere.}
templates:
  - {file: note.yaml, phase: Rest}
probes: probes.yaml
";
const NOTE: &str = "
{% for namespace in control.enforced %}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: note, namespace: {{ namespace }}}
data: {team: {{ tenant.team }}}
{% endfor %}
";
const PROBES: &str = "
- id: delete
  title: A tenant's editor deletes the note
  as: tenantEdit
  attempt: {delete: {apiVersion: v1, kind: ConfigMap, namespace: {{ namespaces[0] }}, name: note}}
  denied: fleet-res-4
- id: read
  title: A tenant's editor reads the note
  as: tenantEdit
  attempt: {access: {verb: get, resource: configmaps, namespace: {{ namespaces[0] }}}}
  twinOf: delete
";

fn folder(control: &str, note: &str, probes: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("TRY-1");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("control.yaml"), control).unwrap();
    fs::write(own.join("note.yaml"), note).unwrap();
    fs::write(own.join("probes.yaml"), probes).unwrap();
    folder
}

fn refusal(control: &str, note: &str, probes: &str) -> String {
    let folder = folder(control, note, probes);
    let rendered = Catalogue::read(folder.path()).and_then(|catalogue| support::plain().render(&catalogue));
    rendered.map(|bundle| format!("rendered {}", bundle.revision)).unwrap_or_else(|error| error.to_string())
}

#[test]
fn a_folder_is_all_that_a_control_needs() {
    let folder = folder(CONTROL, NOTE, PROBES);
    let bundle = support::plain().bundle(&Catalogue::read(folder.path()).unwrap());
    assert_eq!(bundle.controls.len(), 1);
    assert_eq!(bundle.controls[0].maps, ["PCI 12.4"]);
    assert_eq!(bundle.objects.len(), 1);
    assert_eq!(bundle.objects[0].value["data"]["team"], "batch");
    assert_eq!(bundle.probes[0].expect, Expect::Denied { by: "fleet-res-4".to_owned() });
    assert_eq!(bundle.probes[1].twin_of.as_deref(), Some("TRY-1/delete"));
}

#[test]
fn a_control_without_meaning_for_a_cluster_says_why_and_renders_nothing() {
    let folder = folder(CONTROL, NOTE, PROBES);
    let bundle = support::regulated().bundle(&Catalogue::read(folder.path()).unwrap());
    let why = "The tenant keeps its notes elsewhere.".to_owned();
    assert_eq!(bundle.controls[0].state, ControlState::NotApplicable { why });
    assert!(bundle.objects.is_empty() && bundle.probes.is_empty());
}

#[test]
fn a_wrong_control_is_named_by_its_file() {
    let wrong = |from: &str, to: &str| refusal(&CONTROL.replace(from, to), NOTE, PROBES);
    assert!(wrong("TRY-1", "TRY-2").contains("`TRY-2` lies in the folder `TRY-1`"));
    assert!(wrong("note.yaml", "notes.yaml").contains("there is no file `notes.yaml` beside it"));
    assert!(wrong("phase: Rest", "phase: Last").contains("`TRY-1/control.yaml` is wrong"));
    assert!(wrong("reach:", "reaches:").contains("reaches"));
    assert!(wrong("profile.pci", "profile.soc").contains("`profile.soc` is not defined"));
    assert!(
        wrong("reach: namespaces", "reach: namespaces\ntightenedBy: {soc: more}")
            .contains("no profile `soc`")
    );
}

#[test]
fn a_wrong_template_or_probe_is_named_by_its_file() {
    let note = |from: &str, to: &str| refusal(CONTROL, &NOTE.replace(from, to), PROBES);
    assert!(note("tenant.team", "tenant.crew").starts_with("template `TRY-1/note.yaml`, line 7: "));
    assert!(note("namespace: {{ namespace }}", "").contains("it has no `metadata.namespace`"));
    assert!(note("name: note,", "").contains("it has no `metadata.name`"));
    let namespace = NOTE.replace("ConfigMap", "Namespace").replace("data: {team: {{ tenant.team }}}", "");
    assert!(refusal(CONTROL, &namespace, PROBES).contains("its kind has no namespaces"));
    assert!(
        note(
            "{% for namespace in control.enforced %}",
            "{% for namespace in [namespaces[0], namespaces[0]] %}"
        )
        .contains("rendered twice")
    );
    let probe = |from: &str, to: &str| refusal(CONTROL, NOTE, &PROBES.replace(from, to));
    assert!(
        probe("twinOf: delete", "twinOf: erase").contains("no probe `TRY-1/erase` comes before its twin")
    );
    assert!(probe("id: read", "id: delete").contains("the id is there twice"));
    assert!(probe("twinOf: delete", "marker: true").contains("a marker must be denied"));
    assert!(probe("as: tenantEdit", "as: somebody").contains("somebody"));
    assert!(probe("verb: get", "verbs: get").contains("missing field `verb`"));
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let missing = tempfile::tempdir().unwrap().path().join("nothing");
    assert!(matches!(Catalogue::read(&missing), Err(RenderError::Read { .. })));
}
