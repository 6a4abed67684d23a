//! `release`. `entry/release.rb`, `entry/release/assets.rb`, `entry/release/assets/links.rb`

use std::sync::LazyLock;

use regex::Regex;

use super::reader::Reader;
use crate::yaml::node::{Node, Value};

/// Checks the keyword. Only a GitLab instance can create releases.
pub fn check(node: &Node, reader: &mut Reader<'_>) {
    let Some(release) = reader.hash(node, "release") else { return };
    let known = ["tag_name", "tag_message", "name", "description", "ref", "released_at", "milestones", "assets"];
    reader.known_keys(release, "release", known);
    for key in ["tag_name", "description"] {
        reader.required_string(node, release, "release", key);
    }
    let value = |key: &str| release.get(key).map(|entry| &entry.value).filter(|node| !node.is_blank());
    if let Some(message) = value("tag_message") {
        reader.string(message, "release tag_message");
    }
    if let Some(milestones) = value("milestones") {
        reader.strings(milestones, "release milestones");
    }
    // These two are not left out if they are blank.
    let value = |key: &str| release.get(key).map(|entry| &entry.value);
    let value = |key: &str| value(key).filter(|node| !matches!(node.value, Value::Null | Value::Boolean(false)));
    if let Some(time) = value("released_at")
        && !time.string().is_some_and(is_iso_8601)
    {
        let error = reader.complain(time.span, "release released_at", "must be a valid datetime");
        error.help("write it as in ISO 8601 and in quotes: `\"2026-01-31T09:20:30Z\"`");
    }
    if let Some(name) = value("ref")
        && !name.string().is_some_and(is_ref)
    {
        reader.complain(name.span, "release ref", "must be a valid ref");
    }
    let assets = release.get("assets").map(|entry| &entry.value).filter(|node| !node.is_null());
    let Some((node, assets)) = assets.and_then(|node| Some((node, reader.hash(node, "release:assets")?))) else {
        return;
    };
    reader.known_keys(assets, "release:assets", ["links"]);
    let links = assets.get("links").map(|entry| &entry.value);
    let Some(links) = links.filter(|links| !links.is_blank()) else {
        reader.complain(node.span, "release:assets links", "can't be blank");
        return;
    };
    // GitLab composes the entries of hashes only: the items are not validated. `entry/release/assets/links.rb`,
    // `lib/gitlab/config/entry/configurable.rb`
    if !links.sequence().is_some_and(|items| items.iter().all(|item| item.mapping().is_some())) {
        reader.complain(links.span, "release:assets links", "should be an array of hashes");
    }
}

/// Whether Ruby's `DateTime.iso8601` accepts the text: a date, in any of its forms, and a time of day.
fn is_iso_8601(text: &str) -> bool {
    static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let date = r"[+-]?[0-9]{2,}(-?(0[1-9]|1[0-2])(-?(0[1-9]|[12][0-9]|3[01]))?|-?W[0-9]{2}(-?[1-7])?|-?[0-9]{3})?";
        let time = r"(T([01]?[0-9]|2[0-4])(:?[0-5][0-9](:?[0-5][0-9]([.,][0-9]+)?)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?";
        Regex::new(&format!(r"(?i)^\s*{date}{time}\s*$")).ok()
    });
    TIME.as_ref().is_some_and(|time| time.is_match(text))
}

/// Whether git accepts a name of a ref, or a variable is in it. `lib/gitlab/git_ref_validator.rb`
fn is_ref(name: &str) -> bool {
    let is_forbidden = |character: char| {
        character.is_ascii_control() || matches!(character, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    // Names of locks, in this case only.
    let is_lock = |part: &str| part.rsplit_once('.').is_some_and(|(_, extension)| extension == "lock");
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !is_lock(part);
    !name.contains(is_forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.starts_with('-')
        && !name.ends_with('.')
        && name.split('/').all(part)
}
