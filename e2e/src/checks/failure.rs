//! Builders for the failure of a check.

use std::fmt::Display;

use super::cause::Cause;
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

    /// Sets the likely cause and the remedy. A cause that the cluster shows replaces them.
    #[must_use]
    pub fn hint(self, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { cause: cause.into(), fix: fix.into(), ..self }
    }

    /// Sets the cause that the check has seen, and the remedy.
    #[must_use]
    pub fn because(self, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { is_seen: true, ..self.hint(cause, fix) }
    }

    /// Replaces a likely cause by the causes that the cluster shows, and puts them before the details.
    #[must_use]
    pub(super) fn explained_by(self, causes: &[Cause]) -> Self {
        if self.is_seen || causes.is_empty() {
            return self;
        }
        let lines: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.object, cause.remedy.what)).collect();
        let mut fixes: Vec<&str> = Vec::new();
        for cause in causes {
            if !fixes.contains(&&*cause.remedy.fix) {
                fixes.push(&cause.remedy.fix);
            }
        }
        let cause = if let [line] = lines.as_slice() { line.clone() } else { format!("one of: {}", lines.join("; ")) };
        let fix = fixes.join("; or ");
        let details = lines.into_iter().chain(self.details).collect();
        Self { cause, fix, details, is_seen: true, ..self }
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
