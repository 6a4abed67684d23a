//! Test reports in `JUnit`'s XML format: <https://docs.gitlab.com/ci/testing/unit_test_reports/>,
//! `lib/gitlab/ci/parsers/test/junit.rb`.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::event::TestCounts;

/// Counts the test cases of a report.
///
/// # Errors
/// The report is not well-formed XML. The message has the position as a byte offset.
pub fn count(report: &[u8]) -> Result<TestCounts, String> {
    let text = String::from_utf8_lossy(report);
    let mut reader = Reader::from_str(&text);
    let mut counts = TestCounts::default();
    // The result of the test case that is being read.
    let (mut is_failed, mut is_skipped) = (false, false);
    loop {
        match reader.read_event().map_err(|error| format!("at byte {}: {error}", reader.error_position()))? {
            Event::Eof => return Ok(counts),
            Event::Start(tag) => match tag.local_name().as_ref() {
                "testcase" => {
                    counts.total += 1;
                    (is_failed, is_skipped) = (false, false);
                }
                "failure" | "error" => is_failed = true,
                "skipped" => is_skipped = true,
                _ => {}
            },
            Event::Empty(tag) => match tag.local_name().as_ref() {
                "testcase" => counts.total += 1,
                "failure" | "error" => is_failed = true,
                "skipped" => is_skipped = true,
                _ => {}
            },
            Event::End(tag) if tag.local_name().as_ref() == "testcase" => {
                counts.failed += usize::from(is_failed);
                counts.skipped += usize::from(is_skipped && !is_failed);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_cases_are_counted_by_result() {
        let report = br#"<?xml version="1.0"?>
            <testsuites><testsuite name="s">
              <testcase name="a"/>
              <testcase name="b"><failure message="x">text</failure></testcase>
              <testcase name="c"><skipped/></testcase>
              <testcase name="d"><error/></testcase>
            </testsuite></testsuites>"#;
        assert_eq!(count(report).unwrap(), TestCounts { total: 4, failed: 2, skipped: 1 });
    }

    #[test]
    fn malformed_xml_is_an_error_with_its_position() {
        assert!(count(b"<testsuite></other>").unwrap_err().starts_with("at byte "));
    }
}
