//! The management cluster: found as kubectl finds it, and the sandbox when nothing is configured.

use std::error::Error as StdError;

use fleet_api::v1alpha1::{Tenant, TenantCluster};
use fleet_exec::hub::{HubError, Inventory};
use fleet_spec::{ValidatedFleet, nearest};
use kube::{
    Client, Config,
    api::{Api, ListParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::de::DeserializeOwned;

use crate::{
    cli::Global,
    error::{CliError, Result},
    printer::Printer,
};

/// The management cluster.
pub(crate) struct Hub {
    pub(crate) client: Client,
    /// The sandbox, when it is the management cluster.
    pub(crate) sandbox: Option<fleet_sandbox::SandboxEnv>,
}

/// How long a connection may take. One that hangs is worse than one that fails.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

impl Hub {
    /// Finds the management cluster: `--kubeconfig` and `--context`, `KUBECONFIG`, `~/.kube/config`, the cluster
    /// that the program runs in, a running sandbox.
    pub(crate) async fn find(global: &Global, printer: &Printer) -> Result<Self> {
        let which =
            global.kubeconfig.as_ref().map(|path| format!(" `{}`", path.display())).unwrap_or_default();
        let unreadable = |error| {
            CliError::usage(format!("the kubeconfig{which} cannot be used"))
                .because(chain(&error))
                .hint("check `--kubeconfig`, `--context` and the variable KUBECONFIG; `kubectl config view` shows what they say")
        };
        let explicit = global.kubeconfig.is_some() || global.context.is_some();
        let given = match &global.kubeconfig {
            Some(path) => Some(Kubeconfig::read_from(path).map_err(unreadable)?),
            None => configured().map_err(unreadable)?,
        };
        let named = given.filter(|config| {
            explicit || config.current_context.as_ref().is_some_and(|name| !name.is_empty())
        });
        let (mut config, sandbox) = if let Some(kubeconfig) = named {
            (Self::config_of(kubeconfig, global.context.as_deref()).await.map_err(unreadable)?, None)
        } else if let Ok(config) = Config::incluster() {
            (config, None)
        } else if let Some(sandbox) = running_sandbox(printer) {
            printer.note("using the sandbox: no kubeconfig is configured");
            let kubeconfig = Kubeconfig::read_from(&sandbox.kubeconfig).map_err(unreadable)?;
            // A context that was asked for and is not there must not lead to another cluster in silence.
            let config = Self::config_of(kubeconfig, global.context.as_deref()).await;
            (config.map_err(unreadable)?, Some(sandbox))
        } else {
            return Err(CliError::usage("no management cluster is configured, and no sandbox runs")
                .hint("start one on this machine with `fleet sandbox up`")
                .hint("or name one with `--kubeconfig`, `--context` or the variable KUBECONFIG"));
        };
        if let Some(user) = &global.as_user {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(global.as_groups.clone());
        }
        let client = Client::try_from(config)
            .map_err(|error| failed("the management cluster cannot be spoken to", &error))?;
        Ok(Self { client, sandbox })
    }

    async fn config_of(
        kubeconfig: Kubeconfig,
        context: Option<&str>,
    ) -> std::result::Result<Config, kube::config::KubeconfigError> {
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        Ok(config)
    }

    /// Every object of fleet's on the management cluster.
    pub(crate) async fn inventory(&self, printer: &Printer) -> Result<Inventory> {
        let inventory = fleet_exec::hub::inventory(&self.client).await.map_err(hub_failed)?;
        for object in &inventory.unreadable {
            printer.note(&format!(
                "warning: {} {} cannot be read by this version of fleet: {}",
                object.kind, object.name, object.why
            ));
        }
        Ok(inventory)
    }

    /// A tenant by its name.
    pub(crate) async fn tenant(&self, name: &str) -> Result<Tenant> {
        let tenants: Api<Tenant> = Api::all(self.client.clone());
        match tenants.get_opt(name).await {
            Ok(Some(tenant)) => Ok(tenant),
            Ok(None) => Err(self.no_tenant(name).await),
            Err(error) => Err(failed(&format!("tenant `{name}` cannot be read"), &error)),
        }
    }

    /// The cluster of a tenant; `None` when the controller has not made it yet.
    pub(crate) async fn cluster_of(&self, tenant: &str) -> Result<Option<TenantCluster>> {
        let clusters: Api<TenantCluster> = Api::all(self.client.clone());
        let params = ListParams::default().fields(&format!("spec.tenant={tenant}"));
        let found = clusters
            .list(&params)
            .await
            .map_err(|error| failed(&format!("the cluster of tenant `{tenant}` cannot be read"), &error))?;
        Ok(found.items.into_iter().next())
    }

    /// A tenant with its cluster, which may be there without the tenant while it is deleted.
    pub(crate) async fn tenant_or_cluster(
        &self,
        name: &str,
    ) -> Result<(Option<Tenant>, Option<TenantCluster>)> {
        let tenants: Api<Tenant> = Api::all(self.client.clone());
        let tenant = tenants
            .get_opt(name)
            .await
            .map_err(|e| failed(&format!("tenant `{name}` cannot be read"), &e))?;
        let cluster = self.cluster_of(name).await?;
        if tenant.is_none() && cluster.is_none() {
            return Err(self.no_tenant(name).await);
        }
        Ok((tenant, cluster))
    }

    async fn no_tenant(&self, name: &str) -> CliError {
        let error = CliError::no(format!("there is no tenant `{name}`"));
        let tenants: Api<Tenant> = Api::all(self.client.clone());
        let known =
            tenants.list_metadata(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        let names: Vec<&str> = known.iter().filter_map(|tenant| tenant.metadata.name.as_deref()).collect();
        match nearest(name, names.iter().copied()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint("list them with `fleet status`"),
        }
    }

    /// An answer of the API server to a GET, as it is.
    pub(crate) async fn get_raw<T: DeserializeOwned>(
        &self,
        path: &str,
        accept: &str,
    ) -> std::result::Result<T, kube::Error> {
        let request = http::Request::get(path)
            .header(http::header::ACCEPT, accept)
            .body(Vec::new())
            .map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }
}

/// What is needed to work with the sandbox, when one runs.
fn running_sandbox(printer: &Printer) -> Option<fleet_sandbox::SandboxEnv> {
    match fleet_sandbox::environment(&fleet_sandbox::default_dir()) {
        Ok(found) => found,
        Err(error) => {
            printer.note(&format!("warning: the state of the sandbox cannot be read: {error}"));
            None
        }
    }
}

/// The kubeconfig of `KUBECONFIG` or `~/.kube/config`; `None` when neither is there.
fn configured() -> std::result::Result<Option<Kubeconfig>, kube::config::KubeconfigError> {
    if let Some(config) = Kubeconfig::from_env()? {
        return Ok(Some(config));
    }
    match std::env::home_dir().map(|home| home.join(".kube").join("config")) {
        Some(path) if path.exists() => Kubeconfig::read_from(path).map(Some),
        _ => Ok(None),
    }
}

/// What is on the management cluster in the shape of a spec, for references and differences.
pub(crate) fn as_spec(inventory: &Inventory) -> ValidatedFleet {
    fn by_name<K: kube::Resource + Clone>(objects: &[K]) -> std::collections::BTreeMap<String, K> {
        objects.iter().filter_map(|object| Some((object.meta().name.clone()?, object.clone()))).collect()
    }
    let mut fleet = ValidatedFleet {
        tenants: by_name(&inventory.tenants),
        classes: by_name(&inventory.classes),
        baselines: by_name(&inventory.baselines),
        channels: by_name(&inventory.channels),
        exceptions: by_name(&inventory.exceptions),
        ..ValidatedFleet::default()
    };
    if let Some(given) = &inventory.fleet {
        fleet.fleet = given.clone();
        fleet.fleet_given = true;
    }
    fleet
}

/// A request to the management cluster that failed, by fleet-exec.
pub(crate) fn hub_failed(error: HubError) -> CliError {
    let message = error.to_string();
    match kube_error(&error) {
        Some(cause) => failed(&message, cause),
        None => match error.source() {
            Some(source) => CliError::remote(message).because(source.to_string()),
            None => CliError::remote(message),
        },
    }
}

fn kube_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a kube::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<kube::Error>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// A request to the management cluster that failed: its sort, its cause in words, and what to do.
pub(crate) fn failed(message: &str, error: &kube::Error) -> CliError {
    match error {
        kube::Error::Api(status) => {
            let cause =
                format!("the API server answers {} {}: {}", status.code, status.reason, status.message);
            let missing_kind =
                status.code == 404 && status.message.contains("could not find the requested resource");
            match status.code {
                _ if missing_kind => CliError::usage(message).because(cause).hint(
                    "install the definitions first: `kubectl apply --server-side -f deploy/crds`, or start `fleet sandbox up`",
                ),
                401 => CliError::usage(message).because(cause).hint("log in again, or choose another `--context`"),
                403 => CliError::usage(message)
                    .because(cause)
                    .hint("ask whoever runs the management cluster for this right"),
                409 => CliError::remote(message)
                    .because(cause)
                    .hint("somebody else holds these fields or changed the object: look at it, then try again"),
                404 => CliError::no(message).because(cause),
                400..500 if status.code != 429 => CliError::usage(message).because(cause),
                _ => CliError::remote(message).because(cause).hint("try again in a moment"),
            }
        }
        other => CliError::remote(message)
            .because(chain(other))
            .hint("check that the management cluster runs: `kubectl version`, or `fleet sandbox status`"),
    }
}

/// The innermost causes of an error in one line: the wrappers of HTTP clients say the same several times.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        texts.retain(|known| !known.contains(&text) || known == &text);
        if !texts.contains(&text) {
            texts.push(text);
        }
        next = cause.source();
    }
    texts.join(": ")
}
