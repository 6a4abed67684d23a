//! Divides the time of a run between external programs, for which the harness only waits, and the harness itself.

use crate::record::{Record, Span};

/// The steps of a job that the harness executes itself. The engine, git and the job's script execute all others.
const OWN: [&str; 4] = ["restore_cache", "download_artifacts", "archive_cache", "upload_artifacts"];

/// The shares of a run's time. `external` and `own` add up to its duration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// Seconds in which at least one external program was active.
    pub external: f64,
    /// Seconds in which no external program was active. Work of the harness in parallel with external programs does not count.
    pub own: f64,
    /// `own` in percent of `external`.
    pub percent: f64,
}

/// Computes the shares.
///
/// External time is setup and cleanup, obtaining images, and all job steps except those that the harness executes itself. Checks count
/// as external, although their code belongs to the harness: they spend almost all of their time waiting for probes, endpoints, rollouts
/// or scrapes, and only parse a few responses. The timeline shows the duration of each check.
pub fn shares(record: &Record) -> Shares {
    let spans = record.spans.iter().filter(|span| !has_steps(record, span)).map(|span| (span.start, span.end));
    let steps = record.pipelines.iter().flat_map(|pipeline| &pipeline.jobs).flat_map(|job| &job.steps);
    let steps = steps
        .filter(|step| !OWN.iter().any(|own| step.name.starts_with(own)))
        .map(|step| (step.start, step.start + step.duration));
    let mut busy: Vec<(f64, f64)> = spans.chain(steps).collect();
    busy.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut covered, mut until) = (0.0, 0.0_f64);
    for (start, end) in busy {
        let end = end.min(record.duration);
        covered += (end - start.max(until)).max(0.0);
        until = until.max(end);
    }
    let external = thousandths(covered);
    let own = thousandths((record.duration - covered).max(0.0));
    let percent = if external > 0.0 { thousandths(own / external * 100.0) } else { 0.0 };
    Shares { external, own, percent }
}

/// Whether the span is a job whose steps are known, which applies only to its last attempt.
fn has_steps(record: &Record, span: &Span) -> bool {
    let pipelines = record.pipelines.iter().filter(|pipeline| span.lane == format!("pipeline {}", pipeline.id));
    let mut steps = pipelines.flat_map(|it| &it.jobs).filter(|job| job.name == span.name).flat_map(|job| &job.steps);
    steps.any(|step| (span.start..=span.end).contains(&step.start))
}

/// Rounds to milliseconds, so that all times have the same precision.
fn thousandths(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Job, JobStep, Pipeline};

    fn step(name: &str, start: f64, duration: f64) -> JobStep {
        JobStep { name: name.to_owned(), start, duration }
    }

    fn span(lane: &str, name: &str, start: f64, end: f64) -> Span {
        Span { lane: lane.to_owned(), name: name.to_owned(), start, end, ..Span::default() }
    }

    fn is(record: &Record, external: f64, own: f64, percent: f64) {
        let shares = super::shares(record);
        let differences = [shares.external - external, shares.own - own, shares.percent - percent];
        assert!(differences.iter().all(|it| it.abs() < 0.01), "{shares:?}");
        assert!((shares.external + shares.own - record.duration).abs() < 0.01, "{shares:?} of {}", record.duration);
    }

    #[test]
    fn own_time_is_the_time_without_external_activity() {
        let steps = vec![step("get_sources", 1.0, 1.0), step("restore_cache", 2.0, 3.0), step("step_script", 5.0, 5.0)];
        let job = Job { name: "test".to_owned(), steps, ..Job::default() };
        let pipelines = vec![Pipeline { id: 7, jobs: vec![job], ..Pipeline::default() }];
        let spans = vec![span("pipeline 7", "test", 0.0, 11.0), span("checks dev", "service", 9.0, 12.0)];
        let mut record = Record { duration: 14.0, pipelines, spans, ..Record::default() };
        // Own time: before the sources, the cache, and the last two seconds.
        is(&record, 8.0, 6.0, 75.0);
        // The creation of a cluster at the same time covers all own time except the end.
        record.spans.push(span("setup", "cluster", 0.0, 8.0));
        is(&record, 12.0, 2.0, 16.67);
    }

    #[test]
    fn only_the_last_attempt_is_divided_into_steps() {
        let job = Job { name: "test".to_owned(), steps: vec![step("step_script", 6.0, 2.0)], ..Job::default() };
        let pipelines = vec![Pipeline { id: 7, jobs: vec![job], ..Pipeline::default() }];
        let spans = vec![span("pipeline 7", "test", 0.0, 4.0), span("pipeline 7", "test", 5.0, 9.0)];
        is(&Record { duration: 10.0, pipelines, spans, ..Record::default() }, 6.0, 4.0, 66.67);
    }

    #[test]
    fn a_run_without_activities_is_own_time() {
        is(&Record { duration: 3.0, ..Record::default() }, 0.0, 3.0, 0.0);
    }
}
