//! A checkout into the folders of jobs. Everything here waits for the disk: call it where that harms nobody.

use std::collections::HashSet;
use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::Path;

use super::archive::visit;

/// Something in a checkout.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where.
    pub path: String,
    /// What the system keeps of it.
    pub metadata: Metadata,
}

/// All that is in a checkout.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Folders before what is in them.
    pub entries: Vec<Entry>,
    /// Their paths.
    pub paths: HashSet<String>,
}

/// All that is in a folder.
///
/// # Errors
/// When it cannot be read.
pub fn list(folder: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    visit(folder, "", &mut |path, metadata| {
        listing.entries.push(Entry { path: path.to_owned(), metadata: metadata.clone() });
        listing.paths.insert(path.to_owned());
        Ok(())
    })?;
    Ok(listing)
}

/// Whether all copies of a checkout have the same file there: git never writes to packs of commits.
pub fn is_shared(path: &str) -> bool {
    path.starts_with(".git/objects/pack/")
}

/// Copies a checkout's entry to where nothing is: a folder without what is in it.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy(from: &Path, Entry { path, metadata }: &Entry, to: &Path) -> io::Result<()> {
    if metadata.is_dir() {
        return fs::create_dir(to);
    }
    if is_shared(path) && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    copy_file(from, to, metadata)
}

/// Copies a file, or a link as a link, over what is there.
///
/// # Errors
/// When it cannot be read or written.
pub fn copy_entry(from: &Path, to: &Path) -> io::Result<()> {
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    copy_file(from, to, &fs::symlink_metadata(from)?)
}

/// Its time comes along: git takes a file for unchanged by it.
fn copy_file(from: &Path, to: &Path, metadata: &Metadata) -> io::Result<()> {
    if metadata.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if !metadata.is_file() {
        return Ok(());
    }
    let mut target = File::options().write(true).create_new(true).mode(metadata.mode()).open(to)?;
    io::copy(&mut File::open(from)?, &mut target)?;
    target.set_times(FileTimes::new().set_modified(metadata.modified()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_along() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&from, "x").unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::options().write(true).open(&from).unwrap().set_modified(time).unwrap();
        fs::write(&to, "what was there before").unwrap();
        copy_entry(&from, &to).unwrap();
        assert_eq!(
            (fs::read_to_string(&to).unwrap(), fs::metadata(&to).unwrap().modified().unwrap()),
            ("x".to_owned(), time)
        );
    }
}
