//! Obtains images: uses a present one, or else pulls it, or else builds it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bollard::Docker;
use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use serde::Serialize;
use tokio::sync::{Mutex, OnceCell};

use super::build::{Build, BuildError, Pace};
use super::build_log::Compiled;
use super::catalogue::{Builder, CATALOGUE, Image, short};
use super::kubernetes::KubernetesVersion;
use super::presence::{Presence, built_reference, presence_of};
use super::recipe::{RecipeError, hash};
use super::way::{BUILT, Way};
use crate::environment::package_sources::PackageSources;
use container_engine::pull::pull;

/// How an image was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// It was present already.
    Here,
    /// It was pulled from its public registry.
    Pulled,
    /// It was built from its recipe.
    Built,
}

impl Source {
    /// The word for tables and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Here => "present",
            Self::Pulled => "pulled",
            Self::Built => "built",
        }
    }
}

/// An image that is now present.
#[derive(Clone, Debug, Serialize)]
pub struct Obtained {
    /// The name in the catalogue.
    pub name: &'static str,
    /// The reference for running it.
    pub reference: String,
    /// The reference in the public registry, if there is one.
    pub upstream: Option<&'static str>,
    /// How it was obtained.
    pub source: Source,
    /// The duration of pulling or building it. Serialized in seconds.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
}

impl Obtained {
    /// Whether it was built from its recipe, now or earlier, instead of pulled.
    pub fn is_built(&self) -> bool {
        self.reference.starts_with(BUILT)
    }
}

/// A progress event of an image.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Pulling it from its public registry starts.
    Pulling {
        /// The image's name.
        name: &'static str,
        /// The upstream reference.
        reference: &'static str,
    },
    /// Pulling failed. A build or the final error follows.
    NotPulled {
        /// The image's name.
        name: &'static str,
        /// The cause, on one line.
        reason: String,
    },
    /// Building it from its recipe starts.
    Building {
        /// The image's name.
        name: &'static str,
        /// The log file.
        log: PathBuf,
        /// The approximate duration.
        expected: Duration,
    },
    /// A build is in progress. Reported every ten seconds.
    Continues {
        /// The image's name.
        name: &'static str,
        /// The number of compiled packages, if the recipe compiles any.
        compiled: Option<Compiled>,
        /// The time since the build started.
        took: Duration,
        /// The estimated remaining time, if it can be estimated.
        left: Option<Duration>,
    },
    /// The image is present now.
    Obtained(Obtained),
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
    way: Way,
    kubernetes: KubernetesVersion,
    recipes: PathBuf,
    logs: PathBuf,
    /// The package registries of this machine, read once by the first build.
    sources: OnceCell<PackageSources>,
    tell: Box<dyn Fn(Progress) + Send + Sync>,
    obtained: Mutex<BTreeMap<&'static str, Arc<OnceCell<Obtained>>>>,
    used: std::sync::Mutex<BTreeMap<String, String>>,
}

impl Images {
    /// Obtains images by `way`, with recipes from the directory `recipes` and build logs in the directory `logs`. Nodes have the version
    /// `kubernetes`. `tell` receives progress events.
    pub fn new(
        docker: Docker,
        way: Way,
        kubernetes: KubernetesVersion,
        recipes: &Path,
        logs: &Path,
        tell: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Self {
        let (recipes, logs) = (recipes.to_owned(), logs.to_owned());
        Self {
            docker,
            way,
            kubernetes,
            recipes,
            logs,
            sources: OnceCell::new(),
            tell: Box::new(tell),
            obtained: Mutex::default(),
            used: std::sync::Mutex::default(),
        }
    }

    /// The Kubernetes version of the nodes.
    pub fn kubernetes(&self) -> KubernetesVersion {
        self.kubernetes
    }

    /// The ways in which images may be obtained.
    pub fn way(&self) -> Way {
        self.way
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
    pub async fn node(&self) -> Result<Obtained, ObtainError> {
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
    pub async fn obtain(&self, images: &[&'static Image]) -> Result<Vec<Obtained>, ObtainError> {
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
    ) -> BoxFuture<'images, Result<Obtained, ObtainError>> {
        async move {
            let cell = self.obtained.lock().await.entry(image.name).or_default().clone();
            cell.get_or_try_init(|| self.fetch(image)).await.cloned()
        }
        .boxed()
    }

    async fn fetch(&self, image: &'static Image) -> Result<Obtained, ObtainError> {
        let started = Instant::now();
        let hash = hash(image, &self.recipes)?;
        let built = built_reference(image, &hash);
        let obtained = |reference: &str, source| {
            let obtained = Obtained {
                name: image.name,
                reference: reference.to_owned(),
                upstream: image.upstream,
                source,
                took: started.elapsed(),
            };
            (self.tell)(Progress::Obtained(obtained.clone()));
            obtained
        };

        match (presence_of(&self.docker, image, &built, self.way).await, image.upstream) {
            (Presence::Pulled, Some(upstream)) => return Ok(obtained(upstream, Source::Here)),
            (Presence::Built, _) => return Ok(obtained(&built, Source::Here)),
            (Presence::Pulled | Presence::Missing, _) => {}
        }
        let mut reason = None;
        if self.way != Way::Build {
            if let Some(upstream) = image.upstream {
                (self.tell)(Progress::Pulling { name: image.name, reference: upstream });
                match pull(&self.docker, upstream, image.digest).await {
                    Ok(()) => return Ok(obtained(upstream, Source::Pulled)),
                    Err(cause) => {
                        (self.tell)(Progress::NotPulled { name: image.name, reason: cause.clone() });
                        reason = Some((upstream, cause));
                    }
                }
            }
            if self.way == Way::Pull {
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
        (self.tell)(Progress::Building { name: image.name, log: log.clone(), expected });
        let sources = self.sources.get_or_init(read_sources).await;
        let recipe = Build { image, reference: &built, hash: &hash, recipes: &self.recipes, bases: &bases, log: &log };
        let report = |pace: Pace| {
            let Pace { compiled, took, left } = pace;
            (self.tell)(Progress::Continues { name: image.name, compiled, took, left });
        };
        recipe.run(sources, report).await.map_err(|source| ObtainError::NotBuilt {
            name: image.name,
            pulled: reason.map(|(_, reason)| reason),
            source: Box::new(source),
        })?;
        Ok(obtained(&built, Source::Built))
    }
}

/// Whether a tag belongs to an image of the catalogue, pulled or built from any version of its recipe.
pub fn is_known(tag: &str) -> bool {
    let built = tag.strip_prefix(BUILT).and_then(|rest| rest.split_once(':')).map(|(name, _)| name);
    CATALOGUE.iter().any(|image| built == Some(image.name) || image.upstream.is_some_and(|it| short(it) == tag))
}

/// Reads the package registries of this machine, on another thread because apt takes up to a second.
async fn read_sources() -> PackageSources {
    // The task can only fail by a panic, which the second call would repeat here.
    tokio::task::spawn_blocking(PackageSources::from_machine).await.unwrap_or_else(|_| PackageSources::from_machine())
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((took.as_secs_f64() * 10.0).round() / 10.0)
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
    fn a_tag_of_the_catalogue_is_known(#[case] tag: &str, #[case] expected: bool) {
        assert_eq!(is_known(tag), expected);
    }
}
