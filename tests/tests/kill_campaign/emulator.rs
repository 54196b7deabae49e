//! The emulator, and its control API.

use std::net::SocketAddr;

use eks_emulator::{Backend, Config, Durations, Emulator as Program, Running, Seed, model::Minor};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::calls::{Edge, Entry, Held};

/// Half a second for whatever takes the cloud minutes: long enough that a controller comes upon it unfinished.
const DURATIONS: &str = "instant,cluster-create=0.5,cluster-delete=0.5,cluster-config=0.5,cluster-upgrade=0.5,\
                         nodegroup-create=0.5,nodegroup-update=0.5,nodegroup-delete=0.5,addon-update=0.5";

/// The role of the tenants' people, in every account.
pub const PEOPLE: &str = "campaign-people";

/// An account of a life's own: fleet paces its calls by account, and no life has to wait for another.
pub fn account(life: usize) -> String {
    format!("2000000000{life:02}")
}

/// How many accounts there are.
const ACCOUNTS: usize = 16;
/// The account of the builtin seed that they are all like.
const LIKE: &str = "111122223333";

pub struct Emulator {
    running: Running,
    address: SocketAddr,
}

impl Emulator {
    pub async fn start(state: &std::path::Path, etcd: String) -> Self {
        let mut seed = Seed::builtin().unwrap();
        let mut like = seed.accounts[LIKE].clone();
        like.roles.insert(PEOPLE.to_owned(), like.roles["platform-admin"].clone());
        seed.accounts.extend((0..ACCOUNTS).map(|life| (account(life), like.clone())));
        let mut config = Config::new(state).unwrap();
        config.seed = seed;
        config.durations = DURATIONS.parse::<Durations>().unwrap();
        config.backend = Backend::Real { etcd: Some(etcd), minors: vec![Minor(35), Minor(36)] };
        let running = Program::start(config).await.unwrap();
        let address = running.address();
        Self { running, address }
    }

    pub fn url(&self) -> String {
        self.running.endpoint_url()
    }

    /// Plans to hold every call of a cluster that changes something.
    pub async fn hold(&self, cluster: &str, edge: Edge) {
        let when = if edge == Edge::After { "after" } else { "before" };
        let fault = json!({ "effect": "hold", "when": when, "about": cluster, "times": u32::MAX });
        assert_eq!(self.send("POST", "faults", &fault.to_string()).await.0, 201);
    }

    pub async fn held(&self) -> Vec<Held> {
        self.get("held").await
    }

    /// Lets a call take effect, or its answer go.
    pub async fn let_go(&self, id: u64) {
        self.release(id, "go").await;
    }

    /// Resets a call's connection.
    pub async fn drop_call(&self, id: u64) {
        self.release(id, "drop").await;
    }

    async fn release(&self, id: u64, then: &str) {
        let body = json!({ "then": then }).to_string();
        assert_eq!(self.send("POST", &format!("held/{id}"), &body).await.0, 204, "call {id} is not held");
    }

    pub async fn journal(&self) -> Vec<Entry> {
        self.get("journal").await
    }

    /// All that the cloud keeps.
    pub async fn world(&self) -> Value {
        self.get("world").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.send("GET", path, "").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let (address, length) = (self.address, body.len());
        let request = format!(
            "{method} /_emulator/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}
