//! The pipelines that both programs read.

use std::fmt::Write;

/// The article's pipeline in the style of 2019.
pub(super) const ARTICLE: &str = include_str!("../../../e2e/tests/pipeline/fixtures/of-2019.gitlab-ci.yml");

/// `count` jobs in three stages, with the features of larger files: `extends`, variables, rules with expressions, needs.
pub(super) fn mixed(count: usize) -> String {
    let mut text = String::from(
        "stages: [build, test, deploy]\n\
         variables: {LEVEL: top, IMAGE: alpine}\n\
         .base:\n  image: $IMAGE\n  before_script: [echo before]\n  variables: {KIND: base, WHERE: $CI_COMMIT_REF_SLUG}\n",
    );
    for number in 0..count {
        let stage = ["build", "test", "deploy"].get(number * 3 / count.max(1)).copied().unwrap_or("deploy");
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "job-{number}:\n  extends: .base\n  stage: {stage}\n  script: [echo {number}]\n  variables: {{NUMBER: \"{number}\"}}\n  \
             rules:\n    - if: $CI_COMMIT_BRANCH == \"main\" && $LEVEL =~ /^t/\n      variables: {{CHOSEN: \"yes\"}}\n    \
             - if: $CI_COMMIT_TAG\n      when: manual\n"
        );
        if number >= count / 3 && number % 2 == 0 {
            let _ = writeln!(text, "  needs: [job-{}]", number % (count / 3).max(1));
        }
    }
    text
}

/// `count` jobs that do nothing.
pub(super) fn trivial(count: usize) -> String {
    (0..count).map(|number| format!("job-{number}: {{script: \"true\"}}\n")).collect::<Vec<_>>().concat()
}
