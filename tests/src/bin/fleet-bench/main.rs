//! First figures: control planes, first bundle beside kubectl, no-op pass, drift to repair, the controller at rest.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program of the command line")]

mod figures;
mod fleet;
mod rest;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use figures::{Figures, mib, percentile, time};
use fleet::{Planes, bundle, engine, until, way};
use fleet_exec::{
    baseline::{EngineHandle, Stage},
    remote::Remote,
};
use fleet_render::{Bundle, Phase};
use kube::{
    Api,
    api::DeleteParams,
    core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta},
};
use local_control_plane::{Assets, Minor};

/// Measure fleet on this machine
#[derive(Debug, Parser)]
struct Arguments {
    /// How many fresh clusters
    #[arg(long, default_value_t = 10)]
    clusters: usize,
    /// How many objects are deleted to measure repairs
    #[arg(long, default_value_t = 200)]
    deletions: usize,
    /// How long rest is measured, in seconds
    #[arg(long, default_value_t = 60)]
    rest: u64,
    /// Write the figures into this file as well
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// Tells somebody who waits what goes on.
fn say(text: &str) {
    eprintln!("{text}");
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate lies below the root")?;
    let assets =
        Assets::ensure(&[Minor::V1_35, Minor::V1_36], &|progress| say(&progress.to_string())).await?;
    let mut figures = Figures::default();
    let bundle = bundle(root)?;
    engines(&assets, &arguments, &bundle, &mut figures).await?;
    rest::measure(root, &arguments, &mut figures)?;
    let text = format!("{}\n{}", conditions(&arguments, &bundle)?, figures.table());
    println!("\n{text}");
    if let Some(path) = &arguments.markdown {
        std::fs::write(path, format!("# Figures\n\n{text}"))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// The conditions, for whoever compares.
fn conditions(arguments: &Arguments, bundle: &Bundle) -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("an unknown processor");
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "Printed by `cargo xtask bench` on {} ({cores} cores, {model}), in a {build} build. {} control planes of \
         Kubernetes 1.36 with one etcd (without fsync), engine, kubectl and servers on the same cores. The bundle is that of \
         `acme-payments` of the example fleet: {} objects, {} probes. One run, no warm-up.\n",
        jiff::Zoned::now().date(),
        arguments.clusters,
        bundle.objects.len(),
        bundle.probes.len(),
    ))
}

