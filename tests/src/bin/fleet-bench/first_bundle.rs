//! The first bundle on fresh clusters: the engine beside `kubectl apply --server-side`, from the same moment.
//!
//! Both start cold. Inside the clock of the engine lie rendering, connecting and reading what is there; inside that
//! of kubectl its start, connecting, discovery and reading its file. Before every pass the same servers are made
//! fresh, and the order changes from round to round, so that whatever warms up serves both alike.

use std::{
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use fleet_exec::{
    baseline::{Engine, EngineConfig, EngineHandle, EngineReport, Stage},
    clock::system_clock,
    remote::Remote,
};
use fleet_render::Bundle;
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use local_control_plane::{Assets, ControlPlane};
use tokio::process::Command;

use crate::{
    clusters::{Clusters, beside, has_labels_of, way},
    example::{Example, before_access},
    figures::{Figures, Spread, millis, time},
    say,
};

/// How long an engine may take to get somewhere.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// Left alone before each pass, so that what servers do after their start is measured with neither.
const SETTLE: Duration = Duration::from_secs(5);

/// One cluster with the engine that keeps it.
pub(crate) struct Kept {
    /// The engine's own way, whose counters hold what the engine sent.
    pub(crate) way: Remote,
    pub(crate) engine: EngineHandle,
}

/// What one pass of the engine took, until the last cluster was there.
#[derive(Debug, Clone, Copy)]
struct EnginePass {
    /// Until every object was applied.
    applied: Duration,
    /// The same without the time in which a cluster only waited for markers and quotas.
    without_waits: Duration,
    /// Until everything was applied, the policies bit and the quotas were live.
    effective: Duration,
    /// Until every probe was answered and access handed over.
    proven: Duration,
}

/// Measures both, alternating, and leaves the engines of the last pass on their clusters.
pub(crate) async fn measure(
    assets: &Assets,
    clusters: &mut Clusters,
    example: &Example,
    rounds: usize,
    folder: &Path,
    figures: &mut Figures,
) -> Result<Vec<Kept>> {
    let bundle = example.render()?;
    let kubectl = Kubectl::prepare(assets, &bundle, folder)?;
    kubectl.warm().await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut last = Vec::new();
    for round in 0..rounds {
        let engine_first = round % 2 == 0;
        for engine in [engine_first, !engine_first] {
            if round > 0 || engine != engine_first {
                clusters.renew().await?;
            }
            tokio::time::sleep(SETTLE).await;
            if engine {
                let (pass, kept) = engine_pass(clusters, example).await?;
                everything_is_there(clusters, &bundle).await.context("after a pass of the engine")?;
                let EnginePass { applied, without_waits, effective, proven } = pass;
                say(&format!(
                    "  round {} of {rounds}, engine: applied after {}, {} of it without waits, in force after {}, proven \
                     after {}",
                    round + 1,
                    time(applied),
                    time(without_waits),
                    time(effective),
                    time(proven)
                ));
                ours.push(pass);
                last = kept;
            } else {
                let took = kubectl.pass(clusters, round).await?;
                everything_is_there(clusters, &bundle).await.context("after a pass of kubectl")?;
                say(&format!("  round {} of {rounds}, kubectl: applied after {}", round + 1, time(took)));
                theirs.push(took);
            }
            // The engines of the very last pass go on: what follows is measured on their clusters.
            if !(engine && round + 1 == rounds) {
                stop(std::mem::take(&mut last)).await;
            }
        }
    }
    tell(figures, clusters.planes.len(), before_access(&bundle).count(), &ours, theirs);
    Ok(last)
}

/// Ends engines.
pub(crate) async fn stop(kept: Vec<Kept>) {
    for Kept { engine, .. } in kept {
        engine.stop().await;
    }
}

fn tell(figures: &mut Figures, count: usize, each: usize, ours: &[EnginePass], theirs: Vec<Duration>) {
    let objects = (count * each) as f64;
    let mut add = |id, what: String, durations: Vec<Duration>| {
        let spread = Spread::of(durations);
        let (middle, best) = (spread.median(), spread.min());
        let rate = objects / middle.as_secs_f64();
        figures.add(
            id,
            what,
            format!(
                "{}, {rate:.0} objects/s (best {}, worst {})",
                time(middle),
                time(best),
                time(spread.max())
            ),
            [
                ("medianMilliseconds", millis(middle)),
                ("bestMilliseconds", millis(best)),
                ("worstMilliseconds", millis(spread.max())),
                ("objectsPerSecond", rate),
            ],
        );
    };
    let of = |part: fn(&EnginePass) -> Duration| ours.iter().map(part).collect::<Vec<_>>();
    add(
        "firstBundleApplied",
        format!("engine: first bundle on {count} fresh clusters, every object applied (its waits included)"),
        of(|pass| pass.applied),
    );
    add(
        "firstBundleWithoutWaits",
        "engine: the same without waiting until policies bite and quotas are live".to_owned(),
        of(|pass| pass.without_waits),
    );
    add(
        "firstBundleKubectl",
        format!("kubectl: the same objects, {count} parallel `apply --server-side`, waiting for nothing"),
        theirs,
    );
    add(
        "firstBundleInForce",
        "engine: until all is applied, the policies bite and the quotas are live".to_owned(),
        of(|pass| pass.effective),
    );
    let proven = Spread::of(of(|pass| pass.proven));
    figures.add(
        "firstBundleProven",
        "engine: until every probe is answered and access handed over",
        format!("{} (best {}, worst {})", time(proven.median()), time(proven.min()), time(proven.max())),
        [
            ("medianMilliseconds", millis(proven.median())),
            ("bestMilliseconds", millis(proven.min())),
            ("worstMilliseconds", millis(proven.max())),
        ],
    );
}

/// One engine per cluster, all from the same moment.
async fn engine_pass(clusters: &Clusters, example: &Example) -> Result<(EnginePass, Vec<Kept>)> {
    let began = Instant::now();
    let begun = clusters.planes.iter().map(|plane| begin(plane, example)).collect::<Result<Vec<_>>>()?;
    let followed =
        try_join_all(begun.iter().map(|(kept, bundle)| follow(&kept.engine, bundle, began))).await?;
    let latest = |part: fn(&EnginePass) -> Duration| followed.iter().map(part).max().unwrap_or_default();
    let pass = EnginePass {
        applied: latest(|one| one.applied),
        without_waits: latest(|one| one.without_waits),
        effective: latest(|one| one.effective),
        proven: latest(|one| one.proven),
    };
    Ok((pass, begun.into_iter().map(|(kept, _)| kept).collect()))
}

fn begin(plane: &ControlPlane, example: &Example) -> Result<(Kept, Arc<Bundle>)> {
    let bundle = example.render()?;
    let way = way(plane)?;
    let engine = Engine::spawn(way.clone(), EngineConfig::new(plane.name(), system_clock()));
    engine.set_target(Arc::clone(&bundle));
    Ok((Kept { way, engine }, bundle))
}

/// Follows one engine's reports until its cluster is proven.
async fn follow(engine: &EngineHandle, bundle: &Bundle, began: Instant) -> Result<EnginePass> {
    let wanted = before_access(bundle).count();
    let mut reports = engine.report();
    let (mut applied, mut effective) = (None, None);
    let (mut waited, mut waits_since) = (Duration::ZERO, None::<Instant>);
    let proven = tokio::time::timeout(PATIENCE, async {
        loop {
            let report = reports.borrow_and_update().clone();
            let now = Instant::now();
            let waits = matches!(report.stage, Stage::WaitingForMarkers | Stage::WaitingForQuotas);
            if let Some(since) = waits_since.take() {
                waited += now.duration_since(since);
            }
            if report.applied >= wanted && report.wanted_revision.is_some() && applied.is_none() {
                applied = Some((now, waited));
            }
            if waits && applied.is_none() {
                waits_since = Some(now);
            }
            if report.applied_revision.is_some() && report.applied_revision == report.wanted_revision {
                effective.get_or_insert(now);
            }
            if report.stage == Stage::Watching && report.proven() && report.access_handed_over {
                return anyhow::Ok(now);
            }
            reports.changed().await.context("an engine ended")?;
        }
    });
    let proven = match proven.await {
        Ok(proven) => proven?,
        Err(_) => bail!("an engine did not get there in {} s: {}", PATIENCE.as_secs(), told(engine)),
    };
    let (applied, waited) = applied.context("an engine proved what it had not applied")?;
    Ok(EnginePass {
        applied: applied - began,
        without_waits: (applied - began).saturating_sub(waited),
        effective: effective.unwrap_or(proven) - began,
        proven: proven - began,
    })
}

/// What an engine says, for errors.
pub(crate) fn told(engine: &EngineHandle) -> String {
    let EngineReport { stage, last_error, counts, .. } = engine.report().borrow().clone();
    let error = last_error.map(|error| format!(": {error}")).unwrap_or_default();
    format!("its baseline is {} ({} probes failed){error}", stage.describe(), counts.fail)
}

/// `kubectl apply --server-side` of the bundle.
struct Kubectl<'a> {
    program: &'a Path,
    folder: &'a Path,
    manifest: std::path::PathBuf,
}

