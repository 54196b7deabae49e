//! The process in the background that holds a sandbox: it starts the parts in stages, keeps the services running,
//! and ends everything when it is told to.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use local_control_plane::{
    Assets, ControlPlane, ControlPlaneSpec, Controllers, Etcd, Exit, Minor, Places, ProcessIdentity,
    write_private,
};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    access::{self, Access, admin_client},
    error::Error,
    manifests,
    ownership::{Asked, Ownership, Purpose},
    place::Place,
    service::{Service, ServiceSpec},
    state::{Phase, SandboxEnv, StageState, State, StateFile},
    up::{Manifest, Programs},
};

/// The management cluster runs the newest minor that there are servers for.
pub(crate) const MINORS: [Minor; 2] = [Minor::V1_35, Minor::V1_36];
const MANAGEMENT: Minor = Minor::V1_36;
const REGION: &str = "eu-central-1";
/// Access keys of the emulator's default seed. They open nothing but an emulator on loopback.
const CONTROLLER_KEY: (&str, &str) = ("AKIAFLEETCONTROLLER0", "sandbox-controller-secret-key-00000000000");
const OPERATOR_KEY: (&str, &str) = ("AKIAFLEETOPERATOR000", "sandbox-operator-secret-key-000000000000");
/// What in a user's environment would lead the controller to other credentials or another endpoint.
const MISLEADING: [&str; 9] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ENDPOINT_URL_EKS",
    "AWS_ENDPOINT_URL_STS",
    "POD_NAME",
];

/// What `up` tells the supervisor on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) manifests: Vec<Manifest>,
    pub(crate) programs: Programs,
}

/// Runs a sandbox in a state folder until the process is told to end. To be called in the process that [`up`]
/// started, which finds its order on standard input.
///
/// [`up`]: crate::up
///
/// # Errors
/// When the sandbox cannot be started. The reason is in the state folder too, where `up` reads it.
pub async fn supervise(dir: &Path) -> Result<(), Error> {
    let order = read_order()?;
    // A session of its own: neither Ctrl-C nor the end of the terminal of whoever called `up` reaches it.
    if let Err(error) = rustix::process::setsid() {
        tracing::debug!(%error, "this process leads a group already");
    }
    let mut ends = Ends::listen()?;
    let place = Place::new(dir);
    let now = Timestamp::now();
    let _ownership = match Ownership::take_patiently(&place, Purpose::Supervise, now).await? {
        Asked::Ours(ownership) => ownership,
        Asked::Held(Some(holder)) => return Err(Error::Held { dir: place.dir, holder }),
        Asked::Held(None) | Asked::Nothing => return Err(Error::NotASandbox { dir: place.dir }),
    };
    let supervisor = ProcessIdentity::own().map_err(Error::file("read", PathBuf::from("/proc/self")))?;
    let state = State {
        supervisor,
        started_at: now,
        phase: Phase::Starting,
        stages: Vec::new(),
        etcd: None,
        management: None,
        services: Vec::new(),
        crashes: Vec::new(),
        environment: None,
    };
    let state = Arc::new(StateFile::create(&place.state(), state)?);
    let started = tokio::select! {
        started = Parts::start(&place, order, &state) => started,
        () = ends.next() => Err(Error::ToldToEnd),
    };
    match started {
        Ok(parts) => {
            state.update(|state| state.phase = Phase::Ready);
            parts.run(&state, &mut ends).await;
            state.update(|state| state.phase = Phase::Stopping);
            parts.stop().await;
            Ok(())
        }
        Err(error) => {
            let (message, hint) = (error.chain(), error.hint());
            state.update(|state| state.phase = Phase::Failed { message, hint });
            Err(error)
        }
    }
}

fn read_order() -> Result<Order, Error> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(Error::file("read", PathBuf::from("standard input")))?;
    serde_json::from_str(&text).map_err(Error::NoOptions)
}

/// The signals that end a supervisor.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn listen() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(Error::file("listen for", PathBuf::from("signals")));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The running parts. Fields are dropped in their order, so what uses another part goes first.
struct Parts {
    controller: Option<Service>,
    emulator: Option<Service>,
    access: Option<Access>,
    management: ControlPlane,
    etcd: Etcd,
}

impl Parts {
    async fn start(place: &Place, order: Order, state: &Arc<StateFile>) -> Result<Self, Error> {
        let Order { manifests, programs } = order;
        let assets =
            Assets::ensure_in(&Places::from_env(), &MINORS, &|progress| tracing::info!("{progress}")).await?;

        let stage = Stage::begin(state, "etcd");
        let etcd = Etcd::start(&assets, &place.etcd()).await?;
        state.update(|state| state.etcd = Some(etcd.report()));
        stage.finish(None);

        let stage = Stage::begin(state, "management API server");
        let spec = ControlPlaneSpec {
            controllers: Controllers::Management,
            ..ControlPlaneSpec::new("fleet-sandbox", MANAGEMENT, &place.management(), etcd.endpoint())
        };
        let management = ControlPlane::start(&assets, spec).await?;
        write_private(&place.kubeconfig(), management.admin_kubeconfig())?;
        let report = management.report();
        let note = Some(report.version.clone());
        state.update(|state| {
            state.management = Some(report);
            state.environment = Some(environment(place, None));
        });
        stage.finish(note);

        let stage = Stage::begin(state, "custom resources and permissions");
        let client = admin_client(&management).await?;
        let applied = manifests::apply(&client, &manifests).await?;
        stage.finish(Some(format!("{applied} objects")));

        let stage = Stage::begin(state, "EKS emulator");
        let emulator = match &programs.emulator {
            Some(program) => {
                let spec = emulator_spec(program, place, &etcd.endpoint());
                Some(Service::start(spec, Arc::clone(state)).await?)
            }
            None => None,
        };
        let url = emulator.as_ref().map(|emulator| format!("http://{}", emulator.address()));
        state.update(|state| state.environment = Some(environment(place, url.clone())));
        stage.finish(Some(
            url.clone().unwrap_or_else(|| "left out: no program eks-emulator was found".to_owned()),
        ));

        let stage = Stage::begin(state, "controller");
        let (controller, access, note) = match (&programs.controller, url) {
            (Some(program), Some(url)) => {
                let access = Access::prepare(client, &management, place.controller()).await?;
                let spec = controller_spec(program, place, access.kubeconfig(), url);
                let service = Service::start(spec, Arc::clone(state)).await?;
                let note = format!("http://{}/metrics", service.address());
                (Some(service), Some(access), note)
            }
            (None, _) => (None, None, "left out: no program fleet-controller was found".to_owned()),
            (Some(_), None) => (None, None, "left out: it needs the emulator".to_owned()),
        };
        stage.finish(Some(note));
        Ok(Self { controller, emulator, access, management, etcd })
    }

