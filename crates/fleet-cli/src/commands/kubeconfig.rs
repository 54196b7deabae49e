//! `fleet kubeconfig TENANT`: a kubeconfig without any secret. `fleet token` makes the credentials when kubectl
//! asks for them.

use fleet_api::v1alpha1::TenantCluster;
use serde_json::{Value, json};

use crate::{
    error::{CliError, Exit, Result},
    printer::yaml,
    session::Session,
};

pub(crate) async fn run(session: &Session, name: &str, role_arn: Option<&str>) -> Result<Exit> {
    let hub = session.hub().await?;
    hub.tenant(name).await?;
    let cluster = hub.cluster_of(name).await?;
    let not_yet = || {
        CliError::no(format!("the cluster of tenant `{name}` cannot be entered yet"))
            .hint(format!("see what it waits for with `fleet why {name}`"))
    };
    let cluster = cluster.ok_or_else(not_yet)?;
    // The sandbox's cloud is the emulator, and its operator's keys open nothing else.
    let environment: Vec<(&str, String)> = match &hub.sandbox {
        Some(sandbox) => sandbox.variables().into_iter().filter(|(name, _)| *name != "KUBECONFIG").collect(),
        None => Vec::new(),
    };
    let program =
        std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_else(|_| "fleet".to_owned());
    let kubeconfig = kubeconfig(&cluster, role_arn, &program, &environment).ok_or_else(not_yet)?;
    if role_arn.is_none() {
        let may_enter = principals(&cluster);
        if !may_enter.is_empty() {
            session.printer.note(&format!(
                "you enter as whoever your AWS credentials are; with `--role-arn` as one of:\n  {}",
                may_enter.join("\n  ")
            ));
        }
    }
    session.printer.data(&yaml(&kubeconfig)?)?;
    Ok(Exit::Done)
}

/// Who may enter by the cluster's spec.
fn principals(cluster: &TenantCluster) -> Vec<String> {
    let eks = cluster.spec.eks.iter();
    let platform =
        eks.flat_map(|eks| &eks.platform_access).map(|access| format!("{} (platform)", access.principal_arn));
    let tenant = cluster.spec.hardening.access.iter().filter_map(|grant| {
        grant.principal_arn.as_ref().map(|arn| format!("{arn} ({} as {})", grant.group, grant.role.as_str()))
    });
    platform.chain(tenant).collect()
}

/// The kubeconfig; `None` while the cluster has no address.
fn kubeconfig(
    cluster: &TenantCluster,
    role_arn: Option<&str>,
    program: &str,
    environment: &[(&str, String)],
) -> Option<Value> {
    let status = cluster.status.as_ref()?;
    let (endpoint, ca) = (status.endpoint.as_ref()?, status.certificate_authority.as_ref()?);
    let region = &cluster.spec.eks.as_ref()?.region;
    let name = &cluster.spec.tenant;
    let mut arguments = vec!["token", "--cluster-name", &cluster.spec.cluster_name, "--region", region];
    if let Some(arn) = role_arn {
        arguments.extend(["--role-arn", arn]);
    }
    let mut exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": program,
        "args": arguments,
        "interactiveMode": "Never",
        "provideClusterInfo": false,
        "installHint": "install `fleet`, which makes the short-lived credentials of this cluster",
    });
    if !environment.is_empty()
        && let Some(fields) = exec.as_object_mut()
    {
        let variables: Vec<Value> =
            environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        fields.insert("env".to_owned(), Value::Array(variables));
    }
    Some(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": ca}}],
        "users": [{"name": name, "user": {"exec": exec}}],
        "contexts": [{"name": name, "context": {
            "cluster": name,
            "user": name,
            "namespace": cluster.spec.hardening.namespaces.first(),
        }}],
        "current-context": name,
    }))
}
