//! The files that the servers of a control plane are started from.

use std::{path::PathBuf, time::Duration};

use crate::{
    certificates::{Authority, Certified, TokenKey},
    error::Error,
    flags::Webhook,
    kubeconfig,
    private_files::{create_private_dir, read_if_there, write_private},
    spec::{ControlPlaneSpec, first_address},
};

/// The files of a control plane that outlive its processes.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) pki: PathBuf,
    pub(crate) authority: Authority,
    pub(crate) token_key: TokenKey,
    pub(crate) admin: Certified,
    pub(crate) controller_manager: Certified,
    pub(crate) token_webhook: Option<(PathBuf, Duration)>,
    pub(crate) authorization_webhook: Option<(PathBuf, Duration)>,
    pub(crate) port: PathBuf,
}

impl Files {
    pub(crate) fn prepare(spec: &ControlPlaneSpec) -> Result<Self, Error> {
        create_private_dir(&spec.dir)?;
        let pki = spec.dir.join("pki");
        let authority = Authority::load_or_create(&pki, &spec.name)?;
        let mut names: Vec<String> =
            ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
                .map(str::to_owned)
                .to_vec();
        names.extend(first_address(&spec.service_cidr).map(|address| address.to_string()));
        let server = authority.server("kube-apiserver", &names)?;
        write_private(&pki.join("apiserver.crt"), &server.certificate)?;
        write_private(&pki.join("apiserver.key"), &server.key)?;
        let webhook_file = |name: &str, webhook: &Option<Webhook>| match webhook {
            Some(webhook) => {
                let path = spec.dir.join(name);
                write_private(&path, kubeconfig::of_webhook(&webhook.url))?;
                Ok(Some((path, webhook.cache)))
            }
            None => Ok::<_, Error>(None),
        };
        Ok(Self {
            token_key: TokenKey::load_or_create(&pki)?,
            admin: authority.client("kubernetes-admin", Some("system:masters"))?,
            controller_manager: authority.client("system:kube-controller-manager", None)?,
            token_webhook: webhook_file("token-webhook.yaml", &spec.token_webhook)?,
            authorization_webhook: webhook_file("authorization-webhook.yaml", &spec.authorization_webhook)?,
            port: spec.dir.join("port"),
            authority,
            pki,
        })
    }

    pub(crate) fn remembered_port(&self) -> Result<Option<u16>, Error> {
        Ok(read_if_there(&self.port)?.and_then(|text| text.trim().parse().ok()))
    }
}
