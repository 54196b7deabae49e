//! One watch per kind of the management cluster: fills a store, and says which objects to look at again.
//!
//! Every replica watches, so that a standby is warm; only the leader opens its [`Queues`].

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use fleet_api::{
    labels,
    v1alpha1::{
        Approval, Baseline, ControlException, Fleet, Rollout, RolloutMember, Tenant, TenantClass,
        TenantCluster, UpgradePreference, VersionCalendar, VersionChannel,
    },
};
use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Resource,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt as _,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{metrics::Metrics, triggers};

/// What is known of the management cluster, as it was last seen.
#[derive(Clone)]
pub(crate) struct Stores {
    /// The Fleet.
    pub(crate) fleets: Store<Fleet>,
    /// The tenants.
    pub(crate) tenants: Store<Tenant>,
    /// The classes.
    pub(crate) classes: Store<TenantClass>,
    /// The tenants' clusters.
    pub(crate) clusters: Store<TenantCluster>,
    /// The baselines.
    pub(crate) baselines: Store<Baseline>,
    /// The channels.
    pub(crate) channels: Store<VersionChannel>,
    /// The exceptions.
    pub(crate) exceptions: Store<ControlException>,
    /// The rollouts.
    pub(crate) rollouts: Store<Rollout>,
    /// The members of rollouts.
    pub(crate) members: Store<RolloutMember>,
    /// The votes on gates.
    pub(crate) approvals: Store<Approval>,
    /// What tenants' people chose, in the namespaces of their tenants.
    pub(crate) preferences: Store<UpgradePreference>,
    /// The calendars of the regions.
    pub(crate) calendars: Store<VersionCalendar>,
    /// The metadata of the receipts of deletions: their number grows with time, so their text is not kept.
    pub(crate) receipts: Store<PartialObjectMeta<ConfigMap>>,
    /// For each of them, by its plural: whether its first list has come.
    filled: Arc<[(&'static str, watch::Receiver<bool>)]>,
}

impl Stores {
    /// The kinds whose first list has not come yet.
    pub(crate) fn waiting_for(&self) -> Vec<&'static str> {
        self.filled.iter().filter(|(_, filled)| !*filled.borrow()).map(|(kind, _)| *kind).collect()
    }

    /// Waits for the first list of every kind.
    pub(crate) async fn wait_until_filled(&self) {
        for (_, filled) in self.filled.iter() {
            // The sender is gone only when the watch has ended, and then the process is about to end as well.
            if filled.clone().wait_for(|filled| *filled).await.is_err() {
                return;
            }
        }
    }

    /// The Fleet, or its defaults when there is none.
    pub(crate) fn fleet(&self) -> Fleet {
        self.fleets
            .get(&ObjectRef::new("fleet"))
            .map_or_else(|| Fleet::new("fleet", Default::default()), |fleet| (*fleet).clone())
    }
}

/// The objects of one kind that wait to be looked at again.
pub(crate) struct Queue<K: Resource<DynamicType = ()>> {
    sender: Mutex<Option<mpsc::UnboundedSender<ObjectRef<K>>>>,
}

impl<K: Resource<DynamicType = ()> + 'static> Queue<K> {
    fn closed() -> Self {
        Self { sender: Mutex::new(None) }
    }

    /// Asks for an object. A standby drops the wish: the leader begins with all objects.
    pub(crate) fn ask_for(&self, object: ObjectRef<K>) {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.as_ref().is_some_and(|open| open.send(object).is_err()) {
            *sender = None;
        }
    }

    /// Opens the queue and gives what comes out of it: first every object, then what is asked for.
    pub(crate) fn open(&self, all: Vec<ObjectRef<K>>) -> impl Stream<Item = ObjectRef<K>> + Send + use<K>
    where
        ObjectRef<K>: Send,
    {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        let asked_for = stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|object| (object, receiver))
        });
        stream::iter(all).chain(asked_for)
    }
}

/// The queues of the loops.
pub(crate) struct Queues {
    /// Tenants.
    pub(crate) tenants: Queue<Tenant>,
    /// Tenants' clusters.
    pub(crate) clusters: Queue<TenantCluster>,
    /// Rollouts.
    pub(crate) rollouts: Queue<Rollout>,
}

