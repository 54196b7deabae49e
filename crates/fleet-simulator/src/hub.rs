//! The management cluster: objects with versions and generations, compare-and-swap, and what each object was before.

use std::{collections::HashMap, sync::Arc};

use fleet_api::v1alpha1::{
    Evidence, Maintenance, Move, MoveStage, RolloutMemberSpec, RolloutMemberStatus, RolloutSpec,
    RolloutStatus, VersionStatus,
};
use fleet_plan::rollout::VoteView;

use crate::{
    scenario,
    time::{HOUR, Millis},
};

/// The Rollout.
#[derive(Debug, Clone)]
pub(crate) struct Rollout {
    pub(crate) generation: i64,
    pub(crate) spec: Arc<RolloutSpec>,
    pub(crate) status: Arc<RolloutStatus>,
}

/// A RolloutMember.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) spec: Arc<RolloutMemberSpec>,
    pub(crate) status: Arc<RolloutMemberStatus>,
}

/// A TenantCluster, as far as a rollout looks at it.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) uid: Arc<str>,
    pub(crate) deleting: bool,
    pub(crate) paused: bool,
    pub(crate) maintenance: Option<Arc<Maintenance>>,
    pub(crate) current: Option<Arc<Move>>,
    pub(crate) baseline: Arc<str>,
    pub(crate) versions: Arc<VersionStatus>,
    pub(crate) evidence: Option<Arc<Evidence>>,
}

/// An object as it was stored at a moment.
#[derive(Debug)]
pub(crate) struct Stored<T> {
    pub(crate) version: String,
    pub(crate) value: T,
}

/// An object through time. `None` is what stands there after a deletion.
#[derive(Debug)]
pub(crate) struct History<T> {
    entries: Vec<(Millis, Option<Arc<Stored<T>>>)>,
}

/// The name of the rollout that takes clusters beside ours.
const RIVAL: &str = "rival";

/// For how long it is remembered what an object was: longer than any cache is behind.
const MEMORY: Millis = 6 * HOUR;

impl<T> History<T> {
    const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// What is stored.
    pub(crate) fn current(&self) -> Option<&Arc<Stored<T>>> {
        self.entries.last().and_then(|(_, stored)| stored.as_ref())
    }

    /// What was stored at a moment.
    pub(crate) fn as_of(&self, at: Millis) -> Option<&Arc<Stored<T>>> {
        self.entries.iter().rev().find(|(since, _)| *since <= at).and_then(|(_, stored)| stored.as_ref())
    }

    /// Everything that was stored at some moment since `from`, the newest first.
    pub(crate) fn since(&self, from: Millis) -> impl Iterator<Item = Option<&T>> {
        let mut done = false;
        self.entries
            .iter()
            .rev()
            .take_while(move |(since, _)| !std::mem::replace(&mut done, *since <= from))
            .map(|(_, stored)| stored.as_ref().map(|stored| &stored.value))
    }

    fn put(&mut self, now: Millis, stored: Option<Arc<Stored<T>>>) {
        if self.entries.len() >= 64 {
            // The last entry before the memory's end is what stood there when it began.
            let keep = self.entries.iter().rposition(|(since, _)| *since <= now - MEMORY).unwrap_or(0);
            self.entries.drain(..keep);
        }
        self.entries.push((now, stored));
    }
}

/// A write that was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Somebody was faster.
    Conflict,
    /// There is no such object.
    NotFound,
    /// A newer decision of the rollout stands.
    Older,
}

/// The management cluster.
#[derive(Debug)]
pub(crate) struct Hub {
    version: u64,
    pub(crate) rollout: History<Rollout>,
    pub(crate) members: Vec<History<Member>>,
    pub(crate) clusters: Vec<History<Cluster>>,
    pub(crate) votes: History<Vec<VoteView>>,
    /// When the rollout is over that has last taken a member's cluster beside ours.
    rivals: Vec<Option<Millis>>,
    /// The members by name, and by wave, as the labels of stored members index them.
    names: HashMap<String, usize>,
    waves: Vec<Vec<usize>>,
}

