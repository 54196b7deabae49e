//! Waiting: one line for each tenant, by watches, until all are where they should be.
//!
//! Nothing depends on the waiting. Whoever interrupts it, or waits too long, leaves everything going on.

use std::{collections::BTreeMap, time::Duration};

use fleet_api::{
    text::Minutes,
    v1alpha1::{Tenant, TenantCluster},
};
use fleet_plan::moves::wanted_version;
use futures::{StreamExt as _, stream};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use kube::{
    ResourceExt as _,
    api::Api,
    runtime::watcher::{self, Event, watcher},
};

use crate::{
    error::{CliError, Result},
    hub::Hub,
    output::{
        cut,
        fleet_status::{State, TenantLine},
    },
    printer::{Printer, short_duration, toned},
    session::Session,
};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Every tenant is ready for the spec that it has now.
    Ready,
    /// Every tenant is gone, with its cluster.
    Gone,
}

/// Somebody has to act, and nothing else moves: waiting longer helps nobody. The controller gets this long to think
/// otherwise, because references appear in any order.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// Everything must stay at the goal for this long: an upgrade that has just ended calls for a new baseline.
const STEADY: SignedDuration = SignedDuration::from_secs(2);

/// Waits until every tenant is at the goal.
///
/// # Errors
/// When it takes longer than `timeout`, when it is interrupted, and when every tenant that is left waits for somebody.
pub(crate) async fn wait(
    session: &Session,
    hub: &Hub,
    tenants: &[String],
    goal: Goal,
    timeout: Minutes,
) -> Result<()> {
    let began = session.now();
    let mut view = View::new(tenants);
    let mut lines = Lines::new(session.printer, tenants);
    let tenant_events = watcher(Api::<Tenant>::all(hub.client.clone()), watcher::Config::default())
        .map(|event| event.map(|event| Change::Tenant(Box::new(event))));
    let cluster_events = watcher(Api::<TenantCluster>::all(hub.client.clone()), watcher::Config::default())
        .map(|event| event.map(|event| Change::Cluster(Box::new(event))));
    let mut changes = std::pin::pin!(stream::select(tenant_events, cluster_events));
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut stuck_since: Option<Timestamp> = None;
    let mut there_since: Option<Timestamp> = None;
    let mut broken = None;
    loop {
        tokio::select! {
            result = &mut interrupt => {
                lines.finish();
                result.map_err(|error| CliError::remote("the keyboard cannot be listened to").because(error))?;
                return Err(CliError::interrupted("you stopped waiting; the controller goes on without you")
                    .hint(look_again(goal)));
            }
            change = changes.next() => match change {
                Some(Ok(change)) => { view.note(change); broken = None; }
                // The stream begins the watch again by itself; only what lasts is worth a word.
                Some(Err(error)) => broken = Some(error.to_string()),
                None => {}
            },
            _ = tick.tick() => {}
        }
        if !view.complete() {
            if broken.is_some() && session.now().duration_since(began) > PATIENCE {
                lines.finish();
                return Err(CliError::remote("the management cluster cannot be watched")
                    .because(broken.unwrap_or_default())
                    .hint(look_again(goal)));
            }
            continue;
        }
        let now = session.now();
        let left: Vec<TenantLine> = view.left(goal);
        lines.draw(&view, &left, now, began);
        if left.is_empty() {
            let since = *there_since.get_or_insert(now);
            if now.duration_since(since) >= STEADY {
                lines.finish();
                return Ok(());
            }
            continue;
        }
        there_since = None;
        stuck_since =
            left.iter().all(|line| line.state == State::Blocked).then(|| stuck_since.unwrap_or(now));
        let stuck = stuck_since.is_some_and(|since| now.duration_since(since) > PATIENCE);
        let late = now.duration_since(began) > timeout.to_duration();
        if stuck || late {
            lines.finish();
            return Err(gave_up(&left, goal, stuck, timeout));
        }
    }
}

fn look_again(goal: Goal) -> &'static str {
    match goal {
        Goal::Ready => "look again with `fleet status --watch`, or ask `fleet why TENANT`",
        Goal::Gone => {
            "look again with `fleet status --watch`; `fleet receipt TENANT` has the receipt afterwards"
        }
    }
}

fn gave_up(left: &[TenantLine], goal: Goal, stuck: bool, timeout: Minutes) -> CliError {
    let names: Vec<&str> = left.iter().map(|line| line.name.as_str()).take(10).collect();
    let more = if left.len() > names.len() {
        format!(" and {} more", left.len() - names.len())
    } else {
        String::new()
    };
    let names = format!("{}{more}", names.join(", "));
    let goal_word = match goal {
        Goal::Ready => "not ready",
        Goal::Gone => "still there",
    };
    let message = if stuck {
        format!("waiting longer does not help: {names} wait for somebody")
    } else {
        format!("{goal_word} after {timeout}: {names}; the controller goes on")
    };
    let reasons: Vec<String> = left
        .iter()
        .filter(|line| !line.message.is_empty())
        .take(10)
        .map(|line| format!("{}: {}", line.name, cut(&line.message, 160)))
        .collect();
    let error = CliError::no(message).hint(look_again(goal));
    if reasons.is_empty() { error } else { error.because(reasons.join("\n")) }
}

enum Change {
    Tenant(Box<Event<Tenant>>),
    Cluster(Box<Event<TenantCluster>>),
}

/// What the watches have said so far, of the tenants that are waited for.
struct View {
    names: Vec<String>,
    tenants: Kept<Tenant>,
    clusters: Kept<TenantCluster>,
}

