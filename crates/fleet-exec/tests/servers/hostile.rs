//! API servers that hang, flood, lie and refuse: what they cost, and whom.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fleet_exec::{
    baseline::{Reach, Stage},
    clock::system_clock,
    remote::{Addresses, Endpoint, Fault, Identity, Limits, Remote, Unreachable, connect},
};
use fleet_render::Phase;
use http::Method;
use serde_json::json;

use crate::{
    fake::{Fake, answer, endless},
    support::{engine, eventually, hardened, object, plain, report, sealed},
};

fn quick() -> Limits {
    Limits {
        connect: Duration::from_millis(500),
        attempt: Duration::from_millis(500),
        request: Duration::from_secs(5),
        attempts: 3,
        answer: 64 * 1024,
        event: 16 * 1024,
        quiet: Duration::from_millis(500),
        ..Limits::default()
    }
}

/// Asks for the version through kube's client, and gives back what went wrong.
async fn fault_of(remote: &Remote) -> Fault {
    Fault::of(&remote.client().apiserver_version().await.expect_err("nothing here gives a version"))
}

#[tokio::test]
async fn an_answer_without_end_is_cut_by_bytes_and_by_time() {
    let fake = Fake::start().await;
    fake.misbehave(|_, _, _| Some(endless(&[b' '; 4096], Duration::ZERO)));
    let fault = fault_of(&fake.remote(quick())).await;
    assert!(matches!(&fault, Fault::Garbage { detail } if detail.contains("65536")), "{fault}");

    fake.misbehave(|_, _, _| Some(endless(b" ", Duration::from_millis(50))));
    let fault = fault_of(&fake.remote(quick())).await;
    assert!(matches!(fault, Fault::Unreachable { why: Unreachable::Timeout, .. }), "{fault}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_told_from_one_that_is_not_there() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fake = Fake::start().await;
    let way = |address: std::net::SocketAddr| {
        let endpoint = Endpoint::parse(&format!("https://{address}"), Addresses::LOCAL).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
        let identity = Identity::Certificate {
            certificate: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
        };
        connect(endpoint, &fake.ca, identity, quick(), system_clock()).unwrap()
    };
    let fault = fault_of(&way(silent.local_addr().unwrap())).await;
    assert!(matches!(fault, Fault::Unreachable { why: Unreachable::Timeout, .. }), "{fault}");

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fault = fault_of(&way(free)).await;
    assert!(matches!(fault, Fault::Unreachable { why: Unreachable::Refused, .. }), "{fault}");
}

#[tokio::test]
async fn a_foreign_certificate_a_lost_name_and_a_forbidden_address_are_told_apart() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let way = |url: &str, ca: &[u8], addresses| {
        let identity = Identity::Tokens(Arc::new(NoToken));
        connect(Endpoint::parse(url, addresses).unwrap(), ca, identity, quick(), system_clock()).unwrap()
    };
    let url = format!("https://{}", fake.address);
    // Without a token nothing is ever sent: the fault is ours.
    let fault = fault_of(&way(&url, &fake.ca, Addresses::LOCAL)).await;
    assert!(matches!(&fault, Fault::Unauthorized { detail } if detail.contains("no role")), "{fault}");
    assert!(fake.tokens().is_empty());

    let foreign = connect(
        Endpoint::parse(&url, Addresses::LOCAL).unwrap(),
        &other.ca,
        Identity::Certificate { certificate: Vec::new(), key: Vec::new() },
        quick(),
        system_clock(),
    );
    assert!(foreign.is_err(), "a key that is none is refused before anything is sent");

    let mut remote = fake.remote(quick());
    assert!(matches!(fault_of(&remote).await, Fault::Refused(_) | Fault::Garbage { .. }));
    remote = {
        let address = fake.address;
        let mut stranger = Fake::start().await;
        stranger.address = address;
        stranger.remote(quick())
    };
    let fault = fault_of(&remote).await;
    assert!(matches!(fault, Fault::Unreachable { why: Unreachable::Tls, .. }), "{fault}");

    let mut named = Fake::start().await;
    named.address = fake.address;
    let localhost = format!("https://localhost:{}", fake.address.port());
    let fault = fault_of(&with_token(&localhost, &fake.ca, Addresses::PROVIDER)).await;
    assert!(matches!(fault, Fault::Unreachable { why: Unreachable::Address, .. }), "{fault}");
    let fault = fault_of(&with_token("https://no-such-name.invalid", &fake.ca, Addresses::LOCAL)).await;
    assert!(matches!(fault, Fault::Unreachable { why: Unreachable::Dns, .. }), "{fault}");
}

