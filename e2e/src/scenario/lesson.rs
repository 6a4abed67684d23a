//! Runs a lesson: first the failure, then the fix.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use std::{fs, io};

use bollard::Docker;
use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::definition::{Ref, ReplayError};
use super::job_location::JobLocation;
use super::project::Project;
use super::recorder::Recorder;
use super::replay::Replayer;
use super::variables::RegistryVariables;
use super::{snapshot, variables};
use crate::checks::target::Target;
use crate::checks::{self, run};
use crate::environment::images::Images;
use crate::lessons::{ENVIRONMENT, File, Lesson, LessonResult, Seen};
use crate::record::{Failure, Job, Verdict};
use gitlab_runner::log::{StoredLine, without_colors};
use gitlab_runner::project::git;
use gitlab_runner::project::git::{GitError, Repository};

/// The inputs of lessons.
pub struct LessonContext {
    /// The engine of jobs.
    pub docker: Docker,
    /// Obtains the images.
    pub images: Arc<Images>,
    /// The cluster and the registry.
    pub target: Target,
    /// The repository: some lessons use its service and Dockerfile.
    pub source: PathBuf,
    /// The directory of the lessons' projects and job logs.
    pub dir: PathBuf,
    /// Records the pipelines.
    pub recorder: Arc<Recorder>,
    /// Cancels everything.
    pub cancel: CancellationToken,
}

/// Why a lesson failed.
#[derive(Debug, thiserror::Error)]
pub enum LessonError {
    /// The lesson shows another failure, or none.
    #[error("{0}")]
    NotShown(String),
    /// The pipeline still fails with the fix.
    #[error("it still fails with the fix: {0}")]
    NotMended(String),
    /// A file of the lesson's project cannot be written.
    #[error("{path}")]
    File {
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The repository of the lesson's project cannot be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The objects that it deployed cannot be removed.
    #[error("cannot remove the objects of the lesson: {0}")]
    NotRemoved(String),
    /// The user interrupted it.
    #[error("interrupted")]
    Interrupted,
}

/// Runs a lesson, and removes the objects that it deploys.
///
/// # Errors
/// When the failure or the fix is not as the lesson describes.
pub async fn run_lesson(lesson: &Lesson, context: &LessonContext) -> Result<LessonResult, LessonError> {
    // A lesson that was killed may have left objects that hide the failure.
    cleared(context).await?;
    let taught = Box::pin(shown_and_mended(lesson, context)).await;
    let removed = cleared(context).await;
    let taught = taught?;
    removed.map(|()| taught)
}

async fn cleared(context: &LessonContext) -> Result<(), LessonError> {
    let environment = context.target.environment(ENVIRONMENT, None);
    snapshot::remove(&environment).await.map_err(|failure| LessonError::NotRemoved(failure.seen))
}

async fn shown_and_mended(lesson: &Lesson, context: &LessonContext) -> Result<LessonResult, LessonError> {
    let project = context.dir.join(lesson.name);
    let remove = |error: io::Error| LessonError::File { path: project.display().to_string(), source: error };
    match fs::remove_dir_all(&project) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(remove(error)),
        _ => {}
    }
    write(&project, lesson.broken)?;
    if lesson.has_service {
        for path in ["Dockerfile", ".dockerignore", "dist/app"] {
            copy(&context.source, &project, path)?;
        }
    }
    let broken = commit(&project, "As in the article").await?;
    let ran = replayer(context, broken, lesson.withheld).run(Ref::Branch, lesson.name, &[]).await;
    let taught = compare(lesson, context, ran.as_ref().err()).await?;
    write(&project, lesson.fixed)?;
    let mended = commit(&project, "Fixed").await?;
    match replayer(context, mended, &[]).run(Ref::Branch, &format!("{}, fixed", lesson.name), &[]).await {
        Ok(_) => {}
        Err(ReplayError::Interrupted) => return Err(LessonError::Interrupted),
        Err(error) => return Err(LessonError::NotMended(error.to_string())),
    }
    if let Seen::Check(name, _) = lesson.seen
        && let Some(failure) = checked(context, name).await
    {
        return Err(LessonError::NotMended(failure.sentence()));
    }
    Ok(taught)
}

/// Compares the failure with the one that the lesson describes.
async fn compare(
    lesson: &Lesson,
    context: &LessonContext,
    error: Option<&ReplayError>,
) -> Result<LessonResult, LessonError> {
    match (error, lesson.seen) {
        (Some(ReplayError::Interrupted), _) => Err(LessonError::Interrupted),
        (Some(ReplayError::Refused(reason) | ReplayError::NotRun(reason)), _) => {
            Err(LessonError::NotShown(reason.clone()))
        }
        (Some(ReplayError::NotPassed(verdict)), Seen::Job(name, messages)) => {
            let job = failed_job(&context.recorder, name);
            let job = job.ok_or_else(|| LessonError::NotShown(format!("{name} did not fail: {verdict}")))?;
            let text = job.last_lines.join("\n");
            if !messages.iter().any(|message| text.contains(message)) {
                let wanted = messages.join("` or `");
                return Err(LessonError::NotShown(format!("{name} failed without `{wanted}`:\n{text}")));
            }
            Ok(LessonResult { failure: (format!("job {name}: {}", job.reason), job.last_lines), log: job.log })
        }
        (None, Seen::Check(name, message)) => match checked(context, name).await {
            Some(Failure { expected, seen, details, .. }) => {
                let (log, hidden) = hidden(context, message)
                    .ok_or_else(|| LessonError::NotShown(format!("no job log contains `{message}`")))?;
                let lines = [hidden, format!("expected: {expected}"), format!("actual: {seen}")];
                Ok(LessonResult {
                    failure: (
                        format!("the pipeline passes, and the check {name} fails"),
                        lines.into_iter().chain(details).collect(),
                    ),
                    log: Some(log),
                })
            }
            None => Err(LessonError::NotShown(format!("check {name} passes"))),
        },
        (None, Seen::Job(name, _)) => Err(LessonError::NotShown(format!("{name} passes"))),
        (Some(error), Seen::Check(..)) => Err(LessonError::NotShown(error.to_string())),
    }
}

