//! Reads values from a TOML document, and collects diagnostics with their positions.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use gitlab_ci::diagnostic::{Diagnostic, Diagnostics, Severity};
use gitlab_ci::source::{FileId, Sources, Span};

/// Reads values and collects diagnostics.
pub(super) struct Reader {
    sources: Sources,
    file: FileId,
    diagnostics: Diagnostics,
}

/// A table, with its name for messages.
#[derive(Clone, Copy)]
pub(super) struct Table<'doc> {
    /// `[runners.docker]`
    pub(super) name: &'static str,
    pub(super) entries: &'doc DeTable<'doc>,
}

type Value<'doc> = &'doc Spanned<DeValue<'doc>>;

impl Reader {
    pub(super) fn new(name: &str, text: &str) -> Self {
        let mut sources = Sources::default();
        let file = sources.add(name, text);
        Self { sources, file, diagnostics: Diagnostics::default() }
    }

    /// The errors and the warnings, each sorted by position.
    pub(super) fn finish(self) -> (Vec<String>, Vec<String>) {
        let line = |diagnostic: &Diagnostic| {
            let help = diagnostic.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
            format!("{}: {}{help}", self.sources.location(diagnostic.span), diagnostic.message)
        };
        let (errors, warnings): (Vec<_>, Vec<_>) =
            self.diagnostics.sorted().into_iter().partition(|it| it.severity == Severity::Error);
        (errors.into_iter().map(line).collect(), warnings.into_iter().map(line).collect())
    }

    fn span(&self, range: &Range<usize>) -> Span {
        let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { file: self.file, start: byte(range.start), end: byte(range.end) }
    }

    pub(super) fn error(&mut self, range: &Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        let span = self.span(range);
        self.diagnostics.error(span, message)
    }

    pub(super) fn warning(&mut self, range: &Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        let span = self.span(range);
        self.diagnostics.warning(span, message)
    }

    /// Reports keys that are neither `known` nor `skipped`: a warning for those that are `ignored`, an error for all others.
    pub(super) fn keys(&mut self, table: Table<'_>, known: &[&str], ignored: &[&str], skipped: &[&str]) {
        for key in table.entries.keys() {
            let (word, range) = (key.get_ref().as_ref(), key.span());
            if known.contains(&word) || skipped.contains(&word) {
                continue;
            }
            if ignored.contains(&word) {
                self.warning(&range, format!("`{word}` in {} is not supported and is ignored", table.name));
                continue;
            }
            let valid = known.iter().chain(ignored).copied();
            self.error(&range, format!("unknown key `{word}` in {}", table.name)).nearest(word, valid);
        }
    }

    fn wrong(&mut self, table: Table<'_>, key: &str, value: Value<'_>, expected: &str) {
        let found = match value.get_ref() {
            DeValue::String(text) => format!("the string {text:?}"),
            DeValue::Integer(number) => format!("the number {number}"),
            DeValue::Float(number) => format!("the number {number}"),
            DeValue::Boolean(value) => format!("`{value}`"),
            DeValue::Datetime(_) => "a date or time".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.error(&value.span(), format!("`{key}` in {} is {found}; expected {expected}", table.name));
    }

    /// The value of `key` as `read` converts it. If `read` returns `None`, reports an error that contains `expected`.
    pub(super) fn value<'doc, T>(
        &mut self,
        table: Table<'doc>,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'doc DeValue<'doc>) -> Option<T>,
    ) -> Option<T> {
        let value = table.entries.get(key)?;
        let read = read(value.get_ref());
        if read.is_none() {
            self.wrong(table, key, value, expected);
        }
        read
    }

    pub(super) fn string(&mut self, table: Table<'_>, key: &str) -> Option<String> {
        // GitLab Runner writes an empty string for a question that was not answered during registration: it means "not set".
        self.value(table, key, "a string", |value| value.as_str().map(str::to_owned)).filter(|text| !text.is_empty())
    }

