//! Networks: parsed, compared, and cut around the instance metadata service.

use std::{fmt, net::IpAddr, str::FromStr};

/// A network, its host bits cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    /// The address, left-aligned in 128 bits for both families.
    bits: u128,
    prefix: u8,
    v6: bool,
}

/// IPv4 link-local: holds the metadata service, the task metadata of ECS and the Pod Identity agent
/// (RFC 3927; EC2 user guide, "Access instance metadata").
const LINK_LOCAL: Cidr = Cidr { bits: 0xA9FE << 112, prefix: 16, v6: false };
/// The instance metadata service, `169.254.169.254`.
const METADATA: Cidr = Cidr { bits: 0xA9FE_A9FE << 96, prefix: 32, v6: false };
/// The range that EC2 keeps for local services over IPv6, `fd00:ec2::/32` (VPC user guide, "Local services").
const LOCAL_SERVICES_V6: Cidr = Cidr { bits: 0xFD00_0EC2 << 96, prefix: 32, v6: true };
/// The instance metadata service over IPv6, `fd00:ec2::254`.
const METADATA_V6: Cidr = Cidr { bits: (0xFD00_0EC2 << 96) | 0x254, prefix: 128, v6: true };

impl Cidr {
    /// The longest prefix of the family.
    const fn width(v6: bool) -> u8 {
        if v6 { 128 } else { 32 }
    }

    fn mask(prefix: u8) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or_default()
    }

    /// Whether every address of the other network is in this one.
    pub(crate) fn contains(self, other: Self) -> bool {
        self.v6 == other.v6
            && self.prefix <= other.prefix
            && other.bits & Self::mask(self.prefix) == self.bits
    }

    /// The address that stands so many places behind the network's first, as a network of its own.
    pub(crate) fn host(self, offset: u32) -> Option<Self> {
        let width = Self::width(self.v6);
        let unit = if self.v6 { 0 } else { 96 };
        let bits = self.bits.checked_add(u128::from(offset) << unit)?;
        let host = Self { bits, prefix: width, v6: self.v6 };
        self.contains(host).then_some(host)
    }

    /// What has to be cut out of the network so that the metadata service stays closed; `None` when nothing of
    /// it would remain.
    pub(crate) fn metadata_cut(self) -> Option<Vec<Self>> {
        let (range, service) =
            if self.v6 { (LOCAL_SERVICES_V6, METADATA_V6) } else { (LINK_LOCAL, METADATA) };
        if self == service {
            None
        } else if self.contains(range) && self != range {
            Some(vec![range])
        } else if self.contains(service) {
            Some(vec![service])
        } else {
            Some(Vec::new())
        }
    }
}

impl FromStr for Cidr {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = text.split_once('/').ok_or("is no network: write it as `203.0.113.0/24`")?;
        let address: IpAddr = address.parse().map_err(|_| "is no network: its address is not one")?;
        let (bits, v6) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, false),
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
                return Err("is an IPv4 network in IPv6 clothes: write it as IPv4");
            }
            IpAddr::V6(v6) => (v6.to_bits(), true),
        };
        let plain = !prefix.is_empty() && prefix.len() <= 3 && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: u8 =
            prefix.parse().ok().filter(|_| plain).ok_or("is no network: its prefix is not a length")?;
        if prefix > Self::width(v6) {
            return Err("is no network: its prefix is longer than an address");
        }
        Ok(Self { bits: bits & Self::mask(prefix), prefix, v6 })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = if self.v6 {
            IpAddr::from(self.bits.to_be_bytes())
        } else {
            IpAddr::from(((self.bits >> 96) as u32).to_be_bytes())
        };
        write!(f, "{address}/{}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Option<Vec<String>> {
        let cidr: Cidr = text.parse().unwrap();
        cidr.metadata_cut().map(|cuts| cuts.iter().map(Cidr::to_string).collect())
    }

    #[test]
    fn networks_are_written_by_their_first_address() {
        for (given, written) in [
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("10.1.2.3/32", "10.1.2.3/32"),
            ("2001:DB8::1/64", "2001:db8::/64"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(given.parse::<Cidr>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "010.0.0.0/8",
            "::ffff:169.254.0.0/112",
            "a/8",
            "10.0.0.0/",
            "fe80::1%eth0/64",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_that_holds_the_metadata_service_is_cut_around_it() {
        assert_eq!(cut("0.0.0.0/0"), Some(vec!["169.254.0.0/16".into()]));
        assert_eq!(cut("169.0.0.0/8"), Some(vec!["169.254.0.0/16".into()]));
        assert_eq!(cut("169.254.0.0/16"), Some(vec!["169.254.169.254/32".into()]));
        assert_eq!(cut("169.254.169.0/24"), Some(vec!["169.254.169.254/32".into()]));
        assert_eq!(cut("169.254.169.254/32"), None);
        assert_eq!(cut("169.254.170.0/24"), Some(vec![]));
        assert_eq!(cut("203.0.113.0/24"), Some(vec![]));
        assert_eq!(cut("::/0"), Some(vec!["fd00:ec2::/32".into()]));
        assert_eq!(cut("fd00::/8"), Some(vec!["fd00:ec2::/32".into()]));
        assert_eq!(cut("fd00:ec2::/32"), Some(vec!["fd00:ec2::254/128".into()]));
        assert_eq!(cut("fd00:ec2::254/128"), None);
        assert_eq!(cut("2001:db8::/32"), Some(vec![]));
    }

    #[test]
    fn the_tenth_address_of_a_service_network_is_its_dns() {
        let dns = |text: &str| text.parse::<Cidr>().unwrap().host(10).map(|host| host.to_string());
        assert_eq!(dns("10.100.0.0/16").as_deref(), Some("10.100.0.10/32"));
        assert_eq!(dns("fd30:1c53:5f8a::/108").as_deref(), Some("fd30:1c53:5f8a::a/128"));
        assert_eq!(dns("10.0.0.0/30"), None);
    }

    proptest! {
        #[test]
        fn whatever_remains_of_a_network_never_holds_the_metadata_service(
            address: u32, v6: u128, prefix in 0_u8..=128, family: bool
        ) {
            let (bits, width) = if family { (v6, 128) } else { (u128::from(address) << 96, 32) };
            let prefix = prefix % (width + 1);
            for bits in [bits, METADATA.bits, METADATA_V6.bits] {
                let cidr = Cidr { bits: bits & Cidr::mask(prefix), prefix, v6: family };
                let service = if family { METADATA_V6 } else { METADATA };
                if let Some(cuts) = cidr.metadata_cut() {
                    let open = cidr.contains(service) && !cuts.iter().any(|cut| cut.contains(service));
                    prop_assert!(!open, "{cidr}");
                    for cut in cuts {
                        prop_assert!(cidr.contains(cut) && cidr != cut, "{cut} is no true part of {cidr}");
                    }
                }
            }
        }
    }
}
