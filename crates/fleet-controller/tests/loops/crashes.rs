//! A controller that is killed at every call to the cloud, and one that comes after it: one cluster, the same end.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use fleet_api::{
    eks::{ClusterTarget, EksObservation, EksVersionOffer, Focus},
    step::{Outcome, Step},
};
use fleet_provider::{ClusterProvider, ClusterToken, ProviderError, fake::FakeEks};
use kube::api::DeleteParams;
use tokio::sync::Notify;

use crate::{
    process::{PLAIN, Process},
    support::{Hub, PATIENCE, fleet, is_provisioned, quick_cloud, tenant},
};

/// Where the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// The intent is stored, the call is not made.
    BeforeTheCall,
    /// The call is made, its answer is not stored.
    AfterTheCall,
}

/// A cloud that never answers the n-th call, because the caller is killed in it.
struct Deadly {
    cloud: FakeEks,
    calls: AtomicUsize,
    at: usize,
    edge: Edge,
    died: Arc<Notify>,
}

impl Deadly {
    fn new(cloud: &FakeEks, at: usize, edge: Edge) -> (Arc<Self>, Arc<Notify>) {
        let died = Arc::new(Notify::new());
        let calls = AtomicUsize::new(0);
        (Arc::new(Self { cloud: cloud.clone(), calls, at, edge, died: Arc::clone(&died) }), died)
    }
}

#[async_trait]
impl ClusterProvider for Deadly {
    async fn observe(&self, target: &ClusterTarget, focus: &Focus) -> Result<EksObservation, ProviderError> {
        self.cloud.observe(target, focus).await
    }

    async fn carry_out(&self, target: &ClusterTarget, step: &Step) -> Result<Outcome, ProviderError> {
        if self.calls.fetch_add(1, Ordering::SeqCst) == self.at {
            if self.edge == Edge::AfterTheCall {
                let _ = self.cloud.carry_out(target, step).await;
            }
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
        self.cloud.carry_out(target, step).await
    }

    async fn calendar(&self, target: &ClusterTarget) -> Result<Vec<EksVersionOffer>, ProviderError> {
        self.cloud.calendar(target).await
    }

    async fn token(&self, target: &ClusterTarget) -> Result<ClusterToken, ProviderError> {
        self.cloud.token(target).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_call_of_a_creation_or_a_deletion_ends_in_the_same_state() {
    let hub = Hub::start().await;
    hub.apply(&fleet(1_000)).await;
    let plain = quick_cloud();
    live(&hub, "witness", &plain).await;
    let calls_to_create = plain.effects().len();
    die(&hub, "witness", &plain).await;
    let all = plain.effects();
    let operations = |effects: &[String]| -> Vec<String> {
        effects.iter().map(|effect| effect.split(' ').next().unwrap().to_owned()).collect()
    };
    assert!(calls_to_create >= 2 && all.len() > calls_to_create, "{all:?}");

    for at in 0..all.len() {
        for edge in [Edge::BeforeTheCall, Edge::AfterTheCall] {
            let name = format!("t{at}{}", if edge == Edge::BeforeTheCall { "b" } else { "a" });
            let cloud = quick_cloud();
            let creating = at < calls_to_create;
            if !creating {
                live(&hub, &name, &cloud).await;
            } else {
                hub.apply(&tenant(&name, "eks")).await;
            }
            if !creating {
                hub.tenants().delete(&name, &DeleteParams::default()).await.unwrap();
            }
            let (deadly, died) = Deadly::new(&cloud, if creating { at } else { at - calls_to_create }, edge);
            let victim = Process::start(&hub.controller, deadly, PLAIN);
            tokio::time::timeout(PATIENCE, died.notified()).await.unwrap_or_else(|_| panic!("{name} dies"));
            victim.kill();
            if creating {
                live(&hub, &name, &cloud).await;
                assert_eq!(cloud.clusters().len(), 1, "{at} {edge:?}");
            }
            die(&hub, &name, &cloud).await;
            assert!(cloud.clusters().is_empty(), "{at} {edge:?}");
            assert_eq!(operations(&cloud.effects()), operations(&all), "{at} {edge:?}");
        }
    }
}

/// Lets a controller bring a tenant to its cluster, and stops it.
async fn live(hub: &Hub, name: &str, cloud: &FakeEks) {
    hub.apply(&tenant(name, "eks")).await;
    let controller = Process::start(&hub.controller, Arc::new(cloud.clone()), PLAIN);
    hub.cluster_is(name, &format!("{name} is provisioned"), is_provisioned).await;
    controller.stop().await;
}

/// Lets a controller take a tenant down, and stops it.
async fn die(hub: &Hub, name: &str, cloud: &FakeEks) {
    let controller = Process::start(&hub.controller, Arc::new(cloud.clone()), PLAIN);
    let _ = hub.tenants().delete(name, &DeleteParams::default()).await;
    hub.tenant_is_gone(name).await;
    controller.stop().await;
}
