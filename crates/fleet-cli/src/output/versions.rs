//! What runs where and what waiting costs, as a matrix.

use fleet_plan::fleet_versions::{FleetVersions, Level, SupportState, TenantVersions, VersionSummary};

use super::cut;
use crate::printer::{Tone, table, toned};

/// The matrix for people, with the sums above it and what somebody should look at below.
pub(crate) fn to_text(versions: &FleetVersions, wide: bool) -> String {
    if versions.summary.clusters == 0 {
        return "no clusters".to_owned();
    }
    let mut text = head(&versions.summary);
    if !versions.tenants.is_empty() {
        let mut heading =
            vec!["tenant", "control plane", "nodes", "baseline", "support", "until", "days", "extra/month"];
        if wide {
            heading.splice(4..4, ["add-ons"]);
            heading.extend(["account", "region", "findings"]);
        } else {
            heading.push("what");
        }
        let rows = versions.tenants.iter().map(|tenant| row(tenant, wide)).collect();
        text.push_str(&format!("\n\n{}", table(&heading, rows)));
    }
    let ahead: Vec<&TenantVersions> =
        versions.tenants.iter().filter(|tenant| tenant.adopt.is_some()).collect();
    if !ahead.is_empty() {
        text.push_str("\n\nahead of their spec; to adopt what runs, set the tenant's version, or");
        for tenant in ahead {
            text.push_str(&format!("\n  {}", tenant.adopt.as_deref().unwrap_or_default()));
        }
    }
    if !versions.channels.is_empty() {
        text.push('\n');
    }
    for finding in &versions.channels {
        text.push_str(&format!(
            "\n{} channel {} in {}: {}",
            toned("warning:", Tone::Busy),
            finding.channel,
            finding.region,
            finding.message
        ));
    }
    text
}

/// The sums: what runs, how it is supported, what the fleet pays for waiting.
fn head(sum: &VersionSummary) -> String {
    let noun = if sum.clusters == 1 { "cluster" } else { "clusters" };
    let versions: Vec<String> =
        sum.versions.iter().map(|(version, count)| format!("{version} ({count})")).collect();
    let support: Vec<String> = sum
        .support
        .iter()
        .map(|(state, count)| toned(format!("{count} {}", state.as_str()), tone(*state)))
        .collect();
    let clusters = format!("{} {noun}", sum.clusters);
    let mut lines = vec![if versions.is_empty() {
        format!("{clusters}: what runs there is not known yet")
    } else {
        format!("{clusters}: {}; support: {}", versions.join(", "), support.join(", "))
    }];
    if sum.behind + sum.ahead + sum.going_back > 0 {
        let back = match sum.going_back {
            0 => String::new(),
            back => format!(", {back} on the way back to it"),
        };
        lines.push(format!("{} behind what is wanted, {} ahead of it{back}", sum.behind, sum.ahead));
    }
    let waiting = if sum.extra_per_hour > 0.0 {
        let text = format!(
            "waiting costs {} USD an hour, {} USD a month",
            money(sum.extra_per_hour),
            money(sum.extra_per_month)
        );
        toned(text, Tone::Bad)
    } else {
        "waiting costs nothing".to_owned()
    };
    lines.push(format!("control planes cost {} USD an hour; {waiting}", money(sum.per_hour)));
    for coming in &sum.coming {
        lines.push(format!(
            "from {} on {} {} USD a month more",
            coming.from,
            match coming.clusters {
                1 => format!("one more cluster at {} costs", coming.version),
                many => format!("{many} more clusters at {} cost", coming.version),
            },
            money(coming.extra_per_month)
        ));
    }
    lines.join("\n")
}

