//! Time as the emulator has it: the machine's clock, by which callers sign, and the same with an offset that tests
//! advance, by which everything in the emulator's world begins and ends.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The machine's clock. The only place of the crate that reads it.
pub(crate) fn machine_now() -> Timestamp {
    Timestamp::now()
}

/// The time of the emulator's world.
pub(crate) fn virtual_now(machine: Timestamp, offset: SignedDuration) -> Timestamp {
    machine.checked_add(offset).unwrap_or(Timestamp::MAX)
}

/// A moment on the wire: seconds since 1970 with milliseconds, as EKS writes it (source: model, restJson1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub Timestamp);

impl Serialize for Epoch {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit in the 52 bits of a double")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_millisecond() as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "milliseconds of any year that jiff knows fit in 64 bits"
        )]
        Timestamp::from_millisecond((seconds * 1000.0).round() as i64).map(Self).map_err(de::Error::custom)
    }
}
