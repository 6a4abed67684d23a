//! Helpers for the tests of several steps.

use std::sync::Arc;

use super::node::{Mapping, Node, Value};
use crate::diagnostic::Diagnostics;
use crate::source::Sources;
use crate::yaml::parse::compose;

/// Applies a step to a text. Returns the resulting tree, and each diagnostic as `file:line:column: message help`.
pub(super) fn resolved(
    text: &str,
    step: impl Fn(&Mapping, &mut Diagnostics) -> Mapping,
) -> (serde_json::Value, Vec<String>) {
    let mut sources = Sources::default();
    let file = sources.add("a.yml", text);
    let mut diagnostics = Diagnostics::default();
    let node = compose(&sources, file, &mut diagnostics).remove(0);
    let root = step(node.mapping().unwrap(), &mut diagnostics);
    let messages = diagnostics.sorted().into_iter().map(|it| {
        let line = format!("{}: {} {}", sources.location(it.span), it.message, it.notes().unwrap_or_default());
        line.trim_end().to_owned()
    });
    (Node::new(node.span, Value::Mapping(Arc::new(root))).json(), messages.collect())
}
