//! The arguments of the binary. Each has an environment variable, for Deployments that prefer those.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use fleet_api::labels;

use crate::{lease::LeaseSettings, telemetry::LogFormat};

/// Provision, harden and watch the clusters of a fleet.
#[derive(Debug, Clone, Parser)]
#[command(name = "fleet-controller", version, about)]
pub struct Args {
    /// Serve /healthz, /readyz and /metrics on this address
    #[arg(long, env = "FLEET_LISTEN", default_value = "127.0.0.1:9440")]
    pub listen: SocketAddr,

    /// Reconcile at most this many objects of a kind at the same time
    #[arg(long, env = "FLEET_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,

    /// Look at an object again after about this time, even when nothing has changed
    #[arg(long, env = "FLEET_RESYNC", default_value = "30m", value_parser = duration)]
    pub resync: Duration,

    /// While the cloud is at work, look again at least this often
    #[arg(long, env = "FLEET_PACE", default_value = "20s", value_parser = duration)]
    pub pace: Duration,

    /// Enter tenants' API servers on loopback addresses as well: only for a sandbox on this machine
    #[arg(long, env = "FLEET_ALLOW_LOOPBACK")]
    pub allow_loopback: bool,

    /// Give running steps this long to end when the process is told to stop
    #[arg(long, env = "FLEET_GRACE", default_value = "25s", value_parser = duration)]
    pub grace: Duration,

    /// Log by this filter
    #[arg(long, env = "FLEET_LOG", default_value = "info")]
    pub log: String,

    /// Write the log as text or as JSON lines
    #[arg(long, env = "FLEET_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Which replica writes
    #[command(flatten)]
    pub lease: LeaseArgs,
}

/// Which replica writes.
#[derive(Debug, Clone, clap::Args)]
pub struct LeaseArgs {
    /// Name of the lease in the namespace of the controller
    #[arg(long = "lease-name", env = "FLEET_LEASE_NAME", default_value = LEASE_NAME)]
    pub name: String,

    /// Let another replica take over when the leader has been silent for this long
    #[arg(long = "lease-duration", env = "FLEET_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    pub duration: Duration,

    /// Call this replica so in the lease, followed by a random part; by default the name of its pod
    #[arg(long = "identity", env = "POD_NAME", default_value = "fleet-controller")]
    pub identity: String,
}

/// The name of the lease when none is given; the controller's Role names it.
pub(crate) const LEASE_NAME: &str = "fleet-controller";

impl LeaseArgs {
    /// The settings of the election. `instance` makes the identity of two processes in one pod differ.
    pub(crate) fn settings(&self, instance: &str) -> LeaseSettings {
        let Self { name, duration, identity } = self;
        LeaseSettings {
            namespace: labels::SYSTEM_NAMESPACE.to_owned(),
            name: name.clone(),
            identity: format!("{identity}_{instance}"),
            duration: *duration,
            // Four renewals fit into the lease, and a fifth of it is left for what is in flight.
            every: *duration / 4,
            margin: *duration / 5,
        }
    }
}

/// Reads `90s`, `30m`, `2h` and what else jiff reads as a span of hours, minutes and seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let read: jiff::SignedDuration =
        text.parse().map_err(|error| format!("{error}: write a duration such as `30m`"))?;
    match Duration::try_from(read) {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        Ok(_) | Err(_) => Err("a duration of at least one second is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1800)));
        assert_eq!(duration("25s"), Ok(Duration::from_secs(25)));
        for text in ["", "0s", "-5m", "soon", "10ms"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn several_renewals_fit_into_the_time_for_which_the_fence_is_open() {
        let args = Args::parse_from(["fleet-controller"]);
        let settings = args.lease.settings("a1");
        assert!(settings.duration.saturating_sub(settings.margin) >= settings.every * 3);
        assert_ne!(settings.identity, args.lease.settings("b2").identity);
    }
}
