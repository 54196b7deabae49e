//! `fleet rollout plan`: every member's dated slot before anything moves, or why there is none.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use fleet_api::{text::Day, v1alpha1::Maintenance};
use fleet_plan::rollout::plan::{ConflictSet, Refusal, RolloutPlan, chain, plan};
use fleet_spec::{
    Checked, Finding, RolloutFile, Severity, ValidatedFleet, any_error, load, render, rollout_file,
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::world::World;
use crate::{
    cli::rollout::{PlanArguments, PlanFormat},
    error::{CliError, Exit, Result},
    output::{
        Document, Items,
        rollout::{conflict, html, plan as table, timeline},
    },
    printer::{json, yaml},
    session::Session,
    spec,
};

/// Why there is no plan, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Refused<'a> {
    findings: &'a [Finding],
    conflicts: &'a [ConflictSet],
}

pub(crate) async fn run(session: &Session, arguments: &PlanArguments) -> Result<Exit> {
    let PlanArguments { files, against, on, by, to, out, html, output } = arguments;
    if let (Some(out), true) = (out, out == html) {
        let error = CliError::usage(format!("`{}` cannot be the plan and its page at once", out.display()));
        return Err(error.hint("name another file with `--html`"));
    }
    let loaded = load(&spec::inputs(files));
    let file = match rollout_file(&loaded) {
        Ok(file) => file,
        Err(findings) => return refuse(session, &findings, &[], *output),
    };
    let now = match on {
        Some(day) => beginning(day.0)?,
        None => session.now(),
    };
    let by = match by {
        Some(day) => {
            let over = beginning(day.0.tomorrow().map_err(|error| no_day().because(error))?)?;
            if over <= now {
                let error = CliError::usage(format!("`--by {day}` is over before the plan is made"));
                return Err(error.hint("name the day by whose end every member has to have succeeded"));
            }
            Some(over)
        }
        None => None,
    };
    let flawed = any_error(&file.findings);
    let world = match world(session, arguments, &file, now).await {
        // What is wrong with the file is told all the same when nothing can be said of the world.
        Err(_) if flawed => return refuse(session, &file.findings, &[], *output),
        world => world?,
    };
    let input = world.input(&file.name, &file.strategy, by, now);
    let made = match to {
        Some(to) => chain(&input, *to),
        None => plan(&input).map(|plan| vec![plan]),
    };
    let plans = match made {
        // Slots are looked for when everything else is right: those of half a rollout say nothing.
        Ok(_) if flawed => return refuse(session, &file.findings, &[], *output),
        Err(Refusal { problems, .. }) if flawed => {
            return refuse(session, &file.located(problems), &[], *output);
        }
        Ok(plans) => plans,
        Err(Refusal { problems, conflicts }) => {
            let problems = problems.into_iter().chain(conflicts.iter().map(ConflictSet::problem));
            return refuse(session, &file.located(problems.collect()), &conflicts, *output);
        }
    };
    spec::note(&session.printer, &file.findings);
    let by_tenant: BTreeMap<&str, &Maintenance> = world
        .clusters
        .iter()
        .filter_map(|cluster| Some((cluster.spec.tenant.as_str(), cluster.spec.maintenance.as_ref()?)))
        .collect();
    let times = |tenant: &str| by_tenant.get(tenant).copied();
    if let Some(path) = html {
        write(path, &html::page(&plans, &times))?;
        session.printer.note(&format!("the plan is drawn in `{}`", path.display()));
    }
    if let Some(path) = out {
        for plan in &plans {
            let path = path_of(path, plan);
            write(&path, &if is_json(&path) { json(plan)? } else { yaml(plan)? })?;
            let path = path.display();
            if !against.is_empty() {
                session.printer.note(&format!(
                    "`{path}` is a rehearsal against files, which no management cluster can start: plan without \
                     `--against` to start one"
                ));
                continue;
            }
            let after = match plan.hop {
                Some(hop) if hop.number > 1 => " once the rollout before it has ended",
                _ => "",
            };
            session
                .printer
                .note(&format!("start exactly this plan with `fleet rollout start --plan {path}`{after}"));
        }
    }
    print(session, &plans, &times, *output)?;
    Ok(Exit::Done)
}

/// What is planned in: the management cluster, or the fleet that a spec describes.
async fn world(
    session: &Session,
    arguments: &PlanArguments,
    file: &RolloutFile<'_>,
    now: Timestamp,
) -> Result<World> {
    let PlanArguments { against, on, output, .. } = arguments;
    if against.is_empty() {
        World::read(session, &session.hub().await?).await
    } else {
        World::of_spec(described(session, against, *on, *output)?, file.strategy.target.kubernetes, now)
    }
}

