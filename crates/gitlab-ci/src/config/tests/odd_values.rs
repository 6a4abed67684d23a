//! Values that look wrong and that GitLab accepts, and the other way round. Each case was compared with GitLab's own code.

use rstest::rstest;

use super::{OneFile, reported};
use crate::diagnostic::Severity;
use crate::gitlab_version::GitlabVersion;
use crate::include::Environment;
use crate::lint::lint;
use crate::testing::{branch, plan_for};

#[rstest]
// `lib/gitlab/ci/config/external/mapper.rb`
#[case::include_without_a_value("include:\na: {script: x}\n")]
#[case::include_of_nothing("include: [null]\na: {script: x}\n")]
// `lib/gitlab/config/entry/factory.rb`
#[case::need_without_a_value("b: {script: x}\na: {script: x, needs: [null, b]}\n")]
#[case::service_without_a_value("a: {script: x, services: [null, redis]}\n")]
#[case::cache_without_a_value("a: {script: x, cache: [null, {paths: [b]}]}\n")]
#[case::stages_without_a_value("stages:\na: {script: x}\n")]
#[case::workflow_without_a_value("workflow:\na: {script: x}\n")]
// `entry/rules.rb`
#[case::rules_in_empty_lists("a: {script: x, rules: [[]]}\n")]
// `entry/retry.rb`
#[case::reason_that_the_documentation_lacks(
    "a: {script: x, retry: {max: 1, when: [ci_quota_exceeded, user_blocked]}}\n"
)]
#[case::number_of_retries_as_a_text("a: {script: x, retry: {max: '1'}}\n")]
// `lib/gitlab/untrusted_regexp/ruby_syntax.rb`: what does not have the form of a regular expression is a name.
#[case::name_with_a_slash("a: {script: x, only: [/main, /, /main/g, /main/x, '/(/@g/p']}\n")]
#[case::unicode_class("a: {script: x, only: ['/^\\p{L}+$/'], except: {variables: ['$A =~ /^\\p{^Lu}/']}}\n")]
// `entry/stages.rb`, `lib/gitlab/ci/config/edge_stages_injector.rb`
#[case::stages_of_nothing("stages: [[]]\na: {script: x, stage: .pre}\nb: {script: x, stage: .post}\n")]
#[case::nested_stages("stages: [[a], [[b]]]\na: {script: x, stage: b}\n")]
// `filter_jobs!` of `entry/root.rb`
#[case::job_named_default("default: {script: x}\n")]
#[case::job_named_workflow("workflow: {script: x}\n")]
// `entry/job.rb`: `validates :start_in, absence: true`
#[case::blank_delay("a: {script: x, start_in: ''}\nb: {script: x, start_in: []}\n")]
#[case::anchor_of_a_symbol(":j:\n  script: x\n  variables: {A: &b c}\n")]
// `lib/gitlab/ci/yaml_processor.rb` looks these names up after `normalizer.rb`.
#[case::instance_as_on_stop(
    "s: {script: x, parallel: 2, environment: {name: e, action: stop}}\na: {script: x, environment: {name: e, on_stop: s 1/2}}\n"
)]
#[case::instances_in_needs_of_a_rule(
    "b: {script: x, parallel: 2}\na: {script: x, rules: [{if: $A, needs: [b 1/2, {job: b, optional: true}]}]}\n"
)]
// `entry/rules/rule/changes.rb`, `entry/rules/rule/exists.rb`
#[case::paths_without_a_value("a: {script: x, rules: [{changes: {paths: [b], compare_to: }}, {exists: {paths: }}]}\n")]
// `entry/schemas/imageable/executor_opts.json`
#[case::user_of_kubernetes("a: {script: x, image: {name: b, docker: {}, kubernetes: {user: 1000}}}\n")]
#[case::keywords_without_a_value("a: {script: x, artifacts: {reports: {junit: , coverage_report: }}, environment: }\n")]
// `lib/gitlab/config/loader/multi_doc_yaml.rb`
#[case::empty_first_document("---\n---\na: {script: x}\n")]
#[case::empty_last_document("a: {script: x}\n---\n")]
fn is_valid(#[case] text: &str) {
    assert_eq!(reported(text), Vec::<String>::new());
}

