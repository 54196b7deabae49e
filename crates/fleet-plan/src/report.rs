//! Why nothing moves, or what is waited for: every reason is a code with a meaning, and says who can act.

use fleet_api::v1alpha1::ReportEntry;

/// Who can end a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// It passes by itself.
    Nobody,
    /// The cloud, which is at work or has a fault of its own.
    Cloud,
    /// The tenant's own people.
    Tenant,
    /// The operators of the fleet.
    Operator,
}

impl Who {
    /// The word that reports use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Cloud => "cloud",
            Self::Tenant => "tenant",
            Self::Operator => "operator",
        }
    }
}

/// Declares the codes once: the variant is what reports carry, the doc comment is what `fleet explain` prints.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The code of a report entry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code, in the order in which a cluster's life meets them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as reports write it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What the code means, for people.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc, "\n",)+).trim(),)+
                }
            }
        }
    };
}

codes! {
    /// The tenant names a class that does not exist.
    ClassMissing,
    /// The tenant's class names no provider that this version of fleet has.
    ProviderMissing,
    /// The tenant is under a regime that its class cannot carry.
    ClassCannotCarry,
    /// Neither the tenant nor the fleet's defaults name a channel or a version.
    ChannelUnnamed,
    /// The channel that the tenant follows does not exist.
    ChannelMissing,
    /// The channel offers no version yet: the days of all of them are still to come.
    ChannelEmpty,
    /// The maintenance times name a time zone that does not exist.
    UnknownTimeZone,
    /// The day up to which the tenant was pinned has passed, and it follows the default channel again.
    PinExpired,
    /// A rollout took the cluster back, and its channel does not send it forward again.
    HeldBack,
    /// The class now names another account or region; the cluster stays where it was made.
    ClassMoved,
    /// The tenant's name cannot be one.
    NameRefused,
    /// The tenant has no UID yet: the management cluster has not stored it.
    NotStoredYet,
    /// All is as wanted; nothing is to be done.
    AsWanted,
    /// Steps are about to be carried out.
    Working,
    /// The tenant is paused by its annotation: fleet watches and changes nothing.
    Paused,
    /// The cluster could not be read. Nothing is done on a guess.
    ClusterUnknown,
    /// A part of the cluster could not be read, and what depends on it waits.
    PartUnknown,
    /// A cluster of this name exists and does not carry this tenant's ownership tag.
    NotOurs,
    /// The cluster was there and is gone, though nobody asked fleet to delete it.
    ClusterVanished,
    /// The cloud is creating the cluster.
    WaitingForCluster,
    /// The cloud failed to create the cluster; it is deleted and tried again.
    CreateFailed,
    /// Something that the cloud does takes much longer than usual.
    Slow,
    /// Something that the cloud does takes so long that it will hardly end by itself.
    Stuck,
    /// The cloud is carrying out an update.
    WaitingForUpdate,
    /// An update ended, and what was read does not show it yet.
    WaitingForRead,
    /// A part is being created, changed or deleted by the cloud.
    WaitingForPart,
    /// A field that cannot be changed differs from the spec. Nothing was sent.
    Immutable,
    /// The cloud reports a fault of the cluster.
    ClusterUnhealthy,
    /// A node group is up and not well.
    NodeGroupDegraded,
    /// A node group that is not fleet's own is in the cluster.
    NodeGroupForeign,
    /// An add-on is up and not well.
    AddonDegraded,
    /// CoreDNS waits for nodes; it is not at fault.
    WaitingForNodes,
    /// The cloud names no version of an add-on that fits.
    AddonVersionUnknown,
    /// An access entry that fleet did not make lets somebody in.
    AccessForeign,
    /// The tenant's access is handed over last, when the baseline has been proven.
    AccessWaitsForProof,
    /// A step failed and is tried again after a pause.
    Retrying,
    /// A step failed too often: somebody has to act.
    FailedTooOften,
    /// A step failed under a rollout for a reason that another try cannot mend: somebody has to act.
    FailedForGood,
    /// The cluster's member of a rollout has failed: nothing further of its move begins before somebody says so.
    MoveHalted,
    /// A disruptive step waits for the tenant's next maintenance window.
    WaitingForWindow,
    /// A disruptive step waits for the end of a freeze.
    Frozen,
    /// Changes were put off: by the operators, or by the tenant's people inside their bounds.
    PutOff,
    /// The minimum gap since the last change that disturbed workloads is not over.
    TooSoon,
    /// No window of the tenant's is long enough for a step, or none ever opens.
    NoWindow,
    /// The cluster runs a newer version than its spec wants. It is never moved back for that.
    AheadOfSpec,
    /// The observed version was adopted as the wanted one, by annotation.
    VersionAdopted,
    /// The cloud does not offer the version that comes next.
    VersionNotOffered,
    /// What an upgrade needs to know could not be read.
    ReadinessUnknown,
    /// The cloud's upgrade insights name an obstacle.
    UpgradeInsight,
    /// The cluster's subnets have too few free addresses for an upgrade.
    FreeAddresses,
    /// An add-on has no version that runs on the present and on the next minor.
    AddonBlocksUpgrade,
    /// Nodes are too old for the next version of the control plane.
    NodesBeyondSkew,
    /// A rollout holds the nodes at the old minor for a while, so that the control plane can still go back.
    NodesHeld,
    /// EKS cannot move the control plane back: too late, made at this minor, or more than one minor.
    RollbackImpossible,
    /// The cloud's rollback insights name an obstacle, or say nothing yet.
    RollbackInsight,
    /// A PodDisruptionBudget allows no disruption: its pods would keep nodes from being replaced.
    DisruptionBudgetBlocks,
    /// An admission webhook that must answer has nobody behind it: requests that an upgrade needs would fail.
    WebhookBlocks,
    /// An exception that a control rests on expires while the rollout is under way.
    ExceptionExpires,
    /// The cluster is not ready, and a rollout does not begin on it.
    NotReady,
    /// Parts are not at rest, and an upgrade waits for them.
    PartsUnsettled,
    /// Standard support of the cluster's version ends soon.
    SupportEnds,
    /// The cluster's version is in extended support, which costs more.
    ExtendedSupport,
    /// The cluster's version is no longer supported.
    Unsupported,
    /// The brake on deletions holds: as many as may begin within an hour have begun.
    Braked,
    /// The deletion needs the tenant's confirmation by name.
    DeletionUnconfirmed,
    /// The deletion waits for load balancers and volumes to be drained.
    Draining,
    /// The workloads could not be drained, and nothing happens without somebody's word.
    DrainBlocked,
    /// The workloads were not drained; what that leaves behind is named in the receipt.
    DrainSkipped,
    /// The cloud is deleting.
    WaitingForDeletion,
    /// The cluster is gone, and what is left is being looked for.
    Sweeping,
    /// Something is left that vanishes by itself after a while.
    WaitingForLeftovers,
    /// Everything is gone, or named in the receipt.
    Deleted,
    /// The tenant's API server does not answer.
    ApiServerUnreachable,
    /// The baseline is being applied or probed.
    Hardening,
    /// A control was seen not to bite.
    ControlFails,
    /// Somebody keeps changing an object of the baseline.
    Fight,
    /// The rollout is planned, and nothing moves before somebody starts it.
    RolloutPlanned,
    /// The rollout contradicts itself, and nothing of it moves.
    RolloutBroken,
    /// Somebody paused the rollout: nothing new begins, and what runs is left to finish.
    RolloutPaused,
    /// Somebody aborted the rollout: nothing begins any more, and what runs is left to finish.
    RolloutAborted,
    /// A wave has more failures than it may have: nothing new begins.
    RolloutStopped,
    /// Members are being rolled back.
    RollingBack,
    /// A member's wave is none of the rollout's.
    MemberWithoutWave,
    /// A member's record names another rollout.
    MemberOfAnother,
    /// Two members have the same cluster.
    MemberTwice,
    /// What the rollout decided last is not yet seen in its members, and nothing new is decided before it is.
    WaitingForMembers,
    /// A wave waits for a gate.
    WaitingForGate,
    /// Votes on a gate do not count.
    VotesVoid,
    /// Members wait for the slots that the plan gave them.
    WaitingForSlot,
    /// Members wait for their turn: as many are moving as may be.
    WaitingForTurn,
    /// Members are moving.
    MembersMoving,
    /// Members are healthy on the target and have to stay so for a while.
    MembersSoaking,
    /// Members are being looked at for what would stand in their way.
    MembersPreparing,
    /// Something stands in the way of members; it is named in each of them.
    MembersBlocked,
    /// A member failed.
    MemberFailed,
    /// A member has not been observed for too long. It counts neither as a success nor as a failure.
    MemberOffline,
    /// A member left the rollout.
    MemberLeftOut,
    /// Another rollout, which is not over, moves the cluster.
    OtherRollout,
    /// The cluster's version is none from which the rollout moves it.
    VersionUnexpected,
    /// All members of a wave have settled, and too few of them have succeeded for it to pass.
    MinimumOutOfReach,
    /// A member is to be rolled back and has not moved: it does not begin.
    RollbackUnmoved,
    /// The cloud takes an upgrade back for 7 days only, and they are over.
    RollbackTooLate,
    /// The cluster was made with the version that it would be rolled back from.
    RollbackBelowBirth,
    /// Nothing shows that the cluster could be rolled back.
    RollbackUnclear,
    /// More is to say than a status can hold.
    AndMore,
}

