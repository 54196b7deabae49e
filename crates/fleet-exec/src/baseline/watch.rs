//! Watches: the metadata of our objects of one kind, as it changes, for as long as the engine lives.
//!
//! All watches of a cluster share one HTTP/2 connection. A watch that ends is begun again where it ended; one that
//! cannot go on from there says so, and the engine reads the kind anew.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    clock::{Clock, jittered},
    remote::{BoundedBody, Fault, Remote, Resource},
};

/// How long to wait before a watch is begun again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// More events than this within [`FLOOD_TIME`] are a flood: they are taken in no faster.
const FLOOD: u32 = 2_000;
const FLOOD_TIME: Duration = Duration::from_secs(10);
/// After so many failures in a row, by a server that answers, the version to begin from is given up.
const GIVE_UP: u32 = 8;

/// What a watch saw.
#[derive(Debug)]
pub(crate) struct Event {
    /// The kind's place in the engine.
    pub(crate) kind: usize,
    /// The watch that saw it: what comes from one that has been replaced is stale.
    pub(crate) watch: u64,
    pub(crate) news: News,
}

#[derive(Debug)]
pub(crate) enum News {
    /// An object is there, or changed. Its metadata.
    Changed(Value),
    /// An object is gone, or no longer has our label. Its last metadata.
    Gone(Value),
    /// The watch runs.
    Up,
    /// The watch does not run, and is tried again.
    Down(Fault),
    /// The watch cannot go on: the kind has to be read anew.
    Lost,
}

/// What a watch needs.
pub(crate) struct Watch {
    pub(crate) remote: Remote,
    pub(crate) resource: Resource,
    pub(crate) selector: String,
    pub(crate) kind: usize,
    pub(crate) id: u64,
    /// The version to begin from.
    pub(crate) from: String,
    /// For jitter.
    pub(crate) seed: String,
    pub(crate) clock: Clock,
    /// The second in which the cluster was last heard of.
    pub(crate) heard: Arc<AtomicI64>,
    pub(crate) news: mpsc::Sender<Event>,
}

/// Why one watch ended.
enum End {
    /// As asked, after its time.
    Closed,
    /// The version to begin from is too old.
    Expired,
    Broke(Fault),
    /// The engine is gone.
    Unheard,
}

impl Watch {
    /// Watches until the version is too old or nobody listens.
    pub(crate) async fn run(mut self) {
        let mut failures: u32 = 0;
        let mut round = 0_u64;
        loop {
            round += 1;
            let begun = Instant::now();
            match self.once(round, failures > 0).await {
                End::Unheard => return,
                End::Expired => {
                    let _ = self.tell(News::Lost).await;
                    return;
                }
                // A server that closes every watch at once would be asked in a tight loop.
                End::Closed if begun.elapsed() >= BACKOFF.0 => failures = 0,
                End::Closed => failures = failures.saturating_add(1),
                End::Broke(fault) => {
                    failures = failures.saturating_add(1);
                    // A server whose data was restored from a backup does not know the version, and says so in words.
                    if failures >= GIVE_UP && !fault.concerns_the_cluster() {
                        let _ = self.tell(News::Lost).await;
                        return;
                    }
                    // One break is a server that restarts or a balancer that tidies up; a second is worth telling.
                    if failures >= 2 && self.tell(News::Down(fault)).await.is_err() {
                        return;
                    }
                }
            }
            if failures > 0 {
                let wait = (BACKOFF.0 * 2_u32.pow((failures - 1).min(12))).min(BACKOFF.1);
                tokio::time::sleep(jittered(wait, &self.seed, round)).await;
            }
        }
    }

    async fn once(&mut self, round: u64, after_failure: bool) -> End {
        let seconds = jittered(self.remote.limits().watch, &self.seed, round).as_secs();
        let body = match self.remote.watch(&self.resource, &self.selector, &self.from, seconds).await {
            Ok(body) => body,
            Err(Fault::Refused(status)) if status.code == 410 => return End::Expired,
            Err(fault) => return End::Broke(fault),
        };
        self.hear();
        if (after_failure || round == 1) && self.tell(News::Up).await.is_err() {
            return End::Unheard;
        }
        self.listen(body).await
    }

    async fn listen(&mut self, mut body: BoundedBody) -> End {
        let mut buffer = BytesMut::new();
        let (mut window, mut events) = (Instant::now(), 0_u32);
        loop {
            let data = match body.frame().await {
                None => return End::Closed,
                Some(Err(fault)) => return End::Broke(fault),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_) => continue,
                },
            };
            self.hear();
            buffer.extend_from_slice(&data);
            while let Some(at) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(at);
                buffer.advance(1);
                if let Some(end) = self.take(&line).await {
                    return end;
                }
                events += 1;
                if window.elapsed() > FLOOD_TIME {
                    (window, events) = (Instant::now(), 0);
                } else if events > FLOOD {
                    tracing::warn!(kind = %self.resource.kind, endpoint = %self.remote.endpoint(), "a flood of events is slowed down");
                    tokio::time::sleep(FLOOD_TIME).await;
                }
            }
        }
    }

    /// Takes in one line. A line that makes no sense costs itself, and a later full check.
    async fn take(&mut self, line: &[u8]) -> Option<End> {
        let Ok(mut event) = serde_json::from_slice::<Value>(line) else {
            return (!line.is_empty()).then(|| End::Broke(Fault::garbage("a watch event that is no JSON")));
        };
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut object = event.get_mut("object").map(Value::take).unwrap_or_default();
        if kind == "ERROR" {
            let code = object.get("code").and_then(Value::as_u64);
            return Some(match code {
                Some(410) => End::Expired,
                _ => End::Broke(Fault::garbage(object.get("message").and_then(Value::as_str).unwrap_or("?"))),
            });
        }
        let metadata = object.get_mut("metadata").map(Value::take).unwrap_or_default();
        match metadata.get("resourceVersion").and_then(Value::as_str) {
            Some(version) if !version.is_empty() => version.clone_into(&mut self.from),
            _ => {
                tracing::warn!(kind = %self.resource.kind, endpoint = %self.remote.endpoint(), "a watch event without a version is left out");
                return None;
            }
        }
        let news = match kind.as_str() {
            "ADDED" | "MODIFIED" => News::Changed(metadata),
            "DELETED" => News::Gone(metadata),
            _ => return None,
        };
        self.tell(news).await.is_err().then_some(End::Unheard)
    }

    fn hear(&self) {
        self.heard.store((self.clock)().as_second(), Ordering::Relaxed);
    }

    async fn tell(&self, news: News) -> Result<(), ()> {
        self.news.send(Event { kind: self.kind, watch: self.id, news }).await.map_err(|_| ())
    }
}
