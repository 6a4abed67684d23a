//! Limits the size of a plan: every instance of a job has its own copy of all its variables.

use super::job::Job;
use super::parallel::Parallel;
use super::root::Configuration;
use super::variables::YamlVariable;
use crate::diagnostic::Diagnostics;

/// The maximum size of the variables of all instances, in bytes: enough for about 35,000 instances in a file without variables.
const MAX_SIZE: usize = 256 << 20;

/// Measured sizes in bytes: an instance with GitLab's own variables, and any other variable without its key and value.
const INSTANCE_SIZE: usize = 7500;
const VARIABLE_SIZE: usize = 300;

/// Returns whether the configuration is within the limit, and reports an error if it is not. GitLab has no such limit for
/// a file, but limits the number of jobs of a project.
pub fn check(configuration: &Configuration, diagnostics: &mut Diagnostics) -> bool {
    let rules = configuration.workflow.rules.iter().flatten();
    let everywhere = size_of_variables(&configuration.variables)
        + rules.map(|rule| size_of_variables(&rule.variables)).sum::<usize>();
    let mut size = 0_usize;
    for job in configuration.jobs.values() {
        size = size.saturating_add(size_of_job(job, everywhere));
        if size > MAX_SIZE {
            let error = diagnostics.error(job.span, "The pipeline has too many jobs or variables");
            error.help("with this job, all instances and their variables exceed the memory limit of this program");
            return false;
        }
    }
    true
}

fn size_of_job(job: &Job, everywhere: usize) -> usize {
    let instances = job.parallel.as_ref().map_or(1, Parallel::count);
    let matrix = match &job.parallel {
        Some(Parallel::Matrix(matrix)) => {
            matrix.iter().flatten().map(|(key, value)| VARIABLE_SIZE + key.len() + value.len()).sum()
        }
        _ => 0,
    };
    let rule_variables: usize = job.rules.iter().flatten().map(|rule| size_of_variables(&rule.variables)).sum();
    let each = INSTANCE_SIZE + everywhere + size_of_variables(&job.variables) + rule_variables;
    instances.saturating_mul(each).saturating_add(matrix)
}

fn size_of_variables(variables: &[YamlVariable]) -> usize {
    variables.iter().map(|variable| VARIABLE_SIZE + variable.key.len() + variable.value.len()).sum()
}
