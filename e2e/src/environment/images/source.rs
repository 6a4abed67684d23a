//! Provides the catalog's images to the jobs of a pipeline.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::catalog::{CATALOG, Image};
use super::obtain::Images;
use container_engine::error_chain::error_chain;
use gitlab_runner::executor::{ImageSource, Resolved, normalize};

impl ImageSource for Images {
    fn resolve<'source>(&'source self, name: &'source str) -> BoxFuture<'source, Result<Option<Resolved>, String>> {
        async move {
            let Some(image) = in_catalog(name) else { return Ok(None) };
            let obtained = self
                .obtain_one(image)
                .await
                .map_err(|error| format!("cannot obtain image `{name}`: {}", error_chain(&error)))?;
            let built_from = obtained.is_built().then(|| format!("images/{}", image.recipe.dir));
            Ok(Some(Resolved { reference: obtained.reference, built_from }))
        }
        .boxed()
    }

    fn note_use(&self, name: &str, reference: &str) {
        self.note(name, reference);
    }
}

/// The catalog's image with this name or upstream reference.
pub fn in_catalog(name: &str) -> Option<&'static Image> {
    let full = normalize(name);
    let matches = |image: &&Image| image.name == name || image.upstream.is_some_and(|it| normalize(it) == full);
    CATALOG.iter().copied().find(|image| matches(image))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::short("rust:1.97.1", Some("rust"))]
    #[case::full_reference("docker.io/library/rust:1.97.1", Some("rust"))]
    #[case::another_version("rust:1.86.0", None)]
    #[case::own_name("dind", Some("dind"))]
    #[case::upstream("docker:28.5.2-dind", Some("dind"))]
    #[case::with_a_namespace("alpine/k8s:1.36.4", Some("kubectl"))]
    #[case::without_upstream("debian-forky", Some("debian-forky"))]
    #[case::unknown("debian:13", None)]
    fn an_image_is_found_by_name_or_reference(#[case] name: &str, #[case] expected: Option<&str>) {
        assert_eq!(in_catalog(name).map(|image| image.name), expected);
    }
}
