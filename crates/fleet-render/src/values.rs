//! The values that templates get: the tenant's, the class's and the baseline's, held against what a cluster can
//! carry and brought into the shape that templates need.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    KubernetesVersion, TenantName,
    images::whole_prefix,
    labels,
    v1alpha1::{BaselineSpec, Capacity, Compliance, EgressRule, LimitDefaults, Profile, TenantClusterSpec},
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Serialize;

use crate::{RenderError, cidr::Cidr, hash, persona, quantity};

/// The namespaces of Kubernetes itself, which every control leaves alone: their pods run the cluster.
pub(crate) const SYSTEM_NAMESPACES: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

/// What every template of a bundle gets.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Values {
    pub(crate) tenant: TenantValues,
    pub(crate) cluster: ClusterValues,
    pub(crate) profile: ProfileValues,
    /// The tenant's namespaces.
    pub(crate) namespaces: Vec<String>,
    /// The namespaces that every control leaves alone.
    #[serde(skip)]
    pub(crate) exempt: BTreeSet<String>,
    /// The prefixes that images may have, in order, without repetition.
    pub(crate) registries: Vec<String>,
    pub(crate) quota: BTreeMap<String, String>,
    pub(crate) limits: LimitValues,
    pub(crate) dns: DnsValues,
    pub(crate) egress: Vec<EgressValues>,
    /// The tenant's namespaces that have a Pod Identity.
    pub(crate) pod_identity_namespaces: Vec<String>,
    pub(crate) access: Vec<AccessValues>,
    /// The group that the controller has in the cluster.
    pub(crate) controller_group: &'static str,
    pub(crate) personas: persona::Groups,
    /// What the reader of a report has to know, by control.
    #[serde(skip)]
    pub(crate) notes: BTreeMap<&'static str, Vec<String>>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct TenantValues {
    pub(crate) name: String,
    pub(crate) team: String,
    pub(crate) contact: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ClusterValues {
    pub(crate) name: String,
    /// The minor as `1.35`.
    pub(crate) version: String,
    /// The number after the dot.
    pub(crate) minor: u16,
}

/// How strict: a profile or a regime of the tenant's tightens, and nothing loosens.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ProfileValues {
    pub(crate) pci: bool,
    pub(crate) hipaa: bool,
    /// Either of the two.
    pub(crate) regulated: bool,
}

/// The limits of one container and one claim.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LimitValues {
    pub(crate) default: BTreeMap<&'static str, String>,
    pub(crate) default_request: BTreeMap<&'static str, String>,
    pub(crate) min: BTreeMap<&'static str, String>,
    pub(crate) max: BTreeMap<&'static str, String>,
    pub(crate) claim_min: String,
    pub(crate) claim_max: String,
    /// CPU above `max`, for the probe that asks for too much.
    pub(crate) too_much_cpu: String,
    /// A claim above the quota and within the claim's limit; absent when the quota leaves no room for one.
    pub(crate) too_much_storage: Option<String>,
    /// CPU above the default limit and within `max`; absent when there is none between.
    pub(crate) above_default_cpu: Option<String>,
    /// Whether the quota allows a claim of the smallest size.
    pub(crate) claims: bool,
}

/// Where DNS answers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct DnsValues {
    /// Addresses of the DNS Service; empty when the pods with `k8s-app: kube-dns` answer.
    pub(crate) addresses: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct EgressValues {
    pub(crate) cidr: String,
    /// What is cut out of it.
    pub(crate) except: Vec<String>,
    pub(crate) ports: Vec<i32>,
}

#[derive(Debug, Clone, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AccessValues {
    pub(crate) role: &'static str,
    pub(crate) group: String,
    /// Eight hexadecimal digits that stand for the group in names of objects.
    pub(crate) id: String,
}

