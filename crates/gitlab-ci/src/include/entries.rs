//! Reads the entries of `include`. `lib/gitlab/ci/config/external/mapper.rb`, `entry/include.rb`

use super::loader::Loader;
use crate::gitlab_version::GitlabVersion;
use crate::source::Span;
use crate::yaml::node::{Mapping, Node, unknown_keys};

/// One entry of `include`.
#[derive(Debug)]
pub(super) struct Include {
    pub(super) span: Span,
    pub(super) kind: &'static str,
    /// The path, the URL or the name. For `project`, the path of the project.
    pub(super) target: String,
    /// For `project`, the path of the file.
    pub(super) file: Option<String>,
    /// The ref of the project or of the component.
    pub(super) reference: Option<String>,
    pub(super) inputs: Mapping,
    /// The target before its variables are expanded.
    pub(super) written: String,
    /// Whether the include is a text and not a hash.
    pub(super) is_text: bool,
}

/// The other keys of an include. `entry/include.rb`
const OTHER_KEYS: [&str; 7] = ["file", "ref", "job", "inputs", "rules", "integrity", "cache"];

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
                let written = text.to_owned();
                includes.push(Include {
                    span: item.span,
                    kind,
                    target,
                    file: None,
                    reference: None,
                    inputs,
                    written,
                    is_text: true,
                });
            } else {
                includes.extend(self.hash(item));
            }
        }
        includes
    }

    /// Checks `include` of a file that includes nothing, for example because no rule matches. GitLab leaves the keyword in the
    /// configuration then, where `entry/includes.rb` validates it.
    pub(super) fn check_unused(&mut self, node: &Node) {
        if node.mapping().is_some() {
            let error = self.diagnostics.error(node.span, "include config should be an array or a string");
            error.help(if is_set(node, "project") && !is_set(node, "file") {
                "it includes nothing; name the file of the project: `file: PATH`"
            } else if is_set(node, "rules") {
                "no rule of it matches; write a list, which may be empty: `- local: FILE`"
            } else {
                "its wildcard matches no file; write a list, which may be empty: `- local: FILE`"
            });
        }
        for item in node.sequence().into_iter().flatten() {
            if is_set(item, "project") && !is_set(item, "file") {
                // `entry/concerns/base_include.rb`
                let message = "include:include config must specify the file where to fetch the config from";
                self.diagnostics.error(item.span, message);
            }
        }
        for item in node.sequence().into_iter().flatten().filter_map(Node::mapping) {
            let (unknown, names) = unknown_keys(item, &[&KINDS[..], &OTHER_KEYS].concat());
            let message = format!("include:include config contains unknown keys: {names}").to_lowercase();
            for (key, entry) in unknown {
                let error = self.diagnostics.error(entry.key_span, message.as_str());
                error.nearest(key, KINDS.into_iter().chain(OTHER_KEYS));
            }
        }
    }

    fn hash(&mut self, item: &Node) -> Vec<Include> {
        let Some(mapping) = item.mapping() else {
            self.diagnostics.error(item.span, "Each include must be a hash or a string");
            self.lacks_files = true;
            return Vec::new();
        };
        for (key, entry) in unknown_keys(mapping, &[&KINDS[..], &OTHER_KEYS].concat()).0 {
            let message = format!("include has the unknown key `{key}`, which GitLab ignores");
            self.diagnostics.warning(entry.key_span, message).nearest(key, KINDS.into_iter().chain(OTHER_KEYS));
        }
        if let Some(cache) = mapping.get("cache") {
            // <https://docs.gitlab.com/ci/yaml/#includecache>
            self.diagnostics.since(GitlabVersion::new(19, 0), cache.key_span, "include:cache");
        }
        let kinds: Vec<_> = KINDS.into_iter().filter(|kind| is_set(item, kind)).collect();
        let [kind] = kinds.as_slice() else {
            // `lib/gitlab/ci/config/external/mapper/matcher.rb`
            let message = if kinds.is_empty() {
                no_subkey(&item.json())
            } else {
                format!("Each include must use only one of: `{}`", KINDS.join("`, `"))
            };
            self.diagnostics.error(item.span, message);
            self.lacks_files = true;
            return Vec::new();
        };
        if let Some(rules) = mapping.get("rules").filter(|rules| !rules.value.is_null())
            && !(self.environment.admits)(&rules.value, self.diagnostics)
        {
            return Vec::new();
        }
        if let Some(entry) =
            mapping.get("inputs").filter(|entry| !entry.value.is_null() && entry.value.mapping().is_none())
        {
            // `lib/ci/inputs/builder.rb`
            self.diagnostics.error(entry.value.span, "Given inputs must be a hash");
            self.lacks_files = true;
            return Vec::new();
        }
        let inputs = mapping.get("inputs").and_then(|entry| entry.value.mapping()).cloned().unwrap_or_default();
        let target = mapping.get(*kind).map(|entry| &entry.value);
        if let Some(list) = target.filter(|target| target.scalar().is_none()) {
            let message = format!("Included file `{}` needs to be a string", list.json());
            self.diagnostics.error(list.span, message);
            self.lacks_files = true;
            return Vec::new();
        }
        let written = target.and_then(Node::scalar).unwrap_or_default();
        let target = (self.environment.expand)(written);
        let reference = match *kind {
            "project" => mapping.get("ref").and_then(|entry| entry.value.scalar()).map(self.environment.expand),
            "component" => target.split_once('@').map(|(_, version)| version.to_owned()),
            _ => None,
        };
        let include = |file: Option<String>| Include {
            span: item.span,
            kind,
            target: target.clone(),
            file,
            reference: reference.clone(),
            inputs: inputs.clone(),
            written: written.to_owned(),
            is_text: false,
        };
        if *kind != "project" {
            return vec![include(None)];
        }
        // `file` of a project is one file or a list.
        let files = mapping.get("file").map(|entry| &entry.value).filter(|node| !node.is_blank());
        if files.is_none() {
            // `expand_project_files` creates no include from it. `check_unused` reports it if nothing else is included.
            let message = "include:project without `file` includes nothing";
            self.diagnostics.warning(item.span, message).help("name the file: `file: PATH`");
        }
        let files = files.map(|node| node.sequence().unwrap_or(std::slice::from_ref(node))).unwrap_or_default();
        let mut includes = Vec::new();
        for file in files {
            if let Some(path) = file.string() {
                includes.push(include(Some(path.trim_start_matches('/').to_owned())));
            } else {
                let message = format!("Included file `{}` needs to be a string", file.json());
                self.diagnostics.error(file.span, message);
                self.lacks_files = true;
            }
        }
        includes
    }
}

fn is_set(item: &Node, key: &str) -> bool {
    item.get(key).is_some_and(|value| !value.is_blank())
}

/// The message about an include without a target. `lib/gitlab/ci/config/external/mapper/matcher.rb`
pub(super) fn no_subkey(location: &serde_json::Value) -> String {
    format!("`{location}` does not have a valid subkey for include. Valid subkeys are: `{}`", KINDS.join("`, `"))
}
