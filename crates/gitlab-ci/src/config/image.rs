//! `image` and `services`. `entry/imageable.rb`, `entry/service.rb`

use std::sync::Arc;

use super::reader::{self, Reader, Text};
use super::script;
use super::variables::{self, VariableScope, YamlVariable};
use crate::yaml::node::{Mapping, Node, Value};

/// The image of a job or of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The name, before expansion.
    pub name: Arc<str>,
    /// Replaces the entrypoint of the image.
    pub entrypoint: Option<Vec<Arc<str>>>,
    /// Replaces the command of the image. Services only.
    pub command: Option<Vec<Arc<str>>>,
    /// Host names of a service, in addition to those derived from the name of its image.
    pub aliases: Vec<Arc<str>>,
    /// Variables of a service. Services only.
    pub variables: Vec<YamlVariable>,
    /// `docker:user`.
    pub user: Option<Arc<str>>,
    /// `docker:platform`.
    pub platform: Option<Arc<str>>,
    /// `kubernetes:user`.
    pub kubernetes_user: Option<Arc<str>>,
    /// The pull policies, tried in order.
    pub pull_policy: Vec<PullPolicy>,
}

/// When the runner pulls an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    /// Each time.
    Always,
    /// If the image is not available locally.
    IfNotPresent,
    /// Never.
    Never,
}

/// The values of `pull_policy`.
pub const PULL_POLICIES: &[(&str, PullPolicy)] =
    &[("always", PullPolicy::Always), ("if-not-present", PullPolicy::IfNotPresent), ("never", PullPolicy::Never)];

/// Reads `image`. Returns `None` if the value has no valid name.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Image> {
    read_one(node, "image", &["name", "entrypoint", "docker", "kubernetes", "pull_policy"], reader)
}

/// Reads `services`. Invalid ones are left out.
pub fn read_services(node: &Node, reader: &mut Reader<'_>) -> Vec<Image> {
    let Some(items) = node.sequence() else {
        reader.complain(node.span, "services", "config should be an array");
        return Vec::new();
    };
    let known = &["name", "entrypoint", "command", "alias", "variables", "docker", "kubernetes", "pull_policy"];
    let mut flat = Vec::new();
    for item in items {
        item.flatten(&mut flat);
    }
    // `lib/gitlab/config/entry/composable_array.rb` leaves them out.
    flat.retain(|item| !item.is_null());
    flat.into_iter().filter_map(|item| read_one(item, "services:service", known, reader)).collect()
}

fn read_one(node: &Node, path: &str, known: &[&str], reader: &mut Reader<'_>) -> Option<Image> {
    if let Some(name) = node.string().filter(|name| !name.trim().is_empty()) {
        return Some(Image { name: name.into(), ..Image::default() });
    }
    if node.string().is_some() {
        reader.complain(node.span, &format!("{path} name"), "can't be blank");
        return None;
    }
    let Some(mapping) = node.mapping() else {
        reader.complain(node.span, path, "config should be a hash or a string");
        return None;
    };
    // `with_image_ports?`
    if let Some(entry) = mapping.get("ports") {
        reader.complain(entry.key_span, path, "config contains disallowed keys: ports");
    }
    reader.known_keys(mapping, path, known.iter().copied().chain(["ports"]));
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let Some(name) = value("name").filter(|node| !node.is_blank()) else {
        let span = value("name").unwrap_or(node).span;
        reader.complain(span, &format!("{path} name"), "can't be blank");
        return None;
    };
    let name = reader.string(name, &format!("{path} name"))?;
    let texts = |list: Vec<Text>| list.into_iter().map(|text| text.value).collect::<Vec<_>>();
    let alias = value("alias").and_then(|node| reader.string(node, &format!("{path} alias")));
    let docker = value("docker").and_then(|node| read_options(node, ("docker", DOCKER_OPTIONS), path, reader));
    let kubernetes =
        value("kubernetes").and_then(|node| read_options(node, ("kubernetes", KUBERNETES_OPTIONS), path, reader));
    let kubernetes_user = kubernetes.and_then(|kubernetes| kubernetes.get("user")?.value.scalar().map(Into::into));
    let docker_option = |key: &str| docker?.get(key)?.value.scalar().map(Into::into);
    let (user, platform) = (docker_option("user"), docker_option("platform"));
    Some(Image {
        name: name.value,
        entrypoint: value("entrypoint").map(|node| texts(reader.list(node, &format!("{path} entrypoint")))),
        // `entry/service.rb`: the entry of scripts.
        command: value("command").map(|node| texts(script::read(node, &format!("{path}:command"), reader))),
        // Several aliases are separated by commas or spaces.
        aliases: alias
            .map(|alias| alias.value.split([',', ' ']).filter(|it| !it.is_empty()).map(Into::into).collect())
            .unwrap_or_default(),
        variables: value("variables")
            .map(|node| variables::read(node, VariableScope::Plain, &format!("{path}:variables"), reader))
            .unwrap_or_default(),
        user,
        platform,
        kubernetes_user,
        pull_policy: value("pull_policy").map(|node| read_policies(node, path, reader)).unwrap_or_default(),
    })
}