impl<'a> Kubectl<'a> {
    /// Writes the objects into a file, in the order of the phases, which is the order that the engine keeps.
    fn prepare(assets: &'a Assets, bundle: &Bundle, folder: &'a Path) -> Result<Self> {
        let program = assets.kubectl().context("kubectl did not come with the servers")?;
        let items: Vec<_> = before_access(bundle).map(|object| object.value.clone()).collect();
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
        let manifest = folder.join("bundle.json");
        std::fs::write(&manifest, serde_json::to_vec(&list)?)?;
        Ok(Self { program, folder, manifest })
    }

    /// Reads the program from disk once, so that no pass does. This program itself is in memory as well.
    async fn warm(&self) -> Result<()> {
        let mut command = Command::new(self.program);
        let command = command.args(["version", "--client"]).stdout(Stdio::null()).kill_on_drop(true);
        if !command.status().await?.success() {
            bail!("`{} version --client` failed", self.program.display());
        }
        Ok(())
    }

    /// One process per cluster, all at once, each with an empty home: what kubectl remembers of an API server
    /// belongs to no first bundle.
    async fn pass(&self, clusters: &Clusters, round: usize) -> Result<Duration> {
        let mut commands = Vec::new();
        for plane in &clusters.planes {
            let home = self.folder.join(format!("home-{round}-{}", plane.name()));
            std::fs::create_dir_all(&home)?;
            let kubeconfig = home.join("kubeconfig");
            std::fs::write(&kubeconfig, plane.admin_kubeconfig())?;
            let mut command = Command::new(self.program);
            command.args(["apply", "--server-side", "--force-conflicts", "-f"]).arg(&self.manifest);
            command.arg("--kubeconfig").arg(&kubeconfig).env("HOME", &home).env_remove("KUBECONFIG");
            command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
            commands.push(command);
        }
        let began = Instant::now();
        let running =
            commands.iter_mut().map(|command| command.spawn().map(tokio::process::Child::wait_with_output));
        let running = running.collect::<std::io::Result<Vec<_>>>()?;
        let outputs = try_join_all(running).await?;
        let took = began.elapsed();
        if let Some(failed) = outputs.iter().find(|output| !output.status.success()) {
            bail!("`kubectl apply --server-side` failed: {}", String::from_utf8_lossy(&failed.stderr));
        }
        Ok(took)
    }
}

/// Nobody wins by doing less: asks every API server for every object, outside the clock, by a client of its own.
async fn everything_is_there(clusters: &Clusters, bundle: &Bundle) -> Result<()> {
    for plane in &clusters.planes {
        let way = way(plane)?;
        let found = before_access(bundle).map(|object| {
            let way = &way;
            async move {
                let live = beside(way, object)?.get_opt(&object.name).await?;
                let there = live.is_some_and(|live| has_labels_of(live.metadata.labels.as_ref(), object));
                if !there {
                    bail!("{} {} is not on {} as it should be", object.kind, object.name, plane.name());
                }
                Ok(())
            }
        });
        stream::iter(found).buffer_unordered(8).try_collect::<Vec<()>>().await?;
    }
    Ok(())
}
