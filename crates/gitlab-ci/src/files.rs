//! The files of a project.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open, openat, readlinkat};
use rustix::io::Errno;

/// The maximum size of a file, in bytes. At most one byte more is read.
pub const MAX_FILE: usize = 16 << 20;

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
    /// Replaces bytes that are not UTF-8, as GitLab does. The linter then reports their position.
    fn read(&self, path: &str) -> Option<String> {
        let bytes = read_below(&self.0, path)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn list(&self) -> Vec<String> {
        walk(&self.0)
    }
}

/// Whether a path, relative to a directory, leads to something below it: no part is empty, `.` or `..`.
pub fn is_below(path: &str) -> bool {
    !path.split('/').any(|name| matches!(name, "" | "." | ".."))
}

/// The content of a file below a directory as git would store it: the content of a link is the path that it points to. `None` for a
/// path that leads out of the directory or through a link, and for anything but a file: the project's author chooses the path, and it
/// may name a FIFO or a device.
fn read_below(root: &Path, path: &str) -> Option<Vec<u8>> {
    if !is_below(path) {
        return None;
    }
    let mut names: Vec<&str> = path.split('/').collect();
    let last = names.pop()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut dir = open(root, flags | OFlags::DIRECTORY, Mode::empty()).ok()?;
    for name in names {
        dir = openat(&dir, name, flags | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).ok()?;
    }
    match openat(&dir, last, flags | OFlags::NOFOLLOW | OFlags::NONBLOCK, Mode::empty()) {
        Ok(file) => {
            let file = File::from(file);
            let mut content = Vec::new();
            let is_file = file.metadata().is_ok_and(|found| found.is_file());
            let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
            (is_file && file.take(limit).read_to_end(&mut content).is_ok()).then_some(content)
        }
        Err(Errno::LOOP) => readlinkat(&dir, last, Vec::new()).ok().map(CString::into_bytes),
        Err(_) => None,
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rstest::rstest;
    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    #[rstest]
    #[case::a_file("project/dir/a.yml", None)]
    #[case::in_a_directory("dir/a.yml", Some("a"))]
    #[case::a_parent("../outside.yml", None)]
    #[case::a_parent_in_the_middle("dir/../../outside.yml", None)]
    #[case::absolute("/etc/hostname", None)]
    #[case::the_directory_itself(".", None)]
    #[case::a_directory("dir", None)]
    #[case::a_link("link.yml", Some("../outside.yml"))]
    #[case::through_a_link("up/outside.yml", None)]
    #[case::a_device("zero.yml", Some("/dev/zero"))]
    #[case::a_fifo("fifo.yml", None)]
    fn files_are_read_below_the_directory_as_git_stores_them(#[case] path: &str, #[case] expected: Option<&str>) {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("project");
        fs::create_dir_all(root.join("dir")).unwrap();
        fs::write(parent.path().join("outside.yml"), "secret").unwrap();
        fs::write(root.join("dir/a.yml"), "a").unwrap();
        symlink("../outside.yml", root.join("link.yml")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("/dev/zero", root.join("zero.yml")).unwrap();
        mknodat(CWD, root.join("fifo.yml"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(Directory(root).read(path).as_deref(), expected);
    }

    #[test]
    fn a_large_file_is_not_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("a.yml")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(Directory(dir.path().to_owned()).read("a.yml").unwrap().len(), MAX_FILE + 1);
    }
}