fn row(tenant: &TenantVersions, wide: bool) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let control_plane = match tenant.control_plane {
        Some(have) if have != tenant.wanted => format!("{have} -> {}", tenant.wanted),
        Some(have) => have.to_string(),
        None => format!("- -> {}", tenant.wanted),
    };
    let support = &tenant.support;
    let (until, days) = match support.state {
        SupportState::Standard => (support.end_of_standard, support.days_of_standard),
        SupportState::Extended | SupportState::Unsupported => {
            (support.end_of_extended, support.days_of_extended)
        }
        SupportState::Unknown => (None, None),
    };
    let baseline = match &tenant.baseline {
        Some(revision) if tenant.baseline_current => cut(revision, 12),
        Some(revision) => toned(format!("{} (old)", cut(revision, 12)), Tone::Busy),
        None => "-".to_owned(),
    };
    let mut row = vec![
        tenant.tenant.clone(),
        control_plane,
        nodes(tenant),
        baseline,
        toned(support.state.as_str(), tone(support.state)),
        or_dash(until.map(|day| day.to_string())),
        or_dash(days.map(|days| days.to_string())),
        if tenant.extra_per_month > 0.0 {
            toned(money(tenant.extra_per_month), Tone::Bad)
        } else {
            "-".to_owned()
        },
    ];
    if wide {
        let addons: Vec<String> =
            tenant.addons.iter().map(|addon| format!("{} {}", addon.name, addon.version)).collect();
        row.insert(4, if addons.is_empty() { "-".to_owned() } else { addons.join(", ") });
        row.extend([or_dash(tenant.account.clone()), or_dash(tenant.region.clone())]);
        row.push(
            tenant
                .findings
                .iter()
                .map(|one| format!("{}: {}", one.part, one.message))
                .collect::<Vec<_>>()
                .join("; "),
        );
    } else {
        let first = tenant.findings.first().filter(|one| one.level != Level::Note);
        row.push(match (first, &tenant.goes_back_by, &tenant.adopt) {
            (Some(one), ..) => toned(cut(&format!("{}: {}", one.part, one.message), 72), Tone::Bad),
            (None, Some(rollout), _) => toned(format!("goes back, by rollout {rollout}"), Tone::Busy),
            (None, None, Some(_)) => toned("ahead of its spec", Tone::Busy),
            (None, None, None) => String::new(),
        });
    }
    row
}

/// The minors of the node groups, each once.
fn nodes(tenant: &TenantVersions) -> String {
    let mut minors: Vec<&str> = tenant.nodes.iter().map(|group| group.version.as_str()).collect();
    minors.sort_unstable();
    minors.dedup();
    match (minors.is_empty(), tenant.control_plane.is_some()) {
        (false, _) => minors.join(", "),
        (true, true) => "auto".to_owned(),
        (true, false) => "-".to_owned(),
    }
}

fn tone(state: SupportState) -> Tone {
    match state {
        SupportState::Standard => Tone::Good,
        SupportState::Extended | SupportState::Unsupported => Tone::Bad,
        SupportState::Unknown => Tone::Faint,
    }
}

/// An amount of USD, to the cent.
fn money(amount: f64) -> String {
    format!("{amount:.2}")
}

#[cfg(test)]
mod tests {
    use fleet_api::v1alpha1::{Costs, TenantCluster, VersionCalendar, VersionChannel};
    use fleet_plan::fleet_versions::fleet_versions;
    use serde_json::{Value, json};

    use super::*;

