//! From the catalogue and one cluster's specs to its bundle.

use std::collections::BTreeSet;

use fleet_api::{
    KubernetesVersion, labels,
    text::Day,
    v1alpha1::{BaselineSpec, ControlExceptionSpec, TenantClusterSpec},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tera::Context;

use crate::{
    Attempt, Bundle, BundleObject, Catalogue, Control, ControlInfo, ControlState, Expect, Phase, Probe,
    RenderError, Waiver,
    catalogue::{Reach, condition_name},
    engine::Engine,
    hash, lint, normalise, persona,
    typed::{self, Scope},
    values::Values,
};

/// The control that a baseline's own templates count under.
const EXTRA: &str = "EXTRA";

/// What a bundle is rendered from.
#[derive(Debug, Clone, Copy)]
pub struct RenderInput<'a> {
    /// The cluster.
    pub spec: &'a TenantClusterSpec,
    /// Its baseline.
    pub baseline: &'a BaselineSpec,
    /// The waivers; those of other tenants and those that have expired are left out of account.
    pub exceptions: &'a [ControlExceptionSpec],
    /// The minor that the cluster's API server was seen to run, not the wanted one: rules that a server does not
    /// know yet must not be sent to it.
    pub version: KubernetesVersion,
    /// The day, by which waivers expire. Nothing else depends on it.
    pub today: Day,
}

/// Renders the bundle of one cluster. The same input gives the same bundle.
pub fn render(catalogue: &Catalogue, input: &RenderInput<'_>) -> Result<Bundle, RenderError> {
    let values = Values::of(input.spec, input.baseline, input.version)?;
    let mut rendering =
        Rendering { objects: Vec::new(), controls: Vec::new(), markers: Vec::new(), probes: Vec::new() };
    for control in catalogue.controls() {
        rendering.control(&catalogue.engine, control, &values, input)?;
    }
    rendering.extra_templates(&catalogue.engine, &values, input.baseline)?;
    rendering.objects.sort_by_key(|object| object.phase);
    rendering.every_object_is_there_once()?;
    lint::limits_fit_quotas(&rendering.objects)?;
    Ok(rendering.bundle())
}

/// What the templates of one control get beside the values of the bundle.
#[derive(Debug, Serialize)]
struct ControlValues<'a> {
    id: &'a str,
    /// The tenant's namespaces that it covers.
    enforced: Vec<&'a str>,
    /// The tenant's namespaces that a waiver covers.
    waived: Vec<&'a str>,
    /// The namespaces that its policies leave alone, by name.
    exempt: Vec<&'a str>,
}

#[derive(Serialize)]
struct TemplateValues<'a> {
    #[serde(flatten)]
    bundle: &'a Values,
    control: &'a ControlValues<'a>,
}

/// A probe as the catalogue writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CatalogueProbe {
    /// The id within the control.
    id: String,
    title: String,
    #[serde(rename = "as")]
    persona: persona::Name,
    attempt: Attempt,
    /// The words that the refusal must hold. Without them, the request must pass.
    denied: Option<String>,
    /// The probe of the same control that this is the twin of.
    twin_of: Option<String>,
    /// Whether the admission phase waits for it.
    #[serde(default)]
    marker: bool,
}

struct Rendering {
    objects: Vec<BundleObject>,
    controls: Vec<ControlInfo>,
    markers: Vec<Probe>,
    probes: Vec<Probe>,
}

impl Rendering {
    fn control(
        &mut self,
        engine: &Engine,
        control: &Control,
        values: &Values,
        input: &RenderInput<'_>,
    ) -> Result<(), RenderError> {
        let mut info = ControlInfo {
            id: control.id.clone(),
            title: control.title.clone(),
            maps: control.maps.texts(),
            state: ControlState::Active,
            waivers: Vec::new(),
            notes: values.notes.get(control.id.as_str()).cloned().unwrap_or_default(),
        };
        let waived = waive(control, values, input, &mut info);
        let covered = |name: &&str| waived.contains(*name);
        let names = values.namespaces.iter().map(String::as_str);
        let control_values = ControlValues {
            id: &control.id,
            enforced: names.clone().filter(|name| !covered(name)).collect(),
            waived: names.filter(covered).collect(),
            exempt: values
                .exempt
                .iter()
                .chain(&waived)
                .map(String::as_str)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
        };
        let context = context(&TemplateValues { bundle: values, control: &control_values }, &control.id)?;
        if info.state == ControlState::Active {
            info.state = applicability(engine, control, &context)?;
        }
        let accepted = matches!(info.state, ControlState::Accepted { .. });
        if !matches!(info.state, ControlState::NotApplicable { .. }) {
            for template in &control.templates {
                // A namespace has to exist whatever is waived; its template drops the labels instead.
                if accepted && template.phase != Phase::Namespaces {
                    continue;
                }
                let name = format!("{}/{}", control.id, template.file);
                let documents = engine.render(&name, &context)?;
                self.objects_of(&name, &control.id, template.phase, documents, values)?;
            }
        }
        if info.state == ControlState::Active {
            self.probes_of(engine, control, &context)?;
        }
        self.controls.push(info);
        Ok(())
    }

