//! The cases of `cases/` with this test program's executor.

use rstest::rstest;

use crate::cases;

#[rstest]
#[case::ends("ends")]
#[case::stops("stops")]
#[case::files("files")]
#[case::sources("sources")]
#[case::masks("masks")]
#[case::limit("limit")]
fn jobs_run_as_with_gitlab_runner(#[case] name: &str) {
    cases::check(name, crate::EXECUTOR, "[runners.docker]\nimage = \"debian-forky\"", &[]);
}
