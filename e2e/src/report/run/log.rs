//! The log of a job as a page shows it: its sections with their lines and colors.
//!
//! `crates/gitlab-runner/src/log` writes the logs, and reads their lines.

mod colors;

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path};
use std::time::Duration;

use gitlab_runner::log::{Piece, StoredLine, Stream, pieces};
use private_dir::PrivateDir;

pub(super) use self::colors::{Color, Part, Style};
use crate::record::Record;

/// Maximum number of bytes that are read from the end of a log.
const MAX_LENGTH: u64 = 512 * 1024;

/// Maximum number of lines of a log.
const MAX_LINES: usize = 500;

/// Logs by their paths, as in the record.
pub type Logs = HashMap<String, Log>;

#[derive(Debug, Default, PartialEq)]
pub struct Log {
    /// Whether lines before the first one are missing.
    pub(super) is_cut: bool,
    pub(super) sections: Vec<Section>,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Section {
    /// The name, or empty for lines outside of sections.
    pub(super) name: String,
    /// `None` if the section has not ended.
    pub(super) duration: Option<Duration>,
    /// The first line of a section is its title.
    pub(super) lines: Vec<Vec<Part>>,
}

/// Reads the logs of all jobs. A log outside of `dir`, or one that cannot be read, is not in the result.
pub(super) fn read(record: &Record, dir: &PrivateDir) -> Logs {
    let paths = record.pipelines.iter().flat_map(|pipeline| &pipeline.jobs).filter_map(|job| job.log.as_ref());
    paths.filter_map(|path| Some((path.clone(), parse(&tail(dir, Path::new(path)).ok()?)))).collect()
}

/// The end of a file. Every directory on the way is opened by its descriptor, so that no link leads elsewhere.
fn tail(dir: &PrivateDir, path: &Path) -> io::Result<String> {
    let names = path.components().map(|component| match component {
        Component::Normal(name) => Ok(name),
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    });
    let names = names.collect::<io::Result<Vec<_>>>()?;
    let (file, parents) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let mut parent = None;
    for name in parents {
        parent = Some(parent.as_ref().unwrap_or(dir).existing_subdir(name)?);
    }
    let mut file = parent.as_ref().unwrap_or(dir).open_file(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_LENGTH)))?;
    let mut bytes = Vec::new();
    file.take(MAX_LENGTH).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Parses the stored text of a log, or its end.
pub(super) fn parse(text: &str) -> Log {
    let lines = joined(text);
    let is_cut = lines.len() > MAX_LINES || text.len() as u64 >= MAX_LENGTH;
    let mut sections = Sections::default();
    for line in lines.iter().skip(lines.len().saturating_sub(MAX_LINES)) {
        sections.add(line);
    }
    sections.all.retain(|section| !section.lines.is_empty());
    Log { is_cut, sections: sections.all }
}

/// The lines without their prefixes. A line that begins within a line of the other stream is continued where it began.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut begun: HashMap<Stream, usize> = HashMap::new();
    for StoredLine { stream, continues, text } in text.lines().filter_map(StoredLine::parse) {
        let unfinished = begun.get(&stream).filter(|_| continues);
        if let Some(unfinished) = unfinished.and_then(|at| lines.get_mut(*at)) {
            unfinished.push_str(text);
        } else {
            begun.insert(stream, lines.len());
            lines.push(text.to_owned());
        }
    }
    lines
}

/// Sections in the order of the log.
#[derive(Default)]
struct Sections {
    all: Vec<Section>,
    /// The sections that have not ended, with the times at which they began, in seconds since 1970.
    open: Vec<(usize, u64)>,
}

impl Sections {
    fn add(&mut self, line: &str) {
        let pieces = pieces(line);
        let has_marker = pieces.iter().any(Piece::is_marker);
        for piece in &pieces {
            match *piece {
                Piece::SectionStart { name, time } => {
                    self.open.push((self.all.len(), time));
                    self.all.push(Section { name: name.to_owned(), ..Section::default() });
                }
                Piece::SectionEnd { name, time } => self.end(name, time),
                Piece::Text(text) => {
                    let parts = colors::parts(text);
                    // Beside a marker, control sequences clear the line.
                    if !has_marker || !parts.is_empty() {
                        self.push(parts);
                    }
                }
            }
        }
        if pieces.is_empty() {
            self.push(Vec::new());
        }
    }

    /// Adds a line to the innermost open section. After the end of a section within that one, and outside of all sections, the line begins
    /// a section without a name.
    fn push(&mut self, line: Vec<Part>) {
        let current = self.open.last().map(|(at, _)| *at);
        let continues = self.all.last().is_some_and(|last| current == Some(self.all.len() - 1) || last.name.is_empty());
        if !continues {
            self.all.push(Section::default());
        }
        if let Some(section) = self.all.last_mut() {
            section.lines.push(line);
        }
    }

