//! Replaces inputs in the tree of a file. `lib/gitlab/ci/config/interpolation/template.rb`, `config.rb`
//!
//! GitLab parses the YAML first. A value therefore cannot end a string, start a list or become a comment, and blocks in
//! comments are ignored. A scalar that consists of one block becomes the value of the input, with its type.

use std::sync::Arc;

use super::block::{self, Block, BlockError, Data};
use super::values::{Inputs, text_of};
use crate::diagnostic::Diagnostics;
use crate::gitlab_version::GitlabVersion;
use crate::source::{Sources, Span};
use crate::yaml::node::{Entry, Mapping, Node, Value};
use crate::yaml::size;

/// GitLab's `MAX_BLOCKS`. GitLab counts equal blocks once.
const MAX_BLOCKS: usize = 10_000;

/// The maximum depth of the tree after the replacement, the same as of a file: `max_yaml_depth`.
const MAX_DEPTH: usize = 100;

/// Replaces every block in the keys and scalars of a tree. A block that cannot be evaluated is reported and stays as
/// written. `component` lists the data about its component that the file may use.
pub fn interpolate(
    root: &Node,
    inputs: &Inputs,
    component: &[Arc<str>],
    expand: &dyn Fn(&str) -> String,
    sources: &Sources,
    diagnostics: &mut Diagnostics,
) -> Node {
    let data = Data { inputs, component, expand };
    let mut interpolator =
        Interpolator { data, sources, diagnostics, blocks: 0, inserted: 0, depth: 0, has_exceeded_limit: false };
    interpolator.node(root).unwrap_or_else(|| root.clone())
}

struct Interpolator<'file> {
    data: Data<'file>,
    sources: &'file Sources,
    diagnostics: &'file mut Diagnostics,
    blocks: usize,
    /// The size of all inserted values.
    inserted: usize,
    depth: usize,
    /// Whether a limit was exceeded. Nothing is replaced after that.
    has_exceeded_limit: bool,
}

impl<'file> Interpolator<'file> {
    /// Returns the replacement of a node, or `None` if it has no blocks and need not be copied.
    fn node(&mut self, node: &Node) -> Option<Node> {
        self.depth += 1;
        let value = match &node.value {
            Value::String(text) => self.text(text, node.span),
            Value::Sequence(items) => self.items(items),
            Value::Mapping(mapping) => self.mapping(mapping),
            // GitLab represents `!reference` by an object of its own, in which nothing is replaced.
            _ => None,
        };
        self.depth -= 1;
        value.map(|value| Node::new(node.span, value))
    }

    fn items(&mut self, items: &[Node]) -> Option<Value> {
        let replaced: Vec<Option<Node>> = items.iter().map(|item| self.node(item)).collect();
        let is_same = replaced.iter().all(Option::is_none);
        let all = replaced.into_iter().zip(items).map(|(replaced, item)| replaced.unwrap_or_else(|| item.clone()));
        (!is_same).then(|| Value::Sequence(all.collect()))
    }

    fn mapping(&mut self, mapping: &Mapping) -> Option<Value> {
        let mut is_same = true;
        let mut replaced = Mapping::default();
        for (key, entry) in mapping {
            let new_key = self.text(key, entry.key_span).map(|value| text_of(&Node::new(entry.key_span, value)));
            let value = self.node(&entry.value);
            is_same &= new_key.is_none() && value.is_none();
            let key = new_key.map_or_else(|| Arc::clone(key), Into::into);
            let value = value.unwrap_or_else(|| entry.value.clone());
            replaced.insert(key, Entry { value, ..entry.clone() });
        }
        (!is_same).then(|| Value::Mapping(Arc::new(replaced)))
    }

    fn text(&mut self, text: &str, span: Span) -> Option<Value> {
        let first = block::find(text)?;
        if first.before.is_empty() && first.after.is_empty() {
            return self.value(first, &mut self.locator(span)).map(|node| node.value);
        }
        let mut locator = self.locator(span);
        let filled = block::fill(text, &mut |block| self.value(block, &mut locator));
        Some(Value::String(filled.into()))
    }

    fn locator(&self, span: Span) -> BlockLocator<'file> {
        let file = self.sources.file(span.file);
        let written = file.and_then(|file| file.text.get(span.start as usize..span.end as usize));
        BlockLocator { scalar: span, written: written.unwrap_or_default(), from: 0 }
    }

    fn value(&mut self, block: Block<'_>, locator: &mut BlockLocator<'file>) -> Option<Node> {
        let span = locator.next(block.whole);
        if self.has_exceeded_limit {
            return None;
        }
        self.blocks += 1;
        if self.blocks > MAX_BLOCKS {
            return self.give_up(span, "too many interpolation blocks");
        }
        if block.data.split('|').skip(1).any(|function| function.trim() == "posix_escape") {
            // <https://docs.gitlab.com/ci/inputs/#posix_escape>
            self.diagnostics.since(GitlabVersion::new(18, 6), span, "posix_escape");
        }
        let value = match block::value(block.data, &self.data) {
            Ok(value) => value?,
            Err(error) => {
                self.report(span, error);
                return None;
            }
        };
        // A file can pass a value on twice to another file, which passes it on twice, and so on.
        self.inserted = self.inserted.saturating_add(size::tree(&value));
        if self.inserted > size::GITLAB_MAX_FILE || self.depth + depth(&value) > MAX_DEPTH {
            return self.give_up(span, "config too large");
        }
        Some(value)
    }

    fn give_up(&mut self, span: Span, message: &str) -> Option<Node> {
        self.has_exceeded_limit = true;
        self.diagnostics.error(span, message);
        None
    }

    fn report(&mut self, span: Span, BlockError { message, name }: BlockError) {
        let error = self.diagnostics.error(span, message);
        let Some(name) = name else { return };
        let names: Vec<&str> = self.data.inputs.keys().map(String::as_str).collect();
        if !names.is_empty() {
            error.help(format!(
                "available: {}",
                names.iter().map(|name| format!("inputs.{name}")).collect::<Vec<_>>().join(", ")
            ));
        }
        error.nearest(&name, names);
    }
}

