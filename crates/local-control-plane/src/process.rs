//! One server process: started so that it dies with us, watched until it ends, with its pid and its log on disk.

use std::{
    fmt, fs,
    fs::{File, OpenOptions},
    io,
    io::{Read, Seek, SeekFrom},
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::Timestamp;
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    error::Error,
    identity::ProcessIdentity,
    private_files::{create_private_dir, write_private},
};

const LOG_END_LINES: usize = 20;
const LOG_END_BYTES: u64 = 8 * 1024;

/// What to start.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// The name that its files and reports carry, such as `kube-apiserver`.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment variables that it gets on top of ours.
    pub env: Vec<(String, String)>,
    /// Environment variables of ours that it does not get.
    pub unset: Vec<String>,
    /// The folder of `NAME.log` and `NAME.pid`. A log is appended to.
    pub dir: PathBuf,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// The process's name.
    pub process: String,
    /// Its pid.
    pub pid: u32,
    /// The exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it, otherwise.
    pub signal: Option<i32>,
    /// When.
    pub at: Timestamp,
    /// The end of what it logged since it was started.
    pub log_end: String,
    /// The whole log.
    pub log: PathBuf,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, pid, code, signal, at: _, log_end, log } = self;
        write!(f, "{process} (pid {pid}) ended ")?;
        match (code, signal) {
            (Some(code), _) => write!(f, "with exit code {code}")?,
            (None, Some(signal)) => write!(f, "by signal {signal}")?,
            (None, None) => write!(f, "in an unknown way")?,
        }
        write!(f, ", the end of {}:\n{log_end}", log.display())
    }
}

/// A process as status commands show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessReport {
    /// The process's name.
    pub name: String,
    /// Who it is.
    pub identity: ProcessIdentity,
    /// When it was started.
    pub started_at: Timestamp,
    /// Resident memory in bytes, while it is alive.
    pub rss_bytes: Option<u64>,
    /// Its log.
    pub log: PathBuf,
}

impl ProcessReport {
    /// The same report with the memory as it is now.
    pub fn measured(mut self) -> Self {
        self.rss_bytes = self.identity.rss_bytes();
        self
    }
}

/// A running process. It is killed when this is dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct ServerProcess {
    name: String,
    identity: ProcessIdentity,
    // Opened before anybody waits for the child, so it can never mean another process.
    handle: OwnedFd,
    started_at: Timestamp,
    log: PathBuf,
    exit: watch::Receiver<Option<Exit>>,
    waiter: Option<JoinHandle<()>>,
}

impl ServerProcess {
    /// Starts a process.
    ///
    /// # Errors
    /// When its files cannot be written, or it cannot be started.
    pub fn start(spec: ProcessSpec) -> Result<Self, Error> {
        let ProcessSpec { name, program, args, env, unset, dir } = spec;
        create_private_dir(&dir)?;
        let log = dir.join(format!("{name}.log"));
        let pid_file = dir.join(format!("{name}.pid"));
        let output =
            OpenOptions::new().create(true).append(true).open(&log).map_err(Error::file("open", &log))?;
        let log_start = output.metadata().map_err(Error::file("read", &log))?.len();
        let errors = output.try_clone().map_err(Error::file("open", &log))?;

        // `PR_SET_PDEATHSIG` has to be set between fork and exec; util-linux' setpriv does it without unsafe code
        // of ours. The kernel sends the signal when the thread that forked ends, hence the spawner thread.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&program).args(&args).envs(env);
        for name in unset {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        if !program.is_file() {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(Error::Spawn { process: name, program, source });
        }
        let child = spawn(command).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::MissingTool {
                tool: "setpriv",
                purpose: "so that servers die with the process that started them".to_owned(),
                looked: "PATH".to_owned(),
                get_it: "install util-linux, for example with `apt-get install util-linux`".to_owned(),
            },
            _ => Error::Spawn { process: name.clone(), program: program.clone(), source },
        })?;

