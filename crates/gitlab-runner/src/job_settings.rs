//! Settings of the runner in a job's variables. GitLab Runner's `common/build_settings.go` (`validate`), `common/build.go`

use std::time::Duration;

use gitlab_ci::config::runner_settings::parse_bool;
use gitlab_ci::variables::collection::Variable;

/// Whether the log of the job also shows the output of its services: `CI_DEBUG_SERVICES`.
pub(crate) fn shows_services(variables: &[Variable]) -> bool {
    variables.iter().any(|it| &*it.key == "CI_DEBUG_SERVICES" && parse_bool(&it.value) == Some(true))
}

/// The units of Go's durations, in nanoseconds. A unit that starts with another one precedes it.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Parses a duration as Go's `time.ParseDuration` does: `1h30m`, `1.5h`, `300ms`. Fails if the text is not a duration, or if the duration
/// is negative.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let nanoseconds = if unsigned == "0" { Some(0.0) } else { sum(unsigned) }.ok_or(DurationError::Malformed)?;
    if is_negative && nanoseconds > 0.0 {
        return Err(DurationError::Negative);
    }
    Duration::try_from_secs_f64(nanoseconds / 1e9).map_err(|_| DurationError::Malformed)
}

/// A duration that GitLab Runner ignores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DurationError {
    Malformed,
    Negative,
}

fn sum(text: &str) -> Option<f64> {
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let number: f64 = rest.get(..end)?.parse().ok()?;
        let after = rest.get(end..)?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        total += number * factor;
        rest = after.get(unit.len()..)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1m30s", Ok(90_000))]
    #[case("1.5h", Ok(5_400_000))]
    #[case("300ms", Ok(300))]
    #[case("0", Ok(0))]
    #[case("+2s", Ok(2000))]
    #[case::bare_number("2", Err(DurationError::Malformed))]
    #[case::space("2 s", Err(DurationError::Malformed))]
    #[case::day("1d", Err(DurationError::Malformed))]
    #[case::empty("", Err(DurationError::Malformed))]
    #[case::negative("-2s", Err(DurationError::Negative))]
    fn durations_are_those_of_go(#[case] text: &str, #[case] expected: Result<u64, DurationError>) {
        assert_eq!(parse_duration(text), expected.map(Duration::from_millis));
    }
}
