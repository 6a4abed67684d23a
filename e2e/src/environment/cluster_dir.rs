//! The directory of one cluster, with its kubeconfigs and the registry's certificate and credentials. Only the user who owns it can
//! read it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use container_engine::labels::RunId;

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
    /// Another process holds the lock. Two processes that change the same cluster would undo each other's work.
    #[error("another `e2e` process is using cluster `{0}`: wait until it ends, or stop it")]
    Locked(String),
}

/// The directory of one cluster.
#[derive(Clone, Debug)]
pub struct ClusterDir {
    dir: PathBuf,
    cluster: String,
}

/// The exclusive right to change a cluster. Released on drop, and by the kernel however the process ends.
#[derive(Debug)]
pub struct Lock {
    _folder: File,
}

impl ClusterDir {
    /// The directory of `cluster` in `root`. Does not create it.
    ///
    /// # Errors
    /// If the current directory is unknown.
    pub fn new(root: &Path, cluster: &str) -> Result<Self, StateError> {
        let dir = root.join(cluster);
        // Users copy the printed paths into shells with other working directories.
        let dir = std::path::absolute(&dir).map_err(|source| StateError::Files { path: dir, source })?;
        Ok(Self { dir, cluster: cluster.to_owned() })
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

    /// Creates the directory and takes the right to change the cluster.
    ///
    /// # Errors
    /// If another process has the lock, or the directory cannot be created.
    pub fn lock(&self) -> Result<Lock, StateError> {
        loop {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(files(&self.dir))?;
            let dir = File::open(&self.dir).map_err(files(&self.dir))?;
            match dir.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(StateError::Locked(self.cluster.clone())),
                Err(TryLockError::Error(source)) => {
                    return Err(StateError::Files { path: self.dir.clone(), source });
                }
            }
            // The previous holder may have removed the directory just before it released the lock: then this lock protects nothing.
            let locked = dir.metadata().map(|it| it.ino()).map_err(files(&self.dir))?;
            if fs::metadata(&self.dir).is_ok_and(|it| it.ino() == locked) {
                return Ok(Lock { _folder: dir });
            }
        }
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
        let half = path.with_extension("half");
        let attempt = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
            file.write_all(content)?;
            fs::rename(&half, path)
        };
        attempt().map_err(files(path))
    }

    /// Removes the directory.
    pub fn remove(&self) -> Result<(), StateError> {
        match fs::remove_dir_all(&self.dir) {
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
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir()));
    let mut names: Vec<_> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
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