/// The most entries that a status holds.
pub const MAX_ENTRIES: usize = 16;

/// The longest message: whatever a cloud answers, a status stays small.
const MAX_MESSAGE: usize = 1_024;

/// Builds one entry.
pub fn entry(code: Code, who: Who, message: impl Into<String>) -> ReportEntry {
    ReportEntry {
        code: code.as_str().to_owned(),
        message: shortened(message.into()),
        who: who.as_str().to_owned(),
        hint: None,
    }
}

/// Builds one entry with what to do about it.
pub fn entry_with_hint(
    code: Code,
    who: Who,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> ReportEntry {
    ReportEntry { hint: Some(shortened(hint.into())), ..entry(code, who, message) }
}

/// Brings a report into the form that a status holds: each entry once, those that need somebody first, and
/// never more than [`MAX_ENTRIES`].
pub fn settle(entries: Vec<ReportEntry>) -> Vec<ReportEntry> {
    let mut settled: Vec<ReportEntry> = Vec::with_capacity(entries.len());
    for one in entries {
        if !settled.contains(&one) {
            settled.push(one);
        }
    }
    settled.sort_by_key(|entry| !needs_somebody(entry));
    if settled.len() > MAX_ENTRIES {
        let more = settled.len() - (MAX_ENTRIES - 1);
        settled.truncate(MAX_ENTRIES - 1);
        settled.push(entry(Code::AndMore, Who::Nobody, format!("{more} more entries are left out")));
    }
    settled
}

/// True when the entry ends only if the tenant or an operator acts.
pub fn needs_somebody(entry: &ReportEntry) -> bool {
    entry.hint.is_some() && (entry.who == Who::Tenant.as_str() || entry.who == Who::Operator.as_str())
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((cut, _)) => format!("{} ...", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_somebody_comes_first_and_the_rest_keeps_its_order() {
        let settled = settle(vec![
            entry(Code::WaitingForCluster, Who::Cloud, "a"),
            entry_with_hint(Code::NotOurs, Who::Operator, "b", "look"),
            entry(Code::WaitingForCluster, Who::Cloud, "a"),
        ]);
        let codes: Vec<_> = settled.iter().map(|e| e.code.as_str()).collect();
        assert_eq!(codes, ["NotOurs", "WaitingForCluster"]);
    }

    #[test]
    fn a_report_fits_a_status_and_says_what_it_left_out() {
        let many = (0..40).map(|i| entry(Code::PartUnknown, Who::Nobody, i.to_string())).collect();
        let settled = settle(many);
        assert_eq!(settled.len(), MAX_ENTRIES);
        assert!(settled[MAX_ENTRIES - 1].message.starts_with("25 more"));
    }

    #[test]
    fn every_code_has_a_meaning_that_is_a_sentence() {
        for code in Code::ALL {
            assert!(code.meaning().ends_with('.'), "{code:?}");
        }
    }
}
