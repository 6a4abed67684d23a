//! Merges two trees as `extends` and `include` do: hashes are merged at every depth, everything else is replaced.
//!
//! GitLab uses `ActiveSupport`'s `deep_merge` for both.

use std::sync::Arc;

use super::node::{Entry, Mapping, Node, Value};

/// Merges `over` into `base`. The depth of documents, and so of the recursion, is bounded.
pub fn deep_merge(base: &Node, over: &Node) -> Node {
    match (&base.value, &over.value) {
        (Value::Mapping(below), Value::Mapping(above)) => {
            Node::new(over.span, Value::Mapping(Arc::new(merge_mappings(below, above))))
        }
        _ => over.clone(),
    }
}

/// Merges two mappings. The keys of `base` keep their positions, new keys follow them.
pub fn merge_mappings(base: &Mapping, over: &Mapping) -> Mapping {
    let mut merged = base.clone();
    for (key, entry) in over {
        match merged.get_mut(key) {
            Some(below) => {
                let value = deep_merge(&below.value, &entry.value);
                *below = Entry { value, ..entry.clone() };
            }
            None => drop(merged.insert(Arc::clone(key), entry.clone())),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::source::Sources;
    use crate::yaml::parse::compose;

    fn node(text: &str) -> Node {
        let mut sources = Sources::default();
        let file = sources.add("", text);
        compose(&sources, file, &mut Diagnostics::default()).remove(0)
    }

    // https://docs.gitlab.com/ci/yaml/yaml_optimization/#merge-details
    #[rstest]
    #[case::hashes_merge("{v: {a: 1, b: 2}}", "{v: {b: 3, c: 4}}", json!({"v": {"a": 1, "b": 3, "c": 4}}))]
    #[case::lists_are_replaced("{s: [a, b]}", "{s: [c]}", json!({"s": ["c"]}))]
    #[case::null_removes("{v: {a: 1}}", "{v: null}", json!({"v": null}))]
    #[case::an_empty_hash_removes_nothing("{v: {a: 1}}", "{v: {}}", json!({"v": {"a": 1}}))]
    #[case::kinds_differ("{v: {a: 1}}", "{v: x}", json!({"v": "x"}))]
    fn merges_like_gitlab(#[case] base: &str, #[case] over: &str, #[case] expected: serde_json::Value) {
        assert_eq!(deep_merge(&node(base), &node(over)).json(), expected);
    }
}
