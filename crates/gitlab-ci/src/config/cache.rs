//! `cache`. `entry/cache.rb`, `entry/key.rb`

use super::artifacts::{ArtifactsWhen, WHEN};
use super::reader::{Reader, Text};
use crate::gitlab_version::GitlabVersion;
use crate::source::Span;
use crate::yaml::node::Node;

/// The files that jobs with the same key share across pipelines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// The key.
    pub key: Key,
    /// The keys to try if no cache with `key` exists.
    pub fallback_keys: Vec<Text>,
    /// Patterns of the files to store.
    pub paths: Vec<Text>,
    /// Whether all untracked files are stored as well.
    pub untracked: bool,
    /// For which results of the job the cache is stored.
    pub when: ArtifactsWhen,
    /// Whether the cache is downloaded, uploaded, or both. May contain variables.
    pub policy: Option<Text>,
    /// Whether protected and unprotected branches share the cache.
    pub is_unprotected: bool,
}

/// The key of a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// `default`.
    #[default]
    Default,
    /// A string, which may contain variables.
    Text(Text),
    /// A hash of the content of files.
    Files {
        /// The patterns of the files.
        files: Vec<Text>,
        /// The prefix before the hash.
        prefix: Option<Text>,
    },
}

/// The maximum number of caches of a job, and of fallback keys of a cache. `entry/caches.rb`, `entry/cache.rb`
const MAX_CACHES: usize = 4;
const MAX_FALLBACK_KEYS: usize = 5;

/// Reads one cache or a list of caches. Invalid ones are left out.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Vec<Cache> {
    if node.mapping().is_none() && node.sequence().is_none() {
        // GitLab gives `entry/caches.rb` no key, so its message begins with the name of the class.
        reader.complain(node.span, "caches", "config can only be a hash or an array");
        return Vec::new();
    }
    if node.sequence().is_some_and(|items| items.len() > MAX_CACHES) {
        reader.complain(node.span, "caches", &format!("config no more than {MAX_CACHES} caches can be created"));
    }
    let mut flat = Vec::new();
    node.flatten(&mut flat);
    // `lib/gitlab/config/entry/composable_array.rb` turns an empty item into an entry without a value.
    flat.retain(|item| !item.is_null());
    flat.into_iter().filter_map(|item| read_one(item, reader)).collect()
}

fn read_one(node: &Node, reader: &mut Reader<'_>) -> Option<Cache> {
    let mapping = reader.hash(node, "cache")?;
    let known = ["key", "fallback_keys", "paths", "untracked", "when", "policy", "unprotect"];
    reader.known_keys(mapping, "cache", known);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let fallback_keys = value("fallback_keys");
    if let Some(node) = fallback_keys.filter(|node| node.sequence().is_some_and(|it| it.len() > MAX_FALLBACK_KEYS)) {
        // The spelling is GitLab's.
        let message = format!("has to many entries (maximum {MAX_FALLBACK_KEYS})");
        reader.complain(node.span, "cache fallback_keys", &message);
    }
    Some(Cache {
        key: value("key").map(|node| read_key(node, reader)).unwrap_or_default(),
        fallback_keys: fallback_keys.map(|node| reader.list(node, "cache:fallback_keys")).unwrap_or_default(),
        paths: value("paths").map(|node| reader.list(node, "cache:paths")).unwrap_or_default(),
        untracked: value("untracked").and_then(|node| reader.boolean(node, "cache:untracked")) == Some(true),
        when: value("when").and_then(|node| reader.word(node, "cache:when", WHEN)).unwrap_or_default(),
        // `allow_blank: true`
        policy: value("policy").filter(|node| !node.is_blank()).and_then(|node| read_policy(node, reader)),
        is_unprotected: value("unprotect").and_then(|node| reader.boolean(node, "cache:unprotect")) == Some(true),
    })
}

fn read_policy(node: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    let policy = reader.string(node, "cache policy")?;
    // GitLab's regular expression matches these words anywhere in the value.
    let is_known = policy.value.trim().is_empty() || ["push", "pull", "$"].iter().any(|it| policy.value.contains(it));
    if !is_known {
        let message = "should be a variable or one of: pull-push, push, pull";
        reader.complain(node.span, "cache policy", message).nearest(&policy.value, ["pull-push", "push", "pull"]);
    }
    Some(policy)
}

fn read_key(node: &Node, reader: &mut Reader<'_>) -> Key {
    let path = "cache:key";
    let Some(mapping) = node.mapping() else {
        let Some(text) = node.text() else {
            let error = reader.misfit(node.span, path, "should be a hash, a string or a symbol");
            if node.scalar().is_some() {
                error.help("put it in quotes");
            }
            return Key::Default;
        };
        check_path(node.span, text, path, reader);
        return Key::Text(Text { value: text.into(), span: node.span });
    };
    reader.known_keys(mapping, path, ["files", "files_commits", "prefix"]);
    let (files, commits) = (mapping.get("files"), mapping.get("files_commits"));
    if let Some(entry) = commits {
        let warning = reader.diagnostics.unsupported(entry.key_span, "cache:key:files_commits");
        warning.help("the key is computed from the content of the files");
        // <https://gitlab.com/gitlab-org/gitlab/-/merge_requests/203233>
        reader.diagnostics.since(GitlabVersion::new(18, 4), entry.key_span, "cache:key:files_commits");
    }
    let Some(files) = files.or(commits).filter(|_| files.is_none() || commits.is_none()) else {
        reader.complain(node.span, path, "config must use exactly one of these keys: files, files_commits");
        return Key::Default;
    };
    let prefix = mapping.get("prefix").filter(|entry| !entry.value.is_null());
    let prefix = prefix.and_then(|entry| read_prefix(&entry.value, reader));
    // `files` without a value still counts as one of the two keys: `only_one_of_keys` of `entry/key.rb`.
    if files.value.is_null() {
        return Key::Files { files: Vec::new(), prefix };
    }
    let path = if commits.is_some() { "cache:key:files_commits" } else { "cache:key:files" };
    let count = files.value.sequence().map(<[Node]>::len);
    let files = reader.list(&files.value, path);
    match count {
        Some(0) => drop(reader.complain(node.span, path, "config requires at least 1 item")),
        Some(3..) => drop(reader.complain(node.span, path, "config has too many items (maximum is 2)")),
        _ => {}
    }
    Key::Files { files, prefix }
}

/// `entry/prefix.rb`
fn read_prefix(node: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    let path = "cache:key:prefix";
    let Some(text) = node.text() else {
        reader.complain(node.span, path, "config should be a string or symbol");
        return None;
    };
    check_path(node.span, text, path, reader);
    Some(Text { value: text.into(), span: node.span })
}

/// A key and its prefix become a part of a path. GitLab's `KeyValidator` decodes them with `CGI.unescape`.
fn check_path(span: Span, text: &str, path: &str, reader: &mut Reader<'_>) {
    let plain = text.to_ascii_lowercase().replace("%2f", "/").replace("%2e", ".");
    if plain.contains('/') {
        reader.complain(span, path, "config cannot contain the \"/\" character");
    } else if matches!(&*plain, "." | "..") {
        reader.complain(span, path, "config cannot be \".\" or \"..\"");
    }
}
