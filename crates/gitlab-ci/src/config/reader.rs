//! Reads nodes as typed values, and reports mistakes in GitLab's words.

use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::{self, Diagnostic, Diagnostics};
use crate::duration;
use crate::duration::DurationError;
use crate::source::Span;
use crate::yaml::node::{Mapping, Node, unknown_keys};

/// A value with its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub span: Span,
}

/// A string with its position.
pub type Text = Spanned<Arc<str>>;

/// The error message for an unknown word, or for the unknown words of a list, which share a sentence.
/// `AllowedArrayValuesValidator` of `lib/gitlab/config/entry/validators.rb`
pub fn unknown_words(node: &Node, words: &[&str]) -> String {
    let Some(items) = node.sequence() else { return "is not included in the list".to_owned() };
    let texts = items.iter().filter_map(Node::text).filter(|text| !words.contains(text));
    format!("contains unknown values: {}", diagnostic::joined(texts))
}

/// The error message for a value that is neither a word nor a list of words. `ArrayOfStringsOrStringValidator`
pub const NOT_WORDS: &str = "should be an array of strings or a string";

/// Converts a key of the file to a part of a path. GitLab writes it in lower case. A space would be a separator in
/// paths.
pub fn as_name(key: &str) -> String {
    key.to_lowercase().replace(' ', "_")
}

/// Reads the keywords of a job or of the top level.
#[derive(Debug)]
pub struct Reader<'diagnostics> {
    /// The list to which errors and warnings are added.
    pub diagnostics: &'diagnostics mut Diagnostics,
    /// The prefix of messages, such as `jobs:build`.
    subject: String,
    /// Whether a part of the job was not found, which has been reported.
    pub is_incomplete: bool,
}

impl<'diagnostics> Reader<'diagnostics> {
    /// Creates a reader for the job `name`.
    pub fn for_job(name: &str, diagnostics: &'diagnostics mut Diagnostics) -> Self {
        Self { diagnostics, subject: format!("jobs:{name}"), is_incomplete: false }
    }

    /// Creates a reader for a keyword of the top level.
    pub fn for_keyword(keyword: &str, diagnostics: &'diagnostics mut Diagnostics) -> Self {
        Self { diagnostics, subject: keyword.to_owned(), is_incomplete: false }
    }

    /// Creates a reader for the top level itself.
    pub fn for_file(diagnostics: &'diagnostics mut Diagnostics) -> Self {
        Self { diagnostics, subject: String::new(), is_incomplete: false }
    }

    /// Reports an error in the keyword `path`, such as `script` or `rules:rule`, below the job or keyword that is read.
    /// An empty `path` means all of it.
    ///
    /// GitLab validates some keys in their parent entry instead of giving them an entry of their own. Such a key
    /// follows a space in `path`, as in GitLab's messages: `artifacts expire_in` becomes `jobs:a:artifacts expire in
    /// should be …`, while an entry `artifacts:reports` becomes `jobs:a:artifacts:reports config should be …`.
    ///
    /// The sentence is in lower case, even the names and values in it: `lib/gitlab/config/entry/validator.rb`
    pub fn complain(&mut self, span: Span, path: &str, message: &str) -> &mut Diagnostic {
        let message = if path.contains(' ') { message.strip_prefix("config ").unwrap_or(message) } else { message };
        let sentence = format!("{} {message}", self.subject(path)).to_lowercase();
        self.diagnostics.error(span, sentence)
    }

    /// Reports a value of a kind that the entry `path` has no form for. GitLab does not write this sentence in lower case: `errors` of the
    /// classes `UnknownStrategy`.
    pub fn misfit(&mut self, span: Span, path: &str, message: &str) -> &mut Diagnostic {
        let sentence = format!("{} {message}", self.subject(path));
        self.diagnostics.error(span, sentence)
    }

    /// The beginning of a message about the keyword `path`: `jobs:a:artifacts expire in`. See [`complain`](Self::complain).
    pub fn subject(&self, path: &str) -> String {
        let (entry, attribute) =
            path.split_once(' ').map_or((path, None), |(entry, attribute)| (entry, Some(attribute)));
        let colon = if self.subject.is_empty() || entry.is_empty() { "" } else { ":" };
        let subject = format!("{}{colon}{entry}", self.subject);
        match attribute {
            Some(attribute) => format!("{subject} {}", attribute.replace('_', " ")),
            None => subject,
        }
    }

    /// Reports a warning about the whole job or keyword.
    pub fn warn(&mut self, span: Span, message: &str) -> &mut Diagnostic {
        self.diagnostics.warning(span, format!("{} {message}", self.subject))
    }

    /// Reports an error if more than one of `keys` is present. `MutuallyExclusiveKeysValidator`
    pub fn exclusive_keys(&mut self, mapping: &Mapping, path: &str, keys: &[&str]) {
        let together: Vec<_> = mapping.iter().filter(|(key, _)| keys.contains(&&***key)).collect();
        if let [_, (_, second), ..] = together.as_slice() {
            let names = together.iter().map(|(key, _)| &***key).collect::<Vec<_>>().join(", ");
            self.complain(second.key_span, path, &format!("config these keys cannot be used together: {names}"));
        }
    }

