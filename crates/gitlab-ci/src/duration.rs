//! Durations in natural language: `3h 30m`, `1 week`, `6 mos and 1 day`. A number without a unit means seconds.
//!
//! GitLab reads `timeout`, `start_in` and `expire_in` with the gem `gitlab-chronic-duration`, in which a month has 30
//! days and a year 365.25 days.

use std::time::Duration;

use crate::numerals::with_digits;

/// The text is not a duration. The message names the cause and shows valid forms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a duration: {reason}; use a form such as `90` (seconds), `3h 30m`, `2 hrs 20 min` or `1 week`"
)]
pub struct DurationError {
    text: String,
    reason: Reason,
}

/// The reason why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("expected a number or a unit")]
    Empty,
    #[error("`{0}` is neither a number nor a unit (seconds, minutes, hours, days, weeks, months, years)")]
    Unknown(String),
    #[error("expected at most six numbers separated by colons, the last one in seconds")]
    Clock,
    #[error("expected more than 0 seconds")]
    Zero,
    #[error("it is too long")]
    TooLong,
}

/// The names of each unit, and its length in seconds.
const UNITS: &[(f64, &[&str])] = &[
    (1.0, &["s", "sec", "secs", "second", "seconds"]),
    (60.0, &["m", "min", "mins", "minute", "minutes"]),
    (3600.0, &["h", "hr", "hrs", "hour", "hours"]),
    (86_400.0, &["d", "dy", "day", "days"]),
    (604_800.0, &["w", "wk", "wks", "week", "weeks"]),
    (2_592_000.0, &["mo", "mos", "month", "months"]),
    (31_557_600.0, &["y", "yr", "yrs", "year", "years"]),
];

/// The unit of each place in `1:02:03`, starting from the last one. The format has no place for weeks.
const CLOCK: [&str; 6] = ["seconds", "minutes", "hours", "days", "months", "years"];

/// Words without a meaning.
const FILLERS: [&str; 3] = ["and", "with", "plus"];

/// Parses a duration of more than 0 seconds.
///
/// ```
/// use std::time::Duration;
///
/// use gitlab_ci::duration;
///
/// assert_eq!(duration::parse("1h 30m"), Ok(Duration::from_secs(5400)));
/// assert!(duration::parse("soon").is_err());
/// ```
///
/// # Errors
/// The text is not a duration, or the duration is 0: GitLab refuses both. The message names the cause.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let wrong = |reason| DurationError { text: text.to_owned(), reason };
    let seconds = seconds(text).map_err(wrong)?;
    if seconds <= 0.0 {
        return Err(wrong(Reason::Zero));
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong(Reason::TooLong))
}

/// Parses the lifetime of artifacts or of an environment. `None` means `never`.
/// `lib/gitlab/ci/build/duration_parser.rb`
///
/// ```
/// use gitlab_ci::duration;
///
/// assert_eq!(duration::parse_expiry("never"), Ok(None));
/// ```
///
/// # Errors
/// The text is neither `never` nor a duration that [`parse`] accepts.
pub fn parse_expiry(text: &str) -> Result<Option<Duration>, DurationError> {
    if text.eq_ignore_ascii_case("never") { Ok(None) } else { parse(text).map(Some) }
}

/// The sum of all numbers times their units, as the gem computes it. The gem is lenient: a number before another number counts as 0
/// seconds. A unit without a number counts as 1 at the beginning, and as 0 elsewhere.
fn seconds(text: &str) -> Result<f64, Reason> {
    let parts = parts(&with_colons(&with_digits(&text.to_lowercase()))?)?;
    let first = if matches!(parts.first(), Some(Part::Unit(_))) { Some(Part::Number(1.0)) } else { None };
    let parts: Vec<Part> = first.into_iter().chain(parts).collect();
    let mut sum = 0.0;
    for (index, part) in parts.iter().enumerate() {
        let Part::Number(value) = part else { continue };
        sum += match parts.get(index + 1) {
            Some(Part::Unit(unit)) => value * unit,
            Some(Part::Number(_)) => 0.0,
            // A number at the end is a number of seconds.
            None => *value,
        };
    }
    if parts.is_empty() { Err(Reason::Empty) } else { Ok(sum) }
}

