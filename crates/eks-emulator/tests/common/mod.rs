//! An emulator and real AWS clients for it.

#![allow(dead_code, reason = "each test program uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::Credentials;
use aws_sdk_eks::{
    Client,
    operation::create_cluster::builders::CreateClusterFluentBuilder,
    types::{
        AuthenticationMode, Cluster, ClusterStatus, CreateAccessConfigRequest, Update, UpdateStatus,
        VpcConfigRequest,
    },
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use eks_emulator::{Config, Durations, Emulator, Running};
use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const CLUSTER_ROLE: &str = "arn:aws:iam::111122223333:role/eks-cluster";
pub(crate) const NODE_ROLE: &str = "arn:aws:iam::111122223333:role/eks-node";
pub(crate) const SUBNETS: [&str; 2] = ["subnet-0aa000000000000a1", "subnet-0bb000000000000b1"];

pub(crate) const CONTROLLER: (&str, &str) =
    ("AKIAFLEETCONTROLLER0", "sandbox-controller-secret-key-00000000000");
pub(crate) const OPERATOR: (&str, &str) =
    ("AKIAFLEETOPERATOR000", "sandbox-operator-secret-key-000000000000");

/// An emulator with a state folder of its own.
pub(crate) struct Fixture {
    pub(crate) running: Running,
    pub(crate) state: TempDir,
    pub(crate) http: plain::Http,
}

impl Fixture {
    /// Nothing behind clusters, everything at once.
    pub(crate) async fn instant() -> Self {
        Self::start(|config| config.durations = Durations::instant()).await
    }

    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let state = tempfile::Builder::new().prefix("emu-").tempdir().unwrap();
        let mut config = Config::new(state.path()).unwrap();
        change(&mut config);
        let running = Emulator::start(config).await.unwrap();
        let http = plain::Http::new(running.address());
        Self { running, state, http }
    }

    /// Stops the emulator, and starts another over the same state.
    pub(crate) async fn restart(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { running, state, .. } = self;
        running.stop().await;
        let mut config = Config::new(state.path()).unwrap();
        change(&mut config);
        let running = Emulator::start(config).await.unwrap();
        let http = plain::Http::new(running.address());
        Self { running, state, http }
    }

    /// An SDK configuration with credentials, without retries: a test sees every answer.
    pub(crate) async fn sdk(&self, credentials: Credentials) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(self.running.endpoint_url())
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .load()
            .await
    }

    /// Credentials of a role, assumed by a user.
    pub(crate) async fn assume(&self, user: (&str, &str), account: &str, role: &str) -> Credentials {
        let sts = aws_sdk_sts::Client::new(&self.sdk(keys(user)).await);
        let answer = sts
            .assume_role()
            .role_arn(format!("arn:aws:iam::{account}:role/{role}"))
            .role_session_name("test")
            .external_id("tenant-uid")
            .send()
            .await
            .unwrap();
        let credentials = answer.credentials.unwrap();
        Credentials::new(
            credentials.access_key_id,
            credentials.secret_access_key,
            Some(credentials.session_token),
            None,
            "test",
        )
    }

    /// The fleet's own client in the general account.
    pub(crate) async fn eks(&self) -> Client {
        Client::new(&self.sdk(self.assume(CONTROLLER, ACCOUNT, "fleet-manager").await).await)
    }

    /// Moves the emulator's clock on.
    pub(crate) async fn advance(&self, duration: Duration) {
        let body = format!(r#"{{"advanceSeconds": {}}}"#, duration.as_secs_f64());
        assert_eq!(self.http.send("POST", "/_emulator/clock", &body).await.0, 200);
    }

    /// Plans a fault.
    pub(crate) async fn plan(&self, fault: &str) {
        let (status, body) = self.http.send("POST", "/_emulator/faults", fault).await;
        assert_eq!(status, 201, "{body}");
    }
}

pub(crate) fn keys(user: (&str, &str)) -> Credentials {
    Credentials::new(user.0, user.1, None, None, "test")
}

/// A cluster as the fleet makes it.
pub(crate) fn create(eks: &Client, name: &str, version: &str) -> CreateClusterFluentBuilder {
    eks.create_cluster()
        .name(name)
        .version(version)
        .role_arn(CLUSTER_ROLE)
        .resources_vpc_config(
            VpcConfigRequest::builder()
                .set_subnet_ids(Some(SUBNETS.map(str::to_owned).to_vec()))
                .endpoint_public_access(false)
                .endpoint_private_access(true)
                .build(),
        )
        .access_config(
            CreateAccessConfigRequest::builder()
                .authentication_mode(AuthenticationMode::Api)
                .bootstrap_cluster_creator_admin_permissions(false)
                .build(),
        )
        .bootstrap_self_managed_addons(false)
}

pub(crate) async fn describe(eks: &Client, name: &str) -> Cluster {
    eks.describe_cluster().name(name).send().await.unwrap().cluster.unwrap()
}

/// Waits for a status; a minute is far more than any needs.
pub(crate) async fn until_status(eks: &Client, name: &str, status: ClusterStatus) -> Cluster {
    let started = Instant::now();
    loop {
        let cluster = describe(eks, name).await;
        if cluster.status == Some(status.clone()) {
            return cluster;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{name} is still {:?}", cluster.status);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn describe_update(eks: &Client, name: &str, id: &str) -> Update {
    eks.describe_update().name(name).update_id(id).send().await.unwrap().update.unwrap()
}

/// Waits until an update is over.
pub(crate) async fn until_over(eks: &Client, name: &str, id: &str) -> Update {
    let started = Instant::now();
    loop {
        let update = describe_update(eks, name, id).await;
        if update.status != Some(UpdateStatus::InProgress) {
            return update;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{name} is still updating");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A token as fleet makes it, for STS of a region as it is outside of the sandbox.
pub(crate) fn token(credentials: &Credentials, cluster: &str, host: &str) -> String {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("sts")
        .time(std::time::SystemTime::now())
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let url = format!("{host}/?Action=GetCallerIdentity&Version=2011-06-15");
    let headers = [("x-k8s-aws-id", cluster)];
    let request = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(b"")).unwrap();
    let (instructions, _) = sign(request, &params).unwrap().into_parts();
    let mut request = http::Request::get(&url).body(()).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(request.uri().to_string()))
}

/// Plain HTTP to the control API.
pub(crate) mod plain {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    pub(crate) struct Http(SocketAddr);

    impl Http {
        pub(crate) fn new(address: SocketAddr) -> Self {
            Self(address)
        }

        /// Status and body.
        pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
            self.send_with(method, path, "content-type: application/json\r\n", body).await
        }

        /// The same with headers of the caller's.
        pub(crate) async fn send_with(
            &self,
            method: &str,
            path: &str,
            headers: &str,
            body: &str,
        ) -> (u16, String) {
            let mut stream = TcpStream::connect(self.0).await.unwrap();
            let length = body.len();
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}",
                self.0
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
        }
    }
}
