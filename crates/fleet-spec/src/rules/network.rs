//! CIDRs, registries, subnets.

use std::net::IpAddr;

use fleet_api::images::whole_prefix;
use ipnet::IpNet;

use super::Problem;
use crate::{field_path::FieldPath, finding::Code, text::shown};

/// Parses a CIDR whose host bits are zero; otherwise says what is wrong.
pub(super) fn cidr(text: &str, path: FieldPath) -> Result<IpNet, Problem> {
    let wrong = |message: String| Problem::error(Code::Cidr, path.clone(), message);
    match text.parse::<IpNet>() {
        Ok(net) if net.addr() == net.network() => Ok(net),
        Ok(net) => Err(wrong(format!("`{}` names one address and a whole network at once", shown(text)))
            .hint(format!(
                "write `{}` for the network, or `{}/{}` for the address",
                net.trunc(),
                net.addr(),
                net.max_prefix_len()
            ))),
        Err(_) => {
            let problem = wrong(format!("`{}` is not a CIDR", shown(text)));
            Err(match text.parse::<IpAddr>() {
                Ok(address @ IpAddr::V4(_)) => problem.hint(format!("did you mean `{address}/32`?")),
                Ok(address @ IpAddr::V6(_)) => problem.hint(format!("did you mean `{address}/128`?")),
                Err(_) => problem.hint("write a network such as `203.0.113.0/24`"),
            })
        }
    }
}

/// Whether the network lies in address space that the internet does not route.
pub(super) fn is_private(net: &IpNet) -> bool {
    let any = |blocks: &[&str]| {
        blocks.iter().filter_map(|block| block.parse::<IpNet>().ok()).any(|block| block.contains(net))
    };
    any(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"])
        || any(&["fc00::/7", "fe80::/10", "::1/128"])
}

/// The problem of a registry prefix that is none, or that would also match registries beside it.
pub(super) fn registry(prefix: &str, path: FieldPath) -> Option<Problem> {
    let wrong = |message: String| Problem::error(Code::Registry, path.clone(), message);
    if let Some(rest) =
        ["https://", "http://", "oci://", "docker://"].iter().find_map(|scheme| prefix.strip_prefix(scheme))
    {
        return Some(
            wrong(format!("`{}` is a URL, not a prefix of image names", shown(prefix)))
                .hint(format!("write `{}`", shown(&with_slash(rest)))),
        );
    }
    let inside =
        prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._/:".contains(&b));
    if !inside || prefix.is_empty() || prefix.contains("//") || prefix.starts_with('/') || prefix.len() > 255
    {
        return Some(
            wrong(format!("`{}` is not a prefix of image names", shown(prefix)))
                .hint("write a registry with its path, such as `registry.example.com/payments/`"),
        );
    }
    if !prefix.ends_with('/') {
        return Some(
            wrong(format!("`{prefix}` also matches `{prefix}-of-somebody-else`"))
                .hint(format!("end it with `/`: `{}`", with_slash(&whole_prefix(prefix)))),
        );
    }
    let whole = whole_prefix(prefix);
    (whole != prefix).then(|| {
        wrong(format!("no image comes from `{prefix}`: without a registry's host it stands for `{whole}`"))
            .hint(format!("write `{whole}`"))
    })
}

fn with_slash(prefix: &str) -> String {
    format!("{}/", prefix.trim_end_matches('/'))
}

/// The problem of an id that does not have AWS's form, such as `subnet-0f1e2d3c4b5a69780`.
pub(super) fn aws_id(id: &str, prefix: &str, noun: &str, path: FieldPath) -> Option<Problem> {
    let hexadecimal = id.strip_prefix(prefix).is_some_and(|rest| {
        (8..=17).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    });
    (!hexadecimal).then(|| {
        Problem::error(Code::InvalidValue, path, format!("`{}` is not the id of a {noun}", shown(id)))
            .hint(format!("write `{prefix}` and 8 to 17 hexadecimal digits"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_of(text: &str) -> String {
        cidr(text, FieldPath::spec()).unwrap_err().hint.unwrap()
    }

    #[test]
    fn a_cidr_with_host_bits_is_told_its_network() {
        assert!(cidr("203.0.113.0/24", FieldPath::spec()).is_ok());
        assert!(cidr("2001:db8::/32", FieldPath::spec()).is_ok());
        assert!(hint_of("203.0.113.7/24").contains("`203.0.113.0/24`"));
        assert!(hint_of("203.0.113.7").contains("`203.0.113.7/32`"));
        assert!(hint_of("example.com").contains("such as"));
    }

    #[test]
    fn a_registry_prefix_ends_at_a_slash() {
        assert_eq!(registry("registry.example.com/payments/", FieldPath::spec()), None);
        for (prefix, hint) in [
            ("registry.example.com/pay", "registry.example.com/pay/"),
            ("https://registry.example.com", "registry.example.com/"),
            ("Registry.example.com/", "such as"),
            ("", "such as"),
            ("acme/", "`docker.io/acme/`"),
            ("acme", "`docker.io/acme/`"),
            ("index.docker.io/acme/", "`docker.io/acme/`"),
        ] {
            assert!(registry(prefix, FieldPath::spec()).unwrap().hint.unwrap().contains(hint), "{prefix}");
        }
    }
}
