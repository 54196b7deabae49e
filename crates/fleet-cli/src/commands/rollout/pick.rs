//! Which rollout is meant, and what belongs to it.

use fleet_api::v1alpha1::{Rollout, RolloutMember};
use fleet_spec::nearest;
use kube::api::{Api, ListParams};

use super::world::list;
use crate::{
    error::{CliError, Result},
    hub::{Hub, failed},
};

/// Whether nothing of a rollout will ever move again.
pub(crate) fn is_over(rollout: &Rollout) -> bool {
    rollout.status.as_ref().is_some_and(|status| status.phase.is_over())
}

/// The name of a rollout.
pub(crate) fn name_of(rollout: &Rollout) -> &str {
    rollout.metadata.name.as_deref().unwrap_or_default()
}

/// The rollout of a name; without one, the only rollout that is not over.
pub(crate) async fn rollout(hub: &Hub, name: Option<&str>) -> Result<Rollout> {
    let open = only_open(list(hub, "rollouts").await?, name)?;
    open.map_err(|_| {
        none_under_way().hint(
            "plan one with `fleet rollout plan -f FILE`; `fleet rollout history` lists those that are over",
        )
    })
}

/// The rollout of a name; without one, the only rollout that is not over, or else the one that ended last.
pub(crate) async fn rollout_or_last(hub: &Hub, name: Option<&str>) -> Result<Rollout> {
    let open = only_open(list(hub, "rollouts").await?, name)?;
    open.or_else(|over| {
        let ended = |rollout: &Rollout| {
            let ended = rollout.status.as_ref().and_then(|status| status.ended_at.as_ref());
            ended.map(|at| at.0).or(rollout.metadata.creation_timestamp.as_ref().map(|at| at.0))
        };
        let last = over.into_iter().max_by_key(ended);
        last.ok_or_else(|| none_under_way().hint("plan one with `fleet rollout plan -f FILE`"))
    })
}

/// The rollout of a name, whether or not it is over; without one, the only rollout that is not over.
pub(crate) async fn rollout_to_take_back(hub: &Hub, name: Option<&str>) -> Result<Rollout> {
    let open = only_open(list(hub, "rollouts").await?, name)?;
    open.map_err(|_| {
        none_under_way()
            .hint("name one that is over with `--rollout NAME`: `fleet rollout history` lists them")
    })
}

fn none_under_way() -> CliError {
    CliError::no("no rollout is under way")
}

/// The rollout of a name; without one, the only rollout that is not over, or all of them when every one is.
fn only_open(all: Vec<Rollout>, name: Option<&str>) -> Result<std::result::Result<Rollout, Vec<Rollout>>> {
    if let Some(name) = name {
        let names: Vec<&str> = all.iter().map(name_of).collect();
        let error = CliError::no(format!("there is no rollout `{name}`"));
        let error = match nearest(name, names.iter().copied()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint("list them with `fleet rollout history`"),
        };
        return all.into_iter().find(|rollout| name_of(rollout) == name).map(Ok).ok_or(error);
    }
    let (over, mut open): (Vec<Rollout>, Vec<Rollout>) = all.into_iter().partition(is_over);
    match (open.pop(), open.is_empty()) {
        (Some(only), true) => Ok(Ok(only)),
        (None, _) => Ok(Err(over)),
        (Some(last), false) => {
            let names: Vec<&str> = open.iter().chain([&last]).map(name_of).collect();
            Err(CliError::usage(format!("several rollouts are under way: {}", names.join(", ")))
                .hint("name one of them"))
        }
    }
}

/// The members of a rollout, by name.
pub(crate) async fn members(hub: &Hub, rollout: &str) -> Result<Vec<RolloutMember>> {
    let api: Api<RolloutMember> = Api::all(hub.client.clone());
    let params = ListParams::default().fields(&format!("spec.rollout={rollout}"));
    let list = api.list(&params).await;
    let list =
        list.map_err(|error| failed(&format!("the members of rollout `{rollout}` cannot be listed"), &error));
    Ok(list?.items)
}

/// The members of some tenants, each of which has to be one.
pub(crate) fn of_tenants<'a>(
    members: &'a [RolloutMember],
    tenants: &[String],
    rollout: &str,
) -> Result<Vec<&'a RolloutMember>> {
    let found = tenants.iter().map(|tenant| {
        members.iter().find(|member| member.spec.tenant == *tenant).ok_or_else(|| {
            let error = CliError::no(format!("tenant `{tenant}` is no member of rollout `{rollout}`"));
            match nearest(tenant, members.iter().map(|member| member.spec.tenant.as_str())) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.hint(format!("`fleet rollout status {rollout} -o wide` lists its members")),
            }
        })
    });
    found.collect()
}
