//! `artifacts:reports:dotenv`: variables that a job passes to later jobs.
//! <https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv>,
//! `app/services/ci/parse_dotenv_artifact_service.rb`
//!
//! The format is not shell syntax. It has no comments, no blank lines, no quotes and no line continuation.

use std::collections::HashMap;

use super::collection::{Origin, Variable};

/// The maximum length of a name in GitLab's database.
const MAX_KEY_LENGTH: usize = 255;

/// The limits of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A report must be smaller than this number of bytes.
    pub bytes: usize,
    /// The maximum number of variables.
    pub variables: usize,
}

impl Default for Limits {
    /// The default limits of a self-managed GitLab. GitLab.com allows 50 to 150 variables.
    fn default() -> Self {
        Self { bytes: 5 * 1024, variables: 20 }
    }
}

/// Why GitLab refuses a whole report. Lines are numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DotenvError {
    /// A line has no `=`.
    #[error("line {line}: Invalid Format: every line must be `KEY=value`, without comments and blank lines")]
    Format {
        /// The number of the line.
        line: usize,
    },
    /// A name is empty, too long, or contains other characters than letters, digits and `_`. The message does not quote it: a value
    /// that continues on a second line may be a part of a secret, which no mask would find.
    #[error(
        "line {line}: a key of {bytes} bytes: Key can contain only letters, digits and '_', from 1 to {MAX_KEY_LENGTH} of them"
    )]
    Key {
        /// The number of the line.
        line: usize,
        /// The length of the invalid name.
        bytes: usize,
    },
    /// The report is too large.
    #[error("Dotenv Artifact Too Big. Maximum Allowable Size: {limit} (it has {bytes})")]
    TooBig {
        /// The report must be smaller than this number of bytes.
        limit: usize,
        /// The size of the report in bytes.
        bytes: usize,
    },
    /// The report has too many variables.
    #[error("line {line}: Dotenv files cannot have more than {limit} variables")]
    TooMany {
        /// The line of the first variable beyond the limit.
        line: usize,
        /// The maximum number of variables.
        limit: usize,
    },
}

/// Parses a report. Of several variables with the same name the last one wins, at the position of the first.
///
/// # Errors
/// The report is too large or a line is invalid. GitLab then uses no variable of the report.
pub fn parse(report: &[u8], limits: Limits) -> Result<Vec<Variable>, DotenvError> {
    if report.len() >= limits.bytes {
        return Err(DotenvError::TooBig { limit: limits.bytes, bytes: report.len() });
    }
    let text = decode(report);
    let mut variables: Vec<Variable> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut first_too_many = None;
    for (index, text) in text.split_terminator('\n').enumerate() {
        let line = index + 1;
        let (key, value) = text.split_once('=').ok_or(DotenvError::Format { line })?;
        let (key, value) = (strip(key), strip(value));
        if !is_key(key) {
            return Err(DotenvError::Key { line, bytes: key.len() });
        }
        let variable = Variable::new(key, value, Origin::Dotenv);
        let place = *places.entry(key.to_owned()).or_insert(variables.len());
        match variables.get_mut(place) {
            Some(same) => *same = variable,
            None => variables.push(variable),
        }
        if variables.len() > limits.variables {
            first_too_many.get_or_insert(line);
        }
    }
    // Invalid lines have precedence: GitLab counts the variables after it has read all of them.
    match first_too_many {
        Some(line) => Err(DotenvError::TooMany { line, limit: limits.variables }),
        None => Ok(variables),
    }
}

