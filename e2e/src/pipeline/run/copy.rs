//! A checkout into the folders of jobs. Everything here waits for the disk: call it where that harms nobody.

use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::Path;

use super::archive::visit;

/// Something in a checkout.
#[derive(Clone, Debug)]
pub struct Entry {
    path: String,
    metadata: Metadata,
}

/// All that is in a folder, folders before what is in them.
///
/// # Errors
/// When it cannot be read.
pub fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    visit(folder, "", &mut |path, metadata| {
        entries.push(Entry { path: path.to_owned(), metadata: metadata.clone() });
        Ok(())
    })?;
    Ok(entries)
}

/// Copies the entries of one folder into another that is there. Of packs of commits, which git never writes to, both folders
/// have the same files.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_checkout(from: &Path, entries: &[Entry], to: &Path) -> io::Result<()> {
    for Entry { path, metadata } in entries {
        let (source, target) = (from.join(path), to.join(path));
        if metadata.is_dir() {
            fs::create_dir(target)?;
            continue;
        }
        let is_pack = path.starts_with(".git/objects/pack/");
        if !is_pack || fs::hard_link(&source, &target).is_err() {
            copy(&source, &target, metadata)?;
        }
    }
    Ok(())
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
    copy(from, to, &fs::symlink_metadata(from)?)
}

/// Its time comes along: git takes a file for unchanged by it.
fn copy(from: &Path, to: &Path, metadata: &Metadata) -> io::Result<()> {
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
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn copies_are_their_own() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = from.path();
        fs::create_dir_all(source.join("sub/empty")).unwrap();
        fs::create_dir_all(source.join(".git/objects/pack")).unwrap();
        fs::write(source.join(".git/objects/pack/x.pack"), "pack").unwrap();
        fs::write(source.join("sub/program"), "text").unwrap();
        fs::set_permissions(source.join("sub/program"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("program", source.join("sub/link")).unwrap();
        copy_checkout(source, &list(source).unwrap(), to.path()).unwrap();
        fs::write(to.path().join("sub/program"), "changed").unwrap();
        assert_eq!(fs::read_to_string(source.join("sub/program")).unwrap(), "text");
        assert_eq!(fs::read_link(to.path().join("sub/link")).unwrap(), Path::new("program"));
        let mode = fs::metadata(to.path().join("sub/program")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o755);
        let inode = |folder: &Path| fs::metadata(folder.join(".git/objects/pack/x.pack")).unwrap().ino();
        assert_eq!(inode(source), inode(to.path()));
        assert!(to.path().join("sub/empty").is_dir());
    }

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
