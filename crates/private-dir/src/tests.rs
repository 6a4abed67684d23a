use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use rstest::rstest;
use rustix::fs::mknodat;
use tempfile::TempDir;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn dir() -> (TempDir, PrivateDir) {
    let parent = tempfile::tempdir().unwrap();
    let dir = PrivateDir::open(parent.path(), "dir").unwrap();
    (parent, dir)
}

#[test]
fn missing_directories_are_created_and_the_last_is_private() {
    let parent = tempfile::tempdir().unwrap();
    let dir = PrivateDir::open(&parent.path().join("a"), "b/./c").unwrap();
    assert_eq!((dir.path(), mode(dir.path())), (&*parent.path().join("a/b/c"), 0o700));
    assert_eq!(mode(&parent.path().join("a/b")) & 0o700, 0o700);
    assert_eq!(mode(dir.subdir("d").unwrap().path()), 0o700);
}

#[rstest]
#[case::too_open(0o777)]
#[case::too_closed(0o500)]
fn the_mode_of_an_existing_directory_is_corrected(#[case] wrong: u32) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("dir");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(wrong)).unwrap();
    PrivateDir::open_shared(parent.path(), "dir").unwrap();
    assert_eq!(mode(&path), wrong);
    PrivateDir::open(parent.path(), "dir").unwrap();
    assert_eq!(mode(&path), 0o700);
}

#[rstest]
#[case::first("target", "target/e2e")]
#[case::last("target/e2e", "target/e2e")]
fn a_link_or_a_file_below_the_trusted_directory_is_refused(#[case] path: &str, #[case] below: &str) {
    let (parent, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = parent.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(victim.path(), &path).unwrap();
    let error = PrivateDir::open(parent.path(), below).unwrap_err().to_string();
    assert_eq!(error, format!("{} is not a directory, but a link or a file: remove it", path.display()));
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(PrivateDir::open(parent.path(), below).unwrap_err().to_string(), error);
}

#[test]
fn a_link_to_the_trusted_directory_is_followed() {
    let (parent, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(other.path(), parent.path().join("link")).unwrap();
    PrivateDir::open(&parent.path().join("link"), "dir").unwrap();
    assert!(other.path().join("dir").exists());
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let (_parent, dir) = dir();
    // Only root can give a directory to another user. For other users, `/etc` is a directory of another user.
    let (dir, name) = if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(dir.subdir("foreign").unwrap().path(), Some(12345), None).unwrap();
        (dir, "foreign")
    } else {
        (PrivateDir { fd: Arc::new(openat(CWD, "/", OFlags::RDONLY, Mode::empty()).unwrap()), path: "/".into() }, "etc")
    };
    for refused in [dir.subdir(name), dir.existing_subdir(name), PrivateDir::open(dir.path(), name)] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(&format!("{name} belongs to another user")), "{error}");
    }
}

#[rstest]
#[case::parent("..")]
#[case::itself(".")]
#[case::none("")]
#[case::several("a/b")]
fn a_name_that_leads_elsewhere_is_refused(#[case] name: &str) {
    let (_parent, dir) = dir();
    assert!(dir.subdir(name).is_err() && dir.existing_subdir(name).is_err() && dir.new_subdir(name).is_err());
    assert!(dir.open_file(name).is_err() && dir.create_file(name).is_err() && dir.append_file(name).is_err());
    assert!(dir.try_lock(name).is_err() && dir.remove_file(name).is_err() && dir.remove_subdir(name).is_err());
    assert!(dir.new_file("x").unwrap().keep(name).is_err() && dir.rename(name, "x").is_err());
    assert!(PrivateDir::open(dir.path(), "a/../../b").is_err());
    assert_eq!(dir.names().unwrap(), [""; 0]);
}

#[test]
fn errors_name_the_path() {
    let (_parent, dir) = dir();
    let missing = dir.path().join("missing").display().to_string();
    for error in [
        dir.existing_subdir("missing").unwrap_err(),
        dir.rename("missing", "x").unwrap_err(),
        dir.remove_subdir("missing").unwrap_err(),
        dir.open_file("missing").unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with(&missing), "{error}");
    }
    dir.create_file("file").unwrap();
    let error = dir.new_subdir("file").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(error.to_string().starts_with(&dir.path().join("file").display().to_string()), "{error}");
}

