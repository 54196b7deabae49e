//! Puts the parts together and runs them until the process is told to end.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use fleet_api::v1alpha1::{Tenant, TenantCluster};
use fleet_exec::remote::Addresses;
use fleet_provider::ClusterProvider;
use fleet_provider_eks::EksProvider;
use fleet_render::Catalogue;
use futures::StreamExt as _;
use kube::{
    Client, Resource, ResourceExt as _,
    runtime::{
        applier,
        controller::{self, Action, Config, ReconcileRequest},
        reflector::{ObjectRef, Store},
    },
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, warn};
use uuid::Uuid;

use crate::{
    args::Args,
    brake::Brake,
    calendar,
    clock::{Clock, SystemClock, until_tomorrow},
    context::Context,
    engines::Engines,
    error::ReconcileError,
    events::Events,
    http::{self, Endpoints},
    lease::{Elector, Fence, LeaseError, LeaseSettings},
    metrics::Metrics,
    pace::Failures,
    rollout, tenant, tenant_cluster,
    watch::{self, Queue, Queues},
    written::OwnWrites,
};

/// What keeps the controller from running, or ends it.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no management cluster to be found.
    #[error("the management cluster is not configured: set KUBECONFIG, or run inside a cluster")]
    NoCluster(#[source] Box<kube::Error>),
    /// The listening address is taken.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The provider cannot be set up.
    #[error("the EKS provider cannot be set up")]
    Provider(#[source] io::Error),
    /// The control catalogue does not hold together.
    #[error("the control catalogue cannot be read")]
    Catalogue(#[source] Box<fleet_render::RenderError>),
    /// Signals cannot be listened for.
    #[error("signals cannot be listened for")]
    Signals(#[source] io::Error),
    /// The lease was lost; another replica goes on.
    #[error("the lease was lost")]
    Lease(#[source] LeaseError),
}

/// What a controller is made of.
pub struct Parts {
    /// The management cluster.
    pub client: Client,
    /// Whatever makes clusters.
    pub provider: Arc<dyn ClusterProvider>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The election; `None` for a controller that is promised to be alone.
    pub lease: Option<LeaseSettings>,
    /// Where the endpoints are served; `None` for nowhere.
    pub listener: Option<TcpListener>,
    /// Which addresses a tenant's API server may have.
    pub addresses: Addresses,
    /// How many objects of a kind are reconciled at the same time.
    pub concurrency: u16,
    /// The longest pause between two looks while the cloud is at work.
    pub pace: Duration,
    /// The pause between two looks at an object at rest.
    pub resync: Duration,
    /// How long running steps may take when the controller is told to end.
    pub grace: Duration,
    /// Which loops run.
    pub loops: Loops,
}

/// Which loops a controller runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loops {
    /// All of them.
    All,
    /// Rollouts alone: somebody else moves the clusters and writes what was seen of them, as a benchmark does that has no
    /// clusters.
    Rollouts,
}

/// Runs the controller as the arguments and the environment say, until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, or has lost its lease.
pub async fn from_environment(args: Args) -> Result<(), RunError> {
    let Args { listen, concurrency, resync, pace, grace, allow_loopback, log: _, log_format: _, lease } =
        args;
    info!(version = env!("CARGO_PKG_VERSION"), "fleet-controller starts");
    let client = Client::try_default().await.map_err(|error| RunError::NoCluster(Box::new(error)))?;
    let listener = http::bind(listen).await.map_err(|source| RunError::Listen { address: listen, source })?;
    let provider = EksProvider::from_environment().await.map_err(RunError::Provider)?;
    // In containers every process has the same id, and a name may be given twice.
    let instance = Uuid::new_v4().simple().to_string();
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("told to end: running steps are finished, and none begins");
        told.cancel();
    });
    let parts = Parts {
        client,
        provider: Arc::new(provider),
        clock: Arc::new(SystemClock),
        lease: Some(lease.settings(&instance)),
        listener: Some(listener),
        addresses: if allow_loopback { Addresses::LOCAL } else { Addresses::PROVIDER },
        concurrency,
        pace,
        resync,
        grace,
        loops: Loops::All,
    };
    run(parts, stop).await
}

/// Runs a controller until `stop`.
///
/// # Errors
/// When it has lost its lease, or cannot be set up.
pub async fn run(parts: Parts, stop: CancellationToken) -> Result<(), RunError> {
    let Parts {
        client,
        provider,
        clock,
        lease,
        listener,
        addresses,
        concurrency,
        pace,
        resync,
        grace,
        loops: which,
    } = parts;
    let catalogue = Catalogue::builtin().map_err(|error| RunError::Catalogue(Box::new(error)))?;
    let metrics = Arc::new(Metrics::new());
    let queues = Arc::new(Queues::closed());
    let watching = CancellationToken::new();
    let _ends_the_watches = watching.clone().drop_guard();
    let stores = watch::start(&client, &queues, &metrics, &watching);
    if let Some(listener) = listener {
        let endpoints =
            Endpoints { metrics: Arc::clone(&metrics), stores: stores.clone(), clock: Arc::clone(&clock) };
        tokio::spawn(http::serve(listener, endpoints, watching.clone()));
    }
    let mut elector = lease.map(|settings| Elector::new(client.clone(), settings, Arc::clone(&clock)));
    let fence = elector.as_ref().map_or_else(Fence::alone, Elector::fence);
    // A standby fills its stores while it waits, so that it can take over at once.
    let ready = async {
        stores.wait_until_filled().await;
        if let Some(elector) = &mut elector {
            elector.acquire().await;
        }
    };
    tokio::select! {
        () = ready => {}
        () = stop.cancelled() => return Ok(()),
    }
    metrics.leading(true);
    let context = Arc::new(Context {
        events: Events::new(client.clone()),
        client,
        stores: stores.clone(),
        queues: Arc::clone(&queues),
        metrics: Arc::clone(&metrics),
        clock,
        fence,
        provider,
        catalogue,
        engines: Engines::default(),
        looks: tenant_cluster::Looks::default(),
        brake: Brake::default(),
        failures: Failures::default(),
        tenants_written: OwnWrites::default(),
        clusters_written: OwnWrites::default(),
        rollouts_written: OwnWrites::default(),
        members_written: OwnWrites::default(),
        checks: Arc::default(),
        addresses,
        pace,
        resync,
        stop: stop.clone(),
    });
    let rollouts =
        follow(&context, &stores.rollouts, &queues.rollouts, concurrency, "Rollout", rollout::reconcile);
    let loops = async {
        if which == Loops::Rollouts {
            return rollouts.await;
        }
        tokio::join!(
            follow(&context, &stores.tenants, &queues.tenants, concurrency, "Tenant", tenant::reconcile),
            follow(
                &context,
                &stores.clusters,
                &queues.clusters,
                concurrency,
                "TenantCluster",
                tenant_cluster::reconcile
            ),
            rollouts,
            turn_the_day(&context),
            calendar::keep(&context),
        );
    };
    let out_of_grace = async {
        stop.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    let lost = async {
        match &mut elector {
            Some(elector) => elector.hold().await,
            None => std::future::pending().await,
        }
    };
    // When it is told to end, the loops begin nothing more and end with what runs; the lease is held until then.
    let outcome = tokio::select! {
        () = loops => Ok(()),
        error = lost => Err(RunError::Lease(error)),
        () = out_of_grace => {
            warn!("steps were still running at the end of the grace period; the next process takes them up");
            Ok(())
        }
    };
    metrics.leading(false);
    context.engines.stop().await;
    if let (Some(elector), Ok(())) = (&mut elector, &outcome) {
        elector.release().await;
    }
    outcome
}

/// Runs one loop until the controller is told to end and what runs has ended.
async fn follow<K, F>(
    context: &Arc<Context>,
    store: &Store<K>,
    queue: &Queue<K>,
    concurrency: u16,
    kind: &'static str,
    reconcile: fn(Arc<K>, Arc<Context>) -> F,
) where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Action, ReconcileError>> + Send + 'static,
{
    let all = store.state().iter().map(|object| ObjectRef::from_obj(&**object)).collect();
    let requests = queue
        .open(all)
        .map(|object| Ok::<_, Infallible>(ReconcileRequest::from(object)))
        .take_until(context.stop.clone().cancelled_owned());
    let one = move |object: Arc<K>, context: Arc<Context>| {
        let name = object.name_any();
        // A task of its own: reconciles use every core, and one that panics ends alone.
        let task = tokio::spawn(timed(kind, reconcile, object, context).in_current_span());
        Box::pin(async move { task.await.unwrap_or_else(|_| Err(ReconcileError::Panicked { kind, name })) })
    };
    let on_error = move |object: Arc<K>, error: &ReconcileError, context: Arc<Context>| {
        let name = object.name_any();
        let uid = object.uid().unwrap_or_default();
        match error.category() {
            // The world of the management cluster moved on; the watch brings it.
            "conflict" => Action::requeue(Duration::from_secs(1)),
            "fence" => Action::requeue(Duration::from_secs(5)),
            _ => {
                warn!(kind, name, error = crate::error::chain(error), "a reconcile failed");
                Action::requeue(context.failures.failed(&uid))
            }
        }
    };
    let config = Config::default().concurrency(concurrency);
    applier(one, on_error, Arc::clone(context), store.clone(), requests.boxed(), config)
        .for_each(|result| {
            match result {
                Ok((object, action)) => debug!(kind, name = object.name, ?action, "reconciled"),
                // What is kept in memory of an object that is gone goes as well.
                Err(controller::Error::ObjectNotFound(object)) => {
                    context.forget(object.extra.uid.as_deref().unwrap_or_default());
                }
                // Told where it happened.
                Err(controller::Error::ReconcilerFailed(..)) => {}
                Err(other) => error!(kind, error = &other as &dyn std::error::Error, "the loop failed"),
            }
            std::future::ready(())
        })
        .await;
}

/// One reconcile, with its metrics.
async fn timed<K, F>(
    kind: &'static str,
    reconcile: fn(Arc<K>, Arc<Context>) -> F,
    object: Arc<K>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError>
where
    F: Future<Output = Result<Action, ReconcileError>>,
{
    if context.stop.is_cancelled() {
        return Ok(Action::await_change());
    }
    let began = std::time::Instant::now();
    let result = reconcile(object, Arc::clone(&context)).await;
    let word = result.as_ref().map_or_else(ReconcileError::category, |_| "ok");
    context.metrics.reconciled(kind, word, began.elapsed());
    result
}

/// Exceptions expire and channels open with the day, which no watch tells of.
async fn turn_the_day(context: &Context) {
    let stop = context.stop.clone();
    while stop.run_until_cancelled(tokio::time::sleep(until_tomorrow(context.now()))).await.is_some() {
        let ask = |tenant: &Tenant| context.queues.tenants.ask_for(ObjectRef::from_obj(tenant));
        context.stores.tenants.state().iter().for_each(|tenant| ask(tenant));
        let ask = |cluster: &TenantCluster| context.queues.clusters.ask_for(ObjectRef::from_obj(cluster));
        context.stores.clusters.state().iter().for_each(|cluster| ask(cluster));
    }
}
