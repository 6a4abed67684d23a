//! `extends`. `lib/gitlab/ci/config/extendable.rb`
//!
//! The parents are merged deeply from left to right, then the job itself. Any entry at the top level can be a parent,
//! hidden or not.

use std::collections::HashMap;
use std::sync::Arc;

use super::merge::merge_mappings;
use super::node::{Entry, KeyKind, Mapping, Node, Value};
use super::size;
use crate::diagnostic::Diagnostics;
use crate::source::Span;

/// The maximum depth of inheritance. `Gitlab::Ci::Config::Extendable::Entry::MAX_NESTING_LEVELS`
const MAX_GENERATIONS: usize = 10;

/// Resolves every `extends` at the top level.
pub fn resolve(root: &Mapping, diagnostics: &mut Diagnostics) -> Mapping {
    let mut resolver = Resolver { root, resolved: HashMap::new(), size: 0, diagnostics };
    root.iter()
        .map(|(name, entry)| {
            let value = if entry.value.get("extends").is_some() {
                Node::new(entry.value.span, Value::Mapping(resolver.job(name, &mut Vec::new()).0))
            } else {
                entry.value.clone()
            };
            (Arc::clone(name), Entry { value, ..entry.clone() })
        })
        .collect()
}

struct Resolver<'root, 'diagnostics> {
    root: &'root Mapping,
    /// The resolved jobs, and the number of generations above each.
    resolved: HashMap<Arc<str>, (Arc<Mapping>, usize)>,
    /// The size of all merged parents so far. A parent counts each time it is extended.
    size: usize,
    diagnostics: &'diagnostics mut Diagnostics,
}

impl Resolver<'_, '_> {
    /// Returns a job with everything that it extends, and the number of generations above it. `path` contains the jobs
    /// that are being resolved, from the first one to this job's child.
    fn job(&mut self, name: &Arc<str>, path: &mut Vec<Arc<str>>) -> (Arc<Mapping>, usize) {
        if let Some(resolved) = self.resolved.get(name) {
            return resolved.clone();
        }
        let Some(Value::Mapping(own)) = self.root.get(name).map(|entry| &entry.value.value) else {
            return <(Arc<Mapping>, usize)>::default();
        };
        let Some(extends) = own.get("extends") else { return (Arc::clone(own), 0) };
        path.push(Arc::clone(name));
        let (mut merged, mut generations) = (Mapping::default(), 0);
        for (parent, span) in self.parents(name, &extends.value) {
            if !self.may_extend(name, &parent, span, path) {
                continue;
            }
            let (parent, above) = self.job(&parent, path);
            // The result must not depend on the order of the jobs, so generations resolved earlier count as well.
            if path.len() + above > MAX_GENERATIONS {
                self.diagnostics.error(span, format!("{name}: nesting too deep in `extends`"));
                continue;
            }
            generations = generations.max(above + 1);
            // Every further parent copies the entries merged so far.
            self.size = self.size.saturating_add(size::entries(&parent) + size::entries(&merged));
            if self.size > size::MAX_TOTAL {
                self.diagnostics.error(span, "The parsed YAML is too big");
                break;
            }
            merged = merge_mappings(&merged, &parent);
        }
        path.pop();
        // A child does not inherit the `extends` of its parents.
        merged.shift_remove("extends");
        let own: Mapping = own
            .iter()
            .filter(|(key, _)| &***key != "extends")
            .map(|(key, entry)| (Arc::clone(key), entry.clone()))
            .collect();
        let resolved = (Arc::new(merge_mappings(&merged, &own)), generations);
        self.resolved.insert(Arc::clone(name), resolved.clone());
        resolved
    }

    fn parents(&mut self, name: &str, extends: &Node) -> Vec<(Arc<str>, Span)> {
        let items = extends.sequence().unwrap_or(std::slice::from_ref(extends));
        let mut parents = Vec::new();
        // An empty `extends` counts as absent. `lib/gitlab/ci/config/extendable/entry.rb`
        for item in items.iter().filter(|_| !extends.is_null()) {
            if let Some(parent) = item.text() {
                parents.push((parent.into(), item.span));
                continue;
            }
            // GitLab looks for the text of any other value, and refuses a found one later: `entry/processable.rb`. An empty hash has
            // no value.
            let text = match &item.value {
                Value::Null => String::new(),
                _ => item.scalar().map_or_else(|| item.inspect(), str::to_owned),
            };
            let is_empty_hash = std::ptr::eq(item, extends) && item.mapping().is_some_and(Mapping::is_empty);
            let found = self.root.get(&*text).filter(|entry| entry.key_kind == KeyKind::Text);
            let is_known = is_empty_hash || found.is_some();
            let message = if is_known {
                format!("jobs:{} extends should be an array of strings or a string", name.to_lowercase())
            } else {
                format!("{name}: unknown keys in `extends` ({text})")
            };
            let help = "`extends` is a string or an array of strings";
            self.diagnostics.error(item.span, message).help(help);
        }
        parents
    }

