//! Calls that are held on either side of their effect, and the journal that tells of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod common;

use std::time::{Duration, Instant};

use aws_sdk_eks::Client;
use common::{Fixture, create};
use serde_json::Value;

async fn get(fixture: &Fixture, path: &str) -> Value {
    let (status, body) = fixture.http.send("GET", &format!("/_emulator/{path}"), "").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// The one call that is held, as soon as there is one.
async fn held(fixture: &Fixture) -> Value {
    let began = Instant::now();
    loop {
        if let [one] = get(fixture, "held").await.as_array().unwrap().as_slice() {
            return one.clone();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is held");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn release(fixture: &Fixture, call: &Value, then: &str) {
    let path = format!("/_emulator/held/{}", call["id"]);
    let (status, body) = fixture.http.send("POST", &path, &format!(r#"{{"then": "{then}"}}"#)).await;
    assert_eq!(status, 204, "{body}");
}

/// Sends a creation in a task of its own, which a test can abort as a crash would.
fn creating(eks: &Client, name: &'static str) -> tokio::task::JoinHandle<bool> {
    let call = create(eks, name, "1.35").client_request_token("t");
    tokio::spawn(async move { call.send().await.is_ok() })
}

async fn exists(fixture: &Fixture, eks: &Client, name: &str) -> bool {
    let there = eks.describe_cluster().name(name).send().await.is_ok();
    let world = get(fixture, "world").await;
    let named = |cluster: &Value| cluster["cluster"]["name"] == name;
    assert_eq!(world["clusters"].as_array().unwrap().iter().any(named), there, "{world:#}");
    there
}

#[tokio::test]
async fn a_call_is_held_before_its_effect_and_dropped_or_let_go_without_its_caller() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    fixture.plan(r#"{"effect": "hold", "when": "before", "about": "one", "times": 2}"#).await;

    let dropped = creating(&eks, "one");
    let call = held(&fixture).await;
    assert_eq!((&call["when"], &call["operation"]), (&"before".into(), &"CreateCluster".into()));
    assert_eq!((&call["about"], &call["token"]), (&"clusters/one".into(), &"t".into()));
    assert!(!exists(&fixture, &eks, "one").await);
    release(&fixture, &call, "drop").await;
    assert!(!dropped.await.unwrap() && !exists(&fixture, &eks, "one").await);

    let late = creating(&eks, "one");
    let call = held(&fixture).await;
    late.abort();
    assert!(late.await.unwrap_err().is_cancelled() && !exists(&fixture, &eks, "one").await);
    release(&fixture, &call, "go").await;
    let began = Instant::now();
    while !exists(&fixture, &eks, "one").await {
        assert!(began.elapsed() < Duration::from_secs(60), "the call does not take effect");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_answer_to_a_call_is_held_and_a_read_never_is() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    fixture.plan(r#"{"effect": "hold", "when": "after", "after": 1}"#).await;
    create(&eks, "let-through", "1.35").send().await.unwrap();
    let answered = creating(&eks, "one");
    let call = held(&fixture).await;
    assert_eq!(call["when"], "after");
    assert!(exists(&fixture, &eks, "one").await);
    release(&fixture, &call, "go").await;
    assert!(answered.await.unwrap());

    let none = fixture.http.send("POST", "/_emulator/held/99", r#"{"then": "go"}"#).await;
    assert_eq!(none.0, 404);
    let refused = create(&eks, "one", "1.36").client_request_token("t").send().await;
    assert!(refused.is_err());
    let journal = get(&fixture, "journal").await;
    let told: Vec<_> = journal
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["number"].as_u64().unwrap(), entry["about"].as_str().unwrap(), &entry["refused"]))
        .collect();
    let refusal = Value::from("InvalidParameterException");
    let expected = [
        (1, "clusters/let-through", &Value::Null),
        (2, "clusters/one", &Value::Null),
        (3, "clusters/one", &refusal),
    ];
    assert_eq!(told, expected);
}