fn with_token(url: &str, ca: &[u8], addresses: Addresses) -> Remote {
    let endpoint = Endpoint::parse(url, addresses).unwrap();
    connect(endpoint, ca, Identity::Tokens(Arc::new(AnyToken)), quick(), system_clock()).unwrap()
}

struct NoToken;

#[async_trait::async_trait]
impl fleet_exec::remote::TokenSource for NoToken {
    async fn token(&self) -> Result<fleet_provider::ClusterToken, Box<dyn std::error::Error + Send + Sync>> {
        Err("no role to assume".into())
    }
}

struct AnyToken;

#[async_trait::async_trait]
impl fleet_exec::remote::TokenSource for AnyToken {
    async fn token(&self) -> Result<fleet_provider::ClusterToken, Box<dyn std::error::Error + Send + Sync>> {
        let expires_at = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(14);
        Ok(fleet_provider::ClusterToken { secret: "any".to_owned(), expires_at })
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_never_told() {
    let fake = Fake::start().await;
    fake.misbehave(|_, _, number| (number == 0).then(|| answer(401, "who are you, secret-0?")));
    let remote = fake.remote(quick());
    let _ = fault_of(&remote).await;
    assert_eq!(fake.tokens(), ["Bearer secret-0", "Bearer secret-1"]);

    fake.misbehave(|_, _, _| Some(answer(401, "no")));
    let fault = fault_of(&remote).await;
    assert!(matches!(fault, Fault::Unauthorized { .. }), "{fault}");
    assert!(!format!("{fault:?} {remote:?}").contains("secret"));
}

#[tokio::test]
async fn a_storm_of_429_is_survived_and_every_object_arrives() {
    let fake = Fake::start().await;
    // Two of three requests are refused, which no fixed number of attempts survives by luck.
    fake.misbehave(|method, _, number| {
        (*method != Method::GET && number < 400 && number % 3 != 0).then(|| {
            answer(429, r#"{"kind":"Status","message":"etcdserver: throttle: too many requests","code":429}"#)
        })
    });
    let remote = fake.remote(Limits { attempts: 8, request: Duration::from_secs(20), ..Limits::default() });
    let bundle = plain(hardened("acme").objects);
    let engine = engine(&remote);
    engine.set_target(Arc::clone(&bundle));
    let seen = report(&engine, "all is applied", |report| report.access_handed_over).await;
    assert_eq!((seen.applied, seen.objects), (bundle.objects.len(), bundle.objects.len()));
    assert!(seen.hardened());
    assert!(remote.traffic().throttled.load(Ordering::Relaxed) > 0);
    engine.stop().await;
}

#[tokio::test]
async fn a_cluster_costs_two_connections_however_many_kinds_are_watched() {
    let fake = Fake::start().await;
    let remote = fake.remote(Limits::default());
    let engine = engine(&remote);
    engine.set_target(plain(hardened("acme").objects));
    report(&engine, "all is applied", |report| report.access_handed_over).await;
    eventually("every kind is watched", || async {
        (remote.traffic().watches.load(Ordering::Relaxed) >= 9).then_some(())
    })
    .await;
    assert_eq!(fake.inner.connections.load(Ordering::SeqCst), 2);
    engine.stop().await;
}

#[tokio::test]
async fn answers_that_are_no_objects_are_reported_and_never_count_as_applied() {
    for body in [
        r#"{}"#,
        "[]",
        "null",
        "\"ok\"",
        "<html>",
        r#"{"metadata":{"name":7,"uid":[],"resourceVersion":{}}}"#,
    ] {
        let fake = Fake::start().await;
        fake.misbehave(move |method, _, _| (*method == Method::PATCH).then(|| answer(200, body)));
        let remote = fake.remote(Limits::default());
        let engine = engine(&remote);
        engine.set_target(plain(vec![object(
            Phase::Rest,
            json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "l", "namespace": "n" } }),
        )]));
        let seen = report(&engine, "the answer is useless", |report| report.last_error.is_some()).await;
        assert_eq!((seen.applied, seen.hardened()), (0, false), "{body}");
        assert_eq!(seen.reach, Reach::Up);
        engine.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_refuses_every_write_for_ever_is_asked_ever_more_seldom() {
    for code in [403, 409, 422, 500] {
        let fake = Fake::start().await;
        fake.misbehave(move |method, _, _| {
            let body = json!({ "kind": "Status", "code": code, "reason": "No", "message": "never" });
            (*method == Method::PATCH).then(|| answer(code, body.to_string()))
        });
        let remote = fake.remote(Limits::default());
        let engine = engine(&remote);
        engine.set_target(plain(vec![object(
            Phase::Rest,
            json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "l", "namespace": "n" } }),
        )]));
        let seen = report(&engine, "it is refused", |report| report.last_error.is_some()).await;
        assert!(seen.last_error.unwrap().contains("never"), "{code}");
        // Ten more orders wake the engine and change nothing about when the object is tried again.
        for _ in 0..10 {
            engine.request_probe();
            tokio::task::yield_now().await;
        }
        assert!(remote.traffic().writes.load(Ordering::Relaxed) <= 2, "{code}");
        engine.stop().await;
    }
}

