//! The cases of `e2e/tests/pipeline/cases/` in pods.

use rstest::rstest;

use super::{IMAGE, Namespace};
use crate::cases;

#[rstest]
#[case::ends("ends")]
#[case::stops("stops")]
#[case::files("files")]
#[case::sources("sources")]
#[case::masks("masks")]
#[case::limit("limit")]
fn jobs_run_as_with_gitlab_runner(#[case] name: &str) {
    let namespace = Namespace::new();
    let settings = format!("[runners.kubernetes]\nimage = \"{IMAGE}\"");
    cases::check(name, "kubernetes", &settings, &["--namespace", &namespace.name]);
}
