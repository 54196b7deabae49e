//! Which Prometheus servers a gate may ask: the rule by which a gate's URL is one of the Fleet's list.
//!
//! A URL of the list opens addresses that only the controller reaches, and may carry a token. Whatever cannot be read
//! without any doubt is therefore on no list: URLs are taken apart here more strictly than any client does it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use fleet_api::{
    addresses::{Kind, kind_of},
    v1alpha1::PrometheusServer,
};

/// A server's URL, taken apart: two that are equal lead to the same server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerUrl {
    https: bool,
    /// A name in small letters, or an address without brackets.
    host: String,
    port: u16,
    /// Empty, or with a slash at its beginning and none at its end.
    path: String,
}

/// Where the host of a URL stands, as far as the URL says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A name or an address that everybody may reach. A name can lead anywhere, and is judged when it is resolved.
    Public,
    /// A private address, or a name that only a private network knows.
    Private,
    /// The machine's own address.
    Loopback,
    /// A link-local, metadata, multicast or unspecified address: nobody's Prometheus, and never asked.
    Nowhere,
}

impl ServerUrl {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// What is wrong with it, to be put after "the URL".
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let (https, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("begins with neither `https://` nor `http://`"),
        };
        if rest.contains(['?', '#']) {
            return Err("has a query of its own");
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        if authority.contains('@') {
            return Err("carries a user or a password");
        }
        let (host, port) = host_and_port(authority).ok_or("has no host that can be read")?;
        let port = match port {
            None if https => 443,
            None => 80,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port != 0).ok_or("has a port that there is not")?
            }
            Some(_) => return Err("has a port that is no number"),
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        // A segment such as `..`, plain or escaped, would lead out of the path that was allowed.
        let sound = |segment: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
        };
        if !path.split('/').skip(1).all(sound) {
            return Err("has a path with other parts than letters, digits, `-`, `.`, `_` and `~`");
        }
        Ok(Self { https, host, port, path: path.to_owned() })
    }

    /// Whether another URL is this one or lies below it: the same scheme, host and port, and a path that begins with the
    /// parts of this one.
    pub fn covers(&self, other: &Self) -> bool {
        let below = other.path.strip_prefix(&self.path);
        (self.https, &self.host, self.port) == (other.https, &other.host, other.port)
            && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

    /// Where its host stands.
    pub fn place(&self) -> Place {
        place_of(&self.host)
    }

    /// Whether a token that is sent to it could be read by anybody on the way: it goes to a public place without TLS.
    pub fn exposes_tokens(&self) -> bool {
        !self.https && self.place() == Place::Public
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { https, host, port, path } = self;
        let scheme = if *https { "https" } else { "http" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        write!(f, "{scheme}://{host}:{port}{path}")
    }
}

/// The server of the list that a gate's URL belongs to: the one with the longest path, where several do.
pub fn listed<'a>(servers: &'a [PrometheusServer], url: &str) -> Option<&'a PrometheusServer> {
    let asked = ServerUrl::parse(url).ok()?;
    servers
        .iter()
        .filter_map(|server| Some((ServerUrl::parse(&server.url).ok()?, server)))
        .filter(|(known, _)| known.covers(&asked) && known.place() != Place::Nowhere)
        .max_by_key(|(known, _)| known.path.len())
        .map(|(_, server)| server)
}

