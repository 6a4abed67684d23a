//! What is wrong with a pipeline, or worth knowing about it.

use super::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// GitLab would refuse the file.
    Error,
    /// GitLab takes it, and it may not be what is meant; or it is not replayed here.
    Warning,
}

/// One thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// In GitLab's own words where it has some.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What was expected, the nearest valid word, or what to do.
    pub help: Option<String>,
}

/// All that was found, in the order of finding.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Something that GitLab would refuse.
    pub fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, span, message.into())
    }

    /// Something worth knowing.
    pub fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Warning, span, message.into())
    }

    fn push(&mut self, severity: Severity, span: Span, message: String) -> &mut Diagnostic {
        let at = self.0.len();
        self.0.push(Diagnostic { severity, message, span, help: None });
        // It was pushed on the line before.
        &mut self.0[at]
    }

    /// How many there are so far.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether GitLab would refuse the file.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// All of them, by place, each once: what is shared by an anchor is found at every use of it.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|diagnostic| (diagnostic.span, diagnostic.severity));
        all.dedup();
        all
    }
}

impl Diagnostic {
    /// With what to do about it.
    pub fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }

    /// With the valid word that is nearest to `word`, if one is near.
    pub fn nearest<'words>(&mut self, word: &str, valid: impl IntoIterator<Item = &'words str>) {
        let near = valid.into_iter().map(|valid| (strsim::jaro_winkler(word, valid), valid));
        let nearest = near.max_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((_, valid)) = nearest.filter(|(similarity, _)| *similarity > 0.75) {
            self.help(format!("did you mean `{valid}`?"));
        }
    }
}
