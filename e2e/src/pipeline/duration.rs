//! Lengths of time in natural language: `3h 30m`, `2 hrs 20 min`, `1 week`, `6 mos and 1 day`; a bare number is seconds.
//!
//! GitLab reads them with the gem `gitlab-chronic-duration`. A month there has 30 days, a year 365.25.

use std::time::Duration;

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no duration: write one like `90`, `3h 30m`, `2 hours` or `1 week`")]
pub struct DurationError(String);

/// Seconds of each unit.
const UNITS: &[(&[&str], f64)] = &[
    (&["s", "sec", "secs", "second", "seconds"], 1.0),
    (&["m", "min", "mins", "minute", "minutes"], 60.0),
    (&["h", "hr", "hrs", "hour", "hours"], 3600.0),
    (&["d", "dy", "day", "days"], 86_400.0),
    (&["w", "wk", "wks", "week", "weeks"], 604_800.0),
    (&["mo", "mos", "month", "months"], 2_592_000.0),
    (&["y", "yr", "yrs", "year", "years"], 31_557_600.0),
];

/// Words that say nothing.
const FILLERS: [&str; 4] = ["and", "with", "plus", ","];

/// Reads a length of time.
///
/// # Errors
/// When it is none.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let wrong = || DurationError(text.to_owned());
    let mut seconds = 0.0;
    let mut number: Option<f64> = None;
    let mut found = false;
    for word in words(text) {
        if FILLERS.contains(&word.as_str()) {
            continue;
        }
        if let Ok(value) = word.parse::<f64>() {
            // Two numbers in a row mean nothing.
            if number.replace(value).is_some() {
                return Err(wrong());
            }
            continue;
        }
        let unit = UNITS.iter().find(|(names, _)| names.contains(&word.as_str())).map(|(_, unit)| *unit);
        let (Some(unit), Some(value)) = (unit, number.take()) else { return Err(wrong()) };
        seconds += value * unit;
        found = true;
    }
    match (number, found) {
        (None, false) | (Some(_), true) => return Err(wrong()),
        (Some(value), false) => seconds = value,
        (None, true) => {}
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// Numbers and words, also where nothing is between them.
fn words(text: &str) -> Vec<String> {
    let kind = |character: char| match character {
        '0'..='9' | '.' => 0,
        letter if letter.is_alphabetic() => 1,
        _ => 2,
    };
    let mut words: Vec<String> = Vec::new();
    let mut last = 2;
    for character in text.to_lowercase().chars() {
        let this = kind(character);
        if character.is_whitespace() {
            last = 2;
            continue;
        }
        match words.last_mut() {
            Some(word) if this == last && this != 2 => word.push(character),
            _ => words.push(character.to_string()),
        }
        last = this;
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    // https://docs.gitlab.com/ci/yaml/#timeout, https://docs.gitlab.com/ci/yaml/#artifactsexpire_in
    #[rstest]
    #[case("42", 42)]
    #[case("42 seconds", 42)]
    #[case("3 mins 4 sec", 184)]
    #[case("2 hrs 20 min", 8400)]
    #[case("2h20min", 8400)]
    #[case("3h 30m", 12_600)]
    #[case("6 mos 1 day", 15_638_400)]
    #[case("47 yrs 6 mos and 4d", 1_499_104_800)]
    #[case("3 weeks and 2 days", 1_987_200)]
    #[case("1.5 hours", 5400)]
    #[case("1 WEEK", 604_800)]
    fn durations(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(parse(text).unwrap(), Duration::from_secs(seconds));
    }

    #[rstest]
    #[case::nothing("")]
    #[case::word("soon")]
    #[case::unit_alone("hours")]
    #[case::unknown_unit("3 fortnights")]
    #[case::two_numbers("3 4 hours")]
    #[case::number_left("3 hours 4")]
    #[case::negative("-3 hours")]
    #[case::too_long("99999999999999999999 years")]
    fn not_durations(#[case] text: &str) {
        assert_eq!(parse(text), Err(DurationError(text.to_owned())));
    }

    proptest! {
        #[test]
        fn any_text(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