/// Another process may replace a directory while this one works in it.
#[test]
fn a_directory_that_was_moved_away_is_still_the_one_that_was_opened() {
    let (parent, dir) = dir();
    let victim = tempfile::tempdir().unwrap();
    fs::rename(dir.path(), parent.path().join("moved")).unwrap();
    symlink(victim.path(), dir.path()).unwrap();
    dir.create_file("file").unwrap();
    dir.subdir("subdir").unwrap();
    dir.new_file(".draft-").unwrap().keep("kept").unwrap();
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(parent.path().join("moved")).unwrap().count(), 3);
    assert_eq!(dir.try_lock_self().unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[rstest]
#[case::link(|path: &Path| symlink("victim", path).unwrap())]
#[case::dangling_link(|path: &Path| symlink("nothing", path).unwrap())]
#[case::fifo(|path: &Path| mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap())]
#[case::directory(|path: &Path| fs::create_dir(path).unwrap())]
fn only_regular_files_are_opened(#[case] plant: fn(&Path)) {
    let (_parent, dir) = dir();
    fs::write(dir.path().join("victim"), "precious").unwrap();
    plant(&dir.path().join("file"));
    let expected = format!("{} is not a regular file: remove it", dir.path().join("file").display());
    assert_eq!(dir.open_file("file").unwrap_err().to_string(), expected);
    assert_eq!(dir.append_file("file").unwrap_err().to_string(), expected);
    assert_eq!(dir.try_lock("file").unwrap_err().to_string(), expected);
    assert_eq!(dir.create_file("file").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(dir.path().join("victim")).unwrap(), "precious");
    assert!(!dir.path().join("nothing").exists());
}

#[test]
fn files_are_readable_for_this_user_only() {
    let (_parent, dir) = dir();
    dir.create_file("created").unwrap();
    dir.append_file("appended").unwrap();
    let _lock = dir.try_lock("lock").unwrap();
    dir.new_file("x").unwrap().keep("kept").unwrap();
    for name in dir.names().unwrap() {
        assert_eq!(mode(&dir.path().join(&name)), 0o600, "{name:?}");
    }
}

#[test]
fn a_new_file_appears_complete_or_not_at_all() {
    let (_parent, dir) = dir();
    fs::write(dir.path().join("file"), "the previous one").unwrap();
    dir.new_file(".new-").unwrap().as_file().write_all(b"half").unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), "the previous one");
    let new = dir.new_file(".new-").unwrap();
    new.reopen().unwrap().write_all(b"whole").unwrap();
    new.keep("file").unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), "whole");
    assert_eq!(dir.names().unwrap(), ["file"]);
}

#[test]
fn a_lock_is_exclusive_and_keeps_the_content_of_its_file() {
    let (_parent, dir) = dir();
    fs::write(dir.path().join("lock"), "content").unwrap();
    let held = dir.try_lock("lock").unwrap();
    assert!(held.is_some() && dir.try_lock("lock").unwrap().is_none());
    assert!(dir.try_lock_existing("lock").unwrap().is_none());
    drop(held);
    assert!(dir.try_lock_existing("lock").unwrap().is_some());
    assert_eq!(fs::read_to_string(dir.path().join("lock")).unwrap(), "content");
    assert_eq!(dir.try_lock_existing("other").unwrap_err().kind(), io::ErrorKind::NotFound);
    let held = dir.try_lock_self().unwrap();
    assert!(held.is_some() && dir.clone().try_lock_self().unwrap().is_none());
}

/// The holder of a lock may remove the file before it releases the lock.
#[test]
fn a_lock_on_a_removed_file_does_not_block_a_new_file_with_its_name() {
    let (_parent, dir) = dir();
    let first = dir.try_lock("lock").unwrap().unwrap();
    dir.remove_file("lock").unwrap();
    let second = dir.try_lock("lock").unwrap();
    assert!(second.is_some() && dir.try_lock("lock").unwrap().is_none());
    drop(first);
    assert!(dir.try_lock("lock").unwrap().is_none());
}

#[test]
fn is_older_compares_the_modification_time_with_the_age() {
    let (_parent, dir) = dir();
    dir.create_file("file").unwrap().set_modified(std::time::SystemTime::now() - Duration::from_hours(2)).unwrap();
    assert!(dir.is_older("file", Duration::from_hours(1)) && !dir.is_older("file", Duration::from_hours(3)));
    assert!(!dir.is_older("other", Duration::ZERO));
}

#[test]
fn a_directory_is_locked_through_a_link_that_the_user_has_chosen() {
    let parent = tempfile::tempdir().unwrap();
    let link = parent.path().join("link");
    fs::create_dir(parent.path().join("real")).unwrap();
    symlink("real", &link).unwrap();
    let dir = PrivateDir::open_chosen(&link).unwrap();
    assert!(dir.try_lock_self().unwrap().is_some());
    fs::remove_file(&link).unwrap();
    symlink(parent.path(), &link).unwrap();
    assert_eq!(dir.try_lock_self().unwrap_err().kind(), io::ErrorKind::NotFound);
}
