//! Links with untrusted targets.

use std::fmt::Write;

use maud::{Markup, html};

use crate::record::Job;
use crate::report::run::words::Kind;

/// Whether the URL is a web address, and not a scheme that a browser executes.
pub(super) fn is_web(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// A link to a file next to the page, or only the path of a file elsewhere, because the page may be viewed on another machine.
pub(super) fn file(path: &str) -> Markup {
    html! {
        @match relative(path) {
            Some(reference) => a href=(reference) { code { (path) } },
            None => code { (path) },
        }
    }
}

/// The reference to a file in the page's directory, or `None` for a file elsewhere.
pub(super) fn relative(path: &str) -> Option<String> {
    let is_below = !path.starts_with('/') && !path.split('/').any(|part| part == "..");
    is_below.then(|| encode(path))
}

/// A path as a URL reference. The leading `./` prevents a text before a colon from being a scheme.
fn encode(path: &str) -> String {
    let mut reference = "./".to_owned();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'~' => {
                reference.push(char::from(byte));
            }
            // Writing to a `String` cannot fail.
            _ => drop(write!(reference, "%{byte:02X}")),
        }
    }
    reference
}

/// The anchor of the log excerpt of a job, from the numbers of the pipeline and the job.
pub(super) fn anchor(pipeline: usize, job: usize) -> String {
    format!("log-{pipeline}-{job}")
}

/// Whether the page has a log excerpt of the job.
pub(super) fn has_log(job: &Job) -> bool {
    Kind::from_job(job) == Kind::Failed || !job.last_lines.is_empty()
}

/// The target for a job's log: the excerpt in the page, or else the file.
pub(super) fn log_of(anchor: &str, job: &Job) -> Option<String> {
    if has_log(job) {
        return Some(format!("#{anchor}"));
    }
    job.log.as_deref().and_then(relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_texts_are_not_executed() {
        assert!(!is_web("javascript:alert(1)") && is_web("http://dev.gitlab-k8s-demo.test"));
        assert_eq!(encode("javascript:alert(1)"), "./javascript%3Aalert%281%29");
        assert_eq!(encode("logs/a b#1.log"), "./logs/a%20b%231.log");
    }

    #[test]
    fn files_elsewhere_are_not_linked() {
        assert_eq!(file("/x/job.log").into_string(), "<code>/x/job.log</code>");
        assert_eq!(file("../job.log").into_string(), "<code>../job.log</code>");
        assert_eq!(file("job.log").into_string(), "<a href=\"./job.log\"><code>job.log</code></a>");
    }
}
