//! Small keywords of GitLab's paid editions: `identity` and `dast_configuration`. `ee/lib/gitlab/ci/config/entry/identity.rb`,
//! `ee/lib/gitlab/ci/config/entry/dast_configuration.rb`

use super::reader::Reader;
use crate::yaml::node::Node;

const PROVIDER: &str = "google_cloud";

/// Checks `identity`.
pub(super) fn check_identity(node: &Node, reader: &mut Reader<'_>) {
    let text = reader.string(node, "identity");
    if text.is_some_and(|text| &*text.value != PROVIDER) {
        reader.complain(node.span, "identity", &format!("config should be one of: {PROVIDER}"));
    }
}

/// Checks `dast_configuration`.
pub(super) fn check_dast(node: &Node, reader: &mut Reader<'_>) {
    let path = "dast_configuration";
    let Some(mapping) = reader.hash(node, path) else { return };
    let keys = ["site_profile", "scanner_profile"];
    reader.known_keys(mapping, path, keys);
    for entry in keys.into_iter().filter_map(|key| Some((key, mapping.get(key)?))).filter(|(_, it)| !it.value.is_null())
    {
        reader.string(&entry.1.value, &format!("{path} {}", entry.0));
    }
}
