//! Parses text into nodes.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use super::node::{Entry, KeyKind, Mapping, Node, Value};
use super::scalar::{self, Plain};
use super::{libyaml, size, tag};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{FileId, Sources, Span};

/// The maximum depth of a document: GitLab's default of `max_yaml_depth`.
const MAX_DEPTH: usize = 100;

/// Parses a text of `sources` and returns its documents. If the text is not valid YAML or too large, reports that to
/// `diagnostics` and returns no documents.
pub fn compose(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> Vec<Node> {
    let Some(text) = sources.file(file).map(|file| Arc::clone(&file.text)) else { return Vec::new() };
    let options = granit_parser::options! { emit_comments: false };
    let mut composer = Composer {
        file,
        text: &text,
        diagnostics,
        frames: Vec::new(),
        anchors: HashMap::new(),
        documents: Vec::new(),
        tabs: libyaml::tabs(&text),
    };
    if let Some(range) = libyaml::directive(&text) {
        composer.syntax_error(range, "found a directive, but expected <document start>").help("remove the line");
        return Vec::new();
    }
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
    if let Some(at) = composer.tabs.first().copied() {
        composer.syntax_error(at..at + 1, "found character that cannot start any token").help("remove the tab");
        return Vec::new();
    }
    composer.documents
}

struct Composer<'reading> {
    file: FileId,
    text: &'reading str,
    diagnostics: &'reading mut Diagnostics,
    frames: Vec<Frame>,
    /// The value of each anchor, and its size.
    anchors: HashMap<usize, (Node, usize)>,
    documents: Vec<Node>,
    /// The places of tabs that no quotes or brackets have enclosed so far.
    tabs: Vec<usize>,
}

/// A list or mapping that is being read.
struct Frame {
    start: Span,
    anchor: usize,
    /// Whether it is written in brackets.
    is_flow: bool,
    /// Where its last item or value ends.
    end: u32,
    /// The size of its content so far.
    size: usize,
    content: Content,
}

enum Content {
    Sequence { items: Vec<Node>, is_reference: bool },
    Mapping { mapping: Mapping, key: Option<Key> },
}