/// The host, without brackets and in small letters, and what stands after the colon.
fn host_and_port(authority: &str) -> Option<(String, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
        return Some((address.to_string(), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    host.split('.').all(label).then(|| (host.to_ascii_lowercase(), port))
}

/// Where a host stands; a name with or without the dot at its end.
pub(crate) fn place_of(host: &str) -> Place {
    if let Ok(address) = host.parse::<IpAddr>() {
        return match kind_of(address) {
            Kind::Public => Place::Public,
            Kind::Private => Place::Private,
            Kind::Loopback => Place::Loopback,
            Kind::LinkLocal | Kind::Nowhere => Place::Nowhere,
        };
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let below = |domain: &str| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    if name == "localhost" || below("localhost") {
        Place::Loopback
    } else if !name.contains('.') || ["svc", "local", "internal", "home.arpa"].into_iter().any(below) {
        // The names of a cluster's Services, and those that are reserved for private use (RFC 6762, RFC 8375, ICANN).
        Place::Private
    } else {
        Place::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> PrometheusServer {
        PrometheusServer { url: url.to_owned(), token_key: None }
    }

    #[test]
    fn a_gate_belongs_to_a_server_by_scheme_host_port_and_the_parts_of_its_path() {
        let listed = |known: &str, asked: &str| super::listed(&[server(known)], asked).is_some();
        for (known, asked) in [
            ("http://prometheus.monitoring.svc:9090", "http://prometheus.monitoring.svc:9090"),
            ("http://prometheus.monitoring.svc:9090", "http://Prometheus.Monitoring.svc:9090/"),
            ("http://prometheus.monitoring.svc:9090/", "http://prometheus.monitoring.svc:9090/tenant/a"),
            ("https://mimir.example.com/prometheus", "https://mimir.example.com:443/prometheus/eu"),
            ("http://10.0.0.1", "http://10.0.0.1:80"),
            ("http://[fd12::1]:9090", "http://[fd12:0::1]:9090"),
        ] {
            assert!(listed(known, asked), "{known} covers {asked}");
        }
        for (known, asked) in [
            ("http://prometheus.monitoring.svc:9090", "https://prometheus.monitoring.svc:9090"),
            ("http://prometheus.monitoring.svc:9090", "http://prometheus.monitoring.svc"),
            ("http://prometheus.monitoring.svc:9090", "http://prometheus.monitoring.svc:9091"),
            ("http://prometheus.monitoring.svc:9090", "http://prometheus.monitoring.svc.evil.example:9090"),
            ("http://prometheus.monitoring.svc:9090", "http://prometheus.monitoring.svc:9090@evil.example"),
            ("http://prometheus.monitoring.svc:9090", "http://evil.example/prometheus.monitoring.svc:9090"),
            ("https://mimir.example.com/prometheus", "https://mimir.example.com"),
            ("https://mimir.example.com/prometheus", "https://mimir.example.com/prometheus-admin"),
            ("https://mimir.example.com/prometheus", "https://mimir.example.com/prometheus/../admin"),
            ("https://mimir.example.com/prometheus", "https://mimir.example.com/prometheus/%2e%2e/admin"),
            ("https://mimir.example.com/prometheus", "https://mimir.example.com/prometheus//admin"),
            ("https://mimir.example.com/prometheus", "https://mimir.example.com\\@evil.example/prometheus"),
            ("https://mimir.example.com", "https://mimir.example.com?a=b"),
            // Nothing on a list makes these be asked.
            ("http://169.254.169.254", "http://169.254.169.254"),
            ("http://[fd00:ec2::254]", "http://[fd00:ec2::254]"),
            ("not a url", "not a url"),
        ] {
            assert!(!listed(known, asked), "{known} does not cover {asked}");
        }
    }

    #[test]
    fn the_server_with_the_longest_path_is_meant() {
        let servers =
            [server("https://m.example/a"), server("https://m.example/a/b"), server("https://m.example")];
        let url = |asked: &str| listed(&servers, asked).map(|server| server.url.as_str());
        assert_eq!(url("https://m.example/a/b/c"), Some("https://m.example/a/b"));
        assert_eq!(url("https://m.example/a/c"), Some("https://m.example/a"));
        assert_eq!(url("https://m.example/x"), Some("https://m.example"));
    }

    #[test]
    fn a_token_is_exposed_on_a_public_way_without_tls() {
        let exposes = |url: &str| ServerUrl::parse(url).unwrap().exposes_tokens();
        assert!(exposes("http://mimir.example.com") && exposes("http://203.0.113.7:9090"));
        assert!(!exposes("https://mimir.example.com") && !exposes("http://prometheus.monitoring.svc:9090"));
    }

    #[test]
    fn a_host_stands_where_its_address_or_its_name_says() {
        let table = [
            ("prometheus.example.com", Place::Public),
            ("203.0.113.7", Place::Public),
            ("2001:db8::1", Place::Public),
            ("prometheus", Place::Private),
            ("prometheus.monitoring.svc", Place::Private),
            ("prometheus.monitoring.svc.cluster.local.", Place::Private),
            ("ip-10-0-0-1.eu-central-1.compute.internal", Place::Private),
            ("10.0.0.1", Place::Private),
            ("100.64.0.9", Place::Private),
            ("fd12::1", Place::Private),
            ("::ffff:10.0.0.1", Place::Private),
            ("localhost", Place::Loopback),
            ("127.0.0.1", Place::Loopback),
            ("::1", Place::Loopback),
            ("169.254.169.254", Place::Nowhere),
            ("::ffff:169.254.169.254", Place::Nowhere),
            ("fd00:ec2::254", Place::Nowhere),
            ("fe80::1", Place::Nowhere),
            ("0.0.0.0", Place::Nowhere),
        ];
        for (host, place) in table {
            assert_eq!(place_of(host), place, "{host}");
        }
    }
}
