//! Builders for the failure of a check.

use std::fmt::Display;

use crate::environment::cluster::ApiError;
use crate::record::Failure;

/// Starts a failure with what was expected.
pub fn expected(what: impl Into<String>) -> Failure {
    Failure { expected: what.into(), ..Failure::default() }
}

impl Failure {
    /// Sets the actual state that the check observed.
    #[must_use]
    pub fn actual(self, seen: impl Display) -> Self {
        Self { seen: seen.to_string(), ..self }
    }

    /// Sets the object in which the check observed it.
    #[must_use]
    pub fn at(self, object: impl Into<String>) -> Self {
        Self { object: object.into(), ..self }
    }

    /// Adds details, such as events and last log lines.
    #[must_use]
    pub fn with(mut self, text: &str) -> Self {
        self.details.extend(text.lines().map(str::to_owned));
        self
    }

    /// Sets the likely cause and the remedy.
    #[must_use]
    pub fn hint(self, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { cause: cause.into(), fix: fix.into(), ..self }
    }
}

/// The API server has rejected a request of a check, or is unreachable.
impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        expected("a successful response from the API server").actual(ApiError::from(error)).at("the API server").hint(
            "the account of the checks does not have this permission, or the API server is unreachable",
            "run the checks with a kubeconfig of the cluster's owner",
        )
    }
}