enum Part {
    Number(f64),
    /// The length of the unit, in seconds.
    Unit(f64),
}

/// Replaces `1:02:03` by `1 hours 02 minutes 03 seconds`: `filter_by_type` of the gem.
fn with_colons(text: &str) -> Result<String, Reason> {
    let compact = text.replace(' ', "");
    let is_digit = |character: char| character.is_ascii_digit();
    let is_between_numbers = |(at, _): (usize, &str)| {
        let (before, after) = (compact.get(..at).unwrap_or_default(), compact.get(at + 1..).unwrap_or_default());
        let fraction = after.trim_start_matches(is_digit).strip_prefix('.');
        before.ends_with(is_digit)
            && (after.starts_with(is_digit) || fraction.is_some_and(|it| it.starts_with(is_digit)))
    };
    if !compact.match_indices(':').any(is_between_numbers) {
        return Ok(text.to_owned());
    }
    let places: Vec<&str> = compact.trim_end_matches(':').split(':').rev().collect();
    let named: Option<Vec<String>> =
        places.iter().enumerate().map(|(index, place)| Some(format!("{place} {}", CLOCK.get(index)?))).collect();
    let mut named = named.ok_or(Reason::Clock)?;
    named.reverse();
    Ok(named.join(" "))
}

/// Splits a text into numbers and units: `filter_through_white_list` of the gem.
fn parts(text: &str) -> Result<Vec<Part>, Reason> {
    let mut parts = Vec::new();
    for word in text.split_whitespace() {
        let mut rest = word;
        while !rest.is_empty() {
            // A number needs no space before or after it.
            let start = rest.find(|digit: char| digit.is_ascii_digit());
            let start = start.map(|at| if rest.get(..at).is_some_and(|it| it.ends_with('.')) { at - 1 } else { at });
            let (before, number) = rest.split_at(start.unwrap_or(rest.len()));
            if !before.is_empty() {
                parts.extend(unit(before)?);
            }
            let end = end_of_number(number);
            let (number, after) = number.split_at(end);
            // The text of the number has only digits and at most one point.
            parts.extend(number.parse().ok().map(Part::Number));
            rest = after;
        }
    }
    Ok(parts)
}

/// The length of a number at the start of a text: `[0-9]*\.?[0-9]+`.
fn end_of_number(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    let fraction = text.get(whole..).and_then(|rest| rest.strip_prefix('.')).map_or(0, digits);
    if fraction == 0 { whole } else { whole + 1 + fraction }
}