enum Key {
    Plain(Arc<str>, Span, KeyKind),
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
                self.check_scalar(&text, style, span)?;
                let tag = tag.as_deref().filter(|tag| !is_reference(Some(tag)));
                let read = match (tag, style) {
                    (Some(tag), _) => tag::resolve(tag, &text),
                    (None, ScalarStyle::Plain) => scalar::resolve(&text),
                    (None, _) => Plain::Value(Value::String(text.as_ref().into())),
                };
                let value = match read {
                    Plain::Value(value) => value,
                    Plain::Refused(class) => {
                        self.refuse_class(span, class).help(format!("quote it: '{text}'"));
                        Value::String(text.as_ref().into())
                    }
                };
                let size = size::without_content(&value);
                self.add(Node::new(span, value), anchor, size)
            }
            Event::SequenceStart(style, anchor, tag) => {
                let is_reference = is_reference(tag.as_deref());
                self.check_class(span, tag.as_deref());
                self.begin((span, anchor, style), Content::Sequence { items: Vec::new(), is_reference })
            }
            Event::MappingStart(style, anchor, tag) => {
                self.check_class(span, tag.as_deref());
                if is_reference(tag.as_deref()) {
                    self.refuse_reference(span, "of a hash");
                }
                self.begin((span, anchor, style), Content::Mapping { mapping: Mapping::default(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    self.diagnostics.error(span, "an alias cannot be used inside the value of its own anchor");
                    return None;
                };
                self.add(node, 0, size)?;
                if let Some(frame) = self.frames.last_mut() {
                    frame.end = span.end;
                }
                Some(())
            }
            _ => Some(()),
        }
    }

    /// An error in a text that libyaml refuses.
    fn syntax_error(&mut self, range: std::ops::Range<usize>, message: &str) -> &mut Diagnostic {
        self.diagnostics.error(self.place(range), format!("Invalid configuration format: {message}"))
    }

    /// Reports a scalar that libyaml refuses. Returns `None` for one.
    fn check_scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Option<()> {
        let (start, end) = (span.start as usize, span.end as usize);
        self.enclose(span, matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted));
        let is_flow = self.frames.last().is_some_and(|frame| frame.is_flow);
        if style == ScalarStyle::Plain && is_flow && text.starts_with(':') {
            let error = self.syntax_error(start..end, "did not find expected node content");
            error.help(format!("a value in brackets cannot start with a colon; quote it: '{text}'"));
            return None;
        }
        let source = self.text.get(start..end).filter(|_| style == ScalarStyle::DoubleQuoted);
        if let Some(range) = source.and_then(libyaml::surrogate) {
            let range = start + range.start..start + range.end;
            let error = self.syntax_error(range, "found invalid Unicode character escape code");
            error.help("write the character itself, or `\\U` and eight digits");
            return None;
        }
        Some(())
    }

    /// Tabs within quotes and brackets are white space.
    fn enclose(&mut self, span: Span, is_enclosing: bool) {
        if is_enclosing && !self.tabs.is_empty() {
            self.tabs.retain(|at| !(span.start as usize..span.end as usize).contains(at));
        }
    }

    fn check_class(&mut self, span: Span, tag: Option<&granit_parser::Tag>) {
        if let Some(class) = tag.and_then(tag::refused_class) {
            self.refuse_class(span, class).help("remove the tag");
        }
    }

    /// Psych's message.
    fn refuse_class(&mut self, span: Span, class: &str) -> &mut Diagnostic {
        self.diagnostics.error(span, format!("Tried to load unspecified class: {class}"))
    }

    fn begin(&mut self, (start, anchor, style): (Span, usize, StructureStyle), content: Content) -> Option<()> {
        if self.frames.len() >= MAX_DEPTH {
            return self.too_big(start);
        }
        self.frames.push(Frame {
            start,
            anchor,
            is_flow: style == StructureStyle::Flow,
            end: start.end,
            size: 0,
            content,
        });
        Some(())
    }

    fn too_big(&mut self, span: Span) -> Option<()> {
        // GitLab uses the same message for a document that is too deep.
        self.diagnostics.error(span, "The parsed YAML is too big");
        None
    }

    fn end(&mut self, end: Span) -> Option<()> {
        let Frame { start, anchor, is_flow, end: last, size, content } = self.frames.pop()?;
        // What follows a block ends it, so the parser's place is that of the next token.
        let span = Span { end: if is_flow { end.end } else { last }.max(start.end), ..start };
        self.enclose(span, is_flow);
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
        frame.end = frame.end.max(node.span.end);
        if frame.size > size::MAX_FILE {
            return self.too_big(node.span);
        }
        match &mut frame.content {
            Content::Sequence { items, .. } => items.push(node),
            Content::Mapping { mapping, key } => match key.take() {
                None => *key = Some(as_key(&node, self.diagnostics)),
                Some(Key::Ignored) => {}
                Some(Key::Merge(at)) => merge(mapping, &node, at, self.diagnostics),
                Some(Key::Plain(name, key_span, key_kind)) => {
                    if let Some(first) = mapping.get(&name)
                        && first.is_own(key_span)
                    {
                        let warning = self.diagnostics.warning(key_span, format!("duplicate key `{name}`"));
                        warning.help("the last one wins, as in GitLab");
                    }
                    mapping.insert(name, Entry { key_span, value: node, is_merged: false, key_kind });
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
        Some(text) => {
            let kind = match node.value {
                Value::String(_) | Value::Symbol(_) => KeyKind::Text,
                Value::Integer(_) => KeyKind::Integer,
                _ => KeyKind::Other,
            };
            Key::Plain(text.into(), node.span, kind)
        }
        None if node.is_null() => Key::Plain("".into(), node.span, KeyKind::Other),
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
mod tests;
