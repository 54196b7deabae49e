//! Findings of EKS, in words for those who can act on them.

use fleet_api::eks::{DeprecatedUse, EksInsight};

/// How many of each are named.
const NAMED: usize = 3;

/// Which finding it is, what it names, and why.
pub(super) fn told(insight: &EksInsight) -> String {
    let named = first(&insight.resources);
    let named = if named.is_empty() { named } else { format!(" names {named}") };
    format!("EKS insight `{}`{named}: {}", insight.name, insight.message)
}

/// What to do about a finding that holds an upgrade. `retry` is what a move needs that was given up because of it.
pub(super) fn remedy(insight: &EksInsight, retry: Option<String>) -> String {
    let mut steps: Vec<String> = insight.deprecated.iter().take(NAMED).map(replace).collect();
    if steps.is_empty() {
        steps.push("remove what the insight names".to_owned());
    } else if insight.deprecated.len() > NAMED {
        steps.push(format!("and so on for {} more APIs", insight.deprecated.len() - NAMED));
    }
    let then = retry.map_or_else(String::new, |retry| format!("; once it passes, {retry}"));
    format!("{}; EKS looks again within a day{then}", steps.join(", "))
}

fn replace(used: &DeprecatedUse) -> String {
    let instead = match &used.replaced_with {
        Some(replacement) => format!("ask for {replacement} in place of {}", used.usage),
        None => format!("ask for {} no longer", used.usage),
    };
    let clients = first(&used.clients);
    if clients.is_empty() { instead } else { format!("{instead} ({clients} asks for it)") }
}

/// The first of many, and how many more there are.
fn first(all: &[String]) -> String {
    let named = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insight(resources: usize, deprecated: Vec<DeprecatedUse>) -> EksInsight {
        EksInsight {
            id: "i-1".to_owned(),
            name: "Deprecated APIs".to_owned(),
            category: "UPGRADE_READINESS".to_owned(),
            status: "ERROR".to_owned(),
            kubernetes_version: None,
            refreshed_at: None,
            message: "they are gone in 1.36.".to_owned(),
            resources: (1..=resources).map(|at| format!("/apis/old/{at}")).collect(),
            deprecated,
        }
    }

    fn used(replaced_with: Option<&str>, clients: &[&str]) -> DeprecatedUse {
        DeprecatedUse {
            usage: "/apis/old".to_owned(),
            replaced_with: replaced_with.map(str::to_owned),
            clients: clients.iter().map(|&client| client.to_owned()).collect(),
        }
    }

    #[test]
    fn a_finding_names_the_first_of_what_it_is_about_and_how_many_more_there_are() {
        let table = [
            (0, "EKS insight `Deprecated APIs`: they are gone in 1.36."),
            (1, "EKS insight `Deprecated APIs` names /apis/old/1: they are gone in 1.36."),
            (
                7,
                "EKS insight `Deprecated APIs` names /apis/old/1, /apis/old/2, /apis/old/3 and 4 more: they are gone in 1.36.",
            ),
        ];
        for (resources, expected) in table {
            assert_eq!(told(&insight(resources, Vec::new())), expected);
        }
    }

    #[test]
    fn the_remedy_says_what_to_ask_for_instead_who_asks_and_what_a_move_needs_that_was_given_up() {
        let table = [
            (vec![], "remove what the insight names; EKS looks again within a day"),
            (
                vec![used(Some("/apis/new"), &["kubectl/v1.29"])],
                "ask for /apis/new in place of /apis/old (kubectl/v1.29 asks for it); EKS looks again within a day",
            ),
            (vec![used(None, &[])], "ask for /apis/old no longer; EKS looks again within a day"),
        ];
        for (deprecated, expected) in table {
            let insight = insight(1, deprecated);
            assert_eq!(remedy(&insight, None), expected);
            let with = remedy(&insight, Some("`fleet rollout retry acme`".to_owned()));
            assert_eq!(with, format!("{expected}; once it passes, `fleet rollout retry acme`"));
        }
        let many = insight(0, vec![used(None, &[]); 5]);
        assert!(remedy(&many, None).contains("and so on for 2 more APIs"));
    }
}
