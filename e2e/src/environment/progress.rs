//! Progress events of long operations, for the terminal.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::environment::images;

/// A progress event.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A part of the work starts.
    Started {
        /// The name of the part.
        part: &'static str,
        /// The file with its complete output, if it has one.
        log: Option<PathBuf>,
    },
    /// A part of the work is done.
    Done {
        /// The name of the part.
        part: &'static str,
        /// The duration.
        took: Duration,
    },
    /// A part of the work failed. The caller reports the error itself at the end.
    Failed {
        /// The name of the part.
        part: &'static str,
        /// The time until it failed.
        took: Duration,
    },
    /// A note for the user.
    Note(String),
    /// Progress of an image.
    Image(images::Progress),
}

/// Receives progress events.
pub type Tell = dyn Fn(Progress) + Send + Sync;

/// Runs a part of the work, and reports its start and end.
///
/// # Errors
/// The errors of `work`.
pub async fn part<T, E>(tell: &Tell, part: &'static str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    logged_part(tell, part, None, work).await
}

/// Like [`part`], for work that writes its output to the file `log`.
///
/// # Errors
/// The errors of `work`.
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
