//! Determines how missing images are obtained: pulled, or else built.

use std::collections::BTreeSet;
use std::time::Duration;

use super::engine::{Engine, EngineError};
use super::finding::{Finding, Remedy, Verdict};
use super::request::Request;
use crate::environment::images;
use crate::environment::images::{Image, ImagePolicy, PackageRegistry, Presence};
use container_engine::pull;

/// Time that a public registry has to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

const SUBJECT: &str = "images";

/// The recipe of the node image.
const NODE: &str = "kind-node";

/// How the missing images are obtained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// No image is missing.
    Present,
    /// They can be pulled from a public registry.
    Pull,
    /// They must be built from packages, for this reason.
    Build(String),
    /// The user allows only pulling, which fails for this reason.
    Unavailable(String),
    /// The missing images could not be determined, for this reason.
    Unknown(String),
}

/// All needed images, and how the missing ones are obtained.
pub(super) struct Supply {
    images: Vec<(&'static Image, Presence)>,
    pub(super) route: Route,
}

impl Route {
    pub(super) fn is_build(&self) -> bool {
        matches!(self, Self::Build(_))
    }
}

impl Supply {
    /// Looks for the images, and asks a public registry for the first missing one. Sends only one request, of the cheapest kind,
    /// because some registries limit the number of requests.
    pub(super) async fn look(engine: &Result<Engine, EngineError>, request: &Request<'_>) -> Self {
        let unknown = |reason: &str| Self { images: Vec::new(), route: Route::Unknown(reason.to_owned()) };
        let Ok(engine) = engine else { return unknown("no container engine is running") };
        let look = images::presence(engine.docker(), request.recipes, request.policy, request.kubernetes);
        let images = match tokio::time::timeout(container_engine::TIMEOUT, look).await {
            Ok(Ok(images)) => images,
            Ok(Err(error)) => return unknown(&container_engine::error_chain::error_chain(&error)),
            Err(_) => return unknown("the container engine does not respond"),
        };
        let missing = images.iter().find(|(_, presence)| *presence == Presence::Missing);
        let route = match missing.and_then(|(image, _)| image.upstream) {
            None => Route::Present,
            Some(_) if request.policy == ImagePolicy::Build => Route::Build("requested by --images build".to_owned()),
            Some(upstream) => match pull::check(engine.docker(), upstream, TIMEOUT).await {
                Ok(()) => Route::Pull,
                Err(reason) if request.policy == ImagePolicy::Pull => Route::Unavailable(reason.to_string()),
                Err(reason) => Route::Build(reason.to_string()),
            },
        };
        Self { images, route }
    }

    fn missing(&self) -> impl Iterator<Item = &'static Image> {
        self.images.iter().filter(|(_, presence)| *presence == Presence::Missing).map(|(image, _)| *image)
    }

    /// The package registries that the builds fetch from.
    pub(super) fn package_registries(&self) -> BTreeSet<PackageRegistry> {
        let images = self.missing().filter(|_| self.route.is_build());
        images.flat_map(images::package_registries).collect()
    }

    /// Whether the node image is, or will be, the one that kind publishes.
    pub(super) fn has_published_node(&self) -> bool {
        let node = self.images.iter().find(|(image, _)| image.recipe.dir == NODE);
        match node.map(|(_, presence)| *presence) {
            Some(Presence::Pulled) => true,
            Some(Presence::Missing) => self.route == Route::Pull,
            Some(Presence::Built) | None => false,
        }
    }

    /// The number of images that are present and missing, and how the missing ones are obtained.
    pub(super) fn finding(&self) -> Finding {
        let needed = "present, or can be pulled or built";
        let (all, missing) = (self.images.len(), self.missing().count());
        let good = |found: String| Finding::good(SUBJECT, needed, found);
        match &self.route {
            Route::Present => good(format!("all {all} are present")),
            Route::Pull => good(format!("{missing} of {all} are missing and can be pulled")),
            Route::Build(reason) => good(format!("{missing} of {all} are missing and must be built ({reason})")),
            Route::Unknown(reason) => good(format!("unknown: {reason}")),
            Route::Unavailable(reason) => {
                good(format!("{missing} of {all} are missing and cannot be pulled ({reason})")).with(
                    Verdict::Missing,
                    Remedy::Advice(
                        "make a public registry reachable, or let them be built with `--images auto`".to_owned(),
                    ),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::environment::images::KubernetesVersion;

    fn supply(route: Route, presence: [Presence; 2]) -> Supply {
        let images = [KubernetesVersion::default().node(), &images::PROMETHEUS];
        Supply { images: images.into_iter().zip(presence).collect(), route }
    }

    #[rstest]
    #[case::all(Route::Present, [Presence::Built, Presence::Pulled], Verdict::Good, "all 2 are present")]
    #[case::pulled(
        Route::Pull, [Presence::Built, Presence::Missing], Verdict::Good, "1 of 2 are missing and can be pulled"
    )]
    #[case::built(
        Route::Build("no route".to_owned()), [Presence::Missing, Presence::Missing], Verdict::Good,
        "2 of 2 are missing and must be built (no route)"
    )]
    #[case::unavailable(
        Route::Unavailable("no route".to_owned()), [Presence::Missing, Presence::Missing], Verdict::Missing,
        "2 of 2 are missing and cannot be pulled (no route)"
    )]
    fn findings(#[case] route: Route, #[case] presence: [Presence; 2], #[case] verdict: Verdict, #[case] found: &str) {
        let finding = supply(route, presence).finding();
        assert_eq!((finding.verdict, finding.found.as_str()), (verdict, found));
    }

    #[test]
    fn package_registries_are_needed_only_for_builds() {
        use PackageRegistry::{Debian, Go};
        let needed = |route, presence| supply(route, presence).package_registries().into_iter().collect::<Vec<_>>();
        let build = || Route::Build(String::new());
        assert_eq!(needed(build(), [Presence::Missing, Presence::Missing]), [Debian, Go]);
        assert_eq!(needed(build(), [Presence::Built, Presence::Missing]), [Debian]);
        assert_eq!(needed(Route::Pull, [Presence::Missing, Presence::Missing]), []);
    }

    #[rstest]
    #[case::pulled(Route::Present, Presence::Pulled, true)]
    #[case::built(Route::Present, Presence::Built, false)]
    #[case::to_be_pulled(Route::Pull, Presence::Missing, true)]
    #[case::to_be_built(Route::Build(String::new()), Presence::Missing, false)]
    fn the_node_is_published_unless_it_is_built(
        #[case] route: Route,
        #[case] presence: Presence,
        #[case] expected: bool,
    ) {
        assert_eq!(supply(route, [presence, Presence::Built]).has_published_node(), expected);
    }
}
