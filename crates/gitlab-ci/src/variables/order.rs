//! The order in which variables are expanded: Tarjan's strongly connected components, as Ruby's `TSort` finds them.
//!
//! The search keeps its path in a list. Recursion would overflow the stack in a long chain of variables.

/// The state of a visited node.
#[derive(Clone, Copy)]
struct Reached {
    /// The number of nodes visited before it.
    index: usize,
    /// The lowest index that is reachable from it.
    low: usize,
    /// Its position in the list of nodes whose component is not complete.
    position: usize,
    /// Whether its component is not complete.
    is_open: bool,
}

#[derive(Default)]
struct Search {
    reached: Vec<Option<Reached>>,
    count: usize,
    open: Vec<usize>,
    components: Vec<Vec<usize>>,
}

/// Groups the nodes that reach each other. A group comes after all groups that it references; within a group, nodes are
/// in the order in which they were visited. Takes linear time in nodes and edges.
pub(super) fn components(children: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut search = Search { reached: vec![None; children.len()], ..Search::default() };
    for start in 0..children.len() {
        if search.get(start).is_none() {
            search.walk(start, children);
        }
    }
    search.components
}

impl Search {
    fn get(&self, node: usize) -> Option<Reached> {
        self.reached.get(node).copied().flatten()
    }

    fn enter(&mut self, node: usize) {
        let reached = Reached { index: self.count, low: self.count, position: self.open.len(), is_open: true };
        self.count += 1;
        self.open.push(node);
        if let Some(slot) = self.reached.get_mut(node) {
            *slot = Some(reached);
        }
    }

    fn lower(&mut self, node: usize, low: usize) {
        if let Some(Some(reached)) = self.reached.get_mut(node) {
            reached.low = reached.low.min(low);
        }
    }

    fn walk(&mut self, start: usize, children: &[Vec<usize>]) {
        self.enter(start);
        let mut path = vec![(start, 0)];
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            if let Some(child) = children.get(node).and_then(|children| children.get(*next)).copied() {
                *next += 1;
                match self.get(child) {
                    None => {
                        self.enter(child);
                        path.push((child, 0));
                    }
                    Some(reached) if reached.is_open => self.lower(node, reached.index),
                    Some(_) => {}
                }
                continue;
            }
            path.pop();
            let Some(reached) = self.get(node) else { continue };
            if let Some((parent, _)) = path.last() {
                self.lower(*parent, reached.low);
            }
            if reached.low == reached.index {
                self.complete(reached.position);
            }
        }
    }

    fn complete(&mut self, position: usize) {
        let component = self.open.split_off(position.min(self.open.len()));
        for node in &component {
            if let Some(Some(reached)) = self.reached.get_mut(*node) {
                reached.is_open = false;
            }
        }
        self.components.push(component);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_nodes(vec![], vec![])]
    #[case::single_node(vec![vec![]], vec![vec![0]])]
    #[case::self_reference(vec![vec![0]], vec![vec![0]])]
    #[case::chain(vec![vec![1], vec![2], vec![]], vec![vec![2], vec![1], vec![0]])]
    #[case::cycle(vec![vec![1], vec![0]], vec![vec![0, 1]])]
    #[case::cycle_after_a_node(vec![vec![1], vec![2], vec![1]], vec![vec![1, 2], vec![0]])]
    #[case::two_paths(vec![vec![1, 2], vec![3], vec![3], vec![]], vec![vec![3], vec![1], vec![2], vec![0]])]
    fn groups_nodes(#[case] children: Vec<Vec<usize>>, #[case] expected: Vec<Vec<usize>>) {
        assert_eq!(components(&children), expected);
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let children: Vec<Vec<usize>> =
            (0..200_000).map(|node| if node < 199_999 { vec![node + 1] } else { vec![] }).collect();
        assert_eq!(components(&children).len(), 200_000);
    }

    /// Computes the reachability of all pairs of nodes by brute force.
    fn leads(children: &[Vec<usize>]) -> Vec<Vec<bool>> {
        let count = children.len();
        let mut leads = vec![vec![false; count]; count];
        for (from, children) in children.iter().enumerate() {
            for to in children {
                leads[from][*to] = true;
            }
        }
        for middle in 0..count {
            for from in 0..count {
                for to in 0..count {
                    leads[from][to] |= leads[from][middle] && leads[middle][to];
                }
            }
        }
        leads
    }

    proptest! {
        #[test]
        fn components_are_cycles_in_order(
            children in proptest::collection::vec(proptest::collection::vec(0..8_usize, 0..4), 8),
        ) {
            let (found, leads) = (components(&children), leads(&children));
            let place = |node: usize| found.iter().position(|component| component.contains(&node)).unwrap();
            prop_assert_eq!(found.iter().map(Vec::len).sum::<usize>(), children.len());
            for (from, to) in (0..64).map(|pair| (pair / 8, pair % 8)).filter(|(from, to)| from != to) {
                prop_assert_eq!(place(from) == place(to), leads[from][to] && leads[to][from]);
                prop_assert!(!leads[from][to] || place(to) <= place(from));
            }
        }
    }
}