        let started_at = Timestamp::now();
        let spawn_error = |source| Error::Spawn { process: name.clone(), program: program.clone(), source };
        let identity = ProcessIdentity::of(child.id(), &program).map_err(spawn_error)?;
        let handle = open_handle(child.id()).map_err(spawn_error)?;
        let (sender, exit) = watch::channel(None);
        let waiter =
            Waiter { child, name: name.clone(), log: log.clone(), log_start, pid_file: pid_file.clone() };
        let waiter = thread::Builder::new()
            .name(format!("wait-{name}"))
            .spawn(move || sender.send_replace(Some(waiter.wait())).map_or((), drop))
            .map_err(spawn_error)?;
        let process = Self { name, identity, handle, started_at, log, exit, waiter: Some(waiter) };
        let recorded = serde_json::to_vec_pretty(&process.identity).unwrap_or_default();
        write_private(&pid_file, recorded)?;
        Ok(process)
    }

    /// The process's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.identity.pid
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What status commands show of it.
    pub fn report(&self) -> ProcessReport {
        ProcessReport {
            name: self.name.clone(),
            identity: self.identity.clone(),
            started_at: self.started_at,
            rss_bytes: self.identity.rss_bytes(),
            log: self.log.clone(),
        }
    }

    /// How it ended, if it has.
    pub fn exited(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }

    /// Waits until it ends. The future owns nothing of this process, so it can be awaited elsewhere.
    pub fn wait_exit(&self) -> impl Future<Output = Exit> + Send + 'static {
        let mut exit = self.exit.clone();
        let unknown = Exit {
            process: self.name.clone(),
            pid: self.pid(),
            code: None,
            signal: None,
            at: self.started_at,
            log_end: String::new(),
            log: self.log.clone(),
        };
        async move {
            match exit.wait_for(Option::is_some).await {
                Ok(exit) => exit.clone().unwrap_or(unknown),
                Err(_) => unknown,
            }
        }
    }

    /// Asks it to end, waits for `grace`, then kills it.
    pub async fn stop(&mut self, grace: Duration) -> Exit {
        self.signal(Signal::TERM);
        if let Ok(exit) = tokio::time::timeout(grace, self.wait_exit()).await {
            return exit;
        }
        tracing::warn!(process = %self.name, pid = self.pid(), ?grace, "did not end in time, killing it");
        self.signal(Signal::KILL);
        self.wait_exit().await
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.exited().is_some() {
            return;
        }
        if let Err(error) = pidfd_send_signal(&self.handle, signal)
            && error != Errno::SRCH
        {
            tracing::warn!(process = %self.name, pid = self.pid(), %error, "cannot signal");
        }
    }

    /// The end of what it logged.
    pub fn log_end(&self) -> String {
        log_end(&self.log, 0)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(waiter) = self.waiter.take()
            && waiter.join().is_err()
        {
            tracing::error!(process = %self.name, "the thread that waited for it panicked");
        }
    }
}

