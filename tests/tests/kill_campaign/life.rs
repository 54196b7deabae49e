//! One life: a tenant that is made, has its settings changed, is upgraded by a minor, and deleted.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    conditions, labels,
    receipt::{DeletionReceipt, ReceiptItem},
    v1alpha1::TenantCluster,
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    calls::{Call, Edge, Entry, Held, Key, Share},
    stack::{Stack, a_moment},
};

/// What kind of nodes a life has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nodes,
    Auto,
}

/// The parts of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Creation,
    Settings,
    Upgrade,
    Deletion,
}

/// In their order.
pub const PHASES: [Phase; 4] = [Phase::Creation, Phase::Settings, Phase::Upgrade, Phase::Deletion];

pub struct Life {
    pub kind: Kind,
    /// The tenant's name, and that of its class.
    pub tenant: String,
    /// What the cloud kept at the end of each phase, and the receipt at the last, with what differs between lives taken out.
    pub states: Vec<Value>,
    /// On which side of its calls controllers die.
    pub edge: Option<Edge>,
    /// In which calls.
    share: Share,
    /// The distinct calls that were held so far, in their order, and whether a controller died in each.
    met: Vec<(Call, bool)>,
    pub account: String,
    /// The cluster's name in the cloud, and the UID that its parts are tagged with.
    cluster: String,
    owner: String,
    /// Calls on their way whose callers are dead.
    late: BTreeSet<u64>,
    /// The distinct calls that took effect, in their order.
    effects: Vec<Call>,
}

impl Life {
    /// A life that goes undisturbed.
    pub fn calm(kind: Kind, account: String) -> Self {
        Self::new(kind, "calm", account, None, Share::default())
    }

    /// A life in which controllers die.
    pub fn disturbed(kind: Kind, account: String, edge: Edge, share: Share) -> Self {
        let manner = match edge {
            Edge::Before => "before",
            Edge::After => "after",
            Edge::Late => "late",
        };
        Self::new(kind, manner, account, Some(edge), share)
    }

    fn new(kind: Kind, manner: &str, account: String, edge: Option<Edge>, share: Share) -> Self {
        let nodes = if kind == Kind::Nodes { "nodes" } else { "auto" };
        Self {
            kind,
            tenant: format!("{nodes}-{manner}{}", share.label),
            states: Vec::new(),
            edge,
            share,
            met: Vec::new(),
            account,
            cluster: String::new(),
            owner: String::new(),
            late: BTreeSet::new(),
            effects: Vec::new(),
        }
    }

    /// Writes down what the tenant wants, while nobody acts on it, and plans where its controllers die.
    pub async fn found(&mut self, stack: &Stack) {
        stack.apply(&self.manifests());
        let tenant = stack.tenants().get(&self.tenant).await.unwrap();
        let name = self.tenant.parse().unwrap();
        self.cluster = fleet_api::ClusterName::derive(&name, &tenant.uid().unwrap()).as_str().to_owned();
        if let Some(edge) = self.edge {
            stack.emulator.hold(&self.cluster, edge).await;
        }
    }

    /// Writes down what a phase is about.
    pub async fn begin(&self, stack: &Stack, phase: Phase) {
        let patch = PatchParams::default();
        match phase {
            Phase::Creation => {}
            Phase::Settings => {
                let wanted = Patch::Merge(json!({ "spec": { "eks": self.settings(true) } }));
                stack.classes().patch(&self.tenant, &patch, &wanted).await.unwrap();
            }
            Phase::Upgrade => {
                let wanted = Patch::Merge(json!({ "spec": { "kubernetes": { "version": "1.36" } } }));
                stack.tenants().patch(&self.tenant, &patch, &wanted).await.unwrap();
            }
            Phase::Deletion => {
                stack.tenants().delete(&self.tenant, &DeleteParams::default()).await.unwrap();
            }
        }
    }

    /// Whether all that a phase is about is done, and said to be done.
    pub async fn is_over(&self, stack: &Stack, phase: Phase) -> bool {
        let cluster = stack.clusters().get_opt(&self.tenant).await.unwrap();
        if phase == Phase::Deletion {
            return cluster.is_none() && stack.tenants().get_opt(&self.tenant).await.unwrap().is_none();
        }
        let Some(cluster) = cluster else { return false };
        let logs = cluster.spec.eks.as_ref().map_or(0, |eks| eks.logging.len());
        let asked = logs == if phase == Phase::Creation { 2 } else { 5 }
            && cluster.spec.version.to_string() == if phase == Phase::Upgrade { "1.36" } else { "1.35" };
        let at_rest = |cluster: &TenantCluster| {
            let status = cluster.status.clone().unwrap_or_default();
            let holds = |type_| conditions::is_true(&status.conditions, type_, cluster.metadata.generation);
            holds(conditions::READY) && holds(conditions::UP_TO_DATE) && status.step.is_none()
        };
        asked && at_rest(&cluster) && self.cloud_has_it(stack, &cluster).await
    }

