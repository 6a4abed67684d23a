//! Builds images from recipes.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::build_log::BuildLog;
use super::catalog::{Builder, Image};
use super::diagnose::{Diagnosis, diagnose};
use crate::environment::command;
use crate::environment::command::CommandError;
use crate::environment::package_sources::{DEBIAN_MIRROR, PackageSources};
use crate::record::event::BuildProgress;

/// The label with the hash of the recipe that an image was built from.
pub(super) const LABEL: &str = "io.gitlab-ci-k8s-demo.recipe";

/// Time limit for a build. The longest one compiles Kubernetes on a slow machine.
const TIMEOUT: Duration = Duration::from_hours(1);

/// Interval between progress reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The variables that configure proxies. Docker passes them to builds, and keeps them out of the image and its history.
/// <https://docs.docker.com/build/building/variables/#proxy-arguments>
const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"];

/// An image could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No Debian mirror is configured, which every recipe needs.
    #[error("apt on this machine has no Debian mirror\nnext step: set {DEBIAN_MIRROR} to the address of one")]
    NoMirror,
    /// The build failed with a known cause.
    #[error("{}\nnext step: {}", .diagnosis.cause, .diagnosis.next_step)]
    Diagnosed {
        /// The cause according to the log, and the next step.
        diagnosis: Diagnosis,
        /// The failed command.
        #[source]
        source: CommandError,
    },
    /// The build failed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// The parameters of a build.
pub(super) struct Build<'build> {
    pub(super) image: &'build Image,
    /// The reference of the resulting image.
    pub(super) reference: &'build str,
    /// The hash of the recipe.
    pub(super) hash: &'build str,
    /// The directory with all recipes.
    pub(super) recipes: &'build Path,
    /// Build arguments for base images, with the references of these images.
    pub(super) bases: &'build [(&'build str, String)],
    /// The log file.
    pub(super) log: &'build Path,
}

impl Build<'_> {
    /// Builds the image, and calls `report` periodically. `sources` are the package registries of this machine.
    pub(super) async fn run(&self, sources: &PackageSources, report: impl Fn(BuildProgress)) -> Result<(), BuildError> {
        if sources.debian_mirror().is_none() {
            return Err(BuildError::NoMirror);
        }
        let started = Instant::now();
        let build = command::run_logged(self.command(sources), self.log, TIMEOUT);
        tokio::pin!(build);
        let mut interval = tokio::time::interval(REPORT_INTERVAL);
        interval.reset();
        let mut open_log = None;
        let result = loop {
            tokio::select! {
                result = &mut build => break result,
                _ = interval.tick() => {
                    open_log = open_log.or_else(|| BuildLog::open(self.log));
                    let Some(log) = &mut open_log else { continue };
                    let compiled = log.read();
                    let duration = started.elapsed();
                    let remaining = log.remaining(Duration::from_secs(self.image.recipe.seconds), duration);
                    report(BuildProgress { compiled, duration, remaining, is_waiting: log.is_waiting() });
                }
            }
        };
        result.map_err(|source| {
            let log = std::fs::read(self.log).unwrap_or_default();
            match diagnose(&String::from_utf8_lossy(&log)) {
                Some(diagnosis) => BuildError::Diagnosed { diagnosis, source },
                None => source.into(),
            }
        })
    }

    fn command(&self, sources: &PackageSources) -> Command {
        let directory = self.recipes.join(self.image.recipe.dir);
        let label = format!("{LABEL}={}", self.hash);
        let mut command = match self.image.recipe.builder {
            Builder::Suite(suite) => {
                let mut command = Command::new(directory.join("build"));
                command.args([suite, self.reference]).env("LABELS", label);
                command
            }
            Builder::Dockerfile { arguments, .. } => {
                let mut command = Command::new("docker");
                // Force BuildKit on engines whose default is still the legacy builder.
                command.env("DOCKER_BUILDKIT", "1").args(["build", "--progress", "plain", "--label", &label]);
                for (argument, base) in self.bases {
                    command.arg("--build-arg").arg(format!("{argument}={base}"));
                }
                for (argument, value) in arguments {
                    command.arg("--build-arg").arg(format!("{argument}={value}"));
                }
                // Only the name: Docker reads the value from the environment, which other users cannot read.
                for proxy in PROXIES.iter().flat_map(|name| [(*name).to_owned(), name.to_lowercase()]) {
                    if std::env::var_os(&proxy).is_some_and(|value| !value.is_empty()) {
                        command.args(["--build-arg", &proxy]);
                    }
                }
                for (id, variable) in SECRETS {
                    command.arg("--secret").arg(format!("id={id},env={variable}"));
                }
                if let Some(netrc) = std::env::home_dir().map(|home| home.join(".netrc")).filter(|file| file.is_file())
                {
                    command.arg("--secret").arg(format!("id=netrc,src={}", netrc.display()));
                }
                command.args(["--tag", self.reference]).arg(directory);
                command
            }
        };
        for ((_, variable), value) in
            SECRETS.iter().zip([sources.apt_mirrors(), sources.apt_conf(), sources.go_env(), sources.pip_conf()])
        {
            command.env(variable, value);
        }
        command
    }
}

/// The IDs of build secrets with this machine's package settings, and the variables that pass them to Docker. They are secrets
/// instead of build arguments because an address may contain a password.
const SECRETS: [(&str, &str); 4] = [
    ("apt-mirrors", "E2E_APT_MIRRORS"),
    ("apt-conf", "E2E_APT_CONF"),
    ("go-env", "E2E_GO_ENV"),
    ("pip-conf", "E2E_PIP_CONF"),
];

#[cfg(test)]
mod tests {
    use super::super::catalog::find;
    use super::*;
    use crate::environment::package_sources::tests::read;

    /// Every user of a machine can read the command lines of all programs, and an image stores its build arguments.
    #[test]
    fn command_lines_contain_no_addresses_or_passwords() {
        let sources = read(
            &[
                ("GOPROXY", "https://me:p4ssw0rd@go.example"),
                ("PIP_INDEX_URL", "https://me:p4ssw0rd@pip.example/simple"),
            ],
            &[],
            (
                "http://me:p4ssw0rd@debian.example/debian\n",
                "Acquire::http::Proxy \"http://me:p4ssw0rd@proxy.example\";\n",
            ),
        );
        for (name, bases) in [("debian-forky", Vec::new()), ("registry", vec![("GO", "go:1".to_owned())])] {
            let build = Build {
                image: find(name).unwrap(),
                reference: "it:1",
                hash: "0123456789ab",
                recipes: Path::new("images"),
                bases: &bases,
                log: Path::new("log"),
            };
            let command = build.command(&sources);
            let line: Vec<_> = command.as_std().get_args().map(|word| word.to_string_lossy().into_owned()).collect();
            assert!(!line.iter().any(|word| word.contains("p4ssw0rd") || word.contains("example")), "{line:?}");
            let environment = format!("{:?}", command.as_std().get_envs().collect::<Vec<_>>());
            for address in ["go.example", "pip.example", "debian.example", "proxy.example"] {
                assert!(environment.contains(address), "{name} does not get {address}");
            }
        }
    }
}
