//! The names of jobs and of their instances after `parallel` is applied. `lib/gitlab/ci/config/normalizer.rb`

use std::sync::Arc;

use indexmap::IndexSet;

use super::job::Job;
use super::limits::MAX_JOB_NAME;
use super::needs::Need;
use super::parallel::{Matrix, Parallel, instance_name, numbered_name, own_value, with_own_values};
use super::root::Configuration;

/// Returns the job of this name, or the job that has an instance of this name.
pub fn find<'configuration>(configuration: &'configuration Configuration, name: &str) -> Option<&'configuration Job> {
    configuration.jobs.get(name).or_else(|| find_parallel(configuration, name))
}

/// Returns the job that is in the pipeline by this name: a job that is not parallel, or the one with an instance of this name. GitLab
/// looks up some names only after it has replaced parallel jobs by their instances. `normalized_jobs` of
/// `lib/gitlab/ci/yaml_processor.rb`
pub fn find_instance<'configuration>(
    configuration: &'configuration Configuration,
    name: &str,
) -> Option<&'configuration Job> {
    let job = configuration.jobs.get(name).filter(|job| job.parallel.is_none());
    job.or_else(|| find_parallel(configuration, name))
}

fn find_parallel<'configuration>(
    configuration: &'configuration Configuration,
    name: &str,
) -> Option<&'configuration Job> {
    let numbered = name.rsplit_once(' ').map(|(job, _)| job);
    // Names of jobs and values of matrices may also contain `: [`.
    let with_values = name.match_indices(": [").take_while(|(at, _)| *at <= MAX_JOB_NAME);
    let with_values = with_values.filter_map(|(at, _)| name.get(..at));
    let jobs = numbered.into_iter().chain(with_values).filter_map(|job| configuration.jobs.get(job));
    jobs.into_iter().find(|job| has_instance(job, name))
}

/// Returns the names of the job's instances. A job that is not parallel is its own single instance.
pub fn instance_names(job: &Job) -> IndexSet<Arc<str>> {
    match &job.parallel {
        None => [Arc::clone(&job.name)].into(),
        Some(Parallel::Count(count)) => {
            (1..=*count).map(|number| numbered_name(&job.name, number, *count).into()).collect()
        }
        // Several combinations can have the same name.
        Some(Parallel::Matrix(matrix)) => matrix.iter().map(|values| instance_name(&job.name, values).into()).collect(),
    }
}

/// Whether an instance of the job has this name.
pub fn has_instance(job: &Job, name: &str) -> bool {
    match &job.parallel {
        None => false,
        Some(Parallel::Count(count)) => {
            let number = name.rsplit_once(' ').and_then(|(_, number)| number.split_once('/')?.0.parse::<usize>().ok());
            number.is_some_and(|number| {
                (1..=*count).contains(&number) && name == numbered_name(&job.name, number, *count)
            })
        }
        Some(Parallel::Matrix(matrix)) => {
            // Comparing the lengths first rules out most names.
            let length = |values: &[(Arc<str>, Arc<str>)]| {
                let texts: usize = values.iter().map(|(_, value)| value.len()).sum();
                job.name.len() + ": []".len() + texts + ", ".len() * values.len().saturating_sub(1)
            };
            matrix.iter().any(|values| length(values) == name.len() && instance_name(&job.name, values) == name)
        }
    }
}

/// Returns the names of the instances that a need with a matrix selects. If the need refers to the values of `job`, it
/// selects other ones for each instance of `job`. `other` is one of the names that the need then has: only the instances of `job` for
/// which the need has this name are considered.
pub fn selected_instances(job: &Job, (need, other): (&Need, &Arc<str>), matrix: &Matrix) -> Vec<String> {
    let no_values = [Vec::new()];
    let owns: &[_] = match &job.parallel {
        Some(Parallel::Matrix(owns))
            if need.job.value.contains("$[[") || matrix.iter().flatten().any(|(_, value)| value.contains("$[[")) =>
        {
            owns
        }
        _ => &no_values,
    };
    let mut names = Vec::new();
    for own in owns.iter().filter(|own| own_value(&need.job.value, own) == *other) {
        for values in matrix {
            names.push(instance_name(other, &with_own_values(values, own)));
        }
    }
    names
}

/// Returns the names that a need has for the instances of `job`: different ones, if it refers to their values.
pub fn needed_names(job: &Job, need: &Need) -> Vec<Arc<str>> {
    match &job.parallel {
        Some(Parallel::Matrix(owns)) if need.job.value.contains("$[[") => {
            let names: IndexSet<Arc<str>> = owns.iter().map(|own| own_value(&need.job.value, own)).collect();
            names.into_iter().collect()
        }
        _ => vec![Arc::clone(&need.job.value)],
    }
}
