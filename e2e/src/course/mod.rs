//! The exercises of the course: each has a goal, a verifier that looks at the result, and a hint.
//!
//! - `exercise`, `verdict`: the types. [`project`]: the student's clone. [`selection`]: exercises by page and number.
//! - `plans`, `rehearsal`: the pipelines of the clone, and what their jobs would do. `manifest`, `deployed`: Kubernetes objects.
//! - The other modules have the verifiers, one module for each page of docs/course.
//!
//! A verifier accepts every solution with the required effect, so it looks at plans, at objects and at responses, and not at the text of a
//! file. docs/course/teacher has an answer and a wrong solution for each exercise; `e2e/tests/course` runs them.

mod deployed;
mod exercise;
mod manifest;
mod plans;
pub mod project;
mod rehearsal;
pub mod selection;
mod verdict;

mod deployment;
mod image;
mod permissions;
mod pipeline;
mod probes;
mod registry;
mod release;
mod repair;
mod service;
mod traffic;

pub use self::exercise::{Exercise, Id, Verifier};
pub use self::verdict::{Unsolved, Verdict};

/// All exercises, in the order of the pages.
pub static EXERCISES: &[Exercise] = &[
    service::PING,
    image::VENDOR,
    registry::COMMIT_TAG,
    pipeline::CHANGES,
    pipeline::NEEDS,
    permissions::CONFIG_MAPS,
    deployment::LOG_LEVEL,
    deployment::DEPLOYED,
    probes::STARTUP,
    probes::SHUTDOWN,
    traffic::SECOND_HOST,
    traffic::QUERY,
    release::VERIFY,
    repair::BROKEN,
    repair::REVERT,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_of_the_ten_pages_has_exercises_that_are_numbered_from_one() {
        let mut pages: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for Exercise { id: Id { page, number }, .. } in EXERCISES {
            pages.entry(*page).or_default().push(*number);
        }
        assert_eq!(pages.keys().copied().collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
        for (page, numbers) in pages {
            assert_eq!(numbers, (1..=u8::try_from(numbers.len()).unwrap()).collect::<Vec<_>>(), "page {page}");
        }
    }
}
