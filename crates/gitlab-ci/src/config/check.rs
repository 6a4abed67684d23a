//! Checks between jobs. `lib/gitlab/ci/yaml_processor.rb`, `lib/gitlab/ci/yaml_processor/dag.rb`
//!
//! Whether a needed job is in the pipeline of a certain ref is checked when the pipeline is planned.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::cycles;
use super::environment::Action;
use super::job::Job;
use super::limits::MAX_JOB_NAME;
use super::names;
use super::needs::{self, Need};
use super::parallel::{self, Matrix, Parallel, instance_name};
use super::reader::Text;
use super::root::Configuration;
use crate::diagnostic;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::gitlab_version::GitlabVersion;
use crate::source::Span;

/// Checks every job against the others.
pub fn check(configuration: &Configuration, diagnostics: &mut Diagnostics) {
    let stage_index: HashMap<&str, usize> =
        configuration.stages.iter().enumerate().map(|(index, stage)| (&**stage, index)).collect();
    let all_stages = diagnostic::shortened(&configuration.stages.join(", "));
    let has_parallel = configuration.jobs.values().any(|job| job.parallel.is_some());
    for job in configuration.jobs.values().filter(|job| !job.has_no_instance()) {
        check_stage(job, configuration, &stage_index, &all_stages, diagnostics);
        check_matrix_names(job, has_parallel, diagnostics);
        check_needs(job, configuration, &stage_index, diagnostics);
        check_dependencies(job, configuration, &stage_index, diagnostics);
        check_on_stop(job, configuration, diagnostics);
    }
    cycles::check(configuration, diagnostics);
}

fn check_stage(
    job: &Job,
    configuration: &Configuration,
    stage_index: &HashMap<&str, usize>,
    all_stages: &str,
    diagnostics: &mut Diagnostics,
) {
    if !stage_index.contains_key(&*job.stage.value) {
        let (name, stage) = (&job.name, &job.stage.value);
        let message = format!("{name} job: chosen stage {stage} does not exist; available stages are {all_stages}");
        let error = diagnostics.error(job.stage.span, message);
        error.nearest(stage, configuration.stages.iter().map(|stage| &**stage));
    }
}

fn check_needs(
    job: &Job,
    configuration: &Configuration,
    stage_index: &HashMap<&str, usize>,
    diagnostics: &mut Diagnostics,
) {
    if let Some(list) = &job.needs {
        check_own_needs(job, list, configuration, stage_index, diagnostics);
    }
    for list in job.rules.iter().flatten().filter_map(|rule| rule.needs.as_ref()) {
        check_needs_of_rule(job, list, configuration, stage_index, diagnostics);
    }
}

/// GitLab reads names in `$[[ matrix.NAME ]]` only if some job is parallel. `lib/gitlab/ci/config/normalizer.rb`
fn check_matrix_names(job: &Job, has_parallel: bool, diagnostics: &mut Diagnostics) {
    for need in job.needs.iter().flatten().filter(|_| has_parallel).take(needs::MAX_NEEDS) {
        if names_matrix(need).next().is_some() {
            // https://docs.gitlab.com/ci/yaml/matrix_expressions/
            diagnostics.since(GitlabVersion::new(18, 6), need.job.span, "$[[ matrix ]]");
        }
        if let Some(unknown) = unknown_matrix_name(job, need) {
            let message = format!("{} job: '{unknown}' does not exist in matrix configuration", job.name);
            diagnostics.error(need.job.span, message);
        }
    }
}

fn check_own_needs(
    job: &Job,
    list: &[Need],
    configuration: &Configuration,
    stage_index: &HashMap<&str, usize>,
    diagnostics: &mut Diagnostics,
) {
    let is_few = check_count_of_needs(job, list, configuration, diagnostics);
    let names = list.iter().flat_map(|need| {
        let names = match &need.matrix {
            _ if is_few => needed_instances(need, configuration),
            // Too many needs would have too many instances.
            Some(_) => Vec::new(),
            None => vec![Arc::clone(&need.job.value)],
        };
        names.into_iter().map(|name| (name, need.job.span))
    });
    report_duplicates(job, names, diagnostics);
    if !is_few {
        return;
    }
    for need in list {
        // Such a name has been reported.
        if unknown_matrix_name(job, need).is_some() && diagnostics.has_error_in(need.job.span) {
            continue;
        }
        for name in names::needed_names(job, need) {
            check_need(job, need, &name, configuration, stage_index, diagnostics);
        }
    }
}

