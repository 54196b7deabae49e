//! A small client for the services of which only a few calls are needed: EC2 (query parameters in, XML out),
//! and the tagging and log services (JSON in and out). Their SDKs would take longer to build than all of fleet.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_eks::config::retry::RetryConfig;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use bytes::Bytes;
use fleet_provider::ErrorClass;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::{
    credentials::ATTEMPTS,
    endpoint::Endpoints,
    error::{CallError, classify},
    operations::Service,
};

/// The longest answer that is read. A page of DescribeVolumes is well below it.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;
/// How long one try may take.
const TRY: Duration = Duration::from_secs(20);

/// Sends signed requests. Clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct SignedClient {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    retries: Retries,
}

/// How often a call is tried, and how long is waited between two tries.
#[derive(Debug, Clone, Copy)]
struct Retries {
    attempts: u32,
    first_wait: Duration,
    longest_wait: Duration,
}

/// One request, without its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) operation: &'static str,
    content_type: &'static str,
    target: Option<String>,
    body: String,
}

impl Call {
    /// A call of EC2's query protocol, version 2016-11-15.
    pub(crate) fn ec2(operation: &'static str, parameters: &[(String, String)]) -> Self {
        let mut body = format!("Action={operation}&Version=2016-11-15");
        for (name, value) in parameters {
            body.push_str(&format!("&{}={}", encoded(name), encoded(value)));
        }
        Self {
            service: Service::Ec2,
            operation,
            content_type: "application/x-www-form-urlencoded; charset=utf-8",
            target: None,
            body,
        }
    }

    /// A call of the JSON 1.1 protocol; `prefix` is what the service puts before its operations.
    pub(crate) fn json(
        service: Service,
        prefix: &str,
        operation: &'static str,
        body: &serde_json::Value,
    ) -> Self {
        Self {
            service,
            operation,
            content_type: "application/x-amz-json-1.1",
            target: Some(format!("{prefix}.{operation}")),
            body: body.to_string(),
        }
    }

    #[cfg(test)]
    pub(crate) fn body(&self) -> &str {
        &self.body
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, crate::token::UNRESERVED).to_string()
}

impl SignedClient {
    /// A client with the system's certificates, an error when there are none. It tries as often as the SDK's
    /// clients do.
    pub(crate) fn new(retries: Option<&RetryConfig>) -> std::io::Result<Self> {
        let standard = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let config = retries.unwrap_or(&standard);
        let retries = Retries {
            attempts: config.max_attempts(),
            first_wait: config.initial_backoff(),
            longest_wait: config.max_backoff(),
        };
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())?
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .build();
        let http =
            Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(30)).build(connector);
        Ok(Self { http, retries })
    }

    /// Sends a call, and sends it again while the answer says that another try may help.
    pub(crate) async fn send(
        &self,
        call: &Call,
        endpoints: &Endpoints,
        credentials: &Credentials,
    ) -> Result<String, CallError> {
        let mut attempt = 1;
        loop {
            let answer = self.try_once(call, endpoints, credentials).await;
            let error = match answer {
                Ok(text) => return Ok(text),
                Err(error) => error,
            };
            let again = matches!(error.class, ErrorClass::Throttled | ErrorClass::Transient);
            if !again || error.is_about_credentials() || attempt >= self.retries.attempts {
                return Err(error);
            }
            tokio::time::sleep(self.retries.wait_after(attempt, uuid::Uuid::new_v4().as_u128())).await;
            attempt += 1;
        }
    }

    async fn try_once(
        &self,
        call: &Call,
        endpoints: &Endpoints,
        credentials: &Credentials,
    ) -> Result<String, CallError> {
        let fail = |class, message: &str, source: Box<dyn std::error::Error + Send + Sync>| CallError {
            class,
            operation: call.operation,
            code: None,
            message: Some(message.to_owned()),
            source: Some(source),
        };
        let request = signed(call, endpoints, credentials, SystemTime::now())
            .map_err(|source| fail(ErrorClass::Unknown, "the request could not be signed", source))?;
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| {
                fail(ErrorClass::Transient, "the request could not be sent", Box::new(error))
            })?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST_ANSWER)
                .collect()
                .await
                .map_err(|source| fail(ErrorClass::Transient, "the answer broke off", source))?;
            Ok((status, body.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(TRY, exchange)
            .await
            .map_err(|elapsed| fail(ErrorClass::Transient, "no answer in time", Box::new(elapsed)))??;
        let text = String::from_utf8_lossy(&body);
        if status.is_success() {
            return Ok(text.into_owned());
        }
        Err(refusal(call, status.as_u16(), &text))
    }
}