impl Queues {
    /// Queues that drop what is put into them until they are opened.
    pub(crate) fn closed() -> Self {
        Self { tenants: Queue::closed(), clusters: Queue::closed(), rollouts: Queue::closed() }
    }
}

/// What a watch saw.
pub(crate) enum Change<'a, K> {
    /// The whole list came, at the start or after the watch had broken off.
    All,
    /// An object is new, or was changed.
    Applied {
        /// As it was before, if it was known.
        before: Option<&'a K>,
        /// As it is.
        now: &'a K,
    },
    /// An object is gone.
    Gone(&'a K),
}

/// What a watch may look at and ask for when it decides whom a change concerns.
#[derive(Clone)]
pub(crate) struct Reach {
    /// The stores, already with the change in them.
    pub(crate) stores: Stores,
    /// The queues.
    pub(crate) queues: Arc<Queues>,
}

/// Starts the watches. They run until `stop`, and survive every error of the API server.
pub(crate) fn start(
    client: &Client,
    queues: &Arc<Queues>,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) -> Stores {
    let (fleets, fleets_feed) = feed("fleets");
    let (tenants, tenants_feed) = feed("tenants");
    let (classes, classes_feed) = feed("tenantclasses");
    let (clusters, clusters_feed) = feed("tenantclusters");
    let (baselines, baselines_feed) = feed("baselines");
    let (channels, channels_feed) = feed("versionchannels");
    let (exceptions, exceptions_feed) = feed("controlexceptions");
    let (rollouts, rollouts_feed) = feed("rollouts");
    let (members, members_feed) = feed("rolloutmembers");
    let (approvals, approvals_feed) = feed("approvals");
    let (preferences, preferences_feed) = feed("upgradepreferences");
    let (calendars, calendars_feed) = feed("versioncalendars");
    let (receipts, receipts_feed) = feed("receipts");
    let filled = [
        fleets_feed.filled(),
        tenants_feed.filled(),
        classes_feed.filled(),
        clusters_feed.filled(),
        baselines_feed.filled(),
        channels_feed.filled(),
        exceptions_feed.filled(),
        rollouts_feed.filled(),
        members_feed.filled(),
        approvals_feed.filled(),
        preferences_feed.filled(),
        calendars_feed.filled(),
        receipts_feed.filled(),
    ];
    let stores = Stores {
        fleets,
        tenants,
        classes,
        clusters,
        baselines,
        channels,
        exceptions,
        rollouts,
        members,
        approvals,
        preferences,
        calendars,
        receipts,
        filled: Arc::new(filled),
    };
    let watching = Watching {
        client: client.clone(),
        reach: Reach { stores: stores.clone(), queues: Arc::clone(queues) },
        metrics: Arc::clone(metrics),
        stop: stop.clone(),
    };
    watching.spawn(fleets_feed, triggers::fleet);
    watching.spawn(tenants_feed, triggers::tenant);
    watching.spawn(classes_feed, triggers::class);
    watching.spawn(clusters_feed, triggers::cluster);
    watching.spawn(baselines_feed, triggers::baseline);
    watching.spawn(channels_feed, triggers::channel);
    watching.spawn(exceptions_feed, triggers::exception);
    watching.spawn(rollouts_feed, triggers::rollout);
    watching.spawn(members_feed, triggers::member);
    watching.spawn(approvals_feed, triggers::approval);
    watching.spawn(preferences_feed, triggers::preference);
    watching.spawn(calendars_feed, triggers::calendar);
    watching.spawn_receipts(receipts_feed);
    stores
}

/// The writing end of a store.
struct Feed<K: Resource<DynamicType = ()> + Clone + 'static> {
    kind: &'static str,
    writer: Writer<K>,
    filled: watch::Sender<bool>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Feed<K> {
    fn filled(&self) -> (&'static str, watch::Receiver<bool>) {
        (self.kind, self.filled.subscribe())
    }
}

