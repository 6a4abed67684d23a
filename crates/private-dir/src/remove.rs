//! Removes trees of directories.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::ffi::CString;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, fchmod, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

/// Removes a directory, including read-only directories in it, such as those in Go's module cache. Links are removed, not followed.
///
/// A job decides how deep the tree is. Each subdirectory is moved to the top before its parent is removed, so the depth is limited
/// neither by the stack, nor by the number of open files, nor by the length of a path.
///
/// # Errors
/// The first error. Everything that can be removed is removed. A directory that cannot be read stays; it may have been moved to the top of
/// the tree.
pub fn remove(dir: &Path) -> io::Result<()> {
    remove_at(CWD, dir)
}

/// Removes the directory `name` of `parent`. See [`remove()`].
pub(crate) fn remove_at(parent: impl AsFd + Copy, name: impl Arg + Copy) -> io::Result<()> {
    let top = open(parent, name)?;
    let mut first_error = None;
    let mut waiting = Vec::new();
    for (name, is_dir) in entries(&top)? {
        if is_dir {
            waiting.push(name);
        } else {
            keep_error(unlinkat(&top, &name, AtFlags::empty()), &mut first_error);
        }
    }
    while let Some(name) = waiting.pop() {
        let emptied = empty(&top, &name, &mut waiting, &mut first_error);
        keep_error(emptied, &mut first_error);
        keep_error(unlinkat(&top, &name, AtFlags::REMOVEDIR), &mut first_error);
    }
    match first_error {
        Some(error) => Err(error.into()),
        None => Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?),
    }
}

/// Removes a file or a link, if it exists.
///
/// # Errors
/// It cannot be removed, or is a directory.
pub fn remove_file_if_exists(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a file, link or directory, if it exists.
///
/// # Errors
/// It cannot be removed.
pub fn remove_if_exists(path: &Path) -> io::Result<()> {
    use io::ErrorKind::{NotADirectory, NotFound};
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => remove(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        // A parent of `path` may be a file.
        Err(error) if !matches!(error.kind(), NotFound | NotADirectory) => Err(error),
        _ => Ok(()),
    }
}

/// Removes the entries of the directory `name` of `top`, except for subdirectories, which it moves to `top`.
fn empty(
    top: &OwnedFd,
    name: &CString,
    waiting: &mut Vec<CString>,
    first_error: &mut Option<Errno>,
) -> rustix::io::Result<()> {
    let dir = open(top, name)?;
    for (name, is_dir) in entries(&dir)? {
        let removed = if is_dir { move_up(&dir, &name, top, waiting) } else { unlinkat(&dir, &name, AtFlags::empty()) };
        keep_error(removed, first_error);
    }
    Ok(())
}

/// Moves a subdirectory to `top`, and adds its new name to `waiting`.
fn move_up(dir: &OwnedFd, name: &CString, top: &OwnedFd, waiting: &mut Vec<CString>) -> rustix::io::Result<()> {
    // Moving a directory changes its entry `..`, which requires write permission.
    drop(open(dir, name)?);
    loop {
        let new = format!(".removed-{:016x}", fastrand::u64(..));
        match renameat(dir, name, top, &new) {
            Err(Errno::EXIST | Errno::NOTEMPTY) => {}
            Err(error) => return Err(error),
            Ok(()) => {
                waiting.push(CString::new(new).map_err(|_| Errno::INVAL)?);
                return Ok(());
            }
        }
    }
}

/// Opens a directory, and lets its owner read and change it.
fn open(parent: impl AsFd, name: impl Arg + Copy) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match openat(&parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            make_accessible(&parent, name)?;
            openat(&parent, name, flags, Mode::empty())?
        }
        opened => opened?,
    };
    // Fails for directories of other users; the removal of their entries then reports the error.
    let _ = fchmod(&dir, Mode::RWXU);
    Ok(dir)
}

/// Lets the owner of a directory read and change it. `chmodat` by name would follow a link that a job has put there.
#[cfg(target_os = "linux")]
fn make_accessible(parent: impl AsFd, name: impl Arg) -> rustix::io::Result<()> {
    use std::os::fd::AsRawFd;

    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat(parent, name, flags, Mode::empty())?;
    // `fchmod` refuses a descriptor that was opened with `O_PATH`: <https://man7.org/linux/man-pages/man2/open.2.html>
    chmodat(CWD, format!("/proc/self/fd/{}", dir.as_raw_fd()), Mode::RWXU, AtFlags::empty())
}

#[cfg(not(target_os = "linux"))]
fn make_accessible(parent: impl AsFd, name: impl Arg) -> rustix::io::Result<()> {
    chmodat(parent, name, Mode::RWXU, AtFlags::SYMLINK_NOFOLLOW)
}

/// The entries of a directory, and whether each is a directory.
fn entries(dir: &OwnedFd) -> rustix::io::Result<Vec<(CString, bool)>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode),
            known => known,
        };
        entries.push((name.to_owned(), kind == FileType::Directory));
    }
    Ok(entries)
}

fn keep_error(result: rustix::io::Result<()>, first: &mut Option<Errno>) {
    match result {
        // Another process has removed it.
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => {
            first.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::mkdirat;

    use super::*;

    #[test]
    fn a_tree_of_any_depth_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("deep");
        fs::create_dir(&dir).unwrap();
        let mut at = open(CWD, &dir).unwrap();
        for _ in 0..20_000 {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open(&at, "d").unwrap();
        }
        drop(at);
        remove(&dir).unwrap();
        assert!(!dir.exists());
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let parent = tempfile::tempdir().unwrap();
        let (dir, other) = (parent.path().join("a"), parent.path().join("other"));
        fs::create_dir_all(dir.join("b/c")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), "").unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(&other, dir.join("link")).unwrap();
        symlink(&other, dir.join("b/link")).unwrap();
        fs::set_permissions(dir.join("b/c"), fs::Permissions::from_mode(0o000)).unwrap();
        remove(&dir).unwrap();
        assert!(!dir.exists() && other.join("kept").exists());
        assert_eq!(fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0o755);
        let link = parent.path().join("link");
        symlink(&other, &link).unwrap();
        assert!(remove(&link).is_err() && other.join("kept").exists());
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        assert_eq!(remove(Path::new("/nonexistent")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
