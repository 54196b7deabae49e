//! A management cluster and an executor as small as they can be: they store one object and lose what is not stored.

use fleet_api::{
    conditions::{self, Verdict},
    eks::{ClusterTarget, EksObservation},
    step::{Action, Outcome},
    v1alpha1::{ReportEntry, TenantCluster, TenantClusterSpec, TenantClusterStatus},
};
use fleet_plan::{
    cluster::{ClusterPlan, attention, begin, begins_update, note_outcome, plan},
    windows::{self, Change, Permission},
};
use fleet_provider::{
    ClusterProvider as _, ErrorClass,
    fake::{FakeEks, ManualClock},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

/// Where a crash happens, relative to the call of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The intent is stored, and the call was not made.
    BeforeCall,
    /// The call was made, and its outcome is lost.
    AfterCall,
    /// The outcome is stored, and what the plan had beside it is not carried out.
    AfterRecord,
}

impl Crash {
    pub const ALL: [Self; 3] = [Self::BeforeCall, Self::AfterCall, Self::AfterRecord];
}

/// How a cluster came to rest.
pub struct Rest {
    pub deleted: bool,
    pub report: Vec<ReportEntry>,
}

/// One cluster's object, the cloud and the clock.
pub struct Hub {
    pub object: TenantCluster,
    pub eks: FakeEks,
    pub clock: ManualClock,
    /// How many steps were begun.
    pub begun: usize,
    /// The step at which the executor dies, and how.
    pub crash: Option<(usize, Crash)>,
    /// Whether it has died there.
    pub crashed: bool,
    /// What the probes say of a baseline, by how many looks ago the cluster could first be entered with this spec:
    /// nothing yet, or whether it bites.
    pub proof: fn(usize) -> Option<bool>,
    entered_for: usize,
    /// What must never be seen, and was.
    pub faults: Vec<String>,
}

/// How often a cluster at rest is looked at.
const STEADY: SignedDuration = SignedDuration::from_mins(5);

pub fn start() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// A class with node groups or Auto Mode.
pub fn class(auto_mode: bool, protected: bool) -> serde_json::Value {
    let mut class = json!({
        "account": "444455556666", "region": "eu-central-1",
        "roleArn": "arn:aws:iam::444455556666:role/fleet-manager",
        "clusterRoleArn": "arn:aws:iam::444455556666:role/eks-cluster",
        "network": {"subnetIds": ["subnet-a", "subnet-b"]},
        "deletionProtection": protected,
        "podIdentities": [{"namespace": "kube-system", "serviceAccount": "ebs", "roleArn": "arn:aws:iam::444455556666:role/ebs"}],
        "platformAccess": [{"principalArn": "arn:aws:iam::444455556666:role/platform", "policy": "AmazonEKSViewPolicy"}],
    });
    if auto_mode {
        class["autoMode"] =
            json!({"nodeRoleArn": "arn:aws:iam::444455556666:role/node", "nodePools": ["system"]});
    } else {
        class["nodeGroups"] = json!([{
            "name": "workers", "platform": "bottlerocket-x86_64", "instanceTypes": ["m7i.large"],
            "scaling": {"min": 1, "max": 3, "desired": 2}, "nodeRoleArn": "arn:aws:iam::444455556666:role/node",
        }]);
    }
    class
}

/// The spec of a cluster of a class at a minor.
pub fn spec(class: &serde_json::Value, version: &str) -> TenantClusterSpec {
    serde_json::from_value(json!({
        "tenant": "acme", "tenantUid": "uid-tenant", "owner": {"team": "acme", "contact": "acme@acme.example"},
        "class": "eks", "clusterName": "acme-12345678", "version": version,
        "hardening": {"baseline": "standard", "namespaces": ["acme"], "access": [
            {"group": "acme-admins", "principalArn": "arn:aws:iam::444455556666:role/acme", "role": "admin"}]},
        "deletionConfirmed": true,
        "eks": class,
    }))
    .unwrap()
}

fn is_proven(status: &TenantClusterStatus) -> bool {
    conditions::get(&status.conditions, conditions::PROVEN).is_some_and(|proven| proven.status == "True")
}

impl Hub {
    pub fn new(spec: TenantClusterSpec) -> Self {
        let clock = ManualClock::at(start());
        let mut object = TenantCluster::new("acme", spec);
        object.metadata.uid = Some("uid-cluster".to_owned());
        object.metadata.generation = Some(1);
        Self {
            object,
            eks: FakeEks::new(clock.reader()),
            clock,
            begun: 0,
            crash: None,
            crashed: false,
            proof: |_| Some(true),
            entered_for: 0,
            faults: Vec::new(),
        }
    }

    /// Somebody edits the spec.
    pub fn edit(&mut self, change: impl FnOnce(&mut TenantClusterSpec)) {
        change(&mut self.object.spec);
        self.object.metadata.generation = self.object.metadata.generation.map(|generation| generation + 1);
        self.entered_for = 0;
    }

    /// Somebody deletes the object.
    pub fn delete(&mut self) {
        self.object.metadata.deletion_timestamp = Some(Time(self.clock.now()));
    }

    fn target(&self) -> ClusterTarget {
        ClusterTarget::of(&self.object).unwrap()
    }

    pub async fn look(&self, before: Option<&ClusterPlan>) -> EksObservation {
        let mut focus = attention(&self.object);
        if let Some(before) = before {
            focus.leftovers |= before.focus.leftovers;
            focus.readiness |= before.focus.readiness;
            focus.addons.extend(before.focus.addons.iter().cloned());
        }
        self.eks.observe(&self.target(), &focus).await.unwrap()
    }