    fn extra_templates(
        &mut self,
        engine: &Engine,
        values: &Values,
        baseline: &BaselineSpec,
    ) -> Result<(), RenderError> {
        if baseline.extra_templates.is_empty() {
            return Ok(());
        }
        let mut engine = engine.clone();
        let names = values.namespaces.iter().map(String::as_str).collect();
        let exempt = values.exempt.iter().map(String::as_str).collect();
        let control = ControlValues { id: EXTRA, enforced: names, waived: Vec::new(), exempt };
        let context = context(&TemplateValues { bundle: values, control: &control }, EXTRA)?;
        for extra in &baseline.extra_templates {
            let name = format!("extraTemplates/{}", extra.name);
            engine.add([(name.as_str(), extra.template.as_str())])?;
            let documents = engine.render(&name, &context)?;
            self.objects_of(&name, EXTRA, Phase::Rest, documents, values)?;
        }
        Ok(())
    }

    fn objects_of(
        &mut self,
        template: &str,
        control: &str,
        phase: Phase,
        documents: Vec<Value>,
        values: &Values,
    ) -> Result<(), RenderError> {
        for (index, document) in documents.into_iter().enumerate() {
            let mut value = normalise::object(document);
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let (kind, name) = (text("/kind"), text("/metadata/name"));
            let described = match (&kind, &name) {
                (Some(kind), Some(name)) => format!("{kind} {name}"),
                _ => format!("number {}", index + 1),
            };
            let wrong = |message: &str| RenderError::Object {
                template: template.to_owned(),
                object: described.clone(),
                message: message.to_owned(),
            };
            let api_version = text("/apiVersion").ok_or_else(|| wrong("it has no `apiVersion`"))?;
            let kind = kind.ok_or_else(|| wrong("it has no `kind`"))?;
            let name = name.ok_or_else(|| wrong("it has no `metadata.name`"))?;
            let namespace = text("/metadata/namespace");
            match (typed::check(&value).map_err(|message| wrong(&message))?, &namespace) {
                (Some(Scope::Namespaced), None) => return Err(wrong("it has no `metadata.namespace`")),
                (Some(Scope::Cluster), Some(_)) => return Err(wrong("its kind has no namespaces")),
                _ => {}
            }
            if let Some(metadata) = value.pointer_mut("/metadata").and_then(Value::as_object_mut) {
                let labels = metadata.entry("labels").or_insert_with(|| json!({}));
                for (key, label) in [
                    (labels::MANAGED_BY, labels::MANAGED_BY_FLEET),
                    (labels::TENANT, values.tenant.name.as_str()),
                    (labels::CONTROL, control),
                ] {
                    labels[key] = Value::from(label);
                }
            }
            let value = normalise::object(value);
            let hash = hash::content(&value);
            let control = control.to_owned();
            self.objects.push(BundleObject {
                control,
                phase,
                api_version,
                kind,
                namespace,
                name,
                value,
                hash,
            });
        }
        Ok(())
    }

    fn probes_of(
        &mut self,
        engine: &Engine,
        control: &Control,
        context: &Context,
    ) -> Result<(), RenderError> {
        let template = format!("{}/{}", control.id, control.probes);
        let wrong = |object: &str, message: String| RenderError::Object {
            template: template.clone(),
            object: object.to_owned(),
            message,
        };
        let documents = engine.render(&template, context)?;
        let written = documents.into_iter().flat_map(|document| match document {
            Value::Array(items) => items,
            other => vec![other],
        });
        let mut known = BTreeSet::new();
        for (index, value) in written.enumerate() {
            let probe: CatalogueProbe = serde_json::from_value(value)
                .map_err(|error| wrong(&format!("probe number {}", index + 1), error.to_string()))?;
            let twin_of = probe.twin_of.map(|twin| format!("{}/{twin}", control.id));
            let id = format!("{}/{}", control.id, probe.id);
            if let Some(missing) = twin_of.as_ref().filter(|twin| !known.contains(*twin)) {
                return Err(wrong(&id, format!("no probe `{missing}` comes before its twin")));
            }
            if !known.insert(id.clone()) {
                return Err(wrong(&id, "the id is there twice".to_owned()));
            }
            if probe.marker && probe.denied.is_none() {
                return Err(wrong(&id, "a marker must be denied".to_owned()));
            }
            let rendered = Probe {
                id,
                control: control.id.clone(),
                title: probe.title,
                persona: probe.persona.persona(),
                attempt: probe.attempt,
                expect: probe.denied.map_or(Expect::Allowed, |by| Expect::Denied { by }),
                twin_of,
            };
            if probe.marker {
                self.markers.push(rendered.clone());
            }
            self.probes.push(rendered);
        }
        Ok(())
    }

