//! `needs`. `entry/needs.rb`, `entry/need.rb`

use std::sync::Arc;

use super::parallel::{self, Matrix};
use super::reader::{Reader, Text};
use crate::pipeline::document::node::Node;
use crate::pipeline::source::Span;

/// A job that another one waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its name.
    pub job: Text,
    /// Whether its artifacts are taken over.
    pub artifacts: bool,
    /// Whether it may be missing.
    pub optional: bool,
    /// Which of its instances.
    pub matrix: Option<Matrix>,
}

/// How many there may be: `ci_needs_size_limit`.
pub(super) const MOST: usize = 50;

/// Reads them. Needs of other pipelines and projects are understood and left out.
pub fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let items = node.sequence().unwrap_or(std::slice::from_ref(node));
    let mut flat = Vec::new();
    // References nest.
    for item in items {
        match item.sequence() {
            Some(inner) => flat.extend(inner),
            None => flat.push(item),
        }
    }
    for item in flat {
        if let Some(need) = read_need(item, path, reader) {
            needs.push(need);
        }
    }
    if needs.len() > MOST {
        reader.complain(node.span, path, &format!("config can only have up to {MOST} jobs"));
        // Each is compared with every other.
        needs.truncate(MOST);
    }
    needs
}

fn read_need(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Need> {
    if let Some(name) = node.string() {
        let job = Text { value: name.into(), span: node.span };
        return Some(Need { job, artifacts: true, optional: false, matrix: None });
    }
    let Some(mapping) = node.mapping() else {
        reader.complain(node.span, path, "config has an unsupported type");
        return None;
    };
    for other in ["pipeline", "project"] {
        if let Some(entry) = mapping.get(other) {
            let warning =
                reader.diagnostics.warning(entry.key_span, format!("understood, not replayed: needs:{other}"));
            warning.help("the job of the other pipeline is taken to have succeeded, without artifacts");
            return None;
        }
    }
    reader.known_keys(mapping, "need", ["job", "artifacts", "optional", "parallel"]);
    let Some(job) = mapping.get("job") else {
        reader.complain(node.span, "need", "job can't be blank");
        return None;
    };
    let job = reader.string(&job.value, "need:job")?;
    let mut flag = |key: &str, default: bool| match mapping.get(key) {
        Some(entry) if !entry.value.is_null() => {
            reader.boolean(&entry.value, &format!("need:{key}")).unwrap_or(default)
        }
        _ => default,
    };
    let (artifacts, optional) = (flag("artifacts", true), flag("optional", false));
    let matrix = mapping.get("parallel").and_then(|entry| read_matrix(&entry.value, reader));
    Some(Need { job, artifacts, optional, matrix })
}

fn read_matrix(node: &Node, reader: &mut Reader<'_>) -> Option<Matrix> {
    if let Some(matrix) = node.get("matrix") {
        return parallel::read_matrix(matrix, "need:parallel", reader);
    }
    reader.complain(node.span, "need:parallel", "config should be a hash with the key matrix");
    None
}

/// The first name that stands twice, with the place of its second time.
pub fn duplicate(needs: &[Need]) -> Option<(Arc<str>, Span)> {
    needs.iter().enumerate().find_map(|(index, need)| {
        let is_same = |other: &Need| other.job.value == need.job.value && other.matrix == need.matrix;
        needs.iter().take(index).any(is_same).then(|| (Arc::clone(&need.job.value), need.job.span))
    })
}
