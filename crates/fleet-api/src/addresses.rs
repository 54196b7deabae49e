//! Which addresses may be reached. One rule for API servers and for servers that a rollout asks, whether a plan judges
//! an address in a file or the controller judges what a name resolved to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses an endpoint may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Whether private addresses (RFC 1918, RFC 6598, unique local) are allowed.
    pub private: bool,
    /// Whether the machine's own addresses are allowed.
    pub loopback: bool,
}

impl Addresses {
    /// Public addresses alone: for URLs that tenants give.
    pub const PUBLIC: Self = Self { private: false, loopback: false };
    /// Public and private addresses: for endpoints that a provider gives.
    pub const PROVIDER: Self = Self { private: true, loopback: false };
    /// Also the machine's own: for the sandbox and for tests.
    pub const LOCAL: Self = Self { private: true, loopback: true };

    /// Judges one address.
    ///
    /// # Errors
    /// The address belongs to a range that is not allowed.
    pub fn check(self, address: IpAddr) -> Result<(), AddressError> {
        let refuse = |range| Err(AddressError { address, range });
        match kind_of(address) {
            Kind::Public => Ok(()),
            Kind::Private if self.private => Ok(()),
            Kind::Loopback if self.loopback => Ok(()),
            Kind::Private => refuse("a private address"),
            Kind::Loopback => refuse("the machine's own address"),
            Kind::LinkLocal => refuse("a link-local or instance metadata address"),
            Kind::Nowhere => refuse("an unspecified, multicast or reserved address"),
        }
    }
}

/// An address that nobody may be reached at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {range}, and no server may be reached there")]
pub struct AddressError {
    address: IpAddr,
    range: &'static str,
}

impl AddressError {
    /// What the address is, such as `a private address`.
    pub const fn range(&self) -> &'static str {
        self.range
    }
}

/// Where an address stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Where everybody may reach it.
    Public,
    /// In a private network.
    Private,
    /// On the machine itself.
    Loopback,
    /// On the link, where the metadata services of clouds are too.
    LinkLocal,
    /// Nowhere: unspecified, multicast or reserved.
    Nowhere,
}

/// Where an address stands. An IPv4 address that is mapped into IPv6 stands where it stands itself.
pub fn kind_of(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(v4) => kind_of_v4(v4),
        IpAddr::V6(v6) => kind_of_v6(v6),
    }
}

fn kind_of_v4(v4: Ipv4Addr) -> Kind {
    let [a, b, ..] = v4.octets();
    if a == 0 || a >= 224 {
        Kind::Nowhere
    } else if v4.is_loopback() {
        Kind::Loopback
    } else if v4.is_link_local() {
        Kind::LinkLocal
    } else if v4.is_private() || (a == 100 && (64..128).contains(&b)) {
        Kind::Private
    } else {
        Kind::Public
    }
}

fn kind_of_v6(v6: Ipv6Addr) -> Kind {
    let segments = v6.segments();
    // An IPv4 address in IPv6 clothes is judged as what it is: mapped, NAT64 (RFC 6052) and 6to4 (RFC 3056).
    if let Some(v4) = v6.to_ipv4_mapped() {
        return kind_of_v4(v4);
    }
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        kind_of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        // The metadata service's and the time service's addresses on AWS are in fd00:ec2::/32.
        [0xfd00, 0xec2, ..] => Kind::LinkLocal,
        _ if v6.is_loopback() => Kind::Loopback,
        _ if v6.is_unspecified() || v6.is_multicast() => Kind::Nowhere,
        [first, ..] if first & 0xffc0 == 0xfe80 => Kind::LinkLocal,
        [first, ..] if first & 0xfe00 == 0xfc00 => Kind::Private,
        _ => Kind::Public,
    }
}
