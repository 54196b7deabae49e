//! The state folder: one file per cluster and one for the rest, each replaced as a whole.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    model::{ClusterKey, ClusterRecord},
    state::{Shared, State},
};

/// The state folder.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    dir: PathBuf,
}

/// The state folder could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file is not what this version writes.
    #[error("{} is not a state file of this emulator", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
}

impl Store {
    /// A store in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let clusters = dir.join("clusters");
        fs::create_dir_all(&clusters).map_err(io_error("make the folder", &clusters))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Reads what was saved; nothing in a new folder.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn load(&self) -> Result<State, StoreError> {
        let shared: Shared = read(&self.dir.join("shared.json"))?.unwrap_or_default();
        let mut clusters = BTreeMap::new();
        for account in folders(&self.dir.join("clusters"))? {
            for region in folders(&account)? {
                for file in folders(&region)? {
                    if file.extension().is_some_and(|extension| extension == "json")
                        && let Some(saved) = read::<Saved>(&file)?
                    {
                        clusters.insert(saved.key, saved.record);
                    }
                }
            }
        }
        Ok(State::restored(shared, clusters))
    }

    /// Writes what changed since the last time.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn save(&self, state: &mut State) -> Result<(), StoreError> {
        let unsaved = state.take_unsaved();
        if unsaved.shared {
            write(&self.dir.join("shared.json"), state.shared())?;
        }
        for key in unsaved.clusters {
            let folder = self.dir.join("clusters").join(&key.account).join(&key.region);
            let path = folder.join(format!("{}.json", key.name));
            match state.cluster(&key) {
                Some(record) => {
                    fs::create_dir_all(&folder).map_err(io_error("make the folder", &folder))?;
                    write(&path, &Saved { key: key.clone(), record: record.clone() })?;
                }
                None => match fs::remove_file(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(StoreError::Io { action: "remove", path, source });
                    }
                    _ => {}
                },
            }
        }
        Ok(())
    }
}

#[derive(Serialize, serde::Deserialize)]
struct Saved {
    key: ClusterKey,
    record: ClusterRecord,
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

fn folders(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(dir).map_err(io_error("read the folder", dir))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(io_error("read the folder", dir))).collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| StoreError::Json { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error("read", path)(source)),
    }
}

/// A killed process leaves the old file or the new one, never half of one.
fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|source| StoreError::Json { path: path.to_owned(), source })?;
    let part = path.with_extension("part");
    fs::write(&part, bytes).map_err(io_error("write", &part))?;
    fs::rename(&part, path).map_err(io_error("replace", path))
}
