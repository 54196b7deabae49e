//! What an answer of AWS means: sorted by its code, because throttles and many other errors arrive in no typed
//! variant of the SDK.

use std::error::Error;

use aws_sdk_eks::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use fleet_provider::{ErrorClass, ProviderError};

/// A call that failed, before it is known for which cluster it was made.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.why())]
pub(crate) struct CallError {
    pub(crate) class: ErrorClass,
    pub(crate) operation: &'static str,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    #[source]
    pub(crate) source: Option<Box<dyn Error + Send + Sync>>,
}

impl CallError {
    /// True when the service said, by its code, that the thing asked for is not there.
    ///
    /// A bare 404 is no such word: a proxy, or an endpoint that does not know the operation, says that too.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code.as_deref().is_some_and(|code| {
            code == "ResourceNotFoundException"
                || code.ends_with(".NotFound")
                || code.ends_with(".NotFoundException")
        })
    }

    /// True when the credentials are no good any more, and new ones may be.
    pub(crate) fn is_about_credentials(&self) -> bool {
        self.code.as_deref().is_some_and(|code| {
            matches!(
                code,
                "ExpiredToken"
                    | "ExpiredTokenException"
                    | "RequestExpired"
                    | "UnrecognizedClientException"
                    | "InvalidClientTokenId"
            )
        })
    }

    /// True when the name is taken: by us, on an earlier try, or by somebody else.
    pub(crate) fn is_taken(&self) -> bool {
        self.code.as_deref().is_some_and(|code| {
            code == "ResourceInUseException" || code == "InvalidLaunchTemplateName.AlreadyExistsException"
        })
    }

    /// True when EKS refuses a change because everything is already as asked. It has no code of its own
    /// (aws-controllers-k8s/community#1855, crossplane-contrib/provider-aws#1047).
    pub(crate) fn is_no_change(&self) -> bool {
        let says = |text: &str| self.message.as_deref().is_some_and(|message| message.contains(text));
        self.class == ErrorClass::Invalid
            && (says("already at the desired configuration") || says("No changes needed"))
    }

    /// The error of a whole call on a cluster.
    pub(crate) fn on(self, cluster: &str) -> ProviderError {
        let Self { class, operation, code, message, source } = self;
        ProviderError {
            class,
            operation: operation.to_owned(),
            cluster: cluster.to_owned(),
            code,
            message,
            source,
        }
    }

    /// Why something could not be read, for an observation.
    pub(crate) fn why(&self) -> String {
        let answered = self.code.as_deref().map(|code| format!(" answered {code}")).unwrap_or_default();
        let message = self.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        format!("{}{answered}{message}", self.operation)
    }
}

/// The class of an error that a service answered with.
pub(crate) fn classify(code: Option<&str>, status: Option<u16>) -> ErrorClass {
    let Some(code) = code else { return by_status(status) };
    match code {
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "PriorRequestNotComplete" => ErrorClass::Throttled,
        "ServerException"
        | "ServiceUnavailableException"
        | "ServiceUnavailable"
        | "Unavailable"
        | "InternalFailure"
        | "InternalError"
        | "InternalServerError"
        | "InternalServiceException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ResourcePropagationDelayException"
        // Something else is being changed. What was read just before did not show it, as for updates of AWS's own
        // (aws/containers-roadmap#1500), so a new plan at once would only ask again.
        | "ResourceInUseException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired" => ErrorClass::Transient,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "UnauthorizedException"
        | "NotAuthorized"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "AuthFailure"
        | "OptInRequired" => ErrorClass::Denied,
        "ResourceNotFoundException"
        | "InvalidLaunchTemplateName.AlreadyExistsException" => ErrorClass::WorldMoved,
        "ClientException"
        | "UnsupportedAvailabilityZoneException"
        | "ValidationError"
        | "ValidationException"
        | "IdempotentParameterMismatch"
        | "MissingParameter"
        | "UnknownParameter" => ErrorClass::Invalid,
        _ if code.ends_with(".NotFound") || code.ends_with(".NotFoundException") => ErrorClass::WorldMoved,
        _ if code.contains("LimitExceeded") => ErrorClass::LimitReached,
        _ if code.starts_with("Invalid") && code != "InvalidAction" => ErrorClass::Invalid,
        _ => by_status(status),
    }
}

