//! Which images are here already, without obtaining any, and what the missing ones are built from.

use std::path::Path;

use bollard::Docker;
use futures_util::future::try_join_all;

use super::catalogue::{CATALOGUE, Image};
use super::obtain::{BUILT, Way};
use super::recipe::{RecipeError, hash};

/// Where an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Here, from its public registry.
    Pulled,
    /// Here, built from the recipe as it is now.
    Built,
    /// Not here.
    Missing,
}

/// A registry of packages that recipes fetch from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackageRegistry {
    /// The Debian mirror.
    Debian,
    /// The Go module proxy.
    Go,
    /// The Python package index.
    Python,
}

/// Images whose recipes fetch more than Debian packages.
const FETCHES: &[(&str, PackageRegistry)] = &[
    ("kind-node", PackageRegistry::Go),
    ("registry", PackageRegistry::Go),
    ("ingress-controller", PackageRegistry::Python),
];

/// Looks for each image of the catalogue, as [`Images::obtain`](super::Images::obtain) does when it goes by `way`. Images that are
/// only the base of others are left out.
///
/// # Errors
/// When a recipe cannot be read.
pub async fn presence(
    docker: &Docker,
    recipes: &Path,
    way: Way,
) -> Result<Vec<(&'static Image, Presence)>, RecipeError> {
    let wanted = CATALOGUE.iter().copied().filter_map(|image| Some((image, image.upstream?)));
    let look = |(image, upstream): (&'static Image, &'static str)| async move {
        let is_here = async |reference: &str| docker.inspect_image(reference).await.is_ok();
        let built = format!("{BUILT}{}:{}", image.name, hash(image, recipes)?);
        let presence = if way != Way::Build && is_here(upstream).await {
            Presence::Pulled
        } else if way != Way::Pull && is_here(&built).await {
            Presence::Built
        } else {
            Presence::Missing
        };
        Ok((image, presence))
    };
    try_join_all(wanted.map(look)).await
}

/// The registries that a build of `image` fetches packages from.
pub fn package_registries(image: &Image) -> impl Iterator<Item = PackageRegistry> {
    let others = FETCHES.iter().filter(|(name, _)| *name == image.name).map(|(_, registry)| *registry);
    std::iter::once(PackageRegistry::Debian).chain(others)
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    #[test]
    fn what_is_fetched_is_fetched_by_an_image_of_the_catalogue() {
        for (name, registry) in FETCHES {
            let registries: Vec<_> = package_registries(find(name).unwrap()).collect();
            assert_eq!(registries, [PackageRegistry::Debian, *registry]);
        }
        assert_eq!(package_registries(find("rust").unwrap()).collect::<Vec<_>>(), [PackageRegistry::Debian]);
    }
}
