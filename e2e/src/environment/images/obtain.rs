//! Here, else pulled, else built.

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

/// Where an image came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// It was here.
    Here,
    /// From its public registry.
    Pulled,
    /// From its recipe.
    Built,
}

impl Source {
    /// A word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Pulled => "pulled",
            Self::Built => "built",
        }
    }
}

/// An image that is here now.
#[derive(Clone, Debug, Serialize)]
pub struct Obtained {
    /// Its name in the catalogue.
    pub name: &'static str,
    /// By what it can be run.
    pub reference: String,
    /// The public registry's reference, where one has the image.
    pub upstream: Option<&'static str>,
    /// Where it came from.
    pub source: Source,
    /// How long that took, in seconds.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
}

impl Obtained {
    /// Whether it was built here from its recipe, now or before, and is not upstream's.
    pub fn is_built(&self) -> bool {
        self.reference.starts_with(BUILT)
    }
}

/// What is going on, for whoever waits.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A public registry is asked.
    Pulling {
        /// The image.
        name: &'static str,
        /// Its upstream reference.
        reference: &'static str,
    },
    /// It could not be pulled; what comes next is a build or the end.
    NotPulled {
        /// The image.
        name: &'static str,
        /// Why not, on one line.
        reason: String,
    },
    /// A recipe is built.
    Building {
        /// The image.
        name: &'static str,
        /// Where its log is.
        log: PathBuf,
        /// How long that takes, roughly.
        expected: Duration,
    },
    /// A build goes on. Reported every ten seconds.
    Continues {
        /// The image.
        name: &'static str,
        /// How many packages are compiled, where the recipe compiles.
        compiled: Option<Compiled>,
        /// How long it takes so far.
        took: Duration,
        /// How long the rest takes, roughly. Nothing once it takes longer than expected.
        left: Option<Duration>,
    },
    /// It is here now.
    Obtained(Obtained),
}

/// Why an image is not here.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    /// The recipe cannot be read.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// It may only be pulled, and could not be.
    #[error("{name}: cannot be pulled from {reference}: {reason}")]
    NotPulled {
        /// The image.
        name: &'static str,
        /// Its upstream reference.
        reference: &'static str,
        /// Why not.
        reason: String,
    },
    /// It may only be pulled, and no registry has it.
    #[error("{0}: no public registry has it, it can only be built")]
    NoUpstream(&'static str),
    /// Its recipe failed.
    #[error("{name}: {}cannot be built", .pulled.as_ref().map(|reason| format!("cannot be pulled ({reason}), and ")).unwrap_or_default())]
    NotBuilt {
        /// The image.
        name: &'static str,
        /// Why it was not pulled, where that was tried.
        pulled: Option<String>,
        /// Why it was not built.
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
    /// The package registries of this machine. Read once, by the first build.
    sources: OnceCell<PackageSources>,
    tell: Box<dyn Fn(Progress) + Send + Sync>,
    obtained: Mutex<BTreeMap<&'static str, Arc<OnceCell<Obtained>>>>,
    used: std::sync::Mutex<BTreeMap<String, String>>,
}

impl Images {
    /// Obtains images by `way`, from the recipes in one folder and with logs in another. Nodes have the version `kubernetes`.
    /// `tell` hears what goes on.
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

    /// The version of Kubernetes that nodes have.
    pub fn kubernetes(&self) -> KubernetesVersion {
        self.kubernetes
    }

    /// The ways in which images may come.
    pub fn way(&self) -> Way {
        self.way
    }

    /// The directory with the recipes.
    pub fn recipes(&self) -> &Path {
        &self.recipes
    }

    /// The directory for the logs of builds.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Obtains the node of the cluster.
    ///
    /// # Errors
    /// When it cannot be obtained in the ways allowed.
    pub async fn node(&self) -> Result<Obtained, ObtainError> {
        self.obtain_one(self.kubernetes.node()).await
    }

    /// Notes that a container of a pipeline was made of the image that the pipeline calls `name`, by this reference.
    pub(super) fn note(&self, name: &str, reference: &str) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(name.to_owned(), reference.to_owned());
    }

    /// The images that containers of pipelines were made of: what a pipeline calls each, and its reference.
    pub fn used(&self) -> BTreeMap<String, String> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Obtains `images`, those that do not depend on each other at the same time, in the order in which they are asked for.
    ///
    /// # Errors
    /// The first that there is; what is being built then is stopped.
    pub async fn obtain(&self, images: &[&'static Image]) -> Result<Vec<Obtained>, ObtainError> {
        try_join_all(images.iter().map(|image| self.obtain_one(image))).await
    }

    /// Obtains one image. Asked for again, it is the same one.
    ///
    /// Boxed, because an image is built on images.
    ///
    /// # Errors
    /// When it cannot be had in the ways allowed.
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
                    Err(why) => {
                        (self.tell)(Progress::NotPulled { name: image.name, reason: why.clone() });
                        reason = Some((upstream, why));
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

/// Whether an engine's tag is of an image of the catalogue, pulled or built here, of whatever version of its recipe.
pub fn is_known(tag: &str) -> bool {
    let built = tag.strip_prefix(BUILT).and_then(|rest| rest.split_once(':')).map(|(name, _)| name);
    CATALOGUE.iter().any(|image| built == Some(image.name) || image.upstream.is_some_and(|it| short(it) == tag))
}

/// Reads the package registries of this machine. apt takes a moment for its answer.
async fn read_sources() -> PackageSources {
    // A task that was not cancelled ends only by a panic, which the second reading would show.
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
    #[case::of_a_cluster("gitlab-ci-k8s-demo/run:b3e3cd82", false)]
    #[case::pulled("rust:1.97.1", true)]
    #[case::from_somebody("kindest/node:v1.37.0", true)]
    #[case::another_version("rust:1.95", false)]
    #[case::somebody_elses("example.org/gitlab-ci-k8s-demo/rust:1", false)]
    fn whose_image_it_is(#[case] tag: &str, #[case] expected: bool) {
        assert_eq!(is_known(tag), expected);
    }
}
