//! Events of objects, for people who read `kubectl describe`.

use kube::{
    Client, Resource, ResourceExt as _,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tracing::debug;

/// Writes events. An event is for people, so one that cannot be written stops nothing.
pub(crate) struct Events {
    client: Client,
    repeating: Recorder,
}

impl Events {
    pub(crate) fn new(client: Client) -> Self {
        Self { repeating: recorder(client.clone()), client }
    }

    /// Tells of what may happen over and over. What has the same object, reason and action within a few minutes is one
    /// event that is counted, with the note of the first.
    pub(crate) async fn tell<K>(&self, object: &K, warning: bool, reason: &str, action: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        publish(&self.repeating, object, warning, reason, action, note).await;
    }

    /// Tells of a change that comes about once, such as a wave that began. It is an event of its own, whatever was told
    /// before: kube's recorder compares no notes, so that the second wave would only be counted as the first.
    pub(crate) async fn news<K>(&self, object: &K, warning: bool, reason: &str, action: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        // A recorder of its own remembers nothing to count this for.
        publish(&recorder(self.client.clone()), object, warning, reason, action, note).await;
    }
}

fn recorder(client: Client) -> Recorder {
    Recorder::new(client, Reporter { controller: "fleet-controller".to_owned(), instance: None })
}

async fn publish<K>(recorder: &Recorder, object: &K, warning: bool, reason: &str, action: &str, note: String)
where
    K: Resource<DynamicType = ()>,
{
    let event = Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason: reason.to_owned(),
        // The API server refuses longer notes.
        note: Some(note.chars().take(1000).collect()),
        action: action.to_owned(),
        secondary: None,
    };
    if let Err(error) = recorder.publish(&event, &object.object_ref(&())).await {
        debug!(
            object = object.name_any(),
            error = &error as &dyn std::error::Error,
            "an event was not written"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use ::http::{Method, Request, Response};
    use k8s_openapi::api::core::v1::Namespace;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// What an API server was sent.
    type Sent = Arc<Mutex<Vec<(Method, Value)>>>;

    /// An API server that stores whatever it is sent, and what it was sent.
    fn server() -> (Client, Sent) {
        let sent = Sent::default();
        let log = Arc::clone(&sent);
        let service = tower::service_fn(move |request: Request<Body>| {
            let log = Arc::clone(&log);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                log.lock().unwrap().push((parts.method, serde_json::from_slice(&body).unwrap()));
                Ok::<_, Infallible>(Response::new(Body::from(body.to_vec())))
            }
        });
        (Client::new(service, "default"), sent)
    }

    fn object() -> Namespace {
        serde_json::from_value(json!({ "metadata": { "name": "up", "uid": "u-1" } })).unwrap()
    }

    #[tokio::test]
    async fn every_wave_that_begins_is_an_event_of_its_own() {
        let (client, sent) = server();
        let events = Events::new(client);
        for wave in ["canary", "early", "rest"] {
            events.news(&object(), false, "WaveBegan", "Tick", format!("wave {wave} began")).await;
        }
        let sent = sent.lock().unwrap();
        let notes: Vec<&str> = sent
            .iter()
            .filter(|(method, _)| *method == Method::POST)
            .map(|(_, event)| event["note"].as_str().unwrap())
            .collect();
        assert_eq!(notes, ["wave canary began", "wave early began", "wave rest began"]);
        assert_eq!(sent.len(), 3);
    }

    #[tokio::test]
    async fn what_happens_over_and_over_is_counted() {
        let (client, sent) = server();
        let events = Events::new(client);
        for _ in 0..3 {
            events.tell(&object(), true, "Throttled", "UpdateVersion", "slow down".to_owned()).await;
        }
        let sent = sent.lock().unwrap();
        let methods: Vec<&Method> = sent.iter().map(|(method, _)| method).collect();
        assert_eq!(methods, [Method::POST, Method::PATCH, Method::PATCH]);
        assert_eq!(sent[2].1["series"]["count"], 3);
    }
}
