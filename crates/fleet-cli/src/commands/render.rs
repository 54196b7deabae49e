//! `fleet render TENANT`: the hardening objects as they would be applied.

use fleet_api::v1alpha1::{Baseline, ControlExceptionSpec, TenantClusterSpec};
use fleet_plan::compose::{Composed, Sources, compose};
use fleet_render::{Bundle, BundleObject, RenderInput, render};
use fleet_spec::ValidatedFleet;
use serde_json::Value;

use crate::{
    cli::{Format, RenderArguments},
    error::{CliError, Exit, Result},
    foresight::NO_UID,
    hub,
    printer::{table, yaml},
    session::Session,
    spec,
};

pub(crate) async fn run(session: &Session, arguments: &RenderArguments) -> Result<Exit> {
    let RenderArguments { tenant: name, files, on, control, output } = arguments;
    let today = session.day(*on);
    let catalogue = spec::catalogue()?;
    let (fleet, observed) = if files.is_empty() {
        let hub = session.hub().await?;
        hub.tenant(name).await?;
        let version = hub
            .cluster_of(name)
            .await?
            .and_then(|cluster| cluster.status)
            .and_then(|status| status.versions.control_plane);
        (hub::as_spec(&hub.inventory(&session.printer).await?), version)
    } else {
        (spec::read(&session.printer, files, today, None)?, None)
    };
    let (cluster, baseline) = composed(session, &fleet, name)?;
    let exceptions: Vec<ControlExceptionSpec> =
        fleet.exceptions.values().map(|exception| exception.spec.clone()).collect();
    let input = RenderInput {
        spec: &cluster,
        baseline: &baseline.spec,
        exceptions: &exceptions,
        // What the server was seen to run decides which rules it knows; before it runs, what is wanted.
        version: observed.unwrap_or(cluster.version),
        today,
    };
    let bundle = render(&catalogue, &input).map_err(|error| {
        CliError::usage(format!("the baseline of tenant `{name}` cannot be rendered")).because(error)
    })?;
    if let Some(id) = control
        && catalogue.control(id).is_none()
        && id != "EXTRA"
    {
        let known: Vec<&str> = catalogue.controls().iter().map(|control| control.id.as_str()).collect();
        return Err(CliError::usage(format!("the catalogue has no control `{id}`"))
            .hint(format!("it has {}", known.join(", "))));
    }
    let objects: Vec<&BundleObject> = bundle
        .objects
        .iter()
        .filter(|object| control.as_ref().is_none_or(|id| object.control == *id))
        .collect();
    print(session, &bundle, &objects, *output)?;
    Ok(Exit::Done)
}

/// The tenant's cluster as the controller would compose it, and its baseline.
fn composed(session: &Session, fleet: &ValidatedFleet, name: &str) -> Result<(TenantClusterSpec, Baseline)> {
    let Some(tenant) = fleet.tenants.get(name) else {
        let error = CliError::no(format!("the spec has no tenant `{name}`"));
        return Err(match fleet_spec::nearest(name, fleet.tenants.keys().map(String::as_str)) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint("it is not among the files of `-f`"),
        });
    };
    let mut tenant = tenant.clone();
    tenant.metadata.uid.get_or_insert_with(|| NO_UID.to_owned());
    let sources = Sources {
        class: fleet.classes.get(&tenant.spec.class),
        fleet: Some(&fleet.fleet),
        channels: &fleet.channels,
        chosen: None,
        existing: None,
    };
    let Composed { spec, notes: _ } = compose(&tenant, &sources, session.now()).map_err(|report| {
        let reasons: Vec<String> = report.into_iter().map(|entry| entry.message).collect();
        CliError::usage(format!("no cluster can be composed for tenant `{name}`")).because(reasons.join("; "))
    })?;
    let baseline = fleet.baselines.get(&spec.hardening.baseline).cloned().ok_or_else(|| {
        CliError::usage(format!("there is no Baseline `{}`", spec.hardening.baseline))
            .hint("add it to the spec, or apply it")
    })?;
    Ok((spec, baseline))
}

fn print(session: &Session, bundle: &Bundle, objects: &[&BundleObject], format: Format) -> Result<()> {
    match format {
        Format::Yaml => {
            let mut text = format!("# revision {}\n", bundle.revision);
            for object in objects {
                text.push_str(&format!(
                    "---\n# {} in phase {}\n{}",
                    object.control,
                    object.phase.as_str(),
                    yaml(&object.value)?
                ));
            }
            session.printer.data(&text)
        }
        Format::Json => {
            let items: Vec<&Value> = objects.iter().map(|object| &object.value).collect();
            session.printer.data(&crate::printer::json(
                &serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}),
            )?)
        }
        Format::Name => {
            let names: Vec<String> = objects.iter().map(|object| place(object)).collect();
            session.printer.data(&names.join("\n"))
        }
        Format::Table | Format::Wide => {
            let rows = objects.iter().map(|object| {
                let mut row = vec![object.control.clone(), object.phase.as_str().to_owned(), place(object)];
                if format == Format::Wide {
                    row.extend([object.api_version.clone(), object.hash.clone()]);
                }
                row
            });
            let mut heading = vec!["control", "phase", "object"];
            if format == Format::Wide {
                heading.extend(["api version", "hash"]);
            }
            let head = format!("revision {}, {} objects", bundle.revision, objects.len());
            session.printer.data(&format!("{head}\n\n{}", table(&heading, rows.collect())))
        }
    }
}

fn place(object: &BundleObject) -> String {
    match &object.namespace {
        Some(namespace) => format!("{}/{namespace}/{}", object.kind, object.name),
        None => format!("{}/{}", object.kind, object.name),
    }
}