    pub(super) fn boolean(&mut self, table: Table<'_>, key: &str) -> Option<bool> {
        self.value(table, key, "`true` or `false`", DeValue::as_bool)
    }

    pub(super) fn integer(&mut self, table: Table<'_>, key: &str) -> Option<i64> {
        self.value(table, key, "a number", integer)
    }

    /// A list of strings, each converted by `read`. Errors contain `expected`, the description of a valid item.
    pub(super) fn list<T>(
        &mut self,
        table: Table<'_>,
        key: &str,
        expected: &str,
        mut read: impl FnMut(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let value = table.entries.get(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong(table, key, value, &format!("a list; each item is {expected}"));
            return None;
        };
        let mut list = Vec::with_capacity(items.len());
        for item in &**items {
            match item.get_ref().as_str().and_then(&mut read) {
                Some(item) => list.push(item),
                None => self.wrong(table, key, item, expected),
            }
        }
        Some(list)
    }

    pub(super) fn strings(&mut self, table: Table<'_>, key: &str) -> Option<Vec<String>> {
        self.list(table, key, "a string", |text| Some(text.to_owned()))
    }

    /// The meaning of a string that must be one of `words`.
    pub(super) fn word<T: Copy>(&mut self, table: Table<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
        let value = table.entries.get(key)?;
        self.one_word(table, key, value, words)
    }

    /// The meanings of one string or a list of strings, each of which must be one of `words`.
    pub(super) fn words<T: Copy>(&mut self, table: Table<'_>, key: &str, words: &[(&str, T)]) -> Option<Vec<T>> {
        let value = table.entries.get(key)?;
        let items = value.get_ref().as_array().map_or(std::slice::from_ref(value), |items| &**items);
        Some(items.iter().filter_map(|item| self.one_word(table, key, item, words)).collect())
    }

    fn one_word<T: Copy>(&mut self, table: Table<'_>, key: &str, value: Value<'_>, words: &[(&str, T)]) -> Option<T> {
        let known = words.iter().map(|(word, _)| *word);
        let Some(text) = value.get_ref().as_str() else {
            let list = known.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            self.wrong(table, key, value, &format!("one of {list}"));
            return None;
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let list = known.clone().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let message = format!("`{key}` in {} is {text:?}; expected one of {list}", table.name);
            self.error(&value.span(), message).nearest(text, known);
        }
        found
    }

    /// The table `key`, called `name` in messages.
    pub(super) fn table<'doc>(&mut self, table: Table<'doc>, key: &str, name: &'static str) -> Option<Table<'doc>> {
        let entries = self.value(table, key, "a table", DeValue::as_table)?;
        Some(Table { name, entries })
    }

    /// The entries of the table `key`, whose values are strings. Empty if there is no such table.
    pub(super) fn strings_by_key(&mut self, table: Table<'_>, key: &str) -> BTreeMap<String, String> {
        let entries = self.value(table, key, "a table of strings", DeValue::as_table);
        let mut read = BTreeMap::new();
        for (name, value) in entries.into_iter().flat_map(|entries| entries.iter()) {
            match value.get_ref().as_str() {
                Some(text) => drop(read.insert(name.get_ref().to_string(), text.to_owned())),
                None => self.wrong(table, name.get_ref(), value, "a string"),
            }
        }
        read
    }

    /// The tables of the array `key`, each called `name` in messages, with their positions.
    pub(super) fn tables<'doc>(
        &mut self,
        table: Table<'doc>,
        key: &str,
        name: &'static str,
    ) -> Vec<(Table<'doc>, Range<usize>)> {
        let items = self.value(table, key, &format!("an array of tables, {name}"), DeValue::as_array);
        let mut tables = Vec::new();
        for item in items.into_iter().flat_map(|items| items.iter()) {
            match item.get_ref().as_table() {
                Some(entries) => tables.push((Table { name, entries }, item.span())),
                None => self.wrong(table, key, item, "a table"),
            }
        }
        tables
    }
}

/// An integer in any of TOML's notations.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
