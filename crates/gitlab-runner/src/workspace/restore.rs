//! Restores a checkout in a directory where an earlier job used it: only changed files are written again.
//!
//! A change is detected by the file's metadata, above all by the time of its last status change (`ctime`), which programs cannot set.
//! That time is coarse. If a file was written just before the copy was complete, its content is compared, too, as git does.
//! <https://git-scm.com/docs/racy-git>

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::copy::{self, Entry};
use crate::workspace::checkout::Checkout;

/// An upper bound for the granularity of file times with fractions of a second: one tick of the kernel's clock.
const TICK: Duration = Duration::from_millis(20);

/// An upper bound for file systems whose times have a granularity of one or two seconds.
const COARSE_TICK: Duration = Duration::from_secs(3);

/// A checkout as it was copied to a directory.
#[derive(Debug)]
pub struct Copied {
    checkout: Arc<Checkout>,
    /// The state of each entry of the checkout.
    states: Vec<State>,
    /// When the copy was complete.
    finished: SystemTime,
}

/// The metadata by which a change is detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    /// 0 for a directory, whose size depends on its entries.
    size: u64,
    modified: (i64, i64),
    /// The `ctime`. `None` for directories, whose `ctime` changes with their entries.
    changed: Option<(i64, i64)>,
}

impl State {
    fn from_metadata(metadata: &Metadata) -> Self {
        let is_dir = metadata.is_dir();
        Self {
            inode: metadata.ino(),
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            size: if is_dir { 0 } else { metadata.size() },
            modified: if is_dir { (0, 0) } else { (metadata.mtime(), metadata.mtime_nsec()) },
            changed: (!is_dir).then(|| (metadata.ctime(), metadata.ctime_nsec())),
        }
    }

    /// Whether the `ctime` is too close to `finished` to reveal a later change.
    fn is_uncertain(self, finished: SystemTime) -> bool {
        let Some((seconds, nanoseconds)) = self.changed else { return false };
        let tick = if nanoseconds == 0 { COARSE_TICK } else { TICK };
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds)) else { return true };
        UNIX_EPOCH + Duration::new(seconds, nanoseconds) + tick >= finished
    }
}

/// Puts a checkout into a directory, and removes or restores everything that differs. `before` is the result of the previous call for
/// this directory; without it, or with another checkout, the directory is emptied first.
///
/// # Errors
/// Something cannot be read, written or removed, or another job has changed the checkout. The content of the directory is undefined then:
/// empty it before its next use.
pub fn put(checkout: &Arc<Checkout>, dir: &Path, before: Option<Copied>) -> io::Result<Copied> {
    let before = before.filter(|before| Arc::ptr_eq(&before.checkout, checkout));
    // A job may have taken away permissions. Then the directory is created again.
    let restored = before.and_then(|before| restore(&before, dir).ok());
    let states = if let Some(states) = restored {
        states
    } else {
        empty(dir).or_else(|_| {
            private_dir::remove(dir)?;
            fs::create_dir(dir)
        })?;
        checkout.listing.entries.iter().map(|entry| copy(checkout, entry, dir)).collect::<io::Result<_>>()?
    };
    Ok(Copied { checkout: Arc::clone(checkout), states, finished: SystemTime::now() })
}

/// Removes everything in a directory.
///
/// # Errors
/// Something cannot be removed, or `dir` is not a directory, as in [`retain`].
pub fn empty(dir: &Path) -> io::Result<()> {
    retain(dir, &|_| false)
}

/// Removes everything in a directory except for the names that `is_kept` accepts.
///
/// # Errors
/// Something cannot be removed, or `dir` is not a directory but, for example, a link to one: the link's target may belong to
/// another user and is left alone.
pub fn retain(dir: &Path, is_kept: &dyn Fn(&OsStr) -> bool) -> io::Result<()> {
    if !fs::symlink_metadata(dir)?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{} is not a directory", dir.display())));
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !is_kept(&entry.file_name()) {
            remove(&entry.path(), entry.file_type()?.is_dir())?;
        }
    }
    Ok(())
}

