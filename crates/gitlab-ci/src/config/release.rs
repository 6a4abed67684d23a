//! `release`. `entry/release.rb`, `entry/release/assets.rb`, `entry/release/assets/link.rb`

use super::reader::Reader;
use crate::yaml::node::{Mapping, Node};

/// Checks the keyword. Only a GitLab instance can create releases.
pub fn check(node: &Node, reader: &mut Reader<'_>) {
    let Some(release) = reader.hash(node, "release") else { return };
    let known = ["tag_name", "tag_message", "name", "description", "ref", "released_at", "milestones", "assets"];
    reader.known_keys(release, "release", known);
    for key in ["tag_name", "description"] {
        check_text(release, key, "release", node, reader);
    }
    let value = |key: &str| release.get(key).map(|entry| &entry.value).filter(|node| !node.is_blank());
    if let Some(message) = value("tag_message") {
        reader.string(message, "release tag_message");
    }
    if let Some(milestones) = value("milestones") {
        reader.strings(milestones, "release milestones");
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
    let path = "release:assets:links:link";
    let Some(items) = links.sequence() else {
        reader.complain(links.span, "release:assets links", "should be an array of hashes");
        return;
    };
    for item in items {
        let Some(link) = item.mapping() else {
            reader.complain(item.span, "release:assets links", "should be an array of hashes");
            continue;
        };
        reader.known_keys(link, path, ["name", "url", "filepath", "direct_asset_path", "link_type"]);
        for key in ["name", "url"] {
            check_text(link, key, path, item, reader);
        }
    }
}

/// Checks that a key is present and a string.
fn check_text(mapping: &Mapping, key: &str, path: &str, whole: &Node, reader: &mut Reader<'_>) {
    let path = format!("{path} {key}");
    match mapping.get(key).map(|entry| &entry.value) {
        Some(node) if !node.is_blank() => {
            reader.string(node, &path);
        }
        node => {
            reader.complain(node.filter(|node| !node.is_null()).unwrap_or(whole).span, &path, "can't be blank");
        }
    }
}