    /// Keeps the sandbox until the process is told to end.
    async fn run(&self, state: &StateFile, ends: &mut Ends) {
        let crash = async {
            tokio::select! {
                exit = self.etcd.wait_exit() => exit,
                exit = self.management.wait_exit() => exit,
            }
        };
        tokio::pin!(crash);
        let mut crashed = false;
        let mut renew_at = tokio::time::Instant::now() + access::RENEW_EVERY;
        loop {
            tokio::select! {
                () = ends.next() => return,
                exit = &mut crash, if !crashed => {
                    crashed = true;
                    report_crash(state, exit);
                }
                () = tokio::time::sleep_until(renew_at) => {
                    renew_at = tokio::time::Instant::now() + self.renew().await;
                }
            }
        }
    }

    /// Renews the controller's token and says when to do so again.
    async fn renew(&self) -> Duration {
        let Some(access) = &self.access else { return access::RENEW_EVERY };
        match access.renew().await {
            Ok(()) => access::RENEW_EVERY,
            Err(error) => {
                tracing::warn!(error = %error.chain(), "the controller's token could not be renewed");
                access::RETRY_AFTER
            }
        }
    }

    async fn stop(self) {
        let Self { controller, emulator, access: _, management, etcd } = self;
        for service in [controller, emulator].into_iter().flatten() {
            service.stop().await;
        }
        management.stop().await;
        etcd.stop().await;
    }
}

/// Without etcd or the management API server there is no sandbox. It is left as it is, to be looked at.
fn report_crash(state: &StateFile, exit: Exit) {
    tracing::error!(%exit, "a server ended that the sandbox cannot be without");
    state.update(|state| {
        let hint = Some("start anew with `fleet sandbox down` and `fleet sandbox up`".to_owned());
        state.phase = Phase::Failed { message: exit.to_string(), hint };
        state.crashes.push(exit);
    });
}

fn emulator_spec(program: &Path, place: &Place, etcd: &str) -> ServiceSpec {
    let dir = place.emulator();
    let data = dir.join("data").display().to_string();
    let args = ["--state-dir", &data, "--control-planes", "real", "--etcd", etcd];
    ServiceSpec {
        name: "eks-emulator",
        program: program.to_path_buf(),
        args: args.map(str::to_owned).to_vec(),
        env: Vec::new(),
        unset: Vec::new(),
        dir,
        health: "/_emulator/health",
    }
}

fn controller_spec(program: &Path, place: &Place, kubeconfig: &Path, emulator: String) -> ServiceSpec {
    let (key, secret) = CONTROLLER_KEY;
    let env = [
        ("KUBECONFIG", kubeconfig.display().to_string()),
        ("AWS_ENDPOINT_URL", emulator),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", key.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        // Everything that it talks to is on this machine, the tenants' API servers included.
        ("FLEET_ALLOW_LOOPBACK", "true".to_owned()),
        // The emulator does in seconds what takes EKS minutes.
        ("FLEET_PACE", "1s".to_owned()),
        // There is no other replica, so a successor of one that was killed need not wait for long.
        ("FLEET_LEASE_DURATION", "5s".to_owned()),
        ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
        ("no_proxy", "127.0.0.1,localhost".to_owned()),
    ];
    ServiceSpec {
        name: "fleet-controller",
        program: program.to_path_buf(),
        args: Vec::new(),
        env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        unset: MISLEADING.map(str::to_owned).to_vec(),
        dir: place.controller(),
        health: "/healthz",
    }
}

fn environment(place: &Place, emulator: Option<String>) -> SandboxEnv {
    let (key, secret) = OPERATOR_KEY;
    SandboxEnv {
        kubeconfig: place.kubeconfig(),
        aws_endpoint_url: emulator,
        aws_region: REGION.to_owned(),
        aws_access_key_id: key.to_owned(),
        aws_secret_access_key: secret.to_owned(),
    }
}

/// A stage of the start, written down as it begins and as it ends.
struct Stage<'a> {
    state: &'a StateFile,
    name: &'static str,
    began: Instant,
}

impl<'a> Stage<'a> {
    fn begin(state: &'a StateFile, name: &'static str) -> Self {
        let began_at = Timestamp::now();
        state.update(|state| {
            state.stages.push(StageState { name: name.to_owned(), began_at, took_millis: None, note: None });
        });
        Self { state, name, began: Instant::now() }
    }

    fn finish(self, note: Option<String>) {
        let took = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.state.update(|state| {
            if let Some(stage) = state.stages.iter_mut().find(|stage| stage.name == self.name) {
                stage.took_millis = Some(took);
                stage.note = note;
            }
        });
    }
}
