//! What the values of all variables become on the server, where each may refer to others.
//! <https://docs.gitlab.com/ci/variables/where_variables_can_be_used/#gitlab-internal-variable-expansion-mechanism>

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::collection::{Collection, Variable};
use super::expand::{ExpansionError, LARGEST_TOGETHER, Value, fill};
use super::order;
use super::reference::{Piece, Pieces};

/// What becomes of references that a runner could still make something of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leftovers {
    /// They stay: what is unknown, raw or a file is the runner's.
    Stay,
    /// Nothing stays: what is unknown is empty, what is raw or a file has its value.
    Go,
}

impl Collection {
    /// All variables with each other's values in them, as the runner gets them: what is unknown, raw or a file is left
    /// to it. `runner_variables` of `app/presenters/ci/build_runner_presenter.rb`
    ///
    /// Of the origins within `.gitlab-ci.yml` only the strongest takes part, because GitLab merges them before. Of the
    /// others all do: a variable that refers to its own name means the strongest other one, and then wins over all of
    /// them, because GitLab takes the last in the order of expansion. `lib/gitlab/ci/variables/collection.rb`
    ///
    /// # Errors
    /// When variables lead in a circle, or become too large. One that refers to nothing but itself is no circle.
    pub fn expand_all(&self) -> Result<Self, ExpansionError> {
        self.resolve(Leftovers::Stay)
    }

    /// The same for the texts that the server expands itself, such as an environment's name: nothing is left to anybody.
    /// `sort_and_expand_all` of `lib/gitlab/ci/variables/collection.rb`
    ///
    /// # Errors
    /// As of [`Collection::expand_all`].
    pub fn expand_all_fully(&self) -> Result<Self, ExpansionError> {
        self.resolve(Leftovers::Go)
    }

    fn resolve(&self, leftovers: Leftovers) -> Result<Self, ExpansionError> {
        let nodes = Nodes::of(self);
        // Few variables refer to others, and many jobs have none that does.
        if nodes.list.is_empty() {
            return Ok(self.clone());
        }
        let components = order::components(&nodes.children());
        let circles: Vec<Vec<Arc<str>>> = components
            .iter()
            .filter(|component| component.len() > 1)
            .map(|component| component.iter().filter_map(|at| nodes.list.get(*at)).map(Node::key).collect())
            .collect();
        if !circles.is_empty() {
            return Err(ExpansionError::Circular(circles));
        }
        let mut values: Vec<Option<Arc<str>>> = vec![None; nodes.list.len()];
        let mut total = 0;
        for at in components.into_iter().flatten() {
            let Some(node) = nodes.list.get(at) else { continue };
            let too_large = || ExpansionError::LargeValue(node.key());
            let value = fill(Pieces::of_value(&node.variable.value), |name| {
                let Some((other, index)) = nodes.meant(self, name, node) else {
                    return (leftovers == Leftovers::Go).then_some(Value::Shared(""));
                };
                let is_plain = leftovers == Leftovers::Go || !(other.file || other.raw);
                let value = index.and_then(|index| values.get(index)?.as_deref()).unwrap_or(&other.value);
                is_plain.then_some(Value::Shared(value))
            });
            let value = value.ok_or_else(too_large)?;
            total += value.len().saturating_sub(node.variable.value.len());
            if total > LARGEST_TOGETHER {
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

/// A variable that refers to others.
struct Node<'collection> {
    variable: &'collection Variable,
    /// Where it is among those of its name.
    position: usize,
    refers_to_itself: bool,
}

impl Node<'_> {
    fn key(&self) -> Arc<str> {
        Arc::clone(&self.variable.key)
    }
}

/// All that refer to others, from the weakest origin to the strongest.
struct Nodes<'collection> {
    list: Vec<Node<'collection>>,
    by_name: HashMap<&'collection str, Vec<usize>>,
}

impl<'collection> Nodes<'collection> {
    fn of(collection: &'collection Collection) -> Self {
        let refers = |variable: &Variable| !variable.raw && variable.value.contains(['$', '%']);
        let mut list = Vec::new();
        for same in collection.lists().filter(|same| same.iter().any(refers)) {
            let of_name = members(same).filter(|(_, variable)| refers(variable)).map(|(position, variable)| Node {
                variable,
                position,
                refers_to_itself: references(variable).any(|name| *name == *variable.key),
            });
            list.extend(of_name.collect::<Vec<_>>().into_iter().rev());
        }
        list.sort_by_key(|node| node.variable.origin);
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, node) in list.iter().enumerate() {
            by_name.entry(&node.variable.key).or_default().push(at);
        }
        Self { list, by_name }
    }

