//! The runner configuration, in the format of GitLab Runner's `config.toml`.
//! <https://docs.gitlab.com/runner/configuration/advanced-configuration/>
//!
//! A key that affects jobs but is not supported here causes a warning, and an unknown key is an error: a setting that silently has no
//! effect could make a pipeline pass here and fail on the real runner. Keys that only concern the connection between a runner and
//! GitLab (`url`, `token`, `check_interval`, …) are skipped.

mod keys;
pub mod kubernetes;
mod kubernetes_keys;
pub mod quantity;
mod reader;
mod service;
mod service_keys;
mod settings;
mod units;

#[cfg(test)]
mod tests;

use std::path::Path;

use gitlab_ci::variables::collection::{Origin, Variable};

pub use self::service::ServiceConfig;
pub use self::units::{Device, Mount};
pub use crate::config::settings::{CERTIFICATES, DockerConfig, ExecutorName, RunnerConfig, RunnerConfigError};

impl RunnerConfig {
    /// Reads a configuration file. Relative paths in it are relative to its directory.
    ///
    /// # Errors
    /// The file cannot be read, or it is invalid: the error lists every mistake with its line and column.
    ///
    /// # Examples
    ///
    /// ```
    /// use gitlab_runner::config::{ExecutorName, RunnerConfig};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("config.toml");
    /// std::fs::write(&path, "concurrent = 4\n[[runners]]\nexecutor = \"shell\"\nlimit = 2\n")?;
    ///
    /// let config = RunnerConfig::read(&path)?;
    /// assert_eq!(config.executor, Some(ExecutorName::Shell));
    /// assert!(config.warnings[0].ends_with("config.toml:4:1: `limit` in [[runners]] is not supported and is ignored"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(path: &Path) -> Result<Self, RunnerConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| RunnerConfigError(vec![format!("{}: {error}", path.display())]))?;
        let dir = path.parent().unwrap_or(Path::new(""));
        Self::parse(&path.to_string_lossy(), &text, &|name| std::fs::read_to_string(dir.join(name)))
    }

    /// Reads the text of a configuration file. Errors call it `name`; `file` reads the files that it names.
    fn parse(
        name: &str,
        text: &str,
        file: &dyn Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, RunnerConfigError> {
        let mut reader = reader::Reader::new(name, text);
        let config = keys::read(text, &mut reader, file);
        let (errors, warnings) = reader.finish();
        if errors.is_empty() { Ok(Self { warnings, ..config }) } else { Err(RunnerConfigError(errors)) }
    }

    /// The variables of every job: those of `environment`, and the file variable `CI_SERVER_TLS_CA_FILE` if there are certificates.
    /// `common/build.go`, `GetAllVariables`
    pub fn variables(&self) -> Vec<Variable> {
        let environment = self.environment.iter().map(|(key, value)| Variable::new(key, value, Origin::Predefined));
        let certificates = self.certificates.iter().map(|certificates| Variable {
            file: true,
            raw: true,
            ..Variable::new("CI_SERVER_TLS_CA_FILE", certificates, Origin::Persisted)
        });
        certificates.chain(environment).collect()
    }
}
