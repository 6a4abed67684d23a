//! Tests of the catalog's images: how they are obtained, and that they work.

use std::collections::BTreeMap;
use std::process::Command;

use container_engine::pull::{PullError, pull};

use crate::support::{self, docker, e2e};

/// Obtains images. Returns their references and how they were obtained, by name.
fn obtain(names: &[&str]) -> BTreeMap<String, (String, String)> {
    let output = e2e(&[&["images", "--format", "json"], names].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let images: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    images.iter().map(|image| (text(&image["name"]), (text(&image["reference"]), text(&image["source"])))).collect()
}

/// A network and its containers, removed at the end of the test even if it panics.
struct ContainerNetwork {
    network: String,
    containers: Vec<String>,
}

impl ContainerNetwork {
    fn new(name: &str) -> Self {
        let network = format!("e2e-test-{name}-{}", std::process::id());
        docker(&["network", "create", &network]);
        Self { network, containers: Vec::new() }
    }

    /// Starts a container with the host name `alias`.
    fn start(&mut self, alias: &str, options: &[&str], image: &str, arguments: &[&str]) {
        let network = ["run", "--detach", "--network", &self.network, "--network-alias", alias];
        self.containers.push(docker(&[&network, options, &[image], arguments].concat()));
    }

    /// Runs a shell script in a new container.
    fn run(&self, options: &[&str], image: &str, script: &str) -> String {
        docker(&[&["run", "--rm", "--network", &self.network], options, &[image, "sh", "-ec", script]].concat())
    }
}

impl Drop for ContainerNetwork {
    fn drop(&mut self) {
        let remove = |arguments: &[&str]| Command::new("docker").args(arguments).output();
        for container in &self.containers {
            let _ = remove(&["rm", "--force", "--volumes", container]);
        }
        let _ = remove(&["network", "rm", &self.network]);
    }
}

/// An engine in a container, without TLS, builds an image from scratch and pushes it to the private registry, from which it pulls the
/// image again.
#[test]
fn an_engine_in_a_container_builds_and_pushes_to_the_registry() {
    let images = obtain(&["registry", "dind", "docker"]);
    let reference = |name: &str| images[name].0.as_str();
    let mut network = ContainerNetwork::new("image-build");
    network.start("registry.gitlab-k8s-demo.test", &[], reference("registry"), &[]);
    let engine = [
        "--privileged",
        "--env",
        "DOCKER_TLS_CERTDIR=",
        "--env",
        "INSECURE_REGISTRY=registry.gitlab-k8s-demo.test:5000",
        "--entrypoint",
        "sh",
    ];
    let entrypoint =
        r#"exec dockerd-entrypoint.sh --tls=false ${INSECURE_REGISTRY:+--insecure-registry="$INSECURE_REGISTRY"}"#;
    network.start("docker", &engine, reference("dind"), &["-c", entrypoint]);
    let pushed = network.run(
        &["--env", "DOCKER_HOST=tcp://docker:2375"],
        reference("docker"),
        "timeout 60 sh -c 'until docker version >/dev/null 2>&1; do sleep 0.5; done' || docker version
         cd $(mktemp -d)
         echo content > file
         printf 'FROM scratch\nCOPY file /file\n' > Dockerfile
         image=registry.gitlab-k8s-demo.test:5000/course/demo:main
         docker build --quiet --tag $image . >/dev/null
         docker push --quiet $image
         docker rmi $image >/dev/null
         docker pull --quiet $image",
    );
    assert_eq!(pushed, ["registry.gitlab-k8s-demo.test:5000/course/demo:main"; 2].join("\n"));
}

#[test]
fn a_present_image_is_neither_pulled_nor_built_again() {
    obtain(&["kubectl"]);
    let again = obtain(&["kubectl"]);
    let (reference, source) = &again["kubectl"];
    assert_eq!(source, "here");
    // The image has the programs that the deploy jobs need: a shell, git and kubectl.
    let versions = docker(&["run", "--rm", reference, "bash", "-c", "kubectl version --client && git --version"]);
    assert!(versions.starts_with("Client Version: v1."), "{versions}");
}

/// The programs of an image of the catalog, and how each reports its version.
struct ImagePrograms {
    /// The image's name in the catalog.
    image: &'static str,
    /// The version according to the catalog or the recipe.
    version: &'static str,
    /// The programs, with the arguments that make them print their version.
    programs: &'static [&'static [&'static str]],
}

/// The versions of a node's parts that are not in their names in the catalog.
const PARTS: &[ImagePrograms] = &[
    ImagePrograms {
        image: "kubernetes-1.37",
        version: "v1.37.0",
        programs: &[
            &["/kube-apiserver", "--version"],
            &["/kube-controller-manager", "--version"],
            &["/kube-scheduler", "--version"],
            &["/kube-proxy", "--version"],
            &["/kubelet", "--version"],
            &["/kubeadm", "version", "--output", "short"],
            &["/kubectl", "version", "--client"],
        ],
    },
    ImagePrograms { image: "etcd-3.7", version: "3.7.0", programs: &[&["/etcd", "--version"]] },
    ImagePrograms { image: "coredns-1.14", version: "1.14.6", programs: &[&["/coredns", "-version"]] },
    ImagePrograms {
        image: "containerd",
        version: "v2.3.4",
        programs: &[
            &["/bin/containerd", "--version"],
            &["/bin/ctr", "--version"],
            &["/bin/containerd-shim-runc-v2", "-v"],
        ],
    },
    ImagePrograms {
        image: "containerd",
        version: "v1.9.1",
        programs: &[&["/cni/ptp", "--version"], &["/cni/portmap", "--version"]],
    },
];

/// The programs of the images, which print the version in the upstream tag.
const PROGRAMS: &[(&str, &[&[&str]])] = &[
    (
        "kind-node-1.37",
        &[&["cat", "/kind/version"], &["kubelet", "--version"], &["kubeadm", "version", "--output", "short"]],
    ),
    ("registry", &[&["registry", "--version"]]),
    ("traefik", &[&["traefik", "version"]]),
    ("prometheus", &[&["prometheus", "--version"]]),
    ("dind", &[&["dockerd", "--version"], &["docker", "--version"]]),
    ("docker", &[&["docker", "--version"]]),
    ("kubectl", &[&["kubectl", "version", "--client"]]),
    ("rust", &[&["rustc", "--version"], &["cargo", "--version"]]),
    ("kube-router", &[&["kube-router", "--version"]]),
];

/// Runs each program of an image, and compares its output with the expected version.
fn assert_versions(name: &str, reference: &str, version: &str, programs: &[&[&str]]) {
    for program in programs {
        let entrypoint = ["run", "--rm", "--entrypoint", program[0], reference];
        // Some programs print it to standard error.
        let output = Command::new("docker").args([&entrypoint, &program[1..]].concat()).output().unwrap();
        let reported = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let words = reported.split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | '-' | '+'));
        let wanted = version.trim_start_matches('v');
        assert!(
            words.map(|word| word.trim_start_matches(['v', '='])).any(|word| word == wanted),
            "{name} should have version {version}, but `{}` reports: {reported}",
            program.join(" ")
        );
    }
}

