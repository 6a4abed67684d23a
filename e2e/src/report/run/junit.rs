//! The `JUnit` report for GitLab and other CI systems: a suite per pipeline and per environment, and one for the scenario's steps.
//!
//! GitLab identifies test cases by class and name only, and keeps only one of several with the same class and name.

use std::collections::HashMap;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::clean::cleaned;
use super::words::{Kind, about_check, about_job, by_environment, job_word};
use crate::record::{Check, Job, Record, Step, Verdict};
use crate::report::checks::describe_in_full;

/// The record as `JUnit` XML.
///
/// # Errors
/// If it cannot be serialized as XML, which would be a bug in this module.
pub fn xml(record: &Record) -> Result<String, SerializeError> {
    let record = &cleaned(record);
    let mut report = Report::new("e2e");
    report.timestamp = record.began_at.parse().ok();
    report.set_time(seconds(record.duration));
    let mut names = Names::default();
    for pipeline in &record.pipelines {
        let mut suite = TestSuite::new(format!("pipeline {}: {}", pipeline.id, pipeline.title));
        suite.set_time(seconds(pipeline.duration));
        for job in &pipeline.jobs {
            suite.add_test_case(names.case(&pipeline.title, &job.name, job.duration, job_status(job)));
        }
        report.add_test_suite(suite);
    }
    for (environment, checks) in by_environment(&record.checks) {
        let mut suite = TestSuite::new(format!("checks of {environment}"));
        suite.set_time(seconds(checks.iter().map(|check| check.duration).sum()));
        for check in checks {
            let mut case = names.case(environment, &check.name, check.duration, check_status(check));
            if !check.evidence.is_empty() {
                case.set_system_out(check.evidence.join("\n"));
            }
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    let is_green = report.failures + report.errors == 0;
    report.add_test_suite(scenario(record, &mut names, is_green));
    report.to_string()
}

/// The suite of the steps. Its last case reports whether the run completed. Without this case, the report of a run that was interrupted,
/// or that ended before any other case could fail, would pass. A run that failed has no such case if another case has failed. `is_green`
/// is true if no case of the other suites has failed.
fn scenario(record: &Record, names: &mut Names, is_green: bool) -> TestSuite {
    let mut suite = TestSuite::new("scenario");
    suite.set_time(seconds(record.duration));
    for step in &record.steps {
        suite.add_test_case(names.case("scenario", &step.name, step.duration, step_status(record, step)));
    }
    let is_green = is_green && suite.failures + suite.errors == 0;
    let end = match (record.verdict, &record.broken) {
        (Verdict::Passed, _) => Some(TestCaseStatus::success()),
        (Verdict::Interrupted, _) => Some(error("run", "the run was interrupted")),
        (_, reason) if is_green => Some(error("run", reason.as_deref().unwrap_or("nothing was run"))),
        // The failed cases are reported themselves.
        _ => None,
    };
    if let Some(status) = end {
        suite.add_test_case(names.case("scenario", "the run completes", record.duration, status));
    }
    suite
}

fn step_status(record: &Record, step: &Step) -> TestCaseStatus {
    match step.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::NotRun => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(&step.outcome);
            status
        }
        Verdict::Interrupted => error("step", "interrupted"),
        // The scenario could not continue.
        Verdict::Failed if record.broken.as_ref() == Some(&step.outcome) => error("step", &step.outcome),
        Verdict::Failed => non_success(NonSuccessKind::Failure, "step", &step.outcome),
    }
}

fn error(kind: &str, reason: &str) -> TestCaseStatus {
    non_success(NonSuccessKind::Error, kind, reason)
}

fn non_success(kind: NonSuccessKind, what: &str, reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(reason.lines().next().unwrap_or_default()).set_type(what).set_description(reason);
    status
}

/// The names that are already used.
#[derive(Default)]
struct Names(HashMap<(String, String), usize>);

impl Names {
    fn case(&mut self, class: &str, name: &str, duration: f64, status: TestCaseStatus) -> TestCase {
        let times = self.0.entry((class.to_owned(), name.to_owned())).or_default();
        *times += 1;
        let name = if *times > 1 { format!("{name} ({times})") } else { name.to_owned() };
        let mut case = TestCase::new(name, status);
        case.set_classname(class).set_time(seconds(duration));
        case
    }
}