    /// One reconcile; gives the plan that it acted upon.
    pub async fn turn(&mut self, before: Option<&ClusterPlan>) -> ClusterPlan {
        let seen = self.look(before).await;
        let now = self.clock.now();
        let planned = plan(&self.object, &seen, now);
        let again = plan(&self.object, &seen, now);
        self.expect(
            serde_json::to_string(&planned).unwrap() == serde_json::to_string(&again).unwrap(),
            "the same input gave another plan",
        );
        self.expect(!planned.report.is_empty(), "a plan without a reason");
        let updates = planned.steps.iter().filter(|step| begins_update(&step.action)).count();
        self.expect(updates <= 1, "two updates in one plan");
        let generation = self.object.metadata.generation;
        let mut status = self.object.status.clone().unwrap_or_default();
        planned.record(&mut status, generation, now);
        let was_proven = is_proven(&status);
        if planned.enterable && self.object.metadata.deletion_timestamp.is_none() {
            self.probe(&mut status, now);
        }
        self.object.status = Some(status.clone());
        for step in &planned.steps {
            if step.disruptive {
                let maintenance = self.object.spec.maintenance.as_ref();
                let open = windows::permission_for(maintenance, Change::GoesOn, now, 0).unwrap();
                self.expect(matches!(open, Permission::Now { .. }), &format!("{} outside a window", step.id));
            }
            self.expect(
                was_proven || step.id != "update-version",
                "an upgrade of a cluster that is not proven",
            );
            begin(&mut status, step, now);
            self.object.status = Some(status.clone());
            self.begun += 1;
            let dies = self.crash.filter(|(at, _)| *at == self.begun).map(|(_, crash)| crash);
            self.crashed |= dies.is_some();
            if dies == Some(Crash::BeforeCall) {
                return planned;
            }
            let outcome = match &step.action {
                Action::DrainWorkloads => {
                    Ok(Outcome { still_draining: Some(Vec::new()), ..Outcome::default() })
                }
                Action::Eks(_) => self.eks.carry_out(&self.target(), step).await,
            };
            let running = self.eks.updates_in_progress(&self.object.spec.cluster_name);
            self.expect(running <= 1, &format!("{running} updates at once after {}", step.id));
            if dies == Some(Crash::AfterCall) {
                return planned;
            }
            match outcome {
                Ok(outcome) => note_outcome(&mut status, step, &outcome, now),
                Err(error) => {
                    let passes = error.class.passes_by_itself();
                    self.expect(passes, &format!("{} was refused: {error}", step.id));
                    if error.class == ErrorClass::WorldMoved {
                        break;
                    }
                }
            }
            self.object.status = Some(status.clone());
            if dies == Some(Crash::AfterRecord) {
                return planned;
            }
        }
        self.object.status = Some(status);
        planned
    }

    /// What the baseline's engine would have found out by now.
    fn probe(&mut self, status: &mut TenantClusterStatus, now: Timestamp) {
        use conditions::reason;
        let verdict = match (self.proof)(self.entered_for) {
            None => Verdict::unknown(conditions::PROVEN, reason::NOT_OBSERVED, ""),
            Some(false) => Verdict::fails(conditions::PROVEN, reason::PROBE_FAILED, ""),
            Some(true) => {
                status.baseline.proven_at = Some(Time(now));
                Verdict::holds(conditions::PROVEN, reason::AS_WANTED, "")
            }
        };
        conditions::set(&mut status.conditions, &verdict, self.object.metadata.generation, now);
        self.entered_for += 1;
    }

    /// Turns until the plan is at rest and as wanted, or deleted; the number of turns is bounded.
    pub async fn settle(&mut self) -> Rest {
        self.settle_unless(|_| false).await.unwrap()
    }

    /// As [`settle`](Self::settle), and `None` as soon as something has happened.
    pub async fn settle_unless(&mut self, happened: impl Fn(&Self) -> bool) -> Option<Rest> {
        let mut before: Option<ClusterPlan> = None;
        for _ in 0..600 {
            let crashed_before = self.crashed;
            let planned = self.turn(before.as_ref()).await;
            if happened(self) {
                return None;
            }
            if self.crashed != crashed_before {
                // The next process has nothing but what is stored.
                before = None;
                continue;
            }
            let holds = planned.verdicts.iter().all(|verdict| verdict.status == Some(true));
            if planned.deleted || (planned.steps.is_empty() && holds) {
                return Some(Rest { deleted: planned.deleted, report: planned.report });
            }
            // Days of waiting for a window are looked at less closely: nothing is said twice in them.
            let idle = before.as_ref().is_some_and(|before| before.report == planned.report);
            let pause = planned.look_again_after;
            let pause = if idle && pause >= STEADY { SignedDuration::from_mins(30) } else { pause };
            self.clock.advance(pause.max(SignedDuration::from_secs(1)));
            before = Some(planned);
        }
        let last = before.unwrap();
        panic!(
            "it never came to rest: {:?}; {:?}",
            last.report,
            self.object.status.as_ref().map(|s| &s.step)
        );
    }

    fn expect(&mut self, holds: bool, fault: &str) {
        if !holds {
            self.faults.push(fault.to_owned());
        }
    }

    /// How often the cloud did something of an operation.
    pub fn count(&self, operation: &str) -> usize {
        self.eks.effects().iter().filter(|effect| effect.split(' ').next() == Some(operation)).count()
    }
}
