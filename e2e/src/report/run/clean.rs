//! Removes colors and other control characters from the output of programs: terminals would interpret them, and XML does not allow
//! them.
//!
//! All fields are listed explicitly, so that a new field does not compile until it is handled here.

use crate::record::{Check, Failure, Job, JobStep, Pipeline, Project, Record, Span, Step, Verdict};
use gitlab_runner::log::without_colors;

/// Returns a copy of the record in which all texts can be displayed.
pub(in crate::report) fn cleaned(record: &Record) -> Record {
    let Record { id, began_at, duration, external, overhead, overhead_percent, verdict, broken, project, .. } = record;
    let Record { steps, pipelines, checks, spans, versions, commands, commands_note, .. } = record;
    Record {
        id: text(id),
        began_at: text(began_at),
        duration: seconds(*duration),
        external: seconds(*external),
        overhead: seconds(*overhead),
        overhead_percent: seconds(*overhead_percent),
        verdict: *verdict,
        broken: broken.as_deref().map(text),
        project: clean_project(project),
        steps: steps.iter().map(step).collect(),
        pipelines: pipelines.iter().map(pipeline).collect(),
        checks: checks.iter().map(check).collect(),
        spans: spans.iter().map(span).collect(),
        versions: pairs(versions),
        commands: pairs(commands),
        commands_note: text(commands_note),
    }
}

fn clean_project(Project { path, commit, title, uncommitted }: &Project) -> Project {
    Project { path: text(path), commit: text(commit), title: text(title), uncommitted: *uncommitted }
}

fn step(Step { name, verdict, start, duration, outcome }: &Step) -> Step {
    Step {
        name: text(name),
        verdict: *verdict,
        start: seconds(*start),
        duration: seconds(*duration),
        outcome: text(outcome).trim_end().to_owned(),
    }
}

fn pipeline(pipeline: &Pipeline) -> Pipeline {
    let Pipeline { id, title, ref_name, is_tag, status, start, duration, stages, jobs } = pipeline;
    Pipeline {
        id: *id,
        title: text(title),
        ref_name: text(ref_name),
        is_tag: *is_tag,
        status: text(status),
        start: seconds(*start),
        duration: seconds(*duration),
        stages: texts(stages),
        jobs: jobs.iter().map(job).collect(),
    }
}

fn job(job: &Job) -> Job {
    let Job { name, stage, status, allow_failure, start, duration, attempts, steps, .. } = job;
    let Job { needs, environment, environment_url, reason, log, last_lines, .. } = job;
    Job {
        name: text(name),
        stage: text(stage),
        status: text(status),
        allow_failure: *allow_failure,
        start: start.map(seconds),
        duration: seconds(*duration),
        attempts: *attempts,
        steps: steps.iter().map(job_step).collect(),
        needs: needs.as_deref().map(texts),
        environment: environment.as_deref().map(text),
        environment_url: environment_url.as_deref().map(text),
        reason: text(reason),
        log: log.as_deref().map(text),
        last_lines: texts(last_lines),
    }
}

fn job_step(JobStep { name, start, duration }: &JobStep) -> JobStep {
    JobStep { name: text(name), start: seconds(*start), duration: seconds(*duration) }
}

pub(in crate::report) fn check(check: &Check) -> Check {
    let Check { name, environment, proves, verdict, start, duration, evidence, not_run, failure } = check;
    Check {
        name: text(name),
        environment: text(environment),
        proves: text(proves),
        verdict: *verdict,
        start: seconds(*start),
        duration: seconds(*duration),
        evidence: texts(evidence),
        not_run: text(not_run),
        failure: failure.as_ref().map(clean_failure),
    }
}

fn clean_failure(failure: &Failure) -> Failure {
    let Failure { expected, seen, object, details, cause, is_seen, fix, is_after_success } = failure;
    Failure {
        expected: text(expected),
        seen: text(seen),
        object: text(object),
        details: texts(details),
        cause: text(cause),
        is_seen: *is_seen,
        fix: text(fix),
        is_after_success: *is_after_success,
    }
}

fn span(Span { lane, name, start, end, verdict }: &Span) -> Span {
    let (start, verdict): (f64, Verdict) = (seconds(*start), *verdict);
    Span { lane: text(lane), name: text(name), start, end: seconds(*end).max(start), verdict }
}

fn pairs(pairs: &[(String, String)]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| (text(one), text(other))).collect()
}

pub(in crate::report) fn texts(all: &[String]) -> Vec<String> {
    all.iter().map(|one| text(one)).collect()
}

pub(in crate::report) fn text(text: &str) -> String {
    let mut clean = text.lines().map(|line| without_colors(line).trim_end().to_owned()).collect::<Vec<_>>().join("\n");
    // XML does not allow these characters either.
    clean.retain(|character| !matches!(character, '\u{fffe}' | '\u{ffff}'));
    clean
}

/// Replaces infinite, undefined and negative times by 0.
pub(in crate::report) fn seconds(seconds: f64) -> f64 {
    if seconds.is_finite() { seconds.max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_removed() {
        assert_eq!(text("\x1b[31mred\x1b[0m\r\n\ttab\x07\0 \u{ffff}"), "red\n\ttab ");
    }

    #[test]
    fn invalid_times_are_corrected() {
        assert_eq!(format!("{:?}", [f64::NAN, f64::INFINITY, -1.0, 1.5].map(seconds)), "[0.0, 0.0, 0.0, 1.5]");
        let backwards = Span { start: 3.0, end: 2.0, ..Span::default() };
        assert!(span(&backwards).end >= 3.0);
    }
}