    /// Whether the cloud itself shows what was asked for, whatever the status says.
    async fn cloud_has_it(&self, stack: &Stack, cluster: &TenantCluster) -> bool {
        let world = stack.emulator.world().await;
        let Some(record) = self.records(&world).pop() else { return false };
        record["cluster"]["version"] == cluster.spec.version.to_string().as_str()
            && record["cluster"]["status"] == "ACTIVE"
    }

    /// Looks at the calls that are held, lets those go on in which no controller is to die, or one has died before,
    /// and gives the others.
    pub async fn held(&mut self, stack: &Stack, held: &[Held]) -> Vec<Held> {
        let mut at = Vec::new();
        let here = held.iter().filter(|one| self.is_about_this(&one.call) && !self.late.contains(&one.id));
        for one in here.collect::<Vec<_>>() {
            let met = self.met.iter().any(|(call, _)| *call == one.call);
            if !met && self.share.has(&self.key(&one.call, self.met.iter().map(|(call, _)| call))) {
                at.push(one.clone());
                continue;
            }
            if !met {
                self.met.push((one.call.clone(), false));
            }
            stack.emulator.let_go(one.id).await;
        }
        at
    }

    /// Notes that a controller died in the calls that are held, and decides what becomes of them.
    pub async fn died(&mut self, stack: &Stack, held: &[Held]) {
        for Held { id, call } in self.held(stack, held).await {
            if !self.met.iter().any(|(met, _)| *met == call) {
                self.met.push((call, true));
            }
            match self.edge {
                Some(Edge::Late) => {
                    self.late.insert(id);
                }
                _ => stack.emulator.drop_call(id).await,
            }
        }
    }

    /// Lets calls arrive whose callers are dead, and waits until they have. True when there were some.
    pub async fn let_late_calls_arrive(&mut self, stack: &Stack) -> bool {
        let late = std::mem::take(&mut self.late);
        for id in &late {
            let before = stack.emulator.journal().await.len();
            stack.emulator.let_go(*id).await;
            while stack.emulator.journal().await.len() == before {
                a_moment().await;
            }
        }
        !late.is_empty()
    }

    /// Writes down what the cloud keeps at the end of a phase.
    pub async fn note(&mut self, stack: &Stack, phase: Phase) {
        let world = stack.emulator.world().await;
        let records = self.records(&world);
        let templates: Vec<&Value> = list(&world["launchTemplates"])
            .filter(|template| template["name"].as_str().unwrap().contains(&self.cluster))
            .collect();
        if phase == Phase::Deletion {
            assert!(records.is_empty(), "{}: {records:#?}", self.tenant);
            assert!(templates.is_empty(), "{}: {templates:#?}", self.tenant);
            self.leaves_its_logs_alone(&world);
            let receipt = self.receipt(stack).await;
            self.states.push(self.scrub(&receipt));
            return;
        }
        assert_eq!(records.len(), 1, "{}: exactly one cluster: {records:#?}", self.tenant);
        self.owner = stack.clusters().get(&self.tenant).await.unwrap().uid().unwrap();
        let mut record = records[0].clone();
        let mut updates: Vec<Value> = list(&record["updates"])
            .map(|one| json!([one["update"]["type"], one["part"], one["update"]["status"]]))
            .collect();
        updates.sort_by_key(Value::to_string);
        record["updates"] = updates.into();
        let mut identities: Vec<Value> = list(&record["podIdentities"]).map(|one| self.scrub(one)).collect();
        identities.sort_by_key(Value::to_string);
        record["podIdentities"] = identities.into();
        let kept = json!({ "cluster": record, "launchTemplates": templates });
        self.states.push(self.scrub(&kept));
    }

    /// Everything in the cloud that carries the tenant's tag is gone; the logs outlive their cluster, untagged.
    fn leaves_its_logs_alone(&self, world: &Value) {
        let text = |value: &Value| {
            value.to_string().contains(&self.cluster) || value.to_string().contains(&self.owner)
        };
        let left: Vec<&str> = list(&world["leftovers"])
            .filter(|one| text(one))
            .map(|one| one["kind"].as_str().unwrap())
            .collect();
        assert_eq!(left, ["log-group"], "{}", self.tenant);
    }

    /// The receipt's two lists.
    async fn receipt(&self, stack: &Stack) -> Value {
        let map = stack.receipts().get(&format!("receipt-{}", self.cluster)).await.unwrap();
        let receipt: DeletionReceipt = serde_json::from_str(&map.data.unwrap()["receipt.json"]).unwrap();
        assert!(receipt.finished_at.is_some(), "{receipt:?}");
        assert!(receipt.deleted.iter().any(|item| item.kind == "cluster"), "{receipt:?}");
        assert!(receipt.remaining.iter().all(|item| item.kind == "log group"), "{receipt:?}");
        let listed = |items: &[ReceiptItem]| -> Vec<[String; 2]> {
            items.iter().map(|item| [item.kind.clone(), item.id.clone()]).collect()
        };
        json!({ "deleted": listed(&receipt.deleted), "remaining": listed(&receipt.remaining) })
    }

