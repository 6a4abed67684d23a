//! Variables whose values are not known yet when a pipeline starts, such as the login to a registry that is still starting.
//! Jobs that do not use them start immediately.

use std::sync::Arc;

use tokio::sync::watch;

use gitlab_ci::plan::PlannedJob;
use gitlab_ci::variables::collection::Variable;

/// The values, or the reason why there will never be any.
pub type Values = Result<Arc<[Variable]>, Arc<str>>;

/// Project variables whose values become known while the pipeline runs.
pub struct DeferredVariables {
    /// The provider of the values, for messages: "the registry and the cluster", for example.
    pub source: String,
    /// Whether a job uses the variables and therefore waits for them.
    pub is_needed: Box<dyn Fn(&PlannedJob) -> bool + Send + Sync>,
    /// The values; `None` until they are known.
    pub values: watch::Receiver<Option<Values>>,
}

impl DeferredVariables {
    /// Waits for the values and returns them. Returns no values, without waiting, for a job that does not use them.
    ///
    /// # Errors
    /// The reason why there will be no values: the provider failed, or it ended without a result. The job cannot run.
    pub async fn values_for(&self, job: &PlannedJob) -> Values {
        if !(self.is_needed)(job) {
            return Ok(Arc::default());
        }
        let mut values = self.values.clone();
        let known = values.wait_for(Option::is_some).await;
        match known.as_deref() {
            Ok(Some(values)) => values.clone(),
            Ok(None) | Err(_) => Err("the provider of the values ended without a result".into()),
        }
    }

    /// Whether [`values_for`](Self::values_for) would wait for this job.
    pub fn is_awaited(&self, job: &PlannedJob) -> bool {
        self.values.borrow().is_none() && (self.is_needed)(job)
    }
}
