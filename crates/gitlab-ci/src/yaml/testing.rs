//! What the tests of several steps share.

use std::sync::Arc;

use super::node::{Mapping, Node, Value};
use crate::diagnostic::Diagnostics;
use crate::source::Sources;
use crate::yaml::parse::compose;

/// What a step makes of a text, and what it says of it: `file:line:column: message help`.
pub(super) fn resolved(
    text: &str,
    step: impl Fn(&Mapping, &mut Diagnostics) -> Mapping,
) -> (serde_json::Value, Vec<String>) {
    let mut sources = Sources::default();
    let file = sources.add("a.yml", text);
    let mut diagnostics = Diagnostics::default();
    let node = compose(&sources, file, &mut diagnostics).remove(0);
    let root = step(node.mapping().unwrap(), &mut diagnostics);
    let said = diagnostics.sorted().into_iter().map(|it| {
        let line = format!("{}: {} {}", sources.location(it.span), it.message, it.help.clone().unwrap_or_default());
        line.trim_end().to_owned()
    });
    (Node::new(node.span, Value::Mapping(Arc::new(root))).json(), said.collect())
}
