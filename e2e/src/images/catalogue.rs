//! Every image, once.

/// An image that is needed.
#[derive(Debug)]
pub struct Image {
    /// What it is called here; also the name of its reference when it is built.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Where a public registry has it, by a version that does not move. Nothing where only the recipe will do.
    pub upstream: Option<&'static str>,
    /// How it is built.
    pub recipe: Recipe,
}

/// How an image is built: a folder below `images/`.
#[derive(Debug)]
pub struct Recipe {
    /// The folder.
    pub folder: &'static str,
    /// What builds it.
    pub builder: Builder,
}

/// What builds an image.
#[derive(Debug)]
pub enum Builder {
    /// The folder's program `build`, which is told a Debian suite and the reference to make.
    Suite(&'static str),
    /// The folder's Dockerfile, whose arguments are given these other images.
    Dockerfile(Bases),
}

/// Arguments of a Dockerfile, and the images that they stand for.
pub(super) type Bases = &'static [(&'static str, &'static Image)];

const ON_TRIXIE: Bases = &[("DEBIAN", &DEBIAN_TRIXIE)];

static DEBIAN_BOOKWORM: Image = Image {
    name: "debian-bookworm",
    purpose: "base of the cluster's node",
    upstream: None,
    recipe: Recipe { folder: "debian", builder: Builder::Suite("bookworm") },
};

static DEBIAN_TRIXIE: Image = Image {
    name: "debian-trixie",
    purpose: "base of every other image",
    upstream: None,
    recipe: Recipe { folder: "debian", builder: Builder::Suite("trixie") },
};

/// The cluster's node.
pub static KIND_NODE: Image = Image {
    name: "kind-node",
    purpose: "the cluster's node",
    // The default of kind 0.27.
    upstream: Some("docker.io/kindest/node:v1.32.2"),
    recipe: Recipe { folder: "kind-node", builder: Builder::Dockerfile(&[("DEBIAN_BOOKWORM", &DEBIAN_BOOKWORM)]) },
};

/// The private registry.
pub static REGISTRY: Image = Image {
    name: "registry",
    purpose: "the private registry",
    upstream: Some("docker.io/library/registry:2.8.3"),
    recipe: Recipe { folder: "registry", builder: Builder::Dockerfile(ON_TRIXIE) },
};

/// The Ingress controller.
pub static TRAEFIK: Image = Image {
    name: "traefik",
    purpose: "the Ingress controller",
    upstream: Some("docker.io/library/traefik:v3.7.15"),
    recipe: Recipe { folder: "traefik", builder: Builder::Dockerfile(ON_TRIXIE) },
};

/// Prometheus.
pub static PROMETHEUS: Image = Image {
    name: "prometheus",
    purpose: "scrapes what is deployed",
    upstream: Some("docker.io/prom/prometheus:v2.53.3"),
    recipe: Recipe { folder: "prometheus", builder: Builder::Dockerfile(ON_TRIXIE) },
};

static DIND: Image = Image {
    name: "dind",
    purpose: "service of image_build: an engine of the job's own",
    upstream: Some("docker.io/library/docker:28.5.1-dind"),
    recipe: Recipe { folder: "dind", builder: Builder::Dockerfile(ON_TRIXIE) },
};

static DOCKER: Image = Image {
    name: "docker",
    purpose: "image of image_build: the engine's client",
    upstream: Some("docker.io/library/docker:28.5.1-cli"),
    recipe: Recipe { folder: "docker", builder: Builder::Dockerfile(ON_TRIXIE) },
};

static KUBECTL: Image = Image {
    name: "kubectl",
    purpose: "image of the deploy jobs",
    upstream: Some("docker.io/alpine/k8s:1.32.3"),
    recipe: Recipe { folder: "kubectl", builder: Builder::Dockerfile(ON_TRIXIE) },
};

static RUST: Image = Image {
    name: "rust",
    purpose: "image of the test and compile jobs",
    upstream: Some("docker.io/library/rust:1.85.1"),
    recipe: Recipe { folder: "rust", builder: Builder::Dockerfile(ON_TRIXIE) },
};

/// Every image. Those that others are built on come first.
pub static CATALOGUE: &[&Image] = &[
    &DEBIAN_BOOKWORM,
    &DEBIAN_TRIXIE,
    &KIND_NODE,
    &REGISTRY,
    &TRAEFIK,
    &PROMETHEUS,
    &DIND,
    &DOCKER,
    &KUBECTL,
    &RUST,
];

/// The image of this name, or the name that is nearest to it.
///
/// # Errors
/// The nearest name, when there is none of this one.
pub fn find(name: &str) -> Result<&'static Image, &'static str> {
    if let Some(image) = CATALOGUE.iter().copied().find(|image| image.name == name) {
        return Ok(image);
    }
    let nearest = CATALOGUE
        .iter()
        .max_by(|one, other| strsim::jaro_winkler(one.name, name).total_cmp(&strsim::jaro_winkler(other.name, name)));
    Err(nearest.map_or("", |image| image.name))
}

/// A reference without what Docker's own names leave out.
pub fn short(reference: &str) -> &str {
    let name = reference.strip_prefix("docker.io/").unwrap_or(reference);
    name.strip_prefix("library/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn names_are_unique_recipes_exist_and_bases_come_first() {
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../images");
        let mut seen = BTreeSet::new();
        for image in CATALOGUE.iter().copied() {
            let folder = recipes.join(image.recipe.folder);
            match image.recipe.builder {
                Builder::Suite(_) => assert!(folder.join("build").is_file(), "{}", folder.display()),
                Builder::Dockerfile(bases) => {
                    assert!(folder.join("Dockerfile").is_file(), "{}", folder.display());
                    for (_, base) in bases {
                        assert!(seen.contains(base.name), "{} stands before its base {}", image.name, base.name);
                    }
                }
            }
            assert!(seen.insert(image.name), "{} is listed twice", image.name);
            // A reference without a version is another image tomorrow.
            assert!(image.upstream.is_none_or(|upstream| upstream.rsplit('/').next().unwrap().contains(':')));
        }
    }

    #[test]
    fn the_pipelines_images_are_in_the_catalogue() {
        let pipeline = include_str!("../../../.gitlab-ci.yml");
        let images: Vec<_> = pipeline
            .lines()
            .filter_map(|line| line.trim().split_once("_IMAGE: "))
            .map(|(_, reference)| reference)
            .filter(|reference| !reference.starts_with('$'))
            .collect();
        assert_eq!(images.len(), 4, "{images:?}");
        for reference in images {
            let mut names = CATALOGUE.iter().filter_map(|image| image.upstream).map(short);
            assert!(names.any(|name| name == reference), "{reference} of .gitlab-ci.yml is in no catalogue");
        }
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        assert_eq!(find("dind").unwrap().name, "dind");
        assert_eq!(find("kubctl").unwrap_err(), "kubectl");
        assert_eq!(find("debian-trixi").unwrap_err(), "debian-trixie");
    }
}
