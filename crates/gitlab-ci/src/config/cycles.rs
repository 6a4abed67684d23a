//! Cycles in `needs`. `lib/gitlab/ci/yaml_processor/dag.rb`

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use indexmap::IndexMap;

use super::job::Job;
use super::names;
use super::needs::{MAX_NEEDS, Need};
use super::parallel::{Parallel, instance_name, own_value, with_own_values};
use super::root::Configuration;
use crate::diagnostic;
use crate::diagnostic::Diagnostics;
use crate::source::Span;

/// The maximum number of names in all reported cycles together.
const MAX_REPORTED: usize = 1000;

/// The maximum number of instances that are searched at once. A small file may have millions of them.
const MAX_INSTANCES: usize = 20_000;

/// Reports cycles in `needs`. GitLab searches them after it has replaced parallel jobs by their instances: an instance
/// may need a job that needs another instance.
pub(super) fn check(configuration: &Configuration, diagnostics: &mut Diagnostics) {
    let jobs = &configuration.jobs;
    let needs = |job: usize| -> Vec<usize> {
        let Some((_, job)) = jobs.get_index(job) else { return Vec::new() };
        let names = job.needs.iter().flatten().flat_map(|need| names::needed_names(job, need));
        let needed = names.filter_map(|name| names::find(configuration, &name));
        needed.filter_map(|needed| jobs.get_index_of(&needed.name)).collect()
    };
    let mut reported = 0;
    // A cycle of instances is a part of a cycle of their jobs, so that only jobs in cycles are expanded.
    for component in cyclic_components(jobs.len(), needs) {
        let members = component.iter().filter_map(|index| jobs.get_index(*index)).map(|(_, job)| job);
        let nodes = instances(members, configuration);
        let children = |node: usize| -> Vec<usize> {
            let needs = nodes.get_index(node).map(|(_, node)| node.needs.as_slice()).unwrap_or_default();
            needs.iter().filter_map(|name| nodes.get_index_of(name)).collect()
        };
        for cycle in cyclic_components(nodes.len(), children) {
            report(&cycle, &nodes, &children, diagnostics);
            reported += cycle.len();
            if reported > MAX_REPORTED {
                return;
            }
        }
    }
}

/// An instance of a job.
struct Instance {
    span: Span,
    /// The names of the instances that it needs.
    needs: Vec<Arc<str>>,
}

fn instances<'job>(
    jobs: impl Iterator<Item = &'job Job>,
    configuration: &Configuration,
) -> IndexMap<Arc<str>, Instance> {
    let mut all = IndexMap::new();
    for job in jobs {
        if all.len() > MAX_INSTANCES {
            break;
        }
        let mut add = |name: Arc<str>, own: &[(Arc<str>, Arc<str>)]| {
            let needs = job.needs.iter().flatten().flat_map(|need| needed_instances(need, own, configuration));
            // More needs than these have been reported.
            all.insert(name, Instance { span: job.span, needs: needs.take(MAX_NEEDS).collect() });
        };
        match &job.parallel {
            Some(Parallel::Matrix(matrix)) => {
                for own in matrix {
                    add(instance_name(&job.name, own).into(), own);
                }
            }
            _ => names::instance_names(job).into_iter().for_each(|name| add(name, &[])),
        }
    }
    all
}

/// `expand_parallelized_needs` of `lib/gitlab/ci/config/normalizer.rb`
fn needed_instances(need: &Need, own: &[(Arc<str>, Arc<str>)], configuration: &Configuration) -> Vec<Arc<str>> {
    let name = own_value(&need.job.value, own);
    let parallel = configuration.jobs.get(&name).filter(|job| job.parallel.is_some());
    match (parallel, &need.matrix) {
        (None, _) => vec![name],
        (Some(_), Some(matrix)) => {
            matrix.iter().map(|values| instance_name(&name, &with_own_values(values, own)).into()).collect()
        }
        (Some(job), None) => names::instance_names(job).into_iter().collect(),
    }
}

