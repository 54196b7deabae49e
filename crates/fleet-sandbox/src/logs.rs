//! The logs of a sandbox.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{error::Error, place::Place};

/// The log of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// The process as a person names it: `supervisor`, `etcd`, `management/kube-apiserver`, `eks-emulator`,
    /// `fleet-controller`, or the path below the state folder for servers of emulated clusters.
    pub process: String,
    /// The file.
    pub path: PathBuf,
}

impl LogFile {
    /// The last lines.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn end(&self, lines: usize) -> Result<String, Error> {
        let bytes = fs::read(&self.path).map_err(Error::file("read", &self.path))?;
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().collect();
        Ok(all[all.len().saturating_sub(lines)..].join("\n"))
    }
}

/// The logs of a state folder, by the names of their processes. None when there is no sandbox.
///
/// # Errors
/// When the folder cannot be read.
pub fn logs(dir: &Path) -> Result<Vec<LogFile>, Error> {
    let place = Place::new(dir);
    let mut found = Vec::new();
    collect(&place.dir, &place.dir, &mut found)?;
    found.sort_by(|left, right| left.process.cmp(&right.process));
    Ok(found)
}

fn collect(root: &Path, dir: &Path, found: &mut Vec<LogFile>) -> Result<(), Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        // A sandbox that is being removed loses folders while it is looked at.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::file("read", dir)(source)),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(root, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "log") {
            found.push(LogFile { process: process_name(root, &path), path });
        }
    }
    Ok(())
}

/// Folders that only hold one process add nothing to its name.
fn process_name(root: &Path, log: &Path) -> String {
    let below = log.strip_prefix(root).unwrap_or(log).with_extension("");
    match below.to_string_lossy().as_ref() {
        "etcd/etcd" => "etcd".to_owned(),
        "emulator/eks-emulator" => "eks-emulator".to_owned(),
        "controller/fleet-controller" => "fleet-controller".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_called_after_their_processes_and_cut_to_their_end() {
        let dir = tempfile::tempdir().unwrap();
        for file in
            ["supervisor.log", "etcd/etcd.log", "management/kube-apiserver.log", "emulator/data/x/a.log"]
        {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "one\ntwo\nthree\n").unwrap();
        }
        fs::write(dir.path().join("state.json"), "{}").unwrap();
        let logs = logs(dir.path()).unwrap();
        let names: Vec<&str> = logs.iter().map(|log| log.process.as_str()).collect();
        assert_eq!(names, ["emulator/data/x/a", "etcd", "management/kube-apiserver", "supervisor"]);
        assert_eq!(logs[0].end(2).unwrap(), "two\nthree");
    }

    #[test]
    fn no_sandbox_has_no_logs() {
        assert_eq!(logs(Path::new("/nowhere/at/all")).unwrap(), []);
    }
}
