//! The checks of gates: made in the background, kept for a while, and asked for again while a gate waits for them.
//!
//! A tick never waits for a check. What could not be told is no answer, and opens nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use fleet_api::{
    names::content_hash,
    v1alpha1::{Gate, GateStatus, MemberState, Rollout, TenantCluster},
};
use fleet_exec::{
    gates::{JobRun, JobState, run_job},
    remote::Remote,
};
use fleet_plan::rollout::CheckResult;
use fleet_spec::condition::Condition;
use futures::future::join_all;
use jiff::Timestamp;
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};

use super::{condition, prometheus::Server, world::Seen};
use crate::{context::Context, error::chain};

/// How many times the pace of the loop passes between two checks of a gate: a minute with the default.
const PACES: u32 = 3;
/// How long one look at a Job in a tenant's cluster may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most members that a message names.
const NAMED: usize = 3;

/// The checks of all rollouts, by the rollout's UID and the gate's name.
#[derive(Default)]
pub(crate) struct Checks {
    by_rollout: Mutex<HashMap<String, HashMap<String, Check>>>,
}

/// One gate's check.
struct Check {
    result: Option<CheckResult>,
    /// Whether one is being made.
    running: bool,
    /// When the next one is to be made.
    due: Instant,
    /// Since when the gate can open: what was found before speaks of another state of the fleet.
    since: Option<Timestamp>,
}

/// What a check asks, with everything that it needs.
enum Question {
    Condition { expression: String, clusters: Vec<(String, Option<Arc<TenantCluster>>)> },
    Prometheus { server: Server, query: String },
    Job { jobs: Vec<(String, Option<Remote>, JobRun)>, now: Timestamp },
}

/// What one member, or one query, says.
type Word = (String, Option<bool>, String);

impl Checks {
    /// What the checks of a rollout last said, by gate.
    pub(super) fn results(&self, rollout: &Rollout) -> BTreeMap<String, CheckResult> {
        let uid = rollout.uid().unwrap_or_default();
        let by_rollout = self.lock();
        let all = by_rollout.get(&uid).into_iter().flatten();
        all.filter_map(|(gate, check)| Some((gate.clone(), check.result.clone()?))).collect()
    }

    /// Begins the checks of gates that can open and have not been checked lately.
    pub(super) fn refresh(self: &Arc<Self>, context: &Arc<Context>, seen: &Seen) {
        let uid = seen.rollout.uid().unwrap_or_default();
        for (wave, gate, status) in waiting(&seen.rollout) {
            let since = status.openable_since.as_ref().map(|since| since.0);
            if !self.begin(&uid, &gate.name, since) {
                continue;
            }
            let Some(question) = question(context, seen, wave, gate, since) else { continue };
            let (checks, context) = (Arc::clone(self), Arc::clone(context));
            let (uid, name) = (uid.clone(), gate.name.clone());
            let rollout = ObjectRef::<Rollout>::from_obj(&*seen.rollout);
            let every = (context.pace * PACES).max(Duration::from_secs(1));
            tokio::spawn(async move {
                let words = answer(&context, question).await;
                let result = sum_up(&words, context.now());
                if checks.end(&uid, &name, result, every) {
                    context.queues.rollouts.ask_for(rollout);
                }
            });
        }
    }

    /// Forgets a rollout that is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Whether a check is to be made now; it then counts as being made.
    fn begin(&self, uid: &str, gate: &str, since: Option<Timestamp>) -> bool {
        let mut by_rollout = self.lock();
        let check = by_rollout.entry(uid.to_owned()).or_default().entry(gate.to_owned()).or_insert(Check {
            result: None,
            running: false,
            due: Instant::now(),
            since,
        });
        if check.since != since {
            (check.result, check.since, check.due) = (None, since, Instant::now());
        }
        let begins = !check.running && check.due <= Instant::now();
        check.running |= begins;
        begins
    }

