//! A located document to a typed object.

use fleet_api::{
    API_VERSION, GROUP,
    v1alpha1::{
        Baseline, ControlException, DRIVEN_FIELDS, Fleet, RolloutStrategy, Tenant, TenantClass,
        VersionChannel,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};

use crate::{
    field_path::FieldPath,
    finding::Code,
    input::Source,
    metadata,
    node::{Mark, Node, Value},
    schema::{self, Fault, Walk},
    text::{nearest, one_of, shown},
};

/// The kinds that a spec holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Fleet,
    Tenant,
    TenantClass,
    Baseline,
    VersionChannel,
    ControlException,
    Rollout,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Fleet,
        Self::Tenant,
        Self::TenantClass,
        Self::Baseline,
        Self::VersionChannel,
        Self::ControlException,
        Self::Rollout,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Fleet => "Fleet",
            Self::Tenant => "Tenant",
            Self::TenantClass => "TenantClass",
            Self::Baseline => "Baseline",
            Self::VersionChannel => "VersionChannel",
            Self::ControlException => "ControlException",
            Self::Rollout => "Rollout",
        }
    }
}

/// An object of a spec, typed.
#[derive(Debug, Clone)]
pub(crate) enum Typed {
    Fleet(Fleet),
    Tenant(Tenant),
    TenantClass(TenantClass),
    Baseline(Baseline),
    VersionChannel(VersionChannel),
    ControlException(ControlException),
    Rollout(RolloutDraft),
}

/// A rollout that nobody has started: what its file says.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RolloutDraft {
    pub(crate) spec: RolloutStrategy,
}

/// What a document turned out to be.
#[derive(Debug)]
pub(crate) struct Object {
    /// The kind, if it is one that a spec holds.
    pub(crate) kind: Option<Kind>,
    /// The name, if it has one.
    pub(crate) name: Option<String>,
    /// The object, unless a fault leaves no object.
    pub(crate) typed: Option<Typed>,
    pub(crate) faults: Vec<Fault>,
}

impl Object {
    /// `Tenant acme-payments`, as far as it is known.
    pub(crate) fn title(&self) -> Option<String> {
        let kind = self.kind?.as_str();
        Some(match &self.name {
            Some(name) => format!("{kind} {}", shown(name)),
            None => kind.to_owned(),
        })
    }
}

/// Reads an object out of a document.
pub(crate) fn read(root: &Node, source: &Source) -> Object {
    let mut walk = Walk::new(source);
    let path = FieldPath::root();
    if !matches!(root.value, Value::Map(_)) {
        let message = format!("a document must be an object, and this is {}", root.value.kind());
        let hint = Some(format!("begin it with `apiVersion: {API_VERSION}` and `kind:`"));
        walk.error(root.at, Code::NotAnObject, &path, message, hint);
        return Object { kind: None, name: None, typed: None, faults: walk.faults };
    }
    let kind = identify(root, &mut walk);
    let name = root
        .get("metadata")
        .and_then(|metadata| metadata.get("name"))
        .and_then(Node::text)
        .map(str::to_owned);
    let typed = kind.and_then(|kind| convert(kind, root, &mut walk));
    Object { kind, name, typed, faults: walk.faults }
}

/// Which kind it is; `None`, with the reason among the faults, when it is none of ours.
fn identify(root: &Node, walk: &mut Walk<'_>) -> Option<Kind> {
    let path = FieldPath::root();
    let mut text_of = |name: &str, example: &str| match root.get(name) {
        Some(Node { value: Value::Text(text), .. }) => Some(text.clone()),
        Some(other) => {
            let message = format!("`{name}` takes text, not {}", other.value.kind());
            walk.error(other.at, Code::WrongType, &path.field(name), message, None);
            None
        }
        None => {
            let hint = Some(format!("add `{name}: {example}`"));
            let misspelt = root
                .entries()
                .iter()
                .map(|(key, _)| key.text.as_str())
                .any(|key| nearest(key, ["apiVersion", "kind"]) == Some(name));
            if !misspelt {
                let message = format!("the object needs `{name}`");
                walk.error(Mark::default(), Code::MissingField, &path.field(name), message, hint);
            }
            None
        }
    };
    let api_version = text_of("apiVersion", API_VERSION);
    let kind = text_of("kind", "Tenant");
    let (Some(api_version), Some(kind)) = (api_version, kind) else {
        for (key, _) in root.entries() {
            if let Some(meant) = nearest(&key.text, TOP).filter(|meant| *meant != key.text) {
                let hint = Some(format!("did you mean `{meant}`?"));
                let message = format!("an object has no field `{}`", shown(&key.text));
                walk.error(key.at, Code::UnknownField, &path.field(&key.text), message, hint);
            }
        }
        return None;
    };
    let at = |name: &str| root.locate(&path.field(name));
    let ours = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
    if api_version != API_VERSION {
        let group = api_version.split('/').next().unwrap_or_default();
        let near_group = group == GROUP || nearest(group, [GROUP]).is_some();
        if near_group || ours.is_some() {
            let message = format!("fleet has no API version `{}`", shown(&api_version));
            let hint = Some(format!("write `apiVersion: {API_VERSION}`"));
            walk.error(at("apiVersion"), Code::UnknownApiVersion, &path.field("apiVersion"), message, hint);
            // The kind is known all the same, so that references to the object do not dangle.
            return ours;
        }
        let message = format!("a fleet spec holds no {} of `{}`", shown(&kind), shown(&api_version));
        let hint =
            Some(format!("keep it in a folder of its own; a fleet spec holds objects of `{API_VERSION}`"));
        walk.error(at("kind"), Code::ForeignObject, &path.field("kind"), message, hint);
        return None;
    }
    if kind == "TenantCluster" {
        let message = "a TenantCluster is made by the controller, from a Tenant and its class".to_owned();
        let hint = Some("write a Tenant instead, and leave TenantClusters out of the spec".to_owned());
        walk.error(at("kind"), Code::MadeByController, &path.field("kind"), message, hint);
        return None;
    }
    if kind == "UpgradePreference" {
        let message =
            "an UpgradePreference is written by the tenant's people, and no part of a spec".to_owned();
        let hint =
            Some("let them apply it in the namespace `tenant-NAME` of the management cluster".to_owned());
        walk.error(at("kind"), Code::TenantsOwn, &path.field("kind"), message, hint);
        return None;
    }
    if ours.is_none() {
        let names = Kind::ALL.map(Kind::as_str);
        let hint = match nearest(&kind, names) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it is one of {}", one_of(names)),
        };
        let message = format!("fleet has no kind `{}`", shown(&kind));
        walk.error(at("kind"), Code::UnknownKind, &path.field("kind"), message, Some(hint));
    }
    ours
}

