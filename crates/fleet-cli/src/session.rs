//! What every command has at hand: the global options, the printer, the clock.

use fleet_api::text::Day;
use jiff::Timestamp;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{cli::Global, error::Result, hub::Hub, printer::Printer};

/// What every command has at hand.
pub(crate) struct Session {
    pub(crate) global: Global,
    pub(crate) printer: Printer,
}

impl Session {
    pub(crate) const fn new(global: Global, printer: Printer) -> Self {
        Self { global, printer }
    }

    /// The one clock of the program.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// The day by which specs are judged: one that was given, or today in UTC.
    pub(crate) fn day(&self, given: Option<Day>) -> Day {
        given.unwrap_or_else(|| Day(self.now().to_zoned(jiff::tz::TimeZone::UTC).date()))
    }

    /// The management cluster.
    pub(crate) async fn hub(&self) -> Result<Hub> {
        Hub::find(&self.global, &self.printer).await
    }
}

/// Sends what libraries log to stderr, when it was asked for.
pub(crate) fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let layer = fmt::layer().with_writer(std::io::stderr).without_time();
    // A second subscriber in one process is a test's; it keeps its own.
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
}
