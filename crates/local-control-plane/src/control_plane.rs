//! One control plane: an API server, its controllers, and the files that both are started from.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ask::Ask,
    assets::Assets,
    certificates::Certified,
    error::Error,
    files::Files,
    flags::{ApiServerFlags, Controllers, controller_manager_args},
    kubeconfig,
    minor::Minor,
    ports::{free_port, is_free},
    private_files::write_private,
    process::{Exit, ProcessReport, ProcessSpec, ServerProcess},
    spec::ControlPlaneSpec,
};

const API_SERVER: &str = "kube-apiserver";
const CONTROLLER_MANAGER: &str = "kube-controller-manager";
/// Ready takes 2.4 s on an idle machine of two cores; a machine that builds beside it may need many times that.
const READY_WITHIN: Duration = Duration::from_secs(180);
const ASK_EVERY: Duration = Duration::from_millis(50);
const STOP_GRACE: Duration = Duration::from_secs(10);
const PORT_TRIES: usize = 8;
/// How long a port that must be used may still be held by the server that used it before.
const PORT_FREED_WITHIN: Duration = Duration::from_secs(10);

/// A control plane as status commands show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlaneReport {
    /// Its name.
    pub name: String,
    /// Its version, such as `v1.36.3`, as its API server itself said when it became ready.
    pub version: String,
    /// Its URL.
    pub endpoint: String,
    /// When it was last started.
    pub started_at: Timestamp,
    /// How long that start took, in milliseconds, until it was ready.
    pub ready_after_millis: u64,
    /// Its processes.
    pub processes: Vec<ProcessReport>,
}

impl ControlPlaneReport {
    /// Resident memory of all its processes in bytes.
    pub fn rss_bytes(&self) -> u64 {
        self.processes.iter().filter_map(|process| process.rss_bytes).sum()
    }

    /// The same report with the memory as it is now.
    pub fn measured(mut self) -> Self {
        self.processes = self.processes.into_iter().map(ProcessReport::measured).collect();
        self
    }
}

/// A running control plane. Its processes are killed when this is dropped; its data stays in etcd.
#[derive(Debug)]
pub struct ControlPlane {
    assets: Assets,
    spec: ControlPlaneSpec,
    files: Files,
    port: u16,
    ask: Ask,
    api_server: ServerProcess,
    controller_manager: Option<ServerProcess>,
    version: String,
    started_at: Timestamp,
    ready_after: Duration,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready: its API server says so, and when its controllers make
    /// service accounts, the first one is there.
    ///
    /// # Errors
    /// When the spec cannot be carried out, a server ends, or nothing is ready within three minutes.
    pub async fn start(assets: &Assets, spec: ControlPlaneSpec) -> Result<Self, Error> {
        let spec = spec.checked()?;
        let files = Files::prepare(&spec)?;
        let started_at = Timestamp::now();
        let started = Instant::now();
        let (api_server, port, ask) = start_api_server(assets, &spec, &files).await?;
        let mut control_plane = Self {
            assets: assets.clone(),
            spec,
            files,
            port,
            ask,
            api_server,
            controller_manager: None,
            version: String::new(),
            started_at,
            ready_after: Duration::ZERO,
        };
        control_plane.finish_start(started).await?;
        Ok(control_plane)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The minor that it runs.
    pub fn minor(&self) -> Minor {
        self.spec.minor
    }

    /// Its URL, such as `https://127.0.0.1:20001`. It stays the same through restarts.
    pub fn endpoint(&self) -> String {
        endpoint(self.port)
    }

    /// The certificate of its authority as PEM text.
    pub fn ca_pem(&self) -> &str {
        self.files.authority.certificate()
    }

    /// A kubeconfig for a member of `system:masters`.
    pub fn admin_kubeconfig(&self) -> String {
        self.kubeconfig_with(&self.files.admin)
    }

    /// A kubeconfig for any user, in a group or in none, by client certificate.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn kubeconfig_for(&self, user: &str, group: Option<&str>) -> Result<String, Error> {
        Ok(self.kubeconfig_with(&self.files.authority.client(user, group)?))
    }

