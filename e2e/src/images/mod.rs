//! The images that the harness and the pipeline need, and how each comes here: it is here already, else it is pulled,
//! else it is built from the recipe in this repository.

mod build;
mod catalogue;
#[cfg_attr(not(test), expect(dead_code, reason = "called where a build fails, as soon as builds are from packages"))]
mod diagnose;
mod obtain;
mod presence;
mod pull;
mod recipe;

pub use self::build::BuildError;
pub use self::catalogue::{
    CATALOGUE, CLUSTER_DNS, INGRESS_CONTROLLER, Image, KIND_NODE, PROMETHEUS, REGISTRY, find, short,
};
pub use self::obtain::{Images, ObtainError, Obtained, Progress, Source, Way, is_known};
pub use self::presence::{PackageRegistry, Presence, package_registries, presence};
pub use self::pull::{ask, pull, pull_as};
pub use self::recipe::RecipeError;