/// The unit with this name, or `None` for a word without a meaning.
fn unit(word: &str) -> Result<Option<Part>, Reason> {
    let bare = word.strip_prefix(',').unwrap_or(word);
    let bare = bare.strip_suffix(',').unwrap_or(bare);
    let unit = UNITS.iter().find(|(_, names)| names.contains(&bare)).map(|(unit, _)| Part::Unit(*unit));
    if unit.is_none() && !FILLERS.contains(&bare) {
        return Err(Reason::Unknown(word.to_owned()));
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    // From https://docs.gitlab.com/ci/yaml/#timeout, https://docs.gitlab.com/ci/yaml/#artifactsexpire_in, and the gem's
    // own tests.
    #[rstest]
    #[case::seconds("42", 42)]
    #[case::with_unit("42 seconds", 42)]
    #[case::two("3 mins 4 sec", 184)]
    #[case::in_words("two and a half hours", 9000)]
    #[case::words_and_digits("one week 2 days", 777_600)]
    #[case::hours("2 hrs 20 min", 8400)]
    #[case::without_space("2h20min", 8400)]
    #[case::short_units("3h 30m", 12_600)]
    #[case::months("6 mos 1 day", 15_638_400)]
    #[case::years("47 yrs 6 mos and 4d", 1_499_104_800)]
    #[case::and("3 weeks and 2 days", 1_987_200)]
    #[case::and_comma("3 weeks and, 2 days", 1_987_200)]
    #[case::plus("3 weeks, plus 2 days", 1_987_200)]
    #[case::with("3 weeks with 2 days", 1_987_200)]
    #[case::fraction("1.5 hours", 5400)]
    #[case::fraction_without_a_leading_zero(".5h", 1800)]
    #[case::upper_case("1 WEEK", 604_800)]
    #[case::unit_alone("day", 86_400)]
    #[case::first_unit_without_a_number("minute 30s", 90)]
    #[case::last_number_without_a_unit("1h 30", 3630)]
    #[case::clock("4:01:01", 14_461)]
    #[case::short_clock(" 1:20 ", 80)]
    #[case::long_clock("1:00:00:00", 86_400)]
    #[case::number_before_a_number("1 1 day", 86_400)]
    #[case::two_points("10.2.30 hours", 1080)]
    #[case::unit_without_a_number("3 hours minutes", 10_800)]
    #[case::clock_with_a_unit("1:20 hours", 72_060)]
    #[case::clock_that_starts_with_a_colon(":1:20", 3680)]
    #[case::clock_that_ends_with_a_colon("1:20:", 80)]
    #[case::hyphen("twenty-one days", 1_814_400)]
    #[case::comma_after_a_word("one week, two days", 777_600)]
    #[case::white_space("  1\tday\n", 86_400)]
    fn parses_durations(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(parse(text), Ok(Duration::from_secs(seconds)));
        assert_eq!(parse_expiry(text), Ok(Some(Duration::from_secs(seconds))));
    }

    #[rstest]
    #[case::empty("", "expected a number or a unit")]
    #[case::filler_word_only("and", "expected a number or a unit")]
    #[case::word("soon", "`soon` is neither a number nor a unit")]
    #[case::unknown_unit("3 fortnights", "`fortnights` is neither")]
    #[case::trailing_point("5. hours", "`.` is neither")]
    #[case::lone_comma("3 weeks , 2 days", "`,` is neither")]
    #[case::word_between_commas("1 day,hour", "`day,hour` is neither")]
    #[case::negative("-3 hours", "`-` is neither")]
    #[case::infinite("inf", "`inf` is neither")]
    #[case::zero("0", "expected more than 0 seconds")]
    #[case::zero_hours("0h 0m", "expected more than 0 seconds")]
    #[case::too_long("99999999999999999999 years", "it is too long")]
    #[case::far_too_long(&"9".repeat(1000), "it is too long")]
    #[case::clock_with_seven_places("1:1:1:1:1:1:1", "separated by colons")]
    #[case::clock_with_an_empty_place("1::1", "`::` is neither")]
    fn rejects_other_texts(#[case] text: &str, #[case] reason: &str) {
        let error = parse(text).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(reason) && message.contains("; use a form such as `90` (seconds)"), "{message}");
        assert_eq!(parse_expiry(text), Err(error));
    }

    #[rstest]
    #[case("never")]
    #[case("Never")]
    fn never_is_valid_only_as_an_expiry(#[case] text: &str) {
        assert_eq!(parse_expiry(text), Ok(None));
        assert!(parse(text).is_err());
    }

    proptest! {
        #[test]
        fn any_text_terminates(text in any::<String>()) {
            let _ = parse_expiry(&text);
        }

        #[test]
        fn any_words_terminate(words in proptest::collection::vec("[0-9.:]{1,4}|h|day|and|,|mos", 0..8)) {
            let _ = parse(&words.join(" "));
        }

        #[test]
        fn parts_add_up(hours in 0..1000_u64, minutes in 0..1000_u64, seconds in 1..1000_u64) {
            let expected = Duration::from_secs(hours * 3600 + minutes * 60 + seconds);
            prop_assert_eq!(parse(&format!("{hours}h{minutes} mins and {seconds}")), Ok(expected));
            prop_assert_eq!(parse(&format!("{hours}:{minutes}:{seconds}")), Ok(expected));
        }
    }
}
