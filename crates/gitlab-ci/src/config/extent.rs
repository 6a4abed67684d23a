//! How large a plan may become: every instance of a job has all of its variables for itself.

use super::job::Job;
use super::parallel::Parallel;
use super::root::Configuration;
use super::variables::YamlVariable;
use crate::diagnostic::Diagnostics;

/// What the variables of all instances may take, in bytes: 34,000 instances without any of their own.
const LARGEST: usize = 256 << 20;

/// What an instance takes with GitLab's own variables, and what any other variable does beside its text. Measured.
const INSTANCE: usize = 7500;
const VARIABLE: usize = 300;

/// Tells when there are more, or larger ones, and whether there are not. GitLab has no such limit in a file, but one for the jobs of a project.
pub fn check(configuration: &Configuration, diagnostics: &mut Diagnostics) -> bool {
    let rules = configuration.workflow.rules.iter().flatten();
    let everywhere = of_list(&configuration.variables) + rules.map(|rule| of_list(&rule.variables)).sum::<usize>();
    let mut size = 0_usize;
    for job in configuration.jobs.values() {
        size = size.saturating_add(of_job(job, everywhere));
        if size > LARGEST {
            let error = diagnostics.error(job.span, "The pipeline has too many jobs, or too many variables in them");
            error.help("with this one, all instances and their variables are more than this program takes");
            return false;
        }
    }
    true
}

fn of_job(job: &Job, everywhere: usize) -> usize {
    let instances = job.parallel.as_ref().map_or(1, Parallel::count);
    let of_matrix = match &job.parallel {
        Some(Parallel::Matrix(matrix)) => {
            matrix.iter().flatten().map(|(key, value)| VARIABLE + key.len() + value.len()).sum()
        }
        _ => 0,
    };
    let of_rules: usize = job.rules.iter().flatten().map(|rule| of_list(&rule.variables)).sum();
    let each = INSTANCE + everywhere + of_list(&job.variables) + of_rules;
    instances.saturating_mul(each).saturating_add(of_matrix)
}

fn of_list(variables: &[YamlVariable]) -> usize {
    variables.iter().map(|variable| VARIABLE + variable.key.len() + variable.value.len()).sum()
}
