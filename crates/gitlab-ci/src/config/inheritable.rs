//! The keywords that a job inherits from `default`. `entry/default.rb`, `Inheritable` of
//! `lib/gitlab/config/entry/inheritable.rb`
//!
//! A keyword is inherited as a whole, without merging. A keyword without a value counts as absent.

use std::time::Duration;

use super::artifacts::{self, Artifacts};
use super::cache::{self, Cache};
use super::image::{self, Image};
use super::inherit::Inherit;
use super::reader::{Reader, Spanned, Text};
use super::retry::{self, Retry};
use super::{hooks, id_tokens, paid, script, tags};
use crate::yaml::node::Mapping;

/// The inheritable keywords of a job or of `default`. `None` means absent.
#[derive(Clone, Debug, Default)]
pub struct Inheritable {
    /// `before_script`.
    pub before_script: Option<Vec<Text>>,
    /// `after_script`.
    pub after_script: Option<Vec<Text>>,
    /// `hooks:pre_get_sources_script`.
    pub pre_get_sources_script: Option<Vec<Text>>,
    /// `image`.
    pub image: Option<Image>,
    /// `services`.
    pub services: Option<Vec<Image>>,
    /// `artifacts`.
    pub artifacts: Option<Artifacts>,
    /// `cache`.
    pub cache: Option<Vec<Cache>>,
    /// `retry`.
    pub retry: Option<Retry>,
    /// `timeout`. It has no effect in `default`. <https://docs.gitlab.com/ci/yaml/#default>
    pub timeout: Option<Spanned<Duration>>,
    /// `interruptible`.
    pub interruptible: Option<bool>,
    /// `tags`.
    pub tags: Option<Vec<Text>>,
}

/// `Project::MAX_BUILD_TIMEOUT`: a month, as Ruby counts it.
const MAX_TIMEOUT: Duration = Duration::from_secs(2_629_746);

/// Reads the inheritable keywords of a job or of `default`.
pub fn read(mapping: &Mapping, reader: &mut Reader<'_>) -> Inheritable {
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    if let Some(node) = value("id_tokens") {
        id_tokens::check(node, reader);
    }
    if let Some(node) = value("identity") {
        paid::check_identity(node, reader);
    }
    Inheritable {
        before_script: value("before_script").map(|node| script::read(node, "before_script", reader)),
        after_script: value("after_script").map(|node| script::read(node, "after_script", reader)),
        pre_get_sources_script: value("hooks").map(|node| hooks::read(node, reader)),
        image: value("image").and_then(|node| image::read(node, reader)),
        services: value("services").map(|node| image::read_services(node, reader)),
        artifacts: value("artifacts").and_then(|node| artifacts::read(node, reader)),
        cache: value("cache").map(|node| cache::read(node, reader)),
        retry: value("retry").and_then(|node| retry::read(node, reader)),
        timeout: value("timeout").and_then(|node| reader.duration(node, "timeout", Some(MAX_TIMEOUT))),
        interruptible: value("interruptible").and_then(|node| reader.boolean(node, "interruptible")),
        tags: value("tags").map(|node| tags::read(node, reader)),
    }
}

impl Inheritable {
    /// Adds the keywords of `defaults` that are absent here and that the job inherits.
    #[must_use]
    pub fn with_defaults(self, defaults: &Self, inherit: &Inherit) -> Self {
        Self {
            before_script: either("before_script", self.before_script, defaults.before_script.as_ref(), inherit),
            after_script: either("after_script", self.after_script, defaults.after_script.as_ref(), inherit),
            pre_get_sources_script: either(
                "hooks",
                self.pre_get_sources_script,
                defaults.pre_get_sources_script.as_ref(),
                inherit,
            ),
            image: either("image", self.image, defaults.image.as_ref(), inherit),
            services: either("services", self.services, defaults.services.as_ref(), inherit),
            artifacts: either("artifacts", self.artifacts, defaults.artifacts.as_ref(), inherit),
            cache: either("cache", self.cache, defaults.cache.as_ref(), inherit),
            retry: either("retry", self.retry, defaults.retry.as_ref(), inherit),
            timeout: self.timeout,
            interruptible: either("interruptible", self.interruptible, defaults.interruptible.as_ref(), inherit),
            tags: either("tags", self.tags, defaults.tags.as_ref(), inherit),
        }
    }
}

fn either<T: Clone>(keyword: &str, own: Option<T>, default: Option<&T>, inherit: &Inherit) -> Option<T> {
    own.or_else(|| if inherit.has(keyword) { default.cloned() } else { None })
}
