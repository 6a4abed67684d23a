//! Quantities in Kubernetes' notation, such as `500m`, `1.5` and `2Gi`.
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

/// Parses a quantity into thousandths of its unit. Returns `None` for another text, for negative quantities, and for quantities that are
/// too large for any machine.
///
/// ```
/// use gitlab_runner::config::quantity;
///
/// assert_eq!(quantity::parse("1500m"), quantity::parse("1.5"));
/// assert!(quantity::parse("1Gi") > quantity::parse("1G"));
/// assert_eq!(quantity::parse("much"), None);
/// ```
pub fn parse(text: &str) -> Option<u128> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || whole.len() > 20 || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let (numerator, denominator) = factor(suffix)?;
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    digits.checked_mul(numerator)?.checked_mul(1000)?.checked_div(denominator.checked_mul(scale)?)
}

/// The factor of a suffix, as a fraction.
fn factor(suffix: &str) -> Option<(u128, u128)> {
    let decimal = |power: u32| 10_u128.checked_pow(power).map(|factor| (factor, 1));
    let binary = |power: u32| 1024_u128.checked_pow(power).map(|factor| (factor, 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => decimal(suffix.strip_prefix(['e', 'E'])?.parse().ok().filter(|power| *power <= 18)?),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", Some(0))]
    #[case("1", Some(1000))]
    #[case("250m", Some(250))]
    #[case(".5", Some(500))]
    #[case("1.25k", Some(1_250_000))]
    #[case("64Mi", Some(64 * 1024 * 1024 * 1000))]
    #[case("1e3", Some(1_000_000))]
    #[case("100n", Some(0))]
    #[case("", None)]
    #[case(".", None)]
    #[case("1.2.3", None)]
    #[case("-1", None)]
    #[case("64MiB", None)]
    #[case("1 Gi", None)]
    #[case("1e99", None)]
    #[case("99999999999999999999Ei", None)]
    fn quantities_are_in_thousandths(#[case] text: &str, #[case] expected: Option<u128>) {
        assert_eq!(parse(text), expected);
    }
}
