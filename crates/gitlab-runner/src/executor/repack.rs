//! Selects the files of a job from archives that arrive in pieces.

use std::io::{self, BufWriter, Read, Write};

use tokio::sync::mpsc;

use super::request::ExecutorError;
use crate::workspace::archive;
use crate::workspace::archive::Packed;
use crate::workspace::draft::DraftWriter;
use crate::workspace::selection::Selection;

/// Size of the pieces that a file is read in, in bytes.
pub(super) const PIECE_SIZE: usize = 256 * 1024;

/// Maximum number of pieces buffered between the job's container and the disk.
pub(super) const MAX_PIECES: usize = 16;

/// Packs the selected files of a job's project directory. `add` packs those below one root, and returns the result of [`Repacking::add`].
/// If the root does not exist, it changes nothing.
///
/// # Errors
/// Those of `add`, or the archive cannot be written.
pub(super) async fn pack<Added>(
    selection: Selection,
    archive: DraftWriter,
    add: impl Fn(String, Repacking) -> Added,
) -> Result<Packed, ExecutorError>
where
    Added: Future<Output = Result<(Repacking, Vec<String>), ExecutorError>>,
{
    let mut roots = selection.roots();
    let mut repacking = Repacking::new(selection, archive);
    // A selected hard link to a file that is not selected has no content in the archive of its directory, and neither has a link to a
    // directory. They are added separately, after everything else.
    while let Some(root) = roots.pop() {
        let without_content;
        (repacking, without_content) = add(root, repacking).await?;
        roots.extend(without_content);
    }
    repacking.finish().map_err(|error| ExecutorError::system(format!("cannot write the archive: {error}")))
}

/// The path of a root in the directory `project`.
pub(super) fn root_path(project: &str, root: &str) -> String {
    if root.is_empty() { project.to_owned() } else { format!("{project}/{root}") }
}

/// A selection of files, and the archive that they are written to. It is passed between threads.
pub(super) struct Repacking {
    selection: Selection,
    builder: tar::Builder<BufWriter<DraftWriter>>,
    packed: Packed,
}

impl Repacking {
    fn new(selection: Selection, archive: DraftWriter) -> Self {
        Self { selection, builder: tar::Builder::new(BufWriter::new(archive)), packed: Packed::default() }
    }

    /// Whether a pattern without wildcards names `path`.
    pub(super) fn names(&self, path: &str) -> bool {
        self.selection.names(path)
    }

    /// Adds the selected files of the archive of `root`, which arrives in pieces. Also returns the hard links whose content is not in that
    /// archive, see [`archive::repack`]. Blocks.
    pub(super) fn add<Piece: AsRef<[u8]>>(
        mut self,
        root: &str,
        receiver: mpsc::Receiver<io::Result<Piece>>,
    ) -> io::Result<(Self, Vec<String>)> {
        let reader = Pieces { receiver, piece: None, read: 0 };
        let Self { selection, builder, packed } = &mut self;
        archive::repack(reader, root, selection, builder, packed).map(|without_content| (self, without_content))
    }

    /// Completes the archive.
    fn finish(self) -> io::Result<Packed> {
        let Self { selection, builder, mut packed } = self;
        builder.into_inner()?.flush()?;
        packed.findings = selection.findings();
        packed.untracked = selection.untracked();
        Ok(packed)
    }
}

/// A blocking reader over the pieces of an archive.
struct Pieces<Piece> {
    receiver: mpsc::Receiver<io::Result<Piece>>,
    piece: Option<Piece>,
    /// Number of bytes of the current piece that have been read.
    read: usize,
}

impl<Piece: AsRef<[u8]>> Read for Pieces<Piece> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = self.piece.as_ref().and_then(|piece| piece.as_ref().get(self.read..)).unwrap_or_default();
            if !rest.is_empty() {
                let mut rest = rest;
                let count = Read::read(&mut rest, buffer)?;
                self.read += count;
                return Ok(count);
            }
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.piece = Some(piece?),
            }
            self.read = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_read_as_one_stream() {
        let (sender, receiver) = mpsc::channel(4);
        for piece in ["ab", "", "cde"] {
            sender.blocking_send(Ok(piece)).unwrap();
        }
        drop(sender);
        let mut text = String::new();
        Pieces { receiver, piece: None, read: 0 }.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcde");
    }

    #[test]
    fn an_error_between_pieces_is_returned() {
        let (sender, receiver) = mpsc::channel::<io::Result<&str>>(4);
        sender.blocking_send(Ok("ab")).unwrap();
        sender.blocking_send(Err(io::Error::other("gone"))).unwrap();
        let error = Pieces { receiver, piece: None, read: 0 }.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "gone");
    }
}
