//! What of a run's time is the harness' own: the moments in which nothing else worked.

use crate::record::Record;

/// Steps of a job that the harness does by itself. All others are the engine's, git's and the scripts'.
const OWN: [&str; 4] = ["restore_cache", "download_artifacts", "archive_cache", "upload_artifacts"];

/// Seconds of a run in which neither the engine nor a cluster nor a job did anything. What the harness does beside them costs
/// nobody time.
pub fn of(record: &Record) -> f64 {
    let is_job = |lane: &str, name: &str| {
        let jobs = record.pipelines.iter().filter(|pipeline| lane == format!("pipeline {}", pipeline.id));
        jobs.flat_map(|pipeline| &pipeline.jobs).any(|job| job.name == name)
    };
    // A job's span is taken apart.
    let spans = record.spans.iter().filter(|span| !is_job(&span.lane, &span.name)).map(|span| (span.start, span.end));
    let steps = record.pipelines.iter().flat_map(|pipeline| &pipeline.jobs).flat_map(|job| &job.steps);
    let steps = steps.filter(|step| !OWN.contains(&&*step.name)).map(|step| (step.start, step.start + step.took));
    let mut busy: Vec<(f64, f64)> = spans.chain(steps).collect();
    busy.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut covered, mut until) = (0.0, 0.0_f64);
    for (start, end) in busy {
        covered += (end - start.max(until)).max(0.0);
        until = until.max(end);
    }
    // Milliseconds, as all other times.
    ((record.took - covered).max(0.0) * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Job, JobStep, Pipeline, Span};

    fn step(name: &str, start: f64, took: f64) -> JobStep {
        JobStep { name: name.to_owned(), start, took }
    }

    fn span(lane: &str, name: &str, start: f64, end: f64) -> Span {
        Span { lane: lane.to_owned(), name: name.to_owned(), start, end, ..Span::default() }
    }

    #[test]
    fn what_nothing_else_covers() {
        let steps = vec![step("get_sources", 1.0, 1.0), step("restore_cache", 2.0, 3.0), step("step_script", 5.0, 5.0)];
        let job = Job { name: "test".to_owned(), steps, ..Job::default() };
        let pipelines = vec![Pipeline { id: 7, jobs: vec![job], ..Pipeline::default() }];
        let spans = vec![span("pipeline 7", "test", 0.0, 11.0), span("checks dev", "service", 9.0, 12.0)];
        let mut record = Record { took: 14.0, pipelines, spans, ..Record::default() };
        // Before the sources, the cache, and the last two.
        assert!((of(&record) - 6.0).abs() < 0.01, "{}", of(&record));
        // A cluster that is brought up meanwhile hides all of it but the end.
        record.spans.push(span("setup", "cluster", 0.0, 8.0));
        assert!((of(&record) - 2.0).abs() < 0.01, "{}", of(&record));
    }

    #[test]
    fn all_of_a_run_without_anything() {
        assert!((of(&Record { took: 3.0, ..Record::default() }) - 3.0).abs() < 0.01);
    }
}
