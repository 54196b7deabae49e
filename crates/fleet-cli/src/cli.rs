//! Arguments: what can be typed, and nothing else.

pub mod rollout;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rollout::RolloutCommand;

/// Give every tenant a Kubernetes cluster of its own, and keep all of them safe and current
#[derive(Debug, Parser)]
#[command(name = "fleet", bin_name = "fleet", version, propagate_version = false, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 done or same; 1 the answer is no (differences, findings, not ready); 2 wrong \
                        usage, spec or configuration; 3 a cluster or the cloud failed, and trying again can help; \
                        130 interrupted."
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The kubeconfig of the management cluster
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub context: Option<String>,
    /// Speak to the management cluster as this user, as far as it lets you impersonate them
    #[arg(long = "as", global = true, value_name = "USER", help_heading = "Global options")]
    pub as_user: Option<String>,
    /// With `--as`: in this group as well; may be given several times
    #[arg(
        long = "as-group",
        global = true,
        requires = "as_user",
        value_name = "GROUP",
        help_heading = "Global options"
    )]
    pub as_groups: Vec<String>,
    /// When to colour; NO_COLOR is honoured as well
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN", help_heading = "Global options")]
    pub color: Colour,
    /// Say nothing but results and errors
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Say more on stderr; twice for what is sent
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How to print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For people with a wide terminal.
    Wide,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
    /// One name a line, as `kubectl` takes it.
    Name,
}

/// `-o`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// How to print
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// `-f`.
#[derive(Debug, Clone, Args)]
pub struct Spec {
    /// A folder, a file, or `-` for standard input; may be given several times
    #[arg(short = 'f', long = "file", required = true, value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Judge the spec as of this day, such as `2027-01-31`; today when left out
    #[arg(long, value_name = "DAY")]
    pub on: Option<fleet_api::text::Day>,
}

