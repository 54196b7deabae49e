//! Answers with an end: bytes and time of what a tenant's API server sends are bounded.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::{Traffic, fault::Fault};

/// What bounds an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    /// The whole answer has so many bytes at most, and is there at this time.
    Whole { bytes: usize, until: Instant },
    /// Every line has so many bytes at most, and never is it quiet for longer.
    Lines { bytes: usize, idle: Duration },
}

/// The body of an answer, cut off where it passes its bound.
pub struct BoundedBody {
    inner: Incoming,
    bound: Bound,
    /// Bytes of the whole, or since the last line break.
    seen: usize,
    timer: Pin<Box<Sleep>>,
    traffic: Arc<Traffic>,
}

impl BoundedBody {
    pub(crate) fn new(inner: Incoming, bound: Bound, traffic: Arc<Traffic>) -> Self {
        let first = match bound {
            Bound::Whole { until, .. } => until,
            Bound::Lines { idle, .. } => Instant::now() + idle,
        };
        Self { inner, bound, seen: 0, timer: Box::pin(tokio::time::sleep_until(first)), traffic }
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// The body passes its bound, or the connection breaks.
    pub(crate) async fn read(self) -> Result<Bytes, Fault> {
        Ok(self.collect().await?.to_bytes())
    }

    fn account(&mut self, data: &[u8]) -> Result<(), Fault> {
        self.traffic.bytes_in.fetch_add(data.len() as u64, Ordering::Relaxed);
        match self.bound {
            Bound::Whole { bytes, .. } => {
                self.seen = self.seen.saturating_add(data.len());
                if self.seen > bytes {
                    return Err(Fault::garbage(format!("the answer is longer than {bytes} bytes")));
                }
            }
            Bound::Lines { bytes, idle } => {
                for piece in data.split_inclusive(|byte| *byte == b'\n') {
                    self.seen = self.seen.saturating_add(piece.len());
                    if self.seen > bytes {
                        return Err(Fault::garbage(format!("an event is longer than {bytes} bytes")));
                    }
                    if piece.ends_with(b"\n") {
                        self.seen = 0;
                    }
                }
                self.timer.as_mut().reset(Instant::now() + idle);
            }
        }
        Ok(())
    }
}

impl Body for BoundedBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let counted = frame.data_ref().cloned();
                match counted.map_or(Ok(()), |data| self.account(&data)) {
                    Ok(()) => Poll::Ready(Some(Ok(frame))),
                    Err(fault) => Poll::Ready(Some(Err(fault))),
                }
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(Fault::transport(&error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.timer.as_mut().poll(context).is_ready() => {
                let what = match self.bound {
                    Bound::Whole { .. } => "the answer does not end",
                    Bound::Lines { .. } => "the watch went quiet",
                };
                Poll::Ready(Some(Err(Fault::timeout(what))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
