//! Converts dates to seconds since 1970-01-01 UTC, and back.

use std::time::{Duration, UNIX_EPOCH};

/// 2026-01-01. A clock that shows an earlier date was never set.
pub(super) const NOT_BEFORE: u64 = 1_767_225_600;

/// The seconds of an RFC 3339 date, or `None` for any other text.
pub(super) fn seconds(date: &str) -> Option<u64> {
    // Engines write nanoseconds and an offset; `humantime` only reads UTC with `Z`.
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

/// The RFC 3339 date of these seconds.
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
    #[case::without_offset("2026-01-01T00:00:00", None)]
    fn a_date_is_read(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(seconds(text), expected);
    }

    #[test]
    fn a_date_is_written() {
        assert_eq!(date(NOT_BEFORE), "2026-01-01T00:00:00Z");
    }
}
