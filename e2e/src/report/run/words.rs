//! Texts that all reports share.

use indexmap::IndexMap;

use crate::record::{Check, Job, Pipeline, Record, Verdict};

/// The result of anything, as it determines colors and symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Kind {
    Passed,
    Failed,
    /// It failed, and is allowed to fail.
    Warned,
    /// The user must start it.
    Manual,
    Interrupted,
    NotRun,
}

impl Kind {
    pub(in crate::report) const ALL: [Self; 6] =
        [Self::Passed, Self::Failed, Self::Warned, Self::Manual, Self::Interrupted, Self::NotRun];

    pub(in crate::report) fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Warned => "failed, allowed",
            Self::Manual => "manual",
            Self::Interrupted => "interrupted",
            Self::NotRun => "not run",
        }
    }

    pub(in crate::report) fn symbol(self) -> &'static str {
        match self {
            Self::Passed => "✔",
            Self::Failed => "✘",
            Self::Warned | Self::Interrupted => "!",
            Self::Manual => "▷",
            Self::NotRun => "–",
        }
    }

    /// The result of a pipeline, from its status in GitLab's terms.
    pub(in crate::report) fn from_pipeline(pipeline: &Pipeline) -> Self {
        let has_warnings = pipeline.jobs.iter().any(|job| Self::from_job(job) == Self::Warned);
        match Self::from_status(&pipeline.status) {
            Self::Passed if has_warnings => Self::Warned,
            kind => kind,
        }
    }

    /// The result of a job, from its status in GitLab's terms.
    pub(in crate::report) fn from_job(job: &Job) -> Self {
        match Self::from_status(&job.status) {
            Self::Failed if job.allow_failure => Self::Warned,
            kind => kind,
        }
    }

    fn from_status(status: &str) -> Self {
        match status {
            "success" => Self::Passed,
            "failed" => Self::Failed,
            "manual" => Self::Manual,
            "canceled" | "running" => Self::Interrupted,
            _ => Self::NotRun,
        }
    }
}

impl From<Verdict> for Kind {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Passed,
            Verdict::Failed => Self::Failed,
            Verdict::NotRun => Self::NotRun,
            Verdict::Interrupted => Self::Interrupted,
        }
    }
}

/// Counts results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::report) struct Tally {
    pub(in crate::report) all: usize,
    pub(in crate::report) failed: usize,
    pub(in crate::report) interrupted: usize,
    pub(in crate::report) not_run: usize,
}

impl Tally {
    fn from_kinds(kinds: impl Iterator<Item = Kind>) -> Self {
        let mut tally = Self::default();
        for kind in kinds {
            tally.all += 1;
            tally.failed += usize::from(kind == Kind::Failed);
            tally.interrupted += usize::from(kind == Kind::Interrupted);
            tally.not_run += usize::from(matches!(kind, Kind::NotRun | Kind::Manual));
        }
        tally
    }

    pub(in crate::report) fn pipelines(record: &Record) -> Self {
        Self::from_kinds(record.pipelines.iter().map(Kind::from_pipeline))
    }

    /// Counts only jobs that were started: a manual job that another pipeline plays is counted there.
    pub(in crate::report) fn jobs(record: &Record) -> Self {
        Self::from_kinds(
            record.pipelines.iter().flat_map(|it| &it.jobs).filter(|job| job.attempts > 0).map(Kind::from_job),
        )
    }

    pub(in crate::report) fn checks<'check>(checks: impl IntoIterator<Item = &'check Check>) -> Self {
        Self::from_kinds(checks.into_iter().map(|check| check.verdict.into()))
    }

    /// `24 checks`, `1 of 24 checks`, `24 checks (2 not run)`
    fn sentence(self, what: &str) -> String {
        let bad = self.failed + self.interrupted;
        let failed = if bad > 0 { format!("{bad} of ") } else { String::new() };
        let not_run = if self.not_run > 0 { format!(" ({} not run)", self.not_run) } else { String::new() };
        format!("{failed}{}{not_run}", count(self.all, what))
    }
}

/// The summary of a run: `31 jobs in 4 pipelines, 24 checks, 3 min 12 s`. With failures, it starts with their number:
/// `1 of 31 jobs`.
pub(in crate::report) fn sentence(record: &Record) -> String {
    format!(
        "{} in {}, {}, {}",
        Tally::jobs(record).sentence("job"),
        count(record.pipelines.len(), "pipeline"),
        Tally::checks(&record.checks).sentence("check"),
        format_duration(record.duration)
    )
}

/// The verdict, on one line.
pub(in crate::report) fn verdict(record: &Record) -> String {
    format!("{}: {}", Kind::from(record.verdict).word().to_uppercase(), sentence(record))
}

/// The shares of external programs and of the harness in the time of a run.
pub(in crate::report) fn overhead(record: &Record) -> String {
    format!(
        "External programs (the engine, the cluster, git, job scripts) were active for {}. The harness itself took {}, \
        which adds {:.1} %.",
        format_duration(record.external),
        format_duration(record.overhead),
        record.overhead_percent
    )
}

