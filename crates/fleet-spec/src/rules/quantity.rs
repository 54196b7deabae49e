//! Kubernetes quantities, as far as comparing them needs.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Problem;
use crate::{field_path::FieldPath, finding::Code, text::shown};

/// The value of a quantity in thousandths, such as 500 for `500m` and 1 073 741 824 000 for `1Gi`; `None` for
/// what Kubernetes would not parse, or what is negative.
///
/// Source of the grammar: `k8s.io/apimachinery/pkg/api/resource`. Finer parts are rounded up, as it does.
pub fn parse_quantity(text: &str) -> Option<u128> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 24 {
        return None;
    }
    let (multiplier, divisor): (u128, u128) = match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            match power {
                0..=18 => (10_u128.pow(power.unsigned_abs()), 1),
                -18..=-1 => (1, 10_u128.pow(power.unsigned_abs())),
                _ => return None,
            }
        }
    };
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let numerator = digits.checked_mul(multiplier)?.checked_mul(1_000)?;
    Some(numerator.div_ceil(scale.checked_mul(divisor)?))
}

/// The value of a quantity that is given, or a problem.
pub(super) fn given(
    quantity: Option<&Quantity>,
    path: FieldPath,
    problems: &mut Vec<Problem>,
) -> Option<u128> {
    let text = quantity?.0.as_str();
    let value = parse_quantity(text);
    if value.is_none() {
        let problem =
            Problem::error(Code::Quantity, path, format!("`{}` is not a Kubernetes quantity", shown(text)));
        problems.push(match near(text) {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None => problem.hint("write a number such as `500m`, `4`, `512Mi` or `40Gi`"),
        });
    }
    value
}

/// The quantity that was probably meant by one with a suffix of everyday life.
fn near(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let digits = compact.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(compact.len());
    let (number, suffix) = compact.split_at(digits);
    let suffix = match suffix.to_ascii_lowercase().as_str() {
        "" | "cpu" | "cpus" | "core" | "cores" => "",
        "k" | "ki" | "kb" | "kib" => "Ki",
        "mi" | "mb" | "mib" => "Mi",
        "g" | "gi" | "gb" | "gib" => "Gi",
        "t" | "ti" | "tb" | "tib" => "Ti",
        _ => return None,
    };
    let meant = format!("{number}{suffix}");
    parse_quantity(&meant).map(|_| meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_compare_across_their_suffixes() {
        let table = [
            ("500m", 500),
            ("0.5", 500),
            ("4", 4_000),
            ("1k", 1_000_000),
            ("1Ki", 1_024_000),
            ("1.5Gi", 1_610_612_736_000),
            ("2e3", 2_000_000),
            ("1e-3", 1),
            ("1n", 1),
            ("+5", 5_000),
            ("5.", 5_000),
            (".5", 500),
        ];
        for (text, value) in table {
            assert_eq!(parse_quantity(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_kubernetes_would_not_parse_is_none() {
        for text in ["", ".", "-1", "1GB", "1 Gi", "ten", "1.2.3", "1e", "1e99", "1gi", "0x10"] {
            assert_eq!(parse_quantity(text), None, "{text}");
        }
    }

    #[test]
    fn a_suffix_of_everyday_life_finds_its_quantity() {
        assert_eq!(near("80 GB").as_deref(), Some("80Gi"));
        assert_eq!(near("512mb").as_deref(), Some("512Mi"));
        assert_eq!(near("much"), None);
    }
}
