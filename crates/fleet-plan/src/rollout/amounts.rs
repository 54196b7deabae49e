//! Numbers and percentages of a wave, each rounded to the side on which less can go wrong.

use fleet_api::v1alpha1::Wave;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::twist::{Mutant, Twist};

/// A number or a percentage that is neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotAnAmount;

/// How many members of a wave of `total` may be moving at once: percentages round down, and to 1 at least. An amount
/// that cannot be read is 0, which moves nobody.
pub(super) fn concurrent(wave: &Wave, total: i64, twist: Twist) -> i64 {
    match percent(&wave.max_concurrent) {
        Ok(Amount::Number(number)) => number,
        Ok(Amount::Percent(percent)) => {
            let rounded = if twist.is(Mutant::ConcurrencyRoundsUp) {
                part_rounded_up(percent, total)
            } else {
                part(percent, total)
            };
            rounded.max(1)
        }
        Err(NotAnAmount) => 0,
    }
}

/// How many members of a wave of `total` may fail: percentages round down, and 0 means none.
pub(super) fn failures(wave: &Wave, total: i64, twist: Twist) -> i64 {
    match percent(&wave.max_failures) {
        Ok(Amount::Number(number)) => number,
        Ok(Amount::Percent(percent)) if twist.is(Mutant::BudgetRoundsUp) => part_rounded_up(percent, total),
        Ok(Amount::Percent(percent)) => part(percent, total),
        Err(NotAnAmount) => 0,
    }
}

/// How many of the `counting` members of a wave have to succeed, when `tolerated` of them may fail.
///
/// Percentages round up. A wave in which anybody counts needs a success, whatever its spec says: no number of failures
/// that were not too many is a success.
pub(super) fn successes(wave: &Wave, counting: i64, tolerated: i64) -> i64 {
    asked_successes(wave, counting, tolerated).max(counting.min(1))
}

/// The same as the spec alone asks for it, which may be none.
pub(super) fn asked_successes(wave: &Wave, counting: i64, tolerated: i64) -> i64 {
    match wave.min_successes.as_ref().map(percent) {
        None => counting.saturating_sub(tolerated),
        Some(Ok(Amount::Number(number))) => number,
        Some(Ok(Amount::Percent(percent))) => part_rounded_up(percent, counting),
        Some(Err(NotAnAmount)) => counting,
    }
}

/// A number of members as amounts count them.
pub(super) fn of_members(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// An amount as a number of members.
pub(super) fn as_members(amount: i64) -> usize {
    usize::try_from(amount).unwrap_or_default()
}

/// Whether every amount of a wave can be read.
pub(super) fn are_readable(wave: &Wave) -> bool {
    [Some(&wave.max_concurrent), Some(&wave.max_failures), wave.min_successes.as_ref()]
        .into_iter()
        .flatten()
        .all(|amount| percent(amount).is_ok())
}

enum Amount {
    Number(i64),
    Percent(i64),
}

fn percent(amount: &IntOrString) -> Result<Amount, NotAnAmount> {
    match amount {
        IntOrString::Int(number) => Ok(Amount::Number(i64::from((*number).max(0)))),
        IntOrString::String(text) => {
            let number = text.strip_suffix('%').ok_or(NotAnAmount)?;
            let percent: u8 = number.parse().map_err(|_| NotAnAmount)?;
            if percent > 100 { Err(NotAnAmount) } else { Ok(Amount::Percent(i64::from(percent))) }
        }
    }
}

const fn part(percent: i64, of: i64) -> i64 {
    percent.saturating_mul(of) / 100
}

const fn part_rounded_up(percent: i64, of: i64) -> i64 {
    percent.saturating_mul(of).saturating_add(99) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(concurrent: &str, failures: &str, successes: Option<&str>) -> Wave {
        let amount =
            |text: &str| text.parse().map_or_else(|_| IntOrString::String(text.to_owned()), IntOrString::Int);
        let mut wave: Wave =
            serde_json::from_value(serde_json::json!({"name": "w", "selector": {}})).unwrap();
        wave.max_concurrent = amount(concurrent);
        wave.max_failures = amount(failures);
        wave.min_successes = successes.map(amount);
        wave
    }

    #[test]
    fn a_percentage_of_the_concurrency_rounds_down_and_to_one_at_least() {
        for (text, total, expected) in [
            ("25%", 10, 2),
            ("25%", 3, 1),
            ("1%", 50, 1),
            ("100%", 7, 7),
            ("0%", 7, 1),
            ("3", 100, 3),
            ("0", 9, 0),
        ] {
            assert_eq!(
                concurrent(&wave(text, "0", None), total, Twist::default()),
                expected,
                "{text} of {total}"
            );
        }
    }

    #[test]
    fn a_percentage_of_the_failure_budget_rounds_down_and_nothing_means_nothing() {
        for (text, total, expected) in
            [("10%", 19, 1), ("10%", 9, 0), ("0%", 1000, 0), ("0", 1000, 0), ("2", 1, 2), ("-1", 5, 0)]
        {
            assert_eq!(
                failures(&wave("1", text, None), total, Twist::default()),
                expected,
                "{text} of {total}"
            );
        }
    }

    #[test]
    fn a_percentage_of_the_successes_rounds_up() {
        for (asked, counting, tolerated, expected) in [
            (Some("90%"), 10, 0, 9),
            (Some("90%"), 11, 0, 10),
            (Some("100%"), 3, 1, 3),
            (Some("4"), 3, 0, 4),
            (None, 10, 2, 8),
        ] {
            assert_eq!(
                successes(&wave("1", "0", asked), counting, tolerated),
                expected,
                "{asked:?} of {counting}"
            );
        }
    }

    #[test]
    fn a_wave_in_which_anybody_counts_needs_a_success_and_an_empty_one_needs_none() {
        assert_eq!(successes(&wave("1", "100%", None), 10, 10), 1);
        assert_eq!(successes(&wave("1", "0", Some("0")), 10, 0), 1);
        assert_eq!(successes(&wave("1", "0", Some("0%")), 10, 0), 1);
        assert_eq!(successes(&wave("1", "0", None), 0, 0), 0);
    }

    #[test]
    fn an_amount_that_cannot_be_read_moves_nobody_and_forgives_nothing() {
        for text in ["a lot", "101%", "%", "-5%", "5 %"] {
            let wave = wave(text, text, Some(text));
            assert!(!are_readable(&wave), "{text}");
            assert_eq!(concurrent(&wave, 10, Twist::default()), 0, "{text}");
            assert_eq!(failures(&wave, 10, Twist::default()), 0, "{text}");
            assert_eq!(successes(&wave, 10, 0), 10, "{text}");
        }
    }
}
