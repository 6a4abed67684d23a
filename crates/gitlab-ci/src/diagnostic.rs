//! Errors and warnings about a pipeline file.

use std::collections::{HashMap, HashSet};

use super::gitlab_version::GitlabVersion;
use super::source::Span;
use crate::suggest;

/// Whether GitLab accepts the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// GitLab would refuse the file.
    Error,
    /// GitLab accepts the file, but a keyword may not do what its author expects, or is not supported here.
    Warning,
}

/// An error or a warning, and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The problem, in GitLab's own words where GitLab has a message for it. At most 1,000 characters.
    pub message: String,
    /// The part of the file that the message is about.
    pub span: Span,
    /// The expected value, the most similar valid word, or the remedy.
    pub help: Option<String>,
    /// The number of places that the diagnostic is about. More than one only for an unsupported feature, which is reported once.
    pub places: usize,
    /// Whether the diagnostic is about a keyword or variable that is valid, but not supported here.
    pub is_unsupported: bool,
    /// Whether the diagnostic is part of the list. One that is not needs no help text.
    is_kept: bool,
}

/// The maximum number of diagnostics to keep. A large file may have a million wrong places, too many to read.
const MAX_DIAGNOSTICS: usize = 1000;

/// The maximum length of a message, in characters. Messages contain names, which may be of any length.
const MAX_MESSAGE_LENGTH: usize = 1000;

/// The maximum length of a word for which similar words are searched, in bytes. The comparison takes time in proportion
/// to the length of both words.
const MAX_WORD_LENGTH: usize = 100;

/// All diagnostics of a lint run, in the order in which they were found.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    /// The keys of `kept`, without the help texts.
    keys: HashSet<(Span, Severity, String)>,
    /// The index in `kept` of the warning about each keyword that is not supported here.
    unsupported: HashMap<String, usize>,
    /// The last diagnostic that was not kept, because it is a duplicate or because there are too many.
    last_dropped: Option<Diagnostic>,
    count: usize,
    errors: usize,
    version: GitlabVersion,
    is_version_chosen: bool,
}

impl Diagnostics {
    /// Adds an error. The caller may add a help text to the result.
    pub fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, span, &message.into())
    }

    /// Adds a warning. The caller may add a help text to the result.
    pub fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Warning, span, &message.into())
    }

    /// Adds a warning about a valid keyword, such as `artifacts:access`, that has no effect here. All places with the same
    /// keyword share one warning, at the first place. The caller may add a help text to the result.
    pub fn unsupported(&mut self, span: Span, keyword: &str) -> &mut Diagnostic {
        let message = format!("valid, but not supported here: {keyword}");
        let Some(index) = self.unsupported.get(&message).copied() else {
            let index = self.kept.len();
            let is_kept = {
                let warning = self.warning(span, message.clone());
                warning.is_unsupported = true;
                warning.is_kept
            };
            if !is_kept {
                return self.last_dropped.get_or_insert(Diagnostic::new(Severity::Warning, span, &message));
            }
            self.unsupported.insert(message, index);
            return &mut self.kept[index];
        };
        self.count += 1;
        let is_new = self.keys.insert((span, Severity::Warning, message));
        let warning = &mut self.kept[index];
        warning.places += usize::from(is_new);
        warning.span = warning.span.min(span);
        warning
    }

    /// Sets the version of GitLab that is imitated, if the user has chosen one.
    pub fn imitate(&mut self, version: Option<GitlabVersion>) {
        self.version = version.unwrap_or_default();
        self.is_version_chosen = version.is_some();
    }

    /// The version of GitLab that is imitated.
    pub fn version(&self) -> GitlabVersion {
        self.version
    }

    /// Reports a word that is newer than the imitated version of GitLab: an error if the user has chosen the version.
    pub fn since(&mut self, version: GitlabVersion, span: Span, word: &str) {
        if version <= self.version {
            return;
        }
        let severity = if self.is_version_chosen { Severity::Error } else { Severity::Warning };
        let message = format!("`{word}` is new in GitLab {version}: GitLab {} refuses it", self.version);
        self.push(severity, span, &message).help(format!("if your GitLab is newer, check with `--gitlab {version}`"));
    }

    fn push(&mut self, severity: Severity, span: Span, message: &str) -> &mut Diagnostic {
        self.count += 1;
        self.errors += usize::from(severity == Severity::Error);
        let mut diagnostic = Diagnostic::new(severity, span, message);
        // A value with an anchor is read again at every alias, which finds the same mistakes.
        if self.kept.len() < MAX_DIAGNOSTICS && self.keys.insert((span, severity, diagnostic.message.clone())) {
            diagnostic.is_kept = true;
            self.kept.push(diagnostic);
            let at = self.kept.len() - 1;
            return &mut self.kept[at];
        }
        self.last_dropped.insert(diagnostic)
    }

    /// The number of diagnostics so far, including duplicates.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether an error within `span` has been reported. Its consequences need no report of their own.
    pub fn has_error_in(&self, span: Span) -> bool {
        // The list is full, so another report would not be shown.
        if self.has_errors() && self.kept.len() >= MAX_DIAGNOSTICS {
            return true;
        }
        self.kept.iter().any(|diagnostic| {
            let it = diagnostic.span;
            diagnostic.severity == Severity::Error
                && it.file == span.file
                && it.start >= span.start
                && it.end <= span.end
        })
    }

    /// Whether GitLab would refuse the file.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The number of errors so far, including duplicates.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// The diagnostics sorted by position, without duplicates. At most 1,000: the first ones that were found.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<_> = self.kept.iter().collect();
        all.sort_by_key(|diagnostic| (diagnostic.span, diagnostic.severity));
        all
    }
}

