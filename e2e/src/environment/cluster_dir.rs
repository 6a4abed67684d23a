//! The directory of one cluster, with its kubeconfigs and the registry's certificate and credentials. Only the user who owns it can
//! read it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use container_engine::labels::RunId;
use private_dir::PrivateDir;

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory, or a file in it, cannot be created, read, written or removed.
    #[error("cannot access {}", path.display())]
    Files {
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The directory cannot be created, belongs to another user, or a link is in place of it or of a directory above it. The repository or
    /// another user may have put it there.
    #[error("cannot use the directory of the cluster (`--state-dir` selects another place)")]
    Directory(#[source] io::Error),
    /// Another process holds the lock. Two processes that change the same cluster would undo each other's work.
    #[error("another `e2e` process is using cluster `{0}`: wait until it ends, or stop it")]
    Locked(String),
}

/// The directory of one cluster.
#[derive(Clone, Debug)]
pub struct ClusterDir {
    /// The absolute path.
    dir: PathBuf,
    /// The directory in which `root` is, if it is a relative path.
    current: PathBuf,
    root: PathBuf,
    cluster: String,
}

/// The lock that a process must hold to change a cluster. Released on drop, and by the kernel however the process ends.
#[derive(Debug)]
pub struct Lock {
    _lock: private_dir::Lock,
}

impl ClusterDir {
    /// The directory of `cluster` in `root`. Does not create it.
    ///
    /// # Errors
    /// If the current directory is unknown.
    pub fn new(root: &Path, cluster: &str) -> Result<Self, StateError> {
        // Users copy the printed paths into shells with other working directories.
        let absolute = |path: &Path| std::path::absolute(path).map_err(files(path));
        Ok(Self {
            dir: absolute(&root.join(cluster))?,
            current: absolute(Path::new("."))?,
            root: root.to_owned(),
            cluster: cluster.to_owned(),
        })
    }

    /// The directory's absolute path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The cluster owner's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The kubeconfig of `ServiceAccount` `gitlab`, for this machine.
    pub fn gitlab_kubeconfig(&self) -> PathBuf {
        self.dir.join("gitlab.kubeconfig")
    }

    /// The same kubeconfig for containers on the cluster's network, where jobs run.
    pub fn gitlab_internal_kubeconfig(&self) -> PathBuf {
        self.dir.join("gitlab-internal.kubeconfig")
    }

    /// The output of `kind create cluster`.
    pub fn kind_log(&self) -> PathBuf {
        self.dir.join("kind.log")
    }

    /// The configuration that is passed to kind.
    pub fn kind_config(&self) -> PathBuf {
        self.dir.join("kind-config.json")
    }

    /// The certificate authority that signed the registry's certificate.
    pub fn registry_authority(&self) -> PathBuf {
        self.dir.join("registry-ca.crt")
    }

    /// The password of the registry's user.
    pub fn registry_password(&self) -> PathBuf {
        self.dir.join("registry-password")
    }

    /// The registry's credentials as a netrc file for curl, because passwords must not appear on command lines.
    pub fn registry_netrc(&self) -> PathBuf {
        self.dir.join("registry-netrc")
    }

    fn run_file(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// Creates the directory and takes the lock that protects changes of the cluster.
    ///
    /// # Errors
    /// If another process has the lock, or the directory cannot be created.
    pub fn lock(&self) -> Result<Lock, StateError> {
        loop {
            match self.open()?.try_lock_self() {
                Ok(Some(lock)) => return Ok(Lock { _lock: lock }),
                Ok(None) => return Err(StateError::Locked(self.cluster.clone())),
                // The previous holder has removed the directory just before it released the lock.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StateError::Directory(error)),
            }
        }
    }

    /// Opens the directory, and creates it if necessary.
    fn open(&self) -> Result<PrivateDir, StateError> {
        let root = PrivateDir::open_chosen_in(&self.current, &self.root);
        root.and_then(|root| root.subdir(&self.cluster)).map_err(StateError::Directory)
    }

    /// Records the run before any of its resources exist, so that the leftovers of a killed process can be found.
    pub fn note_run(&self, run: &RunId) -> Result<(), StateError> {
        self.write(&self.run_file(), run.id.as_bytes())
    }

    /// The ID of the run that was recorded last.
    pub fn noted_run(&self) -> Option<String> {
        fs::read_to_string(self.run_file()).ok()
    }

    /// Writes a file of the directory atomically, readable only by its owner.
    pub fn write(&self, path: &Path, content: &[u8]) -> Result<(), StateError> {
        let name = path.file_name().unwrap_or_default();
        let new = self.open()?.new_file(".new-").map_err(files(path))?;
        new.as_file().write_all(content).map_err(files(path))?;
        new.keep(name).map_err(files(path))
    }

    /// Removes the directory.
    pub fn remove(&self) -> Result<(), StateError> {
        match private_dir::remove(&self.dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StateError::Files { path: self.dir.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

fn files(path: &Path) -> impl Fn(io::Error) -> StateError + use<> {
    let path = path.to_owned();
    move |source| StateError::Files { path: path.clone(), source }
}

/// The names of the clusters that have a directory in `root`.
pub fn clusters(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir()));
    let mut names: Vec<_> = dirs.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_one_process_can_lock_a_cluster() {
        let root = tempfile::tempdir().unwrap();
        let state = ClusterDir::new(root.path(), "demo").unwrap();
        let lock = state.lock().unwrap();
        let error = state.lock().unwrap_err().to_string();
        assert_eq!(error, "another `e2e` process is using cluster `demo`: wait until it ends, or stop it");
        drop(lock);
        state.lock().unwrap();
    }

    #[test]
    fn locking_recreates_a_removed_directory() {
        let root = tempfile::tempdir().unwrap();
        let state = ClusterDir::new(root.path(), "demo").unwrap();
        let lock = state.lock().unwrap();
        state.remove().unwrap();
        assert_eq!(clusters(root.path()), Vec::<String>::new());
        let again = state.lock().unwrap();
        drop((lock, again));
        assert_eq!(clusters(root.path()), ["demo"]);
    }

    #[test]
    fn only_the_owner_can_read_files() {
        let root = tempfile::tempdir().unwrap();
        let state = ClusterDir::new(root.path(), "demo").unwrap();
        let _lock = state.lock().unwrap();
        state.write(&state.registry_password(), b"secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(state.dir()), mode(&state.registry_password())), (0o700, 0o600));
    }

    #[test]
    fn the_mode_of_an_existing_directory_is_corrected() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("demo")).unwrap();
        fs::set_permissions(root.path().join("demo"), Permissions::from_mode(0o755)).unwrap();
        let state = ClusterDir::new(root.path(), "demo").unwrap();
        let _lock = state.lock().unwrap();
        assert_eq!(fs::metadata(state.dir()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    /// A repository can contain such links. A relative path leads through it.
    #[test]
    fn links_in_the_path_are_refused() {
        let (trusted, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(victim.path(), trusted.path().join("target")).unwrap();
        let state =
            ClusterDir { current: trusted.path().to_owned(), ..ClusterDir::new(Path::new("target"), "demo").unwrap() };
        let error = container_engine::error_chain::error_chain(&state.lock().unwrap_err());
        assert!(error.contains("target is not a directory, but a link or a file"), "{error}");
        assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
        // The directory itself.
        std::os::unix::fs::symlink(victim.path(), trusted.path().join("demo")).unwrap();
        assert!(ClusterDir::new(trusted.path(), "demo").unwrap().lock().is_err());
    }

    #[test]
    fn a_recorded_run_is_found_again() {
        let root = tempfile::tempdir().unwrap();
        let state = ClusterDir::new(root.path(), "demo").unwrap();
        let _lock = state.lock().unwrap();
        let run = RunId::new("demo");
        assert_eq!(state.noted_run(), None);
        state.note_run(&run).unwrap();
        assert_eq!(state.noted_run(), Some(run.id));
    }
}
