//! Files that another program reads at a moment of its own choice.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces the file at `path` in one step: a reader finds the old text or the new one, never a part. `mode` is who may
/// read it, before the process's mask.
///
/// # Errors
///
/// When the folder cannot be written to. What was there before is still there then.
pub fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    // In the same folder: a file can only be renamed within its file system.
    let mut temporary = OsString::from(path);
    temporary.push(".tmp");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_reader_of_the_old_file_is_left_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        replace(&path, "old, and longer", 0o600).unwrap();
        let old = fs::File::open(&path).unwrap();
        replace(&path, "new", 0o600).unwrap();
        assert_eq!(io::read_to_string(old).unwrap(), "old, and longer");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["records"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        replace(&path, "old", 0o600).unwrap();
        fs::create_dir(folder.path().join("records.tmp")).unwrap();
        replace(&path, "new", 0o600).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }
}