/// What the baseline engines do to fresh clusters.
async fn engines(
    assets: &Assets,
    arguments: &Arguments,
    bundle: &Arc<Bundle>,
    figures: &mut Figures,
) -> Result<()> {
    let count = arguments.clusters;
    let folder = tempfile::tempdir()?;
    say(&format!("starting {count} control planes for kubectl"));
    let (others, mut times) = Planes::start(assets, &folder.path().join("kubectl"), count).await?;
    times.sort();
    let start = format!("p50 {}, max {}", time(percentile(&times, 0.5)), time(percentile(&times, 1.0)));
    figures.add("a control plane from nothing to ready, one after the other", start);
    let memory: u64 = others.planes.iter().map(|plane| plane.report().measured().rss_bytes()).sum();
    figures.add(
        "memory of a control plane (API server and controller manager)",
        mib(memory / u64::try_from(count)?),
    );
    say("applying with kubectl");
    let kubectl = with_kubectl(assets, &others, bundle, folder.path()).await?;
    others.stop().await;

    say(&format!("starting {count} control planes for the engines"));
    let (planes, _) = Planes::start(assets, &folder.path().join("engine"), count).await?;
    let ways = planes.planes.iter().map(way).collect::<Result<Vec<Remote>>>()?;
    let engines: Vec<EngineHandle> = ways.iter().map(engine).collect();
    let began = Instant::now();
    for one in &engines {
        one.set_target(Arc::clone(bundle));
    }
    let applied = futures::future::try_join_all(
        engines.iter().map(|one| until(one, |report| report.hardened() || report.stage == Stage::Probing)),
    )
    .await?;
    let ours = began.elapsed();
    futures::future::try_join_all(
        engines.iter().map(|one| until(one, |report| report.stage == Stage::Watching && report.proven())),
    )
    .await?;
    let proven = began.elapsed();
    let held_back = bundle.objects.iter().filter(|object| object.phase == Phase::TenantAccess).count();
    let objects = (applied.len() * (bundle.objects.len() - held_back)) as f64;
    figures.add(
        format!("first bundle on {count} fresh clusters, engine, until applied, biting and quotas live"),
        format!("{}, {:.0} objects/s", time(ours), objects / ours.as_secs_f64()),
    );
    figures.add(
        format!("the same objects, {count} parallel `kubectl apply --server-side`, in the same run"),
        format!("{}, {:.0} objects/s", time(kubectl), objects / kubectl.as_secs_f64()),
    );
    figures.add(
        format!("until every probe on {count} clusters is answered and access handed over"),
        time(proven),
    );

    say("measuring a no-op pass");
    let requests = |ways: &[Remote]| -> u64 { ways.iter().map(|way| way.traffic().requests()).sum() };
    let quiet = requests(&ways);
    for one in &engines {
        one.set_target(Arc::clone(bundle));
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    figures.add(
        "requests to tenants when the same target is set again, and in 30 s of rest (open watches not counted)",
        (requests(&ways) - quiet).to_string(),
    );
    repairs(&ways, &engines, bundle, arguments.deletions, figures).await?;
    for one in engines {
        one.stop().await;
    }
    planes.stop().await;
    Ok(())
}

/// Deletes objects as somebody else would, and measures until each is there again.
async fn repairs(
    ways: &[Remote],
    engines: &[EngineHandle],
    bundle: &Bundle,
    deletions: usize,
    figures: &mut Figures,
) -> Result<()> {
    say(&format!("deleting {deletions} objects"));
    let before: u64 = ways.iter().map(|way| way.traffic().writes.load(Ordering::Relaxed)).sum();
    let victims: Vec<_> = bundle.objects.iter().filter(|object| object.phase != Phase::Namespaces).collect();
    let mut times = Vec::new();
    for number in 0..deletions {
        let which = number % ways.len();
        let (Some(way), Some(engine)) = (ways.get(which), engines.get(which)) else { continue };
        // Another object each time: the same one again and again would count as a fight.
        let Some(victim) = victims.get(number / ways.len() % victims.len()) else { continue };
        let types = TypeMeta { api_version: victim.api_version.clone(), kind: victim.kind.clone() };
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
        let client = way.client();
        let api: Api<DynamicObject> = match &victim.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let repaired = engine.report().borrow().repairs;
        let began = Instant::now();
        api.delete(&victim.name, &DeleteParams::default()).await?;
        until(engine, |report| report.repairs > repaired && report.applied == report.objects).await?;
        times.push(began.elapsed());
    }
    times.sort();
    if times.is_empty() {
        bail!("nothing was deleted");
    }
    let told = [0.5, 0.99, 1.0].map(|share| time(percentile(&times, share)));
    figures.add(
        format!("drift to repair, {deletions} deletions, from the delete call to the object being back"),
        format!("p50 {}, p99 {}, max {}", told[0], told[1], told[2]),
    );
    let writes: u64 = ways.iter().map(|way| way.traffic().writes.load(Ordering::Relaxed)).sum();
    figures.add(
        "writes per repair (the deletion itself is counted out)",
        format!("{:.2}", ((writes - before) as f64 - deletions as f64) / deletions as f64),
    );
    Ok(())
}

/// One `kubectl apply --server-side` per cluster, all at once, in the order of the phases.
async fn with_kubectl(assets: &Assets, planes: &Planes, bundle: &Bundle, folder: &Path) -> Result<Duration> {
    let kubectl = assets.kubectl().context("kubectl did not come with the servers")?;
    let wanted = bundle.objects.iter().filter(|object| object.phase != Phase::TenantAccess);
    let items: Vec<_> = wanted.map(|object| object.value.clone()).collect();
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
    let manifest = folder.join("bundle.json");
    std::fs::write(&manifest, serde_json::to_vec(&list)?)?;
    let mut all = Vec::new();
    let began = Instant::now();
    for (index, plane) in planes.planes.iter().enumerate() {
        let kubeconfig = folder.join(format!("{index}.kubeconfig"));
        std::fs::write(&kubeconfig, plane.admin_kubeconfig())?;
        let mut command = tokio::process::Command::new(kubectl);
        command.args(["apply", "--server-side", "--force-conflicts", "-f"]).arg(&manifest);
        command.arg("--kubeconfig").arg(&kubeconfig).env("HOME", folder);
        all.push(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?.wait_with_output());
    }
    for output in futures::future::try_join_all(all).await? {
        if !output.status.success() {
            bail!("kubectl failed: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(began.elapsed())
}
