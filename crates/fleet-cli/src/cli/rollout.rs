//! Arguments of `fleet rollout`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use fleet_api::{KubernetesVersion, text::Day};

use super::Output;

/// What to do with rollouts.
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Give every member of a rollout its dated slot, and change nothing
    ///
    /// Reads a file with one `kind: Rollout` and the management cluster, and shows when every member moves, in which
    /// order, when each wave is expected to pass, what waiting costs, and until when each member can be rolled back. When
    /// there is no such plan, it shows everything that is wrong, or the smallest set of rules that cannot hold together.
    Plan(PlanArguments),
    /// Start exactly a stored plan, and refuse when the fleet has moved since
    Start {
        /// The plan, as `fleet rollout plan --out` stored it
        #[arg(long, value_name = "FILE")]
        plan: PathBuf,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Show how far a rollout is: its waves, members, soak clocks and gates
    Status {
        /// The rollout; the one that is not over when there is only one, or else the one that ended last
        rollout: Option<String>,
        /// Show again whenever something changes
        #[arg(long, short)]
        watch: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Let nothing new begin; what runs is left to finish
    Pause(OneRollout),
    /// Let a rollout go on, after a look at its failures
    Resume {
        /// The rollout; the one that is not over when there is only one
        rollout: Option<String>,
        /// You have looked at the failures so far, and the rollout shall go on all the same
        #[arg(long)]
        acknowledge_failures: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Vote for a gate
    Approve {
        /// The rollout; the one that is not over when there is only one
        rollout: Option<String>,
        /// The gate
        #[arg(long, value_name = "NAME")]
        gate: String,
        /// The role in which you vote; needed when the gate asks for several
        #[arg(long, value_name = "NAME")]
        role: Option<String>,
        /// Why, or what you looked at
        #[arg(long, short = 'm', value_name = "TEXT")]
        comment: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Take members out of a rollout: they count neither as success nor as failure
    Skip(Members),
    /// Try members again that failed
    Retry(Members),
    /// End a rollout: nothing begins any more, and what runs is left to finish
    Abort {
        /// The rollout; the one that is not over when there is only one
        rollout: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Roll members back to the minor before: all that have moved, those of a wave, or those that are named
    Rollback {
        /// The tenants; all that have moved when none is named
        tenants: Vec<String>,
        /// The rollout; the one that is not over when there is only one
        #[arg(long, value_name = "NAME")]
        rollout: Option<String>,
        /// Only the members of this wave
        #[arg(long, value_name = "NAME", conflicts_with = "tenants")]
        wave: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Say why a member is where it is, and who can act: what `fleet why` says
    Why {
        /// The tenant
        tenant: String,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// List rollouts, those that are over included
    History {
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
}

/// A rollout, and how to print what became of it.
#[derive(Debug, Args)]
pub struct OneRollout {
    /// The rollout; the one that is not over when there is only one
    pub rollout: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// Members of a rollout.
#[derive(Debug, Args)]
pub struct Members {
    /// The tenants
    #[arg(required = true)]
    pub tenants: Vec<String>,
    /// The rollout; the one that is not over when there is only one
    #[arg(long, value_name = "NAME")]
    pub rollout: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `fleet rollout plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// A file or folder with one `kind: Rollout`, or `-` for standard input
    #[arg(short = 'f', long = "file", required = true, value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Plan against a fleet spec in place of the management cluster, as if every tenant ran what the spec says
    #[arg(long, value_name = "PATH")]
    pub against: Vec<PathBuf>,
    /// Plan as of the beginning of this day, such as `2027-01-31`; now when left out
    #[arg(long, value_name = "DAY")]
    pub on: Option<Day>,
    /// The last day by which every member has to have succeeded
    #[arg(long, value_name = "DAY")]
    pub by: Option<Day>,
    /// The minor to end at, in place of the file's target: a rollout for each hop
    #[arg(long, value_name = "VERSION")]
    pub to: Option<KubernetesVersion>,
    /// Store the plan, for `fleet rollout start --plan`; each hop of a chain gets a file of its own
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Draw the plan as a page of HTML that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: PlanFormat,
}

/// How to print a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// The waves and their members.
    #[default]
    Table,
    /// With more columns.
    Wide,
    /// The plan as it is stored.
    Json,
    /// The plan as it is stored.
    Yaml,
    /// The names of the rollouts alone.
    Name,
    /// Drawn over time.
    Timeline,
}
