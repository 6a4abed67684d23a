//! Plans for tests.

use crate::pipeline::plan::{Plan, tests};

/// The plan of a file for a push to the default branch.
pub(crate) fn plan(text: &str) -> Plan {
    tests::plan(text, &tests::branch("main"), &[]).unwrap()
}
