//! The world behind the wire: one lock over the state, and every call as check, act, save.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use crate::{
    clock::{machine_now, virtual_now},
    control_planes::standin,
    durations::Durations,
    ec2,
    eks::{self, Call, Input},
    error::ApiError,
    faults::{self, Effect, Fault, Struck, Target, When},
    holds::Holds,
    iam,
    identity::{Caller, look_up},
    journal::{Entry, Journal, Question, changes_something},
    json_services,
    model::{ClusterKey, ClusterRecord, ServerAccess},
    reply::{Protocol, Reply},
    seed::Seed,
    sigv4::{CanonicalRequest, SignatureFault, Signed, check_signature, check_time, payload_hash},
    state::State,
    store::{Store, StoreError},
    sts,
    wire::query::Params,
};

/// One request, read whole.
#[derive(Debug)]
pub(crate) struct AwsRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl AwsRequest {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Which time a request comes before the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// As it arrives.
    First,
    /// Again, after it was held before its effect.
    Released,
}

/// The world.
pub(crate) struct World {
    pub(crate) seed: Seed,
    durations: Durations,
    store: Store,
    state: Mutex<State>,
    /// Whether real API servers stand behind clusters.
    real: bool,
    /// Hosts under which this process is reached: tokens may name them instead of STS.
    own_hosts: Vec<String>,
    /// Told whenever something changed that the control planes have to follow.
    pub(crate) changed: Notify,
    /// The calls that are held.
    pub(crate) holds: Holds,
    /// The calls that changed something, or were to.
    pub(crate) journal: Journal,
}

/// What became of the API server of a cluster.
#[derive(Debug, Clone)]
pub(crate) enum ServerNews {
    /// It answers.
    Up(crate::model::Minor, ServerAccess),
    /// It does not answer; its data is there.
    Down,
    /// It and its data are gone.
    Removed,
}

impl World {
    /// A world from its store.
    pub(crate) fn new(
        seed: Seed,
        durations: Durations,
        store: Store,
        state: State,
        real: bool,
        own_hosts: Vec<String>,
    ) -> Self {
        Self {
            seed,
            durations,
            store,
            state: Mutex::new(state),
            real,
            own_hosts,
            changed: Notify::new(),
            holds: Holds::default(),
            journal: Journal::default(),
        }
    }

