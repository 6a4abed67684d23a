//! Expansion of the values of all variables on the server, where values may reference other variables.
//! <https://docs.gitlab.com/ci/variables/where_variables_can_be_used/#gitlab-internal-variable-expansion-mechanism>

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::collection::{Collection, Variable};
use super::expand::{ExpansionError, MAX_TOTAL_GROWTH, Value, fill};
use super::order;
use super::reference::{Piece, Pieces};

/// The treatment of references that the runner could still expand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unresolved {
    /// References to unknown, raw and file variables stay for the runner.
    Keep,
    /// Unknown variables become empty; raw and file variables are replaced by their values.
    Replace,
}

impl Collection {
    /// Expands the values of all variables as the server passes them to the runner. References to unknown, raw and file
    /// variables stay as written, for the runner to expand. `runner_variables` of
    /// `app/presenters/ci/build_runner_presenter.rb`
    ///
    /// ```
    /// use gitlab_ci::variables::collection::{Collection, Origin, Variable};
    ///
    /// let list = [("HOST", "$NAME.test"), ("NAME", "demo")];
    /// let variables: Collection = list.into_iter().map(|(key, value)| Variable::new(key, value, Origin::Job)).collect();
    /// let expanded = variables.expand_all()?;
    /// assert_eq!(expanded.get("HOST").map(|host| &*host.value), Some("demo.test"));
    /// # Ok::<(), gitlab_ci::variables::expand::ExpansionError>(())
    /// ```
    ///
    /// Of the origins within `.gitlab-ci.yml` only the one with the highest precedence takes part, because GitLab
    /// merges them before. All other origins take part: a variable that references its own name gets the value of the
    /// other variable with the highest precedence, and then wins over all of them, because GitLab takes the last one in
    /// the order of expansion. `lib/gitlab/ci/variables/collection.rb`
    ///
    /// # Errors
    /// Variables reference each other in a cycle, one value grows by more than 128 KiB, or all values together by more
    /// than 2 MiB. GitLab refuses a pipeline with a cycle. A variable that references only itself is not a cycle.
    pub fn expand_all(&self) -> Result<Self, ExpansionError> {
        self.resolve(Unresolved::Keep)
    }

    /// Expands the values for the texts that the server expands itself, such as the name of an environment. No
    /// reference stays. `sort_and_expand_all` of `lib/gitlab/ci/variables/collection.rb`
    ///
    /// # Errors
    /// The same as of [`Collection::expand_all`].
    pub fn expand_all_fully(&self) -> Result<Self, ExpansionError> {
        self.resolve(Unresolved::Replace)
    }

    fn resolve(&self, unresolved: Unresolved) -> Result<Self, ExpansionError> {
        let nodes = Nodes::new(self);
        // Few variables have references, and many jobs have no variable with one.
        if nodes.list.is_empty() {
            return Ok(self.clone());
        }
        let components = order::components(&nodes.children());
        let cycles: Vec<Vec<Arc<str>>> = components
            .iter()
            .filter(|component| component.len() > 1)
            .map(|component| component.iter().filter_map(|at| nodes.list.get(*at)).map(Node::key).collect())
            .collect();
        if !cycles.is_empty() {
            return Err(ExpansionError::Circular(cycles));
        }
        let mut values: Vec<Option<Arc<str>>> = vec![None; nodes.list.len()];
        let mut total = 0;
        for at in components.into_iter().flatten() {
            let Some(node) = nodes.list.get(at) else { continue };
            let too_large = || ExpansionError::LargeValue(node.key());
            let value = fill(Pieces::from_value(&node.variable.value), |name| {
                let Some((other, index)) = nodes.referent(self, name, node) else {
                    return (unresolved == Unresolved::Replace).then_some(Value::Shared(""));
                };
                let is_plain = unresolved == Unresolved::Replace || !(other.file || other.raw);
                let value = index.and_then(|index| values.get(index)?.as_deref()).unwrap_or(&other.value);
                is_plain.then_some(Value::Shared(value))
            });
            let value = value.ok_or_else(too_large)?;
            total += value.len().saturating_sub(node.variable.value.len());
            if total > MAX_TOTAL_GROWTH {
                return Err(too_large());
            }
            if let Some(slot) = values.get_mut(at) {
                *slot = Some(value.into());
            }
        }
        Ok(self.with(&nodes, values))
    }