/// GitLab does not replace parallel jobs in the needs of rules by their instances, nor the values of matrices. `normalize_job` of
/// `lib/gitlab/ci/config/normalizer.rb`
fn check_needs_of_rule(
    job: &Job,
    list: &[Need],
    configuration: &Configuration,
    stage_index: &HashMap<&str, usize>,
    diagnostics: &mut Diagnostics,
) {
    report_duplicates(job, list.iter().map(|need| (Arc::clone(&need.job.value), need.job.span)), diagnostics);
    for need in list {
        let other = &need.job.value;
        let parallel = configuration.jobs.get(other).filter(|needed| needed.parallel.is_some());
        match names::find_instance(configuration, other) {
            Some(needed) => {
                check_length_of_need(job, need, needed, other, diagnostics);
                check_stage_of_need(job, need, other, needed, stage_index, diagnostics);
            }
            None if need.optional => {}
            None => {
                let error = report_undefined_need(job, need, other, configuration, diagnostics);
                if let Some(first) = parallel.and_then(|needed| names::instance_names(needed).into_iter().next()) {
                    error.help(format!("a rule cannot need all instances of a parallel job; list them: `{first}`"));
                }
            }
        }
    }
}

/// Reports the names that are needed more than once, at the second place of the first one. GitLab's sentence has all of them:
/// `validate_needs_specification!` of `lib/gitlab/ci/yaml_processor.rb`
fn report_duplicates(job: &Job, needed: impl Iterator<Item = (Arc<str>, Span)>, diagnostics: &mut Diagnostics) {
    let mut places: IndexMap<Arc<str>, Vec<Span>> = IndexMap::new();
    for (name, span) in needed {
        places.entry(name).or_default().push(span);
    }
    places.retain(|_, spans| spans.len() > 1);
    let names = diagnostic::joined(places.keys().map(|name| &**name));
    if let Some(second) = places.values().find_map(|spans| spans.get(1)) {
        diagnostics.error(*second, format!("{} has the following needs duplicated: {names}.", job.name));
    }
}

fn report_undefined_need<'diagnostics>(
    job: &Job,
    need: &Need,
    other: &str,
    configuration: &Configuration,
    diagnostics: &'diagnostics mut Diagnostics,
) -> &'diagnostics mut Diagnostic {
    let error = diagnostics.error(need.job.span, format!("{} job: undefined need: {other}", job.name));
    match configuration.jobs.get(other) {
        Some(job) if job.has_no_instance() => {
            error.help(format!("the matrix of {other} has no combination of values"));
        }
        _ => error.nearest(other, configuration.jobs.keys().map(|name| &**name)),
    }
    error
}

fn check_stage_of_need(
    job: &Job,
    need: &Need,
    other: &str,
    needed: &Job,
    stage_index: &HashMap<&str, usize>,
    diagnostics: &mut Diagnostics,
) {
    if is_later(needed, job, stage_index) {
        let message = format!("{} job: need {other} is not defined in current or prior stages", job.name);
        let error = diagnostics.error(need.job.span, message);
        error.help(format!("{other} is in stage {}, {} in {}", needed.stage.value, job.name, job.stage.value));
    }
}

/// Checks a need. `other` is its name, for some instances of `job` if it differs between them.
fn check_need(
    job: &Job,
    need: &Need,
    other: &Arc<str>,
    configuration: &Configuration,
    stage_index: &HashMap<&str, usize>,
    diagnostics: &mut Diagnostics,
) {
    match names::find(configuration, other) {
        None if need.optional => {}
        None => {
            report_undefined_need(job, need, other, configuration, diagnostics);
        }
        Some(needed) if needed.has_no_instance() && need.matrix.is_none() => {}
        Some(needed) if is_later(needed, job, stage_index) => {
            check_stage_of_need(job, need, other, needed, stage_index, diagnostics);
        }
        Some(needed) => {
            check_length_of_need(job, need, needed, other, diagnostics);
            check_instances(job, (need, other), needed, diagnostics);
        }
    }
}

