//! The files of a project.

use std::path::{Path, PathBuf};

/// The files of a project at one commit, or as they lie there.
pub trait Files {
    /// The text of a file, by its path from the project's folder.
    fn read(&self, path: &str) -> Option<String>;
    /// The paths of all files.
    fn list(&self) -> Vec<String>;
}

/// All files below a directory, whether git knows them or not.
#[derive(Clone, Debug)]
pub struct Directory(pub PathBuf);

impl Files for Directory {
    /// Bytes that are not UTF-8 are replaced, as GitLab does: the linter then reports where they are.
    fn read(&self, path: &str) -> Option<String> {
        let bytes = std::fs::read(self.0.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn list(&self) -> Vec<String> {
        walk(&self.0)
    }
}

/// The paths of all files below a directory, in order. Links to directories are not followed: they may lead in a circle.
fn walk(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                files.push(relative.to_owned());
            }
        }
    }
    files.sort();
    files
}
