//! Checks that a container engine responds, is new enough and runs privileged containers, which kind and docker-in-docker need.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures_util::TryStreamExt;

use super::finding::{Finding, Remedy, Verdict};
use super::platform::Platform;
use super::true_image::true_image;
use crate::environment::images::is_known;
use container_engine::TIMEOUT;
use container_engine::labels::{CLUSTER, KIND_CLUSTER};

/// The oldest engine version whose API has everything that `e2e` uses.
const OLDEST: u32 = 23;

/// The log file of an engine that the doctor starts without systemd.
const LOG: &str = "/var/log/gitlab-ci-k8s-demo-dockerd.log";

/// An engine that responds.
pub(super) struct Engine {
    docker: Docker,
    version: String,
    data_root: Option<String>,
    cgroup_version: Option<u32>,
    time: Option<String>,
    asked: SystemTime,
}

/// The engine cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error("{0}")]
    NotConnected(#[from] container_engine::EngineError),
    #[error("{0}")]
    Docker(#[from] bollard::errors::Error),
    #[error("no response within {TIMEOUT:?}")]
    TimedOut,
    #[error("cannot create the image for the privileged container: {0}")]
    Image(#[from] std::io::Error),
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` names, or to the local one.
    pub(super) async fn connect() -> Result<Self, EngineError> {
        let docker = container_engine::connect().await?;
        let ask = async { Ok::<_, bollard::errors::Error>((docker.version().await?, docker.info().await?)) };
        let (version, info) = tokio::time::timeout(TIMEOUT, ask).await.map_err(|_| EngineError::TimedOut)??;
        Ok(Self {
            docker,
            version: version.version.unwrap_or_default(),
            data_root: info.docker_root_dir,
            cgroup_version: info.cgroup_version.and_then(|version| version.to_string().parse().ok()),
            time: info.system_time,
            asked: SystemTime::now(),
        })
    }

    /// The directory in which the engine stores images and volumes.
    pub(super) fn data_root(&self) -> Option<&Path> {
        self.data_root.as_deref().map(Path::new)
    }

    /// The client for the engine's API.
    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The cgroup version of the engine's containers.
    pub(super) fn cgroup_version(&self) -> Option<u32> {
        self.cgroup_version
    }

    /// This machine's and the engine's clock, read at the same moment, in seconds. They are different clocks if the engine runs in a
    /// virtual machine.
    fn clocks(&self) -> Option<(u64, u64)> {
        let here = self.asked.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some((here, super::clock::seconds(self.time.as_deref()?)?))
    }

    /// The names of the containers that publish `port`, and the kind clusters that they belong to.
    pub(super) async fn publishers(&self, port: u16) -> Vec<(String, Option<String>)> {
        let Ok(containers) = self.docker.list_containers(Some(ListContainersOptionsBuilder::new().build())).await
        else {
            return Vec::new();
        };
        let publishes = |container: &bollard::models::ContainerSummary| {
            container.ports.iter().flatten().any(|published| published.public_port == Some(port))
        };
        let name = |container: bollard::models::ContainerSummary| {
            let name = container.names.into_iter().flatten().next().unwrap_or_default();
            let cluster = container.labels.and_then(|mut labels| labels.remove(KIND_CLUSTER));
            (name.trim_start_matches('/').to_owned(), cluster)
        };
        containers.into_iter().filter(publishes).map(name).collect()
    }

    /// Runs a program that does nothing in a privileged container, then removes the container and its image. Both have `cluster`'s label,
    /// so that `e2e down` finds them if this process is killed.
    async fn run_privileged(&self, cluster: &str) -> Result<(), EngineError> {
        let tag = format!("p{}", std::process::id());
        let repository = "gitlab-ci-k8s-demo/doctor";
        let reference = format!("{repository}:{tag}");
        let label = format!("LABEL {CLUSTER}={cluster}");
        let import =
            CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(&tag).changes(vec![label]).build();
        let image = true_image()?;
        self.docker
            .create_image(Some(import), Some(bollard::body_full(image.into())), None)
            .try_collect::<Vec<_>>()
            .await?;
        let ran = self.run_image(&reference).await;
        let remove = RemoveImageOptionsBuilder::new().force(true).build();
        self.docker.remove_image(&reference, Some(remove), None).await?;
        ran
    }

    async fn run_image(&self, reference: &str) -> Result<(), EngineError> {
        let name = format!("gitlab-ci-k8s-demo-doctor-{}", std::process::id());
        let config = ContainerCreateBody {
            image: Some(reference.to_owned()),
            cmd: Some(vec!["/true".to_owned()]),
            host_config: Some(HostConfig { privileged: Some(true), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let create = CreateContainerOptionsBuilder::new().name(&name).build();
        self.docker.create_container(Some(create), config).await?;
        let run = async {
            self.docker.start_container(&name, None::<StartContainerOptions>).await?;
            // The stream returns an error if the exit code is not 0.
            self.docker.wait_container(&name, None::<WaitContainerOptions>).try_collect::<Vec<_>>().await?;
            Ok(())
        };
        let ran = tokio::time::timeout(TIMEOUT, run).await.unwrap_or(Err(EngineError::TimedOut));
        let remove = RemoveContainerOptionsBuilder::new().force(true).build();
        self.docker.remove_container(&name, Some(remove)).await?;
        ran
    }
}

/// The total size in bytes of the catalog's images that are present, without the layers that they share. 0 if the engine does not
/// report it.
pub(super) async fn image_bytes(engine: &Result<Engine, EngineError>) -> u64 {
    let Ok(engine) = engine else { return 0 };
    let list = engine.docker.list_images(Some(ListImagesOptionsBuilder::new().shared_size(true).build()));
    let Ok(Ok(images)) = tokio::time::timeout(TIMEOUT, list).await else { return 0 };
    let own = images.iter().filter(|image| image.repo_tags.iter().any(|tag| is_known(tag)));
    own.map(|image| u64::try_from(image.size - image.shared_size.max(0)).unwrap_or_default()).sum()
}

/// Checks that an engine responds and is new enough.
pub(super) fn examine(engine: &Result<Engine, EngineError>, platform: &Platform) -> Finding {
    let finding =
        |found: String| Finding::good("container engine", format!("Docker {OLDEST} or newer, running"), found);
    let elsewhere = "install Docker Engine and start it: https://docs.docker.com/engine/install/";
    match engine {
        Ok(engine) => {
            let major = engine.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
            let finding = finding(format!("Docker {}", engine.version));
            match major {
                Some(major) if major >= OLDEST => finding,
                _ => finding.with(Verdict::Missing, platform.install(ENGINE_PACKAGES, (OLDEST, 0), elsewhere)),
            }
        }
        Err(_) if is_installed("dockerd") => {
            finding("installed, not running".to_owned()).with(Verdict::Missing, platform.command(start_command()))
        }
        Err(error) => {
            let remedy = platform.install(ENGINE_PACKAGES, (OLDEST, 0), elsewhere);
            finding(format!("none: {error}")).with(Verdict::Missing, remedy)
        }
    }
}

const ENGINE_PACKAGES: &[&str] = &["docker.io", "docker-cli", "docker-buildx"];

/// Checks that the engine runs privileged containers. Some engines need a capability for this that some hosts do not grant.
pub(super) async fn examine_privileged(
    engine: &Result<Engine, EngineError>,
    cluster: &str,
    platform: &Platform,
) -> Finding {
    let needed = "needed by kind and docker-in-docker";
    let Ok(engine) = engine else {
        let remedy = Remedy::Advice("start the container engine first".to_owned());
        return Finding::good("privileged containers", needed, "not tested").with(Verdict::Missing, remedy);
    };
    match engine.run_privileged(cluster).await {
        Ok(()) => Finding::good("privileged containers", needed, "work"),
        Err(error) => {
            let elsewhere = "use Docker 26 or newer, running as root on its host";
            let remedy = platform.install(ENGINE_PACKAGES, (OLDEST, 0), elsewhere);
            Finding::good("privileged containers", needed, format!("do not work: {error}"))
                .with(Verdict::Missing, remedy)
        }
    }
}

/// The command that starts the engine, with systemd if it is running, and waits until the engine responds.
fn start_command() -> String {
    if Path::new("/run/systemd/system").exists() {
        return "systemctl start docker".to_owned();
    }
    // `setsid` makes the engine outlive the terminal that started it.
    format!(
        "setsid nohup dockerd > {LOG} 2>&1 < /dev/null &\n\
         timeout 60 sh -c 'until test -S /var/run/docker.sock && docker version > /dev/null 2>&1; do sleep 0.2; done' || \
         {{ tail -n 20 {LOG} >&2; exit 1; }}"
    )
}

/// Whether `program` is in a directory of `PATH`.
fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

/// Checks that this machine's clock is plausible and agrees with the engine's. A wrong clock makes all certificates invalid, and no
/// error message mentions it.
pub(super) fn examine_clock(engine: &Result<Engine, EngineError>) -> Finding {
    let needed = "this machine and the engine differ by at most 5 s";
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let remedy = || Remedy::Advice("set the clock with `timedatectl set-ntp true`".to_owned());
    if here < super::clock::NOT_BEFORE {
        return Finding::good("clock", needed, super::clock::date(here)).with(Verdict::Missing, remedy());
    }
    match engine.as_ref().ok().and_then(Engine::clocks) {
        None => Finding::good("clock", needed, format!("{}, no engine to compare with", super::clock::date(here))),
        Some((ours, theirs)) => {
            let apart = ours.abs_diff(theirs);
            let finding = Finding::good("clock", needed, format!("{}, {apart} s difference", super::clock::date(here)));
            if apart <= 5 { finding } else { finding.with(Verdict::Missing, remedy()) }
        }
    }
}
