//! `auto_cancel` in `workflow` and its rules. `entry/auto_cancel.rb`

use super::reader::Reader;
use crate::yaml::node::Node;

/// The values of `on_new_commit`. `auto_cancel_on_new_commits` of `app/models/ci/pipeline_metadata.rb`
const ON_NEW_COMMIT: [&str; 3] = ["conservative", "interruptible", "none"];

/// The values of `on_job_failure`. `auto_cancel_on_job_failures`, in the same file.
const ON_JOB_FAILURE: [&str; 2] = ["none", "all"];

/// Reads the keyword. Returns whether the first failed job cancels the pipeline.
pub fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> bool {
    let Some(mapping) = reader.hash(node, path) else { return false };
    reader.known_keys(mapping, path, ["on_new_commit", "on_job_failure"]);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    for (key, words) in [("on_new_commit", &ON_NEW_COMMIT[..]), ("on_job_failure", &ON_JOB_FAILURE[..])] {
        let Some(node) = value(key) else { continue };
        if !node.string().is_some_and(|text| words.contains(&text)) {
            let message = format!("must be one of: {}", words.join(", "));
            reader.unknown_word(node, &format!("{path} {key}"), &message, words.iter().copied());
        }
    }
    value("on_job_failure").and_then(Node::string) == Some("all")
}
