//! From what was seen to a verdict per control. Pure.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::ProbeCounts;
use fleet_render::{Bundle, ControlState, Expect};

use super::run::{ProbeResult, Saw};

/// The verdict on one control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlVerdict {
    /// The control's id, such as `NET-1`.
    pub control: String,
    /// What it is about.
    pub title: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What was seen, for people.
    pub message: String,
    /// True when a probe got no usable answer: it is worth asking again soon.
    pub unclear: bool,
}

/// The five verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Everything that must be denied was denied by the control itself, and every twin was allowed.
    Pass,
    /// It was seen not to bite, or to bite what it must not.
    Fail,
    /// Waived, until a day.
    Accepted,
    /// Nothing that was asked can show it.
    NotProven,
    /// It has no meaning for this cluster.
    NotApplicable,
}

impl Verdict {
    /// The verdict as reports write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Accepted => "accepted",
            Self::NotProven => "not proven",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// What one probe says about its control.
enum Voice {
    Holds { denial: bool },
    Broken(String),
    Unclear(String),
    NotShowable(String),
}

fn listen(expect: &Expect, result: &ProbeResult) -> Voice {
    let ProbeResult { id, title, saw, .. } = result;
    match (expect, saw) {
        (_, Saw::NotShowable { why }) => Voice::NotShowable(why.clone()),
        (_, Saw::Unclear { why }) => Voice::Unclear(format!("{id} got no usable answer: {why}")),
        (Expect::Allowed, Saw::Allowed) => Voice::Holds { denial: false },
        (Expect::Allowed, Saw::Denied { message }) => {
            Voice::Broken(format!("{id} ({title}) must be allowed and was denied: {message}"))
        }
        (Expect::Denied { .. }, Saw::Allowed) => {
            Voice::Broken(format!("{id} ({title}) must be denied and was allowed"))
        }
        (Expect::Denied { by }, Saw::Denied { message }) if message.contains(by.as_str()) => {
            Voice::Holds { denial: true }
        }
        (Expect::Denied { by }, Saw::Denied { message }) => {
            Voice::Broken(format!("{id} ({title}) was denied, but not by {by}: {message}"))
        }
    }
}

/// Judges every control of a bundle by what its probes saw.
///
/// A control passes only when at least one request was denied in its name, every other denial was in its name
/// too, and every twin was allowed. A control of which something cannot be shown by any API server is not proven
/// even if the rest holds. A probe of the bundle without a result is unclear.
pub fn judge(bundle: &Bundle, results: &[ProbeResult]) -> Vec<ControlVerdict> {
    let by_id: BTreeMap<&str, &ProbeResult> =
        results.iter().map(|result| (result.id.as_str(), result)).collect();
    bundle
        .controls
        .iter()
        .map(|control| {
            let verdict = |verdict, message: String, unclear| ControlVerdict {
                control: control.id.clone(),
                title: control.title.clone(),
                verdict,
                message,
                unclear,
            };
            match &control.state {
                ControlState::NotApplicable { why } => {
                    return verdict(Verdict::NotApplicable, why.clone(), false);
                }
                ControlState::Accepted { until, reason, approver } => {
                    let message = format!("waived until {until} by {approver}: {reason}");
                    return verdict(Verdict::Accepted, message, false);
                }
                ControlState::Active => {}
            }
            let (mut held, mut denials) = (0_usize, 0_usize);
            let (mut broken, mut unclear, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
            for probe in bundle.probes.iter().filter(|probe| probe.control == control.id) {
                let voice = match by_id.get(probe.id.as_str()) {
                    Some(result) => listen(&probe.expect, result),
                    None => Voice::Unclear(format!("{} was not sent", probe.id)),
                };
                match voice {
                    Voice::Holds { denial } => {
                        held += 1;
                        denials += usize::from(denial);
                    }
                    Voice::Broken(what) => broken.push(what),
                    Voice::Unclear(what) => unclear.push(what),
                    Voice::NotShowable(what) => hidden.push(what),
                }
            }
            if !broken.is_empty() {
                verdict(Verdict::Fail, broken.join("; "), !unclear.is_empty())
            } else if !unclear.is_empty() {
                verdict(Verdict::NotProven, unclear.join("; "), true)
            } else if !hidden.is_empty() {
                verdict(Verdict::NotProven, hidden.join("; "), false)
            } else if held == 0 {
                verdict(Verdict::NotProven, "the catalogue has no probe for it".to_owned(), false)
            } else {
                let message =
                    format!("{denials} denied in its name, {} allowed or found as wanted", held - denials);
                verdict(Verdict::Pass, message, false)
            }
        })
        .collect()
}

/// How many controls got which verdict.
pub fn count(verdicts: &[ControlVerdict]) -> ProbeCounts {
    let mut counts = ProbeCounts::default();
    for verdict in verdicts {
        let counter = match verdict.verdict {
            Verdict::Pass => &mut counts.pass,
            Verdict::Fail => &mut counts.fail,
            Verdict::Accepted => &mut counts.accepted,
            Verdict::NotProven => &mut counts.not_proven,
            Verdict::NotApplicable => &mut counts.not_applicable,
        };
        *counter += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use fleet_render::{Attempt, ControlInfo, Persona, Probe};

    use super::*;

    fn bundle(probes: &[(&str, Expect)]) -> Bundle {
        Bundle {
            revision: "r".to_owned(),
            objects: Vec::new(),
            controls: vec![ControlInfo {
                id: "C-1".to_owned(),
                title: "a control".to_owned(),
                maps: Vec::new(),
                state: ControlState::Active,
                waivers: Vec::new(),
                notes: Vec::new(),
            }],
            markers: Vec::new(),
            probes: probes
                .iter()
                .map(|(id, expect)| Probe {
                    id: (*id).to_owned(),
                    control: "C-1".to_owned(),
                    title: "tries".to_owned(),
                    persona: Persona { user: "u".to_owned(), groups: Vec::new() },
                    attempt: Attempt::NotShowable { why: String::new() },
                    expect: expect.clone(),
                    twin_of: None,
                })
                .collect(),
        }
    }

    fn denied(by: &str) -> Expect {
        Expect::Denied { by: by.to_owned() }
    }

    #[test]
    fn a_control_passes_only_when_its_own_words_deny_and_its_twin_is_allowed() {
        use Verdict::{Fail, NotProven, Pass};
        let said = |message: &str| Saw::Denied { message: message.to_owned() };
        let table = [
            (said("denied by policy-a"), Saw::Allowed, Pass, false),
            (said("quota exceeded"), Saw::Allowed, Fail, false),
            (Saw::Allowed, Saw::Allowed, Fail, false),
            (said("denied by policy-a"), said("no"), Fail, false),
            (said("denied by policy-a"), Saw::Unclear { why: "503".to_owned() }, NotProven, true),
            (said("denied by policy-a"), Saw::NotShowable { why: "packets".to_owned() }, NotProven, false),
        ];
        for (bad, twin, wanted, unclear) in table {
            let bundle = bundle(&[("bad", denied("policy-a")), ("twin", Expect::Allowed)]);
            let results = [
                ProbeResult { id: "bad".to_owned(), title: "tries".to_owned(), saw: bad.clone() },
                ProbeResult { id: "twin".to_owned(), title: "tries".to_owned(), saw: twin.clone() },
            ];
            let verdicts = judge(&bundle, &results);
            assert_eq!((verdicts[0].verdict, verdicts[0].unclear), (wanted, unclear), "{bad:?} {twin:?}");
        }
    }

    #[test]
    fn what_was_not_asked_is_never_a_pass() {
        let asked = bundle(&[("bad", denied("policy-a"))]);
        let verdicts = judge(&asked, &[]);
        assert_eq!(verdicts[0].verdict, Verdict::NotProven);
        assert!(verdicts[0].unclear);
        let none = judge(&bundle(&[]), &[]);
        assert_eq!(none[0].verdict, Verdict::NotProven);
        assert_eq!(count(&none).not_proven, 1);
    }
}