impl Values {
    /// Reads the values off the specs. Fails at the first that no cluster can carry; fleet-spec finds them all,
    /// with their places, before they come here.
    pub(crate) fn of(
        spec: &TenantClusterSpec,
        baseline: &BaselineSpec,
        version: KubernetesVersion,
    ) -> Result<Self, RenderError> {
        let hardening = &spec.hardening;
        let tenant: TenantName = spec.tenant.parse().map_err(|error: fleet_api::NameError| {
            RenderError::value("tenant", format!("is no tenant's name: {error}"))
        })?;
        let exempt = exempt_namespaces(baseline)?;
        let namespaces = tenant_namespaces(&hardening.namespaces, &exempt)?;
        let under = |profile, regime| baseline.profile == profile || hardening.compliance.contains(&regime);
        let (pci, hipaa) = (under(Profile::Pci, Compliance::Pci), under(Profile::Hipaa, Compliance::Hipaa));
        let quota = quota(&hardening.capacity)?;
        let mut notes = BTreeMap::<&'static str, Vec<String>>::new();
        let egress = egress(&hardening.network.egress, &mut notes)?;
        let dns = dns(spec, &mut notes)?;
        let identities = spec.eks.iter().flat_map(|eks| &eks.pod_identities);
        let identities: BTreeSet<&str> = identities.map(|identity| identity.namespace.as_str()).collect();
        Ok(Self {
            tenant: TenantValues {
                name: tenant.to_string(),
                team: spec.owner.team.clone(),
                contact: spec.owner.contact.clone(),
            },
            cluster: ClusterValues {
                name: spec.cluster_name.clone(),
                version: version.to_string(),
                minor: version.minor(),
            },
            profile: ProfileValues { pci, hipaa, regulated: pci || hipaa },
            pod_identity_namespaces: namespaces
                .iter()
                .filter(|n| identities.contains(n.as_str()))
                .cloned()
                .collect(),
            limits: limits(&baseline.parameters.container_limits, &quota)?,
            registries: registries(baseline, &hardening.images.registries)?,
            access: access(spec)?,
            controller_group: labels::CONTROLLER_GROUP,
            personas: persona::GROUPS,
            namespaces,
            exempt,
            quota,
            dns,
            egress,
            notes,
        })
    }
}

fn exempt_namespaces(baseline: &BaselineSpec) -> Result<BTreeSet<String>, RenderError> {
    let mut exempt: BTreeSet<String> = SYSTEM_NAMESPACES.map(str::to_owned).into();
    for (index, namespace) in baseline.parameters.exempt_namespaces.iter().enumerate() {
        if !is_dns_label(&namespace.name) {
            let path = format!("baseline.parameters.exemptNamespaces[{index}].name");
            return Err(RenderError::value(path, "is no namespace's name"));
        }
        exempt.insert(namespace.name.clone());
    }
    Ok(exempt)
}

fn tenant_namespaces(given: &[String], exempt: &BTreeSet<String>) -> Result<Vec<String>, RenderError> {
    let mut seen = BTreeSet::new();
    for (index, namespace) in given.iter().enumerate() {
        let wrong =
            |message: &str| Err(RenderError::value(format!("hardening.namespaces[{index}]"), message));
        if !is_dns_label(namespace) {
            return wrong("is no namespace's name: it has to be a DNS label of at most 63 characters");
        }
        if namespace.starts_with("kube-") {
            return wrong("is reserved: namespaces that begin with `kube-` belong to Kubernetes");
        }
        if exempt.contains(namespace) {
            return wrong("is exempt in the baseline, and so cannot be a tenant's");
        }
        if !seen.insert(namespace) {
            return wrong("is there twice");
        }
    }
    if given.is_empty() {
        return Err(RenderError::value("hardening.namespaces", "is empty: a tenant has at least one"));
    }
    Ok(given.to_vec())
}

fn is_dns_label(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inside)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn registries(baseline: &BaselineSpec, tenants: &[String]) -> Result<Vec<String>, RenderError> {
    let baselines = &baseline.parameters.allowed_registries;
    let named = (baselines.iter().enumerate())
        .map(|(index, registry)| (format!("baseline.parameters.allowedRegistries[{index}]"), registry))
        .chain(
            tenants
                .iter()
                .enumerate()
                .map(|(index, registry)| (format!("hardening.images.registries[{index}]"), registry)),
        );
    let mut registries = Vec::new();
    for (path, registry) in named {
        // Without it, `registry.example.com` would allow `registry.example.com.attacker.example/`.
        if registry.len() < 2 || !registry.ends_with('/') {
            return Err(RenderError::value(path, "has to end in `/`"));
        }
        if registry.len() > 255 {
            return Err(RenderError::value(path, "is longer than 255 bytes"));
        }
        // A policy compares with whole names, so that such a prefix would allow nothing.
        let whole = whole_prefix(registry);
        if whole != *registry {
            return Err(RenderError::value(path, format!("has no registry's host: write `{whole}`")));
        }
        if !registries.contains(registry) {
            registries.push(registry.clone());
        }
    }
    Ok(registries)
}

fn access(spec: &TenantClusterSpec) -> Result<Vec<AccessValues>, RenderError> {
    let mut grants = BTreeSet::new();
    for (index, grant) in spec.hardening.access.iter().enumerate() {
        let reserved =
            ["system:", "tenantfleet.dev:"].into_iter().find(|prefix| grant.group.starts_with(prefix));
        let path = || format!("hardening.access[{index}].group");
        if let Some(prefix) = reserved {
            return Err(RenderError::value(path(), format!("is reserved: it begins with `{prefix}`")));
        }
        if grant.group.trim().is_empty() {
            return Err(RenderError::value(path(), "is empty"));
        }
        let id = hash::short(&grant.group).chars().take(8).collect();
        grants.insert(AccessValues { role: grant.role.as_str(), group: grant.group.clone(), id });
    }
    Ok(grants.into_iter().collect())
}

