//! What is read from and written to the management cluster, by the controller and by the command line.

mod apply;
mod inventory;
mod receipts;

pub use apply::{Applied, ApplyOptions, Change, apply, apply_all, delete};
pub use inventory::{Inventory, Unreadable, inventory};
pub use receipts::{read_receipts, write_receipt};

use kube::{
    Client,
    api::{Api, DynamicObject, ListParams},
    core::{ApiResource, GroupVersionKind},
};

/// A request to the management cluster that failed.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A list could not be read.
    #[error("cannot list {plural}")]
    List {
        /// The kind, plural.
        plural: String,
        /// What happened.
        #[source]
        source: kube::Error,
    },
    /// A list does not end.
    #[error("the list of {plural} does not end")]
    Endless {
        /// The kind, plural.
        plural: String,
    },
    /// An object could not be written.
    #[error("cannot apply {kind} {name}")]
    Apply {
        /// The kind.
        kind: String,
        /// The name.
        name: String,
        /// What happened.
        #[source]
        source: kube::Error,
    },
    /// An object could not be deleted.
    #[error("cannot delete {kind} {name}")]
    Delete {
        /// The kind.
        kind: String,
        /// The name.
        name: String,
        /// What happened.
        #[source]
        source: kube::Error,
    },
    /// Something that was to be written is no object.
    #[error("{what} is no Kubernetes object: it has no {missing}")]
    NoObject {
        /// What it is.
        what: String,
        /// What it lacks.
        missing: &'static str,
    },
    /// A receipt cannot be written as JSON.
    #[error("the receipt of {cluster} cannot be written")]
    Receipt {
        /// The cluster.
        cluster: String,
        /// What happened.
        #[source]
        source: serde_json::Error,
    },
}

/// How many objects one page of a list holds.
const PAGE: u32 = 500;
/// How many pages a list has at most.
const PAGES: usize = 1_000;

/// Lists all objects of a kind, page by page.
async fn list_all(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<DynamicObject>, HubError> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector = selector.map(str::to_owned);
    let plural = || resource.plural.clone();
    let mut all = Vec::new();
    for _ in 0..PAGES {
        let page = api.list(&params).await.map_err(|source| HubError::List { plural: plural(), source })?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(all),
        }
    }
    Err(HubError::Endless { plural: plural() })
}

fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}
