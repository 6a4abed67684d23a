//! Reads any bytes as the files of a project. Reading must terminate, with a configuration or with errors that have a
//! position, and so must planning a valid configuration.
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
    let project = Project::from_input(data);
    let lint = project.lint();
    check_diagnostics(&lint);
    // Reading twice takes twice the time. An order that depends on a hash map is found in a sample as well.
    if data.len() % 8 == 0 {
        assert_eq!(rendered(&lint), rendered(&project.lint()), "the second reading has another result");
    }
    if let Some(configuration) = lint.configuration.as_ref().filter(|_| !lint.diagnostics.has_errors()) {
        check_plans(&project, configuration, &lint);
    }
});

fn rendered(lint: &Lint) -> String {
    render::diagnostics::json(lint).expect("every text is valid in JSON")
}

fn check_diagnostics(lint: &Lint) {
    assert!(lint.configuration.is_some() || lint.diagnostics.has_errors(), "no configuration and no error");
    for diagnostic in lint.diagnostics.sorted() {
        assert!(!diagnostic.message.is_empty(), "{diagnostic:?}");
        check_place(diagnostic.span, lint);
    }
    // Every result can be rendered.
    render::diagnostics::text(lint, Some(80), false);
}

/// The position must be a part of its text.
fn check_place(span: Span, lint: &Lint) {
    let file = lint.sources.file(span.file).expect("a file that was read");
    let part = file.text.get(span.start as usize..span.end as usize);
    assert!(part.is_some(), "{span:?} is not within the {} bytes of {}", file.text.len(), file.name);
    let location = lint.sources.location(span);
    assert!(location.line > 0 && location.column > 0, "{location}");
}

fn check_plans(project: &Project, configuration: &Configuration, lint: &Lint) {
    for context in project::contexts() {
        let Ok(plan) = project.plan(configuration, &context) else { continue };
        check_plan(&plan, lint);
        render::plan::text(&plan, &lint.sources);
        render::plan::mermaid(&plan);
        let document = render::plan::json(&plan, &lint.sources).expect("every text is valid in JSON");
        let again = project.plan(configuration, &context).expect("the first plan succeeded");
        assert_eq!(Some(document), render::plan::json(&again, &lint.sources).ok(), "the second plan is different");
    }
}

fn check_plan(plan: &Plan, lint: &Lint) {
    let stages: HashSet<&str> = plan.stages.iter().map(|stage| &**stage).collect();
    let names: HashSet<&str> = plan.jobs.iter().map(|job| &*job.name).collect();
    for job in &plan.jobs {
        assert!(stages.contains(&*job.job.stage.value), "{} is in no stage", job.name);
        for need in job.needs.iter().flatten() {
            assert!(names.contains(&*need.name), "{} needs {}, which is not in the pipeline", job.name, need.name);
        }
    }
    let reasons = plan.jobs.iter().map(|job| &job.reason).chain(plan.skipped.iter().map(|skipped| &skipped.reason));
    reasons.filter_map(|reason| reason.span).for_each(|span| check_place(span, lint));
}
