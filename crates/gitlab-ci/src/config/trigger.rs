//! `trigger`. `entry/trigger.rb`, `entry/trigger/forward.rb`

use std::time::Duration;

use super::reader::{Reader, Text};
use super::rules::{self, Owner};
use crate::duration;
use crate::gitlab_version::GitlabVersion;
use crate::yaml::node::{Mapping, Node, Value};

/// The maximum number of files in the configuration of a child pipeline.
const MAX_INCLUDES: usize = 3;

/// Checks the keyword. The pipeline that it starts in GitLab is not run here.
pub fn check(node: &Node, reader: &mut Reader<'_>) {
    if node.is_blank() && (node.string().is_some() || node.mapping().is_some()) {
        reader.complain(node.span, "trigger", "config can't be blank");
        return;
    }
    let Some(mapping) = node.mapping() else {
        if node.string().is_none() {
            reader.misfit(node.span, "trigger", "has to be either a string or a hash");
        }
        return;
    };
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    if mapping.contains_key("include") {
        reader.known_keys(mapping, "trigger", ["strategy", "include", "forward"]);
        if let Some(node) = value("include").filter(|node| node.sequence().is_none() && node.string().is_none()) {
            let error = reader.complain(node.span, "trigger:include", "config should be an array or a string");
            error.help("write a list, even for one file: `[{local: FILE}]`");
        }
        let mut items = Vec::new();
        if let Some(node) = value("include").filter(|node| node.sequence().is_some()) {
            node.flatten(&mut items);
        }
        for item in items {
            check_include(item, reader);
        }
        if let Some(node) = value("include").filter(|node| node.sequence().is_some_and(|it| it.len() > MAX_INCLUDES)) {
            reader.complain(node.span, "trigger:include", &format!("config is too long (maximum is {MAX_INCLUDES})"));
        }
    } else {
        reader.known_keys(mapping, "trigger", ["project", "branch", "strategy", "forward", "inputs"]);
        check_project(mapping, node, reader);
        if let Some(node) = value("inputs").filter(|node| node.mapping().is_none()) {
            reader.complain(node.span, "trigger inputs", "should be a hash");
        }
        if let Some(node) = value("branch") {
            reader.string(node, "trigger branch");
        }
    }
    if let Some(node) = value("strategy").filter(|node| node.string() == Some("mirror")) {
        // <https://docs.gitlab.com/ci/yaml/#triggerstrategy>
        reader.diagnostics.since(GitlabVersion::new(18, 2), node.span, "mirror");
    }
    if let Some(node) = value("strategy").filter(|node| !matches!(node.string(), Some("depend" | "mirror"))) {
        reader.unknown_word(node, "trigger strategy", "should be depend or mirror", ["depend", "mirror"]);
    }
    // `entry/trigger/forward.rb` accepts any other value.
    let Some(forward) = value("forward").and_then(Node::mapping) else { return };
    let known = ["yaml_variables", "pipeline_variables"];
    reader.known_keys(forward, "trigger:forward", known);
    for key in known {
        if let Some(entry) = forward.get(key).filter(|entry| !entry.value.is_null()) {
            reader.boolean(&entry.value, &format!("trigger:forward {key}"));
        }
    }
}

/// `entry/include.rb`, `entry/concerns/base_include.rb`
fn check_include(item: &Node, reader: &mut Reader<'_>) {
    let path = "trigger:include:include";
    let Some(mapping) = item.mapping() else {
        if item.string().is_none() && !item.is_null() {
            reader.complain(item.span, path, "config should be a hash or a string");
        }
        return;
    };
    let known = ["local", "file", "remote", "template", "component", "artifact", "inputs", "job", "project", "ref"];
    reader.known_keys(mapping, path, known.into_iter().chain(["rules", "integrity", "cache"]));
    let is_set = |key: &str| mapping.get(key).is_some_and(|entry| !entry.value.is_blank());
    // Ruby's truth: an empty string counts.
    let is_true = |key: &str| {
        let value = mapping.get(key).map(|entry| &entry.value.value);
        value.is_some_and(|value| !matches!(value, Value::Null | Value::Boolean(false)))
    };
    if is_true("artifact") && !is_set("job") {
        reader.complain(item.span, path, "config must specify the job where to fetch the artifact from");
    }
    if is_true("project") && !is_set("file") {
        reader.complain(item.span, path, "config must specify the file where to fetch the config from");
    }
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    if let Some(node) = value("integrity").filter(|_| is_true("integrity")) {
        if !is_set("remote") {
            reader.complain(node.span, path, "config integrity can only be specified for remote includes");
        }
        match node.string().and_then(|text| text.strip_prefix("sha256-")) {
            None => drop(reader.complain(node.span, path, "config integrity hash must start with 'sha256-'")),
            Some(hash) if !is_base64(hash) => {
                reader.complain(node.span, path, "config integrity hash must be base64 encoded");
            }
            Some(_) => {}
        }
    }
    if let Some(node) = value("cache").filter(|node| !node.is_blank()) {
        check_cache(node, is_set("remote"), path, reader);
    }
    let Some(node) = value("rules") else { return };
    if node.sequence().is_some_and(|rules| rules.iter().all(|rule| rule.mapping().is_some())) {
        // GitLab evaluates the rules when it creates the other pipeline.
        rules::read(node, Owner::IncludeOfTrigger, reader);
    } else {
        reader.complain(node.span, &format!("{path} rules"), "should be an array of hashes");
    }
}

/// Whether Ruby's `Base64.strict_decode64` accepts a text.
fn is_base64(text: &str) -> bool {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.as_bytes().chunks_exact(4).remainder().is_empty() && digits.bytes().all(is_digit)
}

/// The minimum time for which GitLab keeps a remote file. `app/validators/ci/include_cache_validator.rb`
const MIN_CACHE: Duration = Duration::from_mins(1);

fn check_cache(node: &Node, is_remote: bool, path: &str, reader: &mut Reader<'_>) {
    if !is_remote {
        reader.complain(node.span, path, "config cache can only be specified for remote includes");
    }
    let message = match (&node.value, node.string().map(duration::parse)) {
        (Value::Boolean(true), _) => return,
        (_, None) => "config cache must be a boolean or a duration string",
        (_, Some(Err(_))) => "config cache contains an invalid duration",
        (_, Some(Ok(time))) if time < MIN_CACHE => "config cache duration must be at least 1 minute",
        _ => return,
    };
    reader.complain(node.span, path, message);
}

/// The jobs whose artifacts are the configuration of the pipeline that the keyword starts.
pub fn configuration_jobs(node: &Node) -> Vec<Text> {
    let items = node.get("include").and_then(Node::sequence).unwrap_or_default();
    let jobs = items.iter().filter_map(|item| item.get("job"));
    jobs.filter_map(|job| Some(Text { value: job.string()?.into(), span: job.span })).collect()
}

fn check_project(mapping: &Mapping, whole: &Node, reader: &mut Reader<'_>) {
    match mapping.get("project").map(|entry| &entry.value).filter(|node| !node.is_blank()) {
        Some(node) => {
            reader.string(node, "trigger project");
        }
        None => {
            reader.complain(whole.span, "trigger project", "can't be blank");
        }
    }
}
