//! Which URLs a tenant's API server may have, and which addresses may be behind them.
//!
//! An endpoint comes from the cloud's own answer (EKS `DescribeCluster`), and with a private endpoint it resolves
//! to addresses of a VPC: private addresses are therefore allowed for endpoints that a provider gave. Loopback is
//! allowed only where somebody said so, as the sandbox does. Link-local, metadata, multicast and unspecified
//! addresses are never allowed, because no API server lives there and credentials of the machine do. The rule is
//! applied to what a name resolves to at every connect, so that a name cannot change its mind after a check.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use fleet_api::addresses::{AddressError, Addresses};
use http::Uri;
use hyper_util::client::legacy::connect::dns::Name;

/// The URL of a tenant's API server: https, a host, a port, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    authority: String,
    pub(crate) addresses: Addresses,
}

/// A URL that no API server may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is no URL.
    #[error("`{url}` is not a URL")]
    NotAUrl {
        /// The text.
        url: String,
    },
    /// It is not https.
    #[error("`{url}` is not an https URL")]
    NotHttps {
        /// The text.
        url: String,
    },
    /// It says more than scheme, host and port.
    #[error("`{url}` has {what}; an API server's URL is https, a host and a port")]
    TooMuch {
        /// The text, without what may be secret.
        url: String,
        /// What is too much.
        what: &'static str,
    },
    /// The host is an address that is not allowed.
    #[error("`{url}` cannot be an API server's URL")]
    Address {
        /// The text.
        url: String,
        /// Why not.
        #[source]
        source: AddressError,
    },
}

impl Endpoint {
    /// Parses and judges a URL. A host that is a name is judged when it is resolved, at every connect.
    ///
    /// # Errors
    /// The text is no https URL of host and port alone, or its host is an address that is not allowed.
    pub fn parse(url: &str, addresses: Addresses) -> Result<Self, EndpointError> {
        let uri: Uri = url.parse().map_err(|_| EndpointError::NotAUrl { url: url.to_owned() })?;
        if uri.scheme() != Some(&http::uri::Scheme::HTTPS) {
            return Err(EndpointError::NotHttps { url: url.to_owned() });
        }
        let authority =
            uri.authority().ok_or_else(|| EndpointError::NotAUrl { url: url.to_owned() })?.clone();
        if authority.as_str().contains('@') {
            let url = format!("https://…@{}", authority.host());
            return Err(EndpointError::TooMuch { url, what: "a user" });
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(EndpointError::TooMuch {
                url: format!("https://{authority}/…"),
                what: "a path or a query",
            });
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse::<IpAddr>() {
            addresses
                .check(address)
                .map_err(|source| EndpointError::Address { url: url.to_owned(), source })?;
        }
        Ok(Self { authority: authority.to_string(), addresses })
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority)
    }
}

/// Resolves names, and drops every address that is not allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuardedResolver {
    pub(crate) addresses: Addresses,
}

impl tower::Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let addresses = self.addresses;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let mut refused = None;
            let mut allowed = Vec::with_capacity(found.len());
            for address in found {
                match addresses.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(error) => refused = Some(error),
                }
            }
            match refused {
                Some(error) if allowed.is_empty() => Err(io::Error::other(error)),
                _ => Ok(allowed.into_iter()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_link_local_addresses_are_refused_in_every_spelling() {
        for address in [
            "169.254.169.254",
            "169.254.170.23",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert!(Addresses::LOCAL.check(address).is_err(), "{address}");
        }
    }

    #[test]
    fn private_and_own_addresses_need_their_permission() {
        for address in ["10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.9", "fd12::1", "::ffff:10.0.0.1"] {
            let address: IpAddr = address.parse().unwrap();
            assert!(Addresses::PUBLIC.check(address).is_err(), "{address}");
            assert!(Addresses::PROVIDER.check(address).is_ok(), "{address}");
        }
        for address in ["127.0.0.1", "::1"] {
            let address: IpAddr = address.parse().unwrap();
            assert!(Addresses::PROVIDER.check(address).is_err(), "{address}");
            assert!(Addresses::LOCAL.check(address).is_ok(), "{address}");
        }
        assert!(Addresses::PUBLIC.check("203.0.113.7".parse().unwrap()).is_ok());
    }

    #[test]
    fn only_https_with_host_and_port_is_an_endpoint() {
        let parse = |url: &str| Endpoint::parse(url, Addresses::LOCAL);
        assert_eq!(
            parse("https://abc.gr7.eu-central-1.eks.amazonaws.com").unwrap().authority(),
            "abc.gr7.eu-central-1.eks.amazonaws.com"
        );
        assert_eq!(parse("https://127.0.0.1:6443/").unwrap().to_string(), "https://127.0.0.1:6443");
        for url in [
            "http://127.0.0.1:6443",
            "https://user:secret@host",
            "https://host/path",
            "https://host/?a=b",
            "file:///etc/passwd",
            "https://169.254.169.254",
            "https://[fd00:ec2::254]/",
            "host",
            "",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
        let told = parse("https://user:secret@host").unwrap_err().to_string();
        assert!(!told.contains("secret"), "{told}");
    }
}
