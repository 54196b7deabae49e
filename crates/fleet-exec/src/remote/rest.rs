//! The verbs of the Kubernetes API on untyped objects.
//!
//! A tenant's API server is not trusted to answer with what was asked for, so nothing is decoded into types here:
//! an object is JSON, and whoever reads it asks for one field at a time.

use bytes::Bytes;
use fleet_render::Persona;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use kube::core::{ApiResource, GroupVersionKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{BoundedBody, Fault, Remote, retry_after};

/// How many objects one page of a list holds.
const PAGE: usize = 100;
/// How many pages a list has at most. A tenant's API server that goes on for ever is cut off.
const PAGES: usize = 100;
/// How many bytes the pages have together at most of which anything is kept.
const KEPT: usize = 64 * 1024 * 1024;

/// What stays as it is in a path or a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// A kind, and where its objects are found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// Group and version, such as `networking.k8s.io/v1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The plural, as paths have it.
    pub plural: String,
}

impl Resource {
    /// A kind with its plural by the rules of English, which hold for every kind of Kubernetes itself.
    pub fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let plural = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind)).plural;
        Self { api_version: api_version.to_owned(), kind: kind.to_owned(), plural }
    }

    /// The path of a collection, or of an object when there is a name.
    pub(crate) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let root = if self.api_version.contains('/') { "apis" } else { "api" };
        let mut path = format!("/{root}/{}", self.api_version);
        if let Some(namespace) = namespace {
            path.push_str("/namespaces/");
            path.push_str(&encode(namespace));
        }
        path.push('/');
        path.push_str(&encode(&self.plural));
        if let Some(name) = name {
            path.push('/');
            path.push_str(&encode(name));
        }
        path
    }
}

/// One list, read to its end, with the objects that were kept.
#[derive(Debug, Clone, Default)]
pub struct ListPage {
    /// The version to watch from.
    pub resource_version: String,
    /// The objects. Nothing is known of their shape.
    pub items: Vec<Value>,
}

/// How a write is sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Writing<'a> {
    pub(crate) manager: Option<&'a str>,
    pub(crate) dry_run: bool,
    pub(crate) force: bool,
    pub(crate) persona: Option<&'a Persona>,
}

impl Writing<'_> {
    fn query(&self) -> String {
        let mut pairs = Vec::new();
        if self.dry_run {
            pairs.push("dryRun=All".to_owned());
        }
        if let Some(manager) = self.manager {
            pairs.push(format!("fieldManager={}", encode(manager)));
        }
        if self.force {
            pairs.push("force=true".to_owned());
        }
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

/// Which object a request is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
}

impl Place<'_> {
    fn path(&self) -> String {
        self.resource.path(self.namespace, Some(self.name))
    }
}

impl Remote {
    /// Reads an object.
    pub(crate) async fn get(&self, place: Place<'_>, persona: Option<&Persona>) -> Result<Value, Fault> {
        self.exchange(Method::GET, &place.path(), "application/json", None, persona).await
    }

