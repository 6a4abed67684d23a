//! Obtains images: uses a present one, or else pulls it, or else builds it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bollard::Docker;
use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use serde::Serialize;
use tokio::sync::{Mutex, OnceCell};

use super::build::{Build, BuildError};
use super::catalog::{Builder, CATALOG, Image, short};
use super::kubernetes::KubernetesVersion;
use super::policy::{BUILT, ImagePolicy};
use super::presence::{Presence, built_reference, presence_of};
use super::recipe::{RecipeError, hash};
use crate::environment::package_sources::PackageSources;
use crate::record::event::{Event, EventSink, ImageOrigin, ImageProgress};
use container_engine::pull::pull;

/// An image that is now present.
#[derive(Clone, Debug, Serialize)]
pub struct ResolvedImage {
    /// The name in the catalog.
    pub name: &'static str,
    /// The reference for running it.
    pub reference: String,
    /// The reference in the public registry, if there is one.
    pub upstream: Option<&'static str>,
    /// Where it came from.
    #[serde(rename = "source")]
    pub origin: ImageOrigin,
    /// The duration of pulling or building it. Serialized in seconds.
    #[serde(rename = "took", serialize_with = "seconds")]
    pub duration: Duration,
}

impl ResolvedImage {
    /// Whether it was built from its recipe, now or earlier, instead of pulled.
    pub fn is_built(&self) -> bool {
        self.reference.starts_with(BUILT)
    }
}

/// An image could not be obtained.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    /// The recipe cannot be read.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Only pulling is allowed, and failed.
    #[error("cannot pull image `{name}` from {reference}: {reason}")]
    NotPulled {
        /// The image's name.
        name: &'static str,
        /// The upstream reference.
        reference: &'static str,
        /// The cause.
        reason: String,
    },
    /// Only pulling is allowed, but no public registry has the image.
    #[error("cannot pull image `{0}`: no public registry has it, it can only be built")]
    NoUpstream(&'static str),
    /// The build failed.
    #[error("cannot {}build image `{name}`", .pulled.as_ref().map(|reason| format!("pull ({reason}) or ")).unwrap_or_default())]
    NotBuilt {
        /// The image's name.
        name: &'static str,
        /// Why pulling failed, if it was tried.
        pulled: Option<String>,
        /// Why the build failed.
        #[source]
        source: Box<BuildError>,
    },
}

/// Obtains images, each once.
pub struct Images {
    docker: Docker,
    policy: ImagePolicy,
    kubernetes: KubernetesVersion,
    recipes: PathBuf,
    logs: PathBuf,
    /// The package registries of this machine, read once by the first build.
    sources: OnceCell<PackageSources>,
    notify: Box<EventSink<'static>>,
    obtained: Mutex<BTreeMap<&'static str, Arc<OnceCell<ResolvedImage>>>>,
    used: std::sync::Mutex<BTreeMap<String, String>>,
}

impl Images {
    /// Obtains images by `policy`, with recipes from the directory `recipes` and build logs in the directory `logs`. Nodes have the version
    /// `kubernetes`. `notify` receives events.
    pub fn new(
        docker: Docker,
        policy: ImagePolicy,
        kubernetes: KubernetesVersion,
        recipes: &Path,
        logs: &Path,
        notify: impl Fn(&Event<'_>) + Send + Sync + 'static,
    ) -> Self {
        let (recipes, logs) = (recipes.to_owned(), logs.to_owned());
        Self {
            docker,
            policy,
            kubernetes,
            recipes,
            logs,
            sources: OnceCell::new(),
            notify: Box::new(notify),
            obtained: Mutex::default(),
            used: std::sync::Mutex::default(),
        }
    }

    /// The Kubernetes version of the nodes.
    pub fn kubernetes(&self) -> KubernetesVersion {
        self.kubernetes
    }

    /// The ways in which images may be obtained.
    pub fn policy(&self) -> ImagePolicy {
        self.policy
    }

    /// The directory with the recipes.
    pub fn recipes(&self) -> &Path {
        &self.recipes
    }

    /// The directory for build logs.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Obtains the node image of the cluster.
    ///
    /// # Errors
    /// If it cannot be obtained in an allowed way.
    pub async fn node(&self) -> Result<ResolvedImage, ObtainError> {
        self.obtain_one(self.kubernetes.node()).await
    }

    /// Records that a container of a pipeline uses the image with this reference, which the pipeline calls `name`.
    pub(super) fn note(&self, name: &str, reference: &str) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(name.to_owned(), reference.to_owned());
    }