    fn with(&self, nodes: &Nodes<'_>, values: Vec<Option<Arc<str>>>) -> Self {
        let mut expanded = self.clone();
        for (node, value) in nodes.list.iter().zip(values) {
            let same = expanded.own_list(&node.variable.key);
            if let (Some(slot), Some(value)) = (same.get_mut(node.position), value) {
                slot.value = value;
            }
        }
        for node in nodes.list.iter().filter(|node| node.refers_to_itself) {
            if let Some(until) = expanded.own_list(&node.variable.key).get_mut(..=node.position) {
                until.rotate_right(1);
            }
        }
        expanded
    }
}

/// A variable that references others.
struct Node<'collection> {
    variable: &'collection Variable,
    /// The position among the variables of the same name.
    position: usize,
    refers_to_itself: bool,
}

impl Node<'_> {
    fn key(&self) -> Arc<str> {
        Arc::clone(&self.variable.key)
    }
}

/// All variables with references, from the lowest precedence to the highest.
struct Nodes<'collection> {
    list: Vec<Node<'collection>>,
    by_name: HashMap<&'collection str, Vec<usize>>,
}

impl<'collection> Nodes<'collection> {
    fn new(collection: &'collection Collection) -> Self {
        let refers = |variable: &Variable| !variable.raw && variable.value.contains(['$', '%']);
        let mut list = Vec::new();
        for same in collection.lists().filter(|same| same.iter().any(refers)) {
            let named = members(same).filter(|(_, variable)| refers(variable)).map(|(position, variable)| Node {
                variable,
                position,
                refers_to_itself: references(variable).any(|name| *name == *variable.key),
            });
            list.extend(named.collect::<Vec<_>>().into_iter().rev());
        }
        list.sort_by_key(|node| node.variable.origin);
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, node) in list.iter().enumerate() {
            by_name.entry(&node.variable.key).or_default().push(at);
        }
        Self { list, by_name }
    }

    /// Returns for each node the nodes that it references, without duplicates, in the order of the references.
    fn children(&self) -> Vec<Vec<usize>> {
        let referenced = |node: &Node<'_>| {
            let mut seen = HashSet::new();
            let names = references(node.variable).filter(|name| seen.insert(*name));
            names.filter_map(|name| self.by_name.get(name)).flatten().copied().collect()
        };
        self.list.iter().map(referenced).collect()
    }

    /// Returns the variable to which a name refers inside the value of another variable, and its index if it is a node.
    fn referent(
        &self,
        collection: &'collection Collection,
        name: &str,
        within: &Node<'_>,
    ) -> Option<(&'collection Variable, Option<usize>)> {
        let places = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        let nodes = || places.iter().filter_map(|at| Some((*at, self.list.get(*at)?)));
        let is_within = |variable: &Variable| std::ptr::eq(variable, within.variable);
        let last = nodes().find(|(_, node)| node.refers_to_itself && !is_within(node.variable));
        if let Some((at, node)) = last {
            return Some((node.variable, Some(at)));
        }
        let (_, variable) = members(collection.all(name)).find(|(_, variable)| !is_within(variable))?;
        let at = nodes().find(|(_, node)| std::ptr::eq(node.variable, variable)).map(|(at, _)| at);
        Some((variable, at))
    }
}

/// Returns the variables of one name that GitLab's collection contains, with their positions. GitLab has merged those
/// of `.gitlab-ci.yml` before.
fn members(same: &[Variable]) -> impl Iterator<Item = (usize, &Variable)> {
    let mut has_yaml = false;
    same.iter().enumerate().filter(move |(_, variable)| {
        let is_replaced = has_yaml && variable.origin.is_yaml();
        has_yaml |= variable.origin.is_yaml();
        !is_replaced
    })
}

