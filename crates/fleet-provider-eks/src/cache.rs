//! What seldom or never changes, kept per account and region so that a steady fleet costs few calls.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fleet_api::eks::{AddonOffer, EksVersionOffer};
use tokio::time::Instant;

use crate::launch_template::TemplateVersion;

/// How long a list of offers is believed. EKS adds a version every few weeks.
const OFFERS_LAST: Duration = Duration::from_secs(10 * 60);
/// How many finished updates are remembered for one cluster.
const FINISHED_UPDATES: usize = 200;

/// The cache of one account and region.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    versions: Option<(Instant, Vec<EksVersionOffer>)>,
    addons: HashMap<String, (Instant, Vec<AddonOffer>)>,
    /// By cluster: updates that are over. They never change again.
    finished: HashMap<String, BTreeSet<String>>,
    /// By template id and version: what the version holds. It never changes.
    templates: HashMap<(String, String), TemplateVersion>,
}

impl Cache {
    pub(crate) fn versions(&self) -> Option<Vec<EksVersionOffer>> {
        self.lock().versions.as_ref().filter(|(at, _)| at.elapsed() < OFFERS_LAST).map(|(_, it)| it.clone())
    }

    pub(crate) fn keep_versions(&self, versions: &[EksVersionOffer]) {
        self.lock().versions = Some((Instant::now(), versions.to_vec()));
    }

    pub(crate) fn addon(&self, name: &str) -> Option<Vec<AddonOffer>> {
        self.lock()
            .addons
            .get(name)
            .filter(|(at, _)| at.elapsed() < OFFERS_LAST)
            .map(|(_, offers)| offers.clone())
    }

    pub(crate) fn keep_addon(&self, name: &str, offers: &[AddonOffer]) {
        self.lock().addons.insert(name.to_owned(), (Instant::now(), offers.to_vec()));
    }

    pub(crate) fn is_finished(&self, cluster: &str, update: &str) -> bool {
        self.lock().finished.get(cluster).is_some_and(|updates| updates.contains(update))
    }

    pub(crate) fn keep_finished(&self, cluster: &str, update: &str) {
        let mut inner = self.lock();
        let updates = inner.finished.entry(cluster.to_owned()).or_default();
        if updates.len() >= FINISHED_UPDATES {
            updates.clear();
        }
        updates.insert(update.to_owned());
    }

    /// Forgets a cluster that is gone.
    pub(crate) fn forget(&self, cluster: &str) {
        self.lock().finished.remove(cluster);
    }

    pub(crate) fn template(&self, id: &str, version: &str) -> Option<TemplateVersion> {
        self.lock().templates.get(&(id.to_owned(), version.to_owned())).cloned()
    }

    pub(crate) fn keep_template(&self, id: &str, version: &str, content: TemplateVersion) {
        let mut inner = self.lock();
        inner.templates.retain(|(other, _), _| other != id);
        inner.templates.insert((id.to_owned(), version.to_owned()), content);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
