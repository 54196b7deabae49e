//! Tokens of EKS: `k8s-aws-v1.` and a presigned STS URL. What the authenticator of a control plane does with one.
//!
//! Source of the rules: aws-iam-authenticator's documentation (allowed parameters, 15 minutes, the cluster's header).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

use crate::{
    identity::{Caller, look_up},
    seed::Seed,
    sigv4::{CanonicalRequest, SignatureFault, Signed, SignedVia, check_signature, check_time, payload_hash},
    state::Shared,
};

const PREFIX: &str = "k8s-aws-v1.";
const LONGEST: usize = 4096;
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
const LIFE_SECONDS: u32 = 15 * 60;
const ALLOWED: [&str; 9] = [
    "action",
    "version",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFault {
    /// It is no token of this kind.
    #[error("not a token of EKS: {0}")]
    Form(&'static str),
    /// It asks for something that a token may not ask for.
    #[error("the token's URL has the parameter `{0}`, which is not allowed")]
    Parameter(String),
    /// It asks a host that is no STS.
    #[error("the token's URL asks `{0}`, which is not STS")]
    Host(String),
    /// The signature.
    #[error("the token's signature is refused")]
    Signature(#[source] SignatureFault),
}

/// Finds out who a token speaks for.
pub(crate) fn verify(
    token: &str,
    cluster: &str,
    own_hosts: &[String],
    seed: &Seed,
    shared: &Shared,
    now: Timestamp,
) -> Result<Caller, TokenFault> {
    if token.len() > LONGEST {
        return Err(TokenFault::Form("longer than 4 KiB"));
    }
    let encoded = token.strip_prefix(PREFIX).ok_or(TokenFault::Form("no `k8s-aws-v1.` at the beginning"))?;
    let url =
        URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenFault::Form("not base64url without padding"))?;
    let url = String::from_utf8(url).map_err(|_| TokenFault::Form("not a URL"))?;
    let (scheme, rest) = url.split_once("://").ok_or(TokenFault::Form("not a URL"))?;
    let (host, query) = rest.split_once('?').ok_or(TokenFault::Form("a URL without a query"))?;
    let host = host.strip_suffix('/').unwrap_or(host);
    if !is_sts(scheme, host, own_hosts) {
        return Err(TokenFault::Host(host.to_owned()));
    }
    check_parameters(query)?;
    let signed = Signed::from_query(query)
        .map_err(TokenFault::Signature)?
        .ok_or(TokenFault::Form("a URL without a signature"))?;
    check_signed(&signed, now)?;
    let (caller, secret) = look_up(seed, shared, &signed, now).map_err(TokenFault::Signature)?;
    let unsigned: Vec<&str> =
        query.split('&').filter(|pair| !pair.to_ascii_lowercase().starts_with("x-amz-signature=")).collect();
    let unsigned = unsigned.join("&");
    let headers = signed.headers.iter().map(|name| match name.as_str() {
        "host" => Ok((name.clone(), host.to_owned())),
        // The authenticator puts its own cluster's name there: a token for another cluster does not match.
        CLUSTER_HEADER => Ok((name.clone(), cluster.to_owned())),
        _ => Err(TokenFault::Form("a signed header besides host and x-k8s-aws-id")),
    });
    let request = CanonicalRequest {
        method: "GET",
        path: "/",
        query: &unsigned,
        headers: headers.collect::<Result<_, _>>()?,
        payload_hash: &payload_hash(b""),
    };
    check_signature(&request, &signed, &secret).map_err(TokenFault::Signature)?;
    Ok(caller)
}

/// STS of a region over TLS, or the emulator itself.
fn is_sts(scheme: &str, host: &str, own_hosts: &[String]) -> bool {
    let aws = host == "sts.amazonaws.com"
        || host
            .strip_prefix("sts.")
            .and_then(|rest| rest.strip_suffix(".amazonaws.com"))
            .is_some_and(|region| region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    (scheme == "https" && aws) || own_hosts.iter().any(|own| own == host)
}

fn check_parameters(query: &str) -> Result<(), TokenFault> {
    let mut is_identity = false;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.to_ascii_lowercase();
        if !ALLOWED.contains(&name.as_str()) {
            return Err(TokenFault::Parameter(name));
        }
        is_identity |= name == "action" && value == "GetCallerIdentity";
    }
    match is_identity {
        true => Ok(()),
        false => Err(TokenFault::Form("its URL does not ask GetCallerIdentity")),
    }
}

/// A token lives 15 minutes from its date, whatever its URL says, and no URL may say more.
fn check_signed(signed: &Signed, now: Timestamp) -> Result<(), TokenFault> {
    if signed.scope.service != "sts" {
        return Err(TokenFault::Form("signed for another service than sts"));
    }
    if !signed.headers.iter().any(|name| name == CLUSTER_HEADER) {
        return Err(TokenFault::Form("x-k8s-aws-id is not signed"));
    }
    if let SignedVia::Query { expires } = signed.via
        && expires > LIFE_SECONDS
    {
        return Err(TokenFault::Form("X-Amz-Expires is more than 900"));
    }
    let living = Signed { via: SignedVia::Query { expires: LIFE_SECONDS }, ..signed.clone() };
    check_time(&living, now).map_err(TokenFault::Signature)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;
    use crate::sigv4::{CredentialScope, SigningKey};

    const KEY: &str = "AKIAFLEETOPERATOR000";
    const SECRET: &str = "sandbox-operator-secret-key-000000000000";
    const HOST: &str = "sts.eu-central-1.amazonaws.com";

    fn now() -> Timestamp {
        "2026-11-24T08:00:00Z".parse().unwrap()
    }

    /// A token of this moment, with every part to be chosen.
    struct Wanted<'w> {
        scheme: &'w str,
        host: &'w str,
        action: &'w str,
        headers: &'w str,
        expires: u32,
        secret: &'w str,
        more: &'w str,
    }

    const GOOD: Wanted<'_> = Wanted {
        scheme: "https",
        host: HOST,
        action: "GetCallerIdentity",
        headers: "host;x-k8s-aws-id",
        expires: 60,
        secret: SECRET,
        more: "",
    };

    fn token(wanted: &Wanted<'_>, cluster: &str) -> String {
        let scope = CredentialScope {
            access_key: KEY.to_owned(),
            date: "20261124".to_owned(),
            region: "eu-central-1".to_owned(),
            service: "sts".to_owned(),
        };
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let query = format!(
            "Action={}&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date=20261124T080000Z\
             &X-Amz-Expires={}&X-Amz-SignedHeaders={}{}",
            wanted.action,
            encode(&format!("{KEY}/{}", scope.without_key())),
            wanted.expires,
            encode(wanted.headers),
            wanted.more,
        );
        let headers = wanted.headers.split(';').map(|name| {
            let value = if name == "host" { wanted.host } else { cluster };
            (name.to_owned(), value.to_owned())
        });
        let empty = payload_hash(b"");
        let request = CanonicalRequest {
            method: "GET",
            path: "/",
            query: &query,
            headers: headers.collect(),
            payload_hash: &empty,
        };
        let signature = SigningKey::derive(wanted.secret, &scope)
            .sign(&request.string_to_sign("20261124T080000Z", &scope));
        let url = format!("{}://{}/?{query}&X-Amz-Signature={signature}", wanted.scheme, wanted.host);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url))
    }

    fn check(token: &str, now: Timestamp) -> Result<String, TokenFault> {
        let seed = Seed::builtin().unwrap();
        let own = ["127.0.0.1:1".to_owned()];
        verify(token, "one", &own, &seed, &Shared::default(), now).map(|caller| caller.arn())
    }

    #[test]
    fn a_good_token_names_its_principal_for_fifteen_minutes() {
        let good = token(&GOOD, "one");
        let life = SignedDuration::from_mins(15);
        for (at, accepted) in [
            (now(), true),
            (now() + life, true),
            (now() + life + SignedDuration::from_secs(1), false),
            (now() - SignedDuration::from_mins(5), true),
            (now() - SignedDuration::from_mins(6), false),
        ] {
            assert_eq!(check(&good, at).is_ok(), accepted, "{at}");
        }
        assert_eq!(check(&good, now()).unwrap(), "arn:aws:iam::999988887777:user/operator");
    }

    #[test]
    fn a_token_for_another_cluster_host_key_or_purpose_is_refused() {
        assert!(check(&token(&GOOD, "two"), now()).is_err());
        for (what, wanted) in [
            ("another secret", Wanted { secret: "x", ..GOOD }),
            ("another host", Wanted { host: "sts.eu-central-1.amazonaws.com.example.org", ..GOOD }),
            ("a user in the host", Wanted { host: "sts.x@example.org.amazonaws.com", ..GOOD }),
            ("no TLS", Wanted { scheme: "http", ..GOOD }),
            ("another action", Wanted { action: "AssumeRole", ..GOOD }),
            ("no cluster signed", Wanted { headers: "host", ..GOOD }),
            ("a further header", Wanted { headers: "host;x-k8s-aws-id;x-more", ..GOOD }),
            ("a longer life", Wanted { expires: 901, ..GOOD }),
            ("a further parameter", Wanted { more: "&RoleArn=x", ..GOOD }),
        ] {
            assert!(check(&token(&wanted, "one"), now()).is_err(), "{what}");
        }
        for text in ["", "k8s-aws-v1.", "k8s-aws-v1.%%%", "Bearer x", &"x".repeat(5000)] {
            assert!(check(text, now()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_emulator_stands_in_for_sts_under_its_own_address() {
        assert!(check(&token(&Wanted { scheme: "http", host: "127.0.0.1:1", ..GOOD }, "one"), now()).is_ok());
        assert!(
            check(&token(&Wanted { scheme: "http", host: "127.0.0.1:2", ..GOOD }, "one"), now()).is_err()
        );
    }
}
