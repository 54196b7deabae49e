//! How the controller reaches the management cluster: as its own ServiceAccount, with a token that is renewed.

use std::{path::PathBuf, time::Duration};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client,
    api::PostParams,
    config::{Config, KubeConfigOptions, Kubeconfig},
};
use local_control_plane::{ControlPlane, create_private_dir, write_private};

use crate::error::Error;

const NAMESPACE: &str = "fleet-system";
const ACCOUNT: &str = "fleet-controller";
const TOKEN_LASTS: Duration = Duration::from_secs(3600);
/// The controller reads the file about every minute, so a third of the life leaves more than enough.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(1200);
/// After a renewal that failed.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A client of the management cluster with its admin's rights.
pub(crate) async fn admin_client(management: &ControlPlane) -> Result<Client, Error> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Management {
        action: "making a client for the admin".to_owned(),
        source,
    };
    let kubeconfig =
        Kubeconfig::from_yaml(&management.admin_kubeconfig()).map_err(|e| failed(Box::new(e)))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|e| failed(Box::new(e)))?;
    Client::try_from(config).map_err(|e| failed(Box::new(e)))
}

/// The controller's access: a kubeconfig that names a token file, and the token.
#[derive(Debug)]
pub(crate) struct Access {
    accounts: Api<ServiceAccount>,
    token_file: PathBuf,
    kubeconfig: PathBuf,
}

impl Access {
    /// Writes the controller's kubeconfig and its first token into a folder.
    pub(crate) async fn prepare(
        client: Client,
        management: &ControlPlane,
        dir: PathBuf,
    ) -> Result<Self, Error> {
        create_private_dir(&dir)?;
        let access = Self {
            accounts: Api::namespaced(client, NAMESPACE),
            token_file: dir.join("token"),
            kubeconfig: dir.join("kubeconfig"),
        };
        access.renew().await?;
        write_private(&access.kubeconfig, management.kubeconfig_with_token_file(&access.token_file))?;
        Ok(access)
    }

    /// The controller's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &PathBuf {
        &self.kubeconfig
    }

    /// Writes a new token over the old one, in one step.
    pub(crate) async fn renew(&self) -> Result<(), Error> {
        let action = format!("requesting a token for the ServiceAccount {NAMESPACE}/{ACCOUNT}");
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: i64::try_from(TOKEN_LASTS.as_secs()).ok(),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = self
            .accounts
            .create_token_request(ACCOUNT, &PostParams::default(), &request)
            .await
            .map_err(Error::management(action))?;
        let token = answer.status.map(|status| status.token).unwrap_or_default();
        Ok(write_private(&self.token_file, token)?)
    }
}
