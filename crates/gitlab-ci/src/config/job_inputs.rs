//! `inputs` of a job. `entry/job_input.rb`, `entry/job.rb`

use super::reader::{self, Reader};
use crate::inputs;
use crate::yaml::header;
use crate::yaml::node::Node;

/// The maximum number of inputs of a job.
const MAX_INPUTS: usize = 50;

/// Checks the keyword. Only a user who runs the job again in GitLab can set the values.
pub fn check(node: &Node, reader: &mut Reader<'_>) {
    let Some(declared) = reader.hash(node, "inputs") else { return };
    if declared.len() > MAX_INPUTS {
        reader.complain(node.span, " inputs", &format!("has too many entries (maximum {MAX_INPUTS})"));
        return;
    }
    for (name, entry) in declared {
        let path = format!("inputs:{}", reader::as_name(name));
        if entry.value.mapping().is_none() && !entry.value.is_null() {
            reader.complain(entry.value.span, &path, "config should be a hash");
            continue;
        }
        let subject = reader.subject(&path).to_lowercase();
        header::check_definition(entry, &subject, &header::KEYS_OF_JOB_INPUTS, reader.diagnostics);
        if entry.value.get("default").is_none_or(Node::is_null) {
            reader.complain(entry.key_span, &path, "must have a default value");
            continue;
        }
        let subject = reader.subject(" inputs").to_lowercase();
        inputs::check_default(&subject, name, entry, reader.diagnostics);
    }
}
