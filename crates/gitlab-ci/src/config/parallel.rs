//! `parallel`. `entry/product/parallel.rb`, `entry/product/matrix.rb`, `lib/gitlab/ci/config/normalizer.rb`

use std::sync::Arc;

use super::reader::Reader;
use crate::yaml::node::{KeyKind, Node, Value};

/// The maximum number of instances of a job.
const MAX_INSTANCES: usize = 200;

/// How a job is split into instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parallel {
    /// A number of equal instances.
    Count(usize),
    /// One instance per combination of values.
    Matrix(Matrix),
}

impl Parallel {
    /// The number of instances.
    pub fn count(&self) -> usize {
        match self {
            Self::Count(count) => *count,
            Self::Matrix(matrix) => matrix.len(),
        }
    }
}

/// The combinations of a matrix: for each instance its variables, in the order of the keys.
pub type Matrix = Vec<Vec<(Arc<str>, Arc<str>)>>;

/// Reads the keyword. Returns `None` if it is invalid.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Parallel> {
    if node.mapping().is_some() {
        return read_matrix_only(node, "parallel", reader).map(Parallel::Matrix);
    }
    // `numericality` of `ParallelBuilds` in `entry/product/parallel.rb`
    let message = match &node.value {
        Value::Integer(text) => match text.parse::<usize>() {
            Ok(count @ 1..=MAX_INSTANCES) => return Some(Parallel::Count(count)),
            Ok(0) => "config must be greater than or equal to 1".to_owned(),
            Err(_) if text.starts_with('-') => "config must be greater than or equal to 1".to_owned(),
            _ => format!("config must be less than or equal to {MAX_INSTANCES}"),
        },
        Value::Float(_) => "config must be an integer".to_owned(),
        _ => {
            reader.misfit(node.span, "parallel", "should be an integer or a hash");
            return None;
        }
    };
    reader.complain(node.span, "parallel", &message);
    None
}

const PAIRS: &str = "config should be a hash of key value pairs, value can be an array";

