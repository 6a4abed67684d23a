//! Packs files into tar archives, and unpacks them. All functions block: call them on a thread for blocking work.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::draft::DraftWriter;
use super::selection::Selection;

/// The content of a new archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Number of files, directories and links.
    pub entries: usize,
    /// Total size of the files, in bytes.
    pub bytes: u64,
    /// Patterns that match nothing.
    pub unmatched: Vec<String>,
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
    for root in selection.roots() {
        let mut take = |path: &Path, metadata: &fs::Metadata| -> io::Result<()> {
            builder.get_ref().get_ref().check()?;
            // Patterns are text. A byte that is not UTF-8 is one character for them.
            if !selection.takes(&path.to_string_lossy(), metadata.is_dir()) {
                return Ok(());
            }
            append(&mut builder, dir, path, metadata, |mode| mode & 0o777)?;
            packed.entries += 1;
            packed.bytes += if metadata.is_file() { metadata.len() } else { 0 };
            Ok(())
        };
        let path = dir.join(&root);
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let root = Path::new(&root);
        if !root.as_os_str().is_empty() {
            take(root, &metadata)?;
        }
        if metadata.is_dir() {
            visit(&path, root, &mut take)?;
        }
    }
    packed.unmatched = selection.unmatched();
    builder.into_inner()?.flush()?;
    Ok(packed)
}

