//! The cases of `e2e/tests/pipeline/cases/` in pods.

use super::{IMAGE, Namespace};
use crate::cases;

/// One file after the other: a node starts about one pod per second, and a pod that starts late would change the result of a timeout.
#[test]
#[ignore = "the docker executor runs the same jobs in make test-engine; in pods: make test-variants"]
fn jobs_run_as_with_gitlab_runner() {
    let namespace = Namespace::new();
    let settings = format!("[runners.kubernetes]\nimage = \"{IMAGE}\"");
    for name in ["ends", "stops", "files", "sources", "limit"] {
        cases::check(name, "kubernetes", &settings, &["--namespace", &namespace.name]);
    }
}
