//! The result of a verifier.

use crate::record::Failure;

/// The error is the difference between the actual state and the goal.
pub type Verdict = Result<(), Unsolved>;

/// The state that the verifier has observed instead of the goal, as one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsolved(pub String);

impl Unsolved {
    pub(super) fn new(seen: impl Into<String>) -> Self {
        Self(seen.into())
    }

    /// An error unless `is_met` holds. `seen` describes the actual state.
    pub(super) fn unless(is_met: bool, seen: impl FnOnce() -> String) -> Verdict {
        if is_met { Ok(()) } else { Err(Self(seen())) }
    }
}

/// The cluster lacks an object, or did not answer.
impl From<Failure> for Unsolved {
    fn from(failure: Failure) -> Self {
        Self(format!("expected {}, found {}", failure.expected, failure.seen))
    }
}