/// The options of an executor, and the maximum lengths of their values.
type Options = &'static [(&'static str, usize)];

const DOCKER_OPTIONS: Options = &[("platform", 64), ("user", 255)];
const KUBERNETES_OPTIONS: Options = &[("user", 255)];

/// Reads the options of an executor. `entry/schemas/imageable/executor_opts.json`
fn read_options<'node>(
    node: &'node Node,
    (executor, options): (&str, Options),
    path: &str,
    reader: &mut Reader<'_>,
) -> Option<&'node Mapping> {
    let path = format!("{path} executor_opts");
    let Some(mapping) = node.mapping() else {
        reader.complain(node.span, &path, &format!("value at `/{executor}` is not an object"));
        return None;
    };
    for (key, entry) in mapping {
        let place = format!("`/{executor}/{key}`");
        let Some((_, max)) = options.iter().find(|(known, _)| known == &&**key) else {
            let message = format!("object property at {place} is a disallowed additional property");
            reader.complain(entry.key_span, &path, &message).nearest(key, options.iter().map(|(known, _)| *known));
            continue;
        };
        let is_number = matches!(entry.value.value, Value::Integer(_)) && executor == "kubernetes";
        let length = entry.value.string().map(|text| text.chars().count());
        let message = match length {
            Some(0) => format!("string length at {place} is less than: 1"),
            Some(length) if length > *max => format!("string length at {place} is greater than: {max}"),
            None if !is_number => format!("value at {place} is not a string"),
            _ => continue,
        };
        let error = reader.complain(entry.value.span, &path, &message);
        if entry.value.scalar().is_some_and(|text| !text.is_empty()) {
            error.help("put it in quotes");
        }
    }
    Some(mapping)
}

fn read_policies(node: &Node, path: &str, reader: &mut Reader<'_>) -> Vec<PullPolicy> {
    if node.sequence().is_some_and(<[Node]>::is_empty) {
        reader.complain(node.span, &format!("{path}:pull_policy"), "config can't be blank");
    }
    let path = format!("{path}:pull_policy");
    let items = node.sequence().unwrap_or(std::slice::from_ref(node));
    let words: Vec<&str> = PULL_POLICIES.iter().map(|(word, _)| *word).collect();
    let unknown = reader::unknown_words(node, &words);
    let mut is_reported = false;
    let mut policies = Vec::new();
    for item in items {
        let text = item.scalar().unwrap_or_default();
        let found = PULL_POLICIES.iter().find(|(word, _)| item.string() == Some(*word));
        let message = match found {
            Some((_, policy)) => {
                policies.push(*policy);
                continue;
            }
            None if item.text().is_none() => format!("config {}", reader::NOT_WORDS),
            // GitLab's sentence has all unknown values.
            None if std::mem::replace(&mut is_reported, true) => continue,
            None => format!("config {unknown}"),
        };
        let error = reader.complain(item.span, &path, &message);
        error.help(format!("one of {}", words.join(", ")));
        error.nearest(text, words.iter().copied());
    }
    policies
}