    fn every_object_is_there_once(&self) -> Result<(), RenderError> {
        let mut seen = BTreeSet::new();
        for object in &self.objects {
            if !seen.insert((&object.api_version, &object.kind, &object.namespace, &object.name)) {
                return Err(RenderError::Object {
                    template: object.control.clone(),
                    object: format!("{} {}", object.kind, object.name),
                    message: "it is rendered twice".to_owned(),
                });
            }
        }
        Ok(())
    }

    fn bundle(self) -> Bundle {
        let Self { objects, controls, markers, probes } = self;
        let content = json!({
            "objects": objects.iter().map(|object| (object.phase.as_str(), &object.hash)).collect::<Vec<_>>(),
            "markers": markers.iter().map(|probe| &probe.id).collect::<Vec<_>>(),
            "probes": probes,
        });
        Bundle { revision: hash::content(&content), objects, controls, markers, probes }
    }
}

fn context(values: &TemplateValues<'_>, control: &str) -> Result<Context, RenderError> {
    Context::from_serialize(values).map_err(|error| RenderError::Template {
        template: control.to_owned(),
        line: None,
        message: error.to_string(),
    })
}

/// Whether a control has a meaning for the cluster.
fn applicability(engine: &Engine, control: &Control, context: &Context) -> Result<ControlState, RenderError> {
    for (index, rule) in control.not_applicable.iter().enumerate() {
        let answer = engine.render(&condition_name(&control.id, index), context)?;
        if answer == [Value::Bool(true)] {
            return Ok(ControlState::NotApplicable { why: rule.why.clone() });
        }
    }
    Ok(ControlState::Active)
}

/// The namespaces that waivers cover for a control, with what is to be said about them in its info.
fn waive(
    control: &Control,
    values: &Values,
    input: &RenderInput<'_>,
    info: &mut ControlInfo,
) -> BTreeSet<String> {
    let mut covered = BTreeSet::new();
    let mut whole: Option<&ControlExceptionSpec> = None;
    let own = |exception: &&ControlExceptionSpec| {
        exception.control == control.id && exception.tenant == input.spec.tenant
    };
    for exception in input.exceptions.iter().filter(own) {
        let namespaces =
            exception.scope.as_ref().map(|scope| scope.namespaces.as_slice()).unwrap_or_default();
        if exception.expires < input.today {
            info.notes.push(format!("A waiver ended on {}: the control holds again.", exception.expires));
            continue;
        }
        if !control.waivable {
            info.notes.push("A waiver has no effect: the other controls stand on this one.".to_owned());
            continue;
        }
        if control.reach == Reach::Cluster && !namespaces.is_empty() {
            info.notes.push(
                "A waiver for single namespaces has no effect: the control is about the whole cluster."
                    .to_owned(),
            );
            continue;
        }
        if namespaces.is_empty() {
            covered.extend(values.namespaces.iter().cloned());
            // The one that holds longest says until when.
            whole = whole.into_iter().chain([exception]).max_by_key(|exception| exception.expires);
        }
        covered.extend(namespaces.iter().filter(|name| values.namespaces.contains(name)).cloned());
        info.waivers.push(Waiver {
            namespaces: namespaces.to_vec(),
            reason: exception.reason.clone(),
            owner: exception.owner.clone(),
            approver: exception.approver.clone(),
            until: exception.expires,
        });
    }
    if let Some(exception) = whole {
        info.state = ControlState::Accepted {
            until: exception.expires,
            reason: exception.reason.clone(),
            approver: exception.approver.clone(),
        };
    } else if let Some(first) = info.waivers.iter().min_by_key(|waiver| waiver.until)
        && covered.len() == values.namespaces.len()
    {
        // Every namespace is covered, by several waivers: the first that ends brings the control back.
        info.state = ControlState::Accepted {
            until: first.until,
            reason: first.reason.clone(),
            approver: first.approver.clone(),
        };
    }
    covered
}