/// The name of a job is limited, but not that of its instances. `validate_job_dependency!` of `lib/gitlab/ci/yaml_processor.rb`
fn check_length_of_need(job: &Job, need: &Need, needed: &Job, other: &str, diagnostics: &mut Diagnostics) {
    if needed.parallel.is_none() {
        return;
    }
    let is_too_long = |name: &str| name.chars().count() > MAX_JOB_NAME;
    let names = match &need.matrix {
        _ if *needed.name != *other => vec![other.into()],
        Some(matrix) => names::selected_instances(job, (need, &needed.name), matrix),
        None => names::instance_names(needed).iter().map(ToString::to_string).collect(),
    };
    if let Some(name) = names.iter().find(|name| is_too_long(name) && !is_too_long(&needed.name)) {
        let message =
            format!("{} job: need `{name}` name is too long (maximum is {MAX_JOB_NAME} characters)", job.name);
        diagnostics
            .error(need.job.span, message)
            .help("shorten the name of the needed job, or the values of its matrix");
    }
}

/// The names of the instances that a need selects. Two needs may select the same one, as a part of its job and by its own name.
fn needed_instances(need: &Need, configuration: &Configuration) -> Vec<Arc<str>> {
    let with_values = |needed: &Job, matrix: &Matrix| -> Vec<Arc<str>> {
        matrix.iter().map(|values| instance_name(&needed.name, values).into()).collect()
    };
    match (configuration.jobs.get(&need.job.value), &need.matrix) {
        (Some(needed), Some(matrix)) if needed.parallel.is_some() => with_values(needed, matrix),
        // Combinations with the same name count separately.
        (Some(needed @ Job { parallel: Some(Parallel::Matrix(matrix)), .. }), None) => with_values(needed, matrix),
        (Some(needed), None) => names::instance_names(needed).into_iter().collect(),
        _ => vec![Arc::clone(&need.job.value)],
    }
}

/// The names in `$[[ matrix.NAME ]]` of a need.
fn names_matrix(need: &Need) -> impl Iterator<Item = &str> {
    let values = need.matrix.iter().flatten().flatten().map(|(_, value)| &**value);
    [&*need.job.value].into_iter().chain(values).flat_map(parallel::matrix_names)
}

/// The first name in `$[[ matrix.NAME ]]` of a need that the matrix of the job does not have.
/// `lib/gitlab/ci/config/interpolation/matrix_interpolator.rb`
fn unknown_matrix_name<'need>(job: &Job, need: &'need Need) -> Option<&'need str> {
    let no_values = [Vec::new()];
    let own = match &job.parallel {
        Some(Parallel::Matrix(matrix)) => matrix.as_slice(),
        _ => &no_values,
    };
    names_matrix(need).find(|name| !own.iter().all(|values| values.iter().any(|(key, _)| &**key == *name)))
}

/// The names that `needs:parallel` produces must be names of instances. `lib/gitlab/ci/config/normalizer.rb`
fn check_instances(job: &Job, (need, other): (&Need, &Arc<str>), needed: &Job, diagnostics: &mut Diagnostics) {
    let Some(matrix) = need.matrix.as_ref().filter(|_| needed.parallel.is_some() && !need.optional) else { return };
    let wanted = names::selected_instances(job, (need, other), matrix);
    for name in wanted.iter().filter(|name| !names::has_instance(needed, name)) {
        let error = diagnostics.error(need.job.span, format!("{} job: undefined need: {name}", job.name));
        if let Some(Parallel::Matrix(_)) = &needed.parallel {
            error.nearest(name, names::instance_names(needed).iter().map(|name| &**name));
        }
    }
}

/// Every instance of a needed job counts. Returns whether the number is within the limit.
/// `lib/gitlab/ci/pipeline/seed/build.rb`
fn check_count_of_needs(
    job: &Job,
    list: &[Need],
    configuration: &Configuration,
    diagnostics: &mut Diagnostics,
) -> bool {
    let instances = |need: &Need| match (&need.matrix, configuration.jobs.get(&need.job.value)) {
        (Some(matrix), _) => matrix.len(),
        (None, Some(needed)) => needed.parallel.as_ref().map_or(1, Parallel::count),
        (None, None) => 1,
    };
    let count: usize = list.iter().map(instances).sum();
    if let Some(first) = list.first().filter(|_| count > needs::MAX_NEEDS) {
        let message = format!(
            "{}: one job can only need {} others, but you have listed {count}. See needs keyword documentation for more \
             details",
            job.name,
            needs::MAX_NEEDS
        );
        diagnostics.error(first.job.span, message);
    }
    count <= needs::MAX_NEEDS
}

