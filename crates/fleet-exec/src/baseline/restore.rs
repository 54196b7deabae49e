//! Brings one object to what it should be, with as few requests as that takes.
//!
//! Deleted or never there: one apply. Changed: one read and one apply. Added to, in a way that an apply leaves
//! alone because somebody else owns the addition: a replace as a dry run tells what the object would be if it were
//! ours alone, and a patch removes the rest.

use std::sync::Arc;

use fleet_api::labels;
use fleet_render::{Bundle, BundleObject};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    compare::{
        content, fingerprint, has_foreign_content, is_shared, other_manager, removals, shortfall, trace,
    },
    fight::Repairs,
};
use crate::remote::{Fault, Place, Remote, Resource, Writing};

/// The media type of a server-side apply. JSON is YAML.
const APPLY: &str = "application/apply-patch+yaml";
/// Kinds of which a field cannot be changed: such an object is made anew.
const REMADE: [&str; 4] = ["RoleBinding", "ClusterRoleBinding", "PriorityClass", "StorageClass"];

/// A live object as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) uid: String,
    pub(crate) version: String,
    /// From [`trace`].
    pub(crate) trace: u64,
    /// Whether it is being deleted and not yet gone.
    pub(crate) leaving: bool,
}

impl Live {
    /// Reads what identifies an object from its metadata; `None` when it is no metadata.
    pub(crate) fn of(metadata: &Value) -> Option<Self> {
        let text = |field: &str| metadata.get(field).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            uid: text("uid")?,
            version: text("resourceVersion")?,
            trace: trace(metadata),
            leaving: metadata.get("deletionTimestamp").is_some(),
        })
    }
}

/// What an object needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// It is as wanted.
    Nothing,
    /// It is as wanted as far as was seen, and was never compared with a rehearsal.
    Verify,
    /// It may have changed: it has to be read.
    Look,
    /// It is not there, or known to differ.
    Write,
}

/// How a live object stands to what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is as wanted.
    Holds,
    /// It lacks something, or has another value.
    Short,
    /// It holds everything, and may hold more.
    Suspicious,
    /// It is on its way out.
    Leaving,
}

/// Judges a live object. `image` is the fingerprint of what it said after our last write of the same intent.
pub(crate) fn judge(wanted: &Value, live: &Value, image: Option<u64>) -> Judgement {
    let metadata = live.get("metadata").unwrap_or(&Value::Null);
    let kind = wanted.get("kind").and_then(Value::as_str).unwrap_or_default();
    if metadata.get("deletionTimestamp").is_some() {
        return Judgement::Leaving;
    }
    if shortfall(wanted, live).is_some() {
        return Judgement::Short;
    }
    let suspicious = !is_shared(kind)
        && match image {
            Some(image) => image != fingerprint(&content(live)),
            None => has_foreign_content(metadata),
        };
    if suspicious { Judgement::Suspicious } else { Judgement::Holds }
}

/// The object as it is applied: with the hash of its intent, by which a restart knows that nothing has to be
/// written, and with its phase, by which it is pruned in its turn.
pub(crate) fn wanted(object: &BundleObject) -> Value {
    let mut value = object.value.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(labels::INTENT.to_owned(), Value::from(object.hash.clone()));
            annotations.insert(labels::PHASE.to_owned(), Value::from(object.phase.as_str()));
        }
    }
    value
}

/// One object to bring to what it should be.
pub(crate) struct Job {
    /// The object's place in the bundle.
    pub(crate) at: usize,
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) resource: Resource,
    pub(crate) need: Need,
    pub(crate) image: Option<u64>,
    /// Whether the object was as wanted before: a write is then a repair.
    pub(crate) held: bool,
    pub(crate) repairs: Repairs,
}

/// What came of a job.
pub(crate) struct Done {
    pub(crate) at: usize,
    pub(crate) repairs: Repairs,
    pub(crate) outcome: Outcome,
}

pub(crate) enum Outcome {
    /// It is as wanted, and nothing was written.
    Holds {
        live: Live,
        image: Option<u64>,
        object: Value,
    },
    /// It was written.
    Written {
        live: Live,
        image: Option<u64>,
        object: Value,
        repaired: bool,
    },
    /// It is fought over, and left alone for now: its repairs say until when.
    Left,
    /// The answer to our own write does not hold what was written, at this place.
    Overruled {
        path: String,
    },
    /// It is being deleted: there is nothing to do before it is gone.
    Leaving,
    Failed(Fault),
}

