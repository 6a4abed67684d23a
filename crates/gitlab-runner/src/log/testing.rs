//! Logs for tests.

use std::fs::File;
use std::sync::Arc;

use super::JobLog;
use crate::mask::Masker;

/// A log that masks these secrets, in a directory that is deleted with the first value.
pub(crate) fn log(secrets: &[&str]) -> (tempfile::TempDir, Arc<JobLog>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let file = File::create(&path).unwrap();
    let log = JobLog::new("job".into(), file, path, &Masker::new(secrets.iter().copied()), 1 << 20, Arc::new(|_| ()));
    (dir, Arc::new(log))
}
