//! What goes on, for whoever waits.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::environment::images;

/// Something that goes on.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A part of the work begins.
    Started {
        /// Which.
        part: &'static str,
        /// Where all that it says goes.
        log: Option<PathBuf>,
    },
    /// A part of the work is done.
    Done {
        /// Which.
        part: &'static str,
        /// How long it took.
        took: Duration,
    },
    /// A part of the work could not be done. The error itself comes at the end.
    Failed {
        /// Which.
        part: &'static str,
        /// How long it was tried.
        took: Duration,
    },
    /// Something worth knowing.
    Note(String),
    /// An image.
    Image(images::Progress),
}

/// Hears what goes on.
pub type Tell = dyn Fn(Progress) + Send + Sync;

/// Does a part of the work, and tells of its begin and end.
///
/// # Errors
/// Those of the work.
pub async fn part<T, E>(tell: &Tell, part: &'static str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    logged_part(tell, part, None, work).await
}

/// The same for work whose words go to the file `log`.
///
/// # Errors
/// Those of the work.
pub async fn logged_part<T, E>(
    tell: &Tell,
    part: &'static str,
    log: Option<PathBuf>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tell(Progress::Started { part, log });
    let started = Instant::now();
    let result = work.await;
    let took = started.elapsed();
    tell(if result.is_ok() { Progress::Done { part, took } } else { Progress::Failed { part, took } });
    result
}