/// Copies the selected entries of an archive that an engine returns for `root`, a file or directory of the project. The first
/// component of each path in that archive is the root; its name does not matter.
///
/// Returns the selected paths that are hard links to files that are not selected: the archive has no content for them, so the caller
/// must request them separately.
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
        let is_dir = entry.header().entry_type().is_dir();
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
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::workspace::draft::Draft;
    use private_dir::PrivateDir;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        fs::create_dir_all(path.join("dist/empty")).unwrap();
        fs::write(path.join("dist/app"), "binary").unwrap();
        fs::set_permissions(path.join("dist/app"), fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(path.join("a.txt"), "text").unwrap();
        std::os::unix::fs::symlink("app", path.join("dist/link")).unwrap();
        dir
    }

    fn packed(dir: &Path, selection: Selection, archive: &Path) -> Packed {
        let draft = Draft::new(&PrivateDir::open(archive.parent().unwrap(), "").unwrap()).unwrap();
        let packed = pack(dir, selection, draft.writer().unwrap()).unwrap();
        draft.keep(archive.file_name().unwrap().to_str().unwrap()).unwrap();
        packed
    }

    fn selection(paths: &[&str]) -> Selection {
        Selection::new("/p", &paths.iter().map(ToString::to_string).collect::<Vec<_>>(), &[], None)
    }

    /// A job decides how deep its artifacts are. The stack of this thread is much smaller than a worker's.
    #[test]
    fn a_deep_tree_needs_no_deep_stack() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(vec!["d"; 700].join("/"))).unwrap();
        let path = dir.path().to_owned();
        let visited = std::thread::Builder::new().stack_size(96 << 10).spawn(move || {
            let mut count = 0;
            visit(&path, Path::new(""), &mut |_, _| {
                count += 1;
                Ok(())
            })
            .map(|()| count)
        });
        assert_eq!(visited.unwrap().join().unwrap().unwrap(), 700);
    }

    #[test]
    fn packed_files_are_unpacked_unchanged() {
        let (from, to) = (tree(), tempfile::tempdir().unwrap());
        let archive = to.path().join("a.tar");
        let packed = packed(from.path(), selection(&["dist", "none/*"]), &archive);
        assert_eq!((packed.entries, packed.bytes, packed.unmatched), (4, 6, vec!["none/*".to_owned()]));
        let target = to.path().join("x");
        fs::create_dir_all(target.join("dist")).unwrap();
        fs::write(target.join("dist/app"), "older and longer").unwrap();
        unpack(File::open(&archive).unwrap(), &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("dist/app")).unwrap(), "binary");
        assert_eq!(fs::metadata(target.join("dist/app")).unwrap().permissions().mode() & 0o777, 0o750);
        assert_eq!(fs::read_link(target.join("dist/link")).unwrap(), Path::new("app"));
        assert!(target.join("dist/empty").is_dir() && !target.join("a.txt").exists());
        assert_eq!(
            read(File::open(&archive).unwrap(), 6, |path| path == "dist/app").unwrap(),
            [("dist/app".to_owned(), b"binary".to_vec())]
        );
        // One byte more than the limit shows that the content is incomplete.
        assert_eq!(
            read(File::open(&archive).unwrap(), 3, |_| true).unwrap(),
            [("dist/app".to_owned(), b"bina".to_vec())]
        );
    }

    #[test]
    fn names_that_are_not_utf8_are_packed() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = OsStr::from_bytes(b"caf\xe9.txt");
        fs::create_dir(from.path().join("out")).unwrap();
        fs::write(from.path().join("out").join(name), "text").unwrap();
        let archive = to.path().join("a.tar");
        assert_eq!(packed(from.path(), selection(&["out/*.txt"]), &archive).entries, 1);
        // As an engine returns it.
        let mut repacked = tar::Builder::new(File::create(to.path().join("b.tar")).unwrap());
        let counts = &mut Packed::default();
        let mut some = selection(&["out/"]);
        repack(File::open(&archive).unwrap(), "out", &mut some, &mut repacked, counts).unwrap();
        repacked.into_inner().unwrap();
        for (archive, target) in [(&archive, "x"), (&to.path().join("b.tar"), "y")] {
            unpack(File::open(archive).unwrap(), &to.path().join(target)).unwrap();
            assert_eq!(fs::read_to_string(to.path().join(target).join("out").join(name)).unwrap(), "text");
        }
        // A checkout for a container.
        pack_checkout(from.path(), &archive).unwrap();
        unpack(File::open(&archive).unwrap(), &to.path().join("z")).unwrap();
        assert!(to.path().join("z/out").join(name).exists());
    }

    /// An engine's archive of a directory that contains a file and a hard link to it.
    fn engine_archive(from: &Path, name: &str, to: &Path) -> File {
        let mut builder = tar::Builder::new(File::create(to).unwrap());
        builder.follow_symlinks(false);
        builder.append_dir_all(name, from).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(0);
        header.set_mode(0o644);
        builder.append_link(&mut header, format!("{name}/other"), format!("{name}/app")).unwrap();
        builder.finish().unwrap();
        File::open(to).unwrap()
    }

    #[test]
    fn an_engines_archive_is_reduced_to_the_selection() {
        let (from, to) = (tree(), tempfile::tempdir().unwrap());
        let dist = from.path().join("dist");
        let archive = to.path().join("some.tar");
        let mut builder = tar::Builder::new(File::create(&archive).unwrap());
        let (mut packed, mut selected) =
            (Packed::default(), selection(&["dist/sub/app", "dist/sub/link", "dist/sub/other"]));
        let whole = engine_archive(&dist, "sub", &to.path().join("whole.tar"));
        let without = repack(whole, "dist/sub", &mut selected, &mut builder, &mut packed).unwrap();
        assert_eq!((packed.entries, packed.bytes, without.len()), (3, 6, 0));
        // The project directory itself. Its name does not matter.
        let whole = engine_archive(&dist, "project", &to.path().join("whole.tar"));
        let mut selected = selection(&["other"]);
        let without = repack(whole, "", &mut selected, &mut builder, &mut packed).unwrap();
        assert_eq!((packed.entries, without), (3, vec!["other".to_owned()]));
        // A single file.
        let mut selected = selection(&["dist/link"]);
        let whole = engine_archive(&dist, "link", &to.path().join("whole.tar"));
        repack(whole, "dist/link", &mut selected, &mut builder, &mut packed).unwrap();
        builder.into_inner().unwrap();
        unpack(File::open(&archive).unwrap(), &to.path().join("x")).unwrap();
        assert_eq!(fs::read_link(to.path().join("x/dist/sub/link")).unwrap(), Path::new("app"));
        assert_eq!(fs::read_to_string(to.path().join("x/dist/sub/other")).unwrap(), "binary");
    }
}
