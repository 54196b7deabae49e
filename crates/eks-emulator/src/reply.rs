//! Answers in the form of each protocol.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    error::ApiError,
    journal::Question,
    wire::xml::{node, text},
    world::Answered,
};

/// What happens to the connection.
#[derive(Debug)]
pub(crate) enum Reply {
    /// An answer is sent.
    Answer(Response<Bytes>),
    /// It is reset.
    Reset,
    /// The call is held: before its effect, or with the answer that it will get.
    Held(Question, Option<Response<Bytes>>),
}

/// The wire protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// EKS.
    RestJson,
    /// KMS, tagging, logs.
    Json11,
    /// STS, IAM.
    Query,
    /// EC2.
    Ec2,
}

impl Protocol {
    /// The protocol of a service by its signing name; what is not signed is answered as EKS answers.
    pub(crate) fn of(service: &str) -> Self {
        match service {
            "sts" | "iam" => Self::Query,
            "ec2" => Self::Ec2,
            "kms" | "tagging" | "logs" => Self::Json11,
            _ => Self::RestJson,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::RestJson => "application/json",
            Self::Json11 => "application/x-amz-json-1.1",
            Self::Query | Self::Ec2 => "text/xml;charset=UTF-8",
        }
    }

    /// An answer.
    pub(crate) fn answer(self, answered: Answered, id: &Uuid) -> Reply {
        let body = match answered {
            Answered::Json(value) => value.to_string(),
            Answered::Xml(element, namespace) => element.document(namespace),
        };
        self.respond(StatusCode::OK, body, None, id)
    }

    /// A refusal.
    pub(crate) fn refuse(self, refusal: &ApiError, id: &Uuid) -> Reply {
        match self {
            // Source: model (restJson1: the code in a header, the members in the body).
            Self::RestJson => {
                let mut body = refusal.members.clone();
                body.insert("message".to_owned(), Value::String(refusal.message.clone()));
                self.respond(refusal.status, Value::Object(body).to_string(), Some(refusal.code), id)
            }
            Self::Json11 => {
                let body = serde_json::json!({ "__type": refusal.code, "message": refusal.message });
                let status = match refusal.status.is_client_error() {
                    true => StatusCode::BAD_REQUEST,
                    false => refusal.status,
                };
                self.respond(status, body.to_string(), None, id)
            }
            Self::Query => {
                let kind = if refusal.status.is_server_error() { "Receiver" } else { "Sender" };
                let error = vec![
                    text("Type", kind),
                    text("Code", refusal.query_code()),
                    text("Message", &refusal.message),
                ];
                let document = node("ErrorResponse", vec![node("Error", error), text("RequestId", id)]);
                self.respond(refusal.status, document.document(""), None, id)
            }
            Self::Ec2 => {
                let (status, code) = ec2_code(refusal);
                let error = vec![text("Code", code), text("Message", &refusal.message)];
                let errors = node("Errors", vec![node("Error", error)]);
                let document = node("Response", vec![errors, text("RequestID", id)]);
                self.respond(status, document.document(""), None, id)
            }
        }
    }

    fn respond(self, status: StatusCode, body: String, code: Option<&'static str>, id: &Uuid) -> Reply {
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            headers.insert("x-amzn-requestid", id);
        }
        if let Some(code) = code {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
        }
        Reply::Answer(response)
    }
}

/// EC2 has words of its own for what the front of every service refuses. Source: docs (EC2 API error codes).
fn ec2_code(refusal: &ApiError) -> (StatusCode, &'static str) {
    match refusal.code {
        "InvalidSignatureException" | "UnrecognizedClientException" => {
            (StatusCode::UNAUTHORIZED, "AuthFailure")
        }
        "ExpiredTokenException" => (StatusCode::BAD_REQUEST, "RequestExpired"),
        "AccessDeniedException" => (StatusCode::FORBIDDEN, "UnauthorizedOperation"),
        "ThrottlingException" => (StatusCode::SERVICE_UNAVAILABLE, "RequestLimitExceeded"),
        "ServerException" => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        "UnknownOperationException" => (StatusCode::BAD_REQUEST, "InvalidAction"),
        code => (refusal.status, code),
    }
}
