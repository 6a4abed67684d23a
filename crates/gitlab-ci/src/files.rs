//! The files of a project.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files of a project, of a commit or of a working directory.
pub trait Files {
    /// Returns the text of a file, or `None` if the file does not exist. `path` is relative to the project's root
    /// directory.
    fn read(&self, path: &str) -> Option<String>;
    /// Returns the paths of all files, relative to the project's root directory.
    fn list(&self) -> Vec<String>;
}

/// Files in memory: their texts, by path.
impl<Name: Borrow<str> + Ord, Text: AsRef<str>> Files for BTreeMap<Name, Text> {
    fn read(&self, path: &str) -> Option<String> {
        self.get(path).map(|text| text.as_ref().to_owned())
    }

    fn list(&self) -> Vec<String> {
        self.keys().map(|path| path.borrow().to_owned()).collect()
    }
}

/// All files below a directory, tracked by git or not.
#[derive(Clone, Debug)]
pub struct Directory(pub PathBuf);

impl Files for Directory {
    /// Replaces bytes that are not UTF-8, as GitLab does. The linter then reports their place.
    fn read(&self, path: &str) -> Option<String> {
        let bytes = std::fs::read(self.0.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn list(&self) -> Vec<String> {
        walk(&self.0)
    }
}

/// The sorted paths of all files below a directory. Symbolic links to directories are not followed, because they may
/// form a cycle.
fn walk(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(path);
            } else if let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                files.push(relative.to_owned());
            }
        }
    }
    files.sort();
    files
}
