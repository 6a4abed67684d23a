//! The container engine: whether one answers, and whether it can do what kind and docker-in-docker ask of it.

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
use container_engine::labels::CLUSTER;

/// The oldest engine whose API has all that is used here.
const OLDEST: u32 = 23;

/// Where its own log goes when it is started by hand.
const LOG: &str = "/var/log/gitlab-ci-k8s-demo-dockerd.log";

/// An engine that answers.
pub(super) struct Engine {
    docker: Docker,
    version: String,
    data_root: Option<String>,
    cgroup_version: Option<u32>,
    time: Option<String>,
    asked: SystemTime,
}

/// Why none does.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error("{0}")]
    NotConnected(#[from] container_engine::EngineError),
    #[error("{0}")]
    Docker(#[from] bollard::errors::Error),
    #[error("no answer within {TIMEOUT:?}")]
    TimedOut,
    #[error("the probe's image cannot be made: {0}")]
    Image(#[from] std::io::Error),
}

impl Engine {
    /// The engine that `DOCKER_HOST` names, or the one of this machine.
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

    /// Where it keeps images and volumes.
    pub(super) fn data_root(&self) -> Option<&Path> {
        self.data_root.as_deref().map(Path::new)
    }

    /// The interface to it.
    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The version of the control groups that its containers get.
    pub(super) fn cgroup_version(&self) -> Option<u32> {
        self.cgroup_version
    }

    /// This machine's clock and its own, read in the same moment, in seconds. Where the engine is in a virtual machine,
    /// they are two clocks.
    fn clocks(&self) -> Option<(u64, u64)> {
        let here = self.asked.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some((here, super::clock::seconds(self.time.as_deref()?)?))
    }

    /// The containers that publish `port`: their names, and the kind cluster that they belong to.
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
            let cluster = container.labels.and_then(|mut labels| labels.remove("io.x-k8s.kind.cluster"));
            (name.trim_start_matches('/').to_owned(), cluster)
        };
        containers.into_iter().filter(publishes).map(name).collect()
    }

    /// Runs a program that does nothing in a privileged container, and removes both. They are labelled as `cluster`'s, so that
    /// `e2e down` finds them when this program was killed in between.
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
            // An exit code other than 0 is an error of the stream.
            self.docker.wait_container(&name, None::<WaitContainerOptions>).try_collect::<Vec<_>>().await?;
            Ok(())
        };
        let ran = tokio::time::timeout(TIMEOUT, run).await.unwrap_or(Err(EngineError::TimedOut));
        let remove = RemoveContainerOptionsBuilder::new().force(true).build();
        self.docker.remove_container(&name, Some(remove)).await?;
        ran
    }
}

/// The size of the images that are needed and there already, in bytes, as far as the engine tells. What they have in common does
/// not count.
pub(super) async fn images(engine: &Result<Engine, EngineError>) -> u64 {
    let Ok(engine) = engine else { return 0 };
    let list = engine.docker.list_images(Some(ListImagesOptionsBuilder::new().shared_size(true).build()));
    let Ok(Ok(images)) = tokio::time::timeout(TIMEOUT, list).await else { return 0 };
    let own = images.iter().filter(|image| image.repo_tags.iter().any(|tag| is_known(tag)));
    own.map(|image| u64::try_from(image.size - image.shared_size.max(0)).unwrap_or_default()).sum()
}

/// Whether an engine answers that is new enough.
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

/// Whether it runs privileged containers. Some engines need a capability for that which some hosts do not give.
pub(super) async fn examine_privileged(
    engine: &Result<Engine, EngineError>,
    cluster: &str,
    platform: &Platform,
) -> Finding {
    let needed = "kind and docker-in-docker run privileged";
    let Ok(engine) = engine else {
        let remedy = Remedy::Advice("needs a running engine first".to_owned());
        return Finding::good("privileged containers", needed, "not tried").with(Verdict::Missing, remedy);
    };
    match engine.run_privileged(cluster).await {
        Ok(()) => Finding::good("privileged containers", needed, "one ran"),
        Err(error) => {
            let elsewhere = "use Docker 26 or newer, with root rights on its host";
            let remedy = platform.install(ENGINE_PACKAGES, (OLDEST, 0), elsewhere);
            Finding::good("privileged containers", needed, format!("refused: {error}")).with(Verdict::Missing, remedy)
        }
    }
}

/// Starts the engine, by systemd where it runs, and waits until it answers.
fn start_command() -> String {
    if Path::new("/run/systemd/system").exists() {
        return "systemctl start docker".to_owned();
    }
    // A session of its own, so that it outlives the terminal that started it.
    format!(
        "setsid nohup dockerd > {LOG} 2>&1 < /dev/null &\n\
         timeout 60 sh -c 'until test -S /var/run/docker.sock && docker version > /dev/null 2>&1; do sleep 0.2; done' || \
         {{ tail -n 20 {LOG} >&2; exit 1; }}"
    )
}

/// Whether `program` is on the path.
fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Whether this machine's clock and the engine's agree, and both are possible. A wrong clock makes every certificate
/// invalid, and says so nowhere.
pub(super) fn examine_clock(engine: &Result<Engine, EngineError>) -> Finding {
    let needed = "this machine's and the engine's within 5 s of each other";
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let remedy = || Remedy::Advice("set the clock: timedatectl set-ntp true".to_owned());
    if here < super::clock::NOT_BEFORE {
        return Finding::good("clock", needed, super::clock::date(here)).with(Verdict::Missing, remedy());
    }
    match engine.as_ref().ok().and_then(Engine::clocks) {
        None => Finding::good("clock", needed, format!("{}, no engine to compare with", super::clock::date(here))),
        Some((then, there)) => {
            let apart = then.abs_diff(there);
            let finding = Finding::good("clock", needed, format!("{}, {apart} s apart", super::clock::date(here)));
            if apart <= 5 { finding } else { finding.with(Verdict::Missing, remedy()) }
        }
    }
}
