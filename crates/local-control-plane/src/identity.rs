//! Which process a recorded pid meant: the kernel gives pids out again, so a pid alone is not enough.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// One process of one boot of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessIdentity {
    /// Its pid.
    pub pid: u32,
    /// When it was forked, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
    /// The boot that those ticks count from.
    pub boot_id: String,
    /// The program that it runs.
    pub program: PathBuf,
}

impl ProcessIdentity {
    /// The identity of a process that runs, or is about to run, `program`.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32, program: &Path) -> io::Result<Self> {
        Ok(Self {
            pid,
            start_ticks: start_ticks(pid)?,
            boot_id: boot_id()?,
            program: fs::canonicalize(program).unwrap_or_else(|_| program.to_path_buf()),
        })
    }

    /// The identity of this process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn own() -> io::Result<Self> {
        Self::of(std::process::id(), &std::env::current_exe()?)
    }

    /// True while exactly this process is alive: same pid, same fork time, same boot, same program.
    pub fn is_alive(&self) -> bool {
        start_ticks(self.pid).is_ok_and(|ticks| ticks == self.start_ticks)
            && boot_id().is_ok_and(|boot| boot == self.boot_id)
            && !is_zombie(self.pid)
            && self.runs_its_program()
    }

    /// Sends a signal if exactly this process is alive; says whether it was.
    ///
    /// # Errors
    /// When the kernel refuses the signal.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
        // The handle is opened first and the identity checked after: the handle stays with one process, so
        // what was checked is what gets the signal.
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(handle, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Resident memory in bytes, while the process is alive.
    pub fn rss_bytes(&self) -> Option<u64> {
        if !self.is_alive() {
            return None;
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }

    fn runs_its_program(&self) -> bool {
        let Ok(running) = fs::read_link(format!("/proc/{}/exe", self.pid)) else { return false };
        // A program that was built anew while it ran is shown as deleted.
        let shown = running.to_string_lossy();
        let running = Path::new(shown.strip_suffix(" (deleted)").unwrap_or(&shown));
        // For a moment after its start a server is still `setpriv`, which becomes it.
        running == self.program || running.file_name().is_some_and(|name| name == "setpriv")
    }
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn start_ticks(pid: u32) -> io::Result<u64> {
    stat_field(pid, 22)?.parse().map_err(io::Error::other)
}

fn is_zombie(pid: u32) -> bool {
    stat_field(pid, 3).is_ok_and(|state| state == "Z" || state == "X")
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5). Only fields after the program's name, which may
/// itself hold spaces and parentheses.
fn stat_field(pid: u32, number: usize) -> io::Result<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
    after_name
        .split_whitespace()
        .nth(number - 3)
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has no field {number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_with_another_start_time_is_not() {
        let own = ProcessIdentity::own().unwrap();
        assert!(own.is_alive());
        assert!(own.rss_bytes().unwrap() > 0);
        let recycled = ProcessIdentity { start_ticks: own.start_ticks + 1, ..own.clone() };
        assert!(!recycled.is_alive());
        assert!(!recycled.signal(Signal::CONT).unwrap());
        let of_another_boot = ProcessIdentity { boot_id: "another".to_owned(), ..own.clone() };
        assert!(!of_another_boot.is_alive());
        let of_another_program = ProcessIdentity { program: PathBuf::from("/bin/true"), ..own };
        assert!(!of_another_program.is_alive());
    }
}
