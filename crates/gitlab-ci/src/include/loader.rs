//! The state shared while a file and its includes are read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::Diagnostics;
use crate::files::{Directory, Files};
use crate::gitlab_version::GitlabVersion;
use crate::source::Sources;
use crate::yaml::node::Node;

/// The files, variables and inputs of a project, which decide what a pipeline file includes.
pub struct Environment<'environment> {
    /// The project's files.
    pub files: &'environment dyn Files,
    /// Expands the variables in paths of includes. Only variables of the project and the pipeline are available there,
    /// not those of the file.
    pub expand: &'environment dyn Fn(&str) -> String,
    /// Whether the `rules` of an include admit it. See [`admits`](crate::lint::admits).
    pub admits: &'environment dyn Fn(&Node, &mut Diagnostics) -> bool,
    /// Directories that replace projects, addresses or whole kinds of includes. Keys are `project/path`, `project/path@ref`,
    /// `https://host/file.yml`, `template`, `component` and the like.
    pub directories: &'environment BTreeMap<String, PathBuf>,
    /// Opens such a directory. `include:local` in the files of a project or component is looked up there.
    pub open: &'environment dyn Fn(&Path) -> Arc<dyn Files>,
    /// The inputs of the pipeline itself, as names and values.
    pub inputs: &'environment [(String, String)],
    /// The version of GitLab to imitate. Without one, words that are newer than the default version are only warnings.
    pub version: Option<GitlabVersion>,
}

/// The default: no directory replaces another project.
static NO_DIRECTORIES: BTreeMap<String, PathBuf> = BTreeMap::new();

impl<'environment> Environment<'environment> {
    /// Creates an environment with these files and default settings: variables in paths are not expanded, every include
    /// is admitted, no directory replaces another project, and the pipeline has no inputs.
    pub fn new(files: &'environment dyn Files) -> Self {
        Self {
            files,
            expand: &str::to_owned,
            admits: &|_, _| true,
            directories: &NO_DIRECTORIES,
            open: &|directory| Arc::new(Directory(directory.to_owned())),
            inputs: &[],
            version: None,
        }
    }
}

pub(super) struct Loader<'loading, 'environment> {
    pub(super) environment: &'loading Environment<'environment>,
    pub(super) sources: &'loading mut Sources,
    pub(super) diagnostics: &'loading mut Diagnostics,
    /// The number of files included so far.
    pub(super) count: usize,
    /// The size of all texts and trees so far, in bytes.
    pub(super) size: usize,
    /// The files that were included with `local`: the root directory of the file's project (`None` for this project),
    /// and the path of the file.
    pub(super) locals: HashSet<(Option<PathBuf>, String)>,
    /// The directories that replace a project at any ref, with the first ref of the project that was included from them.
    pub(super) first_refs: HashMap<(PathBuf, String), Option<String>>,
    /// Whether a limit was exceeded. Nothing is included after that.
    pub(super) is_over: bool,
    /// Whether an included file is missing or cannot be read.
    pub(super) lacks_files: bool,
}

/// The project in which the `include:local` entries of a file are looked up.
#[derive(Clone)]
pub(super) enum Home {
    /// This project.
    Own,
    /// Another project, in the directory that replaces it. `expand_context_attrs` of
    /// `lib/gitlab/ci/config/external/file/project.rb`
    Elsewhere {
        /// The directory.
        root: PathBuf,
        files: Arc<dyn Files>,
    },
}
