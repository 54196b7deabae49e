//! Ends a sandbox and removes every file of it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rustix::process::Signal;

use crate::{
    error::Error,
    ownership::{Asked, Holder, Ownership, Purpose},
    place::Place,
    progress::Progress,
    sweep::sweep,
};

/// The supervisor gives its children their own time to end, one after the other.
const RELEASED_WITHIN: Duration = Duration::from_secs(120);
const RELEASED_AFTER_KILL_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What `down` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// There was no sandbox.
    NothingThere,
    /// It ran, and was stopped and removed.
    Stopped,
    /// Its supervisor was gone; what it had left was removed.
    CleanedUp {
        /// How many of its processes were still alive and were ended.
        processes: usize,
    },
}

/// Stops the sandbox of a state folder and removes the folder. The servers' cache stays.
///
/// # Errors
/// When the folder holds no sandbox, somebody does not let go of it, or something cannot be removed.
pub async fn down(dir: &Path, progress: &(dyn Fn(Progress) + Send + Sync)) -> Result<Down, Error> {
    let place = Place::new(dir);
    let mut stopped = false;
    let _ownership = loop {
        match Ownership::take_if_there(&place, Purpose::Remove, Timestamp::now())? {
            Asked::Nothing if stopped => return Ok(Down::Stopped),
            Asked::Nothing => return remove_empty(&place),
            Asked::Ours(ownership) => break ownership,
            Asked::Held(None) => tokio::time::sleep(LOOK_EVERY).await,
            Asked::Held(Some(holder)) => {
                release(&place, holder, progress).await?;
                stopped = true;
            }
        }
    };
    let processes = sweep(&place)?;
    fs::remove_dir_all(&place.dir).map_err(Error::file("remove", &place.dir))?;
    Ok(if stopped { Down::Stopped } else { Down::CleanedUp { processes } })
}

fn remove_empty(place: &Place) -> Result<Down, Error> {
    match fs::remove_dir(&place.dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("remove", &place.dir)(error))
        }
        _ => Ok(Down::NothingThere),
    }
}

/// Makes a holder let go: a supervisor is asked to end, then killed; anybody else is nearly done anyway.
async fn release(
    place: &Place,
    holder: Holder,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), Error> {
    let end =
        |signal| holder.identity.signal(signal).map_err(Error::file("signal the holder of", &place.dir));
    if holder.purpose == Purpose::Supervise {
        progress(Progress::Stopping { pid: holder.identity.pid });
        end(Signal::TERM)?;
    }
    if gone(&holder, RELEASED_WITHIN).await {
        return Ok(());
    }
    if holder.purpose == Purpose::Supervise {
        end(Signal::KILL)?;
        if gone(&holder, RELEASED_AFTER_KILL_WITHIN).await {
            return Ok(());
        }
    }
    Err(Error::NotReleased { dir: place.dir.clone(), holder })
}

async fn gone(holder: &Holder, within: Duration) -> bool {
    let started = Instant::now();
    while holder.identity.is_alive() {
        if started.elapsed() > within {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    true
}