    fn end(&mut self, name: &str, time: u64) {
        let is_open = |(at, _): &(usize, u64)| self.all.get(*at).is_some_and(|section| section.name == name);
        let Some(place) = self.open.iter().rposition(is_open) else { return };
        let ended = self.open.split_off(place);
        if let Some((at, began)) = ended.first()
            && let Some(section) = self.all.get_mut(*at)
        {
            section.duration = Some(Duration::from_secs(time.saturating_sub(*began)));
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn stored(lines: &[(&str, &str)]) -> String {
        let lines = lines.iter().map(|(end, line)| format!("2026-01-31T10:20:30.123456Z 00{end}{line}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// `name (duration): line | line`
    fn texts(log: &Log) -> Vec<String> {
        let text = |line: &Vec<Part>| line.iter().map(|part| &*part.text).collect::<String>();
        let section = |section: &Section| {
            let lines: Vec<_> = section.lines.iter().map(text).collect();
            let duration = section.duration.map(|it| format!(" {}", it.as_secs())).unwrap_or_default();
            format!("{}{duration}: {}", section.name, lines.join(" | "))
        };
        log.sections.iter().map(section).collect()
    }

    #[rstest]
    #[case::sections(
        &[("O ", "section_start:100:get_sources\r\x1b[0K"), ("O+", "Getting"), ("O ", "Checking out"),
          ("O ", "section_end:103:get_sources\r\x1b[0K"), ("O ", "Job succeeded")],
        &["get_sources 3: Getting | Checking out", ": Job succeeded"]
    )]
    #[case::within_another(
        &[("O ", "section_start:1:step_script\r\x1b[0KScript"), ("O ", "section_start:2:own[collapsed=true]\r\x1b[0KOwn"),
          ("O ", "within"), ("O ", "section_end:4:own\r\x1b[0K"), ("O ", "after"), ("O ", "section_end:9:step_script\r\x1b[0K")],
        &["step_script 8: Script", "own 2: Own | within", ": after"]
    )]
    #[case::an_end_and_a_start_in_a_line(
        &[("O ", "section_start:1:a\r\x1b[0KA"), ("O ", "section_end:2:a\r\x1b[0Ksection_start:2:b\r\x1b[0KB")],
        &["a 1: A", "b: B"]
    )]
    #[case::a_line_that_is_cleared_first(
        &[("O ", "\x1b[0Ksection_start:1:own[collapsed=true]\r\x1b[0KOwn"), ("O ", ""), ("O ", "\x1b[0Ksection_end:2:own\r\x1b[0K")],
        &["own 1: Own | "]
    )]
    #[case::two_streams(
        &[("O ", "out"), ("E ", "err"), ("O+", "put"), ("E+", "or"), ("E ", "next")],
        &[": output | error | next"]
    )]
    #[case::a_start_that_is_missing(&[("O ", "late"), ("O ", "section_end:9:a\r\x1b[0K")], &[": late"])]
    fn sections_have_their_lines(#[case] lines: &[(&str, &str)], #[case] expected: &[&str]) {
        let log = parse(&stored(lines));
        assert_eq!((texts(&log), log.is_cut), (expected.iter().map(ToString::to_string).collect(), false));
    }

    #[test]
    fn only_the_end_of_a_long_log_is_kept() {
        let lines: Vec<String> = (0..=MAX_LINES).map(|number| number.to_string()).collect();
        let log = parse(&stored(&lines.iter().map(|line| ("O ", &**line)).collect::<Vec<_>>()));
        assert!(log.is_cut);
        assert!(texts(&log)[0].starts_with(": 1 | 2 |"), "{log:?}");
    }

    #[test]
    fn logs_outside_of_the_directory_are_not_read() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join("secret"), stored(&[("O ", "secret")])).unwrap();
        let dir = PrivateDir::open_shared(parent.path(), "report").unwrap();
        std::fs::create_dir_all(dir.path().join("logs/1")).unwrap();
        std::fs::write(dir.path().join("logs/1/a.log"), stored(&[("O ", "line")])).unwrap();
        std::os::unix::fs::symlink(parent.path().join("secret"), dir.path().join("logs/1/link.log")).unwrap();
        let read = |path: &str| tail(&dir, Path::new(path)).map(|text| texts(&parse(&text))).unwrap_or_default();
        assert_eq!(read("logs/1/a.log"), [": line"]);
        for path in ["../secret", "logs/1/link.log", "logs/none.log", ""] {
            assert_eq!(read(path), Vec::<String>::new(), "{path}");
        }
        let absolute = parent.path().join("secret");
        assert_eq!(read(absolute.to_str().unwrap()), Vec::<String>::new());
    }
}