fn feed<K: Resource<DynamicType = ()> + Clone + 'static>(kind: &'static str) -> (Store<K>, Feed<K>) {
    let writer = Writer::<K>::default();
    (writer.as_reader(), Feed { kind, writer, filled: watch::Sender::new(false) })
}

/// What every watch needs.
struct Watching {
    client: Client,
    reach: Reach,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl Watching {
    /// Watches a kind of ours, in every namespace when it has one.
    ///
    /// An object that does not parse is left out and logged: it must not keep the others from being seen.
    fn spawn<K>(&self, feed: Feed<K>, trigger: fn(&Reach, Change<'_, K>))
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        DeserializeGuard<K>: Resource<DynamicType = ()>,
    {
        let api: Api<DeserializeGuard<K>> = Api::all(self.client.clone());
        let (kind, metrics) = (feed.kind, Arc::clone(&self.metrics));
        let events = watcher::watcher(api, watcher::Config::default())
            .default_backoff()
            .filter_map(move |event| {
                let read = event.map(|event| readable(kind, event, &metrics)).transpose();
                async move { read }
            })
            .boxed();
        self.follow(events, feed, trigger);
    }

    /// Watches the metadata of receipts.
    fn spawn_receipts(&self, feed: Feed<PartialObjectMeta<ConfigMap>>) {
        let api: Api<PartialObjectMeta<ConfigMap>> =
            Api::namespaced(self.client.clone(), labels::SYSTEM_NAMESPACE);
        let config = watcher::Config::default().labels(labels::RECEIPT);
        let events = watcher::watcher(api, config).default_backoff().boxed();
        self.follow(events, feed, triggers::receipt);
    }

    fn follow<K>(
        &self,
        mut events: futures::stream::BoxStream<'static, watcher::Result<Event<K>>>,
        mut feed: Feed<K>,
        trigger: fn(&Reach, Change<'_, K>),
    ) where
        K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    {
        let (reach, metrics, stop) = (self.reach.clone(), Arc::clone(&self.metrics), self.stop.clone());
        tokio::spawn(async move {
            let store = feed.writer.as_reader();
            while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
                let event = match event {
                    Ok(event) => event,
                    Err(error) => {
                        metrics.watch_error(feed.kind);
                        warn!(
                            kind = feed.kind,
                            error = &error as &dyn std::error::Error,
                            "a watch broke off and begins again"
                        );
                        continue;
                    }
                };
                let before = match &event {
                    Event::Apply(now) | Event::Delete(now) => store.get(&ObjectRef::from_obj(now)),
                    Event::Init | Event::InitApply(_) | Event::InitDone => None,
                };
                feed.writer.apply_watcher_event(&event);
                match &event {
                    Event::Apply(now) => trigger(&reach, Change::Applied { before: before.as_deref(), now }),
                    Event::Delete(gone) => trigger(&reach, Change::Gone(gone)),
                    Event::InitDone => {
                        feed.filled.send_replace(true);
                        debug!(kind = feed.kind, objects = store.len(), "the list has come");
                        trigger(&reach, Change::All);
                    }
                    // The store changes only when the whole list has come.
                    Event::Init | Event::InitApply(_) => {}
                }
            }
        });
    }
}

/// The event without its guard; `None` for an object that does not parse.
fn readable<K: Resource<DynamicType = ()>>(
    kind: &'static str,
    event: Event<DeserializeGuard<K>>,
    metrics: &Metrics,
) -> Option<Event<K>> {
    let open = |DeserializeGuard(object): DeserializeGuard<K>| match object {
        Ok(object) => Some(object),
        Err(invalid) => {
            metrics.watch_error(kind);
            let name = invalid.metadata.name.as_deref().unwrap_or_default();
            warn!(kind, name, error = invalid.error, "an object cannot be read and is left out");
            None
        }
    };
    match event {
        Event::Apply(object) => open(object).map(Event::Apply),
        Event::Delete(object) => open(object).map(Event::Delete),
        Event::InitApply(object) => open(object).map(Event::InitApply),
        Event::Init => Some(Event::Init),
        Event::InitDone => Some(Event::InitDone),
    }
}