    fn cluster(tenant: &str, want: &str, have: &str, nodes: &Value) -> TenantCluster {
        serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1",
            "kind": "TenantCluster",
            "metadata": {"name": tenant},
            "spec": {
                "tenant": tenant, "tenantUid": "uid", "class": "eks-standard", "clusterName": format!("{tenant}-1"),
                "owner": {"team": "t", "contact": "c"}, "version": want,
                "hardening": {"baseline": "standard", "namespaces": [tenant]},
                "eks": {
                    "account": "111122223333", "region": "eu-central-1",
                    "roleArn": "arn:aws:iam::111122223333:role/f",
                    "clusterRoleArn": "arn:aws:iam::111122223333:role/c",
                    "network": {"subnetIds": ["subnet-1", "subnet-2"]}, "supportType": "EXTENDED",
                },
            },
            "status": {
                "versions": {"controlPlane": have, "nodes": nodes},
                "baseline": {"revision": "0a1b2c3d4e5f", "appliedRevision": "0a1b2c3d4e5f",
                             "provenRevision": "0a1b2c3d4e5f"},
            },
        }))
        .unwrap()
    }

    fn fleet() -> FleetVersions {
        let clusters = [
            cluster("acme-payments", "1.35", "1.33", &json!([{"name": "workers", "version": "1.30"}])),
            cluster("globex-web", "1.35", "1.34", &json!([])),
            cluster("initech-batch", "1.35", "1.36", &json!([{"name": "a", "version": "1.36"}])),
        ];
        let offer = |version: &str, status: &str, standard: &str, extended: &str| {
            json!({"version": version, "default": false, "status": status, "endOfStandard": standard,
                   "endOfExtended": extended})
        };
        let calendar: VersionCalendar = serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "VersionCalendar", "metadata": {"name": "eu-central-1"},
            "spec": {"readAt": "2026-11-24T06:00:00Z", "account": "111122223333", "versions": [
                offer("1.33", "Extended", "2026-07-29", "2027-07-29"),
                offer("1.34", "Standard", "2026-12-02", "2027-12-02"),
                offer("1.36", "Standard", "2027-08-02", "2028-08-02")]},
        }))
        .unwrap();
        let channel: VersionChannel = serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "VersionChannel", "metadata": {"name": "stable"},
            "spec": {"versions": [{"version": "1.36"}, {"version": "1.37", "from": "2027-02-01"}]},
        }))
        .unwrap();
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        fleet_versions(&clusters, &[calendar], &[channel], &Costs::default(), now)
    }

    #[test]
    fn the_matrix_says_what_runs_what_it_costs_and_how_to_adopt_what_is_ahead() {
        let text = anstream::adapter::strip_str(&to_text(&fleet(), false)).to_string();
        let expected = [
            "3 clusters: 1.33 (1), 1.34 (1), 1.36 (1); support: 2 standard, 1 extended",
            "2 behind what is wanted, 1 ahead of it",
            "control planes cost 0.80 USD an hour; waiting costs 0.50 USD an hour, 365.00 USD a month",
            "from 2026-12-02 on one more cluster at 1.34 costs 365.00 USD a month more",
            "",
            "TENANT         CONTROL PLANE  NODES  BASELINE      SUPPORT   UNTIL       DAYS  EXTRA/MONTH  WHAT",
            "acme-payments  1.33 -> 1.35   1.30   0a1b2c3d4e5f  extended  2027-07-29  247   365.00       node group workers: 1.30 is 3 minors behind 1.33: the control plane can…",
            "globex-web     1.34 -> 1.35   auto   0a1b2c3d4e5f  standard  2026-12-02  8     -",
            "initech-batch  1.36 -> 1.35   1.36   0a1b2c3d4e5f  standard  2027-08-02  251   -            ahead of its spec",
            "",
            "ahead of their spec; to adopt what runs, set the tenant's version, or",
            "  kubectl annotate tenantcluster initech-batch tenantfleet.dev/adopt-version=1.36",
            "",
            "warning: channel stable in eu-central-1: EKS does not offer 1.37 yet, and the channel does from 2027-02-01 on",
        ];
        assert_eq!(text, expected.join("\n"));
    }

    #[test]
    fn a_cluster_that_a_rollout_takes_back_is_not_to_be_adopted() {
        let mut back = cluster("acme-payments", "1.35", "1.36", &json!([]));
        let by = json!({"rollout": "up", "rolloutUid": "r", "seq": 1, "id": "r-1", "stage": "Back", "version": "1.35"});
        back.spec.rollout = serde_json::from_value(by).unwrap();
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let versions = fleet_versions(&[back], &[], &[], &Costs::default(), now);
        let text = anstream::adapter::strip_str(&to_text(&versions, false)).to_string();
        assert!(text.contains("0 behind what is wanted, 0 ahead of it, 1 on the way back to it"), "{text}");
        assert!(text.ends_with("goes back, by rollout up"), "{text}");
    }

    #[test]
    fn programs_get_the_sums_with_their_states_by_name() {
        let value = serde_json::to_value(super::super::Document::new("FleetVersions", &fleet())).unwrap();
        assert_eq!(value["kind"], "FleetVersions");
        assert_eq!(value["summary"]["support"], json!({"standard": 2, "extended": 1}));
        assert_eq!(value["tenants"][0]["controlPlane"], "1.33");
        assert_eq!(value["tenants"][0]["support"]["daysOfExtended"], 247);
    }
}