impl Job {
    /// Does what the object needs.
    pub(crate) async fn run(mut self, remote: &Remote) -> Done {
        let mut outcome = self.restore(remote).await.unwrap_or_else(Outcome::Failed);
        match &outcome {
            Outcome::Written { repaired: true, .. } => self.repairs.done(Instant::now()),
            Outcome::Overruled { path } => {
                let other =
                    format!("whatever changes {path} while it is written, such as an admission webhook");
                self.repairs.give_up(Instant::now(), &other);
                outcome = Outcome::Left;
            }
            _ => {}
        }
        Done { at: self.at, repairs: self.repairs, outcome }
    }

    async fn restore(&mut self, remote: &Remote) -> Result<Outcome, Fault> {
        let bundle = Arc::clone(&self.bundle);
        let Some(object) = bundle.objects.get(self.at) else {
            return Err(Fault::garbage("an object that the bundle does not have"));
        };
        let wanted = wanted(object);
        let resource = self.resource.clone();
        let place = Place { resource: &resource, namespace: object.namespace.as_deref(), name: &object.name };

        let found = match self.need {
            Need::Write => None,
            Need::Nothing | Need::Verify | Need::Look => match remote.get(place, None).await {
                Ok(live) => Some(live),
                Err(fault) if fault.is_not_found() => None,
                Err(fault) => return Err(fault),
            },
        };
        let Some(live) = found else {
            if self.ask("whoever deletes it").is_err() {
                return Ok(Outcome::Left);
            }
            return self.write(remote, place, &wanted).await;
        };
        let judgement = match judge(&wanted, &live, self.image) {
            Judgement::Holds if self.need == Need::Verify => Judgement::Suspicious,
            judgement => judgement,
        };
        match judgement {
            Judgement::Holds => {
                let image = self.image.or_else(|| learn(&live));
                Ok(Outcome::Holds { live: identify(&live, place)?, image, object: live })
            }
            Judgement::Leaving => Ok(Outcome::Leaving),
            Judgement::Short => {
                if self.ask(&who(&live)).is_err() {
                    return Ok(Outcome::Left);
                }
                self.write(remote, place, &wanted).await
            }
            Judgement::Suspicious => {
                let expected = rehearse(remote, place, &wanted, &live).await?;
                let patch = removals(&content(&live), &content(&expected));
                if patch.is_empty() {
                    let image = Some(fingerprint(&content(&live)));
                    return Ok(Outcome::Holds { live: identify(&live, place)?, image, object: live });
                }
                if self.ask(&who(&live)).is_err() {
                    return Ok(Outcome::Left);
                }
                self.strip(remote, place, &wanted, &live, patch).await
            }
        }
    }

    /// Whether a repair may be made. What never held is no repair, and is always allowed.
    fn ask(&mut self, other: &str) -> Result<(), Instant> {
        if self.held { self.repairs.ask(Instant::now(), other) } else { Ok(()) }
    }

    async fn write(&self, remote: &Remote, place: Place<'_>, wanted: &Value) -> Result<Outcome, Fault> {
        let how = Writing { manager: Some(labels::BASELINE_MANAGER), force: true, ..Writing::default() };
        let written = match remote.patch(place, APPLY, wanted, how).await {
            Err(Fault::Refused(status))
                if status.code == 422 && REMADE.contains(&place.resource.kind.as_str()) =>
            {
                let live = remote.get(place, None).await?;
                let uid = live.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
                remote.delete(place, Some(uid), Writing::default()).await?;
                remote.patch(place, APPLY, wanted, how).await?
            }
            other => other?,
        };
        let live = identify(&written, place)?;
        match judge(wanted, &written, self.image) {
            Judgement::Holds => {
                let image = self.image.or_else(|| learn(&written));
                Ok(self.written(live, image, written))
            }
            Judgement::Leaving => Ok(Outcome::Leaving),
            Judgement::Short | Judgement::Suspicious => {
                let expected = rehearse(remote, place, wanted, &written).await?;
                let patch = removals(&content(&written), &content(&expected));
                self.strip(remote, place, wanted, &written, patch).await
            }
        }
    }