/// The objects of one watch, by the tenant's name.
struct Kept<K> {
    objects: BTreeMap<String, K>,
    /// A new list that is not complete yet.
    coming: BTreeMap<String, K>,
    listed: bool,
}

impl<K> Kept<K> {
    const fn new() -> Self {
        Self { objects: BTreeMap::new(), coming: BTreeMap::new(), listed: false }
    }

    fn note(&mut self, event: Event<K>, tenant_of: impl Fn(&K) -> String) {
        match event {
            Event::Init => self.coming.clear(),
            Event::InitApply(object) => {
                self.coming.insert(tenant_of(&object), object);
            }
            Event::InitDone => {
                self.objects = std::mem::take(&mut self.coming);
                self.listed = true;
            }
            Event::Apply(object) => {
                self.objects.insert(tenant_of(&object), object);
            }
            Event::Delete(object) => {
                self.objects.remove(&tenant_of(&object));
            }
        }
    }
}

impl View {
    fn new(names: &[String]) -> Self {
        Self { names: names.to_vec(), tenants: Kept::new(), clusters: Kept::new() }
    }

    fn note(&mut self, change: Change) {
        match change {
            Change::Tenant(event) => self.tenants.note(*event, |tenant| tenant.name_any()),
            Change::Cluster(event) => self.clusters.note(*event, |cluster| cluster.spec.tenant.clone()),
        }
    }

    const fn complete(&self) -> bool {
        self.tenants.listed && self.clusters.listed
    }

    fn line(&self, name: &str) -> Option<TenantLine> {
        let tenant = self.tenants.objects.get(name);
        let cluster = self.clusters.objects.get(name);
        match (tenant, cluster) {
            (Some(tenant), cluster) => Some(TenantLine::of(tenant, cluster)),
            (None, Some(cluster)) => Some(TenantLine::of_orphan(cluster)),
            (None, None) => None,
        }
    }

    /// The tenants that are not at the goal.
    fn left(&self, goal: Goal) -> Vec<TenantLine> {
        let not_there = |name: &String| match goal {
            Goal::Gone => self.line(name),
            Goal::Ready => {
                let line = self.line(name)?;
                let settled = line.state == State::Ready
                    && self.tenants.objects.get(name).is_some_and(is_current)
                    && self.clusters.objects.get(name).is_some_and(cluster_is_current);
                (!settled).then_some(line)
            }
        };
        self.names.iter().filter_map(not_there).collect()
    }
}

/// A status that speaks of an older spec says nothing about this one.
fn is_current(tenant: &Tenant) -> bool {
    let observed = tenant.status.as_ref().and_then(|status| status.observed_generation);
    observed.is_some() && observed == tenant.metadata.generation
}

fn cluster_is_current(cluster: &TenantCluster) -> bool {
    let Some(status) = &cluster.status else { return false };
    status.observed_generation.is_some()
        && status.observed_generation == cluster.metadata.generation
        && status.versions.control_plane == Some(wanted_version(&cluster.spec))
}

/// The lines on the terminal; or, where nobody looks, one line whenever something changed.
struct Lines {
    printer: Printer,
    bars: Option<(MultiProgress, BTreeMap<String, ProgressBar>)>,
    last: BTreeMap<String, String>,
    width: usize,
}

impl Lines {
    fn new(printer: Printer, names: &[String]) -> Self {
        let bars = printer.animated().then(|| {
            let group = MultiProgress::new();
            let bars = names.iter().map(|name| {
                let bar = group.add(ProgressBar::new_spinner());
                if let Ok(style) = ProgressStyle::with_template("{msg}") {
                    bar.set_style(style);
                }
                (name.clone(), bar)
            });
            let bars = bars.collect();
            (group, bars)
        });
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        Self { printer, bars, last: BTreeMap::new(), width }
    }

    fn draw(&mut self, view: &View, left: &[TenantLine], now: Timestamp, began: Timestamp) {
        let width = self.width;
        for name in &view.names {
            let line = left.iter().find(|line| line.name == *name);
            let (word, tone, message) = match (line, view.line(name)) {
                // Ready for an older spec is not what is waited for.
                (Some(line), _) if line.state == State::Ready => {
                    ("working", State::Working.tone(), "its newest spec is not observed yet")
                }
                (Some(line), _) => (line.state.as_str(), line.state.tone(), line.message.as_str()),
                (None, Some(_)) => ("ready", State::Ready.tone(), ""),
                (None, None) => ("gone", State::Ready.tone(), ""),
            };
            let text = if message.is_empty() {
                format!("{name:<width$}  {}", toned(word, tone))
            } else {
                format!("{name:<width$}  {}  {}", toned(format!("{word:<11}"), tone), cut(message, 72))
            };
            let elapsed = short_duration(now.duration_since(began));
            let changed = self.last.get(name) != Some(&text);
            let shown = format!("{elapsed:>7}  {text}");
            match &self.bars {
                // A tenant at its goal shows when it came there; the others how long they have been waited for.
                Some((_, bars)) if changed || line.is_some() => {
                    if let Some(bar) = bars.get(name) {
                        bar.set_message(self.printer.for_stderr(shown));
                    }
                }
                None if changed => self.printer.note(&shown),
                Some(_) | None => {}
            }
            if changed {
                self.last.insert(name.clone(), text);
            }
        }
    }

    /// Leaves the lines as they are and lets go of the terminal.
    fn finish(&mut self) {
        if let Some((_, bars)) = &self.bars {
            bars.values().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        }
    }
}