impl Retries {
    /// The wait after a try, counted from 1: doubling, with the upper half at random, so that clients who were
    /// refused together do not come back together.
    fn wait_after(self, attempt: u32, random: u128) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << attempt.saturating_sub(1).min(10));
        let half = doubled.min(self.longest_wait) / 2;
        let share = u32::try_from(random % 1000).unwrap_or_default();
        half + half * share / 1000
    }
}

/// The refusal that an error answer stands for: XML of the query protocol, or JSON.
fn refusal(call: &Call, status: u16, text: &str) -> CallError {
    let (code, message) = match call.target {
        None => xml_refusal(text),
        Some(_) => json_refusal(text),
    };
    CallError {
        class: classify(code.as_deref(), Some(status)),
        operation: call.operation,
        message: message.or_else(|| Some(format!("HTTP status {status}"))),
        code,
        source: None,
    }
}

fn xml_refusal(text: &str) -> (Option<String>, Option<String>) {
    let Ok(document) = roxmltree::Document::parse(text) else { return (None, None) };
    let error = document.descendants().find(|node| node.has_tag_name("Error"));
    let field = |name: &str| {
        let field = error?.children().find(|node| node.has_tag_name(name))?;
        field.text().map(str::to_owned)
    };
    (field("Code"), field("Message"))
}

fn json_refusal(text: &str) -> (Option<String>, Option<String>) {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return (None, None) };
    let field = |name: &str| value.get(name).and_then(|field| field.as_str());
    // The code may come as `com.amazonaws.logs#ThrottlingException`.
    let code = field("__type").map(|code| code.rsplit('#').next().unwrap_or(code).to_owned());
    (code, field("message").or_else(|| field("Message")).map(str::to_owned))
}

fn signed(
    call: &Call,
    endpoints: &Endpoints,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<Request<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let url = format!("{}/", endpoints.url(call.service));
    let uri: http::Uri = url.parse()?;
    let host = uri.authority().ok_or("the endpoint has no host")?.as_str();
    let mut headers = vec![("host", host), ("content-type", call.content_type)];
    if let Some(target) = &call.target {
        headers.push(("x-amz-target", target));
    }
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(endpoints.region())
        .name(call.service.signing_name())
        .time(now)
        .settings(SigningSettings::default())
        .build()?
        .into();
    let signable = SignableRequest::new(
        "POST",
        &url,
        headers.iter().copied(),
        SignableBody::Bytes(call.body.as_bytes()),
    )?;
    let (instructions, _signature) = sign(signable, &parameters)?.into_parts();
    let mut request = Request::post(&url).header(header::CONTENT_TYPE, call.content_type);
    if let Some(target) = &call.target {
        request = request.header("x-amz-target", target);
    }
    let mut request = request.body(Full::new(Bytes::from(call.body.clone())))?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_stay_between_half_and_whole() {
        let retries = Retries {
            attempts: 6,
            first_wait: Duration::from_millis(400),
            longest_wait: Duration::from_secs(8),
        };
        for (attempt, whole) in [(1, 400), (2, 800), (3, 1600), (6, 8000), (40, 8000)] {
            for random in [0, 499, 999, u128::MAX] {
                let wait = retries.wait_after(attempt, random).as_millis();
                assert!(wait >= whole / 2 && wait <= whole, "{attempt} {random} {wait}");
            }
        }
    }

    #[test]
    fn a_refusal_is_read_from_xml_and_from_json() {
        let ec2 = Call::ec2("DescribeSubnets", &[]);
        let text = "<?xml version=\"1.0\"?><Response><Errors><Error><Code>RequestLimitExceeded</Code>\
                    <Message>slow</Message></Error></Errors><RequestID>1</RequestID></Response>";
        let error = refusal(&ec2, 503, text);
        assert_eq!((error.class, error.message.as_deref()), (ErrorClass::Throttled, Some("slow")));
        let logs = Call::json(Service::Logs, "Logs_20140328", "DescribeLogGroups", &serde_json::json!({}));
        let text = r#"{"__type":"com.amazonaws.logs#AccessDeniedException","Message":"no"}"#;
        assert_eq!(refusal(&logs, 400, text).class, ErrorClass::Denied);
        assert_eq!(refusal(&logs, 404, "<html>").class, ErrorClass::Unknown);
        assert_eq!(refusal(&ec2, 502, "").class, ErrorClass::Transient);
    }

    #[test]
    fn values_cannot_add_parameters_of_their_own() {
        let call =
            Call::ec2("DescribeVolumes", &[("Filter.1.Value.1".to_owned(), "a&Action=Delete b".to_owned())]);
        assert_eq!(
            call.body(),
            "Action=DescribeVolumes&Version=2016-11-15&Filter.1.Value.1=a%26Action%3DDelete%20b"
        );
    }
}