    /// Judges all that was sent for this life.
    pub fn judge(&mut self, journal: &[Entry]) {
        let mut tokens: BTreeMap<&Call, BTreeSet<&Option<String>>> = BTreeMap::new();
        let mine: Vec<&Entry> = journal.iter().filter(|entry| self.is_about_this(&entry.call)).collect();
        for entry in mine {
            let tenant = &self.tenant;
            let again = self.effects.contains(&entry.call);
            tokens.entry(&entry.call).or_default().insert(&entry.token);
            match &entry.refused {
                None => {
                    let alone = again || !entry.begins_update() || entry.running_updates == 0;
                    assert!(alone, "{tenant}: two updates in flight: {entry:?}");
                    if !again {
                        self.effects.push(entry.call.clone());
                    }
                }
                // What arrives late may find its work done, and a deletion whose answer did not come in time may be sent
                // again and find nothing; nothing else may be refused.
                Some(code) => {
                    let late = self.edge == Some(Edge::Late) && code != "InvalidParameterException";
                    let gone =
                        entry.call.operation.starts_with("Delete") && code == "ResourceNotFoundException";
                    assert!(again && (late || gone), "{tenant}: {entry:?}");
                }
            }
        }
        for (call, tokens) in tokens {
            assert_eq!(tokens.len(), 1, "{}: sent with several tokens: {call:?} {tokens:?}", self.tenant);
        }
    }

    /// The distinct calls that took effect, in their order.
    pub fn in_order(&self) -> Vec<Key> {
        let keys = self.effects.iter().enumerate();
        keys.map(|(index, call)| self.key(call, &self.effects[..index])).collect()
    }

    /// The same without their order, which may differ between lives.
    pub fn made(&self) -> BTreeSet<Key> {
        self.in_order().into_iter().collect()
    }

    /// The calls in which a controller died.
    pub fn killed_at(&self) -> Vec<Key> {
        let before = |index: usize| self.met[..index].iter().map(|(call, _)| call);
        let met = self.met.iter().enumerate().filter(|(_, (_, died))| *died);
        met.map(|(index, (call, _))| self.key(call, before(index))).collect()
    }

    /// What a call is, after these calls of the same life.
    fn key<'a>(&self, call: &Call, before: impl IntoIterator<Item = &'a Call>) -> Key {
        let what = |call: &Call| {
            let about = call.about.replace(&self.cluster, "CLUSTER").replace(&self.account, "ACCOUNT");
            // The ids of associations are the cloud's own.
            let about = match about.split_once("/pod-identity-associations/a-") {
                Some((cluster, _)) => format!("{cluster}/pod-identity-associations/ID"),
                None => about,
            };
            (call.operation.clone(), about)
        };
        let (operation, about) = what(call);
        let like = before.into_iter().filter(|one| what(one) == (operation.clone(), about.clone())).count();
        (operation, about, like)
    }

    fn is_about_this(&self, call: &Call) -> bool {
        call.about.contains(&self.cluster)
    }

    /// The clusters that carry the tenant's tag.
    fn records(&self, world: &Value) -> Vec<Value> {
        let mine = |record: &&Value| record["cluster"]["tags"][labels::TAG_TENANT] == self.tenant.as_str();
        list(&world["clusters"]).filter(mine).cloned().collect()
    }

    /// Takes out what differs between lives: names, ids, moments, and where the API server listens.
    fn scrub(&self, value: &Value) -> Value {
        const OWN: [&str; 23] = [
            "accessEntryArn",
            "addonArn",
            "asked",
            "associatedAt",
            "associationArn",
            "associationId",
            "certificateAuthority",
            "clientRequestToken",
            "clusterSecurityGroupId",
            "createdAt",
            "createdBy",
            "due",
            "effectiveAt",
            "endpoint",
            "id",
            "idempotency",
            "identity",
            "modifiedAt",
            "nodegroupArn",
            "resources",
            "server",
            "token",
            "upgraded",
        ];
        let text = |text: &str| {
            text.replace(&self.cluster, "CLUSTER")
                .replace(&self.owner, "OWNER")
                .replace(&self.tenant, "TENANT")
                .replace(&self.account, "ACCOUNT")
        };
        match value {
            Value::Object(members) => {
                let kept = members.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
                kept.map(|(name, value)| (text(name), self.scrub(value))).collect()
            }
            Value::Array(items) => items.iter().map(|item| self.scrub(item)).collect(),
            Value::String(value) => text(value).into(),
            other => other.clone(),
        }
    }
}

/// The values of a list or of an object.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .chain(value.as_object().into_iter().flat_map(|members| members.values()))
}
