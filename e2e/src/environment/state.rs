//! The folder of one cluster: its kubeconfigs, the registry's certificates and login. What is secret there is readable by its
//! owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use container_engine::labels::RunId;

/// Why the folder is of no use.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It, or something in it, cannot be made, read, written or removed.
    #[error("{}", path.display())]
    Files {
        /// What.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Two programs at work on one cluster would undo each other's work.
    #[error("another `e2e` is at work on cluster {0}: wait for it, or end it")]
    Locked(String),
}

/// The folder.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
    cluster: String,
}

/// The right to change a cluster, given back when this is dropped or the program ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _folder: File,
}

impl State {
    /// The folder of `cluster` below `root`. Nothing is made yet.
    ///
    /// # Errors
    /// When the current folder is not known.
    pub fn new(root: &Path, cluster: &str) -> Result<Self, StateError> {
        let folder = root.join(cluster);
        // What is told of it is used in other folders.
        let folder = std::path::absolute(&folder).map_err(|source| StateError::Files { path: folder, source })?;
        Ok(Self { folder, cluster: cluster.to_owned() })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The cluster owner's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The kubeconfig of `ServiceAccount` `gitlab`, for this machine.
    pub fn gitlab_kubeconfig(&self) -> PathBuf {
        self.folder.join("gitlab.kubeconfig")
    }

    /// The same for containers on the cluster's network, where jobs run.
    pub fn gitlab_internal_kubeconfig(&self) -> PathBuf {
        self.folder.join("gitlab-internal.kubeconfig")
    }

    /// What kind said while it made the cluster.
    pub fn kind_log(&self) -> PathBuf {
        self.folder.join("kind.log")
    }

    /// The configuration that kind was given.
    pub fn kind_config(&self) -> PathBuf {
        self.folder.join("kind-config.json")
    }

    /// The certificate authority that the registry's certificate is signed by.
    pub fn registry_authority(&self) -> PathBuf {
        self.folder.join("registry-ca.crt")
    }

    /// The password of the registry's user.
    pub fn registry_password(&self) -> PathBuf {
        self.folder.join("registry-password")
    }

    /// The same for curl, which must not be told passwords on its command line.
    pub fn registry_netrc(&self) -> PathBuf {
        self.folder.join("registry-netrc")
    }

    fn run_file(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Makes the folder and takes the right to change the cluster.
    ///
    /// # Errors
    /// When somebody else has it, or the folder cannot be made.
    pub fn lock(&self) -> Result<Lock, StateError> {
        loop {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(files(&self.folder))?;
            let folder = File::open(&self.folder).map_err(files(&self.folder))?;
            match folder.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(StateError::Locked(self.cluster.clone())),
                Err(TryLockError::Error(source)) => {
                    return Err(StateError::Files { path: self.folder.clone(), source });
                }
            }
            // Whoever had it may have removed the folder just before giving it back: then this is the lock of nothing.
            let locked = folder.metadata().map(|it| it.ino()).map_err(files(&self.folder))?;
            if fs::metadata(&self.folder).is_ok_and(|it| it.ino() == locked) {
                return Ok(Lock { _folder: folder });
            }
        }
    }

    /// Notes the run before anything of it exists, so that what a killed program has left can be found.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_run(&self, run: &RunId) -> Result<(), StateError> {
        self.write(&self.run_file(), run.id.as_bytes())
    }

    /// The run that was noted last.
    pub fn noted_run(&self) -> Option<String> {
        fs::read_to_string(self.run_file()).ok()
    }

    /// Writes a file of the folder in one step, for its owner's eyes alone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path, content: &[u8]) -> Result<(), StateError> {
        let half = path.with_extension("half");
        let attempt = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
            file.write_all(content)?;
            fs::rename(&half, path)
        };
        attempt().map_err(files(path))
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self) -> Result<(), StateError> {
        match fs::remove_dir_all(&self.folder) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StateError::Files { path: self.folder.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

fn files(path: &Path) -> impl Fn(io::Error) -> StateError + use<> {
    let path = path.to_owned();
    move |source| StateError::Files { path: path.clone(), source }
}

/// The clusters that have a folder below `root`.
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
    fn one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let state = State::new(root.path(), "demo").unwrap();
        let lock = state.lock().unwrap();
        let error = state.lock().unwrap_err().to_string();
        assert_eq!(error, "another `e2e` is at work on cluster demo: wait for it, or end it");
        drop(lock);
        state.lock().unwrap();
    }

    #[test]
    fn a_removed_folder_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let state = State::new(root.path(), "demo").unwrap();
        let lock = state.lock().unwrap();
        state.remove().unwrap();
        assert_eq!(clusters(root.path()), Vec::<String>::new());
        let again = state.lock().unwrap();
        drop((lock, again));
        assert_eq!(clusters(root.path()), ["demo"]);
    }

    #[test]
    fn what_is_written_is_its_owners_alone() {
        let root = tempfile::tempdir().unwrap();
        let state = State::new(root.path(), "demo").unwrap();
        let _lock = state.lock().unwrap();
        state.write(&state.registry_password(), b"secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(state.folder()), mode(&state.registry_password())), (0o700, 0o600));
    }

    #[test]
    fn a_run_is_found_again() {
        let root = tempfile::tempdir().unwrap();
        let state = State::new(root.path(), "demo").unwrap();
        let _lock = state.lock().unwrap();
        let run = RunId::new("demo");
        assert_eq!(state.noted_run(), None);
        state.note_run(&run).unwrap();
        assert_eq!(state.noted_run(), Some(run.id));
    }
}