fn open_handle(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

struct Waiter {
    child: Child,
    name: String,
    log: PathBuf,
    log_start: u64,
    pid_file: PathBuf,
}

impl Waiter {
    fn wait(mut self) -> Exit {
        let pid = self.child.id();
        let status: Option<ExitStatus> = self.child.wait().ok();
        if let Err(error) = fs::remove_file(&self.pid_file) {
            tracing::debug!(file = %self.pid_file.display(), %error, "the pid file is gone already");
        }
        Exit {
            process: self.name,
            pid,
            code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            at: Timestamp::now(),
            log_end: log_end(&self.log, self.log_start),
            log: self.log,
        }
    }
}

/// The last lines of a log, at most twenty, none from before `start` (a place in bytes).
pub fn log_end(log: &Path, start: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        let from = length.saturating_sub(LOG_END_BYTES).max(start);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(LOG_END_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        Ok(lines[lines.len().saturating_sub(LOG_END_LINES)..].join("\n"))
    };
    read().unwrap_or_else(|error| format!("(cannot read {}: {error})", log.display()))
}

struct Job {
    command: Command,
    reply: mpsc::SyncSender<io::Result<Child>>,
}

static SPAWNER: Mutex<Option<mpsc::Sender<Job>>> = Mutex::new(None);

/// Forks from a thread that lives as long as this process, whatever becomes of the caller's thread.
fn spawn(command: Command) -> io::Result<Child> {
    let (reply, answer) = mpsc::sync_channel(1);
    let gone = |_| io::Error::other("the spawner thread has ended");
    spawner()?.send(Job { command, reply }).map_err(|_| io::Error::other("the spawner thread has ended"))?;
    answer.recv().map_err(gone)?
}

fn spawner() -> io::Result<mpsc::Sender<Job>> {
    let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = &*spawner {
        return Ok(sender.clone());
    }
    let (sender, jobs) = mpsc::channel::<Job>();
    thread::Builder::new().name("spawner".to_owned()).spawn(move || {
        for Job { mut command, reply } in jobs {
            if let Err(unheard) = reply.send(command.spawn())
                && let Ok(mut child) = unheard.0
            {
                // Nobody waits for this child any more, so nobody would ever end it.
                if child.kill().and_then(|()| child.wait()).is_err() {
                    tracing::warn!(pid = child.id(), "an unwanted child could not be ended");
                }
            }
        }
    })?;
    *spawner = Some(sender.clone());
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(dir: &Path, script: &str) -> ProcessSpec {
        ProcessSpec {
            name: "shell".to_owned(),
            program: PathBuf::from("/bin/sh"),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: Vec::new(),
            unset: Vec::new(),
            dir: dir.to_path_buf(),
        }
    }

    #[tokio::test]
    async fn an_ended_process_is_reported_with_code_and_end_of_log() {
        let dir = tempfile::tempdir().unwrap();
        let process = ServerProcess::start(shell(dir.path(), "seq 1 30; echo bad flag >&2; exit 7")).unwrap();
        let exit = process.wait_exit().await;
        assert_eq!((exit.code, exit.signal), (Some(7), None));
        assert!(exit.log_end.ends_with("29\n30\nbad flag"), "{}", exit.log_end);
        assert!(!exit.log_end.contains("\n10\n"), "{}", exit.log_end);
        assert!(exit.to_string().contains("exit code 7"));
        assert!(!dir.path().join("shell.pid").exists());
    }

    #[tokio::test]
    async fn the_end_of_the_log_is_of_this_run_alone() {
        let dir = tempfile::tempdir().unwrap();
        ServerProcess::start(shell(dir.path(), "echo first; exit 1")).unwrap().wait_exit().await;
        let exit = ServerProcess::start(shell(dir.path(), "echo second; exit 1")).unwrap().wait_exit().await;
        assert_eq!(exit.log_end, "second");
        assert_eq!(fs::read_to_string(exit.log).unwrap(), "first\nsecond\n");
    }

    #[tokio::test]
    async fn a_process_that_ignores_the_request_to_end_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; echo started; while :; do sleep 0.05; done";
        let mut process = ServerProcess::start(shell(dir.path(), script)).unwrap();
        while !process.log_end().contains("started") {
            tokio::task::yield_now().await;
        }
        let exit = process.stop(Duration::from_millis(50)).await;
        assert_eq!(exit.signal, Some(9));
    }

    #[tokio::test]
    async fn a_dropped_process_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let process = ServerProcess::start(shell(dir.path(), "while :; do sleep 0.05; done")).unwrap();
        let recorded: ProcessIdentity =
            serde_json::from_slice(&fs::read(dir.path().join("shell.pid")).unwrap()).unwrap();
        assert_eq!(recorded, process.report().identity);
        drop(process);
        assert!(!recorded.is_alive());
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let spec = ProcessSpec { program: PathBuf::from("/nowhere/etcd"), ..shell(dir.path(), "") };
        let error = ServerProcess::start(spec).unwrap_err();
        assert!(error.to_string().contains("/nowhere/etcd"), "{error}");
    }
}