    /// Keeps what was found. False when the rollout has gone meanwhile.
    fn end(&self, uid: &str, gate: &str, result: CheckResult, every: Duration) -> bool {
        let mut by_rollout = self.lock();
        let Some(check) = by_rollout.get_mut(uid).and_then(|gates| gates.get_mut(gate)) else { return false };
        check.running = false;
        check.due = Instant::now() + every;
        // What was begun before the gate could open again is not its answer.
        if check.since.is_none_or(|since| since <= result.at) {
            check.result = Some(result);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, HashMap<String, Check>>> {
        self.by_rollout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gates that can open and wait for a check: wave, gate and where it stands.
fn waiting(rollout: &Rollout) -> Vec<(&str, &Gate, &GateStatus)> {
    let mut waiting = Vec::new();
    let status = rollout.status.iter().flat_map(|status| &status.waves);
    for (wave, told) in status.filter_map(|told| {
        let wave = rollout.spec.waves.iter().find(|wave| wave.name == told.name)?;
        Some((wave, told))
    }) {
        for gate in wave.before.iter().chain(&wave.after) {
            let asks = gate.condition.is_some() || gate.prometheus.is_some() || gate.job.is_some();
            let status = told.gates.iter().find(|status| status.name == gate.name);
            let open = |status: &&GateStatus| status.openable_since.is_some() && status.opened_at.is_none();
            if let Some(status) = status.filter(open).filter(|_| asks) {
                waiting.push((wave.name.as_str(), gate, status));
            }
        }
    }
    waiting
}

/// Gathers what a check needs. Members that have left the wave, or failed in it, are not asked.
fn question(
    context: &Context,
    seen: &Seen,
    wave: &str,
    gate: &Gate,
    since: Option<Timestamp>,
) -> Option<Question> {
    // The gate has become openable by what somebody read who saw every member; this process may not have read them all.
    let planned = usize::try_from(seen.rollout.spec.planned_members).unwrap_or(usize::MAX);
    if seen.members.len() < planned {
        return None;
    }
    let counts = |state: MemberState| {
        !matches!(
            state,
            MemberState::Skipped | MemberState::Failed | MemberState::RollingBack | MemberState::RolledBack
        )
    };
    let members = seen.members.values().filter(|seen| {
        let state = seen.member.status.as_ref().map(|status| status.state).unwrap_or_default();
        seen.member.spec.wave == wave && counts(state)
    });
    let clusters = members.map(|seen| {
        (seen.member.spec.tenant.clone(), seen.cluster.as_ref().map(|seen| Arc::clone(&seen.cluster)))
    });
    if let Some(expression) = &gate.condition {
        return Some(Question::Condition { expression: expression.clone(), clusters: clusters.collect() });
    }
    if let Some(asked) = &gate.prometheus {
        let server = Server::of(&asked.url, &context.stores.fleet().spec.prometheus, context.addresses);
        return Some(Question::Prometheus { server, query: asked.query.clone() });
    }
    let job = gate.job.as_ref()?;
    let run = |tenant: &str| {
        let rollout = seen.rollout.uid().unwrap_or_default();
        // A gate that can open anew is checked anew.
        let name = content_hash(&(rollout, &gate.name, tenant, since.map(Timestamp::as_second)));
        let name: String = name.unwrap_or_default().chars().take(16).collect();
        JobRun {
            namespace: job.namespace.clone(),
            cron_job: job.cron_job.clone(),
            name: format!("fleet-gate-{name}"),
            deadline: Duration::try_from(job.deadline.to_duration()).unwrap_or(PATIENCE),
        }
    };
    let jobs = clusters.map(|(tenant, cluster)| {
        let uid = cluster.and_then(|cluster| cluster.uid());
        let remote = uid.and_then(|uid| context.engines.remote(&uid));
        let run = run(&tenant);
        (tenant, remote, run)
    });
    Some(Question::Job { jobs: jobs.collect(), now: context.now() })
}

/// Makes a check.
async fn answer(context: &Context, question: Question) -> Vec<Word> {
    match question {
        Question::Condition { expression, clusters } => {
            let judge = move || {
                let compiled = Condition::compile(&expression);
                clusters.into_iter().map(|one| judge(compiled.as_ref(), one)).collect()
            };
            condition::on_deep_stack(judge).await.unwrap_or_else(|error| {
                vec![(String::new(), None, format!("the condition could not be judged: {error}"))]
            })
        }
        Question::Prometheus { server, query } => {
            let word = match server.ask(&context.client, &query).await {
                Ok((true, samples)) => (Some(true), format!("the query holds, with {samples} samples")),
                Ok((false, 0)) => (Some(false), "the query has no result".to_owned()),
                Ok((false, _)) => (Some(false), "the query does not hold".to_owned()),
                Err(error) => (None, chain(&error)),
            };
            vec![(String::new(), word.0, word.1)]
        }
        Question::Job { jobs, now } => {
            join_all(jobs.into_iter().map(|(tenant, remote, run)| async move {
                let (passed, message) = job(remote, &run, now).await;
                (tenant, passed, message)
            }))
            .await
        }
    }
}

fn judge(
    compiled: Result<&Condition, &String>,
    (tenant, cluster): (String, Option<Arc<TenantCluster>>),
) -> Word {
    let word = match cluster {
        None => Err("its cluster is not there".to_owned()),
        Some(cluster) => compiled.map_err(Clone::clone).and_then(|condition| condition.meets(&cluster)),
    };
    match word {
        Ok(true) => (tenant, Some(true), "meets the condition".to_owned()),
        Ok(false) => (tenant, Some(false), "does not meet the condition".to_owned()),
        Err(why) => (tenant, None, why),
    }
}

async fn job(remote: Option<Remote>, run: &JobRun, now: Timestamp) -> (Option<bool>, String) {
    let Some(remote) = remote else { return (None, "there is no way to its API server yet".to_owned()) };
    let told = format!("Job {}/{}", run.namespace, run.name);
    match tokio::time::timeout(PATIENCE, run_job(&remote, run, now)).await {
        Ok(Ok(JobState::Succeeded)) => (Some(true), format!("{told} succeeded")),
        Ok(Ok(JobState::Failed(why))) => {
            (Some(false), format!("{told} failed: {why} (delete it to run it again)"))
        }
        Ok(Ok(JobState::Running)) => (None, format!("{told} runs")),
        Ok(Err(fault)) => (None, format!("{told}: {}", chain(&fault))),
        Err(_) => (None, format!("{told}: the API server takes too long")),
    }
}

/// One word out of many: one that fails speaks first, then one that could not be told. Nobody to ask is no answer.
fn sum_up(words: &[Word], at: Timestamp) -> CheckResult {
    let of = |wanted: Option<bool>| words.iter().filter(move |(_, passed, _)| *passed == wanted);
    let told = |wanted: Option<bool>| {
        let some: Vec<String> = of(wanted)
            .take(NAMED)
            .map(|(who, _, said)| if who.is_empty() { said.clone() } else { format!("{who}: {said}") })
            .collect();
        let more = of(wanted).count().saturating_sub(NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        format!("{}{more}", some.join("; "))
    };
    let (passed, message) = if of(Some(false)).next().is_some() {
        (Some(false), told(Some(false)))
    } else if of(None).next().is_some() {
        (None, told(None))
    } else if words.is_empty() {
        (None, "no member of the wave is left to ask".to_owned())
    } else {
        (Some(true), told(Some(true)))
    };
    CheckResult { at, passed, message: message.chars().take(1000).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(who: &str, passed: Option<bool>) -> Word {
        (who.to_owned(), passed, "said".to_owned())
    }

    #[test]
    fn a_gate_passes_only_when_everybody_says_so() {
        let at = Timestamp::UNIX_EPOCH;
        let table = [
            (vec![word("a", Some(true)), word("b", Some(true))], Some(true), "a: said; b: said"),
            (vec![word("a", Some(true)), word("b", None)], None, "b: said"),
            (vec![word("a", Some(false)), word("b", None)], Some(false), "a: said"),
            (vec![], None, "no member of the wave is left to ask"),
        ];
        for (words, passed, message) in table {
            assert_eq!(sum_up(&words, at), CheckResult { at, passed, message: message.to_owned() });
        }
        let many: Vec<Word> = (0..5).map(|n| word(&n.to_string(), Some(false))).collect();
        assert!(sum_up(&many, at).message.ends_with("; and 2 more"));
    }

    #[test]
    fn a_check_is_made_once_at_a_time_and_forgotten_when_the_gate_can_open_anew() {
        let checks = Checks::default();
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let result = |second: i64| CheckResult { at: at(second), passed: Some(true), message: String::new() };
        assert!(checks.begin("u", "g", Some(at(10))));
        assert!(!checks.begin("u", "g", Some(at(10))), "it is being made");
        assert!(checks.end("u", "g", result(11), Duration::from_secs(600)));
        assert!(!checks.begin("u", "g", Some(at(10))), "it was made lately");
        assert!(checks.begin("u", "g", Some(at(20))), "the gate can open anew");
        assert!(checks.lock()["u"]["g"].result.is_none());
        checks.end("u", "g", result(15), Duration::from_secs(600));
        assert!(checks.lock()["u"]["g"].result.is_none(), "an answer to the question before");
        checks.forget("u");
        assert!(!checks.end("u", "g", result(30), Duration::ZERO));
    }
}
