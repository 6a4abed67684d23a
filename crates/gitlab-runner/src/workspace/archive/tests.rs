//! Tests of archives on this machine and from engines.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use rstest::rstest;

use super::*;
use crate::workspace::draft::Draft;
use crate::workspace::selection::Unusable;
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
    assert_eq!((packed.entries, packed.bytes), (4, 6));
    let counts: Vec<_> = packed.findings.iter().map(|finding| finding.count).collect();
    assert_eq!(counts, [Ok(4), Ok(0)]);
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
    assert_eq!(read(File::open(&archive).unwrap(), 3, |_| true).unwrap(), [("dist/app".to_owned(), b"bina".to_vec())]);
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

/// GitLab Runner's `commands/helpers/file_archiver.go`
#[rstest]
#[case::files_below_a_link(&["latest/*"], &["latest/app", "latest/empty", "latest/link"], &[Ok(3)])]
#[case::a_link_itself(&["latest"], &["latest"], &[Ok(1)])]
#[case::wildcards_follow_no_link(&["**/app"], &["dist/app"], &[Ok(1)])]
#[case::a_link_to_nothing(&["dangling", "a.txt"], &["a.txt"], &[Ok(0), Ok(1)])]
#[case::a_link_to_nothing_by_a_wildcard(&["dang*"], &["dangling"], &[Ok(1)])]
#[case::also_the_target(&["dist/", "latest/app"], &["dist", "dist/app", "dist/empty", "dist/link", "latest/app"], &[Ok(4), Ok(1)])]
#[case::outside(&["../x", "a.txt"], &["a.txt"], &[Err(Unusable::Outside), Ok(1)])]
fn links_are_followed_where_a_pattern_names_them(
    #[case] patterns: &[&str],
    #[case] expected: &[&str],
    #[case] counts: &[Result<usize, Unusable>],
) {
    let (from, to) = (tree(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink("dist", from.path().join("latest")).unwrap();
    std::os::unix::fs::symlink("nothing", from.path().join("dangling")).unwrap();
    let archive = to.path().join("a.tar");
    let packed = packed(from.path(), selection(patterns), &archive);
    assert_eq!(packed.findings.iter().map(|finding| finding.count).collect::<Vec<_>>(), counts);
    let mut archive = tar::Archive::new(File::open(&archive).unwrap());
    let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    let mut names: Vec<_> = names.map(|name| name.trim_end_matches('/').to_owned()).collect();
    names.sort();
    assert_eq!(names, expected);
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
