//! Reads a pipeline file into a configuration, with all errors and warnings.

mod admits;

pub use self::admits::{Conditions, admits};
use super::config::check::check;
use super::config::extent;
use super::config::root::{self, Configuration};
use super::diagnostic::Diagnostics;
use super::source::Sources;
use crate::include::{Environment, Loaded, load};
use crate::yaml::{extends, reference};

/// The result of reading a pipeline file.
#[derive(Debug, Default)]
pub struct Lint {
    /// Every text that was read: the file and its includes.
    pub sources: Sources,
    /// All errors and warnings.
    pub diagnostics: Diagnostics,
    /// The content of the file, as far as it could be read. Plan it only if there are no errors. `None` if the file is
    /// missing, not valid YAML or not a hash, or if an included file is missing.
    pub configuration: Option<Configuration>,
    /// Whether an included file is missing, which has been reported. The rest is not checked then.
    pub lacks_files: bool,
}

/// Reads the file `path` of a project, and validates it in GitLab's order. Continues after a mistake where possible; all
/// mistakes are part of the result.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use gitlab_ci::include::Environment;
/// use gitlab_ci::lint::lint;
///
/// let files = BTreeMap::from([(".gitlab-ci.yml", "build:\n  script: make\n  tag: [linux]\n")]);
/// let lint = lint(".gitlab-ci.yml", &Environment::new(&files));
/// let error = lint.diagnostics.sorted()[0];
/// assert_eq!(error.message, "jobs:build config contains unknown keys: tag");
/// assert_eq!(error.help.as_deref(), Some("did you mean `tags`?"));
/// assert_eq!(lint.sources.location(error.span).to_string(), ".gitlab-ci.yml:3:3");
/// ```
pub fn lint(path: &str, environment: &Environment<'_>) -> Lint {
    let mut lint = Lint::default();
    lint.diagnostics.imitate(environment.version);
    let loaded = load(path, environment, &mut lint.sources, &mut lint.diagnostics);
    let Some(Loaded { root, lacks_files }) = loaded else { return lint };
    // Jobs, parents and references may be in the missing file, so errors about them would mislead.
    // `External::Processor#perform`
    lint.lacks_files = lacks_files;
    if lacks_files {
        return lint;
    }
    let Some(mapping) = root.mapping() else { return lint };
    let before = lint.diagnostics.count();
    let extended = extends::resolve(mapping, &mut lint.diagnostics);
    // A job with `extends` may lack keywords because its parent was not found, which has been reported.
    let has_missing = lint.diagnostics.count() > before;
    let may_lack = |name: &str| has_missing && mapping.get(name).is_some_and(|job| job.value.get("extends").is_some());
    let resolved = reference::resolve(&extended, &mut lint.diagnostics);
    let configuration = root::read(&resolved, root.span, &may_lack, &mut lint.diagnostics);
    // Reports a configuration that exceeds the memory limit, and skips the checks between its jobs, which take quadratic time.
    if extent::check(&configuration, &mut lint.diagnostics) {
        check(&configuration, &mut lint.diagnostics);
    }
    lint.configuration = Some(configuration);
    lint
}

#[cfg(test)]
mod tests;
