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

    /// Sets a likely cause, which the check has not observed, and its remedy. Observed causes replace both.
    #[must_use]
    pub fn hint(self, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { cause: cause.into(), fix: fix.into(), ..self }
    }

    /// Sets the observed cause, which the check has seen itself, and its remedy.
    #[must_use]
    pub fn caused_by(self, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { is_seen: true, ..self.hint(cause, fix) }
    }

    /// Marks a failure after successful requests of the check.
    #[must_use]
    pub(super) fn after_success(self) -> Self {
        Self { is_after_success: true, ..self }
    }

    /// Replaces a likely cause by the causes observed in the cluster, and puts them before the details.
    #[must_use]
    pub(super) fn explained_by(self, causes: &[Cause]) -> Self {
        let causes: Vec<&Cause> =
            causes.iter().filter(|cause| !(self.is_after_success && cause.remedy.is_uncertain)).collect();
        if self.is_seen || causes.is_empty() {
            return self;
        }
        // Several objects in the same state are one cause.
        let mut states: Vec<(Vec<&str>, &str)> = Vec::new();
        for Cause { object, remedy, .. } in &causes {
            match states.iter_mut().find(|(_, what)| *what == remedy.what) {
                Some((objects, _)) => objects.push(object),
                None => states.push((vec![object], &remedy.what)),
            }
        }
        let lines: Vec<String> =
            states.into_iter().map(|(objects, what)| format!("{}: {what}", objects.join(" and "))).collect();
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

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::checks::cause::{Part, Remedy};

    fn cause(object: &str, what: &str) -> Cause {
        Cause {
            part: Part::Pods,
            check: None,
            object: object.to_owned(),
            remedy: Remedy::new(what, format!("mend {what}")),
        }
    }

    #[test]
    fn equal_states_are_one_cause_and_others_are_alternatives() {
        let failure = || expected("an answer").hint("a guess", "try again");
        let one = failure().explained_by(&[cause("Pod a", "crashes"), cause("Pod b", "crashes")]);
        assert_eq!((&*one.cause, &*one.fix, one.is_seen), ("Pod a and Pod b: crashes", "mend crashes", true));
        let two = failure().explained_by(&[cause("Pod a", "crashes"), cause("Service s", "selects none")]);
        assert_eq!(two.cause, "one of: Pod a: crashes; Service s: selects none");
        assert_eq!(two.details, ["Pod a: crashes", "Service s: selects none"]);
        assert_eq!(failure().explained_by(&[]).cause, "a guess");
    }

    #[test]
    fn a_state_that_lets_requests_succeed_is_no_cause_after_one_has() {
        let uncertain =
            Cause { remedy: Remedy::uncertain("serves others", "add it"), ..cause("Deployment c", "unused") };
        let failure = || expected("answers").hint("a guess", "try again");
        assert_eq!(failure().explained_by(slice::from_ref(&uncertain)).cause, "Deployment c: serves others");
        assert_eq!(failure().after_success().explained_by(slice::from_ref(&uncertain)).cause, "a guess");
        let all = [uncertain, cause("Pod a", "crashes")];
        assert_eq!(failure().after_success().explained_by(&all).cause, "Pod a: crashes");
    }
}