fn is_key(key: &str) -> bool {
    (1..=MAX_KEY_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Removes what Ruby's `strip` removes, which is less than Unicode's white space.
fn strip(text: &str) -> &str {
    text.trim_matches(['\0', '\t', '\n', '\u{b}', '\u{c}', '\r', ' '])
}

/// Decodes the text. Windows PowerShell writes UTF-16 with a byte order mark.
fn decode(report: &[u8]) -> String {
    if let Some(utf16) = report.strip_prefix(b"\xff\xfe") {
        let units = utf16.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).map(u16::from_le_bytes);
        return char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    }
    String::from_utf8_lossy(report.strip_prefix(b"\xef\xbb\xbf").unwrap_or(report)).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn read(report: &[u8]) -> Result<Vec<(String, String)>, DotenvError> {
        let variables = parse(report, Limits::default())?;
        Ok(variables.iter().map(|it| (it.key.to_string(), it.value.to_string())).collect())
    }

    #[rstest]
    #[case::one_variable(b"A=1", &[("A", "1")])]
    #[case::two_variables(b"A=1\nB=2\n", &[("A", "1"), ("B", "2")])]
    #[case::empty(b"", &[])]
    #[case::empty_value(b"A=", &[("A", "")])]
    #[case::only_the_first_equals_sign_counts(b"A=b=c==", &[("A", "b=c==")])]
    #[case::stripped(b" A \t= x y \r\n", &[("A", "x y")])]
    #[case::quotes_stay(b"A=\"x\"", &[("A", "\"x\"")])]
    #[case::comments_stay(b"A=1 # one", &[("A", "1 # one")])]
    #[case::dollars_stay(b"A=$B", &[("A", "$B")])]
    #[case::last_wins(b"A=1\nB=2\nA=3", &[("A", "3"), ("B", "2")])]
    #[case::name_that_starts_with_a_digit(b"1=x", &[("1", "x")])]
    #[case::byte_order_mark(b"\xef\xbb\xbfA=1", &[("A", "1")])]
    #[case::utf16(b"\xff\xfeA\0=\x001\0\n\0", &[("A", "1")])]
    #[case::invalid_utf8(b"A=\xff", &[("A", "\u{fffd}")])]
    fn parses_reports(#[case] report: &[u8], #[case] expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read(report), Ok(expected));
    }

    #[rstest]
    #[case::blank(b"A=1\n\nB=2", "line 2: Invalid Format")]
    #[case::comment(b"# comment", "line 1: Invalid Format")]
    #[case::value_over_two_lines(b"A=\"1\n2\"", "line 2: Invalid Format")]
    #[case::blank_at_the_end(b"A=1\n\n", "line 2: Invalid Format")]
    #[case::empty_name(b"=1", "line 1: a key of 0 bytes: Key can contain only letters")]
    #[case::dash(b"A=1\nA-B=1", "line 2: a key of 3 bytes: Key can")]
    #[case::export(b"export A=1", "line 1: a key of 8 bytes: Key can")]
    #[case::other_letters("Ä=1".as_bytes(), "line 1: a key of 2 bytes: Key can")]
    fn rejects_invalid_reports(#[case] report: &[u8], #[case] expected: &str) {
        let error = read(report).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn an_error_quotes_nothing_of_the_report() {
        for report in ["S3cr3t-Value=x", "TOKEN=a\nS3cr3t/Value==", "S3cr3tValue"] {
            let error = read(report.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("S3cr3t"), "{error}");
        }
    }

    #[test]
    fn values_are_not_expanded() {
        let variables = parse(b"A=$B", Limits::default()).unwrap();
        assert_eq!(variables, [Variable::new("A", "$B", Origin::Dotenv)]);
        assert!(!variables[0].raw);
    }

    #[test]
    fn enforces_the_limits() {
        let lines = |count: usize| (0..count).map(|number| format!("A{number}=\n")).collect::<Vec<_>>().concat();
        assert_eq!(read(lines(20).as_bytes()).unwrap().len(), 20);
        assert_eq!(read(lines(22).as_bytes()), Err(DotenvError::TooMany { line: 21, limit: 20 }));
        assert_eq!(read((lines(22) + "x").as_bytes()), Err(DotenvError::Format { line: 23 }));
        assert!(read(format!("A={}", "x".repeat(5117)).as_bytes()).is_ok());
        let large = format!("A={}", "x".repeat(5118));
        assert_eq!(read(large.as_bytes()), Err(DotenvError::TooBig { limit: 5120, bytes: 5120 }));
        assert!(matches!(read(format!("{}=1", "A".repeat(256)).as_bytes()), Err(DotenvError::Key { line: 1, .. })));
    }

    proptest! {
        #[test]
        fn any_report_terminates(report in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&report);
        }

        #[test]
        fn reads_what_was_written(
            list in proptest::collection::btree_map("[A-Za-z0-9_]{1,9}", "([!-~]([ -~]{0,9}[!-~])?)?", 0..20),
        ) {
            let report = list.iter().map(|(key, value)| format!("{key}={value}\n")).collect::<Vec<_>>().concat();
            prop_assert_eq!(read(report.as_bytes()), Ok(list.into_iter().collect::<Vec<_>>()));
        }
    }
}
