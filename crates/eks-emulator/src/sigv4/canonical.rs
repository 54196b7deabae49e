//! The canonical request, the string to sign, and the chain of keys.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use super::CredentialScope;

/// What stays as it is in a canonical URI or query: the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// SHA-256 of a body in lower-case hexadecimal.
pub fn payload_hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// The parts of a request that a signature covers, as they came over the wire.
#[derive(Debug, Clone)]
pub struct CanonicalRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as sent, percent-encoded once.
    pub path: &'a str,
    /// The query as sent, without the `?` and without `X-Amz-Signature`.
    pub query: &'a str,
    /// The signed headers in the order that the caller named them: lower-case name, value as sent.
    pub headers: Vec<(String, String)>,
    /// The hash of the body.
    pub payload_hash: &'a str,
}

impl CanonicalRequest<'_> {
    /// The canonical request as text.
    pub fn text(&self) -> String {
        let mut text =
            format!("{}\n{}\n{}\n", self.method, canonical_path(self.path), canonical_query(self.query));
        for (name, value) in &self.headers {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}:{}", collapse(value));
        }
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let _ = write!(text, "\n{}\n{}", names.join(";"), self.payload_hash);
        text
    }

    /// The string to sign.
    pub fn string_to_sign(&self, timestamp: &str, scope: &CredentialScope) -> String {
        format!(
            "AWS4-HMAC-SHA256\n{timestamp}\n{}\n{}",
            scope.without_key(),
            hex::encode(Sha256::digest(self.text()))
        )
    }
}

/// Every service but S3 encodes each path segment a second time, and removes empty and dot segments.
fn canonical_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    if kept.is_empty() {
        return "/".to_owned();
    }
    let mut canonical = String::new();
    for segment in kept {
        canonical.push('/');
        canonical.extend(percent_encode(segment.as_bytes(), RESERVED));
    }
    if path.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// Names and values encoded the one way, sorted by name and then value.
fn canonical_query(query: &str) -> String {
    let encode =
        |text: &str| percent_encode(&percent_decode_str(text).collect::<Vec<u8>>(), RESERVED).to_string();
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(name), encode(value))
        })
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Surrounding space goes, and inner runs of space become one.
fn collapse(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// A key for one day, region and service.
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// Derives the key from the secret of an access key.
    pub fn derive(secret: &str, scope: &CredentialScope) -> Self {
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [scope.date.as_str(), &scope.region, &scope.service, "aws4_request"] {
            key = hmac(&key, part.as_bytes()).finalize().into_bytes().to_vec();
        }
        Self(key)
    }

    /// The signature of a string to sign, in lower-case hexadecimal.
    pub fn sign(&self, string_to_sign: &str) -> String {
        hex::encode(hmac(&self.0, string_to_sign.as_bytes()).finalize().into_bytes())
    }

    /// Whether a signature is the right one, in constant time.
    pub fn matches(&self, string_to_sign: &str, signature: &str) -> bool {
        hex::decode(signature)
            .is_ok_and(|bytes| hmac(&self.0, string_to_sign.as_bytes()).verify_slice(&bytes).is_ok())
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn hmac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(message);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of the AWS documentation (IAM ListUsers of 30 August 2015).
    #[test]
    fn the_documented_example_is_signed_as_documented() {
        let scope = CredentialScope {
            access_key: "AKIDEXAMPLE".into(),
            date: "20150830".into(),
            region: "us-east-1".into(),
            service: "iam".into(),
        };
        let empty = payload_hash(b"");
        let request = CanonicalRequest {
            method: "GET",
            path: "/",
            query: "Action=ListUsers&Version=2010-05-08",
            headers: vec![
                ("content-type".into(), "application/x-www-form-urlencoded; charset=utf-8".into()),
                ("host".into(), "iam.amazonaws.com".into()),
                ("x-amz-date".into(), "20150830T123600Z".into()),
            ],
            payload_hash: &empty,
        };
        assert_eq!(
            payload_hash(request.text().as_bytes()),
            "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
        );
        let key = SigningKey::derive("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &scope);
        let text = request.string_to_sign("20150830T123600Z", &scope);
        assert_eq!(key.sign(&text), "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
        assert!(key.matches(&text, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"));
        assert!(!key.matches(&text, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d8"));
        assert!(!key.matches(&text, "not hexadecimal"));
    }

    #[test]
    fn paths_are_encoded_twice_and_normalized() {
        for (sent, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("/clusters", "/clusters"),
            ("/clusters//a/./b/../c", "/clusters/a/c"),
            (
                "/clusters/c/access-entries/arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr",
                "/clusters/c/access-entries/arn%253Aaws%253Aiam%253A%253A1%253Arole%252Fr",
            ),
            ("/trailing/", "/trailing/"),
        ] {
            assert_eq!(canonical_path(sent), canonical, "{sent}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded_one_way() {
        for (sent, canonical) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("flag", "flag="),
            ("k=a%2fb&k2=a:b", "k=a%2Fb&k2=a%3Ab"),
            ("k=%7E", "k=~"),
        ] {
            assert_eq!(canonical_query(sent), canonical, "{sent}");
        }
    }
}
