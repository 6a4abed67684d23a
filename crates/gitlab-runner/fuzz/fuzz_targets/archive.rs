//! Interprets any bytes as an archive of artifacts: unpacks it, reads its files, and packs the result again.
#![no_main]

use std::fs::{self, File};
use std::io::Write;

use gitlab_runner::workspace::archive;
use gitlab_runner::workspace::draft::Draft;
use gitlab_runner::workspace::selection::Selection;
use libfuzzer_sys::fuzz_target;
use private_dir::PrivateDir;

/// The maximum size of the content that is read, in bytes.
const LIMIT: u64 = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let parent = tempfile::tempdir().expect("there is space for temporary files");
    let path = parent.path().join("artifacts.tar");
    fs::write(&path, data).expect("there is space for temporary files");
    let open = || File::open(&path).expect("the file was written");
    if let Ok(files) = archive::read(open(), LIMIT, |_| true) {
        let size: usize = files.iter().map(|(_, content)| content.len()).sum();
        assert!(size as u64 <= LIMIT + 1, "{size} bytes were read");
    }
    let store = PrivateDir::open(parent.path(), "store").expect("the directory can be created");
    let dir = store.path().join("unpacked");
    fs::create_dir(&dir).expect("the directory can be created");
    // An entry that cannot be unpacked is an error. Earlier entries stay.
    let _ = archive::unpack(open(), &dir);
    assert_eq!(
        fs::read_dir(parent.path()).expect("it exists").count(),
        2,
        "a file outside of the directory was created"
    );
    assert_eq!(
        fs::read_dir(store.path()).expect("it exists").count(),
        1,
        "a file outside of the directory was created"
    );
    let draft = Draft::new(&store).expect("the file can be created");
    let writer = draft.writer().expect("the file can be opened");
    let Ok(packed) = archive::pack(&dir, Selection::new("/p", &["**/*".to_owned()], &[], None), writer) else { return };
    draft.keep("again.tar").expect("the file can be renamed");
    let again = archive::read(store.open_file("again.tar").expect("it exists"), u64::MAX - 1, |_| true);
    let count = again.expect("the new archive is valid").len();
    assert!(count <= packed.entries, "{count} files, but {} entries", packed.entries);
    // Repack the input like the archive that an engine returns for a directory.
    let mut builder = tar::Builder::new(Vec::new());
    let mut selection = Selection::new("/p", &["a/**".to_owned(), "b".to_owned()], &[], None);
    let _ = archive::repack(data, "a", &mut selection, &mut builder, &mut packed.clone());
    let _ = builder.into_inner().expect("memory can be written").flush();
});
