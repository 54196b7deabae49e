//! `fleet sandbox`: a management plane on this machine. The work is fleet-sandbox's; this prints.

use std::path::Path;

use fleet_api::v1alpha1::definitions;
use fleet_sandbox::{
    Down, Error, Manifest, Phase, Programs, Progress, Status, StatusPhase, Supervisor, UpOptions,
    default_dir, down, environment, logs, status, supervise, up,
};
use jiff::Timestamp;

use crate::{
    cli::{Format, SandboxCommand},
    error::{CliError, Exit, Result},
    output::Document,
    printer::{Printer, short_duration, table, yaml},
    session::{self, Session},
};

/// The controller's namespace and permissions, by file name.
static CONTROLLER: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/controller.rs"));

pub(crate) async fn run(session: &Session, command: SandboxCommand) -> Result<Exit> {
    let dir = default_dir();
    match command {
        SandboxCommand::Up => start(session, &dir).await,
        SandboxCommand::Status { output } => show(session, &dir, output.output).await,
        SandboxCommand::Down => stop(session, &dir).await,
        SandboxCommand::Logs { process, tail } => log(session, &dir, process.as_deref(), tail),
        SandboxCommand::Env => variables(session, &dir),
        SandboxCommand::Supervise { state_dir } => {
            // What the supervisor says goes to the log that its starter opened as its stderr.
            session::log_to_stderr(1);
            supervise(&state_dir).await.map_err(failed)?;
            Ok(Exit::Done)
        }
    }
}

async fn start(session: &Session, dir: &Path) -> Result<Exit> {
    let printer = session.printer;
    let programs = Programs::find();
    for (name, found) in [("eks-emulator", &programs.emulator), ("fleet-controller", &programs.controller)] {
        if found.is_none() {
            printer.note(&format!(
                "warning: `{name}` is neither beside `fleet` nor on PATH: the sandbox starts without it"
            ));
        }
    }
    let began = session.now();
    let state_dir = dir.display().to_string();
    let options = UpOptions {
        dir: dir.to_owned(),
        supervisor: Supervisor::own_program(&["sandbox", "supervise", "--state-dir", &state_dir])
            .map_err(failed)?,
        manifests: manifests()?,
        programs,
    };
    match up(options, &|progress| tell(&printer, &progress)).await {
        Ok(ready) => {
            let took = short_duration(session.now().duration_since(began));
            printer.note(&format!(
                "the sandbox is ready after {took}; `fleet` uses it when no kubeconfig is configured"
            ));
            printer.data(&format!("{}", ready.kubeconfig.display()))?;
            Ok(Exit::Done)
        }
        // One that runs is what was asked for.
        Err(Error::Held { dir: held, holder }) => match environment(dir).map_err(failed)? {
            Some(ready) => {
                printer.note(&format!("the sandbox runs already: {holder}"));
                printer.data(&format!("{}", ready.kubeconfig.display()))?;
                Ok(Exit::Done)
            }
            None => Err(failed(Error::Held { dir: held, holder })),
        },
        Err(error) => Err(failed(error)),
    }
}

/// The definitions of the kinds, then the controller's namespace and permissions.
fn manifests() -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for definition in definitions() {
        manifests.push(Manifest {
            name: format!("{}.yaml", definition.spec.names.plural),
            yaml: yaml(&definition)?,
        });
    }
    manifests.extend(
        CONTROLLER.iter().map(|(name, yaml)| Manifest { name: (*name).to_owned(), yaml: (*yaml).to_owned() }),
    );
    Ok(manifests)
}

fn tell(printer: &Printer, progress: &Progress) {
    // What has begun is said when it ends, unless somebody looks: a log wants one line for each thing.
    if matches!(progress, Progress::Began { .. }) && !printer.animated() {
        return;
    }
    printer.note(&progress.to_string());
}

async fn stop(session: &Session, dir: &Path) -> Result<Exit> {
    let printer = session.printer;
    let said = match down(dir, &|progress| tell(&printer, &progress)).await.map_err(failed)? {
        Down::NothingThere => "there is no sandbox".to_owned(),
        Down::Stopped => "the sandbox is gone, with every process and file of it".to_owned(),
        Down::CleanedUp { processes } => {
            format!("removed what a sandbox that was killed had left, and {processes} of its processes")
        }
    };
    printer.note(&said);
    Ok(Exit::Done)
}

async fn show(session: &Session, dir: &Path, format: Format) -> Result<Exit> {
    let status = status(dir).await.map_err(failed)?;
    let ready = status.is_ready();
    let now = session.now();
    let document = Document::new("SandboxStatus", &status);
    session.printer.value(format, &document, |_| text(&status, now), || vec![dir.display().to_string()])?;
    Ok(if ready { Exit::Done } else { Exit::No })
}

