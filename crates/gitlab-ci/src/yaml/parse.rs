//! Parses text into nodes.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle};

use super::node::{Entry, Mapping, Node, Value};
use super::scalar::{self, Plain};
use super::size;
use crate::diagnostic::Diagnostics;
use crate::source::{FileId, Sources, Span};

/// The maximum depth of a document: GitLab's default of `max_yaml_depth`.
const MAX_DEPTH: usize = 100;

/// Parses a text of `sources` and returns its documents. If the text is not valid YAML or too large, reports that to
/// `diagnostics` and returns no documents.
pub fn compose(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> Vec<Node> {
    let Some(text) = sources.file(file).map(|file| Arc::clone(&file.text)) else { return Vec::new() };
    let options = granit_parser::options! { emit_comments: false };
    let mut composer =
        Composer { file, diagnostics, frames: Vec::new(), anchors: HashMap::new(), documents: Vec::new() };
    let mut parser = Parser::new_from_str_with_options(&text, options);
    while let Some(next) = parser.next_event() {
        let result = match next {
            Ok((event, span)) => composer.event(event, composer.span(&span)),
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or_default();
                let length = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
                let span = composer.place(at..at + length);
                // GitLab shows Psych's message instead, which differs for nearly every mistake.
                composer.diagnostics.error(span, format!("Invalid configuration format: {}", error.info()));
                return Vec::new();
            }
        };
        if result.is_none() {
            return Vec::new();
        }
    }
    composer.documents
}

struct Composer<'reading> {
    file: FileId,
    diagnostics: &'reading mut Diagnostics,
    frames: Vec<Frame>,
    /// The value of each anchor, and its size.
    anchors: HashMap<usize, (Node, usize)>,
    documents: Vec<Node>,
}

/// A list or mapping that is being read.
struct Frame {
    start: Span,
    anchor: usize,
    /// The size of its content so far.
    size: usize,
    content: Content,
}

enum Content {
    Sequence { items: Vec<Node>, is_reference: bool },
    Mapping { mapping: Mapping, key: Option<Key> },
}

enum Key {
    /// The text, its place, and whether it is a string for Ruby.
    Plain(Arc<str>, Span, bool),
    Merge(Span),
    /// A key that is a list or a mapping. Its value is dropped.
    Ignored,
}

