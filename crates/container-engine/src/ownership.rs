//! Owner IDs: they identify processes, so that another process can determine whether the creator of a resource still runs.
//!
//! Each process holds a lock on a file that is named after its ID, in a directory of its user. The kernel releases the lock when the
//! process ends, however it ends. A process ID would not be sufficient: another container or machine that uses the same engine may have
//! the same host name and the same process IDs, and `/proc` may hide the processes of other users. A process without a file counts as
//! running, because its end cannot be detected.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use private_dir::PrivateDir;

/// The age from which the file of an ended process is removed. While the file exists, other processes can find the resources that a killed
/// process left. The file does not change after its creation, so its age is the time since the process first requested its ID.
const MAX_AGE: Duration = Duration::from_hours(90 * 24);

/// The ID of this process, and its lock.
struct Owner {
    id: String,
    /// `None` if the file cannot be created. Other processes then cannot determine whether this process has ended.
    _lock: Option<File>,
}

/// The ID of this process: `machine.pid.random`. The random part makes it unique. The other parts help a user to find the process.
pub fn owner_id() -> String {
    static OWNER: OnceLock<Owner> = OnceLock::new();
    OWNER.get_or_init(|| Owner::new(owners_dir().as_ref())).id.clone()
}

/// An ID for one of several owners in this process, such as pipelines: `machine.pid.random/number`. Each call returns another number.
pub fn unique_owner_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("{}/{}", owner_id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether the process with this ID, from [`owner_id`] or [`unique_owner_id`], has ended. Returns `false` if that cannot be determined:
/// for processes of other users and of other machines, and for texts that are not IDs.
pub fn owner_is_gone(id: &str) -> bool {
    owners_dir().is_some_and(|dir| is_gone(&dir, id))
}

/// Removes the files of ended processes if they are at least 90 days old. First remove the resources that these processes left, because
/// they cannot be found afterwards.
pub fn forget_gone_owners() {
    if let Some(dir) = owners_dir() {
        forget(&dir, MAX_AGE);
    }
}

impl Owner {
    fn new(dir: Option<&PrivateDir>) -> Self {
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let machine: String =
            machine.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect();
        let id = format!("{machine}.{}.{:016x}", std::process::id(), fastrand::u64(..));
        let lock = dir.and_then(|dir| Self::lock(dir, &id).ok());
        Self { id, _lock: lock }
    }

    /// Creates the file and locks it. Between the two steps, no other process knows the ID, so none can take this process for an ended
    /// one.
    fn lock(dir: &PrivateDir, id: &str) -> io::Result<File> {
        let file = dir.create_file(id)?;
        file.lock()?;
        Ok(file)
    }
}

/// The directory with the files of this user's processes; `None` if it cannot be opened. Unlike the temporary directory, it is the
/// same in all sessions of the user, and still exists after a reboot. <https://specifications.freedesktop.org/basedir-spec/latest/>
fn owners_dir() -> Option<PrivateDir> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    PrivateDir::open(&state?, "gitlab-ci-k8s-demo/owners").ok()
}

fn is_gone(dir: &PrivateDir, id: &str) -> bool {
    let name = id.split_once('/').map_or(id, |(process, _)| process);
    // A shared lock, because several processes may check the same file at the same time. Every user of the engine can set labels, so the
    // ID may be any text: `open_file` fails for a name that leads out of the directory.
    dir.open_file(name).is_ok_and(|file| file.try_lock_shared().is_ok())
}

fn forget(dir: &PrivateDir, age: Duration) {
    for name in dir.names().unwrap_or_default() {
        if dir.is_older(&name, age) && dir.try_lock_existing(&name).is_ok_and(|lock| lock.is_some()) {
            // Another process may remove it at the same time.
            let _ = dir.remove_file(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn dir() -> (tempfile::TempDir, PrivateDir) {
        let parent = tempfile::tempdir().unwrap();
        let dir = PrivateDir::open(parent.path(), "owners").unwrap();
        (parent, dir)
    }

    #[test]
    fn an_owner_is_gone_when_its_lock_is_released() {
        let (_parent, dir) = dir();
        let owner = Owner::new(Some(&dir));
        let id = owner.id.clone();
        assert!(!is_gone(&dir, &id) && !is_gone(&dir, &format!("{id}/2")));
        drop(owner);
        assert!(is_gone(&dir, &id) && is_gone(&dir, &format!("{id}/2")));
    }

    #[test]
    fn a_process_without_a_file_counts_as_running() {
        let ((_one, dir), (_other, elsewhere)) = (dir(), dir());
        let id = Owner::new(Some(&elsewhere)).id;
        assert!(is_gone(&elsewhere, &id) && !is_gone(&dir, &id));
        let without_file = Owner::new(None);
        assert!(!is_gone(&dir, &without_file.id));
    }

    #[test]
    fn unique_owner_ids_of_one_process_differ() {
        let (one, other) = (unique_owner_id(), unique_owner_id());
        assert!(one != other && one.starts_with(&owner_id()) && !owner_is_gone(&one), "{one} {other}");
    }

    #[rstest]
    #[case::another_directory("../secret")]
    #[case::the_directory_above("..")]
    #[case::nothing("")]
    #[case::a_link("link")]
    #[case::a_fifo("fifo")]
    fn a_hostile_label_opens_nothing(#[case] id: &str) {
        let (parent, dir) = dir();
        std::fs::write(parent.path().join("secret"), "").unwrap();
        std::os::unix::fs::symlink("../secret", dir.path().join("link")).unwrap();
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("fifo"), fifo, mode, 0).unwrap();
        assert!(!is_gone(&dir, id));
    }

    #[test]
    fn old_files_of_ended_processes_are_removed() {
        let (_parent, dir) = dir();
        let running = Owner::new(Some(&dir));
        let ended = Owner::new(Some(&dir)).id;
        forget(&dir, MAX_AGE);
        assert!(dir.path().join(&ended).exists());
        forget(&dir, Duration::ZERO);
        assert!(!dir.path().join(&ended).exists() && dir.path().join(&running.id).exists());
    }
}