    /// A kubeconfig for a user whose token is read from a file at every request.
    pub fn kubeconfig_with_token_file(&self, token_file: &Path) -> String {
        let file = token_file.display().to_string();
        kubeconfig::with_token_file(&self.spec.name, &self.endpoint(), self.ca_pem(), &file)
    }

    /// The version that the API server reports now, such as `v1.36.3`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn version(&self) -> Result<String, Error> {
        ask_version(&self.ask).await
    }

    /// What status commands show of it.
    pub fn report(&self) -> ControlPlaneReport {
        let processes = std::iter::once(&self.api_server).chain(&self.controller_manager);
        ControlPlaneReport {
            name: self.spec.name.clone(),
            version: self.version.clone(),
            endpoint: self.endpoint(),
            started_at: self.started_at,
            ready_after_millis: u64::try_from(self.ready_after.as_millis()).unwrap_or(u64::MAX),
            processes: processes.map(ServerProcess::report).collect(),
        }
    }

    /// How one of its servers ended, if one has.
    pub fn exited(&self) -> Option<Exit> {
        let controllers = self.controller_manager.as_ref().and_then(ServerProcess::exited);
        self.api_server.exited().or(controllers)
    }

    /// Waits until one of its servers ends. The future owns nothing of this control plane; after a restart it
    /// tells of the servers before it, so ask for a new one.
    pub fn wait_exit(&self) -> impl Future<Output = Exit> + Send + 'static {
        let api_server = self.api_server.wait_exit();
        let controllers = self.controller_manager.as_ref().map(ServerProcess::wait_exit);
        async move {
            match controllers {
                Some(controllers) => tokio::select! {
                    exit = api_server => exit,
                    exit = controllers => exit,
                },
                None => api_server.await,
            }
        }
    }

    /// Stops its servers and starts those of another minor, or of the same, over the same data, at the same URL,
    /// with the same certificates. When that fails the control plane is down, and this can be called again.
    ///
    /// # Errors
    /// When there are no servers of that minor, or the new ones do not become ready.
    pub async fn restart_as(&mut self, minor: Minor) -> Result<(), Error> {
        self.assets.servers(minor)?;
        self.stop_servers().await;
        self.spec.minor = minor;
        self.started_at = Timestamp::now();
        let started = Instant::now();
        (self.api_server, self.port, self.ask) =
            start_api_server(&self.assets, &self.spec, &self.files).await?;
        self.finish_start(started).await
    }

    /// Stops its servers. Its data stays in etcd.
    pub async fn stop(mut self) {
        self.stop_servers().await;
    }

    async fn stop_servers(&mut self) {
        if let Some(mut controllers) = self.controller_manager.take() {
            controllers.stop(STOP_GRACE).await;
        }
        self.api_server.stop(STOP_GRACE).await;
    }

    async fn finish_start(&mut self, started: Instant) -> Result<(), Error> {
        if self.spec.controllers != Controllers::None {
            self.controller_manager = Some(self.start_controllers()?);
        }
        if self.spec.controllers.make_service_accounts() {
            let account = "/api/v1/namespaces/default/serviceaccounts/default";
            let processes: Vec<_> = self.controller_manager.iter().chain([&self.api_server]).collect();
            wait_for(&self.ask, account, &processes).await?;
        }
        self.version = ask_version(&self.ask).await?;
        self.ready_after = started.elapsed();
        Ok(())
    }

    fn start_controllers(&self) -> Result<ServerProcess, Error> {
        let kubeconfig = self.spec.dir.join("kube-controller-manager.kubeconfig");
        write_private(&kubeconfig, self.kubeconfig_with(&self.files.controller_manager))?;
        ServerProcess::start(ProcessSpec {
            name: CONTROLLER_MANAGER.to_owned(),
            program: self.assets.servers(self.spec.minor)?.kube_controller_manager.clone(),
            args: controller_manager_args(
                &kubeconfig,
                &self.files.pki,
                &self.files.token_key,
                &self.spec.controllers,
            ),
            env: environment(),
            unset: Vec::new(),
            dir: self.spec.dir.clone(),
        })
    }

    fn kubeconfig_with(&self, user: &Certified) -> String {
        kubeconfig::with_certificate(&self.spec.name, &self.endpoint(), self.ca_pem(), user)
    }
}

