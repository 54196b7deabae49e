//! What a control plane is to be, and what can be known to be wrong with that beforehand.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use crate::{
    error::Error,
    flags::{Controllers, Webhook},
    minor::Minor,
};

/// What a control plane is to be.
#[derive(Debug, Clone)]
pub struct ControlPlaneSpec {
    /// Its name: a DNS label. Kubeconfigs and reports carry it.
    pub name: String,
    /// Its Kubernetes minor.
    pub minor: Minor,
    /// Its folder: certificates, kubeconfigs, logs, pids. A folder that was used before gives the control plane
    /// its certificates and its port again.
    pub dir: PathBuf,
    /// The endpoint of its etcd.
    pub etcd: String,
    /// The prefix of its data in etcd: one per control plane.
    pub etcd_prefix: String,
    /// The range of its Service addresses.
    pub service_cidr: String,
    /// Its controllers.
    pub controllers: Controllers,
    /// Who is asked about a bearer token that the API server does not know itself.
    pub token_webhook: Option<Webhook>,
    /// Who is asked about a request that RBAC does not allow.
    pub authorization_webhook: Option<Webhook>,
    /// Further flags of the API server.
    pub extra_args: Vec<String>,
}

impl ControlPlaneSpec {
    /// A control plane with a tenant's controllers, without webhooks, its data under `/NAME`.
    pub fn new(name: &str, minor: Minor, dir: &Path, etcd: String) -> Self {
        Self {
            name: name.to_owned(),
            minor,
            dir: dir.to_path_buf(),
            etcd,
            etcd_prefix: format!("/{name}"),
            service_cidr: "10.100.0.0/16".to_owned(),
            controllers: Controllers::Tenant,
            token_webhook: None,
            authorization_webhook: None,
            extra_args: Vec::new(),
        }
    }
}

impl ControlPlaneSpec {
    /// Refuses what would end in a puzzling message of a server.
    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        let refuse = |why: &str| Err(Error::Spec { name: self.name.clone(), why: why.to_owned() });
        let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 63 || !self.name.chars().all(label) {
            return refuse("its name is not a DNS label");
        }
        if !self.etcd_prefix.starts_with('/') || self.etcd_prefix.len() < 2 {
            return refuse("its etcd prefix is not `/` and a name");
        }
        if first_address(&self.service_cidr).is_none() {
            return refuse("its service range is not an IPv4 CIDR with room for two addresses");
        }
        self.dir = std::path::absolute(&self.dir).map_err(Error::file("find", &self.dir))?;
        Ok(self)
    }
}

/// The first usable address of a range, which is the address of the Service `kubernetes`.
pub(crate) fn first_address(cidr: &str) -> Option<Ipv4Addr> {
    let (address, length) = cidr.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    let length: u32 = length.parse().ok().filter(|length| *length <= 30)?;
    let network = u32::from(address) & u32::MAX.checked_shl(32 - length).unwrap_or(0);
    Some(Ipv4Addr::from(network.checked_add(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_a_service_range_is_that_of_the_api_server() {
        for (cidr, address) in [
            ("10.100.0.0/16", "10.100.0.1"),
            ("10.100.7.9/16", "10.100.0.1"),
            ("192.168.1.252/30", "192.168.1.253"),
        ] {
            assert_eq!(first_address(cidr), Some(address.parse().unwrap()), "{cidr}");
        }
        for cidr in ["", "10.0.0.0", "10.0.0.0/31", "fd00::/64", "x/8"] {
            assert_eq!(first_address(cidr), None, "{cidr}");
        }
    }

    #[test]
    fn a_name_that_would_need_quoting_is_refused() {
        for name in ["", "Upper", "a b", "a: b", "../up"] {
            let spec = ControlPlaneSpec::new(name, Minor::V1_36, Path::new("/tmp"), String::new());
            assert!(spec.checked().is_err(), "{name}");
        }
    }
}
