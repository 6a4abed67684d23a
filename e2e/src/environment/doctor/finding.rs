//! A finding: the result of one examination.

use serde::Serialize;

/// A prerequisite, and what the examination found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The prerequisite's name.
    pub subject: &'static str,
    /// The requirement.
    pub needed: String,
    /// The state that was found.
    pub found: String,
    /// How `found` compares to `needed`.
    pub verdict: Verdict,
    /// How to fix it.
    pub remedy: Option<Remedy>,
}

/// Whether the prerequisite is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is met.
    Good,
    /// It may not suffice, or is needed only in some cases.
    Warning,
    /// It is not met, and nothing works without it.
    Missing,
}

/// How to fix a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Remedy {
    /// Packages that `--fix` installs, together with those of all other findings.
    Packages(Vec<&'static str>),
    /// A shell command that `--fix` runs.
    Command(String),
    /// An action that only the user can decide on or take.
    Advice(String),
}

impl Finding {
    /// A finding whose prerequisite is met.
    pub fn good(subject: &'static str, needed: impl Into<String>, found: impl Into<String>) -> Self {
        Self { subject, needed: needed.into(), found: found.into(), verdict: Verdict::Good, remedy: None }
    }

    /// The same finding with another verdict and a remedy.
    #[must_use]
    pub fn with(self, verdict: Verdict, remedy: Remedy) -> Self {
        Self { verdict, remedy: Some(remedy), ..self }
    }
}
