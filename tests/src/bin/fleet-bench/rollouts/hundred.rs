//! A rollout of a hundred clusters in three waves, from its start to its end: the loop of the controller on a real
//! management cluster, and in place of EKS somebody who lets every cluster be on its target as soon as it is wanted there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use fleet_api::v1alpha1::{MoveStage, Rollout, RolloutMember, RolloutPhase, Run, TenantCluster, definitions};
use fleet_controller::{
    clock::SystemClock,
    run::{Loops, Parts, run},
};
use fleet_exec::remote::Addresses;
use fleet_plan::rollout::plan::{RolloutPlan, member_objects, rollout_object};
use fleet_provider::fake::FakeEks;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Config, Resource, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{WatchStreamExt as _, conditions::is_crd_established, wait::await_condition, watcher},
};
use local_control_plane::{Assets, ControlPlane, ControlPlaneSpec, Controllers, Etcd, Minor};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    made_fleet::{MadeFleet, ROLLOUT, Windows},
    ticking::evidence,
};
use crate::{
    figures::{Figures, Spread, millis, time},
    say,
};

const CLUSTERS: usize = 100;
/// How often it is done; each time over an empty management cluster.
const TIMES: usize = 3;
/// How many requests of the benchmark's own are under way at once.
const AT_ONCE: usize = 16;
/// A rollout that has not ended by then does not end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures it.
pub(crate) async fn measure(assets: &Assets, figures: &mut Figures) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("fleet-bench-").tempdir()?;
    let etcd = Etcd::start(assets, &folder.path().join("etcd")).await?;
    let mut times = Vec::new();
    for number in 0..TIMES {
        let name = format!("hub-{number}");
        let mut spec =
            ControlPlaneSpec::new(&name, Minor::V1_36, &folder.path().join(&name), etcd.endpoint());
        spec.controllers = Controllers::None;
        spec.etcd_prefix = format!("/{name}");
        let plane = ControlPlane::start(assets, spec).await?;
        times.push(once(&plane).await?);
        plane.stop().await;
    }
    etcd.stop().await;
    let spread = Spread::of(times);
    figures.add(
        "rolloutOf100",
        format!("a rollout of {CLUSTERS} clusters in three waves, with upgrades that take no time"),
        format!(
            "{} from start to end (median of {TIMES}; {} to {})",
            time(spread.median()),
            time(spread.min()),
            time(spread.max())
        ),
        [
            ("medianMilliseconds", millis(spread.median())),
            ("minMilliseconds", millis(spread.min())),
            ("maxMilliseconds", millis(spread.max())),
        ],
    );
    Ok(())
}

/// One rollout over an empty management cluster: from the creation of its first object to its end.
async fn once(plane: &ControlPlane) -> Result<Duration> {
    let kubeconfig = Kubeconfig::from_yaml(&plane.admin_kubeconfig())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config.clone())?;
    define(&client).await?;
    let mut fleet = MadeFleet::of(CLUSTERS, Windows::Always)?;
    fleet.clusters = create_clusters(&client, &fleet.clusters).await?;
    let plan = fleet.plan(Timestamp::now())?;

    let stop = CancellationToken::new();
    let parts = Parts {
        client: Client::try_from(config.clone())?,
        provider: Arc::new(FakeEks::new(Arc::new(Timestamp::now))),
        clock: Arc::new(SystemClock),
        lease: None,
        listener: None,
        addresses: Addresses::LOCAL,
        concurrency: 16,
        pace: Duration::from_secs(20),
        resync: Duration::from_secs(1800),
        grace: Duration::from_secs(5),
        loops: Loops::Rollouts,
    };
    let controller = tokio::spawn(run(parts, stop.clone()));
    let _ends_the_controller = stop.clone().drop_guard();
    let clusters = tokio::spawn(move_at_once(Client::try_from(config)?, stop.clone()));
    let began = Instant::now();
    start(&client, &plan).await?;
    let ended = tokio::time::timeout(PATIENCE, until_over(&client)).await;
    let took = began.elapsed();
    ended.context("the rollout has not ended")??;
    say(&format!("  a rollout of {CLUSTERS} clusters: {}", time(took)));
    stop.cancel();
    controller.await??;
    clusters.await??;
    Ok(took)
}

