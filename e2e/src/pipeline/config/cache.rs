//! `cache`. `entry/cache.rb`, `entry/key.rb`

use super::artifacts::{ArtifactsWhen, WHEN};
use super::reader::{Reader, Text};
use crate::pipeline::document::node::Node;

/// What jobs of one key share, from one pipeline to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// What it is found by.
    pub key: Key,
    /// What is looked for when there is none of that key.
    pub fallback_keys: Vec<Text>,
    /// Patterns of files.
    pub paths: Vec<Text>,
    /// Whether every untracked file is in it.
    pub untracked: bool,
    /// After which end of the job it is kept.
    pub when: ArtifactsWhen,
    /// Whether it is fetched, kept, or both; may be a variable.
    pub policy: Option<Text>,
    /// Whether protected branches and others share it.
    pub is_unprotected: bool,
}

/// What a cache is found by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// `default`.
    #[default]
    Default,
    /// A text with variables.
    Text(Text),
    /// The content of files.
    Files {
        /// The files.
        files: Vec<Text>,
        /// What stands before the hash.
        prefix: Option<Text>,
    },
}

/// Reads one or several of them.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Vec<Cache> {
    let items = node.sequence().unwrap_or(std::slice::from_ref(node));
    items.iter().filter_map(|item| read_one(item, reader)).collect()
}

fn read_one(node: &Node, reader: &mut Reader<'_>) -> Option<Cache> {
    let mapping = reader.hash(node, "cache")?;
    let known = ["key", "fallback_keys", "paths", "untracked", "when", "policy", "unprotect"];
    reader.known_keys(mapping, "cache", known);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    Some(Cache {
        key: value("key").map(|node| read_key(node, reader)).unwrap_or_default(),
        fallback_keys: value("fallback_keys").map(|node| reader.list(node, "cache:fallback_keys")).unwrap_or_default(),
        paths: value("paths").map(|node| reader.list(node, "cache:paths")).unwrap_or_default(),
        untracked: value("untracked").and_then(|node| reader.boolean(node, "cache:untracked")) == Some(true),
        when: value("when").and_then(|node| reader.word(node, "cache:when", WHEN)).unwrap_or_default(),
        policy: value("policy").and_then(|node| reader.string(node, "cache:policy")),
        is_unprotected: value("unprotect").and_then(|node| reader.boolean(node, "cache:unprotect")) == Some(true),
    })
}

fn read_key(node: &Node, reader: &mut Reader<'_>) -> Key {
    let Some(mapping) = node.mapping() else {
        // A number is a key too: `to_s`.
        if let Some(text) = node.scalar() {
            return Key::Text(Text { value: text.into(), span: node.span });
        }
        reader.complain(node.span, "cache:key", "should be a hash, a string or a symbol");
        return Key::Default;
    };
    reader.known_keys(mapping, "cache:key", ["files", "files_commits", "prefix"]);
    if let Some(entry) = mapping.get("files_commits") {
        let message = "understood, not replayed: cache:key:files_commits; the key is made of what is in the files";
        reader.diagnostics.warning(entry.key_span, message.to_owned());
    }
    let files = mapping.get("files").or_else(|| mapping.get("files_commits"));
    let Some(files) = files else {
        reader.complain(node.span, "cache:key", "config missing required keys: files");
        return Key::Default;
    };
    let files = reader.list(&files.value, "cache:key:files");
    if files.is_empty() || files.len() > 2 {
        reader.complain(node.span, "cache:key:files", "config has too many items (maximum is 2), or none");
    }
    Key::Files {
        files,
        prefix: mapping.get("prefix").and_then(|entry| reader.string(&entry.value, "cache:key:prefix")),
    }
}