    fn may_extend(&mut self, name: &str, parent: &Arc<str>, span: Span, path: &[Arc<str>]) -> bool {
        let root = self.root;
        match root.get(parent).map(|entry| &entry.value) {
            None => {
                let error = self.diagnostics.error(span, format!("{name}: unknown keys in `extends` ({parent})"));
                error.nearest(parent, root.keys().map(|key| &**key));
                false
            }
            Some(value) if value.mapping().is_none() => {
                self.diagnostics.error(span, format!("{name}: invalid base hashes in `extends` ({parent})"));
                false
            }
            Some(_) if path.contains(parent) => {
                // GitLab reports the job at which it has started, where it comes to that job again.
                self.diagnostics.error(span, format!("{parent}: circular dependency detected in `extends`"));
                false
            }
            Some(_) if path.len() > MAX_GENERATIONS => {
                self.diagnostics.error(span, format!("{name}: nesting too deep in `extends`"));
                false
            }
            Some(_) => true,
        }
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
    #[case::one(".a: {script: x}\nb: {extends: .a}\n", json!({"script": "x"}))]
    #[case::child_wins(".a: {script: x, tags: [t]}\nb: {extends: .a, script: y}\n", json!({"script": "y", "tags": ["t"]}))]
    #[case::later_parent_wins(".a: {script: x}\n.c: {script: z}\nb: {extends: [.a, .c]}\n", json!({"script": "z"}))]
    #[case::levels(".a: {variables: {A: 1}}\n.c: {extends: .a, variables: {C: 3}}\nb: {extends: .c, variables: {B: 2}}\n", json!({"variables": {"A": 1, "C": 3, "B": 2}}))]
    #[case::a_visible_parent("a: {script: x}\nb: {extends: a}\n", json!({"script": "x"}))]
    fn merges_parents(#[case] text: &str, #[case] expected: serde_json::Value) {
        let (root, messages) = resolved(text);
        assert_eq!((&root["b"], messages), (&expected, Vec::new()));
    }

    #[rstest]
    #[case::unknown(
        ".build: {}\nb:\n  extends: .biuld\n",
        "a.yml:3:12: b: unknown keys in `extends` (.biuld) did you mean `.build`?"
    )]
    #[case::parent_is_not_a_hash(".a: [x]\nb: {extends: .a}\n", "a.yml:2:14: b: invalid base hashes in `extends` (.a)")]
    #[case::itself("b: {extends: b}\n", "a.yml:1:14: b: circular dependency detected in `extends`")]
    #[case::number(
        "1: {}\nb: {extends: [1]}\n",
        "a.yml:2:15: b: unknown keys in `extends` (1) `extends` is a string or an array of strings"
    )]
    #[case::number_of_a_job(
        "'1': {}\nb: {extends: [1]}\n",
        "a.yml:2:15: jobs:b extends should be an array of strings or a string `extends` is a string or an array of strings"
    )]
    #[case::nested_list(
        "b: {extends: [[.a]]}\n",
        "a.yml:1:15: b: unknown keys in `extends` ([\".a\"]) `extends` is a string or an array of strings"
    )]
    #[case::boolean(
        "b: {extends: on}\n",
        "a.yml:1:14: b: unknown keys in `extends` (true) `extends` is a string or an array of strings"
    )]
    #[case::empty_hash(
        "b: {extends: {}}\n",
        "a.yml:1:14: jobs:b extends should be an array of strings or a string `extends` is a string or an array of strings"
    )]
    #[case::null(
        "b: {extends: [~]}\n",
        "a.yml:1:15: b: unknown keys in `extends` () `extends` is a string or an array of strings"
    )]
    fn reports_mistakes(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(resolved(text).1, [expected]);
    }

    #[test]
    fn rejects_more_than_ten_generations() {
        let generation = |number: usize| format!("j{number}: {{extends: j{}}}\n", number + 1);
        let family =
            |count: usize| (0..count).map(generation).collect::<String>() + &format!("j{count}: {{script: x}}\n");
        assert_eq!(resolved(&family(10)).1, Vec::<String>::new());
        assert!(resolved(&family(12)).1[0].contains("nesting too deep in `extends`"));
        // lib/gitlab/ci/config/extendable/entry.rb counts separately for every job.
        let parents_first =
            |count: usize| family(count).lines().rev().flat_map(|line| [line, "\n"]).collect::<String>();
        assert_eq!(resolved(&parents_first(10)).1, Vec::<String>::new());
        assert_eq!(resolved(&parents_first(11)).1, ["a.yml:12:15: j0: nesting too deep in `extends`"]);
    }
}
