//! Kubeconfig texts.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::certificates::Certified;

/// A kubeconfig with one cluster, one user with a client certificate, and one context, all called `name`.
///
/// `name` and `server` must need no quoting in YAML: a control plane's name is checked, a server is an URL.
pub(crate) fn with_certificate(name: &str, server: &str, ca: &str, user: &Certified) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: {name}
clusters:
- name: {name}
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: {name}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: {name}
  context:
    cluster: {name}
    user: {name}
",
        ca = STANDARD.encode(ca),
        certificate = STANDARD.encode(&user.certificate),
        key = STANDARD.encode(&user.key),
    )
}

/// A kubeconfig whose user reads its token from a file, at every request anew.
pub(crate) fn with_token_file(name: &str, server: &str, ca: &str, token_file: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: {name}
clusters:
- name: {name}
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: {name}
  user:
    tokenFile: {token_file}
contexts:
- name: {name}
  context:
    cluster: {name}
    user: {name}
",
        ca = STANDARD.encode(ca),
        token_file = serde_json::Value::from(token_file),
    )
}

/// The kubeconfig-shaped file in which an API server finds a webhook.
pub(crate) fn of_webhook(url: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: webhook
clusters:
- name: webhook
  cluster:
    server: {server}
users:
- name: api-server
  user: {{}}
contexts:
- name: webhook
  context:
    cluster: webhook
    user: api-server
",
        server = serde_json::Value::from(url),
    )
}