fn job_status(job: &Job) -> TestCaseStatus {
    let about = about_job(job);
    match Kind::from_job(job) {
        Kind::Passed => TestCaseStatus::success(),
        Kind::Failed | Kind::Interrupted if job.attempts > 0 => {
            let message = if about.is_empty() { job_word(job) } else { &about };
            let log = job.log.as_ref().map(|log| format!("full log: {log}\n")).unwrap_or_default();
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(message).set_type("job").set_description(format!("{log}{}", job.last_lines.join("\n")));
            status
        }
        _ => {
            let mut status = TestCaseStatus::skipped();
            let word = job_word(job);
            let message = if about.is_empty() { word.to_owned() } else { format!("{word}: {about}") };
            status.set_message(message);
            status
        }
    }
}

fn check_status(check: &Check) -> TestCaseStatus {
    let about = about_check(check);
    match Kind::from(check.verdict) {
        Kind::Passed => TestCaseStatus::success(),
        Kind::NotRun => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(about);
            status
        }
        Kind::Interrupted => error("check", "interrupted"),
        kind => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(if check.failure.is_some() { &about } else { kind.word() }).set_type("check");
            if let Some(failure) = &check.failure {
                status.set_description(describe_in_full(check, failure));
            }
            status
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::Event;

    use super::*;
    use crate::report::run::fixture;

    #[test]
    fn everything_passes() {
        insta::assert_snapshot!(xml(&fixture::passed()).unwrap());
    }

    #[test]
    fn something_failed() {
        insta::assert_snapshot!(xml(&fixture::failed()).unwrap());
    }

    #[test]
    fn the_run_was_interrupted() {
        insta::assert_snapshot!(xml(&fixture::interrupted()).unwrap());
    }

    #[test]
    fn an_error_before_the_first_step() {
        let broken =
            Record { broken: Some("no kind\nat all".to_owned()), verdict: Verdict::Failed, ..Record::default() };
        let xml = xml(&broken).unwrap();
        assert!(xml.contains("errors=\"1\"") && xml.contains("message=\"no kind\""), "{xml}");
    }

    /// The step with the error reports the reason, and later steps are skipped.
    #[test]
    fn an_error_in_a_step() {
        let step = |name: &str, verdict, outcome: &str| Step {
            name: name.to_owned(),
            verdict,
            outcome: outcome.to_owned(),
            ..Step::default()
        };
        let steps = vec![
            step("cluster", Verdict::Failed, "no engine"),
            step("a push", Verdict::NotRun, "an earlier step did not complete"),
        ];
        let broken = Some("no engine".to_owned());
        let xml = xml(&Record { steps, broken, verdict: Verdict::Failed, ..Record::default() }).unwrap();
        assert!(xml.contains("failures=\"0\" errors=\"1\"") && xml.matches("<skipped").count() == 1, "{xml}");
    }

    /// Only the report of a run that passed has no failed case.
    #[test]
    fn a_run_that_did_not_pass_is_not_green() {
        for verdict in [Verdict::Failed, Verdict::NotRun, Verdict::Interrupted] {
            let record = Record { verdict, broken: None, ..fixture::passed() };
            assert!(xml(&record).unwrap().contains("errors=\"1\""), "{verdict:?}");
        }
    }

    #[test]
    fn cases_are_unique_and_the_document_is_well_formed() {
        let xml = xml(&fixture::failed()).unwrap();
        let allowed = |it: char| matches!(it, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        assert!(xml.chars().all(allowed), "{xml:?}");
        let mut reader = Reader::from_str(&xml);
        let mut cases = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Start(tag) | Event::Empty(tag) if tag.name().as_ref() == "testcase" => {
                    let all: Vec<_> = tag.attributes().map(Result::unwrap).collect();
                    let value = |key: &str| all.iter().find(|it| it.key.as_ref() == key).map(|it| it.value.to_string());
                    assert!(value("time").is_some());
                    cases.push((value("classname").unwrap(), value("name").unwrap()));
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let all = cases.len();
        cases.sort();
        cases.dedup();
        assert_eq!((cases.len(), all > 10), (all, true));
    }
}