    /// The hosts under which this process is reached.
    pub(crate) fn own_hosts(&self) -> &[String] {
        &self.own_hosts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held is a bug that the log shows; the state is whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries something out on the state at this moment, and saves it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State, Timestamp) -> T) -> T {
        let mut state = self.lock();
        let now = now_of(&state);
        self.advance(&mut state, now);
        let result = act(&mut state, now);
        // The act may have moved the clock.
        let now = now_of(&state);
        self.advance(&mut state, now);
        self.save(&mut state);
        self.changed.notify_one();
        result
    }

    /// Looks at the state of this moment. Nothing is saved: what time did is done again by the next call.
    pub(crate) fn with_moment<T>(&self, look: impl FnOnce(&State, Timestamp) -> T) -> T {
        let mut state = self.lock();
        let now = now_of(&state);
        self.advance(&mut state, now);
        look(&state, now)
    }

    /// Looks at all clusters.
    pub(crate) fn with_clusters<T>(&self, look: impl FnOnce(&BTreeMap<ClusterKey, ClusterRecord>) -> T) -> T {
        self.with_moment(|state, _| look(state.clusters()))
    }

    fn advance(&self, state: &mut State, now: Timestamp) {
        state.advance(now);
        if self.real {
            return;
        }
        // Without API servers everything that waits for one goes on at once.
        loop {
            let waiting: Vec<ClusterKey> = state
                .clusters()
                .iter()
                .filter(|(_, record)| {
                    let server = &record.server;
                    server.seen != server.wanted || (server.wanted.is_none() && !server.removed)
                })
                .map(|(key, _)| key.clone())
                .collect();
            if waiting.is_empty() {
                return;
            }
            for key in waiting {
                if let Some(record) = state.cluster_mut(&key) {
                    record.server.seen = record.server.wanted;
                    record.server.removed = record.server.wanted.is_none();
                    record.server.access = Some(standin(&key));
                }
            }
            state.advance(now);
        }
    }

    /// Moves the world on when nobody calls.
    pub(crate) fn tick(&self) {
        let mut state = self.lock();
        state.forget_sessions(machine_now());
        let now = now_of(&state);
        self.advance(&mut state, now);
        self.save(&mut state);
    }

    fn save(&self, state: &mut State) {
        if let Err(fault) = self.store.save(state) {
            log_store(&fault);
        }
    }

    /// Takes news of an API server.
    pub(crate) fn server_news(&self, key: &ClusterKey, news: ServerNews) {
        self.with(|state, _| {
            let Some(record) = state.cluster_mut(key) else { return };
            match news {
                ServerNews::Up(minor, access) => {
                    record.server.seen = Some(minor);
                    record.server.access = Some(access);
                }
                ServerNews::Down => record.server.seen = None,
                ServerNews::Removed => {
                    record.server.seen = None;
                    record.server.removed = true;
                }
            }
        });
    }

    /// Answers a request of the AWS wire.
    pub(crate) fn aws(&self, request: &AwsRequest, pass: Pass) -> Reply {
        let mut state = self.lock();
        let now = now_of(&state);
        self.advance(&mut state, now);
        // Whoever calls signs by the machine's clock, and goes on doing so when the emulator's clock is advanced.
        let (caller, signed) = match self.authenticate(&state, request, machine_now()) {
            Ok(found) => found,
            Err((fault, service)) => {
                debug!(%fault, path = %request.path, "refused a signature");
                return Protocol::of(&service).refuse(&ApiError::from_signature(&fault), &Uuid::new_v4());
            }
        };
        let reply = self.carry_out(&mut state, request, pass, &caller, &signed, now);
        let now = now_of(&state);
        self.advance(&mut state, now);
        self.save(&mut state);
        self.changed.notify_one();
        reply
    }

    fn authenticate(
        &self,
        state: &State,
        request: &AwsRequest,
        now: Timestamp,
    ) -> Result<(Caller, Signed), (SignatureFault, String)> {
        let unknown = |fault| (fault, String::new());
        let signed = match request.header("authorization") {
            Some(authorization) => {
                Signed::from_header(authorization, |name| request.header(name)).map_err(unknown)?
            }
            None => Signed::from_query(&request.query)
                .map_err(unknown)?
                .ok_or((SignatureFault::Missing, String::new()))?,
        };
        let service = signed.scope.service.clone();
        let refused = |fault| (fault, service.clone());
        check_time(&signed, now).map_err(refused)?;
        let (caller, secret) = look_up(&self.seed, state.shared(), &signed, now).map_err(refused)?;
        let query: Vec<&str> =
            request.query.split('&').filter(|pair| !pair.starts_with("X-Amz-Signature=")).collect();
        let mut headers = Vec::new();
        for name in &signed.headers {
            let values: Vec<&str> =
                request.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
            headers.push((name.clone(), values.join(",")));
        }
        let canonical = CanonicalRequest {
            method: request.method.as_str(),
            path: &request.path,
            query: &query.join("&"),
            headers,
            payload_hash: &payload_hash(&request.body),
        };
        check_signature(&canonical, &signed, &secret).map_err(refused)?;
        Ok((caller, signed))
    }

    fn carry_out(
        &self,
        state: &mut State,
        request: &AwsRequest,
        pass: Pass,
        caller: &Caller,
        signed: &Signed,
        now: Timestamp,
    ) -> Reply {
        let service = signed.scope.service.as_str();
        let protocol = Protocol::of(service);
        let id = Uuid::new_v4();
        let Some(asked) = Asked::read(service, request) else {
            warn!(service, method = %request.method, path = %request.path, "an operation that the emulator does not have");
            return protocol.refuse(&ApiError::unknown_operation("Unknown operation"), &id);
        };
        let action = format!("{}:{}", asked.iam_prefix(service), asked.name());
        if action != "sts:GetCallerIdentity" && !caller.may(&self.seed, &action) {
            let message = format!("User: {} is not authorized to perform: {action}", caller.arn());
            return protocol.refuse(&ApiError::access_denied(message), &id);
        }
        let cluster = asked.cluster();
        let question = changes_something(asked.name()).then(|| asked.question(request, state));
        let about = question.as_ref().map_or("", |question| &question.about);
        let target =
            Target { operation: asked.name(), account: &caller.account, cluster: cluster.as_deref(), about };
        let before = state.shared().faults.clone();
        let mut planned = before.clone();
        if pass == Pass::First {
            let struck = faults::strike(&mut planned, target, Effect::holds_before);
            faults::spend(&mut planned, &struck, true);
            if let (false, Some(question)) = (struck.is_empty(), &question) {
                plan(state, &before, planned);
                info!(operation = asked.name(), about, "holding a call before its effect");
                return Reply::Held(question.clone(), None);
            }
        }
        let struck = faults::strike(&mut planned, target, |effect| !effect.holds_before());
        let running_updates = running_updates(state, caller, &signed.scope.region, cluster.as_deref());
        let result = match struck.preventing() {
            Some(Effect::Throttle) => Err(ApiError::throttled("Rate exceeded")),
            Some(Effect::ServerError) => Err(ApiError::server("Internal server error (planned)")),
            Some(_) => Err(ApiError::server("reset")),
            None => {
                let mut ids = Uuid::new_v4;
                let mut call = Call {
                    state,
                    seed: &self.seed,
                    durations: &self.durations,
                    now,
                    machine_now: machine_now(),
                    caller,
                    region: &signed.scope.region,
                    ids: &mut ids,
                    struck: &struck,
                };
                asked.run(&mut call)
            }
        };
        faults::spend(&mut planned, &struck, result.is_ok());
        plan(state, &before, planned);
        if let Some(question) = &question {
            self.journal.add(Entry {
                number: 0,
                at: now,
                account: caller.account.clone(),
                question: question.clone(),
                running_updates,
                refused: result.as_ref().err().map(|refusal| refusal.code.to_owned()),
            });
        }
        self.log(&asked, service, caller, cluster.as_deref(), &result);
        if resets(&struck, result.is_ok()) {
            info!(operation = asked.name(), "resetting the connection as planned");
            return Reply::Reset;
        }
        let held = result.is_ok()
            && struck.effects().any(|effect| matches!(effect, Effect::Hold { when: When::After }));
        let reply = match result {
            Ok(answer) => protocol.answer(answer, &id),
            Err(refusal) => protocol.refuse(&refusal, &id),
        };
        match (reply, question) {
            (Reply::Answer(answer), Some(question)) if held => {
                info!(operation = asked.name(), about = question.about, "holding the answer to a call");
                Reply::Held(question, Some(answer))
            }
            (reply, _) => reply,
        }
    }

    fn log(
        &self,
        asked: &Asked,
        service: &str,
        caller: &Caller,
        cluster: Option<&str>,
        result: &Result<Answered, ApiError>,
    ) {
        let (operation, account) = (asked.name(), caller.account.as_str());
        let cluster = cluster.unwrap_or_default();
        match result {
            Ok(_) => debug!(service, operation, account, cluster, "answered"),
            Err(refusal) if refusal.code == "UnknownOperationException" => {
                warn!(service, operation, account, "an operation that the emulator does not have");
            }
            Err(refusal) => {
                info!(service, operation, account, cluster, code = refusal.code, message = %refusal.message, "refused");
            }
        }
    }
}