/// The fields at the top of an object.
const TOP: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];

fn convert(kind: Kind, root: &Node, walk: &mut Walk<'_>) -> Option<Typed> {
    let path = FieldPath::root();
    walk.duplicates(root, &path);
    for (key, _) in root.entries() {
        match key.text.as_str() {
            "apiVersion" | "kind" | "metadata" | "spec" => {}
            "status" => {
                let message = "the status is written by the controller alone, and is left out".to_owned();
                let hint = Some("take `status` away".to_owned());
                walk.warning(key.at, Code::StatusInManifest, &path.field("status"), message, hint);
            }
            other => walk.unknown(key.at, other, &path, &TOP),
        }
    }
    let metadata = metadata::read(root, walk);
    let spec_path = FieldPath::spec();
    if kind == Kind::Rollout {
        driven(root, walk);
    }
    let spec = match root.get("spec") {
        Some(node) if !matches!(node.value, Value::Null) => {
            walk.value(schema::of_spec(kind.as_str()), node, &spec_path)
        }
        _ => {
            let misspelt = root
                .entries()
                .iter()
                .any(|(key, _)| !TOP.contains(&key.text.as_str()) && nearest(&key.text, TOP) == Some("spec"));
            if !misspelt {
                let hint = Some("add `spec:` with the object's fields below it".to_owned());
                let message = "the object needs `spec`".to_owned();
                walk.error(Mark::default(), Code::MissingField, &spec_path, message, hint);
            }
            None
        }
    };
    let mut spec = spec;
    if kind == Kind::Rollout {
        if let Some(Json::Object(spec)) = &mut spec {
            spec.retain(|field, _| !DRIVEN_FIELDS.contains(&field.as_str()));
        }
        // How it is written does not matter where it is not to be written at all.
        let driven = DRIVEN_FIELDS.map(|field| spec_path.field(field));
        let is_told = |fault: &Fault| {
            fault.code == Code::DrivenField
                || !driven.iter().any(|path| path.touches(&fault.path) && fault.path != spec_path)
        };
        walk.faults.retain(is_told);
    }
    let object = json!({
        "apiVersion": API_VERSION,
        "kind": kind.as_str(),
        // An object whose name is missing is judged all the same, under one that nothing is said of.
        "metadata": metadata.unwrap_or_else(|| json!({"name": "unnamed"})),
        "spec": spec?,
    });
    match kind {
        Kind::Fleet => typed(object, root, walk).map(Typed::Fleet),
        Kind::Tenant => typed(object, root, walk).map(Typed::Tenant),
        Kind::TenantClass => typed(object, root, walk).map(Typed::TenantClass),
        Kind::Baseline => typed(object, root, walk).map(Typed::Baseline),
        Kind::VersionChannel => typed(object, root, walk).map(Typed::VersionChannel),
        Kind::ControlException => typed(object, root, walk).map(Typed::ControlException),
        Kind::Rollout => typed(object, root, walk).map(Typed::Rollout),
    }
}

/// Reports what a rollout file holds of a rollout that was started.
fn driven(root: &Node, walk: &mut Walk<'_>) {
    let fields = root.get("spec").map(Node::entries).unwrap_or_default();
    for (key, _) in fields.iter().filter(|(key, _)| DRIVEN_FIELDS.contains(&key.text.as_str())) {
        let message = format!("`{}` is written when the rollout is started or driven", key.text);
        let hint = Some(format!("take `{}` away: this file is what is planned", key.text));
        walk.error(key.at, Code::DrivenField, &FieldPath::spec().field(&key.text), message, hint);
    }
}

/// The schema has been held already, so this fails only where a type knows more than its schema.
fn typed<T: DeserializeOwned>(object: Json, root: &Node, walk: &mut Walk<'_>) -> Option<T> {
    match serde_path_to_error::deserialize::<_, T>(object) {
        Ok(object) => Some(object),
        Err(error) => {
            let path = error.path().iter().fold(FieldPath::root(), |path, segment| match segment {
                serde_path_to_error::Segment::Seq { index } => path.index(*index),
                serde_path_to_error::Segment::Map { key } => path.field(key),
                serde_path_to_error::Segment::Enum { variant } => path.field(variant),
                serde_path_to_error::Segment::Unknown => path,
            });
            // What is faulty by the schema was left out, and is reported already.
            if walk.faults.iter().all(|fault| !fault.path.touches(&path)) {
                let message = shown(&error.inner().to_string());
                walk.error(root.locate(&path), Code::InvalidValue, &path, message, None);
            }
            None
        }
    }
}
