//! Runs jobs in the docker executor without a pipeline.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use container_engine::labels::PIPELINE;
use e2e::environment::images::{ImagePolicy, Images, KubernetesVersion};
use gitlab_ci::variables::collection::{Origin, Variable};
use gitlab_runner::config::RunnerConfig;
use gitlab_runner::event::Event;
use gitlab_runner::executor::docker::{Docker, sweep};
use gitlab_runner::executor::{Executor, ExecutorError, ImageRequest, Request, ServiceRequest, Session};
use gitlab_runner::job::script::Script;
use gitlab_runner::log::JobLog;
use gitlab_runner::mask::Masker;
use gitlab_runner::workspace::archive::Packed;
use gitlab_runner::workspace::draft::Draft;
use gitlab_runner::workspace::selection::Selection;
use tokio::time::sleep;

use crate::support;

/// An image of the catalog with bash and git.
pub(crate) const DEBIAN: &str = "docker";

/// Time limit for the removal of volumes.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Builds an image from the catalog's Debian image, once for all tests.
fn image(name: &str, dockerfile: &str) -> String {
    let dockerfile = dockerfile.replace("DEBIAN", &support::image(DEBIAN));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    let tag = format!("e2e-test/{name}:latest");
    let build = ["build", "--quiet", "--label", "io.gitlab-ci-k8s-demo.test=true", "--tag", &tag];
    support::run(Command::new("docker").env("DOCKER_BUILDKIT", "1").args(build).arg(dir.path()));
    tag
}

/// An image that contains only a file.
pub(crate) static WITHOUT_SHELL: LazyLock<String> =
    LazyLock::new(|| image("without-shell", "FROM scratch\nCOPY Dockerfile /Dockerfile\n"));

/// An image without bash, whose entrypoint leaves a trace.
pub(crate) static WITH_SH: LazyLock<String> = LazyLock::new(|| {
    image(
        "with-sh",
        r#"FROM DEBIAN
RUN rm /bin/bash && useradd --uid 1234 somebody && printf '#!/bin/sh\necho by the entrypoint\nexec "$@"\n' > /enter && chmod +x /enter
EXPOSE 80/tcp
ENTRYPOINT ["/enter"]
"#,
    )
});

pub(crate) struct Pipeline {
    pub(crate) name: String,
    pub(crate) dir: tempfile::TempDir,
    engine: bollard::Docker,
    executor: Executor,
}

/// A prepared job.
pub(crate) struct Job {
    pub(crate) session: Session,
    pub(crate) log: Arc<JobLog>,
    lines: Lines,
    variables: Arc<Vec<Variable>>,
    project: String,
    temporary: String,
}

/// The job's log.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

