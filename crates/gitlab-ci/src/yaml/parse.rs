//! Parses text into nodes.

mod check;
mod refuse;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use super::keys::{Key, as_key, merge};
use super::libyaml::Accepted;
use super::node::{Entry, Mapping, Node, Value};
use super::scalar;
use super::{libyaml, size, tag};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{FileId, Sources, Span};

/// The maximum depth of a document: GitLab's default of `max_yaml_depth`.
const MAX_DEPTH: usize = 100;

/// Parses a text of `sources` and returns its documents, without those that have no value at all. If the text is not valid YAML or
/// too large, reports that to `diagnostics` and returns no documents.
///
/// GitLab cuts a text into parts, and reads the first document of each part.
pub fn compose(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> Vec<Node> {
    let Some(text) = sources.file(file).map(|file| Arc::clone(&file.text)) else { return Vec::new() };
    let mut documents = Vec::new();
    for (base, part) in libyaml::parts(&text) {
        match first_document(part, (file, base), diagnostics) {
            Ok(document) => documents.extend(document),
            Err(Reported) => return Vec::new(),
        }
    }
    documents
}

/// The text is not valid, which has been reported.
struct Reported;

/// Reads the first document of a text that begins at the byte `base` of a file.
fn first_document(
    text: &str,
    (file, base): (FileId, usize),
    diagnostics: &mut Diagnostics,
) -> Result<Option<Node>, Reported> {
    let mut accepted = Accepted::new(text);
    loop {
        let mut composer = Composer {
            file,
            base,
            text,
            dashes: &accepted.dashes,
            diagnostics,
            frames: Vec::new(),
            anchors: HashMap::new(),
            document: None,
            tabs: libyaml::tabs(text),
            read_until: 0,
        };
        let Err(error) = composer.parse(&accepted.text) else { return Ok(composer.document) };
        let (at, message) = error.ok_or(Reported)?;
        // Reading again from the start repeats the diagnostics, and the list drops duplicates.
        if !accepted.accept(at) {
            let length = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            let span = to_span(file, base + at..base + at + length);
            // GitLab shows Psych's message instead, which differs for nearly every mistake.
            diagnostics.error(span, format!("Invalid configuration format: {message}"));
            return Err(Reported);
        }
    }
}

/// The warning about a document that has no effect.
pub const IGNORED: &str = "only the first document of the file is read";

struct Composer<'reading> {
    file: FileId,
    /// Where `text` begins in the file. Positions in `text` are relative to it, and spans are not.
    base: usize,
    text: &'reading str,
    /// The positions of dashes that the parser reads as another character.
    dashes: &'reading [usize],
    diagnostics: &'reading mut Diagnostics,
    frames: Vec<Frame>,
    /// The value of each anchor, and its size.
    anchors: HashMap<usize, (Node, usize)>,
    document: Option<Node>,
    /// The positions of tabs that no scalar or brackets have enclosed so far.
    tabs: Vec<usize>,
    /// Where the last scalar, alias or pair of brackets ends.
    read_until: usize,
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
    Mapping { mapping: Mapping, key: Option<Key>, is_reference: bool },
}

