//! The brake on deletions: how many tenants may go within an hour.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use crate::context::Context;

/// A deletion that may not begin yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Braked {
    /// How many may begin within an hour.
    pub(crate) most: i32,
    /// When the next one may begin; `None` when none may.
    pub(crate) next: Option<Timestamp>,
}

impl Braked {
    /// What holds, for people.
    pub(crate) fn message(&self) -> String {
        let when = match self.next {
            Some(at) => {
                format!("the next may begin at {}", Timestamp::from_second(at.as_second()).unwrap_or(at))
            }
            None => "so none may".to_owned(),
        };
        format!("{} tenants may be deleted within an hour, and {when}", self.most)
    }

    /// What an operator can do.
    pub(crate) const HINT: &str = "wait, or raise `brakes.maxDeletionsPerHour` of the Fleet";
}

/// Asks to begin the deletion of a cluster, by its name in the cloud.
pub(crate) fn ask(context: &Context, cluster: &str) -> Result<(), Braked> {
    let most = context.stores.fleet().spec.brakes.max_deletions_per_hour;
    context.brake.ask(cluster, &recorded(context), most, context.now()).map_err(|next| Braked { most, next })
}

/// The deletions that the management cluster knows to have begun: clusters that are being taken down, and receipts.
fn recorded(context: &Context) -> Vec<(String, Timestamp)> {
    let going = context.stores.clusters.state();
    let going = going.iter().filter_map(|cluster| {
        let deletion = cluster.status.as_ref()?.deletion.as_ref()?;
        Some((cluster.spec.cluster_name.clone(), deletion.began_at.0))
    });
    let gone = context.stores.receipts.state();
    let gone = gone.iter().filter_map(|receipt| {
        let name = receipt.name_any();
        let cluster = name.strip_prefix("receipt-").unwrap_or(&name).to_owned();
        Some((cluster, receipt.creation_timestamp()?.0))
    });
    going.chain(gone).collect()
}

/// The span over which deletions are counted.
const SPAN: SignedDuration = SignedDuration::from_hours(1);

/// Counts deletions that begin. Two that begin at the same moment are counted one after the other.
#[derive(Debug, Default)]
pub(crate) struct Brake {
    begun: Mutex<HashMap<String, Timestamp>>,
}

impl Brake {
    /// Asks to begin a deletion. `recorded` is what the management cluster knows: the deletions that began, by the
    /// name of the cluster. `Err` carries the moment when the next one may begin.
    fn ask(
        &self,
        cluster: &str,
        recorded: &[(String, Timestamp)],
        most: i32,
        now: Timestamp,
    ) -> Result<(), Option<Timestamp>> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, at) in recorded {
            begun.entry(name.clone()).or_insert(*at);
        }
        begun.retain(|_, at| at.duration_until(now) < SPAN);
        if begun.contains_key(cluster) {
            return Ok(());
        }
        if i32::try_from(begun.len()).unwrap_or(i32::MAX) < most {
            begun.insert(cluster.to_owned(), now);
            return Ok(());
        }
        Err(begun.values().min().and_then(|oldest| oldest.checked_add(SPAN).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn the_deletion_over_the_limit_waits_until_the_oldest_is_an_hour_old() {
        let brake = Brake::default();
        assert_eq!(brake.ask("a", &[], 2, at(0)), Ok(()));
        assert_eq!(brake.ask("b", &[], 2, at(10)), Ok(()));
        assert_eq!(brake.ask("c", &[], 2, at(20)), Err(Some(at(60))));
        assert_eq!(brake.ask("a", &[], 2, at(20)), Ok(()), "one that has begun goes on");
        assert_eq!(brake.ask("c", &[], 2, at(60)), Ok(()));
    }

    #[test]
    fn what_the_management_cluster_recorded_counts_after_a_restart() {
        let brake = Brake::default();
        let recorded = [("a".to_owned(), at(0)), ("b".to_owned(), at(5))];
        assert_eq!(brake.ask("c", &recorded, 2, at(30)), Err(Some(at(60))));
        assert_eq!(brake.ask("b", &recorded, 2, at(30)), Ok(()));
    }

    #[test]
    fn a_limit_of_zero_lets_nothing_go() {
        assert_eq!(Brake::default().ask("a", &[], 0, at(0)), Err(None));
    }
}
