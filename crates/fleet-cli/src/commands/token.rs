//! `fleet token`: the credential plugin that kubeconfigs of `fleet kubeconfig` call.

use fleet_provider_eks::{Endpoints, Role, ambient, mint_token};
use serde_json::json;

use crate::{
    error::{CliError, Exit, Result},
    printer::json,
    session::Session,
};

pub(crate) async fn run(
    session: &Session,
    cluster_name: &str,
    region: &str,
    role_arn: Option<&str>,
) -> Result<Exit> {
    let role = role_arn.map(|arn| Role {
        arn: arn.to_owned(),
        external_id: None,
        session_name: "fleet-cli".to_owned(),
    });
    let credentials = ambient(region, role.as_ref()).await.map_err(|error| {
        CliError::usage(format!("no AWS credentials to enter cluster {cluster_name} with"))
            .because(error)
            .hint("log in to AWS first: `aws sts get-caller-identity` must name you")
            .hint("to enter as a role, name one that trusts you with `--role-arn`")
    })?;
    // The server must send the signed request to the place that it was signed for.
    let given = std::env::var("AWS_ENDPOINT_URL_STS").or_else(|_| std::env::var("AWS_ENDPOINT_URL")).ok();
    let endpoints = Endpoints::new(region, given.as_deref());
    let token = mint_token(&credentials, &endpoints, cluster_name, session.now())
        .map_err(|error| CliError::remote("no token could be made").because(error))?;
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "token": token.secret,
            "expirationTimestamp": format!("{:.0}", token.expires_at),
        },
    });
    session.printer.data(&json(&credential)?)?;
    Ok(Exit::Done)
}
