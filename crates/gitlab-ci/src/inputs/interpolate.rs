//! Inputs in the tree of a file. `lib/gitlab/ci/config/interpolation/template.rb`, `config.rb`
//!
//! GitLab reads YAML first: no value can end a text, begin a list or be a comment, and what only comments have in it is
//! nobody's business. A scalar that is nothing but a block becomes the input's value, of whatever kind.

use std::sync::Arc;

use super::block::{self, Block, Refused};
use super::values::{Inputs, text_of};
use crate::diagnostic::Diagnostics;
use crate::source::Sources;
use crate::source::Span;
use crate::yaml::node::Entry;
use crate::yaml::node::Mapping;
use crate::yaml::node::Node;
use crate::yaml::node::Value;
use crate::yaml::size;

/// `MAX_BLOCKS`. GitLab counts equal ones once.
const MOST_BLOCKS: usize = 10_000;

/// How deep a tree may be with values in it, as a file may be: `max_yaml_depth`.
const DEEPEST: usize = 100;

/// The tree with every block in keys and scalars replaced. All that cannot be is told, and stays as it is.
pub fn interpolate(
    root: &Node,
    inputs: &Inputs,
    expand: &dyn Fn(&str) -> String,
    sources: &Sources,
    diagnostics: &mut Diagnostics,
) -> Node {
    let mut interpolator =
        Interpolator { inputs, expand, sources, diagnostics, blocks: 0, written: 0, depth: 0, is_over: false };
    interpolator.node(root).unwrap_or_else(|| root.clone())
}

struct Interpolator<'file> {
    inputs: &'file Inputs,
    expand: &'file dyn Fn(&str) -> String,
    sources: &'file Sources,
    diagnostics: &'file mut Diagnostics,
    blocks: usize,
    /// The size of all that was put in.
    written: usize,
    depth: usize,
    /// Whether there is too much, and nothing is replaced any more.
    is_over: bool,
}

impl<'file> Interpolator<'file> {
    /// What takes a node's place; nothing if it stays, so that what has no block is not copied.
    fn node(&mut self, node: &Node) -> Option<Node> {
        self.depth += 1;
        let value = match &node.value {
            Value::String(text) => self.text(text, node.span),
            Value::Sequence(items) => self.items(items),
            Value::Mapping(mapping) => self.mapping(mapping),
            // `!reference` is an object of its own to GitLab, and nothing in it is replaced.
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
        if first.before.is_empty() && first.behind.is_empty() {
            return self.value(first, &mut self.place(span)).map(|node| node.value);
        }
        let mut place = self.place(span);
        let filled = block::fill(text, &mut |block| self.value(block, &mut place));
        Some(Value::String(filled.into()))
    }

    fn place(&self, span: Span) -> Place<'file> {
        let file = self.sources.file(span.file);
        let written = file.and_then(|file| file.text.get(span.start as usize..span.end as usize));
        Place { scalar: span, written: written.unwrap_or_default(), from: 0 }
    }

    fn value(&mut self, block: Block<'_>, place: &mut Place<'file>) -> Option<Node> {
        let span = place.next(block.whole);
        if self.is_over {
            return None;
        }
        self.blocks += 1;
        if self.blocks > MOST_BLOCKS {
            return self.give_up(span, "too many interpolation blocks");
        }
        let value = match block::value(block.data, self.inputs, self.expand) {
            Ok(value) => value?,
            Err(refused) => {
                self.refuse(span, refused);
                return None;
            }
        };
        // A value may be given on to another file, there twice, and so on.
        self.written = self.written.saturating_add(size::of(&value));
        if self.written > size::LARGEST || self.depth + depth(&value) > DEEPEST {
            return self.give_up(span, "config too large");
        }
        Some(value)
    }

    fn give_up(&mut self, span: Span, message: &str) -> Option<Node> {
        self.is_over = true;
        self.diagnostics.error(span, message);
        None
    }

