//! What can go wrong with a tenant's API server, sorted by whom it concerns.

use std::{error::Error, fmt, io, time::Duration};

use kube::core::Status;

/// How much of a message is kept. What a tenant's API server says is not trusted to be short.
const MESSAGE_MAX: usize = 512;

/// A request to a tenant's API server that did not do what was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Nobody answered.
    #[error("the API server is unreachable ({why}): {detail}")]
    Unreachable {
        /// Where it failed.
        why: Unreachable,
        /// The innermost error.
        detail: String,
    },
    /// The API server does not know us, or there is no token to show it.
    #[error("the API server does not accept our credentials: {detail}")]
    Unauthorized {
        /// What was said.
        detail: String,
    },
    /// The API server asks to slow down, and went on asking for as long as we tried.
    #[error("the API server asks to slow down: {detail}")]
    Throttled {
        /// How long it wants us to wait.
        retry_after: Option<Duration>,
        /// What was said.
        detail: String,
    },
    /// The API server failed.
    #[error("the API server failed with {status}: {detail}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// What was said.
        detail: String,
    },
    /// The answer is none that an API server gives: wrong types, no JSON, no end.
    #[error("the API server's answer cannot be used: {detail}")]
    Garbage {
        /// What is wrong with it.
        detail: String,
    },
    /// The API server understood, and says no.
    #[error("{} ({} {})", .0.message, .0.code, .0.reason)]
    Refused(Box<Status>),
}

/// Where reaching an API server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// The name does not resolve.
    Dns,
    /// The address is one that no API server may have.
    Address,
    /// Nobody listens.
    Refused,
    /// The certificate or the handshake is wrong.
    Tls,
    /// No answer in time.
    Timeout,
    /// The connection broke.
    Broken,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "the name does not resolve",
            Self::Address => "the address is not allowed",
            Self::Refused => "connection refused",
            Self::Tls => "TLS",
            Self::Timeout => "no answer in time",
            Self::Broken => "the connection broke",
        })
    }
}

impl Fault {
    /// An answer that no API server gives.
    pub(crate) fn garbage(detail: impl fmt::Display) -> Self {
        Self::Garbage { detail: shorten(&detail.to_string()) }
    }

    /// No answer in time.
    pub(crate) fn timeout(detail: impl fmt::Display) -> Self {
        Self::Unreachable { why: Unreachable::Timeout, detail: detail.to_string() }
    }

    /// What a transport error means.
    pub(crate) fn transport(error: &(dyn Error + 'static)) -> Self {
        let mut why = None;
        let mut detail = error.to_string();
        let mut next = Some(error);
        while let Some(current) = next {
            detail = current.to_string();
            if current.downcast_ref::<super::AddressError>().is_some() {
                why = Some(Unreachable::Address);
            } else if current.downcast_ref::<rustls::Error>().is_some() {
                why = Some(Unreachable::Tls);
            } else if detail.starts_with("dns error") {
                why = why.or(Some(Unreachable::Dns));
            } else if let Some(io) = current.downcast_ref::<io::Error>() {
                why = why.or(match io.kind() {
                    io::ErrorKind::ConnectionRefused => Some(Unreachable::Refused),
                    io::ErrorKind::TimedOut => Some(Unreachable::Timeout),
                    io::ErrorKind::InvalidData => Some(Unreachable::Tls),
                    _ => None,
                });
                // `io::Error` hides the error that it wraps from `source`.
                if let Some(inner) = io.get_ref() {
                    next = Some(inner);
                    continue;
                }
            }
            next = current.source();
        }
        Self::Unreachable { why: why.unwrap_or(Unreachable::Broken), detail: shorten(&detail) }
    }

    /// What an answer with an error status means. The body is an API server's `Status`, or anything.
    pub(crate) fn answer(code: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let mut status = serde_json::from_slice::<Status>(body).unwrap_or_else(|_| Status {
            message: String::from_utf8_lossy(body).into_owned(),
            ..Status::default()
        });
        status.code = code;
        status.message = shorten(&status.message);
        status.metadata = None;
        let detail = if status.message.is_empty() { format!("HTTP {code}") } else { status.message.clone() };
        match code {
            401 => Self::Unauthorized { detail },
            429 => Self::Throttled { retry_after, detail },
            500..=599 => Self::Server { status: code, detail },
            400..=499 => Self::Refused(Box::new(status)),
            _ => Self::Garbage { detail: format!("HTTP {code}") },
        }
    }

    /// What an error of kube's client means, when the client stands on a [`Remote`](super::Remote).
    pub fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Self::Unauthorized { detail: shorten(&status.message) },
                429 => Self::Throttled { retry_after: None, detail: shorten(&status.message) },
                code @ 500..=599 => Self::Server { status: code, detail: shorten(&status.message) },
                _ => Self::Refused(status.clone()),
            },
            kube::Error::SerdeError(error) => Self::garbage(error),
            kube::Error::FromUtf8(error) => Self::garbage(error),
            other => {
                let mut next: Option<&(dyn Error + 'static)> = Some(other);
                while let Some(current) = next {
                    if let Some(fault) = current.downcast_ref::<Self>() {
                        return fault.clone();
                    }
                    next = current.source();
                }
                Self::transport(other)
            }
        }
    }

    /// True when the object, or the API itself, is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 404)
    }

    /// True when a precondition did not hold, or the object is there already.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 409)
    }

    /// True when the fault says something about the whole cluster and not about the one object: there is no use
    /// in going on with the next.
    pub const fn concerns_the_cluster(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unauthorized { .. } | Self::Throttled { .. })
    }

    /// The class as metrics write it.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "Unreachable",
            Self::Unauthorized { .. } => "Unauthorized",
            Self::Throttled { .. } => "Throttled",
            Self::Server { .. } => "Server",
            Self::Garbage { .. } => "Garbage",
            Self::Refused(_) => "Refused",
        }
    }
}

/// Cuts a message at a character's edge, and takes out what would break a line.
pub(crate) fn shorten(message: &str) -> String {
    let mut short: String =
        message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_MAX).collect();
    if message.chars().nth(MESSAGE_MAX).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted_by_whom_they_concern() {
        assert!(matches!(Fault::answer(401, None, b"{}"), Fault::Unauthorized { .. }));
        assert!(matches!(Fault::answer(503, None, b"<html>"), Fault::Server { status: 503, .. }));
        let throttled = Fault::answer(429, Some(Duration::from_secs(3)), b"slow down");
        assert!(throttled.concerns_the_cluster());
        let refused = Fault::answer(
            403,
            None,
            br#"{"kind":"Status","status":"Failure","message":"denied","reason":"Forbidden","code":403}"#,
        );
        assert_eq!(refused.to_string(), "denied (403 Forbidden)");
        assert!(!refused.concerns_the_cluster());
        assert!(Fault::answer(404, None, b"404 page not found").is_not_found());
    }

    #[test]
    fn what_a_hostile_server_says_is_cut_and_kept_on_one_line() {
        let long = "ä\n".repeat(10_000);
        let Fault::Server { detail, .. } = Fault::answer(500, None, long.as_bytes()) else { panic!() };
        assert!(detail.chars().count() <= MESSAGE_MAX + 1);
        assert!(!detail.contains('\n'));
    }
}