/// Waiting.
#[derive(Debug, Clone, Copy, Args)]
pub struct Wait {
    /// Wait until it is done, with one line for each tenant
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, such as `30m` or `2h`; what was asked for goes on afterwards
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub timeout: fleet_api::text::Minutes,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a spec and change nothing
    ///
    /// Reads the whole spec and reports every finding at once, each with file, line, column and what to do.
    #[command(visible_alias = "lint")]
    Validate {
        /// The spec.
        #[command(flatten)]
        spec: Spec,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Show what applying a spec would change, and the steps that would follow
    Plan(PlanArguments),
    /// Apply a spec: check, plan, confirm, write, and wait if asked to
    Apply(ApplyArguments),
    /// Show the fleet at a glance
    Status {
        /// Tenants to show; all when none is named
        tenants: Vec<String>,
        /// Show again whenever something changes
        #[arg(long, short)]
        watch: bool,
        /// Show only tenants that are not ready
        #[arg(long)]
        not_ready: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Show when tenants may be disturbed, and which upgrade waits for it
    ///
    /// Lists the coming maintenance windows in the tenant's time zone and in UTC, with the freezes, and with the reason
    /// where a window may not be used: a minimum gap, a deferral, too little time. `-o ics` writes a file that calendar
    /// programs read.
    Calendar(CalendarArguments),
    /// Show what runs where, how long it is supported, and what waiting costs
    ///
    /// Dates and states of support come from EKS, by region, as the controller last read them; prices come from the
    /// Fleet.
    Versions {
        /// Tenants to show; all when none is named
        tenants: Vec<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// List objects of a kind, or show one
    Get {
        /// The kind, such as `tenants`, `classes` or `baselines`
        kind: String,
        /// Names; all when none is given
        names: Vec<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Show everything that is known of a tenant
    Describe {
        /// The tenant
        tenant: String,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Say why a tenant is where it is, and who can act
    Why {
        /// The tenant
        tenant: String,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Move the fleet in waves: plan first, then start, watch and steer
    Rollout {
        /// What to do.
        #[command(subcommand)]
        command: RolloutCommand,
    },
    /// Print the hardening objects of a tenant as they would be applied
    Render(RenderArguments),
    /// Print a kubeconfig for a tenant's cluster, with short-lived credentials of the caller
    Kubeconfig {
        /// The tenant
        tenant: String,
        /// The IAM role to enter as; your own identity when left out
        #[arg(long, value_name = "ARN")]
        role_arn: Option<String>,
    },
    /// Print a token for an EKS cluster, as kubeconfigs ask for it
    Token {
        /// The cluster's name in EKS
        #[arg(long, value_name = "NAME")]
        cluster_name: String,
        /// The AWS region
        #[arg(long, value_name = "REGION")]
        region: String,
        /// The IAM role to enter as; your own identity when left out
        #[arg(long, value_name = "ARN")]
        role_arn: Option<String>,
    },
    /// Delete a tenant with its cluster, and print the receipt
    Delete {
        /// The tenant
        tenant: String,
        /// The tenant's name once more, in place of typing it
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
        /// Waiting.
        #[command(flatten)]
        wait: Wait,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Print the receipt of a tenant's deletion
    Receipt {
        /// The tenant; without it every receipt is listed
        tenant: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Explain a field, such as `tenant.spec.maintenance`, or a control, such as `NET-1`
    Explain {
        /// The field or the control; without it the kinds and controls are listed
        subject: Option<String>,
    },
    /// Run a management plane on this machine, without an account
    Sandbox {
        /// What to do.
        #[command(subcommand)]
        command: SandboxCommand,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version {
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
}

/// Arguments of `fleet calendar`.
#[derive(Debug, Args)]
pub struct CalendarArguments {
    /// The tenant; all of them when left out, with a few windows each
    pub tenant: Option<String>,
    /// Read a spec in place of the management cluster
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Begin with this day, in UTC, such as `2027-01-31`; now when left out
    #[arg(long, value_name = "DAY")]
    pub from: Option<fleet_api::text::Day>,
    /// How many days ahead
    #[arg(long, default_value_t = 60, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    pub days: u16,
    /// The most windows of one tenant; 10 of one, 3 of each, 100 in a file when left out
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub slots: Option<u16>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: CalendarFormat,
}

/// How to print a calendar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CalendarFormat {
    /// For people.
    #[default]
    Table,
    /// For people with a wide terminal.
    Wide,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
    /// The tenants alone.
    Name,
    /// For calendar programs.
    Ics,
}

/// Arguments of `fleet plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// The spec.
    #[command(flatten)]
    pub spec: Spec,
    /// Count objects that fleet applied earlier and that the spec no longer has as deletions
    #[arg(long)]
    pub prune: bool,
    /// Exit with 1 when there are differences
    #[arg(long)]
    pub exit_code: bool,
    /// Store the plan, for `fleet apply --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `fleet apply`.
#[derive(Debug, Args)]
pub struct ApplyArguments {
    /// A folder, a file, or `-` for standard input; may be given several times
    #[arg(short = 'f', long = "file", required_unless_present = "plan", value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Apply exactly this stored plan, and refuse when the management cluster has moved since
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "prune"])]
    pub plan: Option<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Delete objects that fleet applied earlier and that the spec no longer has
    #[arg(long)]
    pub prune: bool,
    /// Take over fields that somebody else has set otherwise
    #[arg(long)]
    pub force_conflicts: bool,
    /// Waiting.
    #[command(flatten)]
    pub wait: Wait,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `fleet render`.
#[derive(Debug, Args)]
pub struct RenderArguments {
    /// The tenant
    pub tenant: String,
    /// Render from a spec in place of the management cluster
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Render as of this day, by which waivers expire; today when left out
    #[arg(long, value_name = "DAY")]
    pub on: Option<fleet_api::text::Day>,
    /// Only the objects of this control
    #[arg(long, value_name = "CONTROL")]
    pub control: Option<String>,
    /// How to print; `table` lists the objects
    #[arg(short, long, value_enum, default_value_t = Format::Yaml, value_name = "FORMAT")]
    pub output: Format,
}

/// What to do with the sandbox.
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Start it, and wait until it answers
    Up,
    /// Show its processes, their memory and their versions
    Status {
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Stop it and remove every process and file of it
    Down,
    /// Print the log of a process
    Logs {
        /// The process; without it they are listed
        process: Option<String>,
        /// How many lines from the end
        #[arg(long, short = 'n', default_value_t = 100, value_name = "LINES")]
        tail: usize,
    },
    /// Print the environment for other tools: `eval "$(fleet sandbox env)"`
    Env,
    /// Hold the sandbox's processes; started by `up`
    #[command(hide = true)]
    Supervise {
        /// The state folder
        #[arg(long, value_name = "DIR")]
        state_dir: PathBuf,
    },
}
