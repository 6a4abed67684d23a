//! What is known while a file and its includes are read.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::Diagnostics;
use crate::files::Directory;
use crate::files::Files;
use crate::source::Sources;
use crate::yaml::node::Node;

/// What includes depend on beside the files.
pub struct Environment<'environment> {
    /// The project's files.
    pub files: &'environment dyn Files,
    /// Puts variables into paths: those of the project and of the pipeline, never those of the file.
    pub expand: &'environment dyn Fn(&str) -> String,
    /// Whether an include's `rules` admit it.
    pub admits: &'environment dyn Fn(&Node, &mut Diagnostics) -> bool,
    /// Folders that stand for what is elsewhere: `project/path`, `https://host/file.yml`, `template`, `component`.
    pub folders: &'environment BTreeMap<String, PathBuf>,
    /// Opens such a folder: what a project or a component includes as `local` is found there.
    pub open: &'environment dyn Fn(&Path) -> Arc<dyn Files>,
    /// The pipeline's own inputs, as texts.
    pub inputs: &'environment [(String, String)],
}

/// What stands in for other projects where nothing does.
static NO_DIRECTORIES: BTreeMap<String, PathBuf> = BTreeMap::new();

impl<'environment> Environment<'environment> {
    /// A project of these files: no variables in paths, every include is admitted, and no directory stands in for another project.
    pub fn new(files: &'environment dyn Files) -> Self {
        Self {
            files,
            expand: &str::to_owned,
            admits: &|_, _| true,
            folders: &NO_DIRECTORIES,
            open: &|directory| Arc::new(Directory(directory.to_owned())),
            inputs: &[],
        }
    }
}

pub(super) struct Loader<'loading, 'environment> {
    pub(super) environment: &'loading Environment<'environment>,
    pub(super) sources: &'loading mut Sources,
    pub(super) diagnostics: &'loading mut Diagnostics,
    /// How many files were included so far.
    pub(super) count: usize,
    /// That of all texts and trees so far.
    pub(super) size: usize,
    /// The files that were included as `local`: the folder of their project, if it is another one, and their path.
    pub(super) locals: HashSet<(Option<PathBuf>, String)>,
    /// Whether there is too much of something, and nothing more is included.
    pub(super) is_over: bool,
}

/// Whose files a file includes as `local`.
#[derive(Clone)]
pub(super) enum Home {
    /// The project's own.
    Own,
    /// Those of another project, in the folder that stands for it. `expand_context_attrs` of
    /// `lib/gitlab/ci/config/external/file/project.rb`
    Elsewhere {
        /// That folder.
        root: PathBuf,
        /// Its files.
        files: Arc<dyn Files>,
    },
}