fn dns(
    spec: &TenantClusterSpec,
    notes: &mut BTreeMap<&'static str, Vec<String>>,
) -> Result<DnsValues, RenderError> {
    let Some(eks) = spec.eks.as_ref().filter(|eks| eks.auto_mode.is_some()) else {
        return Ok(DnsValues { addresses: Vec::new() });
    };
    // Auto Mode runs DNS on the nodes, so that no pod carries the label `k8s-app: kube-dns`; what remains is the
    // Service's address, the tenth of the network of Services.
    let Some(service_cidr) = &eks.network.service_cidr else {
        // EKS user guide, "View Amazon EKS networking requirements": without a choice EKS takes one of these two.
        notes.entry("NET-2").or_default().push(
            "The class leaves the network of Services to EKS, so DNS is allowed at both addresses that it can have: \
             10.100.0.10 and 172.20.0.10."
                .to_owned(),
        );
        return Ok(DnsValues { addresses: vec!["10.100.0.10/32".to_owned(), "172.20.0.10/32".to_owned()] });
    };
    let path = "eks.network.serviceCidr";
    let network: Cidr = service_cidr.parse().map_err(|message| RenderError::value(path, message))?;
    let address = network.host(10).ok_or_else(|| RenderError::value(path, "has no tenth address for DNS"))?;
    Ok(DnsValues { addresses: vec![address.to_string()] })
}

fn egress(
    rules: &[EgressRule],
    notes: &mut BTreeMap<&'static str, Vec<String>>,
) -> Result<Vec<EgressValues>, RenderError> {
    let mut values = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("hardening.network.egress[{index}]");
        let network: Cidr =
            rule.cidr.parse().map_err(|message| RenderError::value(format!("{path}.cidr"), message))?;
        if rule.ports.is_empty() {
            return Err(RenderError::value(format!("{path}.ports"), "is empty: that would open every port"));
        }
        if let Some(port) = rule.ports.iter().find(|port| !(1..=65_535).contains(*port)) {
            return Err(RenderError::value(
                format!("{path}.ports"),
                format!("holds {port}, which is no port"),
            ));
        }
        let notes = notes.entry("NET-3").or_default();
        let Some(cuts) = network.metadata_cut() else {
            notes.push(format!("Egress to {network} is left out: it is the instance metadata service."));
            continue;
        };
        let except: Vec<String> = cuts.iter().map(Cidr::to_string).collect();
        if !except.is_empty() {
            notes.push(format!("Egress to {network} leaves out {}.", except.join(" and ")));
        }
        let ports: BTreeSet<i32> = rule.ports.iter().copied().collect();
        values.push(EgressValues { cidr: network.to_string(), except, ports: ports.into_iter().collect() });
    }
    Ok(values)
}

/// A quantity in its canonical form; the default when none is given.
fn given(value: Option<&Quantity>, path: &str, default: &str) -> Result<String, RenderError> {
    let text = value.map_or(default, |quantity| quantity.0.as_str());
    match quantity::nanos(text) {
        Some(nanos) if nanos >= 0 => quantity::canonical(text),
        _ => None,
    }
    .ok_or_else(|| RenderError::value(path, "is no quantity such as `500m` or `2Gi`, zero or more"))
}

/// What the tenant may consume in each of its namespaces, by the keys of a ResourceQuota.
fn quota(capacity: &Capacity) -> Result<BTreeMap<String, String>, RenderError> {
    let path = |name: &str| format!("hardening.capacity.{name}");
    let mut hard = BTreeMap::new();
    for (name, field, value, default) in [
        ("cpu", "cpu", &capacity.cpu, "20"),
        ("memory", "memory", &capacity.memory, "40Gi"),
        ("ephemeral-storage", "ephemeralStorage", &capacity.ephemeral_storage, "100Gi"),
    ] {
        let value = given(value.as_ref(), &path(field), default)?;
        hard.insert(format!("requests.{name}"), value.clone());
        hard.insert(format!("limits.{name}"), value);
    }
    hard.insert("requests.storage".to_owned(), given(capacity.storage.as_ref(), &path("storage"), "500Gi")?);
    for (name, field, value, default) in [
        ("pods", "pods", capacity.pods, 250),
        ("services.loadbalancers", "loadBalancers", capacity.load_balancers, 2),
        ("persistentvolumeclaims", "", None, 100),
        ("count/jobs.batch", "", None, 500),
        ("count/secrets", "", None, 500),
        ("count/configmaps", "", None, 500),
    ] {
        let count = value.unwrap_or(default);
        if count < 0 {
            return Err(RenderError::value(path(field), "is below zero"));
        }
        let text = count.to_string();
        hard.insert(name.to_owned(), quantity::canonical(&text).unwrap_or(text));
    }
    Ok(hard)
}

