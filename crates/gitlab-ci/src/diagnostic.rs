//! What is wrong with a pipeline, or worth knowing about it.

use std::collections::HashSet;

use super::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
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
    /// Whether anybody will read it.
    is_told: bool,
}

/// How many are kept. Nobody reads as many, and the places of a large file that are wrong may be a million.
const MOST: usize = 1000;

/// How long a message may be, in characters. Names are a part of it, and may be of any length.
const LONGEST: usize = 1000;

/// How long words may be that are compared to find the nearest. It takes time in proportion to both of them.
const LONGEST_WORD: usize = 100;

/// All that was found, in the order of finding.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    told: Vec<Diagnostic>,
    /// What has been told, without its help.
    known: HashSet<(Span, Severity, String)>,
    /// The last one that is not kept: it is there already, or there are too many.
    untold: Option<Diagnostic>,
    count: usize,
    errors: usize,
}

impl Diagnostics {
    /// Something that GitLab would refuse.
    pub fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, span, &message.into())
    }

    /// Something worth knowing.
    pub fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Warning, span, &message.into())
    }

    fn push(&mut self, severity: Severity, span: Span, message: &str) -> &mut Diagnostic {
        self.count += 1;
        self.errors += usize::from(severity == Severity::Error);
        let mut diagnostic = Diagnostic { severity, message: shortened(message), span, help: None, is_told: false };
        // What is shared by an anchor is found at every use of it.
        if self.told.len() < MOST && self.known.insert((span, severity, diagnostic.message.clone())) {
            diagnostic.is_told = true;
            self.told.push(diagnostic);
            let at = self.told.len() - 1;
            return &mut self.told[at];
        }
        self.untold.insert(diagnostic)
    }

    /// How many there are so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether an error within that place has been told: what follows from it need not be.
    pub fn has_error_in(&self, span: Span) -> bool {
        // Nobody will read it.
        if self.has_errors() && self.told.len() >= MOST {
            return true;
        }
        self.told.iter().any(|told| {
            let it = told.span;
            told.severity == Severity::Error && it.file == span.file && it.start >= span.start && it.end <= span.end
        })
    }

    /// Whether GitLab would refuse the file.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many there are so far that GitLab would refuse the file for.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Each once, by place; of many those that were found first.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<_> = self.told.iter().collect();
        all.sort_by_key(|diagnostic| (diagnostic.span, diagnostic.severity));
        all
    }
}

impl Diagnostic {
    /// With what to do about it.
    pub fn help(&mut self, help: impl Into<String>) {
        self.help = Some(shortened(&help.into()));
    }

    /// With the valid word that is nearest to `word`, if one is near.
    pub fn nearest<'words>(&mut self, word: &str, valid: impl IntoIterator<Item = &'words str>) {
        if !self.is_told || word.len() > LONGEST_WORD {
            return;
        }
        let valid = valid.into_iter().filter(|valid| valid.len() <= LONGEST_WORD);
        let near = valid.map(|valid| (strsim::jaro_winkler(word, valid), valid));
        let nearest = near.max_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((_, valid)) = nearest.filter(|(similarity, _)| *similarity > 0.75) {
            self.help(format!("did you mean `{valid}`?"));
        }
    }
}

/// So much of a text as a message has place for.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;

    fn span(start: u32) -> Span {
        Span { file: Sources::default().add("", ""), start, end: start }
    }

    #[test]
    fn each_is_told_once() {
        let mut diagnostics = Diagnostics::default();
        for start in [1, 0, 1] {
            diagnostics.warning(span(start), "x").help("y");
        }
        let told: Vec<_> = diagnostics.sorted().iter().map(|it| (it.span.start, it.help.clone())).collect();
        assert_eq!((told, diagnostics.count()), (vec![(0, Some("y".into())), (1, Some("y".into()))], 3));
        assert!(!diagnostics.has_errors());
    }

    #[test]
    fn an_error_behind_too_many_warnings_is_an_error() {
        let mut diagnostics = Diagnostics::default();
        for start in 0..2000 {
            diagnostics.warning(span(start), "x");
        }
        diagnostics.error(span(2000), "y").nearest("a", ["ab"]);
        assert_eq!((diagnostics.sorted().len(), diagnostics.has_errors()), (MOST, true));
    }

    #[test]
    fn a_message_has_an_end() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.error(span(0), "ä".repeat(2000)).help("b".repeat(2000));
        let told = diagnostics.sorted();
        assert_eq!(told[0].message, "ä".repeat(1000) + "…");
        assert_eq!(told[0].help, Some("b".repeat(1000) + "…"));
    }
}