/// The failed job of the latest pipeline, if it is the one of this name.
fn failed_job(recorder: &Recorder, name: &str) -> Option<Job> {
    let mut found = None;
    recorder.change(|record| {
        let jobs = record.pipelines.last().map(|pipeline| &pipeline.jobs);
        found = jobs.and_then(|jobs| jobs.iter().find(|job| job.status == "failed").cloned());
    });
    found.filter(|job| job.name == name)
}

/// The first line with this text in the job logs of the latest pipeline, and the log that contains it.
fn hidden(context: &LessonContext, message: &str) -> Option<(String, String)> {
    let mut logs = Vec::new();
    context.recorder.change(|record| {
        let jobs = record.pipelines.last().map(|pipeline| &pipeline.jobs);
        logs = jobs.into_iter().flatten().filter_map(|job| job.log.clone()).collect();
    });
    logs.into_iter().find_map(|log| {
        let text = fs::read_to_string(context.dir.join(&log)).ok()?;
        let line = text.lines().find(|line| line.contains(message))?;
        let text = StoredLine::parse(line).map_or(line, |stored| stored.text);
        Some((log, without_colors(text).trim().to_owned()))
    })
}

/// The failure of a check in the lesson's environment.
async fn checked(context: &LessonContext, name: &str) -> Option<Failure> {
    let check = checks::find(name).ok()?;
    let environment = context.target.environment(ENVIRONMENT, None);
    let records = run::run(&[check], &environment, Instant::now(), &|_| ()).await;
    records.into_iter().find(|record| record.verdict == Verdict::Failed)?.failure
}

fn replayer(context: &LessonContext, project: Project, withheld: &[&str]) -> Replayer {
    let LessonContext { target, .. } = context;
    let is_given = |key: &str| !withheld.contains(&key);
    let registry = RegistryVariables::from_target(target, &project.path);
    let mut settings = variables::placeholders(&target.base_domain, &target.namespace, registry.as_ref(), true);
    settings.retain(|setting| is_given(&setting.variable.key));
    let values = variables::from_target(target, &project.path, true);
    let values = values.iter().filter(|variable| is_given(&variable.key)).cloned().collect();
    Replayer {
        docker: context.docker.clone(),
        images: Arc::clone(&context.images),
        kept: context.source.clone(),
        dir: context.dir.clone(),
        recorder: Arc::clone(&context.recorder),
        cancel: context.cancel.clone(),
        location: JobLocation::Engine(target.networks.clone()),
        values: watch::channel(Some(Ok(values))).1,
        settings,
        project,
        gitlab: None,
    }
}

fn write(project: &Path, files: &[File]) -> Result<(), LessonError> {
    for (path, text) in files {
        let path = project.join(path);
        let dir = path.parent().unwrap_or(project);
        let written = fs::create_dir_all(dir).and_then(|()| fs::write(&path, text));
        written.map_err(|source| LessonError::File { path: path.display().to_string(), source })?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, path: &str) -> Result<(), LessonError> {
    let (source, target) = (from.join(path), to.join(path));
    let copied = fs::create_dir_all(target.parent().unwrap_or(to)).and_then(|()| fs::copy(&source, &target));
    let hint = if path == "dist/app" { " (make build)" } else { "" };
    copied.map(drop).map_err(|error| LessonError::File { path: format!("{}{hint}", source.display()), source: error })
}

/// The git settings of a lesson's project. They override the user's: commits are not signed, and no hook runs.
const SETTINGS: [&str; 5] = [
    "init.defaultBranch=main",
    "user.name=Lesson",
    "user.email=lesson@gitlab.test",
    "commit.gpgSign=false",
    "core.hooksPath=/dev/null",
];

/// Commits all files, and returns the project as a push would.
async fn commit(dir: &Path, message: &str) -> Result<Project, LessonError> {
    // A fix that only adds a CI/CD variable changes no file.
    let lines: [&[&str]; 3] = [
        &["init", "--quiet", "--template="],
        &["add", "--all", "--force"],
        &["commit", "--quiet", "--allow-empty", "--message", message],
    ];
    for line in lines {
        let mut command = Command::from(git::program());
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.arg("-C").arg(dir).args(line).kill_on_drop(true);
        let failed = |source| LessonError::File { path: format!("git {}", line.join(" ")), source };
        let output = command.output().await.map_err(failed)?;
        if !output.status.success() {
            return Err(failed(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())));
        }
    }
    let commit = Repository::open(dir)?.commit("HEAD")?;
    Ok(Project {
        dir: dir.to_owned(),
        tagged_dir: dir.to_owned(),
        path: format!("course/{ENVIRONMENT}"),
        default_branch: "main".to_owned(),
        branch: "main".to_owned(),
        tag: String::new(),
        tagged: commit.clone(),
        commit,
        uncommitted: 0,
    })
}
