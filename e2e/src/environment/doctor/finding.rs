//! What one examination found.

use serde::Serialize;

/// One thing that is needed, and what there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The thing.
    pub subject: &'static str,
    /// What is needed of it.
    pub needed: String,
    /// What there is.
    pub found: String,
    /// How the two compare.
    pub verdict: Verdict,
    /// What to do about it.
    pub remedy: Option<Remedy>,
}

/// How what was found compares to what is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It will do.
    Good,
    /// It may do, or is needed only in some cases.
    Warning,
    /// Nothing works without it.
    Missing,
}

/// What to do about a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Remedy {
    /// Packages that `--fix` installs, with those of all other findings at once.
    Packages(Vec<&'static str>),
    /// A shell command that `--fix` runs.
    Command(String),
    /// Something that only a person can decide or do.
    Advice(String),
}

impl Finding {
    /// A finding with nothing to do.
    pub fn good(subject: &'static str, needed: impl Into<String>, found: impl Into<String>) -> Self {
        Self { subject, needed: needed.into(), found: found.into(), verdict: Verdict::Good, remedy: None }
    }

    /// The same, found wanting.
    #[must_use]
    pub fn with(self, verdict: Verdict, remedy: Remedy) -> Self {
        Self { verdict, remedy: Some(remedy), ..self }
    }
}
