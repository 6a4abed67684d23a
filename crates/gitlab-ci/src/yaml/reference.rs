//! `!reference [a, b]`. `lib/gitlab/ci/config/yaml/tags/reference.rb`
//!
//! A reference is replaced by the value at its path in the whole configuration, in which `extends` is already resolved. That
//! value may contain references again.

use std::collections::HashMap;
use std::sync::Arc;

use super::node::{Entry, Mapping, Node, Value};
use super::size;
use crate::diagnostic::Diagnostics;
use crate::source::Span;

/// The maximum depth of nested references. Deeper ones are reported as circular.
const MAX_DEPTH: usize = 100;

/// Resolves every reference below `root`.
pub fn resolve(root: &Mapping, diagnostics: &mut Diagnostics) -> Mapping {
    let mut resolver = Resolver { root, path: Vec::new(), resolved: HashMap::new(), size: 0, diagnostics };
    let resolve = |(name, entry): (&Arc<str>, &Entry)| {
        (Arc::clone(name), Entry { value: resolver.node(&entry.value), ..entry.clone() })
    };
    root.iter().map(resolve).collect()
}

struct Resolver<'root, 'diagnostics> {
    root: &'root Mapping,
    /// The references that are being resolved.
    path: Vec<Arc<[Arc<str>]>>,
    /// The resolved values of references, and their sizes.
    resolved: HashMap<Arc<[Arc<str>]>, (Node, usize)>,
    /// The size of all inserted values. A value counts each time it is used: nested references grow exponentially, as
    /// aliases do.
    size: usize,
    diagnostics: &'diagnostics mut Diagnostics,
}

impl Resolver<'_, '_> {
    fn node(&mut self, node: &Node) -> Node {
        // Nearly every job has no references and is not copied.
        if !has_reference(node) {
            return node.clone();
        }
        match &node.value {
            Value::Reference(path) => self.reference(path, node.span),
            Value::Sequence(items) => {
                let items = items.iter().map(|item| self.node(item)).collect();
                Node::new(node.span, Value::Sequence(items))
            }
            Value::Mapping(mapping) => {
                let resolve = |(key, entry): (&Arc<str>, &Entry)| {
                    (Arc::clone(key), Entry { value: self.node(&entry.value), ..entry.clone() })
                };
                Node::new(node.span, Value::Mapping(Arc::new(mapping.iter().map(resolve).collect())))
            }
            _ => node.clone(),
        }
    }

    fn reference(&mut self, path: &Arc<[Arc<str>]>, span: Span) -> Node {
        let nothing = Node::new(span, Value::Null);
        let reference = format!("!reference {:?}", path.iter().map(|part| &**part).collect::<Vec<_>>());
        if self.path.contains(path) || self.path.len() >= MAX_DEPTH {
            self.diagnostics.error(span, format!("{reference} is part of a circular chain"));
            return nothing;
        }
        if let Some((node, size)) = self.resolved.get(path).cloned() {
            return self.insert_sized(node, size, span);
        }
        // Ruby's `unless value`: neither null nor false is a value.
        let is_value = |node: &&Node| !matches!(node.value, Value::Null | Value::Boolean(false));
        let Some(found) = find(self.root, path).filter(is_value) else {
            let keys = path.split_last().and_then(|(last, parents)| {
                let mapping = if parents.is_empty() { Some(self.root) } else { find(self.root, parents)?.mapping() };
                Some((last, mapping?))
            });
            let error = self.diagnostics.error(span, format!("{reference} could not be found"));
            match keys {
                Some((last, keys)) if keys.contains_key(last) => {
                    error.help(format!("`{last}` is false or has no value, which GitLab takes for missing"));
                }
                Some((last, keys)) => error.nearest(last, keys.keys().map(|key| &**key)),
                None => {}
            }
            return nothing;
        };
        let (found, before) = (found.clone(), self.size);
        self.path.push(Arc::clone(path));
        let resolved = self.node(&found);
        self.path.pop();
        let size = size::tree(&found).saturating_add(self.size - before);
        self.resolved.insert(Arc::clone(path), (resolved.clone(), size));
        self.size = before;
        self.insert_sized(resolved, size, span)
    }

    fn insert_sized(&mut self, node: Node, size: usize, span: Span) -> Node {
        self.size = self.size.saturating_add(size);
        if self.size <= size::MAX_TOTAL {
            return node;
        }
        self.diagnostics.error(span, "The parsed YAML is too big");
        Node::new(span, Value::Null)
    }
}

fn find<'root>(root: &'root Mapping, path: &[Arc<str>]) -> Option<&'root Node> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(&root.get(first)?.value, |node, key| node.get(key))
}

fn has_reference(node: &Node) -> bool {
    match &node.value {
        Value::Reference(_) => true,
        Value::Sequence(items) => items.iter().any(has_reference),
        Value::Mapping(mapping) => mapping.values().any(|entry| has_reference(&entry.value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::yaml::testing;

    fn resolved(text: &str) -> (serde_json::Value, Vec<String>) {
        testing::resolved(text, resolve)
    }

    #[rstest]
    #[case::whole(".a: {script: [x, y]}\nb: {script: !reference [.a, script]}\n", json!({"script": ["x", "y"]}))]
    #[case::an_item(".a: {script: [x]}\nb: {script: [!reference [.a, script], z]}\n", json!({"script": [["x"], "z"]}))]
    #[case::nested(".a: {s: [x]}\n.c: {s: [!reference [.a, s]]}\nb: {s: !reference [.c, s]}\n", json!({"s": [["x"]]}))]
    #[case::a_variable(".a: {variables: {A: 1}}\nb: {variables: {B: !reference [.a, variables, A]}}\n", json!({"variables": {"B": 1}}))]
    fn inserts_values(#[case] text: &str, #[case] expected: serde_json::Value) {
        let (root, messages) = resolved(text);
        assert_eq!((&root["b"], messages), (&expected, Vec::new()));
    }

    #[test]
    fn rejects_exponential_references() {
        let level = |number: usize| {
            let reference = format!("!reference [.l{}, s]", number + 1);
            format!(".l{number}: {{s: [{}]}}\n", vec![reference; 10].join(", "))
        };
        let text: String = (0..12).map(level).collect::<String>() + ".l12: {s: [x]}\n";
        let (_, messages) = resolved(&text);
        assert!(messages.iter().any(|line| line.contains("The parsed YAML is too big")), "{messages:?}");
    }

    #[rstest]
    #[case::misspelled(
        ".a: {script: [x]}\nb:\n  script: !reference [.a, scirpt]\n",
        "a.yml:3:22: !reference [\".a\", \"scirpt\"] could not be found did you mean `script`?"
    )]
    #[case::null(
        ".a: {s: }\nb: {s: !reference [.a, s]}\n",
        "a.yml:2:19: !reference [\".a\", \"s\"] could not be found `s` is false or has no value, which GitLab takes for missing"
    )]
    #[case::boolean(
        ".a: {s: false}\nb: {s: !reference [.a, s]}\n",
        "a.yml:2:19: !reference [\".a\", \"s\"] could not be found `s` is false or has no value, which GitLab takes for missing"
    )]
    #[case::unknown_path("b: {s: !reference [.a, s]}\n", "a.yml:1:19: !reference [\".a\", \"s\"] could not be found")]
    #[case::itself("b: {s: !reference [b, s]}\n", "a.yml:1:19: !reference [\"b\", \"s\"] is part of a circular chain")]
    fn reports_mistakes(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(resolved(text).1, [expected]);
    }
}