/// Locates blocks in the source text of a scalar.
struct BlockLocator<'file> {
    scalar: Span,
    /// The scalar as written, with its quotes and line breaks.
    written: &'file str,
    from: usize,
}

impl BlockLocator<'_> {
    /// Returns the position of the next block, or of the whole scalar if the block is written differently in the source,
    /// for example with escape sequences.
    fn next(&mut self, block: &str) -> Span {
        let rest = self.written.get(self.from..).unwrap_or_default();
        let Some(at) = rest.find(block) else { return self.scalar };
        let start = self.from + at;
        self.from = start + block.len();
        let byte = |at: usize| self.scalar.start.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
        Span { file: self.scalar.file, start: byte(start), end: byte(self.from) }
    }
}

fn depth(node: &Node) -> usize {
    let below = match &node.value {
        Value::Sequence(items) => items.iter().map(depth).max(),
        Value::Mapping(mapping) => mapping.values().map(|entry| depth(&entry.value)).max(),
        _ => return 0,
    };
    1 + below.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::yaml::parse::compose;

    const INPUTS: &str = "{word: 'a: b', version: '1.10', answer: 'yes', count: 3, flag: true, list: [x, y], hash: {k: v}, nothing: null}";

    fn interpolated(text: &str) -> (serde_json::Value, Vec<String>) {
        let mut sources = Sources::default();
        let mut diagnostics = Diagnostics::default();
        let file = sources.add("inputs", INPUTS);
        let inputs = compose(&sources, file, &mut diagnostics).remove(0);
        let inputs = inputs.mapping().unwrap().iter().map(|(name, entry)| (name.to_string(), entry.value.clone()));
        let inputs = inputs.collect();
        let file = sources.add("a.yml", text);
        let root = compose(&sources, file, &mut diagnostics).remove(0);
        let root = interpolate(&root, &inputs, &[], &str::to_owned, &sources, &mut diagnostics);
        let reported =
            diagnostics.sorted().into_iter().map(|it| format!("{}: {}", sources.location(it.span), it.message));
        (root.json(), reported.collect())
    }

    // lib/gitlab/ci/config/interpolation/template.rb: a scalar that is one block becomes the value; within a text, a
    // block becomes the value's `to_s`.
    #[rstest]
    #[case::a_string_does_not_become_a_mapping("a: $[[ inputs.word ]]\n", json!({"a": "a: b"}))]
    #[case::quoted("a: \"echo $[[ inputs.word ]]\"\n", json!({"a": "echo a: b"}))]
    #[case::a_string_does_not_become_a_number("a: $[[ inputs.version ]]\n", json!({"a": "1.10"}))]
    #[case::a_string_does_not_become_a_boolean("a: $[[ inputs.answer ]]\n", json!({"a": "yes"}))]
    #[case::a_number("a: $[[ inputs.count ]]\n", json!({"a": 3}))]
    #[case::a_number_in_quotes("a: '$[[ inputs.count ]]'\n", json!({"a": 3}))]
    #[case::a_number_in_a_string("a: v$[[ inputs.count ]]\n", json!({"a": "v3"}))]
    #[case::a_boolean("a: $[[ inputs.flag ]]\n", json!({"a": true}))]
    #[case::a_list("a: $[[ inputs.list ]]\n", json!({"a": ["x", "y"]}))]
    #[case::a_list_in_a_list("a:\n  - $[[ inputs.list ]]\n  - z\n", json!({"a": [["x", "y"], "z"]}))]
    #[case::an_item("a: $[[ inputs.list[1] ]]\n", json!({"a": "y"}))]
    #[case::a_hash("a: $[[ inputs.hash ]]\n", json!({"a": {"k": "v"}}))]
    #[case::null("a: $[[ inputs.nothing ]]\n", json!({"a": null}))]
    #[case::null_in_a_string("a: x$[[ inputs.nothing ]]\n", json!({"a": "x"}))]
    #[case::a_key("$[[ inputs.version ]]-x: b\n", json!({"1.10-x": "b"}))]
    #[case::a_whole_key("$[[ inputs.count ]]: b\n", json!({"3": "b"}))]
    #[case::comments_are_ignored("a: b # $[[ inputs.unknown ]]\n", json!({"a": "b"}))]
    #[case::an_alias("a: &a ['$[[ inputs.count ]]']\nb: *a\n", json!({"a": [3], "b": [3]}))]
    fn replaces_blocks_by_values(#[case] text: &str, #[case] expected: serde_json::Value) {
        assert_eq!(interpolated(text), (expected, Vec::new()));
    }

    #[test]
    fn reports_every_invalid_block_at_its_position() {
        let (_, reported) = interpolated(
            "a: x $[[ inputs.b ]] $[[ inputs.count ]]\nc:\n  - |\n    é $[[ inputs.b ]] $[[ inputs.d ]]\n",
        );
        let unknown = |position: &str, name: &str| {
            format!("a.yml:{position}: unknown interpolation provided: `{name}` in `inputs.{name}`")
        };
        assert_eq!(reported, [unknown("1:6", "b"), unknown("4:7", "b"), unknown("4:23", "d")]);
    }
}
