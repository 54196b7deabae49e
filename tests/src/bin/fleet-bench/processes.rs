//! What the kernel tells of a process.

use std::fs;

use anyhow::{Context as _, Result};

/// Resident memory of a process in bytes.
pub(crate) fn resident(pid: u64) -> Result<u64> {
    memory(&pid.to_string(), "VmRSS:")
}

/// The most resident memory that this process has had, in bytes.
pub(crate) fn own_peak() -> Result<u64> {
    memory("self", "VmHWM:")
}

fn memory(process: &str, field: &str) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    let kibibytes = line.split_whitespace().next().with_context(|| format!("{path} tells no {field}"))?;
    Ok(kibibytes.parse::<u64>()? * 1024)
}
