//! Faults that can be put into the engine, to show that whoever checks it catches them.
//!
//! Without the feature `mutants` a [`Twist`] is nothing, and every question to it is answered `false` at compile time.

/// One fault of the engine. Each breaks one of the rules that a rollout keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    not(feature = "mutants"),
    expect(unreachable_pub, reason = "the faults are part of the interface only with the feature `mutants`")
)]
pub enum Mutant {
    /// Rule 1: a wave does not wait for the waves before it.
    WavesDoNotWait,
    /// Rule 2: percentages of the concurrency are rounded up.
    ConcurrencyRoundsUp,
    /// Rule 2: percentages of the failure budget are rounded up.
    BudgetRoundsUp,
    /// Rule 2: it allows more before what it allowed last was seen to begin.
    ForgetsTheLedger,
    /// Rule 2: a wave that has more failures than it may have goes on.
    FailuresDoNotStop,
    /// Rule 3: windows and freezes do not hold.
    StartsOutsideWindows,
    /// Rule 3: it begins with less of the window left than the step takes.
    StartsTooLate,
    /// Rule 4: evidence of other moves and stages counts.
    TrustsAnyEvidence,
    /// Rule 4: arrival is believed without the version.
    BelievesArrival,
    /// Rule 4: blockers, and what was not looked at, hold nobody.
    SkipsPreflight,
    /// Rule 5: members at any minor move.
    SkipsMinors,
    /// Rule 5: the 7 days of a rollback do not end.
    RollsBackTooLate,
    /// Rule 5: a cluster is rolled back below the version that it was made with.
    RollsBackBelowBirth,
    /// Rule 6: the soak is counted from the arrival, by the clock.
    SoaksByTheClock,
    /// Rule 6: a member that falls unhealthy goes on soaking.
    SoaksThroughRegress,
    /// Rule 7: a wave passes when few have failed.
    PassesOnFewFailures,
    /// Rule 7: a wave passes before its last members have settled.
    PassesEarly,
    /// Rule 8: members that are offline count as successes.
    OfflineSucceeds,
    /// Rule 8: members that are offline leave the denominator, however many there are.
    OfflineIsFree,
    /// Rule 8: members whose records were not read yet are left out of every count.
    ForgetsTheUnread,
    /// Rule 9: a grant that a crash left behind is forgotten, and the member never begins.
    DropsGrants,
    /// Rule 9: a member that is tried again keeps the move of the attempt that failed.
    RetriesUnderTheSameMove,
    /// Rule 10: the author's vote counts.
    AuthorVotes,
    /// Rule 10: votes do not expire.
    VotesLastForever,
    /// Rule 10: votes for other plans count.
    VotesForAnyPlan,
    /// Rule 10: votes count that were given before the gate could open.
    VotesInAdvance,
    /// Rule 10: one vote opens a gate.
    OneVoteIsEnough,
    /// Rule 11: nodes are not held back.
    NodesFollowAtOnce,
    /// Rule 12: members begin before the slot that the plan gave them.
    IgnoresSlots,
    /// Rule 12: members begin before the moment to which somebody put them off.
    IgnoresBeingPutOff,
    /// What a person paused or aborted goes on.
    IgnoresPause,
    /// Clusters that another rollout moves are moved.
    IgnoresOtherRollouts,
    /// The moves of members that left a rollout, and of a rollout that is over, go on standing for what is wanted.
    MovesOutliveTheirRollout,
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// Every fault.
    pub const ALL: &'static [Self] = &[
        Self::WavesDoNotWait,
        Self::ConcurrencyRoundsUp,
        Self::BudgetRoundsUp,
        Self::ForgetsTheLedger,
        Self::FailuresDoNotStop,
        Self::StartsOutsideWindows,
        Self::StartsTooLate,
        Self::TrustsAnyEvidence,
        Self::BelievesArrival,
        Self::SkipsPreflight,
        Self::SkipsMinors,
        Self::RollsBackTooLate,
        Self::RollsBackBelowBirth,
        Self::SoaksByTheClock,
        Self::SoaksThroughRegress,
        Self::PassesOnFewFailures,
        Self::PassesEarly,
        Self::OfflineSucceeds,
        Self::OfflineIsFree,
        Self::ForgetsTheUnread,
        Self::DropsGrants,
        Self::RetriesUnderTheSameMove,
        Self::AuthorVotes,
        Self::VotesLastForever,
        Self::VotesForAnyPlan,
        Self::VotesInAdvance,
        Self::OneVoteIsEnough,
        Self::NodesFollowAtOnce,
        Self::IgnoresSlots,
        Self::IgnoresBeingPutOff,
        Self::IgnoresPause,
        Self::IgnoresOtherRollouts,
        Self::MovesOutliveTheirRollout,
    ];

    /// The rule that it breaks, by its number; 0 for what a person asked for.
    pub const fn rule(self) -> u8 {
        match self {
            Self::WavesDoNotWait => 1,
            Self::ConcurrencyRoundsUp
            | Self::BudgetRoundsUp
            | Self::ForgetsTheLedger
            | Self::FailuresDoNotStop => 2,
            Self::StartsOutsideWindows | Self::StartsTooLate => 3,
            Self::TrustsAnyEvidence | Self::BelievesArrival | Self::SkipsPreflight => 4,
            Self::SkipsMinors | Self::RollsBackTooLate | Self::RollsBackBelowBirth => 5,
            Self::SoaksByTheClock | Self::SoaksThroughRegress => 6,
            Self::PassesOnFewFailures | Self::PassesEarly => 7,
            Self::OfflineSucceeds | Self::OfflineIsFree | Self::ForgetsTheUnread => 8,
            Self::DropsGrants | Self::RetriesUnderTheSameMove => 9,
            Self::AuthorVotes
            | Self::VotesLastForever
            | Self::VotesForAnyPlan
            | Self::VotesInAdvance
            | Self::OneVoteIsEnough => 10,
            Self::NodesFollowAtOnce => 11,
            Self::IgnoresSlots | Self::IgnoresBeingPutOff => 12,
            Self::IgnoresPause | Self::IgnoresOtherRollouts | Self::MovesOutliveTheirRollout => 0,
        }
    }
}

/// The fault that is in force, if there is one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Twist(#[cfg(feature = "mutants")] Option<Mutant>);

impl Twist {
    #[cfg(feature = "mutants")]
    pub(super) const fn new(mutant: Option<Mutant>) -> Self {
        Self(mutant)
    }

    /// Whether this fault is in force.
    #[cfg(feature = "mutants")]
    pub(super) fn is(self, mutant: Mutant) -> bool {
        self.0 == Some(mutant)
    }

    /// Whether this fault is in force: it never is.
    #[cfg(not(feature = "mutants"))]
    pub(super) const fn is(self, _: Mutant) -> bool {
        false
    }
}
