//! The catalog of all images.

use gitlab_ci::suggest;

#[derive(Debug)]
pub struct Image {
    /// The name in the catalog, which is also part of the reference of a built image.
    pub name: &'static str,
    pub purpose: &'static str,
    /// The reference in the public registry, with an immutable version. `None` for images that only recipes use.
    pub upstream: Option<&'static str>,
    /// The digest that upstream announced for that reference, if known. A pull requests it.
    pub digest: Option<&'static str>,
    /// How the image is built.
    pub recipe: Recipe,
}

/// How to build an image from packages, with a directory in `images/`.
#[derive(Debug)]
pub struct Recipe {
    /// The directory's name.
    pub dir: &'static str,
    /// The program that builds the image.
    pub builder: Builder,
    /// Measured duration of the build on two idle processors, in seconds.
    pub seconds: u64,
}

/// The program that builds an image.
#[derive(Debug)]
pub enum Builder {
    /// The program `build` in the directory, with a Debian suite and the reference of the image as arguments.
    Suite(&'static str),
    /// The Dockerfile in the directory.
    Dockerfile {
        /// Build arguments for base images, with these images.
        bases: Bases,
        /// Other build arguments, with their values.
        arguments: &'static [(&'static str, &'static str)],
    },
}

/// Build arguments of a Dockerfile for base images, with these images.
pub(super) type Bases = &'static [(&'static str, &'static Image)];

const ON_FORKY: Bases = &[("DEBIAN", &DEBIAN_FORKY)];
const WITH_GO: Bases = &[("GO", &GO)];
const ON_FORKY_WITH_GO: Bases = &[("DEBIAN", &DEBIAN_FORKY), ("GO", &GO)];
const ON_BUSYBOX: Bases = &[("DEBIAN", &DEBIAN_FORKY), ("BUSYBOX", &BUSYBOX)];
const ON_BUSYBOX_WITH_GO: Bases = &[("BUSYBOX", &BUSYBOX), ("GO", &GO)];

/// An image that only recipes use.
const fn part(name: &'static str, purpose: &'static str, recipe: Recipe) -> Image {
    Image { name, purpose, upstream: None, digest: None, recipe }
}

/// A recipe from Debian packages on the suite forky, and from a Go module if `bases` includes the compiler.
const fn recipe(dir: &'static str, bases: Bases, seconds: u64) -> Recipe {
    Recipe { dir, builder: Builder::Dockerfile { bases, arguments: &[] }, seconds }
}

/// A recipe from a Go module in the version in `arguments`.
const fn version(dir: &'static str, arguments: &'static [(&'static str, &'static str)], seconds: u64) -> Recipe {
    Recipe { dir, builder: Builder::Dockerfile { bases: WITH_GO, arguments }, seconds }
}

static DEBIAN_BOOKWORM: Image = part(
    "debian-bookworm",
    "base of the cluster's node",
    Recipe { dir: "debian", builder: Builder::Suite("bookworm"), seconds: 45 },
);

static DEBIAN_FORKY: Image = part(
    "debian-forky",
    "base of the other images",
    Recipe { dir: "debian", builder: Builder::Suite("forky"), seconds: 35 },
);

static BUSYBOX: Image = part("busybox", "base of the add-ons and the registry", recipe("busybox", ON_FORKY, 15));

static GO: Image = part("go", "compiles the node's programs and the registry", recipe("go", ON_FORKY, 20));

static KUBERNETES_1_37: Image =
    part("kubernetes-1.37", "part of the node", version("kubernetes", &[("VERSION", "v1.37.0")], 480));
static ETCD_3_7: Image = part("etcd-3.7", "part of the node", version("etcd", &[("VERSION", "v3.7.0")], 60));
static COREDNS_1_14: Image =
    part("coredns-1.14", "part of the node", version("coredns", &[("VERSION", "v1.14.6")], 60));

static KUBERNETES_1_34: Image =
    part("kubernetes-1.34", "part of the node", version("kubernetes", &[("VERSION", "v1.34.4")], 480));
static ETCD_3_6: Image = part("etcd-3.6", "part of the node", version("etcd", &[("VERSION", "v3.6.5")], 60));
static COREDNS_1_12: Image =
    part("coredns-1.12", "part of the node", version("coredns", &[("VERSION", "v1.12.1")], 60));

static CONTAINERD: Image = part("containerd", "part of the node", recipe("containerd", WITH_GO, 60));

/// The node image with the newest Kubernetes version.
pub(super) static KIND_NODE_1_37: Image = Image {
    name: "kind-node-1.37",
    purpose: "the cluster's node",
    upstream: Some("docker.io/kindest/node:v1.37.0"),
    // The default node image of kind 0.33.
    digest: Some("sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"),
    recipe: recipe(
        "kind-node",
        &[
            ("KUBERNETES", &KUBERNETES_1_37),
            ("ETCD", &ETCD_3_7),
            ("COREDNS", &COREDNS_1_14),
            ("CONTAINERD", &CONTAINERD),
            ("DEBIAN_BOOKWORM", &DEBIAN_BOOKWORM),
            ("GO", &GO),
        ],
        60,
    ),
};

/// The node image with the oldest minor version that the harness supports.
pub(super) static KIND_NODE_1_34: Image = Image {
    name: "kind-node-1.34",
    purpose: "the cluster's node, with --kubernetes v1.34.4",
    upstream: Some("docker.io/kindest/node:v1.34.4"),
    digest: None,
    recipe: recipe(
        "kind-node",
        &[
            ("KUBERNETES", &KUBERNETES_1_34),
            ("ETCD", &ETCD_3_6),
            ("COREDNS", &COREDNS_1_12),
            ("CONTAINERD", &CONTAINERD),
            ("DEBIAN_BOOKWORM", &DEBIAN_BOOKWORM),
            ("GO", &GO),
        ],
        60,
    ),
};

/// The private registry.
pub static REGISTRY: Image = Image {
    name: "registry",
    purpose: "the private registry",
    upstream: Some("docker.io/library/registry:3.1.2"),
    digest: None,
    recipe: recipe("registry", ON_BUSYBOX_WITH_GO, 60),
};

/// The Ingress controller.
pub static TRAEFIK: Image = Image {
    name: "traefik",
    purpose: "the Ingress controller",
    upstream: Some("docker.io/library/traefik:v3.7.15"),
    digest: None,
    recipe: recipe("traefik", ON_BUSYBOX, 30),
};

pub static PROMETHEUS: Image = Image {
    name: "prometheus",
    purpose: "scrapes the deployed service",
    upstream: Some("docker.io/prom/prometheus:v3.5.3"),
    digest: None,
    recipe: recipe("prometheus", ON_BUSYBOX, 20),
};

static DIND: Image = Image {
    name: "dind",
    purpose: "service of image_build: the job's container engine",
    upstream: Some("docker.io/library/docker:28.5.2-dind"),
    digest: None,
    recipe: recipe("dind", ON_FORKY_WITH_GO, 60),
};

static DOCKER: Image = Image {
    name: "docker",
    purpose: "image of image_build: the engine's client",
    upstream: Some("docker.io/library/docker:28.5.2-cli"),
    digest: None,
    recipe: recipe("docker", ON_FORKY, 20),
};

static KUBECTL: Image = Image {
    name: "kubectl",
    purpose: "image of the deploy jobs",
    upstream: Some("docker.io/alpine/k8s:1.36.4"),
    digest: None,
    recipe: recipe("kubectl", ON_FORKY, 20),
};

static RUST: Image = Image {
    name: "rust",
    purpose: "image of the test and compile jobs",
    upstream: Some("docker.io/library/rust:1.97.1"),
    digest: None,
    recipe: recipe("rust", ON_FORKY, 80),
};

/// `e2e up` obtains it only for a cluster of several nodes. The tests use it to enforce `NetworkPolicies`.
pub static KUBE_ROUTER: Image = Image {
    name: "kube-router",
    purpose: "the pod network of several nodes that were built",
    upstream: Some("docker.io/cloudnativelabs/kube-router:v2.1.0"),
    digest: None,
    recipe: recipe("kube-router", ON_FORKY_WITH_GO, 100),
};

/// All images. Base images come before the images that are built on them.
pub static CATALOG: &[&Image] = &[
    &DEBIAN_BOOKWORM,
    &DEBIAN_FORKY,
    &BUSYBOX,
    &GO,
    &KUBERNETES_1_37,
    &ETCD_3_7,
    &COREDNS_1_14,
    &KUBERNETES_1_34,
    &ETCD_3_6,
    &COREDNS_1_12,
    &CONTAINERD,
    &KIND_NODE_1_37,
    &KIND_NODE_1_34,
    &REGISTRY,
    &TRAEFIK,
    &PROMETHEUS,
    &DIND,
    &DOCKER,
    &KUBECTL,
    &RUST,
    &KUBE_ROUTER,
];

/// The images of the harness and the pipeline other than the node image; they do not depend on the Kubernetes version.
pub static SHARED: &[&Image] = &[&REGISTRY, &TRAEFIK, &PROMETHEUS, &DIND, &DOCKER, &KUBECTL, &RUST];

/// Finds the image with this name.
///
/// # Errors
/// The most similar name, if no image has this name.
pub fn find(name: &str) -> Result<&'static Image, &'static str> {
    if let Some(image) = CATALOG.iter().copied().find(|image| image.name == name) {
        return Ok(image);
    }
    Err(suggest::nearest(name, CATALOG.iter().map(|image| image.name)).unwrap_or_default())
}

/// A reference without the prefixes that Docker omits: `docker.io/` and `library/`.
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
        for image in CATALOG.iter().copied() {
            let dir = recipes.join(image.recipe.dir);
            match image.recipe.builder {
                Builder::Suite(_) => assert!(dir.join("build").is_file(), "{}", dir.display()),
                Builder::Dockerfile { bases, arguments } => {
                    let dockerfile = std::fs::read_to_string(dir.join("Dockerfile")).unwrap();
                    for (_, base) in bases {
                        assert!(seen.contains(base.name), "{} is listed before its base {}", image.name, base.name);
                    }
                    for name in bases.iter().map(|(name, _)| name).chain(arguments.iter().map(|(name, _)| name)) {
                        let declares = dockerfile.lines().any(|line| line == format!("ARG {name}"));
                        assert!(declares, "{} has no ARG {name}", dir.display());
                    }
                    for (name, value) in arguments {
                        assert_eq!(*name, "VERSION");
                        assert!(dir.join(value).join("go.sum").is_file(), "{} has no module {value}", image.name);
                    }
                }
            }
            assert!(seen.insert(image.name), "{} is listed twice", image.name);
            // A reference without a version can change its image at any time.
            assert!(image.upstream.is_none_or(|upstream| upstream.rsplit('/').next().unwrap().contains(':')));
        }
        let by_name = [&KIND_NODE_1_34, &KIND_NODE_1_37, &KUBE_ROUTER];
        let used: BTreeSet<_> = SHARED.iter().copied().chain(by_name).map(|image| image.name).collect();
        let public: BTreeSet<_> =
            CATALOG.iter().filter(|image| image.upstream.is_some()).map(|image| image.name).collect();
        assert_eq!(used, public, "exactly the images that are used directly have an upstream reference");
    }

    #[test]
    fn the_pipelines_images_are_in_the_catalog() {
        let pipeline = include_str!("../../../../.gitlab-ci.yml");
        let images: Vec<_> = pipeline
            .lines()
            .filter_map(|line| line.trim().split_once("_IMAGE: "))
            .map(|(_, reference)| reference)
            .filter_map(|reference| reference.strip_prefix("${IMAGE_PREFIX}"))
            .collect();
        assert_eq!(images.len(), 4, "{images:?}");
        for reference in images {
            let mut names = CATALOG.iter().filter_map(|image| image.upstream).map(short);
            assert!(names.any(|name| name == reference), "{reference} of .gitlab-ci.yml is not in the catalog");
        }
    }

    #[test]
    fn a_misspelled_name_suggests_the_most_similar_one() {
        assert_eq!(find("dind").unwrap().name, "dind");
        assert_eq!(find("kubctl").unwrap_err(), "kubectl");
        assert_eq!(find("debian-fork").unwrap_err(), "debian-forky");
    }
}