    /// Returns the entries of a hash. Reports any other value.
    pub fn hash<'node>(&mut self, node: &'node Node, path: &str) -> Option<&'node Mapping> {
        let mapping = node.mapping();
        if mapping.is_none() {
            self.complain(node.span, path, "config should be a hash");
        }
        mapping
    }

    /// Reports every key that is not in `known`, each at its place.
    pub fn known_keys<'words>(&mut self, mapping: &Mapping, path: &str, known: impl IntoIterator<Item = &'words str>) {
        let known: Vec<&str> = known.into_iter().collect();
        let (unknown, names) = unknown_keys(mapping, &known);
        let message = format!("config contains unknown keys: {names}");
        for (key, entry) in unknown {
            self.complain(entry.key_span, path, &message).nearest(key, known.iter().copied());
        }
    }

    /// Reads a string. GitLab does not accept a number instead.
    pub fn string(&mut self, node: &Node, path: &str) -> Option<Text> {
        let text = node.string().map(|text| Spanned { value: text.into(), span: node.span });
        if text.is_none() {
            self.complain(node.span, path, "config should be a string");
        }
        text
    }

    /// Reads a duration of at most `max`. `validate_duration` accepts a string only.
    pub fn duration(&mut self, node: &Node, path: &str, max: Option<Duration>) -> Option<Spanned<Duration>> {
        let value = self.duration_by(node, path, duration::parse)?;
        if max.is_some_and(|max| value > max) {
            self.complain(node.span, path, "config should not exceed the limit");
            return None;
        }
        Some(Spanned { value, span: node.span })
    }

    /// Reads a string and converts it with `parse`.
    pub fn duration_by<T>(
        &mut self,
        node: &Node,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, DurationError>,
    ) -> Option<T> {
        let message = "config should be a duration";
        let Some(text) = node.string() else {
            let is_number = node.scalar().is_some_and(|number| !number.is_empty());
            let error = self.complain(node.span, path, message);
            if is_number {
                error.help("it must be a string with a unit, for example `10 minutes`");
            }
            return None;
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.complain(node.span, path, message).help(error.to_string());
                None
            }
        }
    }

    /// Reads a string or a list of strings.
    pub fn strings(&mut self, node: &Node, path: &str) -> Vec<Text> {
        let items = node.sequence().unwrap_or(std::slice::from_ref(node));
        let mut texts = Vec::new();
        for item in items {
            match item.text() {
                Some(text) => texts.push(Spanned { value: text.into(), span: item.span }),
                None => {
                    self.complain(item.span, path, "config should be an array of strings or a string");
                }
            }
        }
        texts
    }

    /// Reads a list of strings.
    pub fn list(&mut self, node: &Node, path: &str) -> Vec<Text> {
        let message = "config should be an array of strings";
        let Some(items) = node.sequence() else {
            self.complain(node.span, path, message);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items {
            match item.text() {
                Some(text) => texts.push(Spanned { value: text.into(), span: item.span }),
                None => {
                    self.complain(item.span, path, message);
                }
            }
        }
        texts
    }

    /// Reads a boolean.
    pub fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        match node.scalar() {
            Some("true") if node.string().is_none() => Some(true),
            Some("false") if node.string().is_none() => Some(false),
            _ => {
                self.complain(node.span, path, "config should be a boolean value");
                None
            }
        }
    }

    /// Reads the string `key` of the hash `node`. It must not be missing or blank.
    pub fn required_string(&mut self, node: &Node, mapping: &Mapping, path: &str, key: &str) {
        let path = format!("{path} {key}");
        match mapping.get(key).map(|entry| &entry.value) {
            Some(value) if !value.is_blank() => drop(self.string(value, &path)),
            value => {
                let span = value.filter(|value| !value.is_null()).unwrap_or(node).span;
                self.complain(span, &path, "can't be blank");
            }
        }
    }

    /// Reports a value that is not one of the words of the key `path`, which its parent entry validates. `type: String, inclusion:`
    pub fn unknown_word<'words>(
        &mut self,
        node: &Node,
        path: &str,
        message: &str,
        words: impl IntoIterator<Item = &'words str>,
    ) {
        if node.string().is_none() {
            self.complain(node.span, path, "should be a string");
        }
        self.complain(node.span, path, message).nearest(node.scalar().unwrap_or_default(), words);
    }

    /// Reads one of `words`, which must be a string, and returns its value. `type: String, inclusion:`
    pub fn word<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        if node.string().is_none() {
            let (above, keyword) = path.rsplit_once(':').unwrap_or(("", path));
            self.complain(node.span, above, &format!("{keyword} should be a string"));
        }
        self.one_of(node, path, words)
    }

    /// Reads one of `words` and returns its value. `inclusion:`
    pub fn one_of<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        let found = node.string().and_then(|text| words.iter().find(|(word, _)| *word == text));
        if found.is_none() {
            let all = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            // GitLab's message contains the keyword: `jobs:a:artifacts when should be …`.
            let (above, keyword) = path.rsplit_once(':').unwrap_or(("", path));
            let error = self.complain(node.span, above, &format!("{keyword} should be one of: {all}"));
            error.nearest(node.scalar().unwrap_or_default(), words.iter().map(|(word, _)| *word));
        }
        found.map(|(_, value)| *value)
    }

    /// Reads an integer in `range`. `message` is the error for any other value.
    pub fn number(
        &mut self,
        node: &Node,
        path: &str,
        range: std::ops::RangeInclusive<i64>,
        message: &str,
    ) -> Option<i64> {
        let number = node.scalar().filter(|_| node.string().is_none()).and_then(|text| text.parse::<i64>().ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.complain(node.span, path, message);
        }
        number
    }
}
