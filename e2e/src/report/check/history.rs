//! The history of checks: a CSV file that grows by one line per check with each report.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use csv::{Terminator, WriterBuilder};

use crate::record::Failure;
use crate::record::check_report::{CheckReport, ReportedCheck};

const HEADER: [&str; 10] =
    ["began_at", "id", "environment", "check", "verdict", "took", "kubernetes", "mode", "e2e", "reason"];

/// A file with the history.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file cannot be opened, read or written.
    #[error("{path}")]
    File {
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is something else, or was written by another version.
    #[error(
        "{path}:1:{column}: not a history of checks: the first line is `{found}`\n  expected `{}`; name another file",
        HEADER.join(",")
    )]
    OtherHeader { path: PathBuf, column: usize, found: String },
}

impl History {
    /// Verifies that the file is a history, or can become one. Creates it if necessary. So a wrong file is found before the checks run.
    ///
    /// # Errors
    /// If the file has another header, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let history = Self { path: path.to_owned() };
        history.locked()?;
        Ok(history)
    }

    /// Appends one line per check. The lines of several programs that write at the same time do not mix: each holds a lock on the file
    /// meanwhile, which the kernel releases when a program ends.
    ///
    /// # Errors
    /// Like [`Self::open`].
    pub fn append(&self, report: &CheckReport) -> Result<(), HistoryError> {
        let (mut file, ending) = self.locked()?;
        let lines = ending.missing().and_then(|mut text| {
            text.extend(lines(report)?);
            Ok(text)
        });
        lines.and_then(|text| file.write_all(&text)).map_err(|source| self.failed(source))
    }

    /// The locked file, and how it ends.
    fn locked(&self) -> Result<(File, Ending), HistoryError> {
        let opened = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
            file.lock()?;
            let mut first = Vec::new();
            // A file without line breaks is not read as a whole.
            BufReader::new(&file).take(1024).read_until(b'\n', &mut first)?;
            let ending = Ending::read(&mut file)?;
            Ok((file, first, ending))
        };
        let (file, first, ending) = opened().map_err(|source| self.failed(source))?;
        let first = String::from_utf8_lossy(&first);
        let (found, expected) = (first.trim_end_matches(['\n', '\r']), HEADER.join(","));
        if found == expected || first.is_empty() {
            return Ok((file, ending));
        }
        let column = found.chars().zip(expected.chars()).take_while(|(one, other)| one == other).count() + 1;
        Err(HistoryError::OtherHeader { path: self.path.clone(), column, found: found.chars().take(120).collect() })
    }

    fn failed(&self, source: io::Error) -> HistoryError {
        HistoryError::File { path: self.path.clone(), source }
    }
}

/// How a file ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Empty,
    CompleteLine,
    /// A program was killed while it wrote.
    IncompleteLine,
}

impl Ending {
    fn read(file: &mut File) -> io::Result<Self> {
        if file.seek(SeekFrom::End(0))? == 0 {
            return Ok(Self::Empty);
        }
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(if last == *b"\n" { Self::CompleteLine } else { Self::IncompleteLine })
    }

    /// The bytes that must precede the next line.
    fn missing(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Empty => row(&HEADER.map(str::to_owned)),
            Self::CompleteLine => Ok(Vec::new()),
            Self::IncompleteLine => Ok(vec![b'\n']),
        }
    }
}

fn lines(report: &CheckReport) -> io::Result<Vec<u8>> {
    let rows = report.checks.iter().map(|check| row(&fields(report, check)));
    Ok(rows.collect::<io::Result<Vec<_>>>()?.concat())
}

fn row(fields: &[String; HEADER.len()]) -> io::Result<Vec<u8>> {
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(Vec::new());
    writer.write_record(fields)?;
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// In the order of the header.
fn fields(report: &CheckReport, ReportedCheck { id, check, .. }: &ReportedCheck) -> [String; HEADER.len()] {
    let reason = check.failure.as_ref().map_or_else(|| check.not_run.clone(), Failure::sentence);
    [
        report.began_at.clone(),
        id.clone(),
        check.environment.clone(),
        check.name.clone(),
        check.verdict.name().to_owned(),
        format!("{:.3}", check.duration),
        report.cluster.kubernetes.clone().unwrap_or_default(),
        report.mode.word().to_owned(),
        report.product.version.to_owned(),
        one_line(&reason),
    ]
}

/// A check has one line of the file, also for readers that do not know quoted line breaks.
fn one_line(text: &str) -> String {
    text.split(|letter: char| letter.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;

    use super::*;
    use crate::report::check::fixture;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.csv");
        (dir, path)
    }

    fn append(path: &Path, report: &CheckReport) -> Result<(), HistoryError> {
        History::open(path)?.append(report)
    }

    #[test]
    fn each_report_adds_a_line_per_check() {
        let (_dir, path) = path();
        append(&path, &fixture::passed()).unwrap();
        append(&path, &fixture::failed()).unwrap();
        insta::assert_snapshot!(fs::read_to_string(&path).unwrap());
    }

    #[test]
    fn a_reason_of_several_lines_stays_in_its_line() {
        let (_dir, path) = path();
        let mut report = fixture::passed();
        report.checks[0].check.not_run = "a, \"b\"\nc\x1b".to_owned();
        append(&path, &report).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1 + report.checks.len());
        assert!(text.lines().nth(1).unwrap().ends_with(",\"a, \"\"b\"\" c\""), "{text}");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(&reader.records().next().unwrap().unwrap()[9], "a, \"b\" c");
    }

    #[rstest]
    #[case::another_file("# History\n", "history.csv:1:1: not a history of checks: the first line is `# History`")]
    #[case::a_column_less("began_at,id,check\n", "history.csv:1:13: not a history of checks")]
    #[case::a_cut_header("began_at,id", "history.csv:1:12: not a history of checks")]
    fn a_file_with_another_header_is_refused_and_unchanged(#[case] content: &str, #[case] expected: &str) {
        let (_dir, path) = path();
        fs::write(&path, content).unwrap();
        let error = append(&path, &fixture::passed()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }

    #[test]
    fn a_line_that_a_killed_program_left_is_not_continued() {
        let (_dir, path) = path();
        append(&path, &fixture::passed()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        append(&path, &fixture::passed()).unwrap();
        let lines = 1 + 2 * fixture::passed().checks.len();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), lines);
    }

    /// Each of the writers has its own open file, as separate programs have.
    #[test]
    fn lines_of_concurrent_writers_do_not_mix() {
        let (_dir, path) = path();
        let (writers, rounds) = (8, 20);
        std::thread::scope(|scope| {
            for writer in 0..writers {
                let path = &path;
                scope.spawn(move || {
                    let mut report = fixture::failed();
                    report.began_at = format!("writer {writer}");
                    for _ in 0..rounds {
                        append(path, &report).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        let checks = fixture::failed().checks.len();
        assert_eq!(text.lines().count(), 1 + writers * rounds * checks);
        assert_eq!(text.matches("began_at").count(), 1);
        let writer = |line: &str| line.split(',').next().map(str::to_owned);
        // The lines of a report follow each other.
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert!(lines.chunks(checks).all(|report| report.iter().all(|line| writer(line) == writer(report[0]))));
    }

    #[test]
    fn a_file_that_cannot_be_created_is_named() {
        let error = History::open(Path::new("/no/such/history.csv")).unwrap_err();
        assert!(matches!(&error, HistoryError::File { path, .. } if path.ends_with("history.csv")), "{error}");
    }
}