#[rstest]
// `entry/processable.rb`
#[case::number_as_a_job("123: {script: x}\n", "1:1: jobs:123 name should be a symbol (put the name in quotes)")]
#[case::boolean_as_a_job("on: {script: x}\n", "1:1: jobs:true name should be a symbol (put the name in quotes)")]
#[case::nothing_as_a_job("~: {script: x}\n", "1:1: jobs:job name can't be blank")]
#[case::no_name("'': {script: x}\n", "1:1: jobs:job name can't be blank")]
// `lib/gitlab/ci/config/entry/legacy_validation_helpers.rb`
#[case::fraction_in_a_matrix(
    "a: {script: x, parallel: {matrix: [{A: [3.8]}]}}\n",
    "1:41: jobs:a:parallel:matrix:variables config should be a hash of key value pairs, value can be an array (put the value in quotes)"
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
// `lib/gitlab/config/entry/composable_hash.rb` makes an empty hash of null, and rules have no hash form: `entry/variable.rb`
#[case::nothing_as_a_variable_of_a_rule(
    "a: {script: x, rules: [{if: $A, variables: {V: }}]}\n",
    "1:45: jobs:a:rules:rule:variables:v config must be a string"
)]
// `validates :key, alphanumeric: true` of `entry/variable.rb`
#[case::boolean_as_a_variable(
    "a: {script: x, variables: {on: 1}}\n",
    "1:28: jobs:a:variables:true key must be an alphanumeric string (put the name in quotes)"
)]
#[case::fraction_as_a_variable(
    "variables: {1.5: 1}\na: {script: x}\n",
    "1:13: variables:1.5 key must be an alphanumeric string (put the name in quotes)"
)]
// `lib/gitlab/ci/build/policy/kubernetes.rb`
#[case::kubernetes_without_a_value(
    "a: {script: x, only: {kubernetes: }}\n",
    "1:23: Undefined error (write `only: {kubernetes: active}`: GitLab fails if the key has no value)"
)]
// `lib/gitlab/untrusted_regexp/ruby_syntax.rb`
#[case::escaped_slash_at_the_end(
    "a: {script: x, only: ['/main\\/']}\n",
    "1:23: jobs:a:only config should be an array of strings or regular expressions using re2 syntax (trailing \\)"
)]
// `lib/gitlab/ci/config/edge_stages_injector.rb`
#[case::no_stages(
    "stages: []\na: {script: x}\n",
    "2:1: a job: chosen stage test does not exist; available stages are "
)]
#[case::stages_that_are_too_deep(
    "stages: [[[[[[[[[[[a]]]]]]]]]]]\na: {script: x}\n",
    "1:9: stages config should be an array of strings or a nested array of strings up to 10 levels deep"
)]
// `entry/pull_policy.rb`
#[case::no_pull_policy(
    "a: {script: x, image: {name: b, pull_policy: []}}\n",
    "1:46: jobs:a:image:pull_policy config can't be blank"
)]
// `entry/bridge.rb`, `PROCESSABLE_ALLOWED_KEYS` of `entry/processable.rb`
#[case::inputs_of_a_bridge("a: {trigger: g/p, inputs: {}}\n", "1:19: jobs:a config contains unknown keys: inputs")]
#[case::confirmation_of_a_bridge(
    "a: {trigger: g/p, manual_confirmation: x}\n",
    "1:19: jobs:a config contains unknown keys: manual_confirmation"
)]
// `entry/job.rb`
#[case::list_of_inputs("a: {script: x, inputs: []}\n", "1:24: jobs:a:inputs config should be a hash")]
// `lib/gitlab/config/loader/multi_doc_yaml.rb`: GitLab loads all documents.
#[case::ignored_document_that_is_a_text("a: {script: x}\n--- b\n", "2:5: Invalid configuration format")]
// Psych's `lib/psych/visitors/to_ruby.rb`
#[case::merge_of_a_text("a: {script: x, <<: b}\n", "1:16: jobs:a config contains unknown keys: <<")]
#[case::tagged_number_as_a_command(
    "a: {script: !!int '1'}\n",
    "1:19: jobs:a:script config should be a string or a nested array of strings up to 10 levels deep (put it in quotes)"
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

#[test]
fn an_optional_need_of_a_rule_leaves_out_a_parallel_job() {
    let text =
        "b: {script: x, parallel: 2}\na: {script: x, rules: [{when: always, needs: [{job: b, optional: true}]}]}\n";
    let plan = plan_for(text, &branch("main"), &[]).unwrap();
    assert_eq!(plan.jobs.last().unwrap().needs, Some(Vec::new()));
}

