//! What `fleet why` says of a tenant's place in a rollout.

use fleet_api::v1alpha1::{MemberState, ReportEntry, Rollout, RolloutMember, RolloutPhase};
use kube::api::{Api, ListParams};
use serde::Serialize;

use super::pick;
use crate::{
    error::Result,
    hub::{Hub, failed},
    output::rollout::{
        moment,
        plan::to,
        status::{phase, reason},
    },
    printer::{Tone, plain, toned},
};

/// Where a tenant is in a rollout that is not over.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InRollout {
    rollout: String,
    target: String,
    phase: RolloutPhase,
    wave: String,
    slot: jiff::Timestamp,
    state: MemberState,
    message: String,
    /// What stands in its way.
    blockers: Vec<ReportEntry>,
    /// What the whole rollout waits for, while the member waits.
    report: Vec<ReportEntry>,
}

/// The places of a tenant in rollouts that are not over.
pub(crate) async fn of(hub: &Hub, tenant: &str) -> Result<Vec<InRollout>> {
    let members: Api<RolloutMember> = Api::all(hub.client.clone());
    let params = ListParams::default().fields(&format!("spec.tenant={tenant}"));
    let list = members.list(&params).await;
    let list =
        list.map_err(|error| failed(&format!("the rollouts of tenant `{tenant}` cannot be listed"), &error))?;
    let rollouts: Api<Rollout> = Api::all(hub.client.clone());
    let mut places = Vec::new();
    for member in list.items {
        let name = &member.spec.rollout;
        let rollout = rollouts.get_opt(name).await;
        let rollout = rollout.map_err(|error| failed(&format!("rollout `{name}` cannot be read"), &error))?;
        if let Some(rollout) = rollout.filter(|rollout| !pick::is_over(rollout)) {
            places.push(InRollout::of(&rollout, &member));
        }
    }
    Ok(places)
}

impl InRollout {
    fn of(rollout: &Rollout, member: &RolloutMember) -> Self {
        let status = rollout.status.clone().unwrap_or_default();
        let own = member.status.clone().unwrap_or_default();
        let waits = matches!(own.state, MemberState::Pending | MemberState::Preflight);
        Self {
            rollout: pick::name_of(rollout).to_owned(),
            target: to(&rollout.spec.target),
            phase: status.phase,
            wave: member.spec.wave.clone(),
            slot: member.spec.slot.0,
            state: own.state,
            message: own.message,
            blockers: own.blockers,
            report: if waits { status.report } else { Vec::new() },
        }
    }

    /// The place for people.
    pub(crate) fn to_text(&self) -> String {
        let mut lines = vec![format!(
            "in rollout {} {} ({}), wave {}: {:?}, slot {}",
            toned(plain(&self.rollout), Tone::Strong),
            self.target,
            phase(self.phase),
            plain(&self.wave),
            self.state,
            moment(self.slot),
        )];
        if !self.message.is_empty() {
            lines.push(plain(&self.message));
        }
        lines.extend(self.blockers.iter().chain(&self.report).map(reason));
        lines.join("\n")
    }
}
