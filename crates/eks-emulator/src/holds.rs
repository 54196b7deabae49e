//! Calls that are held: the fault plan stopped them on their way, and they stay until somebody lets them go.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{faults::When, journal::Question};

/// A call that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldCall {
    /// Its number, by which it is let go.
    pub id: u64,
    /// Whether it has taken effect.
    pub when: When,
    /// What it asks for.
    #[serde(flatten)]
    pub question: Question,
}

/// What becomes of a call that was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// It goes on: held before its effect, it takes effect now, also when its caller is gone.
    Go,
    /// Its connection is reset, and what has not happened does not happen.
    Drop,
}

/// All calls that are held.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    last: u64,
    calls: BTreeMap<u64, (HeldCall, oneshot::Sender<Then>)>,
}

impl Holds {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a call, and waits until it is let go. The emulator's own end drops it.
    pub(crate) async fn hold(&self, when: When, question: Question) -> Then {
        let (sender, receiver) = oneshot::channel();
        {
            let mut held = self.lock();
            held.last += 1;
            let id = held.last;
            held.calls.insert(id, (HeldCall { id, when, question }, sender));
        }
        receiver.await.unwrap_or(Then::Drop)
    }

    /// The calls that are held, oldest first.
    pub(crate) fn all(&self) -> Vec<HeldCall> {
        self.lock().calls.values().map(|(call, _)| call.clone()).collect()
    }

    /// Lets a call go; false when it is not held.
    pub(crate) fn release(&self, id: u64, then: Then) -> bool {
        let released = self.lock().calls.remove(&id);
        // A receiver that is gone belongs to an emulator that is ending.
        released.is_some_and(|(_, sender)| sender.send(then).is_ok())
    }
}