#[test]
fn programs_have_the_versions_in_the_catalog() {
    let names: Vec<_> = PROGRAMS.iter().map(|(name, _)| *name).collect();
    let images = obtain(&names);
    for (name, programs) in PROGRAMS {
        let upstream = e2e::environment::images::find(name).unwrap().upstream.unwrap();
        // `28.5.2-cli` is version 28.5.2.
        let tag = upstream.rsplit(':').next().unwrap();
        let version = tag.split('-').next().unwrap();
        assert_versions(name, &images[*name].0, version, programs);
    }
    let public =
        e2e::environment::images::CATALOG.iter().filter(|image| image.upstream.is_some()).map(|image| image.name);
    let untested: Vec<_> = public.filter(|name| !names.contains(name)).collect();
    assert_eq!(untested, ["kind-node-1.34"], "`make test-versions` runs a cluster of that one");
}

#[test]
fn the_parts_of_a_built_node_have_the_versions_in_their_recipes() {
    let names: Vec<_> = PARTS.iter().map(|part| part.image).collect();
    let images = obtain(&names);
    for ImagePrograms { image, version, programs } in PARTS {
        assert_versions(image, &images[*image].0, version, programs);
    }
}

/// The addresses of this machine's package registries, and the passwords in them, must not be in an image.
#[test]
fn a_built_image_contains_no_mirror_and_no_proxy() {
    let images = obtain(&["debian-forky", "go", "rust", "registry"]);
    for (name, (reference, _)) in &images {
        let configuration = docker(&["image", "inspect", "--format", "{{json .Config}}", reference]);
        let history = docker(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", reference]);
        for setting in ["GOPROXY", "PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            assert!(!configuration.contains(setting), "{name}: {setting} in {configuration}");
            assert!(!history.contains(&format!("{setting}=")), "{name}: {setting} in {history}");
        }
        let script = "find /etc/apt /etc/pip.conf /root -type f | xargs grep --files-with-matches --extended-regexp '(http|https)://' || true";
        let files = docker(&["run", "--rm", "--entrypoint", "sh", reference, "-c", script]);
        assert_eq!(files, "", "{name} has addresses in these files");
    }
}

#[test]
fn a_misspelled_image_name_suggests_the_most_similar_one() {
    let output = e2e(&["images", "kubctl"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("did you mean `kubectl`?"), "{error}");
}

#[test]
fn an_image_without_upstream_cannot_be_pulled() {
    let output = e2e(&["images", "--images", "pull", "debian-forky"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error.trim(), "e2e: cannot pull image `debian-forky`: no public registry has it, it can only be built");
}

/// A server accepts connections, but never responds.
#[tokio::test]
async fn a_pull_that_hangs_times_out() {
    let silence = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reference = format!("{}/course/demo:main", silence.local_addr().unwrap());
    let docker = container_engine::connect().await.unwrap();
    let reason = pull(&docker, &reference, None).await.unwrap_err();
    // Either this program's or the engine's time limit is exceeded first.
    assert!(matches!(reason, PullError::TimedOut(_) | PullError::NoAnswer), "{reason:?}");
}

/// No mirror is reachable, and the recipe was never built before.
#[test]
fn a_build_without_a_network_reports_the_failed_download_and_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = dir.path().join("debian");
    std::fs::create_dir(&recipe).unwrap();
    let build = std::fs::read_to_string(support::project().join("images/debian/build")).unwrap();
    std::fs::write(recipe.join("build"), build).unwrap();
    std::fs::set_permissions(recipe.join("build"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(recipe.join("never-built"), dir.path().as_os_str().as_encoded_bytes()).unwrap();
    let mut command = e2e(&["images", "debian-forky", "--recipes"]);
    command.arg(dir.path()).arg("--log-dir").arg(dir.path().join("logs"));
    // The port of the service `discard`, which is closed.
    let output = command.env("DEBIAN_MIRROR", "http://127.0.0.1:9/debian").output().unwrap();
    let stderr = support::error(&output);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("e2e: cannot build image `debian-forky`"), "{stderr}");
    assert!(stderr.contains("Could not connect to 127.0.0.1:9") || stderr.contains("Connection refused"), "{stderr}");
    assert!(stderr.contains("debian-forky.log"), "{stderr}");
}
