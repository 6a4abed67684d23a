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

/// What is wrong with the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("expected a number or a unit")]
    Empty,
    #[error("`{0}` is neither a number nor a unit (seconds, minutes, hours, days, weeks, months, years)")]
    Unknown(String),
    #[error("expected a unit after the number {0}, not another number")]
    TwoNumbers(String),
    #[error("expected a number before `{0}`")]
    NoNumber(String),
    #[error("expected two to six numbers separated by colons, the last one in seconds")]
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

/// The length in seconds of each place in `1:02:03`, starting from the last one. The format has no place for weeks.
const CLOCK: [f64; 6] = [1.0, 60.0, 3600.0, 86_400.0, 2_592_000.0, 31_557_600.0];

/// Words without a meaning.
const FILLERS: [&str; 4] = ["and", "with", "plus", ","];

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
    let seconds = if text.contains(':') { clock(text) } else { sum(text) }.map_err(wrong)?;
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

/// Parses `1:02:03`.
fn clock(text: &str) -> Result<f64, Reason> {
    let places: Vec<&str> = text.split(':').map(str::trim).collect();
    if places.len() > CLOCK.len() {
        return Err(Reason::Clock);
    }
    let seconds = places.iter().rev().zip(CLOCK).map(|(place, unit)| Some(number(place)? * unit));
    seconds.sum::<Option<f64>>().ok_or(Reason::Clock)
}

/// Parses numbers with units.
fn sum(text: &str) -> Result<f64, Reason> {
    let mut seconds = 0.0;
    let mut waiting: Option<(f64, String)> = None;
    let mut is_first = true;
    for word in with_digits(&words(text)).into_iter().filter(|word| !FILLERS.contains(&word.as_str())) {
        if let Some(value) = number(&word) {
            if let Some((_, other)) = waiting.replace((value, word)) {
                return Err(Reason::TwoNumbers(other));
            }
        } else {
            let unit = UNITS.iter().find(|(_, names)| names.contains(&word.as_str())).map(|(unit, _)| *unit);
            let unit = unit.ok_or_else(|| Reason::Unknown(word.clone()))?;
            // A unit without a number counts once at the beginning only: `day` is one day.
            seconds += match waiting.take() {
                Some((value, _)) => value * unit,
                None if is_first => unit,
                None => return Err(Reason::NoNumber(word)),
            };
        }
        is_first = false;
    }
    match waiting {
        // A number at the end is a number of seconds.
        Some((value, _)) => Ok(seconds + value),
        None if is_first => Err(Reason::Empty),
        None => Ok(seconds),
    }
}

/// Accepts digits, with an optional point followed by digits. Rust's parser accepts more: exponents and `inf`.
fn number(word: &str) -> Option<f64> {
    let is_number = word.ends_with(|last: char| last.is_ascii_digit())
        && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_number.then(|| word.parse().ok()).flatten()
}

/// Splits a text into numbers, words and punctuation marks. They need no space between them.
fn words(text: &str) -> Vec<String> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Number,
        Word,
        Mark,
    }
    let mut words: Vec<String> = Vec::new();
    let mut last = Kind::Mark;
    for character in text.to_lowercase().chars() {
        let kind = match character {
            '0'..='9' | '.' => Kind::Number,
            letter if letter.is_alphabetic() => Kind::Word,
            _ => Kind::Mark,
        };
        let is_more = kind == last && kind != Kind::Mark;
        last = kind;
        match words.last_mut() {
            _ if character.is_whitespace() => {}
            Some(word) if is_more => word.push(character),
            _ => words.push(character.to_string()),
        }
    }
    words
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
    #[case::two_numbers("3 4 hours", "expected a unit after the number 3")]
    #[case::number_with_two_points("1.2.3 hours", "`1.2.3` is neither")]
    #[case::trailing_point("5. hours", "`5.` is neither")]
    #[case::no_number("3 hours minutes", "expected a number before `minutes`")]
    #[case::negative("-3 hours", "`-` is neither")]
    #[case::infinite("inf", "`inf` is neither")]
    #[case::zero("0", "expected more than 0 seconds")]
    #[case::zero_hours("0h 0m", "expected more than 0 seconds")]
    #[case::too_long("99999999999999999999 years", "it is too long")]
    #[case::far_too_long(&"9".repeat(1000), "it is too long")]
    #[case::clock_with_words("1:20 hours", "separated by colons")]
    #[case::clock_with_seven_places("1:1:1:1:1:1:1", "separated by colons")]
    #[case::clock_with_an_empty_place("1::1", "separated by colons")]
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