/// GitLab's message, for a part of the graph in which every instance needs every other one, maybe indirectly.
fn report(
    component: &[usize],
    nodes: &IndexMap<Arc<str>, Instance>,
    children: &dyn Fn(usize) -> Vec<usize>,
    diagnostics: &mut Diagnostics,
) {
    let name = |index: &usize| nodes.get_index(*index).map(|(name, _)| &**name).unwrap_or_default();
    let span = |index: &usize| nodes.get_index(*index).map(|(_, node)| node.span);
    let self_needing: Vec<_> = component.iter().filter(|index| children(**index).contains(index)).collect();
    for index in &self_needing {
        let Some(span) = span(index) else { continue };
        let message = format!("The pipeline has circular dependencies: self-dependency: {}", name(index));
        diagnostics.error(span, message);
    }
    let Some(first) = component.first().filter(|_| self_needing.is_empty()) else { return };
    let Some(span) = span(first) else { return };
    let quoted = component.iter().map(|index| format!("{:?}", name(index))).collect::<Vec<_>>().join(", ");
    let quoted = diagnostic::shortened(&quoted);
    let message = format!("The pipeline has circular dependencies: topological sort failed: [{quoted}]");
    let cycle = shortest_cycle(*first, component, children);
    let error = diagnostics.error(span, message);
    error.help(diagnostic::shortened(&cycle.iter().map(name).collect::<Vec<_>>().join(" needs ")));
}

/// The shortest way from a node to itself.
fn shortest_cycle(start: usize, component: &[usize], children: &dyn Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let members: HashSet<usize> = component.iter().copied().collect();
    let mut from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for child in children(node).into_iter().filter(|child| members.contains(child)) {
            if child == start {
                let mut way = vec![start, node];
                while let Some(before) = way.last().filter(|last| **last != start).and_then(|last| from.get(last)) {
                    way.push(*before);
                }
                way.reverse();
                return way;
            }
            if let std::collections::hash_map::Entry::Vacant(entry) = from.entry(child) {
                entry.insert(node);
                queue.push_back(child);
            }
        }
    }
    vec![start]
}

/// Returns the strongly connected components of a graph that have a cycle, each in the order in which a depth-first
/// search finds its nodes, as Ruby's `TSort` does. The search is not recursive, because a chain may contain all nodes.
fn cyclic_components(count: usize, children: impl Fn(usize) -> Vec<usize>) -> Vec<Vec<usize>> {
    /// A node that is being searched.
    struct Open {
        children: std::vec::IntoIter<usize>,
        is_own_child: bool,
        /// The place in `stack`.
        at: usize,
        id: usize,
        lowest: usize,
    }
    let mut components = Vec::new();
    // The number of a node in the order of the search. `None` in it: the component is complete.
    let mut ids: HashMap<usize, Option<usize>> = HashMap::new();
    let mut stack: Vec<usize> = Vec::new();
    let mut path: Vec<Open> = Vec::new();
    for root in 0..count {
        let mut next = Some(root).filter(|root| !ids.contains_key(root));
        loop {
            if let Some(node) = next.take() {
                let (id, children) = (ids.len(), children(node));
                ids.insert(node, Some(id));
                let is_own_child = children.contains(&node);
                path.push(Open { is_own_child, children: children.into_iter(), at: stack.len(), id, lowest: id });
                stack.push(node);
            }
            let Some(open) = path.last_mut() else { break };
            if let Some(child) = open.children.next() {
                match ids.get(&child) {
                    None => next = Some(child),
                    Some(Some(id)) => open.lowest = open.lowest.min(*id),
                    Some(None) => {}
                }
                continue;
            }
            let Some(closed) = path.pop() else { break };
            if closed.id == closed.lowest {
                let component = stack.split_off(closed.at);
                ids.extend(component.iter().map(|node| (*node, None)));
                if component.len() > 1 || closed.is_own_child {
                    components.push(component);
                }
            } else if let Some(parent) = path.last_mut() {
                parent.lowest = parent.lowest.min(closed.lowest);
            }
        }
    }
    components
}
