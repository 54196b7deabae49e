//! Free loopback ports.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::error::Error;

// Below the ports that the kernel hands to outgoing connections (32768 and up by default): a server that is
// restarted on its port must not find it taken by somebody's client.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A loopback port that nobody listened on a moment ago.
///
/// Another process may still take it first, so whoever starts a server on it tries again with another one
/// when the server finds it taken. Processes start their search at different places to keep that rare.
///
/// # Errors
/// When every port of the range is taken.
pub fn free_port() -> Result<u16, Error> {
    let own_start = process::id().wrapping_mul(37);
    for _ in 0..COUNT {
        let offset = own_start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).unwrap_or(0);
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(Error::NoPort { from: FIRST, to: FIRST + COUNT - 1 })
}

/// True when nobody listens on a loopback port at this moment.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_never_given_out() {
        let port = free_port().unwrap();
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!is_free(port));
        assert_ne!(free_port().unwrap(), port);
        drop(holder);
        assert!(is_free(port));
    }
}
