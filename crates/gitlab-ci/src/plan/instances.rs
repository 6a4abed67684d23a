//! The instances of parallel jobs, and which of them other jobs need. `lib/gitlab/ci/config/normalizer.rb`

use std::collections::HashMap;
use std::sync::Arc;

use super::PlannedNeed;
use crate::config::job::Job;
use crate::config::needs::Need;
use crate::config::parallel::{Parallel, instance_name, numbered_name, own_value, with_own_values};
use crate::config::reader::Text;

/// An instance of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The name in the pipeline.
    pub name: Arc<str>,
    /// The variables of its combination in the matrix.
    pub variables: Vec<(Arc<str>, Arc<str>)>,
    /// The number of the instance, from 1, and the number of instances. `None` for a job that is not parallel.
    pub node: Option<(usize, usize)>,
}

/// Returns the instances of a job. A job that is not parallel is its own single instance.
pub fn expand(job: &Job) -> Vec<Instance> {
    match &job.parallel {
        None => vec![Instance { name: Arc::clone(&job.name), variables: Vec::new(), node: None }],
        Some(Parallel::Count(count)) => (1..=*count)
            .map(|number| Instance {
                name: numbered_name(&job.name, number, *count).into(),
                variables: Vec::new(),
                node: Some((number, *count)),
            })
            .collect(),
        Some(Parallel::Matrix(matrix)) => {
            let mut instances: Vec<Instance> = Vec::new();
            for (index, values) in matrix.iter().enumerate() {
                let name: Arc<str> = instance_name(&job.name, values).into();
                let instance = Instance {
                    name: Arc::clone(&name),
                    variables: values.clone(),
                    node: Some((index + 1, matrix.len())),
                };
                // The name consists of the values only. Of several instances with the same name, the last one counts.
                match instances.iter_mut().find(|other| other.name == name) {
                    Some(other) => *other = instance,
                    None => instances.push(instance),
                }
            }
            instances
        }
    }
}

/// The names of the instances in a pipeline, by the name of their job and by their own name.
pub type Instances = HashMap<Arc<str>, Vec<Arc<str>>>;

/// Resolves the needs of a rule. GitLab looks for jobs with exactly these names, so the name of a parallel job finds none of its instances.
/// A needed job that is not in the pipeline is left out, even if it is not optional.
pub fn needed_by_rule(needs: Vec<Need>, instances: &Instances) -> Vec<PlannedNeed> {
    let is_present = |name: &Arc<str>| instances.get(name).and_then(|names| names.first()).is_some_and(|it| it == name);
    let present = needs.into_iter().filter(|need| is_present(&need.job.value));
    // No name occurs twice: `config::check` reports a repeated need as an error.
    present.map(|need| PlannedNeed { name: need.job.value, artifacts: need.artifacts }).collect()
}

/// Resolves `needs` to jobs of the pipeline. `instances` are those in the pipeline; `absent` are the other instances of
/// parallel jobs, an empty list for a job without instances. `own` are the matrix values of the instance that has the needs.
///
/// # Errors
/// The needed jobs that are neither in the pipeline nor optional.
pub fn needed(
    needs: &[Need],
    (instances, absent): (&Instances, &Instances),
    own: &[(Arc<str>, Arc<str>)],
) -> Result<Vec<PlannedNeed>, Vec<Text>> {
    let mut planned: Vec<PlannedNeed> = Vec::new();
    let mut missing = Vec::new();
    for need in needs {
        let wanted_job = own_value(&need.job.value, own);
        let all = instances.get(&wanted_job).map(Vec::as_slice).unwrap_or_default();
        let is_parallel = all.first().is_none_or(|name| *name != wanted_job);
        let wanted: Vec<Arc<str>> = match &need.matrix {
            Some(matrix) if is_parallel && !all.is_empty() => {
                let names = matrix
                    .iter()
                    .map(|values| -> Arc<str> { instance_name(&wanted_job, &with_own_values(values, own)).into() });
                let (present, absent): (Vec<_>, Vec<_>) = names.partition(|name| all.contains(name));
                // Every instance in the matrix counts as a separate need.
                if !present.is_empty() && !need.optional {
                    missing.extend(absent.into_iter().map(|value| Text { value, span: need.job.span }));
                }
                present
            }
            // A job that is not parallel has one instance, regardless of the values in the need.
            _ => {
                // A need of all instances requires each of them.
                if !all.is_empty() && !need.optional {
                    let absent = absent.get(&wanted_job).into_iter().flatten();
                    missing.extend(absent.map(|name| Text { value: Arc::clone(name), span: need.job.span }));
                }
                all.to_vec()
            }
        };
        // A matrix without combinations leaves nothing to need.
        let has_no_instance = match &need.matrix {
            Some(matrix) => matrix.is_empty() && is_parallel && (!all.is_empty() || absent.contains_key(&wanted_job)),
            None => absent.get(&wanted_job).is_some_and(Vec::is_empty),
        };
        if wanted.is_empty() && !need.optional && !has_no_instance {
            missing.push(Text { value: wanted_job, span: need.job.span });
        }
        for name in wanted {
            if !planned.iter().any(|other| other.name == name) {
                planned.push(PlannedNeed { name, artifacts: need.artifacts });
            }
        }
    }
    if missing.is_empty() { Ok(planned) } else { Err(missing) }
}