impl Pipeline {
    pub(crate) async fn new(config: &RunnerConfig) -> Self {
        let engine = container_engine::connect().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let images = Images::new(
            engine.clone(),
            ImagePolicy::Build,
            KubernetesVersion::default(),
            &support::project().join("images"),
            &support::project().join("target/e2e/images"),
            |_| (),
        );
        let name = format!("test-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let executor = Executor::Docker(Docker::new(engine.clone(), config, Some(Arc::new(images)), name.clone()));
        Self { name, dir, engine, executor }
    }

    /// Prepares a job. Also returns its log, for jobs whose preparation fails.
    pub(crate) async fn prepare(
        &self,
        image: &str,
        change: impl FnOnce(&mut Request),
    ) -> (Result<Job, ExecutorError>, Lines) {
        let lines = Lines::default();
        let heard = lines.clone();
        let notify = move |event| {
            if let Event::Line { line, .. } = event {
                heard.0.lock().unwrap().push(line);
            }
        };
        let path = self.dir.path().join(format!("{:08x}.log", fastrand::u32(..)));
        let file = std::fs::File::create(&path).unwrap();
        let log = Arc::new(JobLog::new("job".into(), file, path, &Masker::new([""; 0]), 1 << 22, Arc::new(notify)));
        let mut request = Request {
            name: "job".into(),
            id: 7,
            timeout: Duration::from_hours(1),
            variables: Arc::default(),
            image: Some(ImageRequest { name: image.to_owned(), ..ImageRequest::default() }),
            services: Vec::new(),
            job_dirs: self.executor.job_dirs(7, "group/project"),
        };
        change(&mut request);
        let (variables, job_dirs) = (Arc::clone(&request.variables), request.job_dirs.clone());
        let prepared = self.executor.prepare(request, &log).await.map(|session| Job {
            session,
            log,
            lines: lines.clone(),
            variables,
            temporary: job_dirs.temporary(),
            project: job_dirs.project,
        });
        (prepared, lines)
    }

    /// Prepares a job with an empty directory; the preparation must succeed.
    pub(crate) async fn job(&self, image: &str, change: impl FnOnce(&mut Request)) -> Job {
        let (job, lines) = self.prepare(image, change).await;
        let mut job = job.unwrap_or_else(|error| panic!("{error}\n{}", lines.text()));
        job.session.put_sources(None).await.unwrap();
        job
    }

    /// The containers, networks and volumes of the pipeline.
    pub(crate) fn resources(&self) -> Vec<String> {
        [self.without_volumes(), self.volumes()].concat()
    }

    fn without_volumes(&self) -> Vec<String> {
        [self.listed(&["ps", "--all"]), self.listed(&["network", "ls"])].concat()
    }

    fn volumes(&self) -> Vec<String> {
        self.listed(&["volume", "ls"])
    }

    fn listed(&self, list: &[&str]) -> Vec<String> {
        let filter = format!("label={PIPELINE}={}", self.name);
        let text = support::docker(&[list, &["--quiet", "--filter", &filter]].concat());
        text.lines().map(str::to_owned).collect()
    }

    /// The remaining resources. Waits for the removal of volumes, because jobs do not wait for it.
    pub(crate) async fn left(&self) -> Vec<String> {
        let started = Instant::now();
        loop {
            let (others, volumes) = (self.without_volumes(), self.volumes());
            if !others.is_empty() || volumes.is_empty() || started.elapsed() > TIMEOUT {
                return [others, volumes].concat();
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until nothing of the pipeline is left: a job that is dropped removes its resources in the background.
    pub(crate) async fn wait_until_removed(&self) {
        let started = Instant::now();
        while !self.resources().is_empty() {
            assert!(started.elapsed() < TIMEOUT, "{:?}", self.resources());
            sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) async fn sweep(&self) -> usize {
        sweep(&self.engine, Some(&self.name)).await.unwrap()
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.dir.path().join(format!("{:08x}.tar", fastrand::u32(..)))
    }
}

impl Drop for Pipeline {
    /// Removes all resources, even if the test panics.
    fn drop(&mut self) {
        for (list, remove) in [
            (&["ps", "--all"][..], &["rm", "--force", "--volumes"][..]),
            (&["network", "ls"], &["network", "rm"]),
            (&["volume", "ls"], &["volume", "rm", "--force"]),
        ] {
            let filter = format!("label={PIPELINE}={}", self.name);
            let listed = Command::new("docker").args(list).args(["--quiet", "--filter", &filter]).output();
            let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            if !listed.trim().is_empty() {
                let _ = Command::new("docker").args(remove).args(listed.split_whitespace()).output();
            }
        }
    }
}

impl Job {
    /// Packs files of the job into a new archive.
    pub(crate) async fn pack(&mut self, selection: Selection, archive: &Path) -> Packed {
        let draft = Draft::new(&private_dir::PrivateDir::open(archive.parent().unwrap(), "").unwrap()).unwrap();
        let packed = self.session.pack(selection, draft.writer().unwrap()).await.unwrap();
        draft.keep(archive.file_name().unwrap().to_str().unwrap()).unwrap();
        packed
    }

    /// Runs commands, and returns the exit code and their output.
    pub(crate) async fn run(&mut self, commands: &[&str]) -> (i32, String) {
        let script = Script {
            dir: &self.project,
            variables: &self.variables,
            temporary_dir: &self.temporary,
            commands,
            checks_exit_codes: false,
            is_bash: false,
            is_traced: false,
        };
        let text = script.text();
        let before = self.lines.0.lock().unwrap().len();
        let code = self.session.run(&text, &self.log).await.unwrap().code();
        self.log.flush();
        let lines = self.lines.0.lock().unwrap();
        let own = lines[before..].iter().filter(|line| !line.starts_with('\x1b'));
        (code, own.cloned().collect::<Vec<_>>().join("\n"))
    }

    pub(crate) fn text(&self) -> String {
        self.lines.text()
    }
}

pub(crate) fn variables(pairs: &[(&str, &str)]) -> Arc<Vec<Variable>> {
    Arc::new(pairs.iter().map(|(key, value)| Variable::new(key, value, Origin::Job)).collect())
}

pub(crate) fn service(image: &str, aliases: &[&str]) -> ServiceRequest {
    ServiceRequest {
        image: ImageRequest { name: image.to_owned(), ..ImageRequest::default() },
        aliases: aliases.iter().map(ToString::to_string).collect(),
        ..ServiceRequest::default()
    }
}

pub(crate) fn selection(paths: &[&str]) -> Selection {
    let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
    Selection::new("/builds/group/project", &paths, &[], None)
}
