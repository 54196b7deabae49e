//! Text to located documents. The parser's own budgets keep alias bombs and deep nesting from costing memory.

use std::io::Cursor;

use crate::{
    field_path::FieldPath,
    finding::{Code, Finding, Severity},
    input::Source,
    limits,
    node::{Mark, Node, Value},
    place,
};

/// The documents of a source in their order, and the finding that ended it early.
pub(crate) struct Parsed {
    pub(crate) documents: Vec<Node>,
    pub(crate) findings: Vec<Finding>,
    /// How many nodes there are in all.
    pub(crate) nodes: usize,
}

/// Reads the documents of a source, of at most `room` nodes in all.
pub(crate) fn parse(source: &Source, room: usize) -> Parsed {
    let mut parsed = Parsed { documents: Vec::new(), findings: Vec::new(), nodes: 0 };
    let mut cursor = Cursor::new(source.text.as_bytes());
    let room = room.min(limits::FILE_NODES);
    for document in serde_saphyr::read_with_options::<_, Node>(&mut cursor, options(room)) {
        match document {
            Ok(node) => {
                parsed.nodes += node.count();
                if parsed.nodes > room {
                    parsed.findings.push(entangled(source, node.at));
                    break;
                }
                if !matches!(node.value, Value::Null) {
                    unfold(node, &mut parsed.documents);
                }
            }
            Err(error) => {
                parsed.findings.push(refused(source, &error));
                break;
            }
        }
    }
    parsed
}

/// A `List`, as `kubectl get -o yaml` prints it, stands for its items.
fn unfold(node: Node, into: &mut Vec<Node>) {
    let is_list = node.get("kind").and_then(Node::text) == Some("List")
        && node.get("apiVersion").and_then(Node::text) == Some("v1");
    match node.value {
        Value::Map(entries) if is_list => {
            for (key, value) in entries {
                if let ("items", Value::List(items)) = (key.text.as_str(), value.value) {
                    into.extend(items);
                }
            }
        }
        value => into.push(Node { value, at: node.at }),
    }
}

fn options(room: usize) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: None,
            max_depth: limits::DEPTH,
            flow_nesting_limit: limits::DEPTH,
            max_nodes: room,
            max_events: room.saturating_mul(3),
            max_aliases: 10_000,
            max_anchors: 10_000,
            max_recorded_anchor_events: 4 * limits::ALIAS_NODES,
            max_recorded_anchor_bytes: 4 * 1024 * 1024,
            max_merge_keys: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits::ALIAS_NODES,
            max_replay_stack_depth: 16,
        },
        emit_comments: false,
        // A key that stands twice is reported with both places, beside everything else.
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

fn entangled(source: &Source, at: Mark) -> Finding {
    let mut finding = place::finding(
        source,
        at,
        Severity::Error,
        Code::TooLarge,
        FieldPath::root(),
        "the spec has more values than a fleet of ten thousand tenants needs; this document and what follows was not read"
            .to_owned(),
    );
    finding.hint = Some("split the spec, and write out what aliases repeat".to_owned());
    finding
}

/// What the parser refused, in our words where we know better ones.
fn refused(source: &Source, error: &serde_saphyr::Error) -> Finding {
    let at = error.location().map(Mark::of).unwrap_or_default();
    let (code, message, hint) = match limit(error) {
        Some(limit) => (
            Code::TooLarge,
            format!("the YAML {limit}"),
            Some("write out what anchors and aliases repeat, and split long files".to_owned()),
        ),
        None => {
            let message = plain(error);
            let hint = if message.contains("tab") {
                Some("indent with spaces: YAML takes no tabs".to_owned())
            } else if message.contains("anchor") {
                Some("define the anchor before it is used".to_owned())
            } else {
                None
            };
            (Code::Syntax, format!("this is not YAML: {message}"), hint)
        }
    };
    let mut finding = place::finding(source, at, Severity::Error, code, FieldPath::root(), message);
    finding.hint = hint;
    finding
}

/// Which limit was met, in words; `None` for other errors.
fn limit(error: &serde_saphyr::Error) -> Option<String> {
    use serde_saphyr::{Error as Yaml, budget::BudgetBreach as Breach};
    Some(match error.without_snippet() {
        Yaml::AliasError { error, .. } => return limit(error),
        Yaml::AliasReplayLimitExceeded { .. }
        | Yaml::AliasExpansionLimitExceeded { .. }
        | Yaml::AliasReplayCounterOverflow { .. } => {
            format!("repeats more than {} values by aliases", limits::ALIAS_NODES)
        }
        Yaml::AliasReplayStackDepthExceeded { .. } => "nests aliases in aliases too deeply".to_owned(),
        Yaml::Budget { breach, .. } => match breach {
            Breach::Depth { .. } => {
                format!("is nested more than {} deep", limits::DEPTH)
            }
            Breach::Nodes { .. } | Breach::Events { .. } | Breach::Documents { .. } => {
                format!("has more than {} values", limits::FILE_NODES)
            }
            _ => "has more anchors, aliases or merged text than a spec may have".to_owned(),
        },
        // The parser's own guard, which has no variant.
        other if other.to_string().starts_with("recursion limit") => {
            format!("is nested more than {} deep", limits::DEPTH)
        }
        _ => return None,
    })
}

/// The parser's message on one line, without its own words on the place.
fn plain(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default();
    let end = line.find(" at line ").unwrap_or(line.len());
    crate::text::shown(line.get(..end).unwrap_or(line).trim_end_matches([',', ':', ' ']))
}
