//! Records the rows of the matrix in docs/saboteurs.md, which `.ci/matrix` writes and compares.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use serde_json::json;

use crate::support::project;

/// The number of rows of each test so far.
static NUMBERS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// Records that the test's saboteur made exactly these checks fail, of those that ran, with reports that contain the words. A test with
/// several saboteurs records one row for each.
pub(crate) fn record(ran: &[&str], failed: &[(&str, &str)]) {
    let path = std::thread::current().name().expect("tests have names").to_owned();
    let mut parts = path.rsplit("::");
    let (test, subject) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let failed: BTreeMap<_, _> = failed.iter().copied().collect();
    let number = {
        let mut numbers = NUMBERS.lock().expect("no test panics here");
        let number = numbers.entry(test.to_owned()).or_default();
        *number += 1;
        *number
    };
    let row =
        json!({"subject": subject, "saboteur": test.replace('_', " "), "number": number, "ran": ran, "failed": failed});
    let dir = project().join("target/e2e/saboteurs");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join(format!("{test}-{number}.json")), format!("{row:#}\n")).expect("written");
}
