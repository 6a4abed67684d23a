//! The input of a plan: the pipeline file, its includes, and the variables of the project and of the pipeline.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::changes::Changes;
use crate::mask::Masker;
use crate::project::git::WorkingTree;
use gitlab_ci::diagnostic::Diagnostics;
use gitlab_ci::files::Files;
use gitlab_ci::gitlab_version::GitlabVersion;
use gitlab_ci::glob;
use gitlab_ci::include::Environment;
use gitlab_ci::lint::{Conditions, Lint, admits, lint};
use gitlab_ci::plan::job_variables::ProjectVariables;
use gitlab_ci::variables::collection::{Collection, Origin, Variable};
use gitlab_ci::variables::settings;
use gitlab_ci::variables::settings::Setting;
use gitlab_ci::yaml::node::Node;

/// The pipeline file, local replacements for its remote includes, and the variables of the project and of the pipeline.
#[derive(Debug)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Input {
    /// Project directory
    #[cfg_attr(feature = "clap", arg(short = 'C', long = "directory", default_value = ".", value_name = "DIR"))]
    pub directory: PathBuf,

    /// Pipeline file, relative to the project directory
    #[cfg_attr(feature = "clap", arg(long, default_value = ".gitlab-ci.yml", value_name = "FILE"))]
    pub file: String,

    /// Local directory for includes from elsewhere: `group/project=DIR`, `group/project@REF=DIR`, `template=DIR`, `https://host/=DIR`
    #[cfg_attr(feature = "clap", arg(long = "include", value_name = "SOURCE=DIR", value_parser = pair))]
    pub includes: Vec<(String, String)>,

    /// Pipeline input, for a file with `spec:inputs`
    #[cfg_attr(feature = "clap", arg(long = "input", value_name = "NAME=VALUE", value_parser = pair))]
    pub inputs: Vec<(String, String)>,

    /// Version of GitLab to imitate, from 17.11 to 19.x (default: 18.11; newer keywords are then warnings instead of errors)
    #[cfg_attr(feature = "clap", arg(long = "gitlab", value_name = "VERSION"))]
    pub gitlab: Option<GitlabVersion>,

    /// Project CI/CD variables, in the JSON format of GitLab's API and of `glab variable export --output json`; `-` reads
    /// standard input
    #[cfg_attr(feature = "clap", arg(long = "variables", value_name = "FILE"))]
    pub settings: Option<PathBuf>,

    /// Pipeline variable
    #[cfg_attr(feature = "clap", arg(long = "var", alias = "variable", value_name = "KEY=VALUE", value_parser = variable))]
    pub variables: Vec<(String, String)>,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("."),
            file: ".gitlab-ci.yml".to_owned(),
            includes: Vec::new(),
            inputs: Vec::new(),
            gitlab: None,
            settings: None,
            variables: Vec::new(),
        }
    }
}

#[cfg(any(test, feature = "clap"))]
fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected a name and a value separated by `=`".to_owned())
}

/// A variable from `KEY=VALUE`, with GitLab's rule for names: `app/models/concerns/ci/has_variable.rb`.
#[cfg(any(test, feature = "clap"))]
fn variable(text: &str) -> Result<(String, String), String> {
    let (key, value) = pair(text)?;
    if key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok((key, value));
    }
    Err(format!("`{key}` can contain only letters, digits and '_'"))
}

impl Input {
    /// The variables of the project and of the pipeline, which do not come from the pipeline file.
    ///
    /// # Errors
    /// The file with the project variables cannot be read or is invalid. The message has the file's name and the position.
    pub fn project_variables(&self) -> Result<ProjectVariables, String> {
        let settings = self.settings.as_deref().map(read).transpose()?.unwrap_or_default();
        let own = self.variables.iter().map(|(key, value)| Variable::new(key, value, Origin::Pipeline));
        Ok(ProjectVariables { settings, pipeline: own.collect() })
    }

    /// Reads and checks the pipeline file among `files`.
    pub fn lint(&self, files: &dyn Files, variables: &Collection, changes: &Changes<'_>) -> Lint {
        let directories: BTreeMap<String, PathBuf> =
            self.includes.iter().map(|(source, dir)| (source.clone(), PathBuf::from(dir))).collect();
        let paths = OnceCell::new();
        let exists = |patterns: &[String]| glob::any_exists(patterns, paths.get_or_init(|| files.list()));
        let conditions = Conditions {
            variables,
            expand: &|text| variables.expand_existing(text).unwrap_or_else(|_| text.to_owned()),
            exists: &exists,
            changed: &|patterns| changes.any(patterns),
            compare: &|name| changes.against(name),
        };
        let environment = Environment {
            files,
            // Expanded once, with empty values for unknown variables: `lib/gitlab/ci/config/external/mapper/variables_expander.rb`.
            expand: &|text| variables.expand(text).unwrap_or_else(|_| text.to_owned()),
            admits: &|rules: &Node, diagnostics: &mut Diagnostics| admits(rules, &conditions, diagnostics),
            directories: &directories,
            open: &|directory| Arc::new(WorkingTree(directory.to_owned())),
            inputs: &self.inputs,
            version: self.gitlab,
        };
        lint(&self.file, &environment)
    }
}

/// Reads a file with project variables, or standard input.
fn read(file: &Path) -> Result<Vec<Setting>, String> {
    let is_input = file == Path::new("-");
    let text = if is_input { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(file) };
    let name = if is_input { "standard input".into() } else { file.to_string_lossy() };
    let help = if name.contains('=') { "; `--var KEY=VALUE` sets a single variable" } else { "" };
    let text = text.map_err(|error| format!("{name}: {error}{help}"))?;
    settings::read(&text).map_err(|error| format!("{name}:{error}"))
}

/// Masks the values of masked variables in a text, both in plain form and as JSON encodes them.
pub fn without_secrets(project_variables: &ProjectVariables, text: &str) -> String {
    let variables =
        project_variables.settings.iter().map(|setting| &setting.variable).chain(&project_variables.pipeline);
    let secrets = variables.filter(|variable| variable.masked).flat_map(|variable| {
        let quoted = serde_json::to_string(&variable.value).unwrap_or_default();
        let inner = quoted.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or_default();
        [inner.to_owned(), variable.value.to_string()]
    });
    let mut masker = Masker::new(secrets.filter(|secret| !secret.is_empty()));
    let mut output = Vec::with_capacity(text.len());
    masker.push(text.as_bytes(), &mut output);
    masker.finish(&mut output);
    String::from_utf8_lossy(&output).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_names_follow_gitlabs_rule() {
        assert_eq!(variable("A_1=b=c"), Ok(("A_1".to_owned(), "b=c".to_owned())));
        for wrong in ["A-B=1", "A B=1", "Ä=1", "=1", "A"] {
            assert!(variable(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn masked_values_are_removed_in_both_forms() {
        let variable = Variable { masked: true, ..Variable::new("A", "se\"cret", Origin::Project) };
        let setting = Setting { variable, scope: "*".to_owned(), protected: false, hidden: false };
        let project_variables =
            ProjectVariables { settings: vec![setting], pipeline: vec![Variable::new("B", "plain", Origin::Pipeline)] };
        let text = r#"of se"cret: {"a": "se\"cret"} and plain"#;
        assert_eq!(without_secrets(&project_variables, text), r#"of [MASKED]: {"a": "[MASKED]"} and plain"#);
    }
}
