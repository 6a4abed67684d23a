//! Uncommitted changes of a repository's working tree.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::git::{SourcesError, failed, fields, git, path};
use super::origin::Origin;
use private_dir::remove_if_exists;

/// Applies the uncommitted changes of the repository's working tree to a checkout: changed, new and deleted files, except ignored ones.
pub(super) async fn apply(repository: &Path, dir: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // `-t` writes a letter and a space before each path.
    let listing = ["ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard"];
    let (listed, checked_out) =
        tokio::try_join!(git(Some(repository), &listing), git(Some(dir), &["ls-files", "-z", "--cached"]))?;
    let (repository, dir) = (repository.to_owned(), dir.to_owned());
    let copied = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        let entries = || fields(&listed).filter_map(|entry| Some((entry.first()?, entry.get(2..)?)));
        // Remove first: a file may replace a directory, and a directory a file.
        let wanted: BTreeSet<&[u8]> = entries().map(|(_, name)| name).collect();
        for path in fields(&checked_out).filter(|name| !wanted.contains(name)).map(path) {
            if !is_behind_a_link(&dir, &path) {
                remove_if_exists(&dir.join(path))?;
            }
        }
        let mut present = Vec::new();
        for (kind, name) in entries() {
            // A sparse checkout leaves this file out of the working tree. It is not deleted.
            if *kind == b'S' {
                continue;
            }
            let path = path(name);
            let (from, to) = (repository.join(&path), dir.join(&path));
            match fs::symlink_metadata(&from) {
                Ok(kind) if !is_behind_a_link(&repository, &path) => {
                    // A directory may replace a link, which would lead out of the checkout.
                    if let Some(link) = link_above(&dir, &path) {
                        fs::remove_file(link)?;
                    }
                    let is_same = fs::symlink_metadata(&to).is_ok_and(|old| old.file_type() == kind.file_type());
                    if !is_same {
                        remove_if_exists(&to)?;
                    }
                    // Skip directories: git lists their files separately. The exceptions are submodules, whose changes are not applied.
                    if !kind.is_dir() {
                        present.push((from, to));
                    }
                }
                Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    return Err(error);
                }
                // A path through a link leads out of the checkout, so nothing is removed there.
                _ if is_behind_a_link(&dir, &path) => {}
                _ => remove_if_exists(&to)?,
            }
        }
        for (from, to) in present {
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            super::copy::copy_entry(&from, &to)?;
        }
        Ok(())
    });
    Ok(copied.await??)
}

/// The files in the working tree of the repository with their hashes: tracked and new ones, except ignored ones.
pub(super) async fn blobs(origin: &Origin) -> Result<Vec<(String, String)>, SourcesError> {
    // Do not use commands such as `git diff` and `git diff-files`: to compare contents, they run the filter programs that the
    // repository configures.
    let repository = origin.repository.clone();
    let listed = git(Some(&repository), &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).await?;
    let blob_hash = if origin.is_sha256() { blob_hash::<Sha256> } else { blob_hash::<Sha1> };
    let hashed = tokio::task::spawn_blocking(move || {
        let names: BTreeSet<&[u8]> = fields(&listed).collect();
        let blob = |name: &[u8]| {
            let path = path(name);
            let hash = (!is_behind_a_link(&repository, &path)).then(|| blob_hash(&repository.join(&path)))??;
            Some((String::from_utf8_lossy(name).into_owned(), hash))
        };
        names.into_iter().filter_map(blob).collect()
    });
    hashed.await.map_err(|error| failed("cannot read the working tree", &error.to_string()))
}

/// The hash that git gives to a file or link as it is, without filters. `None` if it cannot be read, or is a directory.
fn blob_hash<Hash: Digest>(path: &Path) -> Option<String> {
    let found = fs::symlink_metadata(path).ok()?;
    if found.is_symlink() {
        let target = fs::read_link(path).ok()?;
        let target = target.as_os_str().as_bytes();
        let head = format!("blob {}\0", target.len());
        return Some(hex::encode(Hash::new_with_prefix(head).chain_update(target).finalize()));
    }
    if !found.is_file() {
        return None;
    }
    let mut hash = Hash::new_with_prefix(format!("blob {}\0", found.len()));
    let mut file = File::open(path).ok()?.take(found.len());
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece).ok()? {
            0 => return Some(hex::encode(hash.finalize())),
            count => hash.update(piece.get(..count)?),
        }
    }
}

/// Whether a parent directory of the path is a link. git does not follow such links.
fn is_behind_a_link(dir: &Path, path: &Path) -> bool {
    link_above(dir, path).is_some()
}

/// The outermost parent directory of `path`, relative to `dir`, that is a link.
fn link_above(dir: &Path, path: &Path) -> Option<PathBuf> {
    let parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    parents.map(|parent| dir.join(parent)).filter(|parent| parent.is_symlink()).last()
}

#[cfg(test)]
mod tests {
    use gitlab_ci::plan::context::RefKind;
    use rstest::rstest;

    use super::*;

    /// The files are a text and a link.
    #[rstest]
    #[case::sha1("sha1")]
    #[case::sha256("sha256")]
    #[tokio::test]
    async fn the_hashes_are_those_of_git(#[case] format: &str) {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        git(Some(dir), &["init", "--quiet", &format!("--object-format={format}")]).await.unwrap();
        fs::write(dir.join("file"), "hello\n").unwrap();
        std::os::unix::fs::symlink("hello", dir.join("link")).unwrap();
        fs::create_dir(dir.join("directory")).unwrap();
        let tree = git(Some(dir), &["write-tree"]).await.unwrap();
        let origin = Origin::new(dir, String::from_utf8(tree).unwrap().trim(), RefKind::Branch, "main", 1, true);
        let found = blobs(&origin).await.unwrap();
        git(Some(dir), &["add", "."]).await.unwrap();
        let staged = git(Some(dir), &["ls-files", "-z", "--format=%(path) %(objectname)"]).await.unwrap();
        let staged: Vec<_> = fields(&staged).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        assert_eq!(found.iter().map(|(path, hash)| format!("{path} {hash}")).collect::<Vec<_>>(), staged);
        assert_eq!(staged.len(), 2);
    }
}
