//! Complete jobs, what they inherit, and the checks between jobs.

use rstest::rstest;

use super::reported;

// lib/gitlab/ci/yaml_processor.rb, `validate_job_dependency!`, after lib/gitlab/ci/config/normalizer.rb.
#[rstest]
#[case::instance_of_a_matrix("a: {script: x, needs: ['b: [x]']}", &[])]
#[case::instance_of_a_number("a: {script: x, needs: [c 1/2], dependencies: [c 1/2]}", &[])]
#[case::dependency_on_an_instance("a: {script: x, dependencies: ['b: [y]']}", &[])]
#[case::unknown_instance("a: {script: x, needs: ['b: [z]']}", &["1:24: a job: undefined need: b: [z] (did you mean `b`?)"])]
#[case::unknown_number("a: {script: x, dependencies: [c 3/2]}", &["1:31: a job: undefined dependency: c 3/2 (did you mean `c`?)"])]
#[case::instances("a: {script: x, needs: [{job: b, parallel: {matrix: [{A: [x, y]}]}}]}", &[])]
#[case::one_instance_is_unknown(
    "a: {script: x, needs: [{job: b, parallel: {matrix: [{A: [x, q]}]}}]}",
    &["1:30: a job: undefined need: b: [q] (did you mean `b: [y]`?)"]
)]
#[case::optional("a: {script: x, needs: [{job: b, optional: true, parallel: {matrix: [{A: [x, q]}]}}]}", &[])]
#[case::own_values(
    "a: {script: x, parallel: {matrix: [{B: [x, q]}]}, needs: [{job: b, parallel: {matrix: [{A: ['$[[ matrix.B ]]']}]}}]}",
    &["1:65: a job: undefined need: b: [q] (did you mean `b: [y]`?)"]
)]
#[case::instances_of_a_job_that_is_not_parallel("a: {script: x, needs: [{job: d, parallel: {matrix: [{A: [x]}]}}]}", &[])]
#[case::dependency_in_the_same_stage("a: {script: x, dependencies: [d]}", &[])]
#[case::later_dependency_with_needs(
    "a: {script: x, needs: [e], dependencies: [e]}",
    &[
        "1:24: a job: need e is not defined in current or prior stages (e is in stage deploy, a in test)",
        "1:43: a job: dependency e is not defined in current or prior stages"
    ]
)]
#[case::stage_and_need(
    "a: {script: x, stage: nope, needs: [zz]}",
    &[
        "1:23: a job: chosen stage nope does not exist; available stages are .pre, build, test, deploy, .post",
        "1:37: a job: undefined need: zz"
    ]
)]
fn reports_mistakes_between_jobs(#[case] text: &str, #[case] expected: &[&str]) {
    let others = "b: {script: x, parallel: {matrix: [{A: [x, y]}]}}\nc: {script: x, parallel: 2}\nd: {script: x}\ne: {script: x, stage: deploy}\n";
    assert_eq!(reported(&format!("{text}\n{others}")), expected);
}

