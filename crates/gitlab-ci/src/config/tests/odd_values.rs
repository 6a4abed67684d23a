//! Values that look wrong and that GitLab accepts, and the other way round. Each case was compared with GitLab's own code.

use rstest::rstest;

use super::reported;
use crate::testing::{branch, plan_for};

#[rstest]
// `lib/gitlab/ci/config/external/mapper.rb`
#[case::include_without_a_value("include:\na: {script: x}\n")]
#[case::include_of_nothing("include: [null]\na: {script: x}\n")]
// `lib/gitlab/config/entry/factory.rb`
#[case::need_without_a_value("b: {script: x}\na: {script: x, needs: [null, b]}\n")]
#[case::service_without_a_value("a: {script: x, services: [null, redis]}\n")]
#[case::stages_without_a_value("stages:\na: {script: x}\n")]
#[case::workflow_without_a_value("workflow:\na: {script: x}\n")]
// `entry/rules.rb`
#[case::rules_in_empty_lists("a: {script: x, rules: [[]]}\n")]
// `entry/retry.rb`
#[case::reason_that_the_documentation_lacks(
    "a: {script: x, retry: {max: 1, when: [runner_interrupted, user_blocked]}}\n"
)]
// `lib/gitlab/config/loader/multi_doc_yaml.rb`
#[case::empty_first_document("---\n---\na: {script: x}\n")]
#[case::empty_last_document("a: {script: x}\n---\n")]
fn is_valid(#[case] text: &str) {
    assert_eq!(reported(text), Vec::<String>::new());
}

#[rstest]
// `entry/processable.rb`
#[case::number_as_a_job("123: {script: x}\n", "1:1: jobs:123 name should be a symbol (quote the name: '123')")]
#[case::boolean_as_a_job("on: {script: x}\n", "1:1: jobs:true name should be a symbol (quote the name: 'true')")]
#[case::nothing_as_a_job("~: {script: x}\n", "1:1: jobs:job name can't be blank")]
#[case::no_name("'': {script: x}\n", "1:1: jobs:job name can't be blank")]
// `lib/gitlab/ci/config/entry/legacy_validation_helpers.rb`
#[case::fraction_in_a_matrix(
    "a: {script: x, parallel: {matrix: [{A: [3.8]}]}}\n",
    "1:41: jobs:a:parallel:matrix:variables config should be a hash of key value pairs, value can be an array (quote the value: '3.8')"
)]
// `lib/gitlab/ci/config/yaml/tags/reference.rb`
#[case::reference_of_a_word(
    "a: {script: !reference b}\n",
    "1:24: !reference \"b\" is not valid (write a list of strings: `!reference [job, keyword]`)"
)]
// `lib/gitlab/ci/yaml_processor/dag.rb`, after `normalizer.rb`
#[case::instance_that_is_needed_twice(
    "b: {script: x, parallel: 2}\na: {script: x, needs: [b, b 1/2]}\n",
    "2:27: a has the following needs duplicated: b 1/2."
)]
#[case::instance_with_one_value_twice(
    "b: {script: x, parallel: {matrix: [{X: [1, 2]}]}}\na: {script: x, needs: [{job: b, parallel: {matrix: [{X: [1, 1]}]}}]}\n",
    "2:30: a has the following needs duplicated: b: [1]."
)]
// `lib/gitlab/ci/config/interpolation/matrix_interpolator.rb`
#[case::unknown_name_in_a_need(
    "b: {script: x}\na: {script: x, parallel: {matrix: [{A: b}]}, needs: ['$[[ matrix.B ]]']}\n",
    "2:54: a job: 'B' does not exist in matrix configuration"
)]
fn is_refused(#[case] text: &str, #[case] expected: &str) {
    assert!(reported(text).iter().any(|message| message == expected), "{:#?}", reported(text));
}

// `lib/gitlab/ci/config/yaml/result.rb`
#[rstest]
#[case::first("a: {script: x}\n---\nb: {script: x}\n", "a")]
#[case::last_after_a_header("spec: {inputs: {}}\n---\na: {script: x}\n---\nb: {script: x}\n", "b")]
fn one_of_several_documents_counts(#[case] text: &str, #[case] expected: &str) {
    let plan = plan_for(text, &branch("main"), &[]).unwrap();
    assert_eq!(plan.jobs.iter().map(|job| &*job.name).collect::<Vec<_>>(), [expected]);
}

#[test]
fn an_ignored_document_is_reported() {
    let expected = "2:5: only the first document of the file is read (a file has two documents only if the first one is a header with `spec`)";
    assert_eq!(reported("a: {script: x}\n--- {b: {script: x}}\n"), [expected]);
}

#[rstest]
// `entry/trigger.rb`
#[case::include_of_a_trigger_as_a_hash(
    "a: {trigger: {include: {local: x.yml}}}\n",
    "jobs:a:trigger:include config should be an array or a string"
)]
// A header must be a document of its own.
#[case::spec_without_a_document(
    "spec: {inputs: {}}\na: {script: x}\n",
    "jobs spec config should implement the script:, run:, or trigger: keyword (a header is a document of its own"
)]
fn is_refused_with(#[case] text: &str, #[case] expected: &str) {
    assert!(reported(text).iter().any(|message| message.contains(expected)), "{:#?}", reported(text));
}

// `External::Processor#perform` ends at the first include that cannot be read.
#[test]
fn errors_that_follow_from_a_missing_include_are_left_out() {
    let text = "include: b.yml\na: {extends: .b, script: !reference [.b, script], needs: [b]}\n";
    assert_eq!(reported(text), ["1:10: Local file `b.yml` does not exist!"]);
}