/// Puts the fault plan back, when a call has changed it.
fn plan(state: &mut State, before: &[Fault], planned: Vec<Fault>) {
    if planned != before {
        state.shared_mut().faults = planned;
    }
}

/// How many updates of a cluster and of its parts are running.
fn running_updates(state: &State, caller: &Caller, region: &str, cluster: Option<&str>) -> usize {
    let Some(name) = cluster else { return 0 };
    let key =
        ClusterKey { account: caller.account.clone(), region: region.to_owned(), name: name.to_owned() };
    let record = state.cluster(&key);
    record.map_or(0, |record| record.updates.iter().filter(|update| update.in_progress()).count())
}

fn resets(struck: &Struck, accepted: bool) -> bool {
    struck.effects().any(|effect| match effect {
        Effect::ResetBefore => true,
        Effect::ResetAfter => accepted,
        _ => false,
    })
}

/// The time of a state.
pub(crate) fn now_of(state: &State) -> Timestamp {
    virtual_now(machine_now(), SignedDuration::from_millis(state.shared().clock_offset_ms))
}

fn log_store(fault: &StoreError) {
    let why = std::error::Error::source(fault).map(ToString::to_string).unwrap_or_default();
    error!(%fault, why, "the state is not saved");
}

/// What an operation answered, before it has the form of a protocol.
pub(crate) enum Answered {
    Json(serde_json::Value),
    Xml(crate::wire::xml::Element, &'static str),
}

/// What a request asks for.
enum Asked {
    Eks(&'static eks::Route, Input),
    Query(QueryService, String, Params),
    Target(String, Vec<u8>),
}

#[derive(Clone, Copy)]
enum QueryService {
    Sts,
    Iam,
    Ec2,
}

impl Asked {
    fn read(service: &str, request: &AwsRequest) -> Option<Self> {
        let query = match service {
            "eks" => {
                let (route, path) = eks::route(&request.method, &request.path)?;
                let input = Input::new(route.name, path, &request.query, request.body.clone());
                return Some(Self::Eks(route, input));
            }
            "sts" => QueryService::Sts,
            "iam" => QueryService::Iam,
            "ec2" => QueryService::Ec2,
            "kms" | "tagging" | "logs" => {
                let target = request.header("x-amz-target")?.to_owned();
                return Some(Self::Target(target, request.body.clone()));
            }
            _ => return None,
        };
        // A presigned call has its parameters in the URL.
        let form = match request.method {
            Method::GET => request.query.clone(),
            _ => String::from_utf8(request.body.clone()).ok()?,
        };
        let params = Params::parse(&form);
        let name = params.get("Action")?.to_owned();
        Some(Self::Query(query, name, params))
    }