impl Diagnostic {
    fn new(severity: Severity, span: Span, message: &str) -> Self {
        let message = shortened(message);
        Self { severity, message, span, help: None, places: 1, is_unsupported: false, is_kept: false }
    }

    /// The help text, and the number of places if there are several.
    pub fn notes(&self) -> Option<String> {
        let places = (self.places > 1).then(|| format!("in {} places", self.places));
        let notes: Vec<String> = places.into_iter().chain(self.help.clone()).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    /// Sets the help text.
    pub fn help(&mut self, help: impl Into<String>) {
        self.help = Some(shortened(&help.into()));
    }

    /// Suggests the word of `valid` that is most similar to `word`, if one is similar enough.
    pub fn nearest<'words>(&mut self, word: &str, valid: impl IntoIterator<Item = &'words str>) {
        if !self.is_kept || word.len() > MAX_WORD_LENGTH {
            return;
        }
        let valid = valid.into_iter().filter(|valid| valid.len() <= MAX_WORD_LENGTH);
        if let Some(valid) = suggest::similar(word, valid) {
            self.help(format!("did you mean `{valid}`?"));
        }
    }
}

/// Joins names for a message.
pub(super) fn joined<'name>(names: impl IntoIterator<Item = &'name str>) -> String {
    let mut joined = String::new();
    for (index, name) in names.into_iter().enumerate() {
        if index > 0 {
            joined.push_str(", ");
        }
        joined.push_str(name);
        // The message is longer than allowed, so that the rest is not shown.
        if joined.len() > 4 * MAX_MESSAGE_LENGTH {
            break;
        }
    }
    joined
}

/// Cuts a text to the maximum length of a message.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE_LENGTH) {
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
    fn duplicates_are_removed() {
        let mut diagnostics = Diagnostics::default();
        for start in [1, 0, 1] {
            diagnostics.warning(span(start), "x").help("y");
        }
        let kept: Vec<_> = diagnostics.sorted().iter().map(|it| (it.span.start, it.help.clone())).collect();
        assert_eq!((kept, diagnostics.count()), (vec![(0, Some("y".into())), (1, Some("y".into()))], 3));
        assert!(!diagnostics.has_errors());
    }

    #[test]
    fn what_is_not_supported_is_reported_once_for_all_places() {
        let mut diagnostics = Diagnostics::default();
        for start in [5, 3, 5, 9] {
            diagnostics.unsupported(span(start), "tags").help("h");
        }
        diagnostics.unsupported(span(4), "hooks");
        let kept: Vec<_> = diagnostics.sorted().iter().map(|it| (it.span.start, it.notes())).collect();
        assert_eq!(kept, [(3, Some("in 3 places; h".into())), (4, None)]);
    }

    #[test]
    fn an_error_after_too_many_warnings_still_counts() {
        let mut diagnostics = Diagnostics::default();
        for start in 0..2000 {
            diagnostics.warning(span(start), "x");
        }
        diagnostics.error(span(2000), "y").nearest("a", ["ab"]);
        assert_eq!((diagnostics.sorted().len(), diagnostics.has_errors()), (MAX_DIAGNOSTICS, true));
    }

    #[test]
    fn long_messages_are_cut() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.error(span(0), "ä".repeat(2000)).help("b".repeat(2000));
        let kept = diagnostics.sorted();
        assert_eq!(kept[0].message, "ä".repeat(1000) + "…");
        assert_eq!(kept[0].help, Some("b".repeat(1000) + "…"));
    }
}
