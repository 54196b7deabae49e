//! `fleet delete TENANT`: says what will go, asks for the name, and leaves a receipt.

use fleet_api::{
    labels,
    v1alpha1::{Tenant, TenantCluster},
};
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use serde::Serialize;

use super::{
    confirm::answered,
    receipt,
    wait::{Goal, wait},
};
use crate::{
    cli::{Format, Wait},
    error::{CliError, Exit, Result},
    hub::{Hub, failed},
    output::Document,
    session::Session,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Deletion<'a> {
    tenant: &'a str,
    requested: bool,
}

pub(crate) async fn run(
    session: &Session,
    name: &str,
    confirm: Option<&str>,
    waiting: Wait,
    format: Format,
) -> Result<Exit> {
    let hub = session.hub().await?;
    let tenant = hub.tenant(name).await?;
    let cluster = hub.cluster_of(name).await?;
    if tenant.metadata.deletion_timestamp.is_none() {
        session.printer.note(&what_goes(&tenant, cluster.as_ref()));
        confirmed(name, confirm)?;
        delete(&hub, name, &tenant).await?;
        session.printer.note(&format!("tenant {name} is being deleted"));
    } else {
        session.printer.note(&format!("tenant {name} is being deleted already"));
    }
    if !waiting.wait {
        let document = Document::new("Deletion", Deletion { tenant: name, requested: true });
        session.printer.value(
            format,
            &document,
            |_| format!("tenant/{name} deletion requested"),
            || vec![format!("tenant/{name}")],
        )?;
        session.printer.note(&format!(
            "see how far it is with `fleet why {name}`; `fleet receipt {name}` has the receipt afterwards"
        ));
        return Ok(Exit::Done);
    }
    wait(session, &hub, &[name.to_owned()], Goal::Gone, waiting.timeout).await?;
    let uid = tenant.metadata.uid.unwrap_or_default();
    let receipts = receipt::read(&hub, Some(name)).await?;
    match receipts.into_iter().rfind(|receipt| receipt.tenant_uid == uid) {
        Some(found) => {
            receipt::print(session, &found, format)?;
            // EKS itself keeps the logs of a cluster: something remains of most, and that is no failure.
            match found.remaining.len() {
                0 => {}
                1 => session.printer.note("one thing remains, and the receipt says why"),
                more => session.printer.note(&format!("{more} things remain, and the receipt says why")),
            }
            Ok(Exit::Done)
        }
        // A tenant that never had a cluster leaves nothing to list.
        None => {
            session
                .printer
                .note(&format!("tenant {name} is gone; it had no cluster, so there is no receipt"));
            Ok(Exit::Done)
        }
    }
}

fn what_goes(tenant: &Tenant, cluster: Option<&TenantCluster>) -> String {
    let name = tenant.metadata.name.as_deref().unwrap_or_default();
    let mut lines =
        vec![format!("deleting tenant {name} ({}, {})", tenant.spec.owner.team, tenant.spec.owner.contact)];
    match cluster {
        None => lines.push("  it has no cluster yet".to_owned()),
        Some(cluster) => {
            let status = cluster.status.clone().unwrap_or_default();
            let place =
                cluster.spec.eks.as_ref().map(|eks| format!(" in account {}, {}", eks.account, eks.region));
            lines.push(format!("  cluster {}{}", cluster.spec.cluster_name, place.unwrap_or_default()));
            lines.push(format!(
                "  with every workload, load balancer and volume of namespaces {}",
                cluster.spec.hardening.namespaces.join(", ")
            ));
            for (noun, parts) in [("node group", &status.versions.nodes), ("add-on", &status.versions.addons)]
            {
                for part in parts {
                    lines.push(format!("  {noun} {}", part.name));
                }
            }
            if cluster.spec.eks.as_ref().is_some_and(|eks| eks.deletion_protection) {
                lines.push("  its class protects it from deletion; your confirmation lifts that".to_owned());
            }
        }
    }
    lines.push("this cannot be undone".to_owned());
    lines.join("\n")
}

/// The name, given or typed, and nothing less: `y` is typed without reading.
fn confirmed(name: &str, confirm: Option<&str>) -> Result<()> {
    let refused = |typed: &str| {
        Err(CliError::usage(format!("`{typed}` is not the name of the tenant, so nothing was deleted"))
            .hint(format!("confirm with `--confirm {name}`")))
    };
    if let Some(typed) = confirm {
        return if typed == name { Ok(()) } else { refused(typed) };
    }
    let typed = answered("type the name of the tenant to delete it: ", || {
        CliError::usage("a deletion has to be confirmed, and nobody can be asked here")
            .hint(format!("confirm with `--confirm {name}`"))
    })?;
    if typed == name { Ok(()) } else { refused(&typed) }
}

async fn delete(hub: &Hub, name: &str, tenant: &Tenant) -> Result<()> {
    let tenants: Api<Tenant> = Api::all(hub.client.clone());
    // The confirmation is stored before the deletion: the controller reads it when it comes to the protection.
    let annotation = serde_json::json!({
        "metadata": {"uid": tenant.metadata.uid, "annotations": {labels::CONFIRM_DELETION: name}},
    });
    let params =
        PatchParams { field_manager: Some(labels::CLI_MANAGER.to_owned()), ..PatchParams::default() };
    tenants
        .patch(name, &params, &Patch::Merge(&annotation))
        .await
        .map_err(|error| failed(&format!("the deletion of tenant `{name}` cannot be confirmed"), &error))?;
    // A tenant of the same name that was made in between was not the one that was shown.
    let params = DeleteParams::background()
        .preconditions(Preconditions { uid: tenant.metadata.uid.clone(), resource_version: None });
    match tenants.delete(name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(failed(&format!("tenant `{name}` cannot be deleted"), &error)),
    }
}