    /// Removes what somebody added.
    async fn strip(
        &self,
        remote: &Remote,
        place: Place<'_>,
        wanted: &Value,
        live: &Value,
        mut patch: Vec<Value>,
    ) -> Result<Outcome, Fault> {
        let stripped = if patch.is_empty() {
            live.clone()
        } else {
            // What was compared is what is changed, or nothing is.
            let version = live.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
            patch.insert(0, json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version }));
            let how = Writing { manager: Some(labels::BASELINE_MANAGER), ..Writing::default() };
            remote.patch(place, "application/json-patch+json", &Value::Array(patch), how).await?
        };
        if let Some(path) = shortfall(wanted, &stripped) {
            // Not even the answer to our own write holds what was written: something changes it on its way in.
            return Ok(Outcome::Overruled { path });
        }
        let image = Some(fingerprint(&content(&stripped)));
        Ok(self.written(identify(&stripped, place)?, image, stripped))
    }

    const fn written(&self, live: Live, image: Option<u64>, object: Value) -> Outcome {
        Outcome::Written { live, image, object, repaired: self.held }
    }
}

/// What the object would be if it were replaced by what is wanted. Nothing is stored.
async fn rehearse(remote: &Remote, place: Place<'_>, wanted: &Value, live: &Value) -> Result<Value, Fault> {
    let mut alone = wanted.clone();
    if let Some(metadata) = alone.get_mut("metadata").and_then(Value::as_object_mut) {
        let version = live.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        metadata.insert("resourceVersion".to_owned(), version);
    }
    let how = Writing { manager: Some(labels::BASELINE_MANAGER), dry_run: true, ..Writing::default() };
    remote.replace(place, &alone, how).await
}

/// The fingerprint to compare with later, when nobody else has a part in the object.
pub(crate) fn learn(object: &Value) -> Option<u64> {
    let metadata = object.get("metadata")?;
    (!has_foreign_content(metadata)).then(|| fingerprint(&content(object)))
}

fn who(live: &Value) -> String {
    live.get("metadata").and_then(other_manager).unwrap_or_else(|| "somebody unknown".to_owned())
}

/// The identity of an object, if it is the one that was asked for.
fn identify(object: &Value, place: Place<'_>) -> Result<Live, Fault> {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    let named = metadata.get("name").and_then(Value::as_str) == Some(place.name);
    Live::of(metadata)
        .filter(|_| named)
        .ok_or_else(|| Fault::garbage(format!("the answer is not {} {}", place.resource.kind, place.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(egress: Value) -> Value {
        json!({
            "kind": "NetworkPolicy",
            "metadata": { "name": "deny", "uid": "u", "resourceVersion": "7" },
            "spec": { "podSelector": {}, "policyTypes": ["Egress"], "egress": egress },
        })
    }

    #[test]
    fn an_addition_beside_everything_wanted_is_suspicious_once_the_image_is_known() {
        let wanted = json!({
            "kind": "NetworkPolicy", "metadata": { "name": "deny" }, "spec": { "policyTypes": ["Egress"] },
        });
        let clean = policy(Value::Null);
        let image = learn(&clean);
        assert_eq!(judge(&wanted, &clean, image), Judgement::Holds);
        assert_eq!(judge(&wanted, &policy(json!([{}])), image), Judgement::Suspicious);
        assert_eq!(judge(&wanted, &json!({ "metadata": [] }), image), Judgement::Short);
        let mut leaving = clean;
        leaving["metadata"]["deletionTimestamp"] = json!("2026-11-24T00:00:00Z");
        assert_eq!(judge(&wanted, &leaving, image), Judgement::Leaving);
    }

    #[test]
    fn an_answer_about_another_object_is_garbage() {
        let resource = Resource::new("networking.k8s.io/v1", "NetworkPolicy");
        let place = Place { resource: &resource, namespace: Some("acme"), name: "deny" };
        assert!(identify(&policy(Value::Null), place).is_ok());
        for answer in [json!({}), json!({ "metadata": { "name": "other" } }), json!({ "metadata": 7 })] {
            assert!(matches!(identify(&answer, place), Err(Fault::Garbage { .. })), "{answer}");
        }
    }
}
