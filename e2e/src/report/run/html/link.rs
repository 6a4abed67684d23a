//! Links of which the target was written by somebody else.

use std::fmt::Write;

use maud::{Markup, html};

use crate::record::Job;
use crate::report::run::words::Kind;

/// Whether it is a web page's address, and nothing that a browser would do.
pub(super) fn is_web(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// A link to a file beside the page, or its path where it is elsewhere: a page is looked at on other machines too.
pub(super) fn file(path: &str) -> Markup {
    html! {
        @match beside(path) {
            Some(reference) => a href=(reference) { code { (path) } },
            None => code { (path) },
        }
    }
}

/// The reference to a file that is moved with the page; nothing for one that is elsewhere.
pub(super) fn beside(path: &str) -> Option<String> {
    let is_beside = !path.starts_with('/') && !path.split('/').any(|part| part == "..");
    is_beside.then(|| relative(path))
}

/// A path as a reference. The dot keeps what has a colon from being a scheme.
fn relative(path: &str) -> String {
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

/// Where the end of a job's log is, by the numbers of its pipeline and of itself.
pub(super) fn anchor(pipeline: usize, job: usize) -> String {
    format!("log-{pipeline}-{job}")
}

/// Whether there is more to say about a job than fits into its box.
pub(super) fn has_log(job: &Job) -> bool {
    Kind::of_job(job) == Kind::Failed || !job.last_lines.is_empty()
}

/// Where a job's log is: at the page's own account of its end, else in its file.
pub(super) fn log_of(anchor: &str, job: &Job) -> Option<String> {
    if has_log(job) {
        return Some(format!("#{anchor}"));
    }
    job.log.as_deref().and_then(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_script() {
        assert!(!is_web("javascript:alert(1)") && is_web("http://dev.gitlab-k8s-demo.test"));
        assert_eq!(relative("javascript:alert(1)"), "./javascript%3Aalert%281%29");
        assert_eq!(relative("logs/a b#1.log"), "./logs/a%20b%231.log");
    }

    #[test]
    fn files_elsewhere_are_named_only() {
        assert_eq!(file("/x/job.log").into_string(), "<code>/x/job.log</code>");
        assert_eq!(file("../job.log").into_string(), "<code>../job.log</code>");
        assert_eq!(file("job.log").into_string(), "<a href=\"./job.log\"><code>job.log</code></a>");
    }
}
