//! Findings: one fault of a spec, with its place, the YAML and a hint.

use serde::Serialize;

use crate::{field_path::FieldPath, render};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The spec cannot be applied.
    Error,
    /// The spec can be applied, and probably does not do what was meant.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// The word for people and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Declares the codes once: the enum, their texts and their explanations.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// What kind of fault a finding is. The texts are stable: scripts may match them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as it is printed, such as `unknown-field`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// One or two sentences on what the code means.
            pub fn explanation(self) -> String {
                let lines: &[&str] = match self { $(Self::$name => &[$($doc),+],)+ };
                lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
            }
        }
    };
}

codes! {
    /// A file or folder could not be read.
    Unreadable = "unreadable",
    /// A file is larger, deeper or more entangled than a spec may be.
    TooLarge = "too-large",
    /// The text is not YAML.
    Syntax = "syntax",
    /// Nothing was found to read.
    NoObjects = "no-objects",
    /// A document is not a Kubernetes object.
    NotAnObject = "not-an-object",
    /// The kind is not one of fleet's.
    UnknownKind = "unknown-kind",
    /// The API version is not the one that fleet serves.
    UnknownApiVersion = "unknown-api-version",
    /// The object belongs to another API group. A fleet spec holds fleet's own kinds alone.
    ForeignObject = "foreign-object",
    /// The kind, or the field, is made by the controller and never written by hand.
    MadeByController = "made-by-controller",
    /// The object is written by a tenant's own people, who apply it themselves.
    TenantsOwn = "tenants-own",
    /// The field does not exist.
    UnknownField = "unknown-field",
    /// The value has another type than the field.
    WrongType = "wrong-type",
    /// A field that must be given is not.
    MissingField = "missing-field",
    /// A field is there without a value; it counts as left out.
    EmptyValue = "empty-value",
    /// The value has the right type and is none that the field takes.
    InvalidValue = "invalid-value",
    /// A number, or a count of items, is outside its bounds.
    OutOfRange = "out-of-range",
    /// A key stands twice in one map.
    DuplicateKey = "duplicate-key",
    /// An object of the same kind and name stands twice in the spec.
    DuplicateObject = "duplicate-object",
    /// An item stands twice in a list where it may stand once.
    DuplicateItem = "duplicate-item",
    /// A name that Kubernetes or fleet cannot take.
    InvalidName = "invalid-name",
    /// Two names are the same once they are cut to the length that derived names have room for.
    NamesCollide = "names-collide",
    /// A value that no Kubernetes label can hold.
    LabelValue = "label-value",
    /// The manifest carries a status, which the controller alone writes. It is left out.
    StatusInManifest = "status-in-manifest",
    /// The manifest carries metadata that the API server alone writes. It is left out.
    ServerMetadata = "server-metadata",
    /// Something that is named is not there.
    DanglingReference = "dangling-reference",
    /// The spec has no Fleet; the defaults hold.
    NoFleet = "no-fleet",
    /// There is one Fleet, and its name is `fleet`.
    OneFleet = "one-fleet",
    /// More Rollouts than are planned at a time.
    OneRollout = "one-rollout",
    /// A tenant follows a channel or stays on a version, not both.
    ChannelAndVersion = "channel-and-version",
    /// Nothing says which version a tenant runs.
    NoVersion = "no-version",
    /// A date that must lie ahead has passed.
    PastDate = "past-date",
    /// No channel offers the version.
    VersionNotOffered = "version-not-offered",
    /// The versions of a channel contradict each other.
    ChannelOrder = "channel-order",
    /// There is no such time zone.
    UnknownTimeZone = "unknown-time-zone",
    /// A window is shorter than the longest step of an upgrade, so no upgrade would ever begin in it.
    WindowTooShort = "window-too-short",
    /// No window opens within a year, because freezes cover every one.
    WindowNeverOpens = "window-never-opens",
    /// A span of days ends before it begins.
    SpanBackwards = "span-backwards",
    /// The class cannot carry a regime of the tenant's.
    ComplianceNotCarried = "compliance-not-carried",
    /// A class carries a regime without something that the regime asks for.
    ClassTooWeak = "class-too-weak",
    /// The text is not a CIDR, or not one that may stand here.
    Cidr = "cidr",
    /// A registry prefix that would also match other registries.
    Registry = "registry",
    /// A namespace that a tenant cannot have.
    Namespace = "namespace",
    /// A group name that belongs to Kubernetes, AWS or fleet.
    ReservedGroup = "reserved-group",
    /// An ARN of another account or region than the class's.
    ForeignAccount = "foreign-account",
    /// A principal that has access twice, in different roles.
    PrincipalTwice = "principal-twice",
    /// The text is not a Kubernetes quantity.
    Quantity = "quantity",
    /// The default of a limit is above its maximum.
    LimitAboveMaximum = "limit-above-maximum",
    /// The capacity of a tenant is smaller than one container may be.
    CapacityTooSmall = "capacity-too-small",
    /// A cluster's nodes come from Auto Mode or from node groups: one of the two.
    NodesOnce = "nodes-once",
    /// The bounds of a node group contradict each other.
    Scaling = "scaling",
    /// Instance types of another architecture than the node group's platform.
    Architecture = "architecture",
    /// An add-on whose settings cannot be sent.
    Addon = "addon",
    /// A tag that AWS or fleet keeps for itself.
    ReservedTag = "reserved-tag",
    /// An exception whose last day has passed. It no longer waives anything.
    ExceptionExpired = "exception-expired",
    /// Nobody approves their own exception.
    SelfApproved = "self-approved",
    /// The catalogue has no such control.
    UnknownControl = "unknown-control",
    /// A Rollout stands in a fleet spec. Applying the spec leaves it alone: it is planned first, and started by its plan.
    RolloutInSpec = "rollout-in-spec",
    /// A field of a rollout that starting or driving it writes. A rollout file leaves it out.
    DrivenField = "driven-field",
    /// Exactly one of several fields has to be given.
    OneOf = "one-of",
    /// A gate asks for more votes than there are people who have one.
    ApproversTooFew = "approvers-too-few",
    /// A member of a rollout belongs to none of its waves. Nobody is left out silently.
    NoWave = "no-wave",
    /// A member of a rollout belongs to two of its waves.
    TwoWaves = "two-waves",
    /// A selector of a rollout matches nobody who has anything to do.
    EmptyWave = "empty-wave",
    /// The target of a rollout is more than one minor away. A control plane moves one minor at a time.
    MinorSkipped = "minor-skipped",
    /// The target of a rollout is below where a member is.
    VersionBelow = "version-below",
    /// Every member of a rollout is at its target.
    NothingToDo = "nothing-to-do",
    /// Nobody knows at which version a member of a rollout is.
    MemberUnknown = "member-unknown",
    /// Another rollout that is not over has the tenant.
    MemberTaken = "member-taken",
    /// A member of a rollout is pinned below its target. A pin says that somebody wants it to stay.
    MemberPinned = "member-pinned",
    /// More members of a wave are failing before it begins than it allows failures.
    BudgetSpent = "budget-spent",
    /// Members would count as failed before they can arrive.
    DeadlineTooShort = "deadline-too-short",
    /// A gate opens only when support of a member behind it has ended.
    GateTooLate = "gate-too-late",
    /// Rules of a rollout and of its tenants that no date fulfils together.
    CannotHoldTogether = "cannot-hold-together",
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A place in a file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file as it was given, `<stdin>` for standard input.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// The YAML around a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// The lines, with their numbers; the last one is the one that is meant.
    pub lines: Vec<SnippetLine>,
    /// How many characters stand before the marked ones in the last line, as it is shown here.
    pub indent: usize,
    /// How many characters are marked.
    pub length: usize,
}

/// One line of a [`Snippet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnippetLine {
    /// Its number in the file.
    pub number: usize,
    /// Its text, cut to a width, without what a terminal would obey.
    pub text: String,
}

/// One fault of a spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of fault it is.
    pub code: Code,
    /// Where it is; `None` for objects that were not read from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The object, as `Tenant acme-payments`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The field, such as `spec.kubernetes.version`; empty for the whole object.
    pub path: FieldPath,
    /// What is wrong, without full stop.
    pub message: String,
    /// What to do, as one imperative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<Snippet>,
}

impl Finding {
    /// The finding for people, in several lines, without colour and without a final line break.
    pub fn to_text(&self) -> String {
        render::finding(self, &render::Plain)
    }
}

/// Whether a list of findings keeps a spec from being applied.
pub fn any_error(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_text_of_its_own_and_an_explanation() {
        let texts: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.explanation().ends_with('.'), "{}", code.as_str());
        }
    }
}