impl Composer<'_> {
    /// Reads the first document. Fails with the position and the message of an error, or with `None` if it has been reported.
    fn parse(&mut self, text: &str) -> Result<(), Option<(usize, String)>> {
        if let Some((range, message)) = libyaml::no_document(text) {
            self.syntax_error(range, message).help("remove the line");
            return Err(None);
        }
        let mut parser = Parser::new_from_str_with_options(text, granit_parser::options! { emit_comments: false });
        while let Some(next) = parser.next_event() {
            match next {
                Ok((Event::DocumentEnd, span)) => {
                    self.warn_of_ignored_text(span.byte_range().unwrap_or_default().start);
                    break;
                }
                Ok((event, span)) => {
                    let span = self.to_span(span.byte_range().unwrap_or_default());
                    self.check_anchor(&event, span).ok_or(None)?;
                    self.event(event, span).ok_or(None)?;
                }
                Err(error) => {
                    return Err(Some((error.marker().byte_offset().unwrap_or_default(), error.info().clone())));
                }
            }
        }
        if let Some(at) = self.tabs.first().copied() {
            self.syntax_error(at..at + 1, "found character that cannot start any token").help("remove the tab");
            return Err(None);
        }
        Ok(())
    }

    fn warn_of_ignored_text(&mut self, end: usize) {
        self.tabs.retain(|at| *at < end);
        let Some(at) = self.text.get(end..).and_then(libyaml::content).map(|at| end + at) else { return };
        let length = self.text.get(at..).and_then(|rest| rest.lines().next()).map_or(0, str::len);
        let warning = self.diagnostics.warning(to_span(self.file, self.base + at..self.base + at + length), IGNORED);
        warning.help("what follows the end of a document is ignored");
    }

    /// The span of a range of `text`.
    fn to_span(&self, range: Range<usize>) -> Span {
        to_span(self.file, self.base + range.start..self.base + range.end)
    }

    /// The range of `text` at `span`.
    fn range(&self, span: Span) -> Range<usize> {
        (span.start as usize).saturating_sub(self.base)..(span.end as usize).saturating_sub(self.base)
    }

    /// Returns `None` if parsing cannot continue.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_dash = &*text == libyaml::DASH && self.dashes.contains(&self.range(span).start);
                let text = if is_dash { "-".into() } else { self.without_added_break(text, style, span) };
                self.check_scalar(&text, style, anchor, span)?;
                let read = match (tag.as_deref(), style) {
                    (Some(tag), _) if is_reference(Some(tag)) => {
                        // `validation_error_message` of `lib/gitlab/ci/config/yaml/tags/base.rb`
                        let value = serde_json::Value::from(text.as_ref()).to_string();
                        self.refuse_reference(span, if text.trim().is_empty() { "[]" } else { &value });
                        Ok(Value::Null)
                    }
                    (Some(tag), _) => tag::resolve(tag, &text),
                    (None, ScalarStyle::Plain) => scalar::resolve(&text),
                    (None, _) => Ok(Value::String(text.as_ref().into())),
                };
                let value = read.unwrap_or_else(|refused| {
                    self.refuse(span, &refused, &text, tag.is_some());
                    Value::String(text.as_ref().into())
                });
                let size = size::without_content(&value);
                self.add(Node::new(span, value), anchor, size)
            }
            Event::SequenceStart(style, anchor, tag) => {
                let is_reference = is_reference(tag.as_deref());
                self.check_list(span, tag.as_deref());
                self.begin((span, anchor, style), Content::Sequence { items: Vec::new(), is_reference })
            }
            Event::MappingStart(style, anchor, tag) => {
                self.check_hash(span, tag.as_deref())?;
                let is_reference = is_reference(tag.as_deref());
                let content = Content::Mapping { mapping: Mapping::default(), key: None, is_reference };
                self.begin((span, anchor, style), content)
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
                self.read_until = self.range(span).end;
                Some(())
            }
            _ => Some(()),
        }
    }

    /// An error in a text that libyaml refuses.
    fn syntax_error(&mut self, range: Range<usize>, message: &str) -> &mut Diagnostic {
        self.diagnostics.error(self.to_span(range), format!("Invalid configuration format: {message}"))
    }

    /// Removes the line break that the parser adds to a block scalar at the end of a text without one.
    fn without_added_break<'event>(&self, text: Cow<'event, str>, style: ScalarStyle, span: Span) -> Cow<'event, str> {
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let is_at_end = is_block && self.range(span).end >= self.text.len();
        let last_line = self.text.rsplit('\n').next().unwrap_or_default();
        // A last line of spaces is content if it is longer than the indentation.
        let content = text.strip_suffix('\n').and_then(|text| text.rsplit('\n').next()).unwrap_or_default();
        let is_content = !last_line.trim().is_empty() || !content.is_empty() && last_line.ends_with(content);
        let is_added = is_at_end && is_content;
        match text.strip_suffix('\n').filter(|_| is_added) {
            Some(whole) => Cow::Owned(whole.to_owned()),
            None => text,
        }
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
        // What follows a block ends it, so the parser's position is that of the next token.
        let span = Span { end: if is_flow { end.end } else { last }.max(start.end), ..start };
        if is_flow {
            self.enclose(span);
        }
        let value = match content {
            Content::Sequence { items, is_reference: false } => Value::Sequence(items.into()),
            Content::Sequence { items, is_reference: true } => self.reference(&items, span),
            Content::Mapping { mapping, is_reference: false, .. } => Value::Mapping(Arc::new(mapping)),
            Content::Mapping { mapping, .. } => {
                let value = Node::new(span, Value::Mapping(Arc::new(mapping))).inspect();
                self.refuse_reference(span, if value == "{}" { "[]" } else { &value });
                Value::Null
            }
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
            self.document = Some(node);
            return Some(());
        };
        frame.size = frame.size.saturating_add(size);
        frame.end = frame.end.max(node.span.end);
        if frame.size > size::MAX_FILE {
            return self.too_big(node.span);
        }
        match &mut frame.content {
            Content::Sequence { items, .. } => items.push(node),
            Content::Mapping { mapping, key, .. } => match key.take() {
                None => *key = Some(as_key(&node)),
                Some(Key::Merge(at)) => merge(mapping, node, at),
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

fn to_span(file: FileId, range: Range<usize>) -> Span {
    let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span { file, start: byte(range.start), end: byte(range.end) }
}

fn is_reference(tag: Option<&granit_parser::Tag>) -> bool {
    tag.is_some_and(|tag| tag.is_custom() && tag.suffix() == "reference")
}

#[cfg(test)]
mod tests;
