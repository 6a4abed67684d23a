//! Which variables must be known before others: Tarjan's strongly connected components, as Ruby's `TSort` finds them.
//!
//! The path is a list and not the stack of calls, which a long chain would overflow.

/// What is known of a node that was reached.
#[derive(Clone, Copy)]
struct Reached {
    /// How many were reached before it.
    index: usize,
    /// The first node that it leads back to, by that number.
    low: usize,
    /// Where it is among those whose component is not complete.
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

/// Groups of nodes that lead to each other, each after all that it leads to; within a group, in the order of reaching.
/// Time is linear in nodes and edges.
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
    #[case::none(vec![], vec![])]
    #[case::alone(vec![vec![]], vec![vec![0]])]
    #[case::itself(vec![vec![0]], vec![vec![0]])]
    #[case::chain(vec![vec![1], vec![2], vec![]], vec![vec![2], vec![1], vec![0]])]
    #[case::circle(vec![vec![1], vec![0]], vec![vec![0, 1]])]
    #[case::behind_others(vec![vec![1], vec![2], vec![1]], vec![vec![1, 2], vec![0]])]
    #[case::two_ways(vec![vec![1, 2], vec![3], vec![3], vec![]], vec![vec![3], vec![1], vec![2], vec![0]])]
    fn graphs(#[case] children: Vec<Vec<usize>>, #[case] expected: Vec<Vec<usize>>) {
        assert_eq!(components(&children), expected);
    }

    #[test]
    fn a_long_chain_overflows_nothing() {
        let children: Vec<Vec<usize>> =
            (0..200_000).map(|node| if node < 199_999 { vec![node + 1] } else { vec![] }).collect();
        assert_eq!(components(&children).len(), 200_000);
    }

    /// Which nodes lead to which, tried out.
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
        fn components_are_circles_in_order(
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
