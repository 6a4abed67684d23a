//! Obtains the images that the harness and the pipeline need. An image that the engine does not have is pulled; if it cannot be pulled, it
//! is built from its recipe in this repository.

mod build;
mod build_log;
mod catalog;
mod diagnose;
mod kubernetes;
mod obtain;
mod policy;
mod presence;
mod recipe;
mod source;

pub use self::build::BuildError;
pub use self::catalog::{CATALOG, Image, KUBE_ROUTER, PROMETHEUS, REGISTRY, SHARED, TRAEFIK, find, short};
pub use self::diagnose::Diagnosis;
pub use self::kubernetes::KubernetesVersion;
pub use self::obtain::{Images, ObtainError, ResolvedImage, is_known};
pub use self::policy::ImagePolicy;
pub use self::presence::{PackageRegistry, Presence, package_registries, presence};
pub use self::recipe::{RecipeError, add_directory, digits};
pub use self::source::in_catalog;
