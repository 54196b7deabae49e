//! Files and folders that only their owner may read: keys, tokens, sockets.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use crate::error::Error;

/// Makes a folder, and its parents, that only the owner may enter.
///
/// # Errors
/// When the folder cannot be made.
pub fn create_private_dir(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Error::file("make the folder", dir))?;
    fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(Error::file("set the mode of", dir))
}

/// Writes a file that only the owner may read, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write_private(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let unfinished = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(Error::file("create", &unfinished))?;
    file.write_all(content.as_ref()).map_err(Error::file("write", &unfinished))?;
    fs::rename(&unfinished, path).map_err(Error::file("write", path))
}

/// Reads a text file, or says that there is none.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::file("read", path)(source)),
    }
}