fn references(variable: &Variable) -> impl Iterator<Item = &str> {
    Pieces::from_value(&variable.value).filter_map(|piece| match piece {
        Piece::Reference(name, _) => Some(name),
        Piece::Text(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::collection::Origin;
    use super::*;

    fn collection(list: &[(&str, &str, Origin)]) -> Collection {
        list.iter().map(|(key, value, origin)| Variable::new(key, value, *origin)).collect()
    }

    fn job_variables(list: &[(&str, &str)]) -> Collection {
        list.iter().map(|(key, value)| Variable::new(key, value, Origin::Job)).collect()
    }

    #[rstest]
    #[case::nested(&[("A", "$B-a"), ("B", "${C}-b"), ("C", "%D%-c"), ("D", "d")], "d-c-b-a")]
    #[case::unknown(&[("A", "$NONE ${NONE} %NONE%")], "$NONE ${NONE} %NONE%")]
    #[case::doubled(&[("A", "$$B %%B% $B"), ("B", "b")], "$$B %%B% b")]
    #[case::doubled_inside(&[("A", "$B"), ("B", "$$C"), ("C", "c")], "$$C")]
    #[case::itself(&[("A", "$A:b")], "$A:b")]
    #[case::twice(&[("A", "$B$B"), ("B", "$C"), ("C", "c")], "cc")]
    fn expands_nested_references(#[case] list: &[(&str, &str)], #[case] expected: &str) {
        assert_eq!(&*job_variables(list).expand_all().unwrap().get("A").unwrap().value, expected);
    }

    // `Gitlab::Ci::Variables::Collection` contains all of them, but of `.gitlab-ci.yml` only the merged one.
    #[rstest]
    #[case::own_name(&[("A", "$A:b", Origin::Project), ("A", "a", Origin::Job)], "a:b")]
    #[case::own_name_within_yaml(&[("A", "$A:b", Origin::Job), ("A", "a", Origin::Global)], "$A:b")]
    #[case::a_higher_precedence_references_a_lower_one(&[("A", "$B", Origin::Project), ("B", "b", Origin::Job)], "b")]
    #[case::the_highest_precedence(&[("A", "$B", Origin::Job), ("B", "b", Origin::Job), ("B", "c", Origin::Project)], "c")]
    fn resolves_references_across_origins(#[case] list: &[(&str, &str, Origin)], #[case] expected: &str) {
        assert_eq!(&*collection(list).expand_all().unwrap().get("A").unwrap().value, expected);
    }

    // GitLab and the runner take the last one in the order of expansion.
    #[rstest]
    #[case::a_lower_precedence_extends_a_higher_one(&[("A", "$A:b", Origin::Job), ("A", "a", Origin::Project)], "a:b")]
    #[case::other_variables_get_the_extended_value(
        &[("A", "$B", Origin::Pipeline), ("B", "$B:b", Origin::Job), ("B", "b", Origin::Project)],
        "b:b"
    )]
    fn a_reference_to_its_own_name_gets_the_other_value(#[case] list: &[(&str, &str, Origin)], #[case] expected: &str) {
        assert_eq!(&*collection(list).expand_all().unwrap().get("A").unwrap().value, expected);
    }

    #[test]
    fn two_variables_that_extend_each_other_are_a_cycle() {
        let error = collection(&[("A", "$A:b", Origin::Job), ("A", "$A:c", Origin::Project)]).expand_all().unwrap_err();
        assert_eq!(error.to_string(), r#"circular variable reference detected: ["A", "A"]"#);
    }

    #[rstest]
    #[case::unknown("[$NONE]", "[]")]
    #[case::itself("[$A]", "[]")]
    #[case::raw("[$RAW]", "[$B]")]
    #[case::file("[$FILE]", "[of b]")]
    #[case::doubled("[$$B]", "[$$B]")]
    fn expands_fully(#[case] value: &str, #[case] expected: &str) {
        let mut variables = job_variables(&[("A", value), ("B", "b")]);
        variables.add(Variable { raw: true, ..Variable::new("RAW", "$B", Origin::Project) });
        variables.add(Variable { file: true, ..Variable::new("FILE", "of $B", Origin::Project) });
        assert_eq!(&*variables.expand_all_fully().unwrap().get("A").unwrap().value, expected);
    }

    #[test]
    fn expansion_does_not_change_the_original() {
        let mut variables = job_variables(&[("A", "$B"), ("B", "b")]);
        variables.share();
        assert_eq!(&*variables.expand_all().unwrap().get("A").unwrap().value, "b");
        assert_eq!(&*variables.get("A").unwrap().value, "$B");
    }

    #[test]
    fn raw_and_file_references_are_left_to_the_runner() {
        let mut variables = job_variables(&[("A", "$RAW $FILE $B"), ("B", "b")]);
        variables.add(Variable { raw: true, ..Variable::new("RAW", "$B", Origin::Project) });
        variables.add(Variable { file: true, ..Variable::new("FILE", "of $B", Origin::Project) });
        let expanded = variables.expand_all().unwrap();
        let values = ["A", "RAW", "FILE"].map(|key| expanded.get(key).unwrap().value.to_string());
        assert_eq!(values, ["$RAW $FILE b", "$B", "of b"]);
    }

    #[test]
    fn hidden_variables_keep_their_order() {
        let list = [
            ("A", "1", Origin::Global),
            ("A", "2", Origin::Job),
            ("A", "3", Origin::Project),
            ("A", "4", Origin::Project),
        ];
        let variables = collection(&list);
        assert_eq!(variables.expand_all().unwrap(), variables);
    }

    #[rstest]
    #[case::cycle_of_two(&[("A", "x$B"), ("B", "${A}y")], r#"["A", "B"]"#)]
    #[case::cycle_after_a_variable(&[("A", "$B"), ("B", "$C"), ("C", "%B%")], r#"["B", "C"]"#)]
    #[case::two_cycles(&[("A", "$B"), ("B", "$A"), ("C", "$D"), ("D", "$C")], r#"["A", "B"], ["C", "D"]"#)]
    #[case::in_order_of_references(&[("A", "$C"), ("B", "$A"), ("C", "$B")], r#"["A", "C", "B"]"#)]
    fn reports_cycles(#[case] list: &[(&str, &str)], #[case] expected: &str) {
        let error = job_variables(list).expand_all().unwrap_err();
        assert_eq!(error.to_string(), format!("circular variable reference detected: {expected}"));
    }

    #[test]
    fn a_raw_variable_ends_a_cycle() {
        let mut variables = job_variables(&[("A", "$B")]);
        variables.add(Variable { raw: true, ..Variable::new("B", "$A", Origin::Job) });
        assert!(variables.expand_all().is_ok());
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let link = |number: u32| Variable::new(&format!("V{number}"), &format!("$V{}", number + 1), Origin::Job);
        let mut variables: Collection = (0..10_000).map(link).collect();
        variables.add(Variable::new("V10000", "end", Origin::Job));
        assert_eq!(&*variables.expand_all().unwrap().get("V0").unwrap().value, "end");
        variables.add(Variable::new("V10000", "$V0", Origin::Job));
        assert!(matches!(variables.expand_all(), Err(ExpansionError::Circular(names)) if names[0].len() == 10_001));
    }

    #[test]
    fn rejects_exponential_growth() {
        let double = |number: u32| {
            Variable::new(&format!("V{number}"), &"$V_".replace('_', &(number + 1).to_string()).repeat(2), Origin::Job)
        };
        let mut variables: Collection = (0..60).map(double).collect();
        variables.add(Variable::new("V60", "x", Origin::Job));
        assert_eq!(variables.expand_all(), Err(ExpansionError::LargeValue("V42".into())));
    }

    #[test]
    fn rejects_many_large_values() {
        let mut variables: Collection =
            (0..1000).map(|number| Variable::new(&format!("V{number}"), "$A", Origin::Job)).collect();
        variables.add(Variable::new("A", &"x".repeat(500_000), Origin::Job));
        assert!(matches!(variables.expand_all(), Err(ExpansionError::LargeValue(_))));
    }

    proptest! {
        #[test]
        fn expands_every_known_reference(values in proptest::collection::vec("([-.]|\\$[A-F]|%[A-F]%){0,4}", 6)) {
            let variables: Collection = ["A", "B", "C", "D", "E", "F"].iter().zip(&values)
                .map(|(key, value)| Variable::new(key, value, Origin::Job)).collect();
            match variables.expand_all() {
                Ok(expanded) => for (winner, _) in expanded.iter() {
                    // References stay only in a variable that references itself, and in those that reference it.
                    let is_left = Pieces::from_value(&winner.value).any(|piece| matches!(piece, Piece::Reference(..)));
                    let has_own = variables.iter().any(|(it, _)| Pieces::from_value(&it.value)
                        .any(|piece| matches!(piece, Piece::Reference(name, _) if *name == *it.key)));
                    prop_assert!(!is_left || has_own);
                },
                Err(error) => prop_assert!(matches!(error, ExpansionError::Circular(_))),
            }
        }

        #[test]
        fn any_values_terminate(values in proptest::collection::vec("[$%{}A-C ]*", 3)) {
            let variables: Collection = ["A", "B", "C"].iter().zip(&values)
                .map(|(key, value)| Variable::new(key, value, Origin::Job)).collect();
            let _ = variables.expand_all();
        }
    }
}