/// The failed jobs, except those that are allowed to fail.
pub(in crate::report) fn failed_jobs(record: &Record) -> impl Iterator<Item = (&Pipeline, &Job)> {
    let all = record.pipelines.iter().flat_map(|pipeline| pipeline.jobs.iter().map(move |job| (pipeline, job)));
    all.filter(|(_, job)| Kind::from_job(job) == Kind::Failed)
}

/// The checks by environment, in the order in which the environments first appear.
pub(in crate::report) fn by_environment<C: AsRef<Check>>(checks: &[C]) -> IndexMap<&str, Vec<&C>> {
    let mut all: IndexMap<&str, Vec<&C>> = IndexMap::new();
    for check in checks {
        all.entry(&check.as_ref().environment).or_default().push(check);
    }
    all
}

/// The status of a job as GitLab displays it.
pub(in crate::report) fn job_word(job: &Job) -> &str {
    match &*job.status {
        "success" => "passed",
        "created" | "pending" => "not started",
        "failed" if job.allow_failure => "failed, allowed",
        status => status,
    }
}

/// Details about a job in addition to its status.
pub(in crate::report) fn about_job(job: &Job) -> String {
    let mut words = Vec::new();
    if job.attempts > 1 {
        words.push(format!("attempt {}", job.attempts));
    }
    if !job.reason.is_empty() {
        words.push(job.reason.clone());
    }
    words.join("; ")
}

/// A check in one line: its observation, or the reason why it did not run.
pub(in crate::report) fn about_check(check: &Check) -> String {
    match &check.failure {
        Some(failure) => failure.sentence(),
        None if !check.not_run.is_empty() => check.not_run.clone(),
        None if check.verdict == Verdict::Interrupted => Kind::Interrupted.word().to_owned(),
        None => check.evidence.first().cloned().unwrap_or_default(),
    }
}

/// The abbreviated hash of a commit.
pub(in crate::report) fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// A word with a capital letter.
pub(in crate::report) fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// `1 job`, `2 jobs`
pub(in crate::report) fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `0.4 s`, `3 min 12 s`, `1 h 02 min`
pub(in crate::report) fn format_duration(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = std::time::Duration::from_secs_f64(seconds.min(1e9).round()).as_secs();
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

/// The first line of a text, truncated to `max_length` characters.
pub(in crate::report) fn cut(text: &str, max_length: usize) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    match line.char_indices().nth(max_length) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default().trim_end()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::record::overhead::{self, Shares};
    use crate::report::run::fixture;

    #[rstest]
    #[case(0.04, "0.0 s")]
    #[case(12.34, "12.3 s")]
    #[case(59.96, "1 min 00 s")]
    #[case(192.4, "3 min 12 s")]
    #[case(3725.0, "1 h 02 min")]
    fn a_duration_has_units(#[case] seconds: f64, #[case] expected: &str) {
        assert_eq!(format_duration(seconds), expected);
    }

    #[test]
    fn a_verdict_counts_jobs_and_checks() {
        assert_eq!(verdict(&fixture::passed()), "PASSED: 11 jobs in 4 pipelines, 11 checks (1 not run), 3 min 12 s");
        assert_eq!(
            verdict(&fixture::failed()),
            "FAILED: 1 of 9 jobs in 2 pipelines, 2 of 9 checks (1 not run), 4 min 08 s"
        );
        assert_eq!(
            verdict(&fixture::interrupted()),
            "INTERRUPTED: 5 jobs in 1 pipeline, 1 of 11 checks (6 not run), 1 min 51 s"
        );
        assert_eq!(verdict(&Record::default()), "NOT RUN: 0 jobs in 0 pipelines, 0 checks, 0.0 s");
    }

    #[test]
    fn interrupted_jobs_have_not_failed() {
        let job = |status: &str| Job { status: status.to_owned(), attempts: 1, ..Job::default() };
        let pipeline = Pipeline { jobs: vec![job("canceled"), job("failed"), job("success")], ..Pipeline::default() };
        let record = Record { verdict: Verdict::Interrupted, pipelines: vec![pipeline], ..Record::default() };
        assert_eq!(Tally::jobs(&record), Tally { all: 3, failed: 1, interrupted: 1, not_run: 0 });
        assert_eq!(verdict(&record), "INTERRUPTED: 2 of 3 jobs in 1 pipeline, 0 checks, 0.0 s");
        assert_eq!(failed_jobs(&record).count(), 1);
    }

    /// The shares in the fixture equal the computed ones, so that its reports look like those of a real run.
    #[test]
    fn the_shares_of_time_are_reported() {
        for record in [fixture::passed(), fixture::failed(), fixture::interrupted()] {
            let Shares { external, own, percent } = overhead::shares(&record);
            let expected = (record.external, record.overhead, record.overhead_percent);
            assert_eq!((external, own, percent), expected, "{}", record.id);
        }
        assert_eq!(
            super::overhead(&fixture::passed()),
            "External programs (the engine, the cluster, git, job scripts) were active for 3 min 06 s. The harness itself took \
            6.0 s, which adds 3.2 %."
        );
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("äöü\nmore", 3), "äöü");
        assert_eq!(cut("äö üß", 3), "äö…");
    }
}