// `contains_variable?` of `lib/gitlab/config/entry/validators.rb`
#[test]
fn the_lifetime_of_pages_may_be_a_variable() {
    let text = "a: {script: x, pages: {expire_in: $TIME}}\n";
    assert_eq!(reported(text), ["1:16: valid, but not supported here: pages"]);
}

// `entry/trigger/forward.rb`
#[test]
fn only_a_hash_of_forward_is_checked() {
    let text = "a: {trigger: {project: g/p, forward: [{yaml_variables: 1}]}}\n";
    assert_eq!(reported(text), ["1:5: valid, but not supported here: trigger"]);
}

// A clause whose key has no value: `Array(nil)` in `lib/gitlab/ci/build/policy/`
#[rstest]
#[case::refs("only: {refs: }", false)]
#[case::variables("only: {refs: [main], variables: }", false)]
#[case::no_key("only: {refs: [main]}", true)]
#[case::excluded_refs("except: {refs: }", true)]
fn a_policy_without_a_value_never_holds(#[case] policy: &str, #[case] expected: bool) {
    let plan = plan_for(&format!("a: {{script: x, {policy}}}\nb: {{script: x}}\n"), &branch("main"), &[]).unwrap();
    assert_eq!(plan.jobs.iter().any(|job| &*job.name == "a"), expected);
}

// <https://docs.gitlab.com/ci/yaml/>: the history of each keyword
#[rstest]
#[case::reason_to_retry("a: {script: x, retry: {when: runner_interrupted}}\n", "runner_interrupted", "19.1")]
#[case::strategy("a: {trigger: {project: p, strategy: mirror}}\n", "mirror", "18.2")]
#[case::access("a: {script: x, artifacts: {access: maintainer}}\n", "maintainer", "18.4")]
#[case::function(
    "spec: {inputs: {a: {default: b}}}\n---\na: {script: '$[[ inputs.a | posix_escape ]]'}\n",
    "posix_escape",
    "18.6"
)]
#[case::rules_of_an_input(
    "spec: {inputs: {a: {rules: [{default: b}]}}}\n---\na: {script: x}\n",
    "spec:inputs:rules",
    "18.7"
)]
#[case::includes_of_a_header("spec: {include: [], inputs: }\n---\na: {script: x}\n", "spec:include", "18.9")]
#[case::matrix_expression(
    "b: {script: x, parallel: {matrix: [{M: [m]}]}}\na: {script: x, parallel: {matrix: [{M: [m]}]}, needs: ['b: [$[[ matrix.M ]]]']}\n",
    "$[[ matrix ]]",
    "18.6"
)]
#[case::commits_of_a_key("a: {script: x, cache: {key: {files_commits: [f]}}}\n", "cache:key:files_commits", "18.4")]
#[case::regexp_of_changes("a: {script: x, rules: [{changes: {regexp: b}}]}\n", "rules:changes:regexp", "19.2")]
fn a_newer_word_is_refused_by_an_older_version(#[case] text: &str, #[case] word: &str, #[case] since: &str) {
    let files = OneFile(text);
    let since_version: GitlabVersion = since.parse().unwrap();
    let expected = |version: &str| format!("`{word}` is new in GitLab {since}: GitLab {version} refuses it");
    let found = |version: Option<GitlabVersion>| {
        let lint = lint(".gitlab-ci.yml", &Environment { version, ..Environment::new(&files) });
        let all = lint.diagnostics.sorted().into_iter().map(|it| (it.severity, it.message.clone()));
        all.filter(|(_, message)| message.contains("is new in")).collect::<Vec<_>>()
    };
    assert_eq!(found(Some(GitlabVersion::new(17, 11))), [(Severity::Error, expected("17.11"))]);
    assert_eq!(found(Some(since_version)), []);
    let by_default =
        if since_version > GitlabVersion::default() { vec![(Severity::Warning, expected("18.11"))] } else { vec![] };
    assert_eq!(found(None), by_default);
}