    fn refuse(&mut self, span: Span, Refused { message, name }: Refused) {
        let error = self.diagnostics.error(span, message);
        let Some(name) = name else { return };
        let names: Vec<&str> = self.inputs.keys().map(String::as_str).collect();
        if !names.is_empty() {
            error.help(format!(
                "there is {}",
                names.iter().map(|name| format!("inputs.{name}")).collect::<Vec<_>>().join(", ")
            ));
        }
        error.nearest(&name, names);
    }
}

/// Where blocks are within the text of a scalar.
struct Place<'file> {
    scalar: Span,
    /// The scalar as it is written: with quotes, and in as many lines as it has.
    written: &'file str,
    from: usize,
}

impl Place<'_> {
    /// The place of the next block; that of the scalar where it is written in another way.
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
        let root = interpolate(&root, &inputs, &str::to_owned, &sources, &mut diagnostics);
        let told = diagnostics.sorted().into_iter().map(|it| format!("{}: {}", sources.location(it.span), it.message));
        (root.json(), told.collect())
    }

    // lib/gitlab/ci/config/interpolation/template.rb: a whole scalar is the value, within a text it is `to_s` of it.
    #[rstest]
    #[case::no_mapping_of_a_text("a: $[[ inputs.word ]]\n", json!({"a": "a: b"}))]
    #[case::quoted("a: \"echo $[[ inputs.word ]]\"\n", json!({"a": "echo a: b"}))]
    #[case::no_number_of_a_text("a: $[[ inputs.version ]]\n", json!({"a": "1.10"}))]
    #[case::no_boolean_of_a_text("a: $[[ inputs.answer ]]\n", json!({"a": "yes"}))]
    #[case::a_number("a: $[[ inputs.count ]]\n", json!({"a": 3}))]
    #[case::a_number_in_quotes("a: '$[[ inputs.count ]]'\n", json!({"a": 3}))]
    #[case::a_number_in_a_text("a: v$[[ inputs.count ]]\n", json!({"a": "v3"}))]
    #[case::a_boolean("a: $[[ inputs.flag ]]\n", json!({"a": true}))]
    #[case::a_list("a: $[[ inputs.list ]]\n", json!({"a": ["x", "y"]}))]
    #[case::a_list_in_a_list("a:\n  - $[[ inputs.list ]]\n  - z\n", json!({"a": [["x", "y"], "z"]}))]
    #[case::an_item("a: $[[ inputs.list[1] ]]\n", json!({"a": "y"}))]
    #[case::a_hash("a: $[[ inputs.hash ]]\n", json!({"a": {"k": "v"}}))]
    #[case::nothing("a: $[[ inputs.nothing ]]\n", json!({"a": null}))]
    #[case::nothing_in_a_text("a: x$[[ inputs.nothing ]]\n", json!({"a": "x"}))]
    #[case::a_key("$[[ inputs.version ]]-x: b\n", json!({"1.10-x": "b"}))]
    #[case::a_whole_key("$[[ inputs.count ]]: b\n", json!({"3": "b"}))]
    #[case::no_comment("a: b # $[[ inputs.unknown ]]\n", json!({"a": "b"}))]
    #[case::by_alias("a: &a ['$[[ inputs.count ]]']\nb: *a\n", json!({"a": [3], "b": [3]}))]
    fn values(#[case] text: &str, #[case] expected: serde_json::Value) {
        assert_eq!(interpolated(text), (expected, Vec::new()));
    }

    #[test]
    fn all_bad_blocks_are_told_where_they_are() {
        let (_, told) = interpolated(
            "a: x $[[ inputs.b ]] $[[ inputs.count ]]\nc:\n  - |\n    é $[[ inputs.b ]] $[[ inputs.d ]]\n",
        );
        let unknown = |place: &str, name: &str| {
            format!("a.yml:{place}: unknown interpolation provided: `{name}` in `inputs.{name}`")
        };
        assert_eq!(told, [unknown("1:6", "b"), unknown("4:7", "b"), unknown("4:23", "d")]);
    }
}
