//! Starts a sandbox: the servers are made sure of here, where somebody watches, the rest in the supervisor.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use jiff::Timestamp;
use local_control_plane::{Assets, log_end};
use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    ownership::{Asked, Ownership, Purpose},
    place::{Place, find_program},
    progress::Progress,
    state::{Phase, SandboxEnv, StageState, State},
    supervisor::{MINORS, Order},
    sweep::sweep,
};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A manifest to bring to the management cluster: one file, with one object or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name, for messages.
    pub name: String,
    /// Its text.
    pub yaml: String,
}

/// The programs that a sandbox keeps running. What is missing is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programs {
    /// `eks-emulator`.
    pub emulator: Option<PathBuf>,
    /// `fleet-controller`.
    pub controller: Option<PathBuf>,
}

impl Programs {
    /// The programs beside the one that runs, else on `PATH`.
    pub fn find() -> Self {
        Self { emulator: find_program("eks-emulator"), controller: find_program("fleet-controller") }
    }
}

/// The command that becomes the supervisor: it has to call [`supervise`](crate::supervise) with the state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    /// The program, usually the one that runs.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpOptions {
    /// The state folder.
    pub dir: PathBuf,
    /// The command that becomes the supervisor.
    pub supervisor: Supervisor,
    /// Custom resources, then the controller's namespace and permissions, in an order in which they can be applied.
    pub manifests: Vec<Manifest>,
    /// The programs to keep running.
    pub programs: Programs,
}

/// Starts a sandbox in the background and waits until all of it answers. What a killed one left in the folder is
/// removed first.
///
/// # Errors
/// When one runs there already ([`Error::Held`]), or a part cannot be started: then nothing runs any more, and the
/// logs are left to be read.
pub async fn up(
    options: UpOptions,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<SandboxEnv, Error> {
    let UpOptions { dir, supervisor, manifests, programs } = options;
    let place = Place::new(&dir);
    prepare(&place, progress).await?;
    Assets::ensure(&MINORS, &|servers| progress(Progress::Servers(servers))).await?;
    let child = start_supervisor(&place, &supervisor, &Order { manifests, programs })?;
    wait_until_ready(&place, child, progress).await
}

/// Makes sure of an empty state folder that nobody holds.
async fn prepare(place: &Place, progress: &(dyn Fn(Progress) + Send + Sync)) -> Result<(), Error> {
    match Ownership::take_patiently(place, Purpose::Prepare, Timestamp::now()).await? {
        Asked::Ours(_ownership) => {
            if State::read(place).map_or(true, |state| state.is_some()) {
                let processes = sweep(place)?;
                clear(place)?;
                progress(Progress::Cleaned { processes });
            }
            Ok(())
        }
        Asked::Held(Some(holder)) => Err(Error::Held { dir: place.dir.clone(), holder }),
        Asked::Held(None) | Asked::Nothing => Err(Error::NotASandbox { dir: place.dir.clone() }),
    }
}

/// Removes everything in the folder but its lock, which is held.
fn clear(place: &Place) -> Result<(), Error> {
    let entries = std::fs::read_dir(&place.dir).map_err(Error::file("read", &place.dir))?;
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| *path != place.lock()) {
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.map_err(Error::file("remove", path))?;
    }
    Ok(())
}

fn start_supervisor(place: &Place, supervisor: &Supervisor, order: &Order) -> Result<Child, Error> {
    let log_path = place.supervisor_log();
    let log = OpenOptions::new().create(true).append(true).open(&log_path);
    let log = log.map_err(Error::file("open", &log_path))?;
    let failed = |source| Error::StartSupervisor { program: supervisor.program.clone(), source };
    let mut child = Command::new(&supervisor.program)
        .args(&supervisor.args)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    let order = serde_json::to_vec(order).map_err(Error::NoOptions)?;
    // A supervisor that ends without reading says why in its log, which is what gets reported.
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(&order)
    {
        tracing::debug!(%error, "the supervisor did not read its order");
    }
    Ok(child)
}

/// Follows the supervisor's state, telling of each stage, until it is ready or has given up.
async fn wait_until_ready(
    place: &Place,
    mut child: Child,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<SandboxEnv, Error> {
    let mut told = Told::default();
    loop {
        // Asked before the state is read: what the supervisor wrote last is then seen.
        let ended = child.try_wait().map_err(Error::file("wait for", PathBuf::from("the supervisor")))?;
        let state = State::read(place)?.filter(|state| state.supervisor.pid == child.id());
        if let Some(state) = state {
            told.tell(&state.stages, progress);
            match (state.phase, state.environment) {
                (Phase::Ready, Some(environment)) => return Ok(environment),
                (Phase::Failed { message, hint }, _) => {
                    if ended.is_none() {
                        wait_for_end(child).await;
                    }
                    return Err(Error::NotStarted { message, hint });
                }
                _ => {}
            }
        }
        if let Some(status) = ended {
            let log_end = log_end(&place.supervisor_log(), 0);
            return Err(Error::SupervisorEnded { status: status.to_string(), log_end });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits for a supervisor that gave up: when `up` returns with an error, nothing runs any more.
async fn wait_for_end(mut child: Child) {
    while matches!(child.try_wait(), Ok(None)) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How many stages were told of.
#[derive(Debug, Default)]
struct Told {
    began: usize,
    finished: usize,
}

impl Told {
    fn tell(&mut self, stages: &[StageState], progress: &(dyn Fn(Progress) + Send + Sync)) {
        for (index, stage) in stages.iter().enumerate() {
            if index >= self.began {
                self.began = index + 1;
                progress(Progress::Began { stage: stage.name.clone() });
            }
            if index >= self.finished
                && let Some(millis) = stage.took_millis
            {
                self.finished = index + 1;
                progress(Progress::Finished {
                    stage: stage.name.clone(),
                    took: Duration::from_millis(millis),
                    note: stage.note.clone(),
                });
            }
        }
    }
}

impl Supervisor {
    /// This program, started again with these arguments.
    ///
    /// # Errors
    /// When the path of this program cannot be found out.
    pub fn own_program(args: &[&str]) -> Result<Self, Error> {
        let program = std::env::current_exe().map_err(Error::file("find", Path::new("/proc/self/exe")))?;
        Ok(Self { program, args: args.iter().map(|arg| (*arg).to_owned()).collect() })
    }
}
