//! `id_tokens`. `entry/id_token.rb`

use super::reader::{self, Reader};
use crate::yaml::node::Node;

/// Checks the keyword. Only a GitLab instance can sign ID tokens.
pub fn check(node: &Node, reader: &mut Reader<'_>) {
    let Some(tokens) = reader.hash(node, "id_tokens") else { return };
    for (name, entry) in tokens {
        let path = format!("id_tokens:{}", reader::as_name(name));
        let Some(token) = entry.value.mapping() else {
            reader.complain(entry.value.span, &path, "config missing required keys: aud");
            continue;
        };
        reader.known_keys(token, &path, ["aud"]);
        match token.get("aud") {
            Some(audience) => {
                reader.strings(&audience.value, &format!("{path} aud"));
            }
            None => {
                reader.complain(entry.value.span, &path, "config missing required keys: aud");
            }
        }
    }
}
