//! Sends the probes. Nothing is ever stored: every write is a dry run.

use fleet_render::{Attempt, Check, Expect, Probe};
use futures::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Value, json};

use crate::remote::{Fault, Place, Remote, Resource, Writing, shorten};

/// How many probes of one cluster are on their way at once.
const AT_ONCE: usize = 8;

/// What one probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// The probe's id.
    pub id: String,
    /// What it tried.
    pub title: String,
    /// What came of it.
    pub saw: Saw,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saw {
    /// The server accepted.
    Allowed,
    /// The server refused, in these words.
    Denied {
        /// The refusal.
        message: String,
    },
    /// There was no answer from which anything follows.
    Unclear {
        /// Why.
        why: String,
    },
    /// No request can show it.
    NotShowable {
        /// Why.
        why: String,
    },
}

/// Sends probes, and gives back what each saw, in their order.
///
/// # Errors
/// The API server does not answer, does not know us, or asks to slow down: nothing follows about any control.
pub async fn run(remote: &Remote, probes: &[Probe]) -> Result<Vec<ProbeResult>, Fault> {
    let mut results = Vec::with_capacity(probes.len());
    let attempts: Vec<_> =
        probes.iter().map(|probe| async move { (probe, attempt(remote, probe).await) }.boxed()).collect();
    let mut answers = stream::iter(attempts).buffered(AT_ONCE);
    while let Some((probe, saw)) = answers.next().await {
        results.push(ProbeResult { id: probe.id.clone(), title: probe.title.clone(), saw: saw? });
    }
    Ok(results)
}

/// Whether a marker's answer is the one that shows that its policy bites.
pub(crate) fn bites(probe: &Probe, saw: &Saw) -> bool {
    match (&probe.expect, saw) {
        (Expect::Denied { by }, Saw::Denied { message }) => message.contains(by.as_str()),
        (Expect::Allowed, Saw::Allowed) => true,
        _ => false,
    }
}

async fn attempt(remote: &Remote, probe: &Probe) -> Result<Saw, Fault> {
    let how = Writing { dry_run: true, persona: Some(&probe.persona), ..Writing::default() };
    let answer = match &probe.attempt {
        Attempt::NotShowable { why } => return Ok(Saw::NotShowable { why: why.clone() }),
        Attempt::Create { object } => {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            let (Some(api_version), Some(kind)) = (text("/apiVersion"), text("/kind")) else {
                return Ok(Saw::Unclear { why: "the probe's object has no kind".to_owned() });
            };
            let resource = Resource::new(api_version, kind);
            remote.create(&resource, text("/metadata/namespace"), object, how).await
        }
        Attempt::Patch { api_version, kind, namespace, name, patch } => {
            let resource = Resource::new(api_version, kind);
            let place = Place { resource: &resource, namespace: namespace.as_deref(), name };
            remote.patch(place, "application/merge-patch+json", patch, how).await
        }
        Attempt::Delete { api_version, kind, namespace, name } => {
            let resource = Resource::new(api_version, kind);
            let place = Place { resource: &resource, namespace: namespace.as_deref(), name };
            remote.delete(place, None, how).await
        }
        Attempt::Access { verb, group, resource, subresource, namespace, name } => {
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": { "resourceAttributes": {
                    "verb": verb, "group": group, "resource": resource, "subresource": subresource,
                    "namespace": namespace, "name": name,
                } },
            });
            let reviews = Resource::new("authorization.k8s.io/v1", "SelfSubjectAccessReview");
            let how = Writing { persona: Some(&probe.persona), ..Writing::default() };
            return sort_review(remote.create(&reviews, None, &review, how).await, &probe.expect);
        }
        Attempt::Inspect { api_version, kind, namespace, name, checks } => {
            let resource = Resource::new(api_version, kind);
            let place = Place { resource: &resource, namespace: namespace.as_deref(), name };
            let found = remote.get(place, Some(&probe.persona)).await;
            return inspect(found, &format!("{kind} {name}"), checks, &probe.expect);
        }
    };
    sort(answer)
}

/// What an answer to a dry run means.
fn sort(answer: Result<Value, Fault>) -> Result<Saw, Fault> {
    match answer {
        Ok(_) => Ok(Saw::Allowed),
        // Storage is asked after admission: an object that is there already was let through by every policy.
        Err(Fault::Refused(status)) if status.reason == "AlreadyExists" => Ok(Saw::Allowed),
        Err(Fault::Refused(status)) if matches!(status.code, 400 | 403 | 422) => {
            Ok(Saw::Denied { message: shorten(&status.message) })
        }
        Err(fault) if fault.concerns_the_cluster() => Err(fault),
        Err(fault) => Ok(Saw::Unclear { why: fault.to_string() }),
    }
}

/// What a read object means: it must not be there, or it must be there and hold every comparison.
fn inspect(found: Result<Value, Fault>, what: &str, checks: &[Check], expect: &Expect) -> Result<Saw, Fault> {
    match (found, expect) {
        (Ok(_), Expect::Denied { .. }) => Ok(Saw::Allowed),
        (Ok(object), Expect::Allowed) => Ok(match checks.iter().find(|check| !check.holds(&object)) {
            None => Saw::Allowed,
            Some(check) => {
                Saw::Denied { message: format!("{what} does not hold what it must at {}", check.pointer) }
            }
        }),
        (Err(fault), Expect::Denied { by }) if fault.is_not_found() => {
            Ok(Saw::Denied { message: format!("{what} does not exist ({by})") })
        }
        (Err(fault), Expect::Allowed) if fault.is_not_found() => {
            Ok(Saw::Denied { message: format!("{what} does not exist") })
        }
        (Err(fault), _) => sort(Err(fault)),
    }
}

/// What the answer to an access review means. A refusal is one, whatever its words.
fn sort_review(answer: Result<Value, Fault>, expect: &Expect) -> Result<Saw, Fault> {
    match answer {
        Ok(review) => Ok(match review.pointer("/status/allowed").and_then(Value::as_bool) {
            Some(true) => Saw::Allowed,
            Some(false) => {
                let words = match expect {
                    Expect::Denied { by } => by.as_str(),
                    Expect::Allowed => "",
                };
                Saw::Denied { message: format!("the access review says no {words}").trim_end().to_owned() }
            }
            None => Saw::Unclear { why: "the access review has no answer".to_owned() },
        }),
        Err(fault) if fault.concerns_the_cluster() => Err(fault),
        Err(fault) => Ok(Saw::Unclear { why: fault.to_string() }),
    }
}