fn check_dependencies(
    job: &Job,
    configuration: &Configuration,
    stage_index: &HashMap<&str, usize>,
    diagnostics: &mut Diagnostics,
) {
    // `validate_dynamic_child_pipeline_dependencies!` of `lib/gitlab/ci/yaml_processor.rb`
    for producer in &job.configuration_jobs {
        match names::find_instance(configuration, &producer.value) {
            None => {
                let message = format!("{} job: undefined dependency: {}", job.name, producer.value);
                let error = diagnostics.error(producer.span, message);
                error.nearest(&producer.value, configuration.jobs.keys().map(|name| &**name));
            }
            Some(needed) if is_later(needed, job, stage_index) => {
                report_later_dependency(job, producer, diagnostics);
            }
            Some(_) => {}
        }
    }
    // `validate on: :composed` of `entry/job.rb`, before jobs are looked up.
    let needs = job.needs.as_deref().filter(|needs| !needs.is_empty());
    let is_needed = |name: &str| needs.is_none_or(|needs| needs.iter().any(|need| &*need.job.value == name));
    let not_needed: Vec<&Text> = job.dependencies.iter().flatten().filter(|it| !is_needed(&it.value)).collect();
    let names = diagnostic::joined(not_needed.iter().map(|dependency| &*dependency.value));
    for dependency in &not_needed {
        let message = format!("jobs:{} dependencies the {names} should be part of needs", job.name);
        diagnostics.error(dependency.span, message.to_lowercase());
    }
    for dependency in job.dependencies.iter().flatten().filter(|it| is_needed(&it.value)) {
        let other = &dependency.value;
        match names::find(configuration, other) {
            None => {
                let message = format!("{} job: undefined dependency: {other}", job.name);
                let error = diagnostics.error(dependency.span, message);
                error.nearest(other, configuration.jobs.keys().map(|name| &**name));
            }
            Some(needed) if needed.has_no_instance() => {}
            Some(needed) if is_later(needed, job, stage_index) => {
                report_later_dependency(job, dependency, diagnostics);
            }
            Some(_) => {}
        }
    }
}

fn report_later_dependency(job: &Job, dependency: &Text, diagnostics: &mut Diagnostics) {
    let message =
        format!("{} job: dependency {} is not defined in current or prior stages", job.name, dependency.value);
    diagnostics.error(dependency.span, message);
}

fn is_later(needed: &Job, job: &Job, stage_index: &HashMap<&str, usize>) -> bool {
    let index = |job: &Job| stage_index.get(&*job.stage.value);
    index(needed).zip(index(job)).is_some_and(|(needed, own)| needed > own)
}

fn check_on_stop(job: &Job, configuration: &Configuration, diagnostics: &mut Diagnostics) {
    let Some(environment) = &job.environment else { return };
    let Some(on_stop) = &environment.on_stop else { return };
    let complaint = match names::find_instance(configuration, &on_stop.value) {
        None => "is not defined",
        Some(stop) => match &stop.environment {
            None => "does not have environment defined",
            Some(other) if other.name.as_ref().map(|it| &it.value) != environment.name.as_ref().map(|it| &it.value) => {
                "have different environment name"
            }
            Some(other) if other.action != Action::Stop => "needs to have action stop defined",
            Some(_) => return,
        },
    };
    let error = diagnostics.error(on_stop.span, format!("{} job: on_stop job {} {complaint}", job.name, on_stop.value));
    match configuration.jobs.get(&on_stop.value) {
        None => error.nearest(&on_stop.value, configuration.jobs.keys().map(|name| &**name)),
        Some(stop) if stop.parallel.is_some() => {
            if let Some(first) = names::instance_names(stop).into_iter().next() {
                error.help(format!("the job is parallel; name one of its instances: `{first}`"));
            }
        }
        Some(_) => {}
    }
}