#[tokio::test]
async fn probes_that_get_no_usable_answer_prove_nothing_and_open_nothing() {
    let fake = Fake::start().await;
    fake.misbehave(|method, _, _| (*method == Method::POST).then(|| answer(500, "out of order")));
    let remote = fake.remote(Limits::default());
    let engine = engine(&remote);
    let mut bundle = hardened("acme");
    bundle.markers.clear();
    bundle.probes.retain(|probe| probe.control == "T-1");
    engine.set_target(sealed(bundle));
    let seen = report(&engine, "access is withheld", |report| report.stage == Stage::AccessWithheld).await;
    assert!(seen.hardened() && !seen.proven() && !seen.access_handed_over);
    assert_eq!((seen.proven_revision, seen.counts.fail), (None, 0));
    engine.stop().await;
}

#[tokio::test]
async fn lists_and_events_of_wrong_types_stop_nothing() {
    let fake = Fake::start().await;
    let first = AtomicBool::new(true);
    fake.misbehave(move |method, target, _| {
        if *method == Method::GET && target.contains("watch=true") && first.swap(false, Ordering::SeqCst) {
            let lines = concat!(
                r#"{"type":"MODIFIED","object":7}"#,
                "\n",
                r#"{"type":{},"object":{"metadata":{"resourceVersion":"5","name":{},"uid":[]}}}"#,
                "\n",
                r#"{"type":"DELETED","object":{"metadata":{"resourceVersion":"6","name":"x"}}}"#,
                "\n",
                "not json\n"
            );
            return Some(answer(200, lines));
        }
        (*method == Method::GET && target.contains("/roles?") && !target.contains("watch")).then(|| {
            answer(
                200,
                r#"{"items":[7,null,[],{"metadata":[]},{"metadata":{"name":"x","labels":7}}],"metadata":8}"#,
            )
        })
    });
    let remote = fake.remote(Limits::default());
    let engine = engine(&remote);
    engine.set_target(plain(hardened("acme").objects));
    let seen = report(&engine, "all is applied", |report| report.access_handed_over).await;
    assert!(seen.hardened());
    engine.stop().await;
}

#[tokio::test]
async fn a_watch_that_floods_or_falls_silent_is_begun_again_and_misses_nothing() {
    let fake = Fake::start().await;
    let remote = fake.remote(quick());
    let engine = engine(&remote);
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "q", "namespace": "n" },
        "spec": { "hard": { "pods": "1" } } });
    let begun = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&begun);
    fake.misbehave(move |_, target, _| {
        let round = target.contains("watch=true").then(|| counted.fetch_add(1, Ordering::SeqCst))?;
        match round {
            // One line without an end, then a watch on which nothing is ever said.
            0 => Some(endless(&[b'x'; 1024], Duration::ZERO)),
            1 => Some(endless(b"", Duration::from_secs(3600))),
            _ => None,
        }
    });
    engine.set_target(plain(vec![object(Phase::Quota, quota)]));
    report(&engine, "it is applied", |report| report.access_handed_over).await;
    let path = "/api/v1/namespaces/n/resourcequotas/q";
    fake.inner.delete(path);
    let seen = report(&engine, "it is put back", |report| report.repairs == 1 && report.applied == 1).await;
    assert!(seen.hardened());
    assert!(begun.load(Ordering::SeqCst) >= 3);
    engine.stop().await;
}

#[tokio::test]
async fn a_server_that_goes_away_is_reported_down_and_up_again_without_a_write() {
    let fake = Fake::start().await;
    let remote = fake.remote(quick());
    let engine = engine(&remote);
    engine.set_target(plain(hardened("acme").objects));
    report(&engine, "all is applied", |report| report.access_handed_over).await;
    let written = remote.traffic().writes.load(Ordering::Relaxed);
    fake.misbehave(|_, _, _| Some(answer(503, "out of order")));
    engine.request_check();
    let seen = report(&engine, "something is wrong", |report| report.last_error.is_some()).await;
    assert!(!seen.last_error.unwrap().is_empty());
    fake.behave();
    report(&engine, "all is well", |report| report.last_error.is_none() && report.hardened()).await;
    assert_eq!(remote.traffic().writes.load(Ordering::Relaxed), written);
    engine.stop().await;
}