impl Composer<'_> {
    fn span(&self, span: &granit_parser::Span) -> Span {
        self.place(span.byte_range().unwrap_or_default())
    }

    fn place(&self, range: std::ops::Range<usize>) -> Span {
        let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { file: self.file, start: byte(range.start), end: byte(range.end) }
    }

    /// Returns `None` if parsing cannot continue.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if is_reference(tag.as_deref()) {
                    let value = serde_json::Value::from(text.as_ref());
                    self.refuse_reference(span, &value.to_string());
                }
                let is_string = tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let value = if style == ScalarStyle::Plain && !is_string {
                    match scalar::resolve(&text) {
                        Plain::Value(value) => value,
                        Plain::Refused(class) => {
                            // Psych's message.
                            let error =
                                self.diagnostics.error(span, format!("Tried to load unspecified class: {class}"));
                            error.help(format!("quote it: '{text}'"));
                            Value::String(text.as_ref().into())
                        }
                    }
                } else {
                    Value::String(text.as_ref().into())
                };
                let size = size::without_content(&value);
                self.add(Node::new(span, value), anchor, size)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let is_reference = is_reference(tag.as_deref());
                self.begin(span, anchor, Content::Sequence { items: Vec::new(), is_reference })
            }
            Event::MappingStart(_, anchor, tag) => {
                if is_reference(tag.as_deref()) {
                    self.refuse_reference(span, "of a hash");
                }
                self.begin(span, anchor, Content::Mapping { mapping: Mapping::default(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    self.diagnostics.error(span, "an alias cannot be used inside the value of its own anchor");
                    return None;
                };
                self.add(node, 0, size)
            }
            _ => Some(()),
        }
    }

    fn begin(&mut self, start: Span, anchor: usize, content: Content) -> Option<()> {
        if self.frames.len() >= MAX_DEPTH {
            return self.too_big(start);
        }
        self.frames.push(Frame { start, anchor, size: 0, content });
        Some(())
    }

    fn too_big(&mut self, span: Span) -> Option<()> {
        // GitLab uses the same message for a document that is too deep.
        self.diagnostics.error(span, "The parsed YAML is too big");
        None
    }

    fn end(&mut self, end: Span) -> Option<()> {
        let Frame { start, anchor, size, content } = self.frames.pop()?;
        let span = Span { end: end.end.max(start.end), ..start };
        let value = match content {
            Content::Sequence { items, is_reference: false } => Value::Sequence(items.into()),
            Content::Sequence { items, is_reference: true } => self.reference(&items, span),
            Content::Mapping { mapping, .. } => Value::Mapping(Arc::new(mapping)),
        };
        // The items of a reference are a part of its value and counted there.
        let size = if matches!(value, Value::Reference(_)) { 0 } else { size };
        let size = size.saturating_add(size::without_content(&value));
        self.add(Node::new(span, value), anchor, size)
    }

    fn reference(&mut self, items: &[Node], span: Span) -> Value {
        let path: Option<Arc<[Arc<str>]>> = items.iter().map(|item| Some(item.string()?.into())).collect();
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            return Value::Reference(path);
        }
        let items: Vec<String> = items.iter().map(|item| item.json().to_string()).collect();
        self.refuse_reference(span, &format!("[{}]", items.join(", ")));
        Value::Null
    }

    /// `lib/gitlab/ci/config/yaml/tags/reference.rb`
    fn refuse_reference(&mut self, span: Span, value: &str) {
        let error = self.diagnostics.error(span, format!("!reference {value} is not valid"));
        error.help("write a list of strings: `!reference [job, keyword]`");
    }

    fn add(&mut self, node: Node, anchor: usize, size: usize) -> Option<()> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(frame) = self.frames.last_mut() else {
            if size > size::GITLAB_MAX_FILE {
                let start = Span { end: node.span.start + 1, ..node.span };
                let warning = self
                    .diagnostics
                    .warning(start, "The parsed YAML is too big for a GitLab instance with the default settings");
                warning.help("it is larger than 2 MiB, the default of `max_yaml_size_bytes`");
            }
            self.documents.push(node);
            return Some(());
        };
        frame.size = frame.size.saturating_add(size);
        if frame.size > size::MAX_FILE {
            return self.too_big(node.span);
        }
        match &mut frame.content {
            Content::Sequence { items, .. } => items.push(node),
            Content::Mapping { mapping, key } => match key.take() {
                None => *key = Some(as_key(&node, self.diagnostics)),
                Some(Key::Ignored) => {}
                Some(Key::Merge(at)) => merge(mapping, &node, at, self.diagnostics),
                Some(Key::Plain(name, key_span, has_string_key)) => {
                    if let Some(first) = mapping.get(&name)
                        && first.is_own(key_span)
                    {
                        let warning = self.diagnostics.warning(key_span, format!("duplicate key `{name}`"));
                        warning.help("the last one wins, as in GitLab");
                    }
                    mapping.insert(name, Entry { key_span, value: node, is_merged: false, has_string_key });
                }
            },
        }
        Some(())
    }
}

impl Entry {
    /// Whether the key is written before `later` in the same file, and was not merged by `<<`.
    fn is_own(&self, later: Span) -> bool {
        !self.is_merged && self.key_span.file == later.file
    }
}

fn is_reference(tag: Option<&granit_parser::Tag>) -> bool {
    tag.is_some_and(|tag| tag.is_custom() && tag.suffix() == "reference")
}

fn as_key(node: &Node, diagnostics: &mut Diagnostics) -> Key {
    match node.scalar() {
        Some("<<") => Key::Merge(node.span),
        Some(text) => Key::Plain(text.into(), node.span, node.string().is_some()),
        None if node.is_null() => Key::Plain("".into(), node.span, false),
        None => {
            diagnostics.error(node.span, format!("a key cannot be {}", node.kind()));
            Key::Ignored
        }
    }
}

