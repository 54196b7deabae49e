//! Probing from within an engine: when, and what follows for the tenant's access.

use std::{sync::Arc, time::Duration};

use fleet_render::Bundle;
use tokio::time::Instant;

use super::engine::{Actor, Proof};
use crate::{
    probes::{self, ProbeResult},
    remote::Fault,
};

/// How soon probes that did not pass run again, by how often that was.
const PROBE_AGAIN: [u64; 6] = [1, 3, 10, 30, 120, 300];

impl Actor {
    pub(super) fn begin_probes(&mut self, bundle: Arc<Bundle>) {
        let remote = self.remote.clone();
        self.probe_due = None;
        self.probing = Some(Box::pin(async move {
            let results = probes::run(&remote, &bundle.probes).await;
            (bundle.revision.clone(), results)
        }));
    }

    pub(super) fn judge(&mut self, revision: &str, results: Result<Vec<ProbeResult>, Fault>) {
        self.probing = None;
        let now = Instant::now();
        let Some(bundle) = self.state.bundle.clone().filter(|bundle| bundle.revision == revision) else {
            self.probe_due = Some(now);
            return;
        };
        let results = match results {
            Ok(results) => results,
            Err(fault) => {
                self.silent(&fault);
                self.probe_due = Some(now + self.probe_again());
                return;
            }
        };
        self.answered();
        let verdicts = probes::judge(&bundle, &results);
        let counts = probes::count(&verdicts);
        let unclear = verdicts.iter().any(|verdict| verdict.unclear);
        let passed = counts.fail == 0 && !unclear;
        self.state.access_open |= passed;
        self.proof = Some(Proof {
            revision: revision.to_owned(),
            at: (self.config.clock)(),
            counts,
            verdicts: Arc::from(verdicts),
            unclear,
        });
        let wait = if passed {
            self.probe_failures = 0;
            self.spread(self.config.probe_every)
        } else {
            self.probe_again()
        };
        self.probe_due = Some(now + wait);
    }

    pub(super) fn probe_again(&mut self) -> Duration {
        let seconds = PROBE_AGAIN.get(self.probe_failures).or(PROBE_AGAIN.last()).copied().unwrap_or(60);
        self.probe_failures += 1;
        Duration::from_secs(seconds)
    }
}