/// A smaller heap for a little more work: 40 MB less per control plane, and no slower a start (measured).
fn environment() -> Vec<(String, String)> {
    vec![("GOGC".to_owned(), "50".to_owned())]
}

fn endpoint(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

async fn ask_version(ask: &Ask) -> Result<String, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        git_version: String,
    }
    let body = ask.get_ok("/version").await?;
    let version: Version = serde_json::from_str(&body).map_err(|error| Error::ask("/version", error))?;
    Ok(version.git_version)
}

/// Starts the API server, on its remembered port or on a free one, and waits until it is ready.
async fn start_api_server(
    assets: &Assets,
    spec: &ControlPlaneSpec,
    files: &Files,
) -> Result<(ServerProcess, u16, Ask), Error> {
    if let Some(port) = files.remembered_port()? {
        wait_until_free(port, &spec.name).await?;
        let (process, ask) = start_api_server_on(port, assets, spec, files).await?;
        return Ok((process, port, ask));
    }
    let mut tries = 0;
    loop {
        let port = free_port()?;
        tries += 1;
        match start_api_server_on(port, assets, spec, files).await {
            Ok((process, ask)) => {
                write_private(&files.port, port.to_string())?;
                return Ok((process, port, ask));
            }
            Err(Error::Exited(exit)) if tries < PORT_TRIES && port_was_taken(&exit) => {
                tracing::debug!(port, control_plane = %spec.name, "another process took the port first");
            }
            Err(error) => return Err(error),
        }
    }
}

fn port_was_taken(exit: &Exit) -> bool {
    exit.log_end.contains("address already in use")
}

async fn wait_until_free(port: u16, name: &str) -> Result<(), Error> {
    let started = Instant::now();
    while !is_free(port) {
        if started.elapsed() > PORT_FREED_WITHIN {
            return Err(Error::PortTaken { name: name.to_owned(), port });
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(())
}

async fn start_api_server_on(
    port: u16,
    assets: &Assets,
    spec: &ControlPlaneSpec,
    files: &Files,
) -> Result<(ServerProcess, Ask), Error> {
    let webhook =
        |file: &'_ Option<(PathBuf, Duration)>| file.as_ref().map(|(path, cache)| (path.clone(), *cache));
    let (token_webhook, authorization_webhook) =
        (webhook(&files.token_webhook), webhook(&files.authorization_webhook));
    let flags = ApiServerFlags {
        port,
        etcd: &spec.etcd,
        etcd_prefix: &spec.etcd_prefix,
        service_cidr: &spec.service_cidr,
        pki: &files.pki,
        token_key: &files.token_key,
        token_webhook: token_webhook.as_ref().map(|(path, cache)| (path.as_path(), *cache)),
        authorization_webhook: authorization_webhook.as_ref().map(|(path, cache)| (path.as_path(), *cache)),
        extra: &spec.extra_args,
    };
    let process = ServerProcess::start(ProcessSpec {
        name: API_SERVER.to_owned(),
        program: assets.servers(spec.minor)?.kube_apiserver.clone(),
        args: flags.to_args(),
        env: environment(),
        unset: Vec::new(),
        dir: spec.dir.clone(),
    })?;
    let ask = Ask::new(&endpoint(port), files.authority.certificate(), &files.admin)?;
    wait_for(&ask, "/readyz", &[&process]).await?;
    Ok((process, ask))
}

/// Waits until a path is answered with 200, as long as these processes live.
async fn wait_for(ask: &Ask, path: &str, processes: &[&ServerProcess]) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        if let Some(exit) = processes.iter().find_map(|process| process.exited()) {
            return Err(Error::Exited(Box::new(exit)));
        }
        let answer = match ask.get(path).await {
            Ok((200, _)) => return Ok(()),
            Ok((status, body)) => format!("{status} {body}"),
            Err(error) => error.to_string(),
        };
        if started.elapsed() > READY_WITHIN {
            let process = processes.first();
            return Err(Error::NotReady {
                process: process.map(|process| process.name().to_owned()).unwrap_or_default(),
                seconds: READY_WITHIN.as_secs(),
                answer,
                log_end: process.map(|process| process.log_end()).unwrap_or_default(),
            });
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