#[test]
fn what_is_not_supported_is_one_line_for_each_kind() {
    let text = "variables: {GIT_CLEAN_FLAGS: none, FF_X: false}\na: &a {script: x, id_tokens: {}, variables: {FF_SCRIPT_SECTIONS: true}}\nb: *a\nc: {script: x, id_tokens: {}, artifacts: {access: all}}\n";
    assert_eq!(
        reported(text),
        [
            "1:13: valid, but not supported here: variables:GIT_CLEAN_FLAGS",
            "2:19: valid, but not supported here: id_tokens (in 2 places)",
            "2:46: valid, but not supported here: variables:FF_SCRIPT_SECTIONS",
            "4:43: valid, but not supported here: artifacts:access",
        ]
    );
}

// `lib/gitlab/ci/config/interpolation/block.rb`, `lib/ci/inputs/`
#[rstest]
#[case::no_function("a: {default: x}", "$[[ inputs.a | ]]", &[])]
#[case::line_break_at_the_end("a: {default: x}", "$[[ inputs.a\n\n  ]]", &[])]
#[case::list_as_a_string("a: {default: [x, 1]}", "$[[ inputs.a ]]", &[])]
// `MutuallyExclusiveKeysValidator` of `lib/gitlab/config/entry/validators.rb`
#[case::rules_without_a_value(
    "a: {default: x, rules: }",
    "x",
    &["1:21: header:spec:inputs:a config these keys cannot be used together: default, rules"]
)]
// `lib/ci/inputs/builder.rb`
#[case::type_without_a_value(
    "a: {default: x, type: }",
    "x",
    &["1:37: unknown input specification for `a` (valid types: array, boolean, number, string)"]
)]
// `lib/ci/inputs/number_input.rb`
#[case::options_of_a_number("a: {type: number, default: 1, options: [1.0, 2]}", "x", &[])]
#[case::number_that_is_no_option(
    "a: {type: number, default: 3, options: [1.0, 2]}",
    "x",
    &["1:44: `a` input: `3` cannot be used because it is not in the list of the allowed options"]
)]
#[case::invalid_pattern(
    "a: {default: x, regex: '*'}",
    "x",
    &["1:40: `a` input: invalid regular expression (no argument for repetition operator: *)"]
)]
// `lib/gitlab/ci/config/header/input/rules/rule.rb`
#[case::empty_rule("a: {rules: [{}]}", "x", &["1:29: `a` input: can't be blank"])]
#[case::text_as_a_rule("a: {rules: [b]}", "x", &["1:29: `a` input: should be a hash"])]
#[case::unknown_key_of_a_rule("a: {rules: [{b: c, default: d}]}", "x", &["1:30: `a` input: contains unknown keys: b"])]
#[case::options_as_a_text("a: {rules: [{options: b, default: b}]}", "x", &["1:39: `a` input: options should be an array"])]
#[case::rule_without_a_default(
    "a: {rules: [{options: [b]}]}",
    "x",
    &["1:29: `a` input: rule must define 'options' with at least one value and a 'default'"]
)]
#[case::default_that_is_no_option(
    "a: {rules: [{options: [b], default: c}]}",
    "x",
    &["1:53: `a` input: default 'c' must be one of the options"]
)]
#[case::default_without_options("a: {rules: [{default: c}]}", "x", &[])]
#[case::pattern_of_a_number(
    "a: {type: number, default: 1, regex: ''}",
    "x",
    &["1:47: `a` input: RegEx validation can only be used with string inputs"]
)]
#[case::options_of_a_boolean(
    "a: {type: boolean, default: true, options: [true]}",
    "x",
    &["1:51: `a` input: Options can only be used with string and number inputs"]
)]
#[case::pattern_without_a_value(
    "a: {default: x, regex: }",
    "x",
    &["1:33: Undefined error (give `regex` a value, or remove it: GitLab fails if the key has no value)"]
)]
fn inputs_are_checked(#[case] inputs: &str, #[case] script: &str, #[case] expected: &[&str]) {
    let text = format!("spec: {{inputs: {{{inputs}}}}}\n---\na: {{script: \"{script}\"}}\n");
    assert_eq!(reported(&text), expected);
}

// `External::Processor#perform` ends at the first include that cannot be read.
#[test]
fn errors_that_follow_from_a_missing_include_are_left_out() {
    let text = "include: b.yml\na: {extends: .b, script: !reference [.b, script], needs: [b]}\n";
    assert_eq!(reported(text), ["1:10: Local file `b.yml` does not exist!"]);
}
