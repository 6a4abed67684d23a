//! Reads a JSON report, and finds mistakes at their place in the file.

use std::collections::HashSet;
use std::fmt;

use gitlab_ci::suggest;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::record::check_report::{API_VERSION, KIND};
use crate::record::{Failure, Verdict};

/// A report, with the parts that a comparison needs.
#[derive(Debug, Deserialize)]
pub struct Report {
    #[serde(rename = "apiVersion", deserialize_with = "version")]
    _version: (),
    #[serde(rename = "kind", deserialize_with = "kind")]
    _kind: (),
    pub product: Product,
    pub began_at: String,
    pub mode: String,
    pub cluster: Cluster,
    #[serde(deserialize_with = "checks")]
    pub checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
pub struct Product {
    pub version: String,
}

#[derive(Debug, Deserialize)]
pub struct Cluster {
    pub kubernetes: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Check {
    pub id: String,
    #[serde(deserialize_with = "verdict")]
    pub verdict: Verdict,
    #[serde(default)]
    pub not_run: String,
    pub failure: Option<Failure>,
}

/// A file is not a report.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{line}:{column}: {reason}\n  expected a report that `e2e check --format json` has written: docs/report.schema.json"
)]
pub struct NotAReport {
    pub line: usize,
    pub column: usize,
    pub reason: String,
}

/// Reads a report.
///
/// # Errors
/// If the text is not a report of this version.
pub fn read(text: &[u8]) -> Result<Report, NotAReport> {
    if let Some(start) = text.iter().position(|byte| !byte.is_ascii_whitespace()).filter(|start| text[*start] == b'[') {
        let lines = text.iter().take(start).filter(|byte| **byte == b'\n').count();
        let column = text.iter().take(start).rev().take_while(|byte| **byte != b'\n').count();
        let reason = format!("a list, as versions before {API_VERSION} wrote it; run the checks again");
        return Err(NotAReport { line: lines + 1, column: column + 1, reason });
    }
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let reason = error.to_string();
        let reason = reason.trim_end_matches(&format!(" at line {line} column {column}")).to_owned();
        // An empty file ends before its first line.
        NotAReport { line: line.max(1), column: column.max(1), reason }
    })
}

/// A word of which only some values are allowed. A visitor fails at the word, and not at the end of the object.
struct Word<F> {
    expected: &'static str,
    parse: F,
}

impl<T, F: Fn(&str) -> Result<T, String>> Visitor<'_> for Word<F> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<T, E> {
        (self.parse)(word).map_err(E::custom)
    }
}

fn constant<'de, D: Deserializer<'de>>(deserializer: D, name: &str, value: &'static str) -> Result<(), D::Error> {
    let parse = |word: &str| {
        if word == value { Ok(()) } else { Err(format!("unsupported {name} `{word}`: this program reads `{value}`")) }
    };
    deserializer.deserialize_str(Word { expected: value, parse })
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    constant(deserializer, "apiVersion", API_VERSION)
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    constant(deserializer, "kind", KIND)
}

fn verdict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Verdict, D::Error> {
    let parse = |word: &str| {
        Verdict::ALL.into_iter().find(|verdict| verdict.name() == word).ok_or_else(|| {
            let names = Verdict::ALL.map(Verdict::name);
            let nearest = suggest::nearest(word, names).unwrap_or_default();
            format!("unknown verdict `{word}`, did you mean `{nearest}`? The verdicts are {}", names.join(", "))
        })
    };
    deserializer.deserialize_str(Word { expected: "a verdict", parse })
}

/// The checks, each of which has its own ID.
struct Checks;

impl<'de> Visitor<'de> for Checks {
    type Value = Vec<Check>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of checks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<Check>, A::Error> {
        let (mut checks, mut ids) = (Vec::new(), HashSet::new());
        while let Some(check) = sequence.next_element::<Check>()? {
            if !ids.insert(check.id.clone()) {
                return Err(A::Error::custom(format!("the check that ends here, `{}`, is listed twice", check.id)));
            }
            checks.push(check);
        }
        Ok(checks)
    }
}

fn checks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Check>, D::Error> {
    deserializer.deserialize_seq(Checks)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::report::check::{fixture, json};

    #[test]
    fn a_report_can_be_read_again() {
        let written = fixture::failed();
        let report = read(json::text(&written).unwrap().as_bytes()).unwrap();
        let ids: Vec<_> = report.checks.iter().map(|check| &*check.id).collect();
        assert_eq!(ids, ["dev-deployment", "dev-readiness", "live-scraping", "live-ingress"]);
        let verdicts = report.checks.iter().map(|check| check.verdict);
        assert!(verdicts.eq(written.checks.iter().map(|check| check.check.verdict)));
    }

    /// A report of a newer program of this version has more fields.
    #[test]
    fn unknown_fields_are_ignored() {
        let text = json::text(&fixture::passed()).unwrap().replacen('{', "{\"cloud\": {\"region\": [1]},", 1);
        assert_eq!(read(text.as_bytes()).unwrap().checks.len(), 3);
    }

    #[rstest]
    #[case::empty("", "1:1: EOF while parsing a value")]
    #[case::cut("{\n  \"apiVersion\": \"gitlab-ci-k8s-demo/v1\",\n  \"ki", "3:5: EOF while parsing a string")]
    #[case::no_json("{\n  apiVersion: 1\n}", "2:3: key must be a string")]
    #[case::the_former_list(
        "\n [{\"name\": \"dns\"}]",
        "2:2: a list, as versions before gitlab-ci-k8s-demo/v1 wrote it"
    )]
    #[case::another_document("{\"id\": \"0a1b2c3d\"}", "1:18: missing field `apiVersion`")]
    #[case::another_version(
        "{\n  \"apiVersion\": \"gitlab-ci-k8s-demo/v2\"}",
        "2:39: unsupported apiVersion `gitlab-ci-k8s-demo/v2`"
    )]
    #[case::no_object("7", "1:1: invalid type: integer `7`")]
    fn other_files_are_rejected_at_their_mistake(#[case] text: &str, #[case] expected: &str) {
        let error = read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(
            error.ends_with("expected a report that `e2e check --format json` has written: docs/report.schema.json")
        );
    }

    /// A report of which one line is replaced.
    #[rstest]
    #[case::a_verdict(
        "\"verdict\": \"not_run\"",
        "\"verdict\": \"not-run\"",
        "unknown verdict `not-run`, did you mean `not_run`?"
    )]
    #[case::an_id("\"id\": \"dev-deployment\"", "\"id\": 7", "invalid type: integer `7`, expected a string")]
    #[case::no_list("\"checks\": [", "\"checks\": 1, \"x\": [", "invalid type: integer `1`, expected a list of checks")]
    fn a_wrong_value_is_found_in_its_line(#[case] from: &str, #[case] to: &str, #[case] reason: &str) {
        let text = json::text(&fixture::passed()).unwrap();
        assert_eq!(text.matches(from).count(), 1);
        let text = text.replacen(from, to, 1);
        let error = read(text.as_bytes()).unwrap_err();
        let changed = text.lines().position(|line| line.contains(to)).unwrap() + 1;
        assert!(error.reason.starts_with(reason) && error.line == changed, "{error}");
    }

    #[test]
    fn a_check_that_is_listed_twice_is_found() {
        let text = json::text(&fixture::passed()).unwrap().replacen("dev-deployment", "dev-registry", 1);
        let error = read(text.as_bytes()).unwrap_err();
        let next = text.lines().position(|line| line.contains("dev-readiness")).unwrap();
        assert_eq!((error.line, &*error.reason), (next, "the check that ends here, `dev-registry`, is listed twice"));
    }
}