/// True when EKS says, in words alone, that the cluster is being changed (eksctl-io/eksctl#2244).
fn is_busy(code: Option<&str>, message: &str) -> bool {
    code == Some("InvalidRequestException") && message.contains("is not in ACTIVE status")
}

fn by_status(status: Option<u16>) -> ErrorClass {
    match status {
        Some(429) => ErrorClass::Throttled,
        Some(500..=599) => ErrorClass::Transient,
        _ => ErrorClass::Unknown,
    }
}

/// What an error of the SDK means.
pub(crate) fn from_sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> CallError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code().map(str::to_owned);
    let (class, what) = match &error {
        SdkError::TimeoutError(_) => (ErrorClass::Transient, "no answer came in time"),
        SdkError::DispatchFailure(_) => (ErrorClass::Transient, "the service could not be reached"),
        SdkError::ServiceError(_) => (classify(code.as_deref(), status), "the service gave no reason"),
        SdkError::ConstructionFailure(_) => (ErrorClass::Unknown, "the request could not be built"),
        _ => (ErrorClass::Unknown, "the answer could not be understood"),
    };
    let message = error.message().unwrap_or(what).to_owned();
    let class = if is_busy(code.as_deref(), &message) { ErrorClass::Transient } else { class };
    CallError { class, operation, code, message: Some(message), source: Some(Box::new(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_what_to_do_about_them() {
        use ErrorClass::*;
        for (code, status, class) in [
            (Some("TooManyRequestsException"), 429, Throttled),
            (Some("ThrottlingException"), 400, Throttled),
            (Some("RequestLimitExceeded"), 503, Throttled),
            (Some("ServerException"), 500, Transient),
            (Some("ExpiredTokenException"), 403, Transient),
            (Some("AccessDeniedException"), 403, Denied),
            (Some("UnauthorizedOperation"), 403, Denied),
            (Some("InvalidClientTokenId"), 403, Denied),
            (Some("ResourceInUseException"), 409, Transient),
            (Some("IdempotentParameterMismatch"), 400, Invalid),
            (Some("ResourceNotFoundException"), 404, WorldMoved),
            (Some("InvalidLaunchTemplateId.NotFound"), 400, WorldMoved),
            (Some("InvalidParameterException"), 400, Invalid),
            (Some("InvalidStateException"), 400, Invalid),
            (Some("UnsupportedAvailabilityZoneException"), 400, Invalid),
            (Some("ResourceLimitExceededException"), 400, LimitReached),
            (Some("SomethingNew"), 400, Unknown),
            (Some("InvalidAction"), 400, Unknown),
            (None, 404, Unknown),
            (None, 429, Throttled),
            (None, 502, Transient),
        ] {
            assert_eq!(classify(code, Some(status)), class, "{code:?} {status}");
        }
    }

    #[test]
    fn a_cluster_that_is_being_changed_is_waited_for() {
        let message = "Cluster 'acme' is not in ACTIVE status";
        assert!(is_busy(Some("InvalidRequestException"), message));
        assert!(!is_busy(Some("InvalidParameterException"), message));
        assert!(!is_busy(Some("InvalidRequestException"), "deletion protection is on"));
    }

    #[test]
    fn a_bare_404_is_never_read_as_not_there() {
        let error = |code: Option<&str>| CallError {
            class: classify(code, Some(404)),
            operation: "DescribeCluster",
            code: code.map(str::to_owned),
            message: None,
            source: None,
        };
        assert!(error(Some("ResourceNotFoundException")).is_not_found());
        assert!(!error(None).is_not_found());
        assert!(!error(Some("UnknownOperationException")).is_not_found());
    }
}