/// The limits of one container. The least is above zero, for a request of zero slips past the defaults.
fn limits(chosen: &LimitDefaults, quota: &BTreeMap<String, String>) -> Result<LimitValues, RenderError> {
    let path = |name: &str| format!("baseline.parameters.containerLimits.{name}");
    let nanos = |text: &str| quantity::nanos(text).unwrap_or_default();
    let quota_of = |key: &str| quota.get(key).cloned().unwrap_or_default();
    let mut default = BTreeMap::new();
    let mut default_request = BTreeMap::new();
    for (name, field, value, usual, request) in [
        ("cpu", "cpu", &chosen.cpu, "500m", "100m"),
        ("memory", "memory", &chosen.memory, "512Mi", "128Mi"),
        ("ephemeral-storage", "ephemeralStorage", &chosen.ephemeral_storage, "1Gi", "256Mi"),
    ] {
        let limit = given(value.as_ref(), &path(field), usual)?;
        let request = if nanos(request) <= nanos(&limit) { request.to_owned() } else { limit.clone() };
        default.insert(name, limit);
        default_request.insert(name, request);
    }
    let max_cpu = given(chosen.max_cpu.as_ref(), &path("maxCpu"), "8")?;
    let above = nanos(default.get("cpu").map_or("", String::as_str)) < nanos(&max_cpu);
    let (claim_min, claim_max) = ("1Gi", "16Ti");
    let storage = nanos(&quota_of("requests.storage"));
    let beyond = storage + nanos(claim_min);
    Ok(LimitValues {
        default,
        default_request,
        min: BTreeMap::from([
            ("cpu", "10m".to_owned()),
            ("memory", "16Mi".to_owned()),
            ("ephemeral-storage", "1Mi".to_owned()),
        ]),
        max: BTreeMap::from([
            ("cpu", max_cpu.clone()),
            ("memory", given(chosen.max_memory.as_ref(), &path("maxMemory"), "32Gi")?),
            // There is no choice for it: a container may have all that the namespace has.
            ("ephemeral-storage", quota_of("limits.ephemeral-storage")),
        ]),
        claim_min: claim_min.to_owned(),
        claim_max: claim_max.to_owned(),
        too_much_cpu: quantity::decimal(nanos(&max_cpu) + nanos("1")),
        too_much_storage: (beyond <= nanos(claim_max)).then(|| quantity::decimal(beyond)),
        above_default_cpu: above.then_some(max_cpu),
        claims: storage >= nanos(claim_min),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_the_systems_or_one_that_is_exempt_cannot_be_a_tenants() {
        let exempt: BTreeSet<String> = ["monitoring".to_owned()].into();
        let check = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            tenant_namespaces(&names, &exempt).map_err(|error| error.to_string())
        };
        assert!(check(&["shop", "shop-jobs"]).is_ok());
        assert!(
            check(&["shop", "kube-system"]).unwrap_err().contains("hardening.namespaces[1]` is reserved")
        );
        assert!(check(&["monitoring"]).unwrap_err().contains("is exempt"));
        assert!(check(&["shop", "shop"]).unwrap_err().contains("is there twice"));
        assert!(check(&["Shop"]).unwrap_err().contains("DNS label"));
        assert!(check(&[]).unwrap_err().contains("is empty"));
    }

    #[test]
    fn egress_to_the_metadata_service_alone_is_left_out_and_said_so() {
        let rule = |cidr: &str| EgressRule { cidr: cidr.to_owned(), ports: vec![443, 80, 443] };
        let mut notes = BTreeMap::new();
        let values = egress(&[rule("169.254.169.254/32"), rule("0.0.0.0/0")], &mut notes).unwrap();
        assert_eq!(values.len(), 1);
        assert_eq!(
            (values[0].cidr.as_str(), values[0].ports.as_slice()),
            ("0.0.0.0/0", [80, 443].as_slice())
        );
        assert_eq!(values[0].except, ["169.254.0.0/16"]);
        assert_eq!(notes["NET-3"].len(), 2);
    }

    #[test]
    fn the_smallest_claim_above_the_quota_is_what_the_probe_asks_for() {
        let quota = quota(&Capacity::default()).unwrap();
        let limits = limits(&LimitDefaults::default(), &quota).unwrap();
        assert_eq!(quantity::nanos(&limits.too_much_storage.unwrap()), quantity::nanos("501Gi"));
        assert_eq!(limits.too_much_cpu, "9");
        assert_eq!(limits.above_default_cpu.as_deref(), Some("8"));
    }
}
