//! The files of a project: of a commit, or as they lie in a folder.

use std::path::{Path, PathBuf};

use super::{Repository, git};
use crate::pipeline::document::load::Files;

/// The files of a commit.
#[derive(Clone, Debug)]
pub struct Tree<'repository> {
    pub(super) repository: &'repository Repository,
    pub(super) sha: String,
}

impl Files for Tree<'_> {
    fn read(&self, path: &str) -> Option<String> {
        let object = self.repository.object(&format!("{}:{path}", self.sha))?;
        (object.kind == "blob").then(|| object.text())
    }

    fn list(&self) -> Vec<String> {
        let arguments = ["ls-tree", "-r", "--name-only", "-z", &self.sha];
        let text = git(self.repository.folder(), &arguments).unwrap_or_default();
        text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
    }
}

/// The files as they lie in a folder: in a repository the tracked ones, and new ones that are not ignored.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> Option<String> {
        // As from a commit: what is no UTF-8 is seen where it stands, and the file is there.
        let bytes = std::fs::read(self.0.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn list(&self) -> Vec<String> {
        let tracked = git(&self.0, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let Ok(text) = tracked else { return walk(&self.0) };
        let paths = text.split('\0').filter(|path| !path.is_empty());
        paths.filter(|path| self.0.join(path).exists()).map(str::to_owned).collect()
    }
}

/// Every file below a folder that is in no repository.
fn walk(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            // A link to a folder may lead in a circle.
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
