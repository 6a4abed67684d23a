//! Artifacts and reports, which jobs pass to later jobs: GitLab Runner's `commands/helpers/artifacts_uploader.go`,
//! `app/models/ci/build_dependencies.rb`.

pub mod cache;
pub mod junit;

use std::collections::HashSet;
use std::fs::File;
use std::io;

use private_dir::PrivateDir;

use super::event::TestCounts;
use gitlab_ci::config::artifacts::ArtifactsWhen;
use gitlab_ci::plan::Plan;
use gitlab_ci::plan::job_index::{JobIndex, PerJob};
use gitlab_ci::variables::collection::Variable;
use gitlab_ci::variables::dotenv;
use gitlab_ci::variables::dotenv::Limits;
use gitlab_ci::variables::slug::slugify;

/// The directory with the artifact archives of a pipeline's jobs.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PrivateDir,
    /// The base name of each job's files.
    names: PerJob<String>,
}

impl Store {
    /// A store for the jobs of `plan` in `dir`.
    pub fn new(dir: PrivateDir, plan: &Plan) -> Self {
        let mut taken = HashSet::new();
        let names = PerJob::new(plan, |index| {
            let slug = slugify(&plan[index].name);
            // Different names may have the same slug or an empty one, and a numbered slug may be the slug of another job.
            let numbered = (index.position()..).map(|number| format!("{slug}-{number}"));
            let own = Some(slug.clone()).filter(|slug| !slug.is_empty());
            let free = own.into_iter().chain(numbered).find(|name| !taken.contains(name)).unwrap_or_default();
            taken.insert(free.clone());
            free
        });
        Self { dir, names }
    }

    /// The base name, without an extension, of a job's files.
    pub fn name(&self, job: JobIndex) -> &str {
        &self.names[job]
    }

    /// The directory of the archives.
    pub fn dir(&self) -> &PrivateDir {
        &self.dir
    }

    /// The file name of a job's artifact archive.
    pub fn artifacts(&self, job: JobIndex) -> String {
        format!("{}.tar", self.name(job))
    }

    /// The file name of the archive of a job's reports, which other jobs do not receive as files.
    pub fn reports(&self, job: JobIndex) -> String {
        format!("{}.reports.tar", self.name(job))
    }

    /// Opens an archive. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// The archive cannot be opened.
    pub fn open(&self, archive: &str) -> io::Result<Option<File>> {
        found(self.dir.open_file(archive))
    }

    /// Removes the archives of a job before it is retried: in GitLab a retry is a new job without the artifacts of the first.
    ///
    /// # Errors
    /// An archive cannot be removed. A retry could pass on the artifacts of the earlier attempt.
    pub fn clear(&self, job: JobIndex) -> io::Result<()> {
        for archive in [self.artifacts(job), self.reports(job)] {
            self.dir.remove_file(&archive)?;
        }
        Ok(())
    }
}

/// `None` for something that does not exist.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// The jobs whose artifacts and `dotenv` variables a job receives, in the order of the plan.
///
/// Without `needs` these are the jobs of all earlier stages; with `needs`, the needed jobs without `artifacts: false`.
/// `dependencies` selects among these. The result of those jobs does not matter.
pub fn providers(plan: &Plan, job: JobIndex) -> Vec<JobIndex> {
    let receiver = &plan[job];
    let stage = |name: &str| plan.stages.iter().position(|stage| &**stage == name);
    let own_stage = stage(&receiver.job.stage.value);
    let candidates = plan.indexes().map(|index| (index, &plan[index])).filter(|(_, other)| match &receiver.needs {
        Some(needs) => needs.iter().any(|need| need.artifacts && need.name == other.name),
        None => stage(&other.job.stage.value) < own_stage,
    });
    let chosen = candidates.filter(|(_, other)| match &receiver.job.dependencies {
        // The name of a parallel job selects all its instances.
        Some(names) => names.iter().any(|name| name.value == other.job.name || name.value == other.name),
        None => true,
    });
    chosen.map(|(index, _)| index).collect()
}

/// Whether artifacts or a cache with this `when` are kept after the job.
pub fn is_kept(when: ArtifactsWhen, has_succeeded: bool) -> bool {
    match when {
        ArtifactsWhen::OnSuccess => has_succeeded,
        ArtifactsWhen::OnFailure => !has_succeeded,
        ArtifactsWhen::Always => true,
    }
}

/// The maximum size of a job's `dotenv` reports together, in bytes: many times what GitLab accepts in one report.
pub const DOTENV_LIMIT: u64 = 64 << 10;

/// The maximum size of a job's test reports together, in bytes. <https://docs.gitlab.com/ci/testing/unit_test_reports/>
pub const TEST_REPORTS_LIMIT: u64 = 30 << 20;

