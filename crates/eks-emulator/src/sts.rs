//! The part of STS that a manager of many accounts calls: AssumeRole and GetCallerIdentity.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use crate::{
    eks::Call,
    error::ApiError,
    identity::{CallerKind, unique_id},
    seed::ExternalId,
    state::Session,
    wire::{
        query::Params,
        xml::{Element, node, text},
    },
};

/// The namespace of answers.
pub(crate) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Carries out an action.
pub(crate) fn run(call: &mut Call<'_>, name: &str, params: &Params) -> Result<Element, ApiError> {
    let result = match name {
        "GetCallerIdentity" => caller_identity(call),
        "AssumeRole" => assume_role(call, params)?,
        _ => {
            return Err(ApiError::unknown_operation(format!(
                "Could not find operation {name} for version 2011-06-15"
            )));
        }
    };
    let metadata = node("ResponseMetadata", vec![text("RequestId", call.id())]);
    Ok(node(&format!("{name}Response"), vec![node(&format!("{name}Result"), result), metadata]))
}

fn caller_identity(call: &Call<'_>) -> Vec<Element> {
    vec![
        text("Arn", call.caller.arn()),
        text("UserId", call.caller.user_id()),
        text("Account", &call.caller.account),
    ]
}

fn assume_role(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let need = |name: &str| {
        params.get(name).filter(|value| !value.is_empty()).map(str::to_owned).ok_or_else(|| {
            ApiError::invalid_parameter(format!(
                "1 validation error detected: Value at '{name}' must not be null"
            ))
        })
    };
    let (arn, session_name) = (need("RoleArn")?, need("RoleSessionName")?);
    // Source: model (2 to 64 of these characters).
    let good = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if !(2..=64).contains(&session_name.len()) || !session_name.chars().all(good) {
        return Err(ApiError::invalid_parameter("Value at 'roleSessionName' failed to satisfy constraint"));
    }
    let chained = matches!(call.caller.kind, CallerKind::Role { .. });
    let seconds = duration(params, chained)?;
    check_trust(call, params, &arn)?;
    let (account, role) = arn
        .strip_prefix("arn:aws:iam::")
        .and_then(|rest| rest.split_once(":role/"))
        .ok_or_else(|| ApiError::invalid_parameter(format!("{arn} is invalid")))?;
    let id = |call: &mut Call<'_>| call.id().simple().to_string().to_ascii_uppercase();
    let access_key = format!("ASIA{}", &id(call)[..16]);
    let session = Session {
        secret: format!("{}{}", id(call), &id(call)[..8]),
        token: format!("emulated-{}{}", id(call), id(call)),
        account: account.to_owned(),
        role: role.to_owned(),
        session_name: session_name.clone(),
        expires_at: call
            .machine_now
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX),
    };
    let answer = vec![
        node(
            "Credentials",
            vec![
                text("AccessKeyId", &access_key),
                text("SecretAccessKey", &session.secret),
                text("SessionToken", &session.token),
                text("Expiration", session.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")),
            ],
        ),
        node(
            "AssumedRoleUser",
            vec![
                text("AssumedRoleId", format!("{}:{session_name}", unique_id("AROA", account, role))),
                text("Arn", format!("arn:aws:sts::{account}:assumed-role/{role}/{session_name}")),
            ],
        ),
    ];
    call.state.shared_mut().sessions.insert(access_key, session);
    Ok(answer)
}

/// Source: docs (15 minutes to 12 hours; one hour when a role assumes a role).
fn duration(params: &Params, chained: bool) -> Result<i64, ApiError> {
    let seconds = match params.get("DurationSeconds") {
        None => 3600,
        Some(text) => {
            text.parse().map_err(|_| ApiError::invalid_parameter("DurationSeconds is not a number"))?
        }
    };
    let longest = if chained { 3600 } else { 43_200 };
    match (900..=longest).contains(&seconds) {
        true => Ok(seconds),
        false if chained && seconds > longest => Err(ApiError::invalid_parameter(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        )),
        false => Err(ApiError::invalid_parameter(format!(
            "Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: 900 to {longest}"
        ))),
    }
}

/// A role that does not exist, does not trust the caller, or demands another external id is refused in the same words,
/// so that nobody learns which. Source: docs.
fn check_trust(call: &Call<'_>, params: &Params, arn: &str) -> Result<(), ApiError> {
    let given = params.get("ExternalId");
    let trusted = call.seed.role(arn).is_some_and(|role| {
        let external_id = match &role.external_id {
            ExternalId::Ignored => true,
            ExternalId::Demanded => given.is_some_and(|id| id.len() >= 2),
            ExternalId::OneOf(ids) => given.is_some_and(|id| ids.contains(id)),
        };
        external_id && role.trusted_principals.contains(&call.caller.principal_arn())
    });
    match trusted {
        true => Ok(()),
        false => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "AccessDeniedException",
            format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                call.caller.arn()
            ),
        )),
    }
}