    fn name(&self) -> &str {
        match self {
            Self::Eks(route, _) => route.name,
            Self::Query(_, name, _) => name,
            Self::Target(target, _) => target.rsplit('.').next().unwrap_or(target),
        }
    }

    /// Source: docs (the tagging service's actions begin with `tag`).
    fn iam_prefix<'s>(&self, service: &'s str) -> &'s str {
        if service == "tagging" { "tag" } else { service }
    }

    fn cluster(&self) -> Option<String> {
        match self {
            Self::Eks(route, input) => input.cluster(route.name),
            _ => None,
        }
    }

    /// What the call asks for, for the journal.
    fn question(&self, request: &AwsRequest, state: &State) -> Question {
        match self {
            Self::Eks(_, input) => input.question(&request.path),
            Self::Query(_, name, params) => {
                Question::new(name, ec2::named(state, params), params.all(), "ClientToken")
            }
            Self::Target(..) => Question::new(self.name(), String::new(), BTreeMap::new(), ""),
        }
    }

    fn run(&self, call: &mut Call<'_>) -> Result<Answered, ApiError> {
        Ok(match self {
            Self::Eks(route, input) => Answered::Json((route.run)(call, input)?),
            Self::Query(QueryService::Sts, name, params) => {
                Answered::Xml(sts::run(call, name, params)?, sts::NAMESPACE)
            }
            Self::Query(QueryService::Iam, name, params) => {
                Answered::Xml(iam::run(call, name, params)?, iam::NAMESPACE)
            }
            Self::Query(QueryService::Ec2, name, params) => {
                Answered::Xml(ec2::run(call, name, params)?, ec2::NAMESPACE)
            }
            Self::Target(target, body) => Answered::Json(json_services::run(call, target, body)?),
        })
    }
}
