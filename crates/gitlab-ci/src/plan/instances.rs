//! One job that is several, and what needs which of them. `lib/gitlab/ci/config/normalizer.rb`

use std::collections::HashMap;
use std::sync::Arc;

use super::PlannedNeed;
use crate::config::job::Job;
use crate::config::needs::Need;
use crate::config::parallel::Parallel;
use crate::config::parallel::instance_name;
use crate::config::parallel::with_own_values;
use crate::config::reader::Text;

/// An instance of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name in the pipeline.
    pub name: Arc<str>,
    /// Its own variables.
    pub variables: Vec<(Arc<str>, Arc<str>)>,
    /// Its number, from 1, and how many there are.
    pub node: Option<(usize, usize)>,
}

/// The instances of a job: itself, where it is not parallel.
pub fn of(job: &Job) -> Vec<Instance> {
    match &job.parallel {
        None => vec![Instance { name: Arc::clone(&job.name), variables: Vec::new(), node: None }],
        Some(Parallel::Count(count)) => (1..=*count)
            .map(|number| Instance {
                name: format!("{} {number}/{count}", job.name).into(),
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
                // Of equal names the last one stays: the values alone make the name.
                match instances.iter_mut().find(|other| other.name == name) {
                    Some(other) => *other = instance,
                    None => instances.push(instance),
                }
            }
            instances
        }
    }
}

/// The names of the instances that are in a pipeline, by their jobs' names, and each by its own.
pub type Instances = HashMap<Arc<str>, Vec<Arc<str>>>;

/// The jobs of the pipeline that `needs` mean. `instances` are those that are in it, and those that are not, of jobs that are
/// several; `own` are the values of the instance that needs.
///
/// # Errors
/// All jobs that are not in the pipeline and are not optional.
pub fn needed(
    needs: &[Need],
    (instances, absent): (&Instances, &Instances),
    own: &[(Arc<str>, Arc<str>)],
) -> Result<Vec<PlannedNeed>, Vec<Text>> {
    let mut planned: Vec<PlannedNeed> = Vec::new();
    let mut missing = Vec::new();
    for need in needs {
        let all = instances.get(&need.job.value).map(Vec::as_slice).unwrap_or_default();
        let is_parallel = all.first().is_none_or(|name| *name != need.job.value);
        let wanted: Vec<Arc<str>> = match &need.matrix {
            Some(matrix) if is_parallel && !all.is_empty() => {
                let names = matrix
                    .iter()
                    .map(|values| -> Arc<str> { instance_name(&need.job.value, &with_own_values(values, own)).into() });
                let (there, absent): (Vec<_>, Vec<_>) = names.partition(|name| all.contains(name));
                // Each of them is a need of its own.
                if !there.is_empty() && !need.optional {
                    missing.extend(absent.into_iter().map(|value| Text { value, span: need.job.span }));
                }
                there
            }
            // Of a job that is not parallel there is only one, whatever values are named.
            _ => {
                // Who needs all of them needs each.
                if !all.is_empty() && !need.optional {
                    let absent = absent.get(&need.job.value).into_iter().flatten();
                    missing.extend(absent.map(|name| Text { value: Arc::clone(name), span: need.job.span }));
                }
                all.to_vec()
            }
        };
        if wanted.is_empty() && !need.optional {
            missing.push(need.job.clone());
        }
        for name in wanted {
            if !planned.iter().any(|other| other.name == name) {
                planned.push(PlannedNeed { name, artifacts: need.artifacts });
            }
        }
    }
    if missing.is_empty() { Ok(planned) } else { Err(missing) }
}