// entry/job.rb, entry/processable.rb, entry/commands.rb, entry/hidden.rb, entry/inherit/*.rb
#[rstest]
#[case::hidden_without_a_value(".a:\nb: {script: x}\n", &["1:1: jobs:.a config can't be blank"])]
#[case::hidden_and_empty(".a: {}\nb: {script: x}\n", &["1:1: jobs:.a config can't be blank"])]
#[case::empty_script("a: {script: []}\n", &["1:13: jobs:a script can't be blank"])]
#[case::blank_script("a: {script: ''}\n", &["1:13: jobs:a script can't be blank"])]
#[case::eleven_nested_lists(
    "a: {script: [[[[[[[[[[[x]]]]]]]]]]]}\n",
    &["1:23: jobs:a:script config should be a string or a nested array of strings up to 10 levels deep"]
)]
#[case::command_that_is_a_hash(
    "a:\n  script:\n    - make\n    - echo a: b\n",
    &["4:7: jobs:a:script config should be a string or a nested array of strings up to 10 levels deep (`: ` turns the command into a hash: put it in quotes)"]
)]
#[case::command_that_is_a_number(
    "a: {script: [x, 5]}\n",
    &["1:17: jobs:a:script config should be a string or a nested array of strings up to 10 levels deep (put it in quotes)"]
)]
#[case::script_and_run(
    "a: {script: x, run: [{name: b, script: c}]}\n",
    &["1:16: jobs:a config these keys cannot be used together: script, run", "1:16: valid, but not supported here: run"]
)]
#[case::script_and_trigger(
    "a: {script: x, trigger: g/p}\n",
    &["1:16: jobs:a config these keys cannot be used together: script, trigger", "1:16: valid, but not supported here: trigger"]
)]
#[case::two_words("a b: {stage: test}\n", &["1:1: jobs a_b config should implement the script:, run:, or trigger: keyword (to define a template for `extends`, start the name with a dot: `.a b`)", "1:1: jobs config should contain at least one visible job"])]
#[case::letters_and_digits("A 1: {stage: test}\n", &["1:1: jobs a 1 config should implement the script:, run:, or trigger: keyword (to define a template for `extends`, start the name with a dot: `.A 1`)", "1:1: jobs config should contain at least one visible job"])]
#[case::misspelt_variables("variable: {A: b}\na: {script: x}\n", &["1:1: jobs variable config should implement the script:, run:, or trigger: keyword (did you mean `variables`?)"])]
#[case::misspelt_stages("stags: [a]\na: {script: x}\n", &["1:1: jobs stags config should implement the script:, run:, or trigger: keyword (did you mean `stages`?)"])]
#[case::unknown_parent("a: {extends: .b}\n", &["1:14: a: unknown keys in `extends` (.b)"])]
#[case::unknown_parent_of_a_parent("a: {extends: .b}\n.b: {extends: .c}\n", &["2:15: .b: unknown keys in `extends` (.c)"])]
#[case::unknown_reference("a: {script: !reference [.b, script]}\n", &["1:24: !reference [\".b\", \"script\"] could not be found"])]
#[case::unknown_reference_among_commands("a: {script: [x, !reference [.b, script]]}\n", &["1:28: !reference [\".b\", \"script\"] could not be found"])]
#[case::inherit_is_not_a_hash("a: {script: x, inherit: true}\n", &["1:25: jobs:a:inherit config should be a hash"])]
#[case::inherit_with_an_unknown_key("a: {script: x, inherit: {defalt: false}}\n", &["1:26: jobs:a:inherit config contains unknown keys: defalt (did you mean `default`?)"])]
#[case::inherit_an_unknown_keyword("a: {script: x, inherit: {default: [images]}}\n", &["1:36: jobs:a:inherit:default config contains unknown values: images (did you mean `image`?)"])]
#[case::inherit_of_the_wrong_type("a: {script: x, inherit: {variables: A}}\n", &["1:37: jobs:a:inherit:variables should be a bool or array of strings"])]
#[case::tags("a: {script: x, tags: t}\n", &["1:22: jobs:a:tags config should be an array of strings"])]
#[case::timeout("a: {script: x, timeout: 60}\n", &["1:25: jobs:a:timeout config should be a duration (it must be a string with a unit, for example `10 minutes`)"])]
#[case::long_timeout("a: {script: x, timeout: 2 months}\n", &["1:25: jobs:a:timeout config should not exceed the limit"])]
#[case::delayed_without_a_delay("a: {script: x, when: delayed, rules: [{if: $A}]}\n", &["1:1: jobs:a start in should be a duration"])]
#[case::delay_with_empty_rules("a: {script: x, when: delayed, start_in: 1 day, rules: }\n", &["1:31: jobs:a start in must be blank"])]
#[case::delay_of_a_rule("a: {script: x, rules: [{if: $A, start_in: 1 day}]}\n", &["1:33: jobs:a:rules:rule config contains disallowed keys: start_in"])]
#[case::empty_only("a: {script: x, only: {}}\n", &["1:22: jobs:a:only config can't be blank"])]
#[case::needs_is_a_string("b: {script: x}\na: {script: x, needs: b}\n", &["2:23: jobs:a:needs config can only be a hash or an array (use a list, even for a single job: `[b]`)"])]
#[case::last_rule_is_when("a: {script: x, rules: [{if: $A}, {when: always}]}\n", &["1:34: jobs:a may allow multiple pipelines to run for a single action due to `rules:when` clause with no `workflow:rules` (https://docs.gitlab.com/ci/jobs/job_troubleshooting/)"])]
#[case::last_rule_is_never("a: {script: x, rules: [{if: $A}, {when: never}]}\n", &[])]
#[case::workflow_has_rules("workflow: {rules: [{when: always}]}\na: {script: x, rules: [{when: always}]}\n", &[])]
fn reports_mistakes_in_jobs(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(reported(text), expected);
}

// entry/default.rb: reported once, independently of the number of jobs that inherit it.
#[rstest]
#[case::no_job_inherits(
    "default: {retry: 9, timeout: x y, before_script: {a: b}}\na: {script: x, inherit: {default: false}}\n",
    &[
        "1:18: retry config must be less than or equal to 2",
        "1:30: default:timeout config should be a duration",
        "1:50: default:before_script config should be a string or a nested array of strings up to 10 levels deep"
    ]
)]
#[case::many_jobs_inherit("default: {image: 5}\na: {script: x}\nb: {script: x}\nc: {script: x}\n", &["1:18: default:image config should be a hash or a string"])]
#[case::top_level("services: redis\na: {script: x}\nb: {script: x}\n", &["1:11: services config should be an array"])]
fn reports_mistakes_in_defaults_once(#[case] text: &str, #[case] expected: &[&str]) {
    let reported: Vec<_> = reported(text).iter().map(|it| it.split(" (").next().unwrap().to_owned()).collect();
    assert_eq!(reported, expected);
}