/// The variables of a job's `dotenv` reports. Each report is a path and its content.
///
/// # Errors
/// GitLab would refuse a report. The message has the report's path, the line and the reason.
pub fn variables(reports: &[(String, Vec<u8>)]) -> Result<Vec<Variable>, String> {
    if size(reports) > DOTENV_LIMIT {
        return Err(format!("the dotenv reports are larger than {} KiB together", DOTENV_LIMIT >> 10));
    }
    let mut variables = Vec::new();
    for (path, content) in reports {
        let found = dotenv::parse(content, Limits::default()).map_err(|error| format!("{path}: {error}"))?;
        variables.extend(found);
    }
    Ok(variables)
}

/// The sums of all `junit` reports, `None` if none can be read; and for each unreadable report its path and the reason. Each report is
/// a path and its content.
pub fn count_tests(reports: &[(String, Vec<u8>)]) -> (Option<TestCounts>, Vec<String>) {
    if size(reports) > TEST_REPORTS_LIMIT {
        let reason =
            format!("the test reports are larger than {} MiB together, GitLab's limit", TEST_REPORTS_LIMIT >> 20);
        return (None, vec![reason]);
    }
    let mut sum: Option<TestCounts> = None;
    let mut unreadable = Vec::new();
    for (path, content) in reports {
        match junit::count(content) {
            Ok(counts) => {
                let sum = sum.get_or_insert_default();
                sum.total += counts.total;
                sum.failed += counts.failed;
                sum.skipped += counts.skipped;
            }
            Err(error) => unreadable.push(format!("{path}: {error}")),
        }
    }
    (sum, unreadable)
}

fn size(reports: &[(String, Vec<u8>)]) -> u64 {
    reports.iter().map(|(_, content)| content.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use gitlab_ci::testing::plan;

    // https://docs.gitlab.com/ci/yaml/#dependencies, #needsartifacts
    #[rstest]
    #[case::earlier_stages("z: {script: x}", &["a", "b 1/2", "b 2/2"])]
    #[case::needs("z: {script: x, needs: [a]}", &["a"])]
    #[case::needs_without_artifacts("z: {script: x, needs: [{job: a, artifacts: false}, b]}", &["b 1/2", "b 2/2"])]
    #[case::needs_nothing("z: {script: x, needs: []}", &[])]
    #[case::dependencies("z: {script: x, dependencies: [b]}", &["b 1/2", "b 2/2"])]
    #[case::no_dependencies("z: {script: x, dependencies: []}", &[])]
    #[case::dependencies_among_needs("z: {script: x, needs: [a, b], dependencies: [a]}", &["a"])]
    fn a_job_receives_the_artifacts_of_these_jobs(#[case] job: &str, #[case] expected: &[&str]) {
        let text = format!(
            "a: {{script: x, stage: build}}\nb: {{script: x, stage: build, parallel: 2}}\nc: {{script: x}}\n{job}\n"
        );
        let plan = plan(&text);
        let receiver = plan.find("z").unwrap();
        let names: Vec<_> = providers(&plan, receiver).into_iter().map(|job| &*plan[job].name).collect();
        assert_eq!(names, expected);
    }

    #[rstest]
    #[case::success(ArtifactsWhen::OnSuccess, true, false)]
    #[case::failure(ArtifactsWhen::OnFailure, false, true)]
    #[case::always(ArtifactsWhen::Always, true, true)]
    fn when_decides_what_is_kept(#[case] when: ArtifactsWhen, #[case] success: bool, #[case] failure: bool) {
        assert_eq!((is_kept(when, true), is_kept(when, false)), (success, failure));
    }

    #[test]
    fn file_names_are_unique_slugs() {
        let text =
            "a b: {script: x}\na-b: {script: x}\na-b-1: {script: x}\n'?': {script: x}\nc: {script: x, parallel: 2}\n";
        let plan = plan(text);
        let parent = tempfile::tempdir().unwrap();
        let store = Store::new(PrivateDir::open(parent.path(), "artifacts").unwrap(), &plan);
        let names: Vec<_> = plan.indexes().map(|job| store.name(job)).collect();
        assert_eq!(names, ["a-b", "a-b-1", "a-b-1-2", "-3", "c-1-2", "c-2-2"]);
    }

    #[test]
    fn reports_that_are_too_large_are_not_parsed() {
        let large = |limit: u64| vec![("r".to_owned(), vec![b'A'; usize::try_from(limit).unwrap() + 1])];
        assert_eq!(variables(&large(DOTENV_LIMIT)).unwrap_err(), "the dotenv reports are larger than 64 KiB together");
        let (counts, reason) = count_tests(&large(TEST_REPORTS_LIMIT));
        assert_eq!(
            (counts, &*reason.concat()),
            (None, "the test reports are larger than 30 MiB together, GitLab's limit")
        );
    }

    #[test]
    fn an_invalid_dotenv_report_is_named() {
        let good = ("a.env".to_owned(), b"A=1\nB=2".to_vec());
        let bad = ("b.env".to_owned(), b"# no".to_vec());
        assert_eq!(variables(std::slice::from_ref(&good)).unwrap().len(), 2);
        assert!(variables(&[good, bad]).unwrap_err().starts_with("b.env: line 1: Invalid Format"));
    }
}