fn text(status: &Status, now: Timestamp) -> String {
    let phase = match &status.phase {
        StatusPhase::Absent => return "no sandbox runs; start one with `fleet sandbox up`".to_owned(),
        StatusPhase::Supervised { phase } => phase_text(phase),
        StatusPhase::LeftBehind { phase } => {
            format!(
                "left behind by a supervisor that is gone ({}); `fleet sandbox down` removes it",
                phase_text(phase)
            )
        }
    };
    let mut lines = vec![format!(
        "sandbox in {}: {phase}, {} in all",
        status.dir.display(),
        mebibytes(Some(status.rss_bytes()))
    )];
    let mut rows = Vec::new();
    let age = |at: Timestamp| short_duration(now.duration_since(at));
    if let Some(etcd) = &status.etcd {
        rows.push(vec![
            "etcd".to_owned(),
            "-".to_owned(),
            mebibytes(etcd.rss_bytes),
            etcd.identity.pid.to_string(),
            age(etcd.started_at),
            "-".to_owned(),
            "-".to_owned(),
        ]);
    }
    for plane in status.management.iter().chain(&status.tenants) {
        let pids: Vec<String> =
            plane.processes.iter().map(|process| process.identity.pid.to_string()).collect();
        rows.push(vec![
            plane.name.clone(),
            plane.version.clone(),
            mebibytes(Some(plane.rss_bytes())),
            pids.join(","),
            age(plane.started_at),
            format!("{:.1}s", std::time::Duration::from_millis(plane.ready_after_millis).as_secs_f64()),
            plane.endpoint.clone(),
        ]);
    }
    for service in &status.services {
        let process = service.process.as_ref();
        let restarts = match service.restarts {
            0 => String::new(),
            1 => " (1 restart)".to_owned(),
            more => format!(" ({more} restarts)"),
        };
        rows.push(vec![
            format!("{}{restarts}", service.name),
            "-".to_owned(),
            mebibytes(process.and_then(|process| process.rss_bytes)),
            process.map_or_else(|| "down".to_owned(), |process| process.identity.pid.to_string()),
            process.map_or_else(|| "-".to_owned(), |process| age(process.started_at)),
            "-".to_owned(),
            service.address.to_string(),
        ]);
    }
    if !rows.is_empty() {
        lines.push(String::new());
        lines.push(table(&["process", "version", "memory", "pid", "age", "start", "address"], rows));
    }
    if let Some(why) = &status.tenants_unknown {
        lines.push(format!("\nthe emulator does not say which clusters it has: {why}"));
    }
    let ends = status.services.iter().filter_map(|service| service.last_exit.as_ref());
    for exit in status.crashes.iter().chain(ends) {
        lines.push(format!("\n{exit}"));
    }
    lines.join("\n")
}

fn phase_text(phase: &Phase) -> String {
    match phase {
        Phase::Starting => "starting".to_owned(),
        Phase::Ready => "ready".to_owned(),
        Phase::Stopping => "stopping".to_owned(),
        Phase::Failed { message, hint } => {
            let hint = hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
            format!("failed: {message}{hint}")
        }
    }
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{} MiB", bytes >> 20))
}

fn log(session: &Session, dir: &Path, process: Option<&str>, tail: usize) -> Result<Exit> {
    let files = logs(dir).map_err(failed)?;
    let names: Vec<&str> = files.iter().map(|file| file.process.as_str()).collect();
    let Some(process) = process else {
        if names.is_empty() {
            return Err(
                CliError::no("there is no sandbox, and so no log").hint("start one with `fleet sandbox up`")
            );
        }
        session.printer.data(&names.join("\n"))?;
        return Ok(Exit::Done);
    };
    match files.iter().find(|file| file.process == process) {
        Some(file) => {
            session.printer.data(&file.end(tail).map_err(failed)?)?;
            Ok(Exit::Done)
        }
        None => {
            let error = CliError::no(format!("the sandbox has no process `{process}`"));
            Err(match fleet_spec::nearest(process, names.iter().copied()) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.hint("list the processes with `fleet sandbox logs`"),
            })
        }
    }
}

fn variables(session: &Session, dir: &Path) -> Result<Exit> {
    let Some(ready) = environment(dir).map_err(failed)? else {
        return Err(CliError::no("no sandbox runs").hint("start one with `fleet sandbox up`"));
    };
    let lines: Vec<String> = ready
        .variables()
        .into_iter()
        // In single quotes a shell takes everything as it is, but a single quote.
        .map(|(name, value)| format!("export {name}='{}'", value.replace('\'', r"'\''")))
        .collect();
    session.printer.data(&lines.join("\n"))?;
    Ok(Exit::Done)
}

fn failed(error: Error) -> CliError {
    let failure = CliError::remote(error.to_string()).because_of(std::error::Error::source(&error));
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