/// Reads `parallel` of a job that starts a pipeline, or of a need. Neither accepts a number.
pub fn read_matrix_only(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Matrix> {
    if matches!(node.value, Value::Integer(_) | Value::Float(_)) {
        reader.complain(node.span, path, "config cannot use \"parallel: <number>\".");
        return None;
    }
    let Some(mapping) = node.mapping() else {
        reader.misfit(node.span, path, "should be an integer or a hash");
        return None;
    };
    reader.known_keys(mapping, path, ["matrix"]);
    let Some(matrix) = mapping.get("matrix") else {
        reader.complain(node.span, path, "config missing required keys: matrix");
        return None;
    };
    if matrix.value.is_null() {
        // An entry without a value counts as absent: `value` of `lib/gitlab/config/entry/node.rb`. Without a matrix,
        // `lib/gitlab/ci/config/normalizer/factory.rb` finds no strategy and creates no instances.
        return Some(Matrix::new());
    }
    read_matrix(&matrix.value, path, reader)
}

/// Reads a list of matrices into all combinations of their values. The last key of a matrix varies fastest.
fn read_matrix(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Matrix> {
    let Some(items) = node.sequence() else {
        reader.complain(node.span, &format!("{path}:matrix"), "config should be an array of hashes");
        return None;
    };
    let mut matrix = Matrix::new();
    for item in items {
        let Some(mapping) = item.mapping() else {
            reader.complain(item.span, &format!("{path}:matrix"), "config should be an array of hashes");
            return None;
        };
        let variables = format!("{path}:matrix:variables");
        if mapping.is_empty() {
            reader.complain(item.span, &variables, "config requires at least 1 items");
            return None;
        }
        if let Some((_, entry)) = mapping.iter().find(|(_, entry)| entry.key_kind == KeyKind::Other) {
            reader.complain(entry.key_span, &variables, PAIRS).help("put the name in quotes");
        }
        let mut combinations: Matrix = vec![Vec::new()];
        for (key, entry) in mapping {
            let values = entry.value.sequence().unwrap_or(std::slice::from_ref(&entry.value));
            let mut texts: Vec<Arc<str>> = Vec::new();
            for value in values {
                // Unlike the values of `variables`. `validate_alphanumeric` of `legacy_validation_helpers.rb`
                match &value.value {
                    Value::String(text) | Value::Symbol(text) | Value::Integer(text) => texts.push(Arc::clone(text)),
                    _ => {
                        let error = reader.complain(value.span, &variables, PAIRS);
                        if value.scalar().is_some() {
                            error.help("put the value in quotes");
                        }
                    }
                }
            }
            if combinations.len().saturating_mul(texts.len()) > MAX_INSTANCES {
                reader.complain(
                    node.span,
                    &format!("{path}:matrix"),
                    &format!("config generates too many jobs (maximum is {MAX_INSTANCES})"),
                );
                return None;
            }
            // Most keys of a large hash have one value.
            if let [text] = texts.as_slice() {
                for combination in &mut combinations {
                    combination.push((Arc::clone(key), Arc::clone(text)));
                }
                continue;
            }
            let with = |combination: &Vec<(Arc<str>, Arc<str>)>, text: &Arc<str>| {
                let mut combination = combination.clone();
                combination.push((Arc::clone(key), Arc::clone(text)));
                combination
            };
            combinations = combinations
                .iter()
                .flat_map(|one| texts.iter().map(|text| with(one, text)).collect::<Vec<_>>())
                .collect();
        }
        matrix.extend(combinations);
    }
    if matrix.len() > MAX_INSTANCES {
        reader.complain(
            node.span,
            &format!("{path}:matrix"),
            &format!("config generates too many jobs (maximum is {MAX_INSTANCES})"),
        );
        return None;
    }
    Some(matrix)
}

/// Returns the name of an instance of a matrix: `job: [a, b]`.
pub fn instance_name(job: &str, values: &[(Arc<str>, Arc<str>)]) -> String {
    let values: Vec<&str> = values.iter().map(|(_, value)| &**value).collect();
    format!("{job}: [{}]", values.join(", "))
}

/// Returns the name of an instance of a job with a number of equal instances: `job 1/3`.
pub fn numbered_name(job: &str, number: usize, count: usize) -> String {
    format!("{job} {number}/{count}")
}

/// Replaces `$[[ matrix.X ]]` in the values of a need by the value of `X` in the instance that needs it.
/// `lib/gitlab/ci/config/interpolation/matrix_interpolator.rb`
pub fn with_own_values(values: &[(Arc<str>, Arc<str>)], own: &[(Arc<str>, Arc<str>)]) -> Vec<(Arc<str>, Arc<str>)> {
    values.iter().map(|(key, value)| (Arc::clone(key), own_value(value, own))).collect()
}

/// Replaces each `$[[ matrix.X ]]` in a text. Names that the instance does not have stay as they are written.
pub fn own_value(text: &Arc<str>, own: &[(Arc<str>, Arc<str>)]) -> Arc<str> {
    if !text.contains("$[[") {
        return Arc::clone(text);
    }
    let mut replaced = String::new();
    for part in parts(text) {
        let value = own.iter().find(|(name, _)| part.name == Some(&**name)).map(|(_, value)| &**value);
        replaced.push_str(value.unwrap_or(part.text));
    }
    replaced.into()
}

/// The names `X` of all `$[[ matrix.X ]]` in a text.
pub fn matrix_names(text: &str) -> impl Iterator<Item = &str> {
    parts(text).into_iter().filter_map(|part| part.name)
}

/// A part of a text: one `$[[ matrix.X ]]`, or the text between two of them.
struct Part<'text> {
    text: &'text str,
    name: Option<&'text str>,
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut all, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("$[[") {
        let Some((inside, next)) = after.split_once("]]") else { break };
        let access = rest.get(before.len()..rest.len() - next.len()).unwrap_or_default();
        all.push(Part { text: before, name: None });
        all.push(Part { text: access, name: inside.trim().strip_prefix("matrix.") });
        rest = next;
    }
    all.push(Part { text: rest, name: None });
    all
}
