//! `secrets`. `ee/lib/gitlab/ci/config/entry/secret.rb`, and one file for each provider in its directories

use super::reader::{self, Reader};
use crate::yaml::node::{Mapping, Node};

/// The keys of the secret providers. Each secret must have exactly one of them.
const PROVIDERS: [&str; 6] =
    ["vault", "azure_key_vault", "gcp_secret_manager", "aws_secrets_manager", "akeyless", "gitlab_secrets_manager"];

/// The keys of `akeyless`, of all versions of GitLab.
const AKEYLESS: [&str; 15] = [
    "akeyless_access_key",
    "akeyless_access_type",
    "akeyless_api_url",
    "akeyless_token",
    "azure_object_id",
    "cert_user_name",
    "csr_data",
    "data_key",
    "gateway_ca_certificate",
    "gcp_audience",
    "k8s_auth_config_name",
    "k8s_service_account_token",
    "name",
    "public_key_data",
    "uid_token",
];

/// Checks the keyword. Only a provider can return the values of secrets.
pub fn check(node: &Node, reader: &mut Reader<'_>) {
    let Some(secrets) = reader.hash(node, "secrets") else { return };
    for (name, entry) in secrets {
        let path = format!("secrets:{}", reader::as_name(name));
        // `lib/gitlab/config/entry/composable_hash.rb` makes an empty hash of null.
        let no_secret = Mapping::default();
        let secret = if entry.value.is_null() { Some(&no_secret) } else { reader.hash(&entry.value, &path) };
        if let Some(secret) = secret {
            check_secret(&entry.value, secret, &path, reader);
        }
    }
}

fn check_secret(node: &Node, secret: &Mapping, path: &str, reader: &mut Reader<'_>) {
    reader.known_keys(secret, path, PROVIDERS.into_iter().chain(["file", "token"]));
    if PROVIDERS.into_iter().filter(|provider| secret.contains_key(*provider)).count() != 1 {
        let message = format!("config must use exactly one of these keys: {}", PROVIDERS.join(", "));
        reader.complain(node.span, path, &message);
    }
    let value = |key: &str| secret.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    if let Some(file) = value("file") {
        reader.boolean(file, &format!("{path}:file"));
    }
    let token = value("token");
    if let Some(token) = token {
        reader.string(token, &format!("{path} token"));
    }
    if value("gcp_secret_manager").is_some_and(|node| !node.is_blank()) && token.is_none_or(Node::is_blank) {
        reader.complain(node.span, &format!("{path} token"), "is required with gcp secrets manager");
    }
    for provider in PROVIDERS {
        if let Some(node) = value(provider) {
            check_provider(node, provider, &format!("{path}:{provider}"), reader);
        }
    }
}

fn check_provider(node: &Node, provider: &str, path: &str, reader: &mut Reader<'_>) {
    let may_be_text = matches!(provider, "vault" | "aws_secrets_manager");
    if let Some(text) = node.string().filter(|_| may_be_text) {
        if text.trim().is_empty() {
            reader.complain(node.span, path, "config can't be blank");
        } else if provider == "aws_secrets_manager" && text.matches('#').count() > 1 {
            reader.complain(node.span, path, "config must contain at most one '#'");
        }
        return;
    }
    let Some(mapping) = node.mapping() else {
        let message = if may_be_text { "should be a hash or a string" } else { "config should be a hash" };
        reader.complain(node.span, path, message);
        return;
    };
    let (required, optional): (&[&str], &[&str]) = match provider {
        "vault" => (&["path", "field"], &[]),
        "azure_key_vault" => (&["name"], &["version"]),
        "gcp_secret_manager" => (&["name"], &[]),
        "aws_secrets_manager" => {
            (&["secret_id"], &["region", "version_id", "version_stage", "role_arn", "role_session_name", "field"])
        }
        "akeyless" => (&[], &AKEYLESS),
        _ => (&["name"], &["source"]),
    };
    let others: &[&str] = match provider {
        "vault" => &["engine"],
        "gcp_secret_manager" => &["version"],
        _ => &[],
    };
    reader.known_keys(mapping, path, required.iter().chain(optional).chain(others).copied());
    for key in required {
        reader.required_string(node, mapping, path, key);
    }
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    for key in optional {
        let text = value(key).and_then(|node| reader.string(node, &format!("{path} {key}")));
        if let Some(text) = text.filter(|text| *key == "source" && !is_source(&text.value)) {
            let message = "must follow the format group/group_full_path or 'project'";
            reader.complain(text.span, &format!("{path} source"), message);
        }
    }
    if let Some(version) = value("version").filter(|version| others.contains(&"version") && !version.is_alphanumeric())
    {
        reader.complain(version.span, &format!("{path} version"), "must be an alphanumeric string");
    }
    if provider == "vault" {
        check_engine(node, value("engine"), path, reader);
    }
}

/// The place of a secret in GitLab's own store.
fn is_source(text: &str) -> bool {
    let is_good = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '/');
    text == "project" || text.strip_prefix("group/").is_some_and(|path| !path.is_empty() && path.chars().all(is_good))
}

/// `vault/engine.rb`
fn check_engine(secret: &Node, engine: Option<&Node>, path: &str, reader: &mut Reader<'_>) {
    let Some(node) = engine.filter(|engine| !engine.is_blank()) else {
        reader.complain(engine.unwrap_or(secret).span, &format!("{path} engine"), "can't be blank");
        return;
    };
    let Some(engine) = node.mapping() else {
        reader.complain(node.span, &format!("{path} engine"), "should be a hash");
        return;
    };
    let path = format!("{path}:engine");
    let keys = ["name", "path"];
    reader.known_keys(engine, &path, keys);
    let missing: Vec<_> = keys.into_iter().filter(|key| !engine.contains_key(*key)).collect();
    if !missing.is_empty() {
        reader.complain(node.span, &path, &format!("config missing required keys: {}", missing.join(", ")));
    }
    for key in keys.into_iter().filter(|key| engine.contains_key(*key)) {
        reader.required_string(node, engine, &path, key);
    }
}
