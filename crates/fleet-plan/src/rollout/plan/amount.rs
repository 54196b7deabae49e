//! Numbers and percentages of a wave.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A share of a wave, rounded down.
pub(super) fn down(amount: &IntOrString, members: usize) -> usize {
    share(amount, members, 0)
}

/// A share of a wave, rounded up.
pub(super) fn up(amount: &IntOrString, members: usize) -> usize {
    share(amount, members, 99)
}

/// How many members of a wave may be moving at once: at least one of them.
pub(super) fn lanes(amount: &IntOrString, members: usize) -> usize {
    down(amount, members).max(1)
}

/// How many members of a wave must have succeeded.
pub(super) fn successes(amount: Option<&IntOrString>, failures: usize, members: usize) -> usize {
    amount.map_or(members.saturating_sub(failures), |amount| up(amount, members))
}

/// A text that is no percentage counts as nothing: the rules of a rollout file refuse it before.
fn share(amount: &IntOrString, members: usize, round: usize) -> usize {
    match amount {
        IntOrString::Int(number) => usize::try_from(*number).unwrap_or_default(),
        IntOrString::String(text) => {
            let percent: usize =
                text.strip_suffix('%').and_then(|text| text.parse().ok()).unwrap_or_default();
            (members * percent + round) / 100
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(text: &str) -> IntOrString {
        IntOrString::String(text.to_owned())
    }

    #[test]
    fn caps_round_down_and_what_is_demanded_rounds_up() {
        for (amount, members, below, above) in
            [("10%", 9, 0, 1), ("10%", 10, 1, 1), ("33%", 10, 3, 4), ("100%", 7, 7, 7), ("0%", 7, 0, 0)]
        {
            assert_eq!(down(&percent(amount), members), below, "{amount} of {members}");
            assert_eq!(up(&percent(amount), members), above, "{amount} of {members}");
        }
        assert_eq!(lanes(&percent("10%"), 9), 1);
        assert_eq!(successes(None, 2, 10), 8);
        assert_eq!(successes(Some(&percent("95%")), 2, 10), 10);
    }
}