impl Hub {
    pub(crate) fn new(scenario: &[scenario::Member]) -> Self {
        let members = scenario.len();
        let mut waves = Vec::new();
        for (index, member) in scenario.iter().enumerate() {
            waves.resize(waves.len().max(member.wave + 1), Vec::new());
            if let Some(wave) = waves.get_mut(member.wave) {
                wave.push(index);
            }
        }
        Self {
            version: 0,
            rollout: History::new(),
            members: (0..members).map(|_| History::new()).collect(),
            clusters: (0..members).map(|_| History::new()).collect(),
            votes: History::new(),
            rivals: vec![None; members],
            names: scenario.iter().enumerate().map(|(index, member)| (member.name.clone(), index)).collect(),
            waves,
        }
    }

    /// The member of a name.
    pub(crate) fn named(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The members of a wave.
    pub(crate) fn of_wave(&self, wave: usize) -> &[usize] {
        self.waves.get(wave).map(Vec::as_slice).unwrap_or_default()
    }

    fn stored<T>(&mut self, value: T) -> Arc<Stored<T>> {
        self.version += 1;
        Arc::new(Stored { version: self.version.to_string(), value })
    }

    /// Stores the rollout, whatever stood there.
    pub(crate) fn put_rollout(&mut self, now: Millis, value: Rollout) {
        let stored = self.stored(value);
        self.rollout.put(now, Some(stored));
    }

    /// Stores a member, whatever stood there.
    pub(crate) fn put_member(&mut self, now: Millis, index: usize, value: Member) {
        let stored = self.stored(value);
        if let Some(history) = self.members.get_mut(index) {
            history.put(now, Some(stored));
        }
    }

    /// Stores a cluster, whatever stood there, or what stands there once it is deleted.
    pub(crate) fn put_cluster(&mut self, now: Millis, index: usize, value: Option<Cluster>) {
        let stored = value.map(|value| self.stored(value));
        if let Some(history) = self.clusters.get_mut(index) {
            history.put(now, stored);
        }
    }

    /// Stores the votes.
    pub(crate) fn put_votes(&mut self, now: Millis, value: Vec<VoteView>) {
        let stored = self.stored(value);
        self.votes.put(now, Some(stored));
    }

    /// The rollout as it is stored.
    pub(crate) fn rollout(&self) -> Option<&Rollout> {
        self.rollout.current().map(|stored| &stored.value)
    }

    /// A member as it is stored.
    pub(crate) fn member(&self, index: usize) -> Option<&Member> {
        self.members.get(index)?.current().map(|stored| &stored.value)
    }

    /// A cluster as it is stored.
    pub(crate) fn cluster(&self, index: usize) -> Option<&Cluster> {
        self.clusters.get(index)?.current().map(|stored| &stored.value)
    }

    /// The votes as they are stored.
    pub(crate) fn votes(&self) -> &[VoteView] {
        self.votes.current().map(|stored| stored.value.as_slice()).unwrap_or_default()
    }

    /// The name of the other rollout whose move stands in a cluster and that is not over, as of a moment.
    pub(crate) fn rival_of(&self, index: usize, current: Option<&Move>, at: Millis) -> Option<&'static str> {
        let over = self.rivals.get(index).copied().flatten()?;
        (at < over && current.is_some_and(|current| current.rollout == RIVAL)).then_some(RIVAL)
    }

