//! The URL of a Prometheus server. A plan judges it as the controller does when it asks, so that no gate is started whose
//! server can never be asked. A name may lead anywhere, and is judged when it is resolved.

use std::net::IpAddr;

use crate::addresses::{AddressError, Addresses};

/// A server that may be asked, as far as its URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Whether it is asked by https.
    pub tls: bool,
    authority: String,
    path: String,
}

/// A URL of no server that may be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is not written as such a URL is.
    #[error("{0}")]
    Text(&'static str),
    /// Its host is an address that may not be asked.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl Server {
    /// Parses and judges a URL: http or https, a host, a port and a path.
    ///
    /// # Errors
    /// Why it may not be asked.
    pub fn parse(url: &str, addresses: Addresses) -> Result<Self, UrlError> {
        let refuse = |why| Err(UrlError::Text(why));
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ if url.contains("://") => return refuse("it is neither https nor http"),
            _ => return refuse("it does not begin with `https://`"),
        };
        if rest.contains('#') {
            return refuse("it has a fragment");
        }
        if rest.contains('?') {
            return refuse("it has a query of its own");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return refuse("it names a user");
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        if host.is_empty() {
            return refuse("it names no server");
        }
        let number = port.strip_prefix(':');
        if !port.is_empty() && !number.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return refuse("its port is no number from 1 to 65535");
        }
        match host.parse::<IpAddr>() {
            Ok(address) => addresses.check(address)?,
            Err(_) if authority.starts_with('[') => return refuse("its host is no address"),
            Err(_) if !is_name(host) => return refuse("its host is no name that DNS has"),
            // Resolvers take such a name for an address that is written in another way.
            Err(_) if ends_in_number(host) => return refuse("its host is a number"),
            Err(_) if is_own(host) && !addresses.loopback => return refuse("it names the machine itself"),
            Err(_) => {}
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\')) {
            return refuse("its path has a character that a URL cannot have");
        }
        let (authority, path) = (authority.to_owned(), path.trim_end_matches('/').to_owned());
        Ok(Self { tls, authority, path })
    }

    /// The URL of an API behind the server's own path. The caller has escaped what it adds.
    pub fn url(&self, api: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}{api}", self.authority, self.path)
    }
}

/// Underscores are no part of host names, and names of services have them all the same.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

fn ends_in_number(host: &str) -> bool {
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_own(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_that_everybody_reaches_and_nothing_else() {
        for url in [
            "https://prometheus.example.com",
            "http://p.example.com:9090/",
            "https://p.example.com/mimir/a%20b",
            "https://198.51.100.7",
            "https://[2001:db8::1]:9090",
            "https://victoria_metrics.example.com.",
        ] {
            assert!(Server::parse(url, Addresses::PUBLIC).is_ok(), "{url}");
        }
        let table = [
            ("", "does not begin"),
            ("p.example.com", "does not begin"),
            ("file:///etc/passwd", "neither https nor http"),
            ("https://", "names no server"),
            ("https:///path", "names no server"),
            ("https://:9090", "names no server"),
            ("https://p.example.com/?a=b", "a query of its own"),
            ("https://p.example.com#x", "a fragment"),
            ("https://user:secret@p.example.com", "names a user"),
            ("https://exa mple.com", "no name that DNS has"),
            ("https://p..example.com", "no name that DNS has"),
            ("https://[p.example.com]", "no address"),
            ("https://p.example.com:99999", "port"),
            ("https://p.example.com:", "port"),
            ("https://[2001:db8::1]x", "port"),
            ("https://p.example.com/a b", "path"),
            ("http://2130706433/", "is a number"),
            ("http://127.1", "is a number"),
            ("http://0x7f000001", "is a number"),
            ("http://LocalHost:9090", "the machine itself"),
            ("http://127.0.0.1", "the machine's own address"),
            ("http://10.0.0.1", "a private address"),
            ("http://100.64.0.1", "a private address"),
            ("http://169.254.169.254", "metadata"),
            ("http://[fd00:ec2::254]/", "metadata"),
            ("http://[::ffff:10.0.0.1]/", "a private address"),
        ];
        for (url, why) in table {
            let refused = Server::parse(url, Addresses::PUBLIC).unwrap_err().to_string();
            assert!(refused.contains(why), "{url}: {refused}");
        }
        assert!(Server::parse("http://localhost:9090", Addresses::LOCAL).is_ok());
    }

    #[test]
    fn what_is_asked_stands_behind_the_servers_own_path() {
        let server = Server::parse("https://p.example.com:9090/mimir/", Addresses::PUBLIC).unwrap();
        assert_eq!(server.url("/api/v1/query"), "https://p.example.com:9090/mimir/api/v1/query");
    }
}
