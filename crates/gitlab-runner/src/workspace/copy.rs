//! Copies checkouts. All functions block: call them on a thread for blocking work.

use std::collections::HashSet;
use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use super::archive::visit;
use private_dir::remove_file_if_exists;

/// A file, directory or link in a checkout.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The path, relative to the checkout.
    pub path: PathBuf,
    /// The metadata of the entry itself, not of a link's target.
    pub metadata: Metadata,
}

/// The content of a checkout.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// All entries, directories before their entries.
    pub entries: Vec<Entry>,
    /// The paths of all entries.
    pub paths: HashSet<PathBuf>,
}

/// Lists everything in a directory.
///
/// # Errors
/// A directory cannot be read.
pub fn list(dir: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    visit(dir, Path::new(""), &mut |path, metadata| {
        listing.entries.push(Entry { path: path.to_owned(), metadata: metadata.clone() });
        listing.paths.insert(path.to_owned());
        Ok(())
    })?;
    Ok(listing)
}

/// Copies an entry of a checkout to a path that does not exist. A directory is copied without its entries.
///
/// # Errors
/// `from` cannot be read, or `to` cannot be created or already exists.
pub fn copy(from: &Path, metadata: &Metadata, to: &Path) -> io::Result<()> {
    if metadata.is_dir() {
        return fs::create_dir(to);
    }
    copy_file(from, to, metadata)
}

/// Copies a file or a link, and replaces an existing file. A link is copied as a link.
///
/// # Errors
/// `from` cannot be read, or `to` cannot be replaced.
pub fn copy_entry(from: &Path, to: &Path) -> io::Result<()> {
    remove_file_if_exists(to)?;
    copy_file(from, to, &fs::symlink_metadata(from)?)
}

/// Copies a file with its modification time, by which git recognizes an unchanged file.
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
    fn modification_times_are_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&from, "x").unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::options().write(true).open(&from).unwrap().set_modified(time).unwrap();
        fs::write(&to, "previous content").unwrap();
        copy_entry(&from, &to).unwrap();
        assert_eq!(
            (fs::read_to_string(&to).unwrap(), fs::metadata(&to).unwrap().modified().unwrap()),
            ("x".to_owned(), time)
        );
    }
}
