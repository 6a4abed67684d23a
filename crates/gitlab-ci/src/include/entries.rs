//! Reads the entries of `include`. `lib/gitlab/ci/config/external/mapper.rb`, `entry/include.rb`

use super::loader::Loader;
use crate::source::Span;
use crate::yaml::node::{Mapping, Node};

/// One entry of `include`.
#[derive(Debug)]
pub(super) struct Include {
    pub(super) span: Span,
    pub(super) kind: &'static str,
    /// The path, the URL or the name. For `project`, the path of the project.
    pub(super) target: String,
    /// For `project`, the path of the file.
    pub(super) file: Option<String>,
    pub(super) inputs: Mapping,
}

/// The kinds of include. Only the first kind is always available locally.
const KINDS: [&str; 6] = ["local", "project", "remote", "template", "component", "artifact"];

impl Loader<'_, '_> {
    pub(super) fn entries(&mut self, node: &Node) -> Vec<Include> {
        let items = node.sequence().unwrap_or(std::slice::from_ref(node));
        let mut includes = Vec::new();
        // `Array.wrap(values.fetch(:include, [])).compact` in `mapper.rb`
        for item in items.iter().filter(|item| !item.is_null()) {
            if let Some(text) = item.string() {
                let kind = if text.starts_with("http://") || text.starts_with("https://") { "remote" } else { "local" };
                let target = (self.environment.expand)(text);
                let inputs = Mapping::default();
                includes.push(Include { span: item.span, kind, target, file: None, inputs });
            } else {
                includes.extend(self.hash(item));
            }
        }
        includes
    }

    fn hash(&mut self, item: &Node) -> Vec<Include> {
        let Some(mapping) = item.mapping() else {
            self.diagnostics.error(item.span, "include config should be an array of hashes or strings");
            return Vec::new();
        };
        let known = ["file", "ref", "job", "inputs", "rules", "integrity", "cache"];
        for (key, entry) in mapping.iter().filter(|(key, _)| !KINDS.contains(&&***key) && !known.contains(&&***key)) {
            let message = format!("include has the unknown key `{key}`, which GitLab ignores");
            self.diagnostics.warning(entry.key_span, message).nearest(key, KINDS.into_iter().chain(known));
        }
        let kinds: Vec<_> = KINDS.into_iter().filter(|kind| mapping.contains_key(*kind)).collect();
        let [kind] = kinds.as_slice() else {
            let all = KINDS.join("`, `");
            self.diagnostics.error(item.span, format!("Each include must specify exactly one of `{all}`"));
            return Vec::new();
        };
        if let Some(rules) = mapping.get("rules").filter(|rules| !rules.value.is_null())
            && !(self.environment.admits)(&rules.value, self.diagnostics)
        {
            return Vec::new();
        }
        let inputs = mapping.get("inputs").and_then(|entry| entry.value.mapping()).cloned().unwrap_or_default();
        let target = mapping.get(*kind).and_then(|entry| entry.value.scalar()).unwrap_or_default();
        let target = (self.environment.expand)(target);
        let include = |file: Option<String>| Include {
            span: item.span,
            kind,
            target: target.clone(),
            file,
            inputs: inputs.clone(),
        };
        if *kind != "project" {
            return vec![include(None)];
        }
        // `file` of a project is one file or a list.
        let files = mapping.get("file").map(|entry| &entry.value).filter(|node| !node.is_blank());
        if files.is_none() {
            // `lib/gitlab/ci/config/entry/concerns/base_include.rb`
            let message = "include config must specify the file where to fetch the config from";
            self.diagnostics.error(item.span, message);
        }
        let files = files.map(|node| node.sequence().unwrap_or(std::slice::from_ref(node))).unwrap_or_default();
        let files = files.iter().filter_map(Node::string).map(|file| file.trim_start_matches('/').to_owned());
        files.map(|file| include(Some(file))).collect()
    }
}
