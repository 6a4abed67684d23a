//! `runner.toml`: how the runner is set up, in the words of GitLab Runner's own `config.toml`, of which it may be a copy.
//! <https://docs.gitlab.com/runner/configuration/advanced-configuration/>
//!
//! A key that means something to jobs and is not replayed is told of, one that nobody knows is an error: a setting that is
//! silently without effect would make a pipeline pass here and fail there. What only a runner and its GitLab have to say to
//! each other (`url`, `token`, `check_interval`, …) is skipped.

mod keys;
mod reader;
mod settings;
mod units;

#[cfg(test)]
mod tests;

use std::path::Path;

use gitlab_ci::variables::collection::Origin;
use gitlab_ci::variables::collection::Variable;

pub use self::units::{Device, Mount};
pub use crate::config::settings::CERTIFICATES;
pub use crate::config::settings::DockerConfig;
pub use crate::config::settings::ExecutorName;
pub use crate::config::settings::RunnerConfig;
pub use crate::config::settings::RunnerConfigError;
pub use crate::config::settings::ServiceConfig;

impl RunnerConfig {
    /// Reads a file. What it names is looked for beside it.
    ///
    /// # Errors
    /// When there is no such file, or something in it is wrong: all that is, each with its place.
    pub fn read(path: &Path) -> Result<Self, RunnerConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| RunnerConfigError(vec![format!("{}: {error}", path.display())]))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&path.to_string_lossy(), &text, &|name| std::fs::read_to_string(folder.join(name)))
    }

    /// Reads a text that errors call `name`; `file` reads what it names.
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

    /// The variables that the runner gives to every job: `environment`, and `CI_SERVER_TLS_CA_FILE` where there are
    /// certificates. `common/build.go`, `GetAllVariables`
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
