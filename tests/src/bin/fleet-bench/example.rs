//! The regulated tenant of the example fleet, composed and rendered as the product does it.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail};
use fleet_api::{
    text::Day,
    v1alpha1::{Baseline, ControlExceptionSpec, TenantClusterSpec},
};
use fleet_plan::compose::{Sources, compose};
use fleet_render::{Bundle, BundleObject, Catalogue, Phase, RenderInput, render};
use fleet_spec::{Checked, Context, Input, check, load};
use jiff::Timestamp;
use local_control_plane::Minor;

/// The tenant whose bundle is measured: it has a compliance regime, egress rules and access of its own.
pub(crate) const TENANT: &str = "acme-payments";

/// What the tenant's bundle is rendered from.
pub(crate) struct Example {
    catalogue: Catalogue,
    spec: TenantClusterSpec,
    baseline: Baseline,
    exceptions: Vec<ControlExceptionSpec>,
    today: Day,
}

impl Example {
    /// Reads `fleet/demo` as `fleet apply` does, and composes the tenant's cluster as the controller does.
    pub(crate) fn read(root: &Path, now: Timestamp) -> Result<Self> {
        let catalogue = Catalogue::builtin()?;
        let today = Day(now.to_zoned(jiff::tz::TimeZone::UTC).date());
        let controls: BTreeSet<String> = catalogue.controls().iter().map(|one| one.id.clone()).collect();
        let context = Context { today, controls: Some(&controls), beside: None };
        let folder = root.join("fleet/demo");
        let checked = check(&load(&[Input::from_argument(&folder.to_string_lossy())]), &context);
        let Checked { fleet, findings: _ } = match checked {
            Ok(checked) => checked,
            Err(findings) => {
                bail!("the example fleet is refused: {}", fleet_spec::render::summary(&findings))
            }
        };
        let mut tenant = fleet.tenants.get(TENANT).context("the example fleet lacks the tenant")?.clone();
        tenant.metadata.uid = Some("00000000-0000-0000-0000-000000000000".to_owned());
        let sources = Sources {
            class: fleet.classes.get(&tenant.spec.class),
            fleet: Some(&fleet.fleet),
            channels: &fleet.channels,
            chosen: None,
            existing: None,
        };
        let spec = match compose(&tenant, &sources, now) {
            Ok(composed) => composed.spec,
            Err(report) => {
                let reasons: Vec<String> = report.into_iter().map(|entry| entry.message).collect();
                bail!("the tenant's cluster cannot be composed: {}", reasons.join("; "));
            }
        };
        let name = &spec.hardening.baseline;
        let baseline = fleet.baselines.get(name).with_context(|| format!("there is no Baseline `{name}`"))?;
        let exceptions = fleet.exceptions.values().map(|exception| exception.spec.clone()).collect();
        Ok(Self { catalogue, spec, baseline: baseline.clone(), exceptions, today })
    }

    /// The minor that the tenant's channel gives it.
    pub(crate) fn minor(&self) -> Result<Minor> {
        Ok(self.spec.version.to_string().parse()?)
    }

    /// The bundle, rendered anew at every call.
    pub(crate) fn render(&self) -> Result<Arc<Bundle>> {
        let input = RenderInput {
            spec: &self.spec,
            baseline: &self.baseline.spec,
            exceptions: &self.exceptions,
            version: self.spec.version,
            today: self.today,
        };
        Ok(Arc::new(render(&self.catalogue, &input)?))
    }
}

/// What both sides apply: everything but the tenant's own bindings, which wait for the probes.
pub(crate) fn before_access(bundle: &Bundle) -> impl Iterator<Item = &BundleObject> {
    bundle.objects.iter().filter(|object| object.phase != Phase::TenantAccess)
}
