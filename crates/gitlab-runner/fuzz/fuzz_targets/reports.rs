//! Interprets any bytes as a dotenv report and as a test report.
#![no_main]

use gitlab_runner::artifacts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let report = ("report".to_owned(), data.to_vec());
    match artifacts::variables(std::slice::from_ref(&report)) {
        Ok(variables) => {
            for variable in variables {
                let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                assert!(!variable.key.is_empty() && variable.key.chars().all(is_name), "{:?} is no name", variable.key);
            }
        }
        Err(message) => assert!(!message.contains('\n'), "{message}"),
    }
    let (tests, unreadable) = artifacts::count_tests(&[report]);
    assert!(tests.is_some() != (unreadable.len() == 1), "the report is counted or unreadable");
    if let Some(tests) = tests {
        assert!(tests.failed + tests.skipped <= tests.total, "{tests:?}");
    }
});
