//! Any bytes as the files of a project: reading them ends, with a configuration or with complaints that have a place, and so
//! does planning what is right.
#![no_main]

mod project;

use std::collections::HashSet;

use gitlab_ci::config::root::Configuration;
use gitlab_ci::lint::Lint;
use gitlab_ci::plan::Plan;
use gitlab_ci::render;
use gitlab_ci::source::Span;
use libfuzzer_sys::fuzz_target;

use project::Project;

fuzz_target!(|data: &[u8]| {
    let project = Project::of(data);
    let lint = project.lint();
    check_complaints(&lint);
    // Twice is half as fast; an order that a hash map makes shows up soon enough.
    if data.len() % 8 == 0 {
        assert_eq!(told(&lint), told(&project.lint()), "the second reading says something else");
    }
    if let Some(configuration) = lint.configuration.as_ref().filter(|_| !lint.diagnostics.has_errors()) {
        check_plans(&project, configuration, &lint);
    }
});

fn told(lint: &Lint) -> String {
    render::diagnostics::json(lint).expect("JSON has a place for every text")
}

fn check_complaints(lint: &Lint) {
    assert!(lint.configuration.is_some() || lint.diagnostics.has_errors(), "nothing was read, and nobody says why");
    for diagnostic in lint.diagnostics.sorted() {
        assert!(!diagnostic.message.is_empty(), "{diagnostic:?}");
        check_place(diagnostic.span, lint);
    }
    // Whatever it is, it can be shown.
    render::diagnostics::text(lint, Some(80), false);
}

/// A place is a part of its text.
fn check_place(span: Span, lint: &Lint) {
    let file = lint.sources.file(span.file).expect("a file that was read");
    let part = file.text.get(span.start as usize..span.end as usize);
    assert!(part.is_some(), "{span:?} is no part of {} bytes of {}", file.text.len(), file.name);
    let location = lint.sources.location(span);
    assert!(location.line > 0 && location.column > 0, "{location}");
}

fn check_plans(project: &Project, configuration: &Configuration, lint: &Lint) {
    for context in project::contexts() {
        let Ok(plan) = project.plan(configuration, &context) else { continue };
        check_plan(&plan, lint);
        render::plan::text(&plan, &lint.sources);
        render::plan::mermaid(&plan);
        let document = render::plan::json(&plan, &lint.sources).expect("JSON has a place for every text");
        let again = project.plan(configuration, &context).expect("it was planned before");
        assert_eq!(Some(document), render::plan::json(&again, &lint.sources).ok(), "the second plan is another one");
    }
}

fn check_plan(plan: &Plan, lint: &Lint) {
    let stages: HashSet<&str> = plan.stages.iter().map(|stage| &**stage).collect();
    let names: HashSet<&str> = plan.jobs.iter().map(|job| &*job.name).collect();
    for job in &plan.jobs {
        assert!(stages.contains(&*job.job.stage.value), "{} is in no stage", job.name);
        for need in job.needs.iter().flatten() {
            assert!(names.contains(&*need.name), "{} needs {}, which is not there", job.name, need.name);
        }
    }
    let reasons = plan.jobs.iter().map(|job| &job.reason).chain(plan.skipped.iter().map(|skipped| &skipped.reason));
    reasons.filter_map(|reason| reason.span).for_each(|span| check_place(span, lint));
}
