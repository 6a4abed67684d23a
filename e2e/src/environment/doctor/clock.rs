//! Dates as seconds since 1970-01-01 UTC, and back.

use std::time::{Duration, UNIX_EPOCH};

/// 2026-01-01: a clock that is before it was never set.
pub(super) const NOT_BEFORE: u64 = 1_767_225_600;

/// RFC 3339 to seconds; anything else to nothing.
pub(super) fn seconds(date: &str) -> Option<u64> {
    // Engines write nine digits of a second and an offset; `humantime` reads UTC with `Z` alone.
    let (whole, rest) = date.split_at_checked("2026-01-01T00:00:00".len())?;
    let utc = rest.trim_start_matches(|character: char| character == '.' || character.is_ascii_digit());
    let offset = if utc == "Z" {
        0
    } else {
        let (hours, minutes) = utc.get(1..)?.split_once(':')?;
        let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
        if utc.starts_with('-') { -seconds } else { seconds }
    };
    let local = humantime::parse_rfc3339(&format!("{whole}Z")).ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
    local.checked_add_signed(-offset)
}

/// Seconds to RFC 3339.
pub(super) fn date(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::utc("2026-01-01T00:00:00Z", Some(NOT_BEFORE))]
    #[case::nanoseconds("2026-01-01T00:00:00.123456789Z", Some(NOT_BEFORE))]
    #[case::east("2026-01-01T08:00:00.5+08:00", Some(NOT_BEFORE))]
    #[case::west("2025-12-31T18:30:00-05:30", Some(NOT_BEFORE))]
    #[case::not_a_date("yesterday", None)]
    #[case::cut("2026-01-01T00:00:00", None)]
    fn read(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(seconds(text), expected);
    }

    #[test]
    fn written() {
        assert_eq!(date(NOT_BEFORE), "2026-01-01T00:00:00Z");
    }
}
