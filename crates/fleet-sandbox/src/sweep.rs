//! Ends what a killed supervisor left running.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use local_control_plane::ProcessIdentity;
use rustix::process::Signal;

use crate::{error::Error, place::Place, state::State};

const GONE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Kills every process that the state folder recorded and that is still the one it recorded. Says how many.
///
/// The caller owns the folder, so no supervisor is at work in it. The processes of emulated clusters are found
/// by the pid files that every server has in its folder.
pub(crate) fn sweep(place: &Place) -> Result<usize, Error> {
    let mut recorded = BTreeMap::new();
    collect_pid_files(&place.dir, &mut recorded);
    // A state of another version of fleet tells nothing, and the pid files tell all the same.
    if let Ok(Some(state)) = State::read(place) {
        recorded.extend(state.identities().map(|identity| (identity.pid, identity.clone())));
        recorded.insert(state.supervisor.pid, state.supervisor);
    }
    recorded.retain(|pid, identity| *pid != std::process::id() && identity.is_alive());
    for identity in recorded.values() {
        let path = format!("/proc/{}", identity.pid);
        identity.signal(Signal::KILL).map_err(Error::file("end the process at", path))?;
    }
    let started = Instant::now();
    while recorded.values().any(ProcessIdentity::is_alive) && started.elapsed() < GONE_WITHIN {
        thread::sleep(LOOK_EVERY);
    }
    Ok(recorded.len())
}

fn collect_pid_files(dir: &Path, recorded: &mut BTreeMap<u32, ProcessIdentity>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            collect_pid_files(&path, recorded);
        } else if path.extension().is_some_and(|extension| extension == "pid")
            && let Ok(bytes) = fs::read(&path)
            && let Ok(identity) = serde_json::from_slice::<ProcessIdentity>(&bytes)
        {
            recorded.insert(identity.pid, identity);
        }
    }
}