    /// Of each node those that it refers to, each once, in the order of the references.
    fn children(&self) -> Vec<Vec<usize>> {
        let of = |node: &Node<'_>| {
            let mut seen = HashSet::new();
            let names = references(node.variable).filter(|name| seen.insert(*name));
            names.filter_map(|name| self.by_name.get(name)).flatten().copied().collect()
        };
        self.list.iter().map(of).collect()
    }

    /// The variable that a name means within the value of another one, and its place if it is a node.
    fn meant(
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

/// Of variables of one name those that GitLab knows of, with their places: `.gitlab-ci.yml` has merged its own before.
fn members(same: &[Variable]) -> impl Iterator<Item = (usize, &Variable)> {
    let mut has_yaml = false;
    same.iter().enumerate().filter(move |(_, variable)| {
        let is_replaced = has_yaml && variable.origin.is_yaml();
        has_yaml |= variable.origin.is_yaml();
        !is_replaced
    })
}

fn references(variable: &Variable) -> impl Iterator<Item = &str> {
    Pieces::of_value(&variable.value).filter_map(|piece| match piece {
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

    fn of_job(list: &[(&str, &str)]) -> Collection {
        list.iter().map(|(key, value)| Variable::new(key, value, Origin::Job)).collect()
    }

    #[rstest]
    #[case::nested(&[("A", "$B-a"), ("B", "${C}-b"), ("C", "%D%-c"), ("D", "d")], "d-c-b-a")]
    #[case::unknown(&[("A", "$NONE ${NONE} %NONE%")], "$NONE ${NONE} %NONE%")]
    #[case::doubled(&[("A", "$$B %%B% $B"), ("B", "b")], "$$B %%B% b")]
    #[case::doubled_inside(&[("A", "$B"), ("B", "$$C"), ("C", "c")], "$$C")]
    #[case::itself(&[("A", "$A:b")], "$A:b")]
    #[case::twice(&[("A", "$B$B"), ("B", "$C"), ("C", "c")], "cc")]
    fn values(#[case] list: &[(&str, &str)], #[case] expected: &str) {
        assert_eq!(&*of_job(list).expand_all().unwrap().get("A").unwrap().value, expected);
    }

    // `Gitlab::Ci::Variables::Collection` has all of them, of `.gitlab-ci.yml` only the merged one.
    #[rstest]
    #[case::own_name(&[("A", "$A:b", Origin::Project), ("A", "a", Origin::Job)], "a:b")]
    #[case::own_name_within_yaml(&[("A", "$A:b", Origin::Job), ("A", "a", Origin::Global)], "$A:b")]
    #[case::weaker_refers(&[("A", "$B", Origin::Project), ("B", "b", Origin::Job)], "b")]
    #[case::the_strongest(&[("A", "$B", Origin::Job), ("B", "b", Origin::Job), ("B", "c", Origin::Project)], "c")]
    fn origins(#[case] list: &[(&str, &str, Origin)], #[case] expected: &str) {
        assert_eq!(&*collection(list).expand_all().unwrap().get("A").unwrap().value, expected);
    }

    // The last in the order of expansion is the one that GitLab and the runner take.
    #[rstest]
    #[case::a_weak_one_adds_to_a_strong_one(&[("A", "$A:b", Origin::Job), ("A", "a", Origin::Project)], "a:b")]
    #[case::and_is_meant_by_others(
        &[("A", "$B", Origin::Pipeline), ("B", "$B:b", Origin::Job), ("B", "b", Origin::Project)],
        "b:b"
    )]
    fn own_name(#[case] list: &[(&str, &str, Origin)], #[case] expected: &str) {
        assert_eq!(&*collection(list).expand_all().unwrap().get("A").unwrap().value, expected);
    }

    #[test]
    fn two_that_add_to_each_other_are_a_circle() {
        let error = collection(&[("A", "$A:b", Origin::Job), ("A", "$A:c", Origin::Project)]).expand_all().unwrap_err();
        assert_eq!(error.to_string(), r#"circular variable reference detected: ["A", "A"]"#);
    }

    #[rstest]
    #[case::unknown("[$NONE]", "[]")]
    #[case::itself("[$A]", "[]")]
    #[case::raw("[$RAW]", "[$B]")]
    #[case::file("[$FILE]", "[of b]")]
    #[case::doubled("[$$B]", "[$$B]")]
    fn fully(#[case] value: &str, #[case] expected: &str) {
        let mut variables = of_job(&[("A", value), ("B", "b")]);
        variables.add(Variable { raw: true, ..Variable::new("RAW", "$B", Origin::Project) });
        variables.add(Variable { file: true, ..Variable::new("FILE", "of $B", Origin::Project) });
        assert_eq!(&*variables.expand_all_fully().unwrap().get("A").unwrap().value, expected);
    }

    #[test]
    fn what_is_shared_stays_as_it_was() {
        let mut variables = of_job(&[("A", "$B"), ("B", "b")]);
        variables.share();
        assert_eq!(&*variables.expand_all().unwrap().get("A").unwrap().value, "b");
        assert_eq!(&*variables.get("A").unwrap().value, "$B");
    }

    #[test]
    fn raw_and_file_references_are_left_to_the_runner() {
        let mut variables = of_job(&[("A", "$RAW $FILE $B"), ("B", "b")]);
        variables.add(Variable { raw: true, ..Variable::new("RAW", "$B", Origin::Project) });
        variables.add(Variable { file: true, ..Variable::new("FILE", "of $B", Origin::Project) });
        let expanded = variables.expand_all().unwrap();
        let values = ["A", "RAW", "FILE"].map(|key| expanded.get(key).unwrap().value.to_string());
        assert_eq!(values, ["$RAW $FILE b", "$B", "of b"]);
    }

    #[test]
    fn hidden_ones_stay_and_keep_their_order() {
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
    #[case::two(&[("A", "x$B"), ("B", "${A}y")], r#"["A", "B"]"#)]
    #[case::behind_others(&[("A", "$B"), ("B", "$C"), ("C", "%B%")], r#"["B", "C"]"#)]
    #[case::two_circles(&[("A", "$B"), ("B", "$A"), ("C", "$D"), ("D", "$C")], r#"["A", "B"], ["C", "D"]"#)]
    #[case::in_order_of_references(&[("A", "$C"), ("B", "$A"), ("C", "$B")], r#"["A", "C", "B"]"#)]
    fn circles(#[case] list: &[(&str, &str)], #[case] expected: &str) {
        let error = of_job(list).expand_all().unwrap_err();
        assert_eq!(error.to_string(), format!("circular variable reference detected: {expected}"));
    }

    #[test]
    fn a_raw_one_ends_a_circle() {
        let mut variables = of_job(&[("A", "$B")]);
        variables.add(Variable { raw: true, ..Variable::new("B", "$A", Origin::Job) });
        assert!(variables.expand_all().is_ok());
    }

    #[test]
    fn a_long_chain_overflows_nothing() {
        let link = |number: u32| Variable::new(&format!("V{number}"), &format!("$V{}", number + 1), Origin::Job);
        let mut variables: Collection = (0..10_000).map(link).collect();
        variables.add(Variable::new("V10000", "end", Origin::Job));
        assert_eq!(&*variables.expand_all().unwrap().get("V0").unwrap().value, "end");
        variables.add(Variable::new("V10000", "$V0", Origin::Job));
        assert!(matches!(variables.expand_all(), Err(ExpansionError::Circular(names)) if names[0].len() == 10_001));
    }

    #[test]
    fn what_doubles_itself_is_refused() {
        let double = |number: u32| {
            Variable::new(&format!("V{number}"), &"$V_".replace('_', &(number + 1).to_string()).repeat(2), Origin::Job)
        };
        let mut variables: Collection = (0..60).map(double).collect();
        variables.add(Variable::new("V60", "x", Origin::Job));
        assert_eq!(variables.expand_all(), Err(ExpansionError::LargeValue("V42".into())));
    }

    #[test]
    fn many_large_ones_are_refused() {
        let mut variables: Collection =
            (0..1000).map(|number| Variable::new(&format!("V{number}"), "$A", Origin::Job)).collect();
        variables.add(Variable::new("A", &"x".repeat(500_000), Origin::Job));
        assert!(matches!(variables.expand_all(), Err(ExpansionError::LargeValue(_))));
    }

    proptest! {
        #[test]
        fn nothing_known_is_left(values in proptest::collection::vec("([-.]|\\$[A-F]|%[A-F]%){0,4}", 6)) {
            let variables: Collection = ["A", "B", "C", "D", "E", "F"].iter().zip(&values)
                .map(|(key, value)| Variable::new(key, value, Origin::Job)).collect();
            match variables.expand_all() {
                Ok(expanded) => for (winner, _) in expanded.iter() {
                    // Only one that refers to itself keeps that, and so do those that refer to it.
                    let is_left = Pieces::of_value(&winner.value).any(|piece| matches!(piece, Piece::Reference(..)));
                    let has_own = variables.iter().any(|(it, _)| Pieces::of_value(&it.value)
                        .any(|piece| matches!(piece, Piece::Reference(name, _) if *name == *it.key)));
                    prop_assert!(!is_left || has_own);
                },
                Err(error) => prop_assert!(matches!(error, ExpansionError::Circular(_))),
            }
        }

        #[test]
        fn any_values(values in proptest::collection::vec("[$%{}A-C ]*", 3)) {
            let variables: Collection = ["A", "B", "C"].iter().zip(&values)
                .map(|(key, value)| Variable::new(key, value, Origin::Job)).collect();
            let _ = variables.expand_all();
        }
    }
}