/// Merges `<<: *base`, or a list of such values, of which the first has precedence. As in Psych, merged entries replace
/// those written before the `<<` and are replaced by those written after it.
fn merge(mapping: &mut Mapping, from: &Node, at: Span, diagnostics: &mut Diagnostics) {
    let sources: Vec<&Node> = from.sequence().map_or_else(|| vec![from], |items| items.iter().rev().collect());
    for source in sources {
        match source.mapping() {
            Some(entries) => {
                for (key, entry) in entries {
                    mapping.insert(Arc::clone(key), Entry { is_merged: true, ..entry.clone() });
                }
            }
            None => {
                diagnostics.error(at, format!("`<<` merges hashes, not {}", source.kind()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> (Vec<serde_json::Value>, Vec<String>) {
        let mut sources = Sources::default();
        let file = sources.add("a.yml", text);
        let mut diagnostics = Diagnostics::default();
        let documents = compose(&sources, file, &mut diagnostics);
        let messages =
            diagnostics.sorted().iter().map(|it| format!("{}: {}", sources.location(it.span), it.message)).collect();
        (documents.iter().map(Node::json).collect(), messages)
    }

    #[rstest]
    #[case::mapping("a: 1\nb: [x, 'y']\n", json!({"a": 1, "b": ["x", "y"]}))]
    #[case::quoted_is_string("a: '1'\nb: \"yes\"\n", json!({"a": "1", "b": "yes"}))]
    #[case::block("a: |\n  x\n  y\n", json!({"a": "x\ny\n"}))]
    #[case::tagged_string("a: !!str 1\n", json!({"a": "1"}))]
    #[case::number_as_key("1: a\n", json!({"1": "a"}))]
    #[case::alias("a: &x {k: v}\nb: *x\n", json!({"a": {"k": "v"}, "b": {"k": "v"}}))]
    #[case::merge("a: &x {k: v, l: v}\nb: {<<: *x, k: w}\n", json!({"a": {"k": "v", "l": "v"}, "b": {"k": "w", "l": "v"}}))]
    #[case::a_merge_replaces_earlier_keys("a: &x {k: v}\nb: {k: w, <<: *x}\n", json!({"a": {"k": "v"}, "b": {"k": "v"}}))]
    #[case::the_first_of_several_merges_wins("b: {<<: [{k: 1}, {k: 2, l: 3}]}\n", json!({"b": {"k": 1, "l": 3}}))]
    #[case::reference("a: !reference [.b, script]\n", json!({"a": "!reference [\".b\", \"script\"]"}))]
    fn parses_documents(#[case] text: &str, #[case] expected: serde_json::Value) {
        assert_eq!(read(text), (vec![expected], Vec::new()));
    }

    #[rstest]
    #[case::duplicate("a: 1\nb: 2\na: 3\n", "a.yml:3:1: duplicate key `a`")]
    #[case::date("a:\n  b: 2020-01-31\n", "a.yml:2:6: Tried to load unspecified class: Date")]
    #[case::merging_a_string("a: {<<: b}\n", "a.yml:1:5: `<<` merges hashes, not a string")]
    #[case::structure_as_key("? [a]\n: b\n", "a.yml:1:3: a key cannot be an array")]
    #[case::empty_reference("a: !reference []\n", "a.yml:1:15: !reference [] is not valid")]
    #[case::reference_with_a_number("a: !reference [b, 1]\n", "a.yml:1:15: !reference [\"b\", 1] is not valid")]
    #[case::reference_of_a_word("a: !reference foo\n", "a.yml:1:15: !reference \"foo\" is not valid")]
    #[case::reference_of_a_hash("a: !reference {b: c}\n", "a.yml:1:15: !reference of a hash is not valid")]
    fn reports_mistakes(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(read(text).1, [expected]);
    }

    #[rstest]
    #[case::unclosed("a: [1\n")]
    #[case::tabs("a:\n\t- b\n")]
    #[case::unknown_alias("a: *x\n")]
    #[case::alias_of_itself("a: &x [*x]\n")]
    fn rejects_invalid_yaml(#[case] text: &str) {
        let (documents, messages) = read(text);
        assert_eq!((documents.len(), messages.len()), (0, 1), "{messages:?}");
    }

    #[rstest]
    #[case::at_the_end("a: [")]
    #[case::at_a_letter("a: ]ä")]
    #[case::before_a_letter("ä: ä: ä")]
    fn error_places_are_within_the_text(#[case] text: &str) {
        let mut sources = Sources::default();
        let file = sources.add("", text);
        let mut diagnostics = Diagnostics::default();
        compose(&sources, file, &mut diagnostics);
        let span = diagnostics.sorted()[0].span;
        assert!(text.get(span.start as usize..span.end as usize).is_some(), "{span:?}");
    }

    #[test]
    fn rejects_exponential_aliases() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text.extend([format!("a{level}: &a{level} [{aliases}]\n")]);
        }
        let (documents, messages) = read(&text);
        assert!(documents.is_empty());
        assert!(messages[0].ends_with("The parsed YAML is too big"), "{messages:?}");
    }

    #[test]
    fn rejects_deep_nesting() {
        let (documents, messages) = read(&format!("a: {}{}\n", "[".repeat(200), "]".repeat(200)));
        assert!(documents.is_empty());
        assert!(messages[0].ends_with("The parsed YAML is too big"), "{messages:?}");
    }

    #[test]
    fn parses_two_documents() {
        assert_eq!(read("spec: {inputs: {}}\n---\na: 1\n").0, [json!({"spec": {"inputs": {}}}), json!({"a": 1})]);
    }
}