/// Creates the definitions, and waits until they are served.
async fn define(client: &Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions() {
        let name = definition.name_any();
        api.create(&PostParams::default(), &definition).await?;
        tokio::time::timeout(PATIENCE, await_condition(api.clone(), &name, is_crd_established()))
            .await
            .with_context(|| format!("{name} is not served"))??;
    }
    Ok(())
}

/// Creates clusters with their statuses.
async fn create_clusters(client: &Client, clusters: &[TenantCluster]) -> Result<Vec<TenantCluster>> {
    let api: Api<TenantCluster> = Api::all(client.clone());
    let one = |cluster: &TenantCluster| {
        let (api, mut cluster) = (api.clone(), cluster.clone());
        cluster.metadata.uid = None;
        async move {
            api.create(&PostParams::default(), &cluster).await?;
            let status = json!({ "status": cluster.status });
            anyhow::Ok(
                api.patch_status(&cluster.name_any(), &PatchParams::default(), &Patch::Merge(&status))
                    .await?,
            )
        }
    };
    stream::iter(clusters.iter().map(one)).buffered(AT_ONCE).try_collect().await
}

/// Starts a plan as `fleet rollout start` does: nothing runs before every member is there.
async fn start(client: &Client, plan: &RolloutPlan) -> Result<()> {
    let rollouts: Api<Rollout> = Api::all(client.clone());
    let rollout =
        rollouts.create(&PostParams::default(), &rollout_object(plan, "bench", Run::Planned)).await?;
    let uid = rollout.uid().unwrap_or_default();
    let members: Api<RolloutMember> = Api::all(client.clone());
    let write = |member: RolloutMember| {
        let members = members.clone();
        async move { members.create(&PostParams::default(), &member).await.map(drop) }
    };
    stream::iter(member_objects(plan, &uid).map(write)).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let running = json!({ "spec": { "run": "Running" } });
    rollouts.patch(ROLLOUT, &PatchParams::default(), &Patch::Merge(&running)).await?;
    Ok(())
}

/// Waits until nothing of the rollout will move any more; an end that is not a success is an error.
async fn until_over(client: &Client) -> Result<()> {
    let mut seen = Box::pin(objects::<Rollout>(client));
    while let Some(rollout) = seen.next().await {
        let status = rollout?.status.unwrap_or_default();
        if status.phase == RolloutPhase::Completed {
            let succeeded = usize::try_from(status.counts.succeeded)?;
            anyhow::ensure!(succeeded == CLUSTERS, "only {succeeded} members succeeded");
            return Ok(());
        }
        if status.phase.is_over() || status.phase == RolloutPhase::Stopped {
            bail!("the rollout ended {:?}: {:?}", status.phase, status.report);
        }
    }
    bail!("the watch of the rollout ended")
}

/// Lets every cluster be where it is wanted, as soon as that is seen, and says so as the controller would.
async fn move_at_once(client: Client, stop: CancellationToken) -> Result<()> {
    let api: Api<TenantCluster> = Api::all(client.clone());
    let moved = objects::<TenantCluster>(&client).try_for_each_concurrent(AT_ONCE, |cluster| {
        let api = api.clone();
        async move {
            let Some(wanted) = &cluster.spec.rollout else { return Ok(()) };
            let seen = cluster.status.as_ref().and_then(|status| status.evidence.as_ref());
            if seen.is_some_and(|seen| seen.move_id == wanted.id && seen.stage == wanted.stage) {
                return Ok(());
            }
            let mut status = json!({ "evidence": evidence(wanted, Timestamp::now()) });
            if wanted.stage != MoveStage::Prepare {
                status["versions"] = json!({ "controlPlane": wanted.version });
            }
            let patch = Patch::Merge(json!({ "status": status }));
            api.patch_status(&cluster.name_any(), &PatchParams::default(), &patch).await?;
            anyhow::Ok(())
        }
    });
    stop.run_until_cancelled(moved).await.unwrap_or(Ok(()))
}

/// Every object of a kind as it is now, and again whenever it changes.
fn objects<K>(client: &Client) -> impl stream::Stream<Item = Result<K>> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .map_err(anyhow::Error::from)
}
