//! Variables whose values are not known yet when a pipeline begins, such as the login of a registry that is still being started.
//! Jobs that need none of them need not wait.

use std::sync::Arc;

use tokio::sync::watch;

use gitlab_ci::plan::PlannedJob;
use gitlab_ci::variables::collection::Variable;

/// The values, or why there will never be any.
pub type Values = Result<Arc<[Variable]>, Arc<str>>;

/// Variables of the project's settings that come late.
pub struct Late {
    /// What makes them, in words.
    pub source: String,
    /// Whether a job waits for them.
    pub is_needed: Box<dyn Fn(&PlannedJob) -> bool + Send + Sync>,
    /// The values, once they are known.
    pub values: watch::Receiver<Option<Values>>,
}

impl Late {
    /// The values for a job: at once, if it needs none.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn of(&self, job: &PlannedJob) -> Values {
        if !(self.is_needed)(job) {
            return Ok(Arc::default());
        }
        let mut values = self.values.clone();
        let known = values.wait_for(Option::is_some).await;
        match known.as_deref() {
            Ok(Some(values)) => values.clone(),
            Ok(None) | Err(_) => Err("what makes them has ended".into()),
        }
    }

    /// Whether a job would wait now.
    pub fn is_awaited(&self, job: &PlannedJob) -> bool {
        self.values.borrow().is_none() && (self.is_needed)(job)
    }
}