    /// The images that containers of pipelines have used: the name in the pipeline, and the reference.
    pub fn used(&self) -> BTreeMap<String, String> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Obtains `images`, concurrently if they do not depend on each other, and returns them in the same order.
    ///
    /// # Errors
    /// The first error. Builds that are still running are stopped.
    pub async fn obtain(&self, images: &[&'static Image]) -> Result<Vec<ResolvedImage>, ObtainError> {
        try_join_all(images.iter().map(|image| self.obtain_one(image))).await
    }

    /// Obtains one image. Each image is obtained only once; later calls return the same one.
    ///
    /// Boxed, because it calls itself for base images.
    ///
    /// # Errors
    /// If it cannot be obtained in an allowed way.
    pub fn obtain_one<'images>(
        &'images self,
        image: &'static Image,
    ) -> BoxFuture<'images, Result<ResolvedImage, ObtainError>> {
        async move {
            let cell = self.obtained.lock().await.entry(image.name).or_default().clone();
            cell.get_or_try_init(|| self.fetch(image)).await.cloned()
        }
        .boxed()
    }

    async fn fetch(&self, image: &'static Image) -> Result<ResolvedImage, ObtainError> {
        let started = Instant::now();
        let hash = hash(image, &self.recipes)?;
        let built = built_reference(image, &hash);
        let report = |progress: ImageProgress<'_>| (self.notify)(&Event::Image { name: image.name, progress });
        let obtained = |reference: &str, origin| {
            let duration = started.elapsed();
            report(ImageProgress::Obtained { origin, duration });
            let reference = reference.to_owned();
            ResolvedImage { name: image.name, reference, upstream: image.upstream, origin, duration }
        };

        match (presence_of(&self.docker, image, &built, self.policy).await, image.upstream) {
            (Presence::Pulled, Some(upstream)) => return Ok(obtained(upstream, ImageOrigin::Local)),
            (Presence::Built, _) => return Ok(obtained(&built, ImageOrigin::Local)),
            (Presence::Pulled | Presence::Missing, _) => {}
        }
        let mut reason = None;
        if self.policy != ImagePolicy::Build {
            if let Some(upstream) = image.upstream {
                report(ImageProgress::Pulling { reference: upstream });
                match pull(&self.docker, upstream, image.digest).await {
                    Ok(()) => return Ok(obtained(upstream, ImageOrigin::Pulled)),
                    Err(cause) => {
                        let cause = cause.to_string();
                        report(ImageProgress::NotPulled { reason: &cause });
                        reason = Some((upstream, cause));
                    }
                }
            }
            if self.policy == ImagePolicy::Pull {
                return Err(match reason {
                    Some((reference, reason)) => ObtainError::NotPulled { name: image.name, reference, reason },
                    None => ObtainError::NoUpstream(image.name),
                });
            }
        }

        let mut bases = Vec::new();
        if let Builder::Dockerfile { bases: arguments, .. } = image.recipe.builder {
            let images = try_join_all(arguments.iter().map(|(_, base)| self.obtain_one(base))).await?;
            bases.extend(arguments.iter().zip(images).map(|((argument, _), base)| (*argument, base.reference)));
        }
        let log = self.logs.join(format!("{}.log", image.name));
        let expected = Duration::from_secs(image.recipe.seconds);
        report(ImageProgress::Building { log: &log, expected });
        let sources = self.sources.get_or_init(read_sources).await;
        let recipe = Build { image, reference: &built, hash: &hash, recipes: &self.recipes, bases: &bases, log: &log };
        recipe.run(sources, |progress| report(ImageProgress::Continues(progress))).await.map_err(|source| {
            ObtainError::NotBuilt {
                name: image.name,
                pulled: reason.map(|(_, reason)| reason),
                source: Box::new(source),
            }
        })?;
        Ok(obtained(&built, ImageOrigin::Built))
    }
}

/// Whether a tag belongs to an image of the catalog, pulled or built from any version of its recipe.
pub fn is_known(tag: &str) -> bool {
    let built = tag.strip_prefix(BUILT).and_then(|rest| rest.split_once(':')).map(|(name, _)| name);
    CATALOG.iter().any(|image| built == Some(image.name) || image.upstream.is_some_and(|it| short(it) == tag))
}

/// Reads the package registries of this machine, on another thread because apt takes up to a second.
async fn read_sources() -> PackageSources {
    // The task can only fail by a panic, which the second call would repeat here.
    tokio::task::spawn_blocking(PackageSources::from_machine).await.unwrap_or_else(|_| PackageSources::from_machine())
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::built("gitlab-ci-k8s-demo/rust:7692a7b486b7", true)]
    #[case::image_of_a_run("gitlab-ci-k8s-demo/run:b3e3cd82", false)]
    #[case::pulled("rust:1.97.1", true)]
    #[case::pulled_with_a_namespace("kindest/node:v1.37.0", true)]
    #[case::another_version("rust:1.95", false)]
    #[case::another_registry("example.org/gitlab-ci-k8s-demo/rust:1", false)]
    fn a_tag_of_the_catalog_is_known(#[case] tag: &str, #[case] expected: bool) {
        assert_eq!(is_known(tag), expected);
    }
}
