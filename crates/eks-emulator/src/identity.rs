//! Who calls: the access key's principal, after its signature was found good.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    seed::{Principal, Seed, allows},
    sigv4::{SignatureFault, Signed},
    state::Shared,
};

/// A principal that called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The account: EKS acts there (source: the access key decides).
    pub(crate) account: String,
    /// User, or role with the session's name.
    pub(crate) kind: CallerKind,
    /// The access key's id.
    pub(crate) access_key_id: String,
}

/// User, or role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallerKind {
    /// A user.
    User { name: String },
    /// A session of a role.
    Role { name: String, session: String },
}

impl Caller {
    /// The ARN that STS tells.
    pub(crate) fn arn(&self) -> String {
        match &self.kind {
            CallerKind::User { name } => format!("arn:aws:iam::{}:user/{name}", self.account),
            CallerKind::Role { name, session } => {
                format!("arn:aws:sts::{}:assumed-role/{name}/{session}", self.account)
            }
        }
    }

    /// The ARN of the IAM principal, as access entries and trust policies name it.
    pub(crate) fn principal_arn(&self) -> String {
        match &self.kind {
            CallerKind::User { name } => format!("arn:aws:iam::{}:user/{name}", self.account),
            CallerKind::Role { name, .. } => format!("arn:aws:iam::{}:role/{name}", self.account),
        }
    }

    /// The id that STS tells: of the user, or of the role with the session.
    pub(crate) fn user_id(&self) -> String {
        match &self.kind {
            CallerKind::User { name } => unique_id("AIDA", &self.account, name),
            CallerKind::Role { name, session } => {
                format!("{}:{session}", unique_id("AROA", &self.account, name))
            }
        }
    }

    /// Whether IAM allows an action.
    pub(crate) fn may(&self, seed: &Seed, action: &str) -> bool {
        match seed.principal(&self.principal_arn()) {
            Some(Principal::User(user)) => allows(&user.allow, action),
            Some(Principal::Role(role)) => allows(&role.allow, action),
            None => false,
        }
    }
}

/// An id as IAM gives it: a prefix of the kind and 17 capital letters and digits, the same for the same principal.
pub(crate) fn unique_id(prefix: &str, account: &str, name: &str) -> String {
    let hash = STANDARD.encode(Sha256::digest(format!("{prefix}/{account}/{name}")));
    let letters: String =
        hash.chars().filter(char::is_ascii_alphanumeric).take(17).collect::<String>().to_ascii_uppercase();
    format!("{prefix}{letters}")
}

/// The caller and the secret of an access key, before the signature is checked.
///
/// # Errors
/// When there is no such key, or its session token is missing, wrong or over.
pub(crate) fn look_up(
    seed: &Seed,
    shared: &Shared,
    signed: &Signed,
    now: Timestamp,
) -> Result<(Caller, String), SignatureFault> {
    let key = &signed.scope.access_key;
    if let Some((account, name, user)) = seed.user_of_key(key) {
        if signed.session_token.is_some() {
            return Err(SignatureFault::UnknownKey);
        }
        let kind = CallerKind::User { name: name.to_owned() };
        let caller = Caller { account: account.to_owned(), kind, access_key_id: key.clone() };
        return Ok((caller, user.secret_access_key.clone()));
    }
    let session = shared.sessions.get(key).ok_or(SignatureFault::UnknownKey)?;
    if signed.session_token.as_deref() != Some(session.token.as_str()) {
        return Err(SignatureFault::UnknownKey);
    }
    if session.expires_at <= now {
        return Err(SignatureFault::ExpiredCredentials);
    }
    let kind = CallerKind::Role { name: session.role.clone(), session: session.session_name.clone() };
    let caller = Caller { account: session.account.clone(), kind, access_key_id: key.clone() };
    Ok((caller, session.secret.clone()))
}
