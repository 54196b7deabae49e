//! The flags of the servers, as pure functions of what is wanted.

use std::{path::Path, time::Duration};

use crate::certificates::TokenKey;

/// A webhook that an API server asks, on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its URL, such as `http://127.0.0.1:20100/review`.
    pub url: String,
    /// How long an API server may believe an answer without asking again.
    pub cache: Duration,
}

/// Which controllers the kube-controller-manager of a control plane runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Controllers {
    /// No kube-controller-manager at all.
    None,
    /// What a management cluster without workloads needs.
    Management,
    /// What a tenant's cluster needs.
    Tenant,
    /// These, by the names of `kube-controller-manager --controllers`.
    Named(Vec<String>),
}

// Why each is there: without it, something that fleet or a tenant does through the API would never end.
const COMMON: [&str; 6] = [
    // Deletes what a deleted namespace holds.
    "namespace-controller",
    // Every namespace's `default` account, without which no pod is admitted, and tokens for account Secrets.
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    // Pods mount `kube-root-ca.crt`.
    "root-ca-certificate-publisher-controller",
    // Owner references and foreground deletion.
    "garbage-collector-controller",
    // `admin`, `edit` and `view` are aggregated roles: they are empty without it.
    "clusterrole-aggregation-controller",
];

const TENANT: [&str; 7] = [
    // Quotas count nothing until `status.hard` is written.
    "resourcequota-controller",
    // Type checking of admission policies, and the sign that a policy was seen.
    "validatingadmissionpolicy-status-controller",
    // The API server puts a protection finalizer on every claim; only this one takes it off again.
    "persistentvolumeclaim-protection-controller",
    // What a workload's owner sees when a policy refuses its pods: they come from these two.
    "deployment-controller",
    "replicaset-controller",
    // A StatefulSet's claims are drained before a cluster is deleted.
    "statefulset-controller",
    // Jobs are how a tenant's batch work arrives.
    "job-controller",
];

impl Controllers {
    /// The names for `--controllers`, or none when no kube-controller-manager runs.
    pub(crate) fn names(&self) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        match self {
            Self::None => Vec::new(),
            Self::Management => owned(&COMMON),
            Self::Tenant => [owned(&COMMON), owned(&TENANT)].concat(),
            Self::Named(names) => names.clone(),
        }
    }

    /// True when every namespace gets its `default` service account.
    pub(crate) fn make_service_accounts(&self) -> bool {
        self.names().iter().any(|name| name == "serviceaccount-controller")
    }
}

/// What the flags of an API server depend on.
pub(crate) struct ApiServerFlags<'a> {
    pub(crate) port: u16,
    pub(crate) etcd: &'a str,
    pub(crate) etcd_prefix: &'a str,
    pub(crate) service_cidr: &'a str,
    pub(crate) pki: &'a Path,
    pub(crate) token_key: &'a TokenKey,
    pub(crate) token_webhook: Option<(&'a Path, Duration)>,
    pub(crate) authorization_webhook: Option<(&'a Path, Duration)>,
    pub(crate) extra: &'a [String],
}

impl ApiServerFlags<'_> {
    pub(crate) fn to_args(&self) -> Vec<String> {
        let file = |name: &str| self.pki.join(name).display().to_string();
        let modes = if self.authorization_webhook.is_some() { "RBAC,Webhook" } else { "RBAC" };
        let mut args = vec![
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.port),
            format!("--etcd-servers={}", self.etcd),
            format!("--etcd-prefix={}", self.etcd_prefix),
            format!("--service-cluster-ip-range={}", self.service_cidr),
            // Nothing in the cluster could reach a loopback endpoint, and the reconciler refuses to publish one.
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--tls-cert-file={}", file("apiserver.crt")),
            format!("--tls-private-key-file={}", file("apiserver.key")),
            format!("--client-ca-file={}", file("ca.crt")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", self.token_key.public.display()),
            format!("--service-account-signing-key-file={}", self.token_key.private.display()),
            format!("--authorization-mode={modes}"),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            // As on EKS: whether a privileged pod is admitted is a matter of policy.
            "--allow-privileged=true".to_owned(),
            "--profiling=false".to_owned(),
        ];
        if let Some((config, cache)) = self.token_webhook {
            args.push(format!("--authentication-token-webhook-config-file={}", config.display()));
            args.push("--authentication-token-webhook-version=v1".to_owned());
            args.push(format!("--authentication-token-webhook-cache-ttl={}", go_duration(cache)));
        }
        if let Some((config, cache)) = self.authorization_webhook {
            args.push(format!("--authorization-webhook-config-file={}", config.display()));
            args.push("--authorization-webhook-version=v1".to_owned());
            args.push(format!("--authorization-webhook-cache-authorized-ttl={}", go_duration(cache)));
            args.push(format!("--authorization-webhook-cache-unauthorized-ttl={}", go_duration(cache)));
        }
        args.extend(self.extra.iter().cloned());
        args
    }
}

/// The flags of a kube-controller-manager.
pub(crate) fn controller_manager_args(
    kubeconfig: &Path,
    pki: &Path,
    token_key: &TokenKey,
    controllers: &Controllers,
) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--root-ca-file={}", pki.join("ca.crt").display()),
        format!("--service-account-private-key-file={}", token_key.private.display()),
        format!("--controllers={}", controllers.names().join(",")),
        // Each controller acts as its own account, as on a real control plane: admission policies and RBAC see
        // `system:serviceaccount:kube-system:...`.
        "--use-service-account-credentials=true".to_owned(),
        // There is one of it, and nobody asks it anything.
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        // The default of 20 a second makes a namespace's deletion slow.
        "--kube-api-qps=100".to_owned(),
        "--kube-api-burst=200".to_owned(),
        "--profiling=false".to_owned(),
    ]
}

fn go_duration(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_asked_only_when_they_are_named() {
        let key = TokenKey { private: "/pki/sa.key".into(), public: "/pki/sa.pub".into() };
        let mut flags = ApiServerFlags {
            port: 20_001,
            etcd: "unix:///etcd/client.sock",
            etcd_prefix: "/one",
            service_cidr: "10.100.0.0/16",
            pki: Path::new("/pki"),
            token_key: &key,
            token_webhook: None,
            authorization_webhook: None,
            extra: &[],
        };
        let args = flags.to_args();
        assert!(args.contains(&"--authorization-mode=RBAC".to_owned()));
        assert!(!args.iter().any(|arg| arg.contains("webhook")), "{args:?}");

        flags.token_webhook = Some((Path::new("/token.yaml"), Duration::from_secs(10)));
        flags.authorization_webhook = Some((Path::new("/authorization.yaml"), Duration::from_secs(1)));
        let args = flags.to_args();
        assert!(args.contains(&"--authorization-mode=RBAC,Webhook".to_owned()));
        assert!(args.contains(&"--authentication-token-webhook-cache-ttl=10000ms".to_owned()));
        assert!(args.contains(&"--authorization-webhook-config-file=/authorization.yaml".to_owned()));
    }

    #[test]
    fn only_loopback_is_listened_on() {
        let key = TokenKey { private: "/k".into(), public: "/p".into() };
        let args = controller_manager_args(Path::new("/k"), Path::new("/p"), &key, &Controllers::Tenant);
        assert!(args.contains(&"--secure-port=0".to_owned()));
    }

    #[test]
    fn a_tenant_has_what_management_has_and_more() {
        let tenant = Controllers::Tenant.names();
        assert!(Controllers::Management.names().iter().all(|name| tenant.contains(name)));
        assert!(Controllers::Tenant.make_service_accounts());
        assert!(!Controllers::None.make_service_accounts());
    }
}
