//! A real API server, and the few requests that the tests send to it.

use std::time::Duration;

use fleet_render::{Attempt, Bundle, Expect, Persona, Phase, Probe};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use local_control_plane::{Minor, test_support::TestControlPlane};
use serde_json::{Value, json};

/// A control plane with its controllers, and an administrator's client.
pub(crate) struct Server {
    pub(crate) client: Client,
    // Dropped last: the client's connections go before the server.
    _control_plane: TestControlPlane,
}

/// What a server said to a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Allowed(Value),
    Refused { code: u16, message: String },
}

impl Answer {
    pub(crate) fn refusal(&self) -> &str {
        match self {
            Self::Allowed(_) => "",
            Self::Refused { message, .. } => message,
        }
    }

    pub(crate) fn expect_allowed(self, what: &str) -> Value {
        match self {
            Self::Allowed(value) => value,
            Self::Refused { code, message } => panic!("{what}: {code} {message}"),
        }
    }
}

impl Server {
    pub(crate) async fn start(minor: Minor) -> Self {
        let control_plane = TestControlPlane::start(minor).await.unwrap();
        let kubeconfig = Kubeconfig::from_yaml(&control_plane.control_plane.admin_kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Self { client: Client::try_from(config).unwrap(), _control_plane: control_plane }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: &Value,
        persona: &Persona,
    ) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path).header("content-type", media);
        if !persona.is_platform() {
            request = request.header("impersonate-user", &persona.user);
            for group in &persona.groups {
                request = request.header("impersonate-group", group);
            }
        }
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        match self.client.request::<Value>(request.body(body).unwrap()).await {
            Ok(value) => Answer::Allowed(value),
            Err(kube::Error::Api(status)) => {
                Answer::Refused { code: status.code, message: status.message.clone() }
            }
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    pub(crate) async fn get(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Value {
        let path = path(api_version, kind, namespace, Some(name));
        self.send("GET", &path, "application/json", &Value::Null, &platform()).await.expect_allowed(&path)
    }

    /// Creates an object, for good.
    pub(crate) async fn create(&self, object: &Value, persona: &Persona) -> Answer {
        let path = path_of(object, false);
        self.send("POST", &path, "application/json", object, persona).await
    }

    /// Creates an object, for good, and gives back what the server warns of.
    pub(crate) async fn warnings(&self, object: &Value, persona: &Persona) -> Vec<String> {
        let mut request =
            http::Request::post(path_of(object, false)).header("content-type", "application/json");
        request = request.header("impersonate-user", &persona.user);
        for group in &persona.groups {
            request = request.header("impersonate-group", group);
        }
        let request = request.body(kube::client::Body::from(object.to_string().into_bytes())).unwrap();
        let response = self.client.send(request).await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        let warnings = response.headers().get_all("warning");
        warnings.iter().map(|warning| String::from_utf8_lossy(warning.as_bytes()).into_owned()).collect()
    }

    pub(crate) async fn apply(&self, object: &Value) -> Value {
        let path = format!("{}?fieldManager=fleet-baseline&force=true", path_of(object, true));
        self.send("PATCH", &path, "application/apply-patch+yaml", object, &platform())
            .await
            .expect_allowed(&path)
    }

    /// Applies the bundle but for the tenant's own access, in order and with the waits of a first apply.
    pub(crate) async fn harden(&self, bundle: &Bundle) {
        for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::TenantAccess) {
            for object in bundle.phase(phase) {
                self.apply(&object.value).await;
            }
            if phase == Phase::Admission {
                for marker in &bundle.markers {
                    self.until(&marker.id, async || self.judge(marker).await).await;
                }
            }
        }
        for object in bundle.objects.iter().filter(|object| object.kind == "ResourceQuota") {
            self.until("the quota counts", async || {
                let quota = self.get("v1", "ResourceQuota", object.namespace.as_deref(), &object.name).await;
                match quota.pointer("/status/hard") == quota.pointer("/spec/hard") {
                    true => Ok(()),
                    false => Err(quota.to_string()),
                }
            })
            .await;
        }
    }

    /// Awaits a condition; gives up after half a minute with what was seen last.
    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn() -> Result<(), String>) {
        let mut last = String::new();
        for _ in 0..300 {
            match condition().await {
                Ok(()) => return,
                Err(seen) => last = seen,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what} did not come about: {last}");
    }

    /// Whether a probe's answer is the expected one; else what the server said.
    pub(crate) async fn judge(&self, probe: &Probe) -> Result<(), String> {
        let answer = match &probe.attempt {
            Attempt::NotShowable { .. } => return Ok(()),
            Attempt::Create { object } => {
                let path = format!("{}?dryRun=All", path_of(object, false));
                self.send("POST", &path, "application/json", object, &probe.persona).await
            }
            Attempt::Patch { api_version, kind, namespace, name, patch } => {
                let path =
                    format!("{}?dryRun=All", path(api_version, kind, namespace.as_deref(), Some(name)));
                self.send("PATCH", &path, "application/merge-patch+json", patch, &probe.persona).await
            }
            Attempt::Delete { api_version, kind, namespace, name } => {
                let path =
                    format!("{}?dryRun=All", path(api_version, kind, namespace.as_deref(), Some(name)));
                self.send("DELETE", &path, "application/json", &Value::Null, &probe.persona).await
            }
            Attempt::Access { verb, group, resource, subresource, namespace, name } => {
                let review = json!({
                    "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                    "spec": { "resourceAttributes": {
                        "verb": verb, "group": group, "resource": resource, "subresource": subresource,
                        "namespace": namespace, "name": name,
                    } },
                });
                let answer = self.create(&review, &probe.persona).await.expect_allowed(&probe.id);
                match answer.pointer("/status/allowed") == Some(&Value::Bool(true)) {
                    true => Answer::Allowed(answer),
                    false => Answer::Refused { code: 403, message: "no".to_owned() },
                }
            }
            Attempt::Inspect { api_version, kind, namespace, name, checks } => {
                let object = self.get(api_version, kind, namespace.as_deref(), name).await;
                return match checks.iter().find(|check| !check.holds(&object)) {
                    None => Ok(()),
                    Some(check) => Err(format!("{}: {check:?} in {object}", probe.id)),
                };
            }
        };
        let (kept, words) = match (&answer, &probe.expect) {
            (Answer::Allowed(_), Expect::Allowed) => return Ok(()),
            (Answer::Refused { message, .. }, Expect::Denied { by }) => {
                (message.contains(by.as_str()), by.as_str())
            }
            _ => (false, "the opposite"),
        };
        if kept { Ok(()) } else { Err(format!("{} expected {words}, got {answer:?}", probe.id)) }
    }
}

pub(crate) fn platform() -> Persona {
    Persona { user: String::new(), groups: Vec::new() }
}

pub(crate) fn path_of(object: &Value, named: bool) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let name = text("/metadata/name").filter(|_| named);
    path(text("/apiVersion").unwrap(), text("/kind").unwrap(), text("/metadata/namespace"), name)
}

pub(crate) fn path(api_version: &str, kind: &str, namespace: Option<&str>, name: Option<&str>) -> String {
    let root = if api_version.contains('/') { "/apis" } else { "/api" };
    let plural = match kind {
        "NetworkPolicy" => "networkpolicies".to_owned(),
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    };
    let namespace = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
    let name = name.map(|name| format!("/{name}")).unwrap_or_default();
    format!("{root}/{api_version}{namespace}/{plural}{name}")
}
