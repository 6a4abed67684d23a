//! Obtains the images that the harness and the pipeline need: an image that is present is used, otherwise it is pulled, otherwise
//! built from its recipe in this repository.

mod build;
mod build_log;
mod catalogue;
mod diagnose;
mod kubernetes;
mod obtain;
mod presence;
mod recipe;
mod source;
mod way;

pub use self::build::BuildError;
pub use self::build_log::Compiled;
pub use self::catalogue::{CATALOGUE, Image, PROMETHEUS, REGISTRY, SHARED, TRAEFIK, find, short};
pub use self::diagnose::Diagnosis;
pub use self::kubernetes::KubernetesVersion;
pub use self::obtain::{Images, ObtainError, Obtained, Progress, Source, is_known};
pub use self::presence::{PackageRegistry, Presence, package_registries, presence};
pub use self::recipe::{RecipeError, add_directory, digits};
pub use self::source::in_catalogue;
pub use self::way::Way;
