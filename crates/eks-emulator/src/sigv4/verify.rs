//! Whether a signature is good: its time, and its bytes.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

use super::{CanonicalRequest, CredentialScope, Signed, SignedVia, SigningKey};

/// How far a request's time may be from the service's. Source: docs (Signature Version 4, "within 5 minutes").
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Why a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// Something that a signature needs is not there.
    #[error("{0}")]
    Incomplete(String),
    /// Nothing was signed.
    #[error("Missing Authentication Token")]
    Missing,
    /// No such access key, or a session token that does not belong to it.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// Temporary credentials that are over.
    #[error("The security token included in the request is expired")]
    ExpiredCredentials,
    /// The time of the request is too far from ours.
    #[error("Signature expired: {sent} is now earlier or later than {now} allows")]
    Expired {
        /// What the caller sent.
        sent: String,
        /// Our time.
        now: Timestamp,
    },
    /// The bytes differ.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
         Access Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

/// Checks the time of a signature: five minutes either way for a header, the URL's own life for a query.
///
/// # Errors
/// [`SignatureFault::Expired`], or `Incomplete` when the time cannot be read or is not of the scope's day.
pub fn check_time(signed: &Signed, now: Timestamp) -> Result<Timestamp, SignatureFault> {
    let sent = parse_timestamp(&signed.timestamp)
        .ok_or_else(|| SignatureFault::Incomplete(format!("`{}` is not a time.", signed.timestamp)))?;
    if !signed.timestamp.starts_with(&signed.scope.date) {
        return Err(SignatureFault::Incomplete(
            "The date of the credential is not that of the request.".to_owned(),
        ));
    }
    let age = now.duration_since(sent);
    let life = match signed.via {
        SignedVia::Header => SKEW,
        SignedVia::Query { expires } => SignedDuration::from_secs(expires.into()),
    };
    if age > life || age < -SKEW {
        return Err(SignatureFault::Expired { sent: signed.timestamp.clone(), now });
    }
    Ok(sent)
}

/// Checks the bytes of a signature.
///
/// # Errors
/// [`SignatureFault::Mismatch`].
pub fn check_signature(
    request: &CanonicalRequest<'_>,
    signed: &Signed,
    secret: &str,
) -> Result<(), SignatureFault> {
    let scope: &CredentialScope = &signed.scope;
    let text = request.string_to_sign(&signed.timestamp, scope);
    match SigningKey::derive(secret, scope).matches(&text, &signed.signature) {
        true => Ok(()),
        false => Err(SignatureFault::Mismatch),
    }
}

fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(timestamp: &str, via: SignedVia) -> Signed {
        Signed {
            scope: CredentialScope {
                access_key: "AKIA".into(),
                date: "20261124".into(),
                region: "eu-central-1".into(),
                service: "sts".into(),
            },
            headers: vec!["host".into()],
            signature: String::new(),
            timestamp: timestamp.into(),
            session_token: None,
            via,
        }
    }

    #[test]
    fn a_header_signature_lives_five_minutes_either_way() {
        let now: Timestamp = "2026-11-24T08:10:00Z".parse().unwrap();
        for (timestamp, good) in [
            ("20261124T081000Z", true),
            ("20261124T080500Z", true),
            ("20261124T080459Z", false),
            ("20261124T081500Z", true),
            ("20261124T081501Z", false),
            ("yesterday", false),
            ("20261123T081000Z", false),
        ] {
            assert_eq!(check_time(&signed(timestamp, SignedVia::Header), now).is_ok(), good, "{timestamp}");
        }
    }

    #[test]
    fn a_presigned_url_lives_as_long_as_it_says() {
        let now: Timestamp = "2026-11-24T08:10:00Z".parse().unwrap();
        let check =
            |timestamp, expires| check_time(&signed(timestamp, SignedVia::Query { expires }), now).is_ok();
        assert!(check("20261124T080900Z", 60));
        assert!(!check("20261124T080859Z", 60));
        assert!(check("20261124T075600Z", 900));
    }
}
