//! `eks-emulator`: the emulator as a program.

use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use eks_emulator::{Backend, Config, Durations, Emulator, Seed, model::Minor};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

/// Serve EKS, STS and the calls around them to real AWS SDKs, on loopback.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The folder of the state, which survives a restart.
    #[arg(long)]
    state_dir: PathBuf,
    /// A file with accounts, principals, networks and keys instead of the builtin one.
    #[arg(long)]
    seed: Option<PathBuf>,
    /// What stands behind clusters.
    #[arg(long, value_enum, default_value_t = ControlPlanes::Real)]
    control_planes: ControlPlanes,
    /// The etcd for their data, `unix://...` or `http://...`; without it one is started.
    #[arg(long)]
    etcd: Option<String>,
    /// The minors to have servers for.
    #[arg(long, value_delimiter = ',', default_value = "1.35,1.36", value_parser = minor)]
    minors: Vec<Minor>,
    /// How long things take: `sandbox`, `realistic` or `instant`, then `KIND=SECONDS` for what differs.
    #[arg(long, default_value = "sandbox")]
    durations: Durations,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ControlPlanes {
    /// Nothing: endpoints lead nowhere.
    None,
    /// A real kube-apiserver each.
    Real,
}

fn minor(text: &str) -> Result<Minor, String> {
    Minor::parse(text).ok_or_else(|| format!("`{text}` is not a minor such as 1.35"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(terminal).with_writer(std::io::stderr).init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let mut text = fault.to_string();
            let mut cause = fault.source();
            while let Some(error) = cause {
                text.push_str(": ");
                text.push_str(&error.to_string());
                cause = error.source();
            }
            error!("{text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let seed = match &args.seed {
        None => Seed::builtin()?,
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
    };
    let backend = match args.control_planes {
        ControlPlanes::None => Backend::None,
        ControlPlanes::Real => Backend::Real { etcd: args.etcd, minors: args.minors },
    };
    let running = Emulator::start(Config {
        listen: args.listen,
        state_dir: args.state_dir,
        seed,
        durations: args.durations,
        backend,
    })
    .await?;
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminated.recv() => {}
    }
    info!("stopping");
    running.stop().await;
    Ok(())
}