    /// Lists the objects of a kind in all namespaces, page by page, and holds on to those that `keep` says: a tenant
    /// may have any number of others.
    pub(crate) async fn list(
        &self,
        resource: &Resource,
        selector: Option<&str>,
        keep: impl Fn(&Value) -> bool,
    ) -> Result<ListPage, Fault> {
        let mut whole = ListPage::default();
        let mut from: Option<String> = None;
        let mut kept = 0_usize;
        for _ in 0..PAGES {
            let mut path = format!("{}?limit={PAGE}", resource.path(None, None));
            if let Some(selector) = selector {
                path.push_str(&format!("&labelSelector={}", encode(selector)));
            }
            if let Some(from) = &from {
                path.push_str(&format!("&continue={}", encode(from)));
            }
            let (mut page, bytes) =
                self.exchange_sized(Method::GET, &path, "application/json", None, None).await?;
            let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) else {
                return Err(Fault::garbage(format!("the list of {} has no items", resource.plural)));
            };
            let before = whole.items.len();
            whole.items.extend(items.into_iter().filter(&keep));
            kept += if whole.items.len() > before { bytes } else { 0 };
            if kept > KEPT {
                return Err(Fault::garbage(format!("there are too many {} to look at", resource.plural)));
            }
            let metadata = |field: &str| page.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
            whole.resource_version = metadata("resourceVersion").unwrap_or_default().to_owned();
            match metadata("continue") {
                Some(next) if !next.is_empty() => from = Some(next.to_owned()),
                _ => return Ok(whole),
            }
        }
        Err(Fault::garbage(format!("the list of {} does not end", resource.plural)))
    }

    /// Begins a watch of the metadata of a kind's objects. The caller reads lines.
    pub(crate) async fn watch(
        &self,
        resource: &Resource,
        selector: &str,
        from: &str,
        seconds: u64,
    ) -> Result<BoundedBody, Fault> {
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={}&labelSelector={}",
            resource.path(None, None),
            encode(from),
            encode(selector)
        );
        let request = Request::builder()
            .method(Method::GET)
            .uri(path)
            .header(header::ACCEPT, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
            .body(Bytes::new())
            .map_err(Fault::garbage)?;
        let response = self.send(request).await?;
        if response.status().is_success() {
            Ok(response.into_body())
        } else {
            Err(read_fault(response).await)
        }
    }

    /// Creates an object.
    pub(crate) async fn create(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        object: &Value,
        how: Writing<'_>,
    ) -> Result<Value, Fault> {
        let path = format!("{}{}", resource.path(namespace, None), how.query());
        self.exchange(Method::POST, &path, "application/json", Some(object), how.persona).await
    }

    /// Changes an object, or makes it, by a patch of the given media type.
    pub(crate) async fn patch(
        &self,
        place: Place<'_>,
        media: &'static str,
        patch: &Value,
        how: Writing<'_>,
    ) -> Result<Value, Fault> {
        let path = format!("{}{}", place.path(), how.query());
        self.exchange(Method::PATCH, &path, media, Some(patch), how.persona).await
    }

    /// Replaces an object.
    pub(crate) async fn replace(
        &self,
        place: Place<'_>,
        object: &Value,
        how: Writing<'_>,
    ) -> Result<Value, Fault> {
        let path = format!("{}{}", place.path(), how.query());
        self.exchange(Method::PUT, &path, "application/json", Some(object), how.persona).await
    }

    /// Deletes an object, if it still has the UID when one is given.
    pub(crate) async fn delete(
        &self,
        place: Place<'_>,
        uid: Option<&str>,
        how: Writing<'_>,
    ) -> Result<Value, Fault> {
        let path = format!("{}{}", place.path(), how.query());
        let mut options =
            json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background" });
        if let Some(uid) = uid {
            options["preconditions"] = json!({ "uid": uid });
        }
        if how.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        self.exchange(Method::DELETE, &path, "application/json", Some(&options), how.persona).await
    }

    /// One request and its answer as JSON.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        media: &'static str,
        body: Option<&Value>,
        persona: Option<&Persona>,
    ) -> Result<Value, Fault> {
        Ok(self.exchange_sized(method, path, media, body, persona).await?.0)
    }

    /// The same, with the bytes that the answer had.
    async fn exchange_sized(
        &self,
        method: Method,
        path: &str,
        media: &'static str,
        body: Option<&Value>,
        persona: Option<&Persona>,
    ) -> Result<(Value, usize), Fault> {
        let mut request =
            Request::builder().method(method).uri(path).header(header::ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, media);
        }
        if let Some(persona) = persona.filter(|persona| !persona.is_platform()) {
            request = request.header("Impersonate-User", &persona.user);
            for group in &persona.groups {
                request = request.header("Impersonate-Group", group);
            }
        }
        let bytes = match body {
            Some(body) => Bytes::from(serde_json::to_vec(body).map_err(Fault::garbage)?),
            None => Bytes::new(),
        };
        let response = self.send(request.body(bytes).map_err(Fault::garbage)?).await?;
        if !response.status().is_success() {
            return Err(read_fault(response).await);
        }
        let body = response.into_body().collect().await?.to_bytes();
        match serde_json::from_slice(&body) {
            Ok(value @ Value::Object(_)) => Ok((value, body.len())),
            Ok(_) => Err(Fault::garbage("a JSON value that is no object")),
            Err(error) => Err(Fault::garbage(error)),
        }
    }
}

/// What an answer with an error status means; the body may be anything, and as long as the limits allow.
async fn read_fault(response: http::Response<BoundedBody>) -> Fault {
    let (parts, body) = response.into_parts();
    match body.read().await {
        Ok(bytes) => Fault::answer(parts.status.as_u16(), retry_after(&parts.headers), &bytes),
        Err(fault) => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_api_conventions_and_hold_no_foreign_text() {
        let policy = Resource::new("networking.k8s.io/v1", "NetworkPolicy");
        assert_eq!(
            policy.path(Some("acme"), Some("default-deny")),
            "/apis/networking.k8s.io/v1/namespaces/acme/networkpolicies/default-deny"
        );
        let role = Resource::new("rbac.authorization.k8s.io/v1", "ClusterRole");
        assert_eq!(
            role.path(None, Some("tenantfleet.dev:admin")),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/tenantfleet.dev:admin"
        );
        let namespace = Resource::new("v1", "Namespace");
        assert_eq!(namespace.path(None, Some("../a?b#c")), "/api/v1/namespaces/..%2Fa%3Fb%23c");
        for (api_version, kind, plural) in [
            ("v1", "ResourceQuota", "resourcequotas"),
            ("v1", "LimitRange", "limitranges"),
            (
                "admissionregistration.k8s.io/v1",
                "ValidatingAdmissionPolicyBinding",
                "validatingadmissionpolicybindings",
            ),
            ("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses"),
            ("storage.k8s.io/v1", "StorageClass", "storageclasses"),
            ("networking.k8s.io/v1", "Ingress", "ingresses"),
        ] {
            assert_eq!(Resource::new(api_version, kind).plural, plural);
        }
    }
}
