//! One owner at a time for a state folder: a lock that the kernel lets go of when its holder dies.

use std::{
    fmt, fs,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use local_control_plane::{ProcessIdentity, create_private_dir};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::{error::Error, place::Place};

/// Whoever prepares or removes a folder is done in moments.
const PASSES_WITHIN: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_millis(20);

/// What somebody holds a state folder for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To prepare it for a supervisor; for moments.
    Prepare,
    /// To run the sandbox.
    Supervise,
    /// To remove it.
    Remove,
}

/// Who holds a state folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The process.
    pub identity: ProcessIdentity,
    /// Since when.
    pub since: Timestamp,
    /// What for.
    pub purpose: Purpose,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, since, purpose } = self;
        let doing = match purpose {
            Purpose::Prepare => "which prepares it",
            Purpose::Supervise => "its supervisor",
            Purpose::Remove => "which removes it",
        };
        write!(f, "pid {} ({doing}) since {since:.0}", identity.pid)
    }
}

/// The lock of a state folder, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Ownership {
    _file: File,
}

/// What came of asking for a state folder.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It is ours.
    Ours(Ownership),
    /// It is somebody else's, who may not have written yet who they are.
    Held(Option<Holder>),
    /// There is no such folder, or nothing of a sandbox in it.
    Nothing,
}

impl Ownership {
    /// Takes a state folder, making it first. A folder that holds something else is refused.
    pub(crate) fn take(place: &Place, purpose: Purpose, now: Timestamp) -> Result<Asked, Error> {
        if !place.lock().exists() && has_entries(&place.dir)? {
            return Err(Error::NotASandbox { dir: place.dir.clone() });
        }
        create_private_dir(&place.dir)?;
        Self::lock(&place.lock(), true, purpose, now)
    }

    /// The same, but waits for those who hold it for moments only, or have not yet said who they are.
    pub(crate) async fn take_patiently(
        place: &Place,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Asked, Error> {
        let started = Instant::now();
        loop {
            let asked = Self::take(place, purpose, now)?;
            let passes = match &asked {
                Asked::Held(Some(holder)) => holder.purpose != Purpose::Supervise,
                Asked::Held(None) => true,
                Asked::Ours(_) | Asked::Nothing => false,
            };
            if !passes || started.elapsed() > PASSES_WITHIN {
                return Ok(asked);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Takes a state folder that is there.
    pub(crate) fn take_if_there(place: &Place, purpose: Purpose, now: Timestamp) -> Result<Asked, Error> {
        if !place.lock().exists() && has_entries(&place.dir)? {
            return Err(Error::NotASandbox { dir: place.dir.clone() });
        }
        Self::lock(&place.lock(), false, purpose, now)
    }

    fn lock(path: &Path, create: bool, purpose: Purpose, now: Timestamp) -> Result<Asked, Error> {
        loop {
            let open = OpenOptions::new().create(create).truncate(false).write(true).mode(0o600).open(path);
            let file = match open {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Asked::Nothing),
                Err(source) => return Err(Error::file("open", path)(source)),
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Asked::Held(holder(path)?)),
                Err(error) => return Err(Error::file("lock", path)(error.into())),
            }
            // Whoever removed the folder held the lock of a file that is gone now: then this lock means nothing.
            if is_still(&file, path)? {
                write_holder(path, &file, purpose, now)?;
                return Ok(Asked::Ours(Self { _file: file }));
            }
        }
    }
}

/// Who holds the state folder at this moment, without taking it.
pub(crate) fn current_holder(place: &Place) -> Result<Option<Holder>, Error> {
    let path = place.lock();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::file("open", path)(source)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(rustix::io::Errno::WOULDBLOCK) => holder(&path),
        Err(error) => Err(Error::file("lock", path)(error.into())),
    }
}

fn holder(path: &Path) -> Result<Option<Holder>, Error> {
    match fs::read(path) {
        // Between taking the lock and writing who took it the file is empty, or tells of the holder before.
        Ok(bytes) => {
            Ok(serde_json::from_slice::<Holder>(&bytes).ok().filter(|holder| holder.identity.is_alive()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::file("read", path)(source)),
    }
}

fn write_holder(path: &Path, mut file: &File, purpose: Purpose, now: Timestamp) -> Result<(), Error> {
    use std::io::{Seek, Write};
    let identity = ProcessIdentity::own().map_err(Error::file("read", PathBuf::from("/proc/self")))?;
    let text = serde_json::to_vec(&Holder { identity, since: now, purpose }).unwrap_or_default();
    let mut write = || {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&text)
    };
    write().map_err(Error::file("write", path))
}

fn is_still(file: &File, path: &Path) -> Result<bool, Error> {
    let ours = file.metadata().map_err(Error::file("read", path))?;
    match fs::metadata(path) {
        Ok(there) => Ok(ours.ino() == there.ino() && ours.dev() == there.dev()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::file("read", path)(source)),
    }
}

fn has_entries(dir: &Path) -> Result<bool, Error> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::file("read", dir)(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_folder_says_who_holds_it_and_since_when() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(&dir.path().join("sandbox"));
        let since: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let Asked::Ours(ownership) = Ownership::take(&place, Purpose::Supervise, since).unwrap() else {
            panic!("a new folder is free")
        };
        let Asked::Held(Some(holder)) = Ownership::take(&place, Purpose::Prepare, since).unwrap() else {
            panic!("a held folder says who holds it")
        };
        assert_eq!(holder.identity.pid, std::process::id());
        assert_eq!(
            holder.to_string(),
            format!("pid {} (its supervisor) since 2026-11-24T08:00:00Z", std::process::id())
        );
        assert_eq!(current_holder(&place).unwrap(), Some(holder));
        drop(ownership);
        assert_eq!(current_holder(&place).unwrap(), None);
        assert!(matches!(Ownership::take(&place, Purpose::Prepare, since).unwrap(), Asked::Ours(_)));
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter"), "dear").unwrap();
        let place = Place::new(dir.path());
        for ask in [Ownership::take, Ownership::take_if_there] {
            let refused = ask(&place, Purpose::Remove, Timestamp::UNIX_EPOCH);
            assert!(matches!(refused, Err(Error::NotASandbox { .. })), "{refused:?}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_made_where_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(&dir.path().join("sandbox"));
        let asked = Ownership::take_if_there(&place, Purpose::Remove, Timestamp::UNIX_EPOCH).unwrap();
        assert!(matches!(asked, Asked::Nothing));
        assert!(!place.dir.exists());
    }
}
