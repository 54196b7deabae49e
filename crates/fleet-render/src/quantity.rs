//! Kubernetes quantities: compared by value, written as the API server writes them.
//!
//! Source: `k8s.io/apimachinery/pkg/api/resource`, the doc comment of `Quantity`: a canonical quantity has no
//! fraction, loses no precision, and has the largest suffix that allows both.

/// The value of a quantity in billionths, the smallest unit that Kubernetes has.
pub(crate) fn nanos(text: &str) -> Option<i128> {
    parse(text).map(|(nanos, _)| nanos)
}

/// The quantity as the API server writes it; `None` when it is none, or when it is not a whole number of
/// billionths.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (nanos, family) = parse(text)?;
    Some(write(nanos, family))
}

/// A number of billionths as a canonical decimal quantity.
pub(crate) fn decimal(nanos: i128) -> String {
    write(nanos, Family::Decimal)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Decimal,
    Binary,
    Exponent,
}

const NANO: i128 = 1_000_000_000;

const BINARY: [(&str, u32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];

/// Suffixes with their power of ten.
const DECIMAL: [(&str, i32); 9] =
    [("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

fn parse(text: &str) -> Option<(i128, Family)> {
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (factor, family) = if suffix.is_empty() {
        (Factor::Ten(0), Family::Decimal)
    } else if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        (Factor::Kibi(*power), Family::Binary)
    } else if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        (Factor::Ten(*power), Family::Decimal)
    } else {
        (Factor::Ten(suffix.strip_prefix(['e', 'E'])?.parse().ok()?), Family::Exponent)
    };
    let (negative, digits) = match number.as_bytes().first()? {
        b'-' => (true, &number[1..]),
        b'+' => (false, &number[1..]),
        _ => (false, number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty())
        || !format!("{whole}{fraction}").bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let mantissa: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?;
    let value = match factor {
        Factor::Ten(power) => shift(mantissa, power.checked_add(9)?.checked_sub(places)?)?,
        Factor::Kibi(power) => shift(mantissa.checked_mul(1024_i128.checked_pow(power)?)?, 9 - places)?,
    };
    Some((if negative { -value } else { value }, family))
}

enum Factor {
    Ten(i32),
    Kibi(u32),
}

/// The number times ten to the power, when that is whole.
fn shift(number: i128, power: i32) -> Option<i128> {
    if number == 0 {
        return Some(0);
    }
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 { number.checked_mul(factor) } else { (number % factor == 0).then_some(number / factor) }
}

fn write(nanos: i128, family: Family) -> String {
    if nanos == 0 {
        return "0".to_owned();
    }
    // Binary suffixes are for whole numbers from 1024 on: the API server falls back to decimal for the others.
    if family == Family::Binary && nanos % NANO == 0 && nanos.abs() >= 1024 * NANO {
        let mut number = nanos / NANO;
        let mut suffix = "";
        for (name, _) in BINARY {
            if number % 1024 != 0 {
                break;
            }
            number /= 1024;
            suffix = name;
        }
        return format!("{number}{suffix}");
    }
    let mut number = nanos;
    let mut power = -9;
    while number % 1000 == 0 && power < 18 {
        number /= 1000;
        power += 3;
    }
    if family == Family::Exponent {
        return if power == 0 { number.to_string() } else { format!("{number}e{power}") };
    }
    let suffix = DECIMAL.iter().find(|(_, p)| *p == power).map(|(name, _)| *name).unwrap_or_default();
    format!("{number}{suffix}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_are_written_as_the_api_server_writes_them() {
        for (given, canonical_form) in [
            ("1", "1"),
            ("0", "0"),
            ("0Gi", "0"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("5.", "5"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("12e6", "12e6"),
            ("+2", "2"),
            ("-1Gi", "-1Gi"),
            ("100n", "100n"),
        ] {
            assert_eq!(canonical(given).as_deref(), Some(canonical_form), "{given}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "Gi", "1 Gi", "1gi", "1.2.3", "--1", "1e", "0.1n", "1Ki1", "ten", "9e99", "١"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_means_the_same_and_is_stable(
            number in "[0-9]{1,9}(\\.[0-9]{1,3})?", suffix in "(|m|k|M|G|Ki|Mi|Gi|Ti|e3)"
        ) {
            let text = format!("{number}{suffix}");
            let once = canonical(&text).unwrap();
            prop_assert_eq!(nanos(&once), nanos(&text));
            prop_assert_eq!(canonical(&once), Some(once));
        }

        #[test]
        fn no_text_makes_the_parser_fail_otherwise_than_by_refusing(text in ".*") {
            let _ = canonical(&text);
        }
    }
}
