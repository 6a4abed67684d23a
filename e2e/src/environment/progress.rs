//! Parts of long operations, each of which reports its start and its end.

use std::path::PathBuf;
use std::time::Instant;

use crate::record::Verdict;
use crate::record::event::{Event, EventSink};

/// Runs a part of the work, and reports its start and end.
pub async fn part<T, E>(
    notify: &EventSink<'_>,
    part: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    logged_part(notify, part, None, work).await
}

/// Like [`part`], for work that writes its output to the file `log`.
pub async fn logged_part<T, E>(
    notify: &EventSink<'_>,
    part: &'static str,
    log: Option<PathBuf>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    notify(&Event::PartBegan { part, log: log.as_deref() });
    let started = Instant::now();
    let result = work.await;
    let verdict = if result.is_ok() { Verdict::Passed } else { Verdict::Failed };
    notify(&Event::PartEnded { part, verdict, duration: started.elapsed() });
    result
}