/// Creates a directory unless it exists. Its parent must exist. Replaces anything else of that name that a job may have left, such as
/// a link to a directory outside of the job's own.
///
/// # Errors
/// The existing file cannot be removed, or the directory cannot be created.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::symlink_metadata(dir) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => fs::remove_file(dir)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::create_dir(dir)
}

fn restore(before: &Copied, dir: &Path) -> io::Result<Vec<State>> {
    let Copied { checkout, states, finished } = before;
    let paths = &checkout.listing.paths;
    remove_unknown(dir, Path::new(""), paths)?;
    let mut restored = Vec::with_capacity(states.len());
    for (entry, state) in checkout.listing.entries.iter().zip(states) {
        let target = dir.join(&entry.path);
        let found = match fs::symlink_metadata(&target) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let is_same = found.as_ref().is_some_and(|found| State::from_metadata(found) == *state);
        let from = checkout.dir.join(&entry.path);
        let is_unchanged = || {
            refuse_changed(&from, &entry.metadata)?;
            has_same_content(&from, &target)
        };
        if is_same && (!state.is_uncertain(*finished) || is_unchanged()?) {
            if entry.metadata.is_dir() {
                remove_unknown(&target, &entry.path, paths)?;
            }
            restored.push(*state);
            continue;
        }
        if let Some(found) = found {
            remove(&target, found.is_dir())?;
        }
        restored.push(copy(checkout, entry, dir)?);
    }
    Ok(restored)
}

fn remove_unknown(dir: &Path, path: &Path, known: &HashSet<PathBuf>) -> io::Result<()> {
    retain(dir, &|name| known.contains(&path.join(name)))
}

fn copy(checkout: &Checkout, entry: &Entry, dir: &Path) -> io::Result<State> {
    let (from, to) = (checkout.dir.join(&entry.path), dir.join(&entry.path));
    refuse_changed(&from, &entry.metadata)?;
    copy::copy(&from, &entry.metadata, &to)?;
    Ok(State::from_metadata(&fs::symlink_metadata(to)?))
}

/// Refuses an entry of the checkout that has changed since it was created. Jobs on this machine run as the user who owns the checkout:
/// one of them could change what all later jobs run.
fn refuse_changed(from: &Path, original: &Metadata) -> io::Result<()> {
    if State::from_metadata(&fs::symlink_metadata(from)?) == State::from_metadata(original) {
        return Ok(());
    }
    Err(io::Error::other(format!("another job has changed the checkout from which all jobs start: {}", from.display())))
}

fn remove(path: &Path, is_dir: bool) -> io::Result<()> {
    if is_dir { private_dir::remove(path) } else { fs::remove_file(path) }
}