/// Says why there is no plan, as what a program reads or as text.
fn show(
    session: &Session,
    findings: &[Finding],
    conflicts: &[ConflictSet],
    format: PlanFormat,
) -> Result<()> {
    let refused = Document::new("RolloutRefusal", Refused { findings, conflicts });
    match format {
        PlanFormat::Json => session.printer.data(&json(&refused)?),
        PlanFormat::Yaml => session.printer.data(&yaml(&refused)?),
        PlanFormat::Table | PlanFormat::Wide | PlanFormat::Name | PlanFormat::Timeline => {
            spec::refuse(&session.printer, findings);
            if !conflicts.is_empty() {
                session.printer.refusal(&format!("{}\n", conflict::what_helps(conflicts)));
            }
            Ok(())
        }
    }
}

fn refuse(
    session: &Session,
    findings: &[Finding],
    conflicts: &[ConflictSet],
    format: PlanFormat,
) -> Result<Exit> {
    show(session, findings, conflicts, format)?;
    Err(if conflicts.is_empty() {
        CliError::usage(format!("there is no plan for this rollout: {}", render::summary(findings)))
            .hint("mend it and plan again; nothing was changed")
    } else {
        CliError::no("there is no plan that keeps every rule")
            .hint("relax one rule of each set that is named, and plan again; nothing was changed")
    })
}

/// The fleet that a spec describes. A rollout beside it is what is planned, and needs no note.
fn described(
    session: &Session,
    files: &[PathBuf],
    on: Option<Day>,
    format: PlanFormat,
) -> Result<ValidatedFleet> {
    let told = |findings: Vec<Finding>| -> Vec<Finding> {
        findings.into_iter().filter(|finding| finding.severity != Severity::Info).collect()
    };
    match spec::judge(files, session.day(on), None)? {
        Ok(Checked { fleet, findings }) => {
            spec::note(&session.printer, &told(findings));
            Ok(fleet)
        }
        Err(findings) => {
            let findings = told(findings);
            show(session, &findings, &[], format)?;
            Err(CliError::usage(format!("the fleet spec cannot be used: {}", render::summary(&findings)))
                .hint("mend it and try again; `fleet validate` checks it without changing anything"))
        }
    }
}

fn no_day() -> CliError {
    CliError::usage("the day cannot be used")
}

/// The first moment of a day in UTC.
fn beginning(day: jiff::civil::Date) -> Result<Timestamp> {
    let midnight = day.to_zoned(TimeZone::UTC).map_err(|error| no_day().because(error))?;
    Ok(midnight.timestamp())
}

/// Where a plan is stored: each hop of a chain has its minor in the name of its file.
fn path_of(path: &Path, plan: &RolloutPlan) -> PathBuf {
    let Some((_, to)) = plan.hop.zip(plan.strategy.target.kubernetes) else { return path.to_path_buf() };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    path.with_file_name(format!("{stem}-{to}{}", extension.unwrap_or_default()))
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| {
        CliError::usage(format!("the plan cannot be written to `{}`", path.display())).because(error)
    })
}

fn print<'m>(
    session: &Session,
    plans: &[RolloutPlan],
    times: &impl Fn(&str) -> Option<&'m Maintenance>,
    format: PlanFormat,
) -> Result<()> {
    let each =
        |text: &dyn Fn(&RolloutPlan) -> String| plans.iter().map(text).collect::<Vec<_>>().join("\n\n");
    let chain = || Document::new("RolloutChain", Items { items: plans.to_vec() });
    let text = match (format, plans) {
        (PlanFormat::Json, [one]) => json(one)?,
        (PlanFormat::Yaml, [one]) => yaml(one)?,
        (PlanFormat::Json, _) => json(&chain())?,
        (PlanFormat::Yaml, _) => yaml(&chain())?,
        (PlanFormat::Table, _) => each(&|plan| table::text(plan, false)),
        (PlanFormat::Wide, _) => each(&|plan| table::text(plan, true)),
        (PlanFormat::Name, _) => {
            plans.iter().map(|plan| format!("rollout/{}", plan.name)).collect::<Vec<_>>().join("\n")
        }
        (PlanFormat::Timeline, _) => {
            let width = session.printer.width();
            each(&|plan| timeline::text(plan, times, width))
        }
    };
    session.printer.data(&text)
}
