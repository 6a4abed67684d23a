//! `extends`. `lib/gitlab/ci/config/extendable.rb`
//!
//! The parents are merged deeply from left to right, then the job itself. Any entry at the top level can be a parent,
//! hidden or not.

use std::collections::HashMap;
use std::sync::Arc;

use super::merge::merge_mappings;
use super::node::{Entry, KeyKind, Mapping, Node, Value};
use super::size;
use crate::diagnostic::{self, Diagnostics};
use crate::source::Span;

/// The maximum number of descendants of a job that has `extends` itself, so that a job has at most 11 generations of parents.
/// `Gitlab::Ci::Config::Extendable::Entry::MAX_NESTING_LEVELS`
const MAX_DESCENDANTS: usize = 10;

const NOT_A_NAME: &str = "`extends` is a string or an array of strings";

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
            if !self.may_extend(&parent, span, path) {
                continue;
            }
            let (parent, above) = self.job(&parent, path);
            // The result must not depend on the order of the jobs, so generations resolved earlier count as well.
            if above > 0 && path.len() + above - 1 > MAX_DESCENDANTS {
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
        // A child does not inherit the `extends` of its parents. Its own stays: it is an unknown key of `default` and other keywords.
        merged.shift_remove("extends");
        let resolved = (Arc::new(merge_mappings(&merged, own)), generations);
        self.resolved.insert(Arc::clone(name), resolved.clone());
        resolved
    }

    /// Returns the parents that exist and are hashes. GitLab's sentence about those that do not has all of their names: `extend!` of
    /// `lib/gitlab/ci/config/extendable/entry.rb`
    fn parents(&mut self, name: &str, extends: &Node) -> Vec<(Arc<str>, Span)> {
        let items = extends.sequence().unwrap_or(std::slice::from_ref(extends));
        let root = self.root;
        let (mut parents, mut unknown, mut invalid) = (Vec::new(), Vec::new(), Vec::new());
        // An empty `extends` counts as absent. An empty hash has no value.
        let is_empty = extends.is_null() || extends.mapping().is_some_and(Mapping::is_empty);
        for item in items.iter().filter(|_| !is_empty) {
            // GitLab looks for the text of any value, and refuses a found one that is not a string later: `entry/processable.rb`
            let text: Arc<str> = match &item.value {
                Value::Null => "".into(),
                _ => item.text().or_else(|| item.scalar()).map_or_else(|| item.inspect().into(), Into::into),
            };
            let found = root.get(&text).filter(|entry| item.text().is_some() || entry.key_kind == KeyKind::Text);
            match found.map(|entry| entry.value.mapping()) {
                None => unknown.push((text, item)),
                Some(_) if item.text().is_none() => self.report_kind(name, item.span),
                Some(None) => invalid.push((text, item)),
                Some(Some(_)) => parents.push((text, item.span)),
            }
        }
        if is_empty && !extends.is_null() {
            self.report_kind(name, extends.span);
        }
        let names = |list: &[(Arc<str>, &Node)]| diagnostic::joined(list.iter().map(|(text, _)| &**text));
        let message = format!("{name}: unknown keys in `extends` ({})", names(&unknown));
        for (text, item) in unknown {
            let error = self.diagnostics.error(item.span, message.as_str());
            match item.text() {
                Some(_) => error.nearest(&text, root.keys().map(|key| &**key)),
                None => error.help(NOT_A_NAME),
            }
        }
        let message = format!("{name}: invalid base hashes in `extends` ({})", names(&invalid));
        for (_, item) in invalid {
            self.diagnostics.error(item.span, message.as_str());
        }
        parents
    }

    fn report_kind(&mut self, name: &str, span: Span) {
        let message = format!("jobs:{name} extends should be an array of strings or a string").to_lowercase();
        self.diagnostics.error(span, message).help(NOT_A_NAME);
    }

    fn may_extend(&mut self, parent: &Arc<str>, span: Span, path: &[Arc<str>]) -> bool {
        match self.root.get(parent).map(|entry| &entry.value) {
            // `parents` has reported it.
            None => false,
            Some(_) if path.contains(parent) => {
                // GitLab reports the job at which it has started, where it comes to that job again.
                self.diagnostics.error(span, format!("{parent}: circular dependency detected in `extends`"));
                false
            }
            Some(value) if path.len() > MAX_DESCENDANTS && value.get("extends").is_some() => {
                self.diagnostics.error(span, format!("{parent}: nesting too deep in `extends`"));
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
    #[case::one(".a: {script: x}\nb: {extends: .a}\n", json!({"script": "x", "extends": ".a"}))]
    #[case::child_wins(".a: {script: x, tags: [t]}\nb: {extends: .a, script: y}\n", json!({"script": "y", "tags": ["t"], "extends": ".a"}))]
    #[case::later_parent_wins(".a: {script: x}\n.c: {script: z}\nb: {extends: [.a, .c]}\n", json!({"script": "z", "extends": [".a", ".c"]}))]
    #[case::levels(".a: {variables: {A: 1}}\n.c: {extends: .a, variables: {C: 3}}\nb: {extends: .c, variables: {B: 2}}\n", json!({"variables": {"A": 1, "C": 3, "B": 2}, "extends": ".c"}))]
    #[case::a_visible_parent("a: {script: x}\nb: {extends: a}\n", json!({"script": "x", "extends": "a"}))]
    fn merges_parents(#[case] text: &str, #[case] expected: serde_json::Value) {
        let (root, messages) = resolved(text);
        assert_eq!((&root["b"], messages), (&expected, Vec::new()));
    }

    #[rstest]
    #[case::unknown(
        ".build: {}\nb:\n  extends: .biuld\n",
        "a.yml:3:12: b: unknown keys in `extends` (.biuld) did you mean `.build`?"
    )]
    #[case::two_of_them(
        "b: {extends: [.x, 1]}\n",
        "a.yml:1:15: b: unknown keys in `extends` (.x, 1)|a.yml:1:19: b: unknown keys in `extends` (.x, 1) `extends` is a string or an array of strings"
    )]
    #[case::two_parents_that_are_no_hashes(
        ".a: [x]\n.b: y\nb: {extends: [.a, .b]}\n",
        "a.yml:3:15: b: invalid base hashes in `extends` (.a, .b)|a.yml:3:19: b: invalid base hashes in `extends` (.a, .b)"
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
        assert_eq!(resolved(text).1.join("|"), expected);
    }

    #[test]
    fn rejects_more_than_eleven_generations() {
        let generation = |number: usize| format!("j{number}: {{extends: j{}}}\n", number + 1);
        let family =
            |count: usize| (0..count).map(generation).collect::<String>() + &format!("j{count}: {{script: x}}\n");
        assert_eq!(resolved(&family(11)).1, Vec::<String>::new());
        assert_eq!(resolved(&family(12)).1, ["a.yml:11:16: j11: nesting too deep in `extends`"]);
        // lib/gitlab/ci/config/extendable/entry.rb counts separately for every job.
        let parents_first =
            |count: usize| family(count).lines().rev().flat_map(|line| [line, "\n"]).collect::<String>();
        assert_eq!(resolved(&parents_first(11)).1, Vec::<String>::new());
        assert_eq!(resolved(&parents_first(12)).1, ["a.yml:13:15: j0: nesting too deep in `extends`"]);
    }
}
