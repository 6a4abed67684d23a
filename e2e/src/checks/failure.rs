//! Why a check failed, put together where it is seen.

use std::fmt::Display;

use crate::environment::cluster::ApiError;
use crate::record::Failure;

/// What was expected; the rest is added by what follows.
pub fn expected(what: impl Into<String>) -> Failure {
    Failure { expected: what.into(), ..Failure::default() }
}

impl Failure {
    /// What was there instead.
    #[must_use]
    pub fn saw(self, seen: impl Display) -> Self {
        Self { seen: seen.to_string(), ..self }
    }

    /// The object that it was seen at.
    #[must_use]
    pub fn at(self, object: impl Into<String>) -> Self {
        Self { object: object.into(), ..self }
    }

    /// More of it: events, last lines.
    #[must_use]
    pub fn with(mut self, text: &str) -> Self {
        self.details.extend(text.lines().map(str::to_owned));
        self
    }

    /// The likely cause, and what to do about it.
    #[must_use]
    pub fn because(self, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { cause: cause.into(), fix: fix.into(), ..self }
    }
}

/// An API server that does not do what a check needs.
impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        expected("an answer of the API server").saw(ApiError::from(error)).at("the API server").because(
            "the account of the checks may not do that, or the API server is not reached",
            "give the checks a kubeconfig of the cluster's owner",
        )
    }
}
