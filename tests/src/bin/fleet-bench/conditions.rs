//! What the figures were measured under.

use std::{fs, process::Stdio, time::Duration};

use anyhow::{Context as _, Result};
use local_control_plane::{Assets, Minor};
use serde::Serialize;
use tokio::process::Command;

/// How long the machine is looked at before and after, to see who else uses it.
const LOOK: Duration = Duration::from_secs(3);
/// A machine that is busier than this share of its cores while nothing of the benchmark runs is shared.
const SHARED_FROM: f64 = 0.05;

/// What the figures were measured under.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Conditions {
    /// The day.
    date: String,
    /// The model of the processor, as the kernel names it.
    processor: String,
    /// How many cores this process may use.
    cores: usize,
    /// Memory of the machine in MiB.
    memory_mebibytes: u64,
    /// The kernel.
    kernel: String,
    /// `release` or `debug`.
    build: &'static str,
    /// The servers with their patch versions.
    servers: String,
    /// Load averages over 1, 5 and 15 minutes when the benchmark began.
    load_at_start: String,
    /// Cores that other programs used while nothing of the benchmark ran yet.
    others_before_cores: f64,
    /// The same after everything of it had ended; unknown until then.
    others_after_cores: Option<f64>,
}

impl Conditions {
    /// The conditions as they are now. Takes some seconds, in which nothing may run.
    pub(crate) async fn take(assets: &Assets, minor: Minor) -> Result<Self> {
        let load = read("/proc/loadavg");
        let cores = std::thread::available_parallelism()?.get();
        let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown processor".to_owned());
        let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kibibytes: u64 = memory.split_whitespace().next().unwrap_or("0").parse().unwrap_or(0);
        Ok(Self {
            date: jiff::Zoned::now().date().to_string(),
            processor,
            cores,
            memory_mebibytes: kibibytes / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            servers: servers(assets, minor).await?,
            load_at_start: load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            others_before_cores: busy_cores().await?,
            others_after_cores: None,
        })
    }

    /// Looks once more at who uses the machine, now that nothing of the benchmark runs.
    pub(crate) async fn end(&mut self) -> Result<()> {
        self.others_after_cores = Some(busy_cores().await?);
        Ok(())
    }

    /// The conditions as sentences.
    pub(crate) fn text(&self) -> String {
        let Self { date, processor, cores, memory_mebibytes, kernel, build, servers, .. } = self;
        format!(
            "{date}, {build} build, on {cores} cores ({processor}), {:.1} GiB of memory, Linux {kernel}. {servers}. \
             Load average at the start: {}. {}",
            *memory_mebibytes as f64 / 1024.0,
            self.load_at_start,
            self.shared(),
        )
    }

    fn shared(&self) -> String {
        let before = self.others_before_cores;
        let after = self.others_after_cores;
        let judgement = if before.max(after.unwrap_or_default()) > SHARED_FROM * self.cores as f64 {
            "SHARED with other work, and every figure suffers from it"
        } else {
            "not shared"
        };
        let seconds = LOOK.as_secs();
        let after =
            after.map(|cores| format!(" and {cores:.2} in the {seconds} s after")).unwrap_or_default();
        format!(
            "Other programs used {before:.2} cores in the {seconds} s before{after}: the machine was {judgement}."
        )
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line `NAME : VALUE`.
fn field(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

/// The programs of a control plane with their patch versions.
async fn servers(assets: &Assets, minor: Minor) -> Result<String> {
    let etcd = said(assets.etcd(), &["--version"]).await?;
    let etcd = field(&etcd, "etcd Version").context("etcd does not say its version")?;
    let kubectl = assets.kubectl().context("kubectl did not come with the servers")?;
    let kubectl = said(kubectl, &["version", "--client"]).await?;
    let kubectl = field(&kubectl, "Client Version").context("kubectl does not say its version")?;
    let version = &assets.servers(minor)?.version;
    Ok(format!(
        "kube-apiserver and kube-controller-manager {version}, etcd {etcd} without fsync, kubectl {kubectl}"
    ))
}

async fn said(program: &std::path::Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stderr(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("`{}` could not be started", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How many cores were busy on average while this process slept.
async fn busy_cores() -> Result<f64> {
    let (busy, all) = ticks()?;
    tokio::time::sleep(LOOK).await;
    let (busy_then, all_then) = ticks()?;
    let cores = read("/proc/stat").lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1);
    let share = busy_then.saturating_sub(busy) as f64 / all_then.saturating_sub(all).max(1) as f64;
    Ok(share * cores as f64)
}

/// Processor time of the whole machine since its start: busy, and in all.
fn ticks() -> Result<(u64, u64)> {
    let stat = read("/proc/stat");
    let line = stat.lines().next().context("/proc/stat is empty")?;
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is contained in the first two.
    let numbers: Vec<u64> =
        line.split_whitespace().skip(1).take(8).filter_map(|number| number.parse().ok()).collect();
    let all: u64 = numbers.iter().sum();
    let idle: u64 = numbers.iter().skip(3).take(2).sum();
    Ok((all - idle, all))
}
