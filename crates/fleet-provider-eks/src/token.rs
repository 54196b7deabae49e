//! Bearer tokens for the API servers of EKS clusters: a presigned GetCallerIdentity, made without any request.
//!
//! The API server's authenticator sends the request to STS and so learns who signed it. It takes only the
//! parameters below, and counts 15 minutes from the signature's time, whatever `X-Amz-Expires` says
//! (aws-iam-authenticator, `pkg/token`).

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use fleet_provider::ClusterToken;
use jiff::{SignedDuration, Timestamp};

use crate::{endpoint::Endpoints, operations::Service};

/// What every token begins with.
pub const TOKEN_PREFIX: &str = "k8s-aws-v1.";
/// The header that binds a token to one cluster.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
/// One minute less than the server allows, for clocks that differ.
const LIFETIME: SignedDuration = SignedDuration::from_mins(14);
/// The longest token that the server reads.
const LONGEST: usize = 4096;

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The credentials have ended.
    #[error("making a token for cluster {cluster}: the credentials ended at {ended_at}")]
    CredentialsEnded {
        /// The cluster.
        cluster: String,
        /// When.
        ended_at: Timestamp,
    },
    /// The request cannot be signed.
    #[error("making a token for cluster {cluster}: signing the request failed")]
    Signing {
        /// The cluster.
        cluster: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The token is longer than API servers read.
    #[error(
        "making a token for cluster {cluster}: it has {length} characters, and API servers read {LONGEST}"
    )]
    TooLong {
        /// The cluster.
        cluster: String,
        /// Its length.
        length: usize,
    },
}

/// Makes a token for the API server of `cluster_name`, as whoever the credentials are.
///
/// `now` is the time of the signature. The token ends after 14 minutes, or with the credentials if they end
/// earlier.
pub fn mint_token(
    credentials: &Credentials,
    endpoints: &Endpoints,
    cluster_name: &str,
    now: Timestamp,
) -> Result<ClusterToken, TokenError> {
    let cluster = || cluster_name.to_owned();
    let credentials_end = credentials.expiry().and_then(|at| Timestamp::try_from(at).ok());
    if let Some(ended_at) = credentials_end.filter(|at| *at <= now) {
        return Err(TokenError::CredentialsEnded { cluster: cluster(), ended_at });
    }
    let url = presign(credentials, endpoints, cluster_name, now)
        .map_err(|source| TokenError::Signing { cluster: cluster(), source })?;
    let secret = format!("{TOKEN_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(url));
    if secret.len() > LONGEST {
        return Err(TokenError::TooLong { cluster: cluster(), length: secret.len() });
    }
    let expires_at = credentials_end.map_or(now + LIFETIME, |at| at.min(now + LIFETIME));
    Ok(ClusterToken { secret, expires_at })
}

fn presign(
    credentials: &Credentials,
    endpoints: &Endpoints,
    cluster_name: &str,
    now: Timestamp,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut url = format!("{}/?Action=GetCallerIdentity&Version=2011-06-15", endpoints.url(Service::Sts));
    let uri: http::Uri = url.parse()?;
    let host = uri.authority().ok_or("the endpoint of STS has no host")?.as_str();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(endpoints.region())
        .name(Service::Sts.signing_name())
        .time(SystemTime::from(now))
        .settings(settings)
        .build()?
        .into();
    let headers = [("host", host), (CLUSTER_HEADER, cluster_name)];
    let request = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(&[]))?;
    let (instructions, _signature) = sign(request, &parameters)?.into_parts();
    for (name, value) in instructions.params() {
        let value = percent_encoding::utf8_percent_encode(value, UNRESERVED);
        url.push_str(&format!("&{name}={value}"));
    }
    Ok(url)
}

/// Everything but the unreserved characters of RFC 3986, which SigV4 demands.
pub(crate) const UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn keys(session: Option<&str>, expiry: Option<Timestamp>) -> Credentials {
        Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            session.map(str::to_owned),
            expiry.map(SystemTime::from),
            "test",
        )
    }

    fn url_of(token: &ClusterToken) -> String {
        let encoded = token.secret.strip_prefix(TOKEN_PREFIX).unwrap();
        String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
    }

    fn parameters(url: &str) -> BTreeMap<String, String> {
        let uri: http::Uri = url.parse().unwrap();
        uri.query()
            .unwrap()
            .split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| {
                let value = percent_encoding::percent_decode_str(value).decode_utf8().unwrap();
                (name.to_owned(), value.into_owned())
            })
            .collect()
    }

    #[test]
    fn a_token_holds_only_what_the_authenticator_lets_through() {
        let token = mint_token(
            &keys(Some("session/token+="), None),
            &Endpoints::new("eu-central-1", None),
            "acme-payments-1",
            at("2026-11-24T08:00:00Z"),
        )
        .unwrap();
        let url = url_of(&token);
        assert!(url.starts_with("https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version="));
        let parameters = parameters(&url);
        let names: Vec<&str> = parameters.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "Action",
                "Version",
                "X-Amz-Algorithm",
                "X-Amz-Credential",
                "X-Amz-Date",
                "X-Amz-Expires",
                "X-Amz-Security-Token",
                "X-Amz-Signature",
                "X-Amz-SignedHeaders",
            ]
        );
        assert_eq!(parameters["X-Amz-SignedHeaders"], "host;x-k8s-aws-id");
        assert_eq!(parameters["X-Amz-Credential"], "AKIDEXAMPLE/20261124/eu-central-1/sts/aws4_request");
        assert_eq!(parameters["X-Amz-Date"], "20261124T080000Z");
        assert_eq!(parameters["X-Amz-Expires"], "60");
        assert_eq!(parameters["X-Amz-Security-Token"], "session/token+=");
        assert_eq!(token.expires_at, at("2026-11-24T08:14:00Z"));
    }

    #[test]
    fn a_token_ends_no_later_than_its_credentials() {
        let endpoints = Endpoints::new("eu-central-1", None);
        let now = at("2026-11-24T08:00:00Z");
        let soon = at("2026-11-24T08:05:00Z");
        let token = mint_token(&keys(None, Some(soon)), &endpoints, "c", now).unwrap();
        assert_eq!(token.expires_at, soon);
        let ended = mint_token(&keys(None, Some(now)), &endpoints, "c", now).unwrap_err();
        assert!(matches!(ended, TokenError::CredentialsEnded { .. }));
    }

    #[test]
    fn the_signature_is_the_one_that_botocore_makes() {
        let token = mint_token(
            &keys(None, None),
            &Endpoints::new("eu-central-1", None),
            "acme-payments-1",
            at("2026-11-24T08:00:00Z"),
        )
        .unwrap();
        assert_eq!(parameters(&url_of(&token))["X-Amz-Signature"], BOTOCORE_SIGNATURE);
    }

    /// From botocore's SigV4QueryAuth over the same request, keys and time.
    const BOTOCORE_SIGNATURE: &str = "cc3d9eb783fdf5c6a565ebf9f6ea9cd674b24bb9367e494a9f229a96e93c0d6e";

    #[test]
    fn nobody_sees_a_token_by_printing_it() {
        let token = mint_token(
            &keys(None, None),
            &Endpoints::new("eu-central-1", None),
            "c",
            at("2026-11-24T08:00:00Z"),
        )
        .unwrap();
        assert!(!format!("{token:?}").contains(TOKEN_PREFIX));
    }
}
