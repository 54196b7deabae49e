//! Last stage: what is known of the tenant, written once and only when it differs.

use fleet_api::{
    conditions::{self, Verdict, reason},
    v1alpha1::{ReportEntry, Tenant, TenantCluster, TenantStatus},
};
use fleet_spec::rules::Problem;
use kube::ResourceExt;

use super::validate::is_error;
use crate::{context::Context, error::ReconcileError, status};

/// Conditions of a cluster that its `Ready` is made of, in the order in which they speak.
pub(crate) const PARTS: &[&str] =
    &[conditions::REACHABLE, conditions::PROVISIONED, conditions::HARDENED, conditions::PROVEN];

/// What composing the tenant's cluster said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'a> {
    /// Why there is nothing to be composed.
    pub(super) missing: &'a [ReportEntry],
    /// What a reader should know of what was composed.
    pub(super) notes: &'a [ReportEntry],
}

/// Writes the status of a tenant that is wanted.
pub(super) async fn update_status(
    context: &Context,
    tenant: &Tenant,
    cluster: Option<&TenantCluster>,
    problems: &[Problem],
    said: Said<'_>,
) -> Result<(), ReconcileError> {
    let accepted = accepted(problems, said);
    let ready = ready(&accepted, cluster);
    write(context, tenant, cluster, &[accepted, ready]).await
}

/// Merges verdicts into the status and writes it, unless it says so already.
pub(super) async fn write(
    context: &Context,
    tenant: &Tenant,
    cluster: Option<&TenantCluster>,
    verdicts: &[Verdict],
) -> Result<(), ReconcileError> {
    let before = tenant.status.clone().unwrap_or_default();
    let generation = tenant.metadata.generation;
    let observed = cluster.and_then(|one| one.status.as_ref()).and_then(|one| one.versions.control_plane);
    let mut after = TenantStatus {
        observed_generation: generation,
        // Once there was a cluster, only its receipt lets the tenant go.
        cluster: cluster.map(ResourceExt::name_any).or(before.cluster.clone()),
        version: observed,
        conditions: before.conditions.clone(),
    };
    for verdict in verdicts {
        conditions::set(&mut after.conditions, verdict, generation, context.now());
    }
    if status::says_the_same(tenant.status.as_ref(), &after) {
        return Ok(());
    }
    let was_ready = conditions::get(&before.conditions, conditions::READY).map(|one| one.status.clone());
    let written = status::write(context, tenant, after).await?;
    if let Some(ready) = verdicts.iter().find(|verdict| verdict.type_ == conditions::READY) {
        let is_ready = ready.status == Some(true);
        if is_ready != (was_ready.as_deref() == Some("True")) {
            context.events.tell(&*written, !is_ready, ready.reason, "Reconcile", ready.message.clone()).await;
        }
    }
    Ok(())
}

/// Whether the spec holds together: every problem at once.
fn accepted(problems: &[Problem], said: Said<'_>) -> Verdict {
    let errors: Vec<String> = problems
        .iter()
        .filter(|problem| is_error(problem))
        .map(|problem| with_hint(&format!("{}: {}", problem.path, problem.message), problem.hint.as_deref()))
        .collect();
    if !errors.is_empty() {
        return Verdict::fails(conditions::ACCEPTED, reason::INVALID_SPEC, errors.join("; "));
    }
    let told = |entries: &[ReportEntry]| {
        let all: Vec<String> =
            entries.iter().map(|entry| with_hint(&entry.message, entry.hint.as_deref())).collect();
        all.join("; ")
    };
    if !said.missing.is_empty() {
        return Verdict::fails(conditions::ACCEPTED, reason::REFERENCE_MISSING, told(said.missing));
    }
    let message = match said.notes {
        [] => "the spec holds together".to_owned(),
        notes => format!("the spec holds together; {}", told(notes)),
    };
    Verdict::holds(conditions::ACCEPTED, reason::AS_WANTED, message)
}

fn with_hint(message: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| message.to_owned(), |hint| format!("{message} ({hint})"))
}

/// Ready is that of the cluster, for the spec that the cluster has now; a refused spec is never ready.
fn ready(accepted: &Verdict, cluster: Option<&TenantCluster>) -> Verdict {
    if accepted.status != Some(true) {
        return Verdict { type_: conditions::READY, ..accepted.clone() };
    }
    let Some(cluster) = cluster else {
        return Verdict::unknown(conditions::READY, reason::NOT_OBSERVED, "the cluster is not stored yet");
    };
    let known = cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions::ready_from(known, PARTS, cluster.metadata.generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_spec_is_never_ready_and_says_everything_that_is_wrong() {
        let entry = |message: &str| ReportEntry {
            code: "ClassMissing".to_owned(),
            message: message.to_owned(),
            who: "operator".to_owned(),
            hint: Some("apply it".to_owned()),
        };
        let missing = [entry("no class"), entry("no channel")];
        let accepted = accepted(&[], Said { missing: &missing, notes: &[] });
        assert_eq!(accepted.message, "no class (apply it); no channel (apply it)");
        let ready = ready(&accepted, None);
        assert_eq!((ready.type_, ready.status), (conditions::READY, Some(false)));
    }

    #[test]
    fn a_tenant_without_a_cluster_is_unknown() {
        assert_eq!(ready(&accepted(&[], Said::default()), None).status, None);
    }

    #[test]
    fn what_a_reader_should_know_is_told_with_an_accepted_spec() {
        let note = ReportEntry {
            code: "PinExpired".to_owned(),
            message: "the pin ended".to_owned(),
            who: "tenant".to_owned(),
            hint: Some("set a later day".to_owned()),
        };
        let accepted = accepted(&[], Said { missing: &[], notes: &[note] });
        assert_eq!(accepted.status, Some(true));
        assert_eq!(accepted.message, "the spec holds together; the pin ended (set a later day)");
    }
}
