//! Packs files into tar archives, and unpacks them. All functions block: call them on a thread for blocking work.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::draft::DraftWriter;
use super::selection::{Finding, Selection};

/// The content of a new archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Number of files, directories and links.
    pub entries: usize,
    /// Total size of the files, in bytes.
    pub bytes: u64,
    /// The result of each pattern.
    pub findings: Vec<Finding>,
    /// Number of the files that git does not track, if all such files are selected.
    pub untracked: Option<usize>,
}

/// Packs a complete checkout, readable and writable for all users, because the user of the image is not known here. GitLab Runner
/// creates checkouts for containers with umask 0 for the same reason.
///
/// # Errors
/// A file cannot be read, or the archive cannot be written, for example because the disk is full.
pub fn pack_checkout(dir: &Path, archive: &Path) -> io::Result<()> {
    let mut builder = tar::Builder::new(BufWriter::new(File::create(archive)?));
    builder.follow_symlinks(false);
    visit(dir, Path::new(""), &mut |path, metadata| {
        append(&mut builder, dir, path, metadata, |mode| if mode & 0o111 == 0 { 0o666 } else { 0o777 })
    })?;
    builder.into_inner()?.flush()
}

/// Packs the selected files below a directory.
///
/// # Errors
/// A file cannot be read, the archive cannot be written, for example because the disk is full, or the draft was dropped.
pub fn pack(dir: &Path, mut selection: Selection, archive: DraftWriter) -> io::Result<Packed> {
    let mut packed = Packed::default();
    let mut builder = tar::Builder::new(BufWriter::new(archive));
    builder.follow_symlinks(false);
    let mut roots = selection.roots();
    while let Some(root) = roots.pop() {
        let mut take = |path: &Path, metadata: &fs::Metadata| -> io::Result<()> {
            builder.get_ref().get_ref().check()?;
            // Patterns are text. A byte that is not UTF-8 is one character for them.
            let name = path.to_string_lossy();
            if metadata.is_symlink() {
                let target = fs::metadata(dir.join(path));
                if target.as_ref().is_ok_and(fs::Metadata::is_dir) && selection.enters(&name) {
                    roots.push(format!("{name}/."));
                }
                if target.is_err() && selection.names(&name) {
                    return Ok(());
                }
            }
            if !selection.takes(&name, metadata.is_dir()) {
                return Ok(());
            }
            append(&mut builder, dir, path, metadata, |mode| mode & 0o777)?;
            packed.entries += 1;
            packed.bytes += if metadata.is_file() { metadata.len() } else { 0 };
            Ok(())
        };
        let path = dir.join(&root);
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        // The directory that a link leads to, which ends with `/.`, is not an entry itself.
        let (root, is_link) = root.strip_suffix("/.").map_or((root.as_str(), false), |link| (link, true));
        let root = Path::new(root);
        if !root.as_os_str().is_empty() && !is_link {
            take(root, &metadata)?;
        }
        if metadata.is_dir() {
            visit(&path, root, &mut take)?;
        }
    }
    packed.findings = selection.findings();
    packed.untracked = selection.untracked();
    builder.into_inner()?.flush()?;
    Ok(packed)
}