/// Whether two files of the same kind and size have the same content.
fn has_same_content(one: &Path, other: &Path) -> io::Result<bool> {
    if fs::symlink_metadata(one)?.is_symlink() {
        return Ok(fs::read_link(one)? == fs::read_link(other)?);
    }
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut first, mut second) = ([0; 8192], [0; 8192]);
    loop {
        let count = one.read(&mut first)?;
        let (Some(first), Some(second)) = (first.get(..count), second.get_mut(..count)) else { return Ok(false) };
        if count == 0 {
            return Ok(other.read(&mut [0])? == 0);
        }
        match other.read_exact(second) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if first != second {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rstest::rstest;

    use super::*;

    fn checkout(dir: &Path) -> Arc<Checkout> {
        for path in ["sub/empty", ".git/objects/pack", ".git/refs"] {
            fs::create_dir_all(dir.join(path)).unwrap();
        }
        fs::write(dir.join(".git/objects/pack/x.pack"), "pack").unwrap();
        fs::write(dir.join("sub/program"), "text").unwrap();
        fs::set_permissions(dir.join("sub/program"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("program", dir.join("sub/link")).unwrap();
        Checkout::new(dir.to_owned(), HashSet::new()).unwrap()
    }

    /// Everything in a directory: paths, modes and contents.
    fn content_of(dir: &Path) -> Vec<(String, u32, String)> {
        let entries = copy::list(dir).unwrap().entries.into_iter();
        let content = |path: &Path| match fs::read_link(path) {
            Ok(target) => target.display().to_string(),
            Err(_) => fs::read_to_string(path).unwrap_or_default(),
        };
        entries
            .map(|Entry { path, metadata }| (path.display().to_string(), metadata.mode(), content(&dir.join(&path))))
            .collect()
    }

    fn inode(path: &Path) -> u64 {
        fs::symlink_metadata(path).unwrap().ino()
    }

    #[test]
    fn a_change_to_a_copy_does_not_change_the_checkout() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&to).unwrap();
        let checkout = checkout(&from);
        put(&checkout, &to, None).unwrap();
        assert_eq!(content_of(&from), content_of(&to));
        fs::write(to.join("sub/program"), "changed").unwrap();
        assert_eq!(fs::read_to_string(from.join("sub/program")).unwrap(), "text");
        // A pack is read-only, but its owner can still write to it.
        fs::write(to.join(".git/objects/pack/x.pack"), "PACK").unwrap();
        assert_eq!(fs::read_to_string(from.join(".git/objects/pack/x.pack")).unwrap(), "pack");
    }

    #[rstest]
    #[case::no_change(|_: &Path| ())]
    #[case::other_content(|to: &Path| fs::write(to.join("sub/program"), "TEXT").unwrap())]
    #[case::other_content_at_the_same_time(|to: &Path| {
        let time = fs::metadata(to.join("sub/program")).unwrap().modified().unwrap();
        fs::write(to.join("sub/program"), "TEXT").unwrap();
        File::options().write(true).open(to.join("sub/program")).unwrap().set_modified(time).unwrap();
    })]
    #[case::mode(|to: &Path| fs::set_permissions(to.join("sub/program"), fs::Permissions::from_mode(0o700)).unwrap())]
    #[case::mode_of_a_directory(|to: &Path| fs::set_permissions(to.join("sub"), fs::Permissions::from_mode(0o700)).unwrap())]
    #[case::missing_file(|to: &Path| fs::remove_file(to.join("sub/program")).unwrap())]
    #[case::missing_directory(|to: &Path| fs::remove_dir_all(to.join("sub")).unwrap())]
    #[case::everything_missing(|to: &Path| empty(to).unwrap())]
    #[case::new_file(|to: &Path| fs::write(to.join("sub/empty/new"), "").unwrap())]
    #[case::new_directory(|to: &Path| fs::create_dir_all(to.join(".git/refs/heads/new")).unwrap())]
    #[case::directory_replaces_a_file(|to: &Path| {
        fs::remove_file(to.join("sub/link")).unwrap();
        fs::create_dir_all(to.join("sub/link/below")).unwrap();
    })]
    #[case::link_replaces_a_directory(|to: &Path| {
        fs::rename(to.join("sub"), to.join("moved")).unwrap();
        symlink("moved", to.join("sub")).unwrap();
    })]
    #[case::other_link_target(|to: &Path| {
        fs::remove_file(to.join("sub/link")).unwrap();
        symlink("another", to.join("sub/link")).unwrap();
    })]
    #[case::hard_link(|to: &Path| {
        fs::remove_file(to.join("sub/link")).unwrap();
        fs::hard_link(to.join("sub/program"), to.join("sub/link")).unwrap();
    })]
    #[case::replaced_pack(|to: &Path| {
        fs::remove_file(to.join(".git/objects/pack/x.pack")).unwrap();
        fs::write(to.join(".git/objects/pack/x.pack"), "PACK").unwrap();
    })]
    fn every_change_of_a_job_is_undone(#[case] job: fn(&Path), #[values(false, true)] is_just_copied: bool) {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&to).unwrap();
        let checkout = checkout(&from);
        let mut copied = put(&checkout, &to, None).unwrap();
        if !is_just_copied {
            std::thread::sleep(2 * TICK);
            copied = put(&checkout, &to, Some(copied)).unwrap();
        }
        job(&to);
        let copied = put(&checkout, &to, Some(copied)).unwrap();
        assert_eq!(content_of(&from), content_of(&to));
        put(&checkout, &to, Some(copied)).unwrap();
        assert_eq!(content_of(&from), content_of(&to));
    }

    #[rstest]
    #[case::content(|from: &Path| fs::write(from.join("sub/program"), "TEXT").unwrap())]
    #[case::content_at_the_same_time(|from: &Path| {
        let time = fs::metadata(from.join("sub/program")).unwrap().modified().unwrap();
        fs::write(from.join("sub/program"), "TEXT").unwrap();
        File::options().write(true).open(from.join("sub/program")).unwrap().set_modified(time).unwrap();
    })]
    #[case::mode(|from: &Path| fs::set_permissions(from.join("sub"), fs::Permissions::from_mode(0o777)).unwrap())]
    #[case::a_link(|from: &Path| {
        fs::remove_file(from.join("sub/program")).unwrap();
        symlink("/etc/passwd", from.join("sub/program")).unwrap();
    })]
    #[case::a_pack(|from: &Path| fs::write(from.join(".git/objects/pack/x.pack"), "PACK").unwrap())]
    fn a_changed_checkout_fails_the_jobs_that_copy_it(#[case] job: fn(&Path)) {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&to).unwrap();
        let checkout = checkout(&from);
        std::thread::sleep(2 * TICK);
        job(&from);
        let error = put(&checkout, &to, None).unwrap_err().to_string();
        assert!(error.starts_with("another job has changed the checkout from which all jobs start: "), "{error}");
    }

    /// Two names that differ in a byte that is not UTF-8.
    #[test]
    fn names_that_are_not_utf8_are_restored() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&to).unwrap();
        checkout(&from);
        let names = [&b"caf\xe8"[..], b"caf\xe9"].map(OsStr::from_bytes);
        for name in names {
            fs::write(from.join(name), name.as_bytes()).unwrap();
        }
        let checkout = Checkout::new(from, HashSet::new()).unwrap();
        let copied = put(&checkout, &to, None).unwrap();
        fs::remove_file(to.join(names[0])).unwrap();
        fs::write(to.join(OsStr::from_bytes(b"caf\xea")), "").unwrap();
        put(&checkout, &to, Some(copied)).unwrap();
        assert!(names.iter().all(|name| fs::read(to.join(name)).unwrap() == name.as_bytes()));
        assert!(!to.join(OsStr::from_bytes(b"caf\xea")).exists());
    }

    #[test]
    fn an_unchanged_file_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&to).unwrap();
        let checkout = checkout(&from);
        let copied = put(&checkout, &to, None).unwrap();
        let before = inode(&to.join("sub/program"));
        fs::remove_file(to.join("sub/link")).unwrap();
        put(&checkout, &to, Some(copied)).unwrap();
        assert_eq!(inode(&to.join("sub/program")), before);
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (private, job) = (dir.path().join("private"), dir.path().join("job"));
        fs::create_dir(&private).unwrap();
        fs::write(private.join("file"), "").unwrap();
        symlink(&private, &job).unwrap();
        assert_eq!(empty(&job).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        make_dir(&job).unwrap();
        empty(&job).unwrap();
        assert!(private.join("file").exists());
    }

    #[test]
    fn another_checkout_replaces_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&to).unwrap();
        let copied = put(&checkout(&from), &to, None).unwrap();
        let other = dir.path().join("other");
        fs::create_dir_all(other.join(".git/objects")).unwrap();
        fs::create_dir_all(other.join(".git/refs")).unwrap();
        fs::write(other.join("file"), "other").unwrap();
        put(&Checkout::new(other.clone(), HashSet::new()).unwrap(), &to, Some(copied)).unwrap();
        assert_eq!(content_of(&other), content_of(&to));
    }
}
