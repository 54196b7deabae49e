//! One controller process of a test: a runtime of its own, that can be stopped or killed.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use fleet_controller::{
    clock::SystemClock,
    lease::LeaseSettings,
    run::{Loops, Parts, RunError, run},
};
use fleet_exec::remote::Addresses;
use fleet_provider::ClusterProvider;
use kube::{Client, Config};
use tokio::{runtime::Runtime, sync::oneshot};
use tokio_util::sync::CancellationToken;

/// Sees every request to the management cluster: method, path and query.
pub(crate) type Witness = Arc<dyn Fn(&str, &str, &str) + Send + Sync>;

/// How a controller of a test differs from another.
pub(crate) struct Options {
    /// Whether it takes part in the election.
    pub(crate) lease: bool,
    /// Who sees its requests.
    pub(crate) witness: Option<Witness>,
    /// Where its endpoints are served.
    pub(crate) listener: Option<std::net::TcpListener>,
}

/// A controller without lease and endpoints.
pub(crate) const PLAIN: Options = Options { lease: false, witness: None, listener: None };

/// A running controller.
pub(crate) struct Process {
    runtime: Option<Runtime>,
    stop: CancellationToken,
    ended: Option<oneshot::Receiver<Result<(), RunError>>>,
}

impl Process {
    /// Starts a controller with a client configuration.
    pub(crate) fn start(config: &Config, provider: Arc<dyn ClusterProvider>, options: Options) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let (told, ended) = oneshot::channel();
        let (config, token) = (config.clone(), stop.clone());
        runtime.spawn(async move {
            let parts = Parts {
                client: client(config, options.witness),
                provider,
                clock: Arc::new(SystemClock),
                lease: options.lease.then(settings),
                listener: options
                    .listener
                    .map(|listener| tokio::net::TcpListener::from_std(listener).unwrap()),
                addresses: Addresses::LOCAL,
                concurrency: 4,
                pace: Duration::from_millis(200),
                resync: Duration::from_secs(600),
                grace: Duration::from_secs(20),
                loops: Loops::All,
            };
            let _ = told.send(run(parts, token).await);
        });
        Self { runtime: Some(runtime), stop, ended: Some(ended) }
    }

    /// Tells it to end, and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = self.ended.take().unwrap();
        tokio::time::timeout(crate::support::PATIENCE, ended).await.unwrap().unwrap().unwrap();
    }

    /// Ends it without a word, as `kill -9` does.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not be dropped inside another one.
            let ending: JoinHandle<()> =
                std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            let _ = ending.join();
        }
    }
}

fn settings() -> LeaseSettings {
    LeaseSettings {
        namespace: "fleet-system".to_owned(),
        name: "fleet-controller".to_owned(),
        identity: "test".to_owned(),
        duration: Duration::from_secs(15),
        every: Duration::from_secs(2),
        margin: Duration::from_secs(3),
    }
}

fn client(config: Config, witness: Option<Witness>) -> Client {
    let layer = tower::util::MapRequestLayer::new(move |request: http::Request<kube::client::Body>| {
        if let Some(witness) = &witness {
            let uri = request.uri();
            witness(request.method().as_str(), uri.path(), uri.query().unwrap_or_default());
        }
        request
    });
    kube::client::ClientBuilder::try_from(config).unwrap().with_layer(&layer).build()
}