/// Copies the selected entries of an archive that an engine returns for `root`, a file or directory of the project. The first
/// component of each path in that archive is the root; its name does not matter.
///
/// Returns the paths that the caller must request separately, because the archive has no content for them: selected hard links to files
/// that are not selected, and directories that a pattern reaches through a link.
///
/// # Errors
/// `from` is not a valid archive or ends early, or `builder` cannot be written to.
pub fn repack(
    from: impl Read,
    root: &str,
    selection: &mut Selection,
    builder: &mut tar::Builder<impl Write>,
    packed: &mut Packed,
) -> io::Result<Vec<String>> {
    let in_project =
        |path: &Path| -> PathBuf { Path::new(root).components().chain(path.components().skip(1)).collect() };
    let mut without_content = Vec::new();
    let mut archive = tar::Archive::new(from);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = in_project(&entry.path()?);
        let kind = entry.header().entry_type();
        let is_dir = kind.is_dir();
        if kind.is_symlink() && selection.enters(&path.to_string_lossy()) {
            without_content.push(format!("{}/.", path.to_string_lossy()));
        }
        if path.as_os_str().is_empty() || !selection.takes(&path.to_string_lossy(), is_dir) {
            continue;
        }
        let mut header = entry.header().clone();
        match entry.link_name()? {
            // A hard link's target is a path of the same archive.
            Some(target) if header.entry_type() == tar::EntryType::Link => {
                let target = in_project(&target);
                if !selection.takes(&target.to_string_lossy(), false) {
                    without_content.push(path.to_string_lossy().into_owned());
                    continue;
                }
                builder.append_link(&mut header, &path, target)?;
            }
            Some(target) => builder.append_link(&mut header, &path, target)?,
            None => builder.append_data(&mut header, &path, &mut entry)?,
        }
        packed.entries += 1;
        packed.bytes += entry.size();
    }
    Ok(without_content)
}

/// Unpacks an archive into a directory, over existing files. Nothing is written outside of the directory.
///
/// # Errors
/// The file is not a valid archive, or an entry cannot be written, for example because the disk is full. Earlier entries stay.
pub fn unpack(archive: File, dir: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(BufReader::new(archive));
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.set_overwrite(true);
    archive.unpack(dir)
}

/// The selected files of an archive: their paths and contents. Reads at most `limit` bytes and one more in total: a job decides how large
/// its files are. A caller that gets more than `limit` bytes knows that the content is incomplete.
///
/// # Errors
/// The file cannot be read or is not a valid archive.
pub fn read(
    archive: File,
    limit: u64,
    mut is_selected: impl FnMut(&str) -> bool,
) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut archive = tar::Archive::new(BufReader::new(archive));
    let mut files = Vec::new();
    let mut left = limit.saturating_add(1);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if entry.header().entry_type().is_file() && is_selected(&path) {
            let mut content = Vec::new();
            let count = entry.by_ref().take(left).read_to_end(&mut content)?;
            left = left.saturating_sub(count as u64);
            files.push((path, content));
        }
    }
    Ok(files)
}

/// Visits every entry below a directory, sorted by name, directories before their entries. Links are not followed.
pub(super) fn visit(
    dir: &Path,
    prefix: &Path,
    take: &mut dyn FnMut(&Path, &fs::Metadata) -> io::Result<()>,
) -> io::Result<()> {
    // A job decides how deep the tree is, so this does not recurse. The length of a path limits the depth, which is an error.
    let mut levels = vec![(prefix.to_owned(), sorted(dir)?)];
    while let Some((prefix, entries)) = levels.last_mut() {
        let Some(entry) = entries.next() else {
            levels.pop();
            continue;
        };
        let path = prefix.join(entry.file_name());
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // A process that still runs may remove files.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        take(&path, &metadata)?;
        if metadata.is_dir() {
            levels.push((path, sorted(&entry.path())?));
        }
    }
    Ok(())
}

fn sorted(dir: &Path) -> io::Result<std::vec::IntoIter<fs::DirEntry>> {
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries.into_iter())
}

fn append(
    builder: &mut tar::Builder<impl Write>,
    dir: &Path,
    path: &Path,
    metadata: &fs::Metadata,
    mode: impl Fn(u32) -> u32,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_metadata_in_mode(metadata, tar::HeaderMode::Complete);
    // The users of this machine mean nothing elsewhere.
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(mode(header.mode()?));
    if metadata.is_symlink() {
        let target = fs::read_link(dir.join(path))?;
        header.set_size(0);
        return builder.append_link(&mut header, path, target);
    }
    if metadata.is_dir() {
        header.set_size(0);
        return builder.append_data(&mut header, path, io::empty());
    }
    if !metadata.is_file() {
        return Ok(());
    }
    let file = File::open(dir.join(path))?;
    // A file that grows while it is read would corrupt the archive.
    builder.append_data(&mut header, path, file.take(metadata.len()))
}

#[cfg(test)]
mod tests;
