//! The part of IAM that checks whether a role exists: GetRole.

use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::{
    eks::Call,
    error::ApiError,
    identity::unique_id,
    wire::{
        query::Params,
        xml::{Element, node, text},
    },
};

/// The namespace of answers.
pub(crate) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// Carries out an action.
pub(crate) fn run(call: &mut Call<'_>, name: &str, params: &Params) -> Result<Element, ApiError> {
    if name != "GetRole" {
        return Err(ApiError::unknown_operation(format!(
            "Could not find operation {name} for version 2010-05-08"
        )));
    }
    let role_name = params.get("RoleName").unwrap_or_default();
    let arn = format!("arn:aws:iam::{}:role/{role_name}", call.caller.account);
    let Some(role) = call.seed.role(&arn) else {
        // Source: docs.
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "NoSuchEntity",
            format!("The role with name {role_name} cannot be found."),
        ));
    };
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": role.trusted_services, "AWS": role.trusted_principals },
            "Action": "sts:AssumeRole",
        }],
    });
    let shown = node(
        "Role",
        vec![
            text("Path", "/"),
            text("RoleName", role_name),
            text("RoleId", unique_id("AROA", &call.caller.account, role_name)),
            text("Arn", &arn),
            text("CreateDate", "2026-01-01T00:00:00Z"),
            text("AssumeRolePolicyDocument", utf8_percent_encode(&trust.to_string(), NON_ALPHANUMERIC)),
            text("MaxSessionDuration", 3600),
        ],
    );
    let metadata = node("ResponseMetadata", vec![text("RequestId", call.id())]);
    Ok(node("GetRoleResponse", vec![node("GetRoleResult", vec![shown]), metadata]))
}
