//! Names and labels of the objects of a pipeline.

use sha1::{Digest, Sha1};

/// Maximum length of a DNS label and of a label's value.
const MAX_LENGTH: usize = 63;

/// The value of the label [`PIPELINE`](container_engine::labels::PIPELINE) for the pipeline with this owner ID.
pub(super) fn pipeline_label(owner: &str) -> String {
    let mut digits = hex::encode(Sha1::digest(owner.as_bytes()));
    digits.truncate(16);
    digits
}

/// The name of the object that owns all others of a pipeline.
pub(super) fn anchor(owner: &str) -> String {
    format!("e2e-run-{}", pipeline_label(owner))
}

/// A new name for the pod of the job with the number `job`. The pod of an earlier attempt may still exist while it is removed.
pub(super) fn pod(owner: &str, job: u64) -> String {
    let label = pipeline_label(owner);
    format!("e2e-{}-{job}-{:04x}", label.get(..8).unwrap_or_default(), fastrand::u16(..))
}

/// Whether a text is a DNS label (RFC 1123): the name of a container.
pub(super) fn is_label(text: &str) -> bool {
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len())
        && bytes.iter().all(|byte| is_alphanumeric(byte) || *byte == b'-')
        && bytes.first().is_some_and(is_alphanumeric)
        && bytes.last().is_some_and(is_alphanumeric)
}

/// Whether a text is a DNS subdomain (RFC 1123): the name of a pod, or a host name in `hostAliases`.
///
/// ```
/// use gitlab_runner::executor::kubernetes::is_subdomain;
///
/// assert!(is_subdomain("web-1.test"));
/// assert!(!is_subdomain("web/log"));
/// ```
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Turns a text into the value of a label: `executors/kubernetes/util.go`.
pub(super) fn label_value(text: &str) -> String {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let replaced: String = text.chars().map(|letter| if is_allowed(letter) { letter } else { '_' }).collect();
    let is_outer = |letter: char| matches!(letter, '-' | '_' | '.');
    let trimmed = replaced.trim_matches(is_outer);
    trimmed.get(..MAX_LENGTH).unwrap_or(trimmed).trim_end_matches(is_outer).to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn names_are_dns_labels() {
        let owner = "host.example.1234.0123456789abcdef/1";
        assert_eq!(pipeline_label(owner).len(), 16);
        assert_ne!(pipeline_label(owner), pipeline_label("host.example.1234.0123456789abcdef/2"));
        for name in [anchor(owner), pod(owner, u64::MAX)] {
            assert!(is_label(&name), "{name}");
        }
    }

    #[rstest]
    #[case::plain("db", true, true)]
    #[case::digits("1-2", true, true)]
    #[case::dots("db.test", false, true)]
    #[case::underscore("my_db", false, false)]
    #[case::upper_case("DB", false, false)]
    #[case::hyphen_at_the_end("db-", false, false)]
    #[case::nothing("", false, false)]
    #[case::empty_part("a..b", false, false)]
    fn dns_names_are_recognized(#[case] text: &str, #[case] label: bool, #[case] subdomain: bool) {
        assert_eq!((is_label(text), is_subdomain(text)), (label, subdomain));
    }

    #[rstest]
    #[case("group/project", "group_project")]
    #[case("-a b-", "a_b")]
    #[case("é", "")]
    #[case(&format!("{}_/b", "a".repeat(62)), &"a".repeat(62))]
    fn label_values_are_valid(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(label_value(text), expected);
    }
}