    /// Another rollout sets its move on a cluster, where none of ours stands that may still want something. Returns whether
    /// it did.
    pub(crate) fn take(&mut self, now: Millis, index: usize, until: Millis) -> bool {
        let over = self.rollout().is_some_and(|rollout| rollout.status.phase.is_over());
        let Some(cluster) = self.cluster(index).filter(|cluster| !cluster.deleting) else { return false };
        let ours = cluster.current.as_deref().is_some_and(|current| current.rollout == crate::start::ROLLOUT);
        if ours && !over {
            return false;
        }
        let wanted = Move {
            rollout: RIVAL.to_owned(),
            rollout_uid: "rival-uid".to_owned(),
            seq: 1,
            id: "rival-uid-1".to_owned(),
            stage: MoveStage::Prepare,
            version: None,
            baseline: None,
            addons: Vec::new(),
            hold_nodes_until: None,
            halted: false,
            over: false,
        };
        let value = Cluster { current: Some(Arc::new(wanted)), ..cluster.clone() };
        self.put_cluster(now, index, Some(value));
        if let Some(rival) = self.rivals.get_mut(index) {
            *rival = Some(until);
        }
        true
    }

    /// Writes the rollout's status against the version that was read.
    pub(crate) fn write_rollout_status(
        &mut self,
        now: Millis,
        version: &str,
        status: RolloutStatus,
    ) -> Result<(), Refused> {
        let stored = self.rollout.current().ok_or(Refused::NotFound)?;
        if stored.version != version {
            return Err(Refused::Conflict);
        }
        let value = Rollout { status: Arc::new(status), ..stored.value.clone() };
        self.put_rollout(now, value);
        Ok(())
    }

    /// Writes a member's status against the version that was read.
    pub(crate) fn write_member_status(
        &mut self,
        now: Millis,
        index: usize,
        version: &str,
        status: RolloutMemberStatus,
    ) -> Result<(), Refused> {
        let stored = self.members.get(index).and_then(History::current).ok_or(Refused::NotFound)?;
        if stored.version != version {
            return Err(Refused::Conflict);
        }
        let value = Member { status: Arc::new(status), ..stored.value.clone() };
        self.put_member(now, index, value);
        Ok(())
    }

    /// Sets a cluster's move by server-side apply, with the rule that the custom resource carries.
    pub(crate) fn apply_move(&mut self, now: Millis, index: usize, wanted: Move) -> Result<(), Refused> {
        let stored = self.clusters.get(index).and_then(History::current).ok_or(Refused::NotFound)?;
        if let Some(current) = &stored.value.current
            && current.rollout_uid == wanted.rollout_uid
            && wanted.seq < current.seq
        {
            return Err(Refused::Older);
        }
        let value = Cluster { current: Some(Arc::new(wanted)), ..stored.value.clone() };
        self.put_cluster(now, index, Some(value));
        Ok(())
    }

    /// Writes what a cluster's loop saw, against the version that was read.
    pub(crate) fn write_observation(
        &mut self,
        now: Millis,
        index: usize,
        version: &str,
        versions: VersionStatus,
        baseline: Arc<str>,
        evidence: Option<Evidence>,
    ) -> Result<(), Refused> {
        let stored = self.clusters.get(index).and_then(History::current).ok_or(Refused::NotFound)?;
        if stored.version != version {
            return Err(Refused::Conflict);
        }
        let value = Cluster {
            versions: Arc::new(versions),
            baseline,
            evidence: evidence.map(Arc::new),
            ..stored.value.clone()
        };
        self.put_cluster(now, index, Some(value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_against_an_older_version_is_refused() {
        let scenario = crate::generate::scenario(1);
        let mut hub = Hub::new(&scenario.members);
        hub.put_votes(1, Vec::new());
        let value = Member {
            spec: Arc::new(crate::start::member_spec(&scenario, &scenario.members[0])),
            status: Arc::default(),
        };
        hub.put_member(1, 0, value);
        let version = hub.members[0].current().unwrap().version.clone();
        assert_eq!(hub.write_member_status(2, 0, &version, RolloutMemberStatus::default()), Ok(()));
        assert_eq!(
            hub.write_member_status(3, 0, &version, RolloutMemberStatus::default()),
            Err(Refused::Conflict)
        );
        assert_eq!(hub.members[0].as_of(1).unwrap().version, version);
        assert_eq!(hub.members[0].since(2).count(), 1);
        assert_eq!(hub.members[0].since(1).count(), 2);
        assert_eq!(hub.members[0].since(0).count(), 2);
    }
}
