//! An answer that refuses, before it is given the form of one service's wire protocol.

use http::StatusCode;
use serde_json::{Map, Value};

use crate::sigv4::SignatureFault;

/// A refusal: status, code and message, and the further members that the code's shape has.
///
/// Codes and statuses are those of the service model (source: model); the texts are those of the live service where
/// an issue or the documentation quotes one, and ours elsewhere.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The code, such as `ResourceInUseException`.
    pub code: &'static str,
    /// The message.
    pub message: String,
    /// Further members of the body, such as `clusterName`.
    pub members: Map<String, Value>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:ident $code:literal;)*) => {
        impl ApiError {
            $($(#[$doc])* pub(crate) fn $name(message: impl Into<String>) -> Self {
                Self::new(StatusCode::$status, $code, message)
            })*
        }
    };
}

codes! {
    /// It exists, or something else is going on with it.
    resource_in_use = CONFLICT "ResourceInUseException";
    /// It does not exist.
    resource_not_found = NOT_FOUND "ResourceNotFoundException";
    /// A parameter is wrong by itself.
    invalid_parameter = BAD_REQUEST "InvalidParameterException";
    /// The request is wrong for the state of the cluster.
    invalid_request = BAD_REQUEST "InvalidRequestException";
    /// Readiness insights stand in the way.
    invalid_state = BAD_REQUEST "InvalidStateException";
    /// A quota is used up.
    resource_limit = BAD_REQUEST "ResourceLimitExceededException";
    /// The two tag operations have their own code for what is not there.
    not_found = NOT_FOUND "NotFoundException";
    /// The two tag operations have their own code for what is wrong.
    bad_request = BAD_REQUEST "BadRequestException";
    /// IAM does not allow it.
    access_denied = FORBIDDEN "AccessDeniedException";
    /// Too many requests.
    throttled = TOO_MANY_REQUESTS "ThrottlingException";
    /// The service failed.
    server = INTERNAL_SERVER_ERROR "ServerException";
    /// No such operation.
    unknown_operation = NOT_FOUND "UnknownOperationException";
    /// The body is not what the operation takes.
    serialization = BAD_REQUEST "SerializationException";
}

impl ApiError {
    /// Any other refusal.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), members: Map::new() }
    }

    /// Adds a member to the body.
    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// A refused signature, in the words of the services that answer in JSON.
    pub(crate) fn from_signature(fault: &SignatureFault) -> Self {
        let code = match fault {
            SignatureFault::Incomplete(_) => "IncompleteSignatureException",
            SignatureFault::Missing => "MissingAuthenticationTokenException",
            SignatureFault::UnknownKey => "UnrecognizedClientException",
            SignatureFault::ExpiredCredentials => "ExpiredTokenException",
            SignatureFault::Expired { .. } | SignatureFault::Mismatch => "InvalidSignatureException",
        };
        let status = match fault {
            SignatureFault::Incomplete(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        Self::new(status, code, fault.to_string())
    }

    /// The code as the services of the query protocol have it, without `Exception`.
    pub(crate) fn query_code(&self) -> &'static str {
        match self.code {
            "InvalidSignatureException" => "SignatureDoesNotMatch",
            "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
            "IncompleteSignatureException" => "IncompleteSignature",
            "UnrecognizedClientException" => "InvalidClientTokenId",
            "ExpiredTokenException" => "ExpiredToken",
            "AccessDeniedException" => "AccessDenied",
            "ThrottlingException" => "Throttling",
            "ServerException" => "InternalFailure",
            "UnknownOperationException" => "InvalidAction",
            "InvalidParameterException" => "ValidationError",
            other => other,
        }
    }
}
