//! `secrets`. <https://docs.gitlab.com/ci/yaml/#secrets>

use super::reader::{self, Reader};
use crate::yaml::node::Node;

/// The keys of the secret providers. Each secret must have exactly one of them.
const PROVIDERS: [&str; 6] =
    ["vault", "azure_key_vault", "gcp_secret_manager", "aws_secrets_manager", "akeyless", "gitlab_secrets_manager"];

/// Checks the keyword. Only a provider can return the values of secrets.
pub fn check(node: &Node, reader: &mut Reader<'_>) {
    let Some(secrets) = reader.hash(node, "secrets") else { return };
    for (name, entry) in secrets {
        let path = format!("secrets:{}", reader::as_name(name));
        let Some(secret) = reader.hash(&entry.value, &path) else { continue };
        reader.known_keys(secret, &path, PROVIDERS.into_iter().chain(["file", "token"]));
        if PROVIDERS.into_iter().filter(|provider| secret.contains_key(*provider)).count() != 1 {
            let message = format!("config must use exactly one of these keys: {}", PROVIDERS.join(", "));
            reader.complain(entry.value.span, &path, &message);
        }
    }
}
