//! GitLab's sentences: one for all mistakes of a kind in an entry, in lower case, and with the name of the entry that finds the mistake.

use rstest::rstest;

use super::reported;
use crate::testing::{branch, plan_for};

/// The sentences about a file, without places and help texts.
fn sentences(text: &str) -> Vec<String> {
    super::read(text).diagnostics.sorted().iter().map(|it| it.message.clone()).collect()
}

// `lib/gitlab/config/entry/validators.rb`, `lib/gitlab/config/entry/validator.rb`
#[rstest]
#[case::keys("a: {script: x, Foo: 1, bar: 2}\n", "jobs:a config contains unknown keys: foo, bar")]
#[case::keys_of_an_entry("a: {script: x, cache: {b: 1, c: 2}}\n", "jobs:a:cache config contains unknown keys: b, c")]
#[case::keys_of_a_variable(
    "a: {script: x, variables: {V: {value: b, c: 1, d: 2}}}\n",
    "jobs:a:variables:v config uses invalid data keys: c, d"
)]
#[case::values("a: {script: x, retry: {when: [b, always, c]}}\n", "retry when contains unknown values: b, c")]
#[case::policies(
    "a: {script: x, image: {name: b, pull_policy: [c, d]}}\n",
    "jobs:a:image:pull_policy config contains unknown values: c, d"
)]
#[case::names_to_inherit(
    "a: {script: x, inherit: {default: [b, image, c]}}\n",
    "jobs:a:inherit:default config contains unknown values: b, c"
)]
#[case::keys_of_an_input(
    "spec: {inputs: {a: {default: b, c: 1, d: 2}}}\n---\na: {script: x}\n",
    "header:spec:inputs:a config contains unknown keys: c, d"
)]
#[case::values_of_a_component(
    "spec: {component: [b, name, c]}\n---\na: {script: x}\n",
    "header:spec:component config contains unknown values: b, c"
)]
// `lib/gitlab/ci/yaml_processor.rb`
#[case::needs(
    "b: {script: x}\nc: {script: x}\na: {script: x, needs: [b, c, b, c]}\n",
    "a has the following needs duplicated: b, c."
)]
#[case::needs_of_a_rule(
    "b: {script: x}\nc: {script: x}\na: {script: x, rules: [{if: $A, needs: [b, c, b, c]}]}\n",
    "a has the following needs duplicated: b, c."
)]
#[case::instances(
    "b: {script: x, parallel: 2}\na: {script: x, needs: [b, b]}\n",
    "a has the following needs duplicated: b 1/2, b 2/2."
)]
#[case::instances_with_one_name(
    "b: {script: x, parallel: {matrix: [{X: [p, p]}, {X: q}]}}\na: {script: x, needs: [b]}\n",
    "a has the following needs duplicated: b: [p]."
)]
// `entry/retry.rb`, `entry/pull_policy.rb`
#[case::reasons_to_retry(
    "a: {script: x, retry: {when: [foo, always, bar]}}\n",
    "retry when contains unknown values: foo, bar"
)]
#[case::pull_policies(
    "a: {script: x, image: {name: i, pull_policy: [foo, bar]}}\n",
    "jobs:a:image:pull_policy config contains unknown values: foo, bar"
)]
// `entry/job.rb`
#[case::dependencies(
    "b: {script: x}\nc: {script: x}\na: {script: x, needs: [b], dependencies: [c, none]}\n",
    "jobs:a dependencies the c, none should be part of needs"
)]
fn one_sentence_has_all_mistakes_of_a_kind(#[case] text: &str, #[case] expected: &str) {
    let found = sentences(text);
    assert!(!found.is_empty() && found.iter().all(|sentence| sentence == expected), "{found:#?}");
}

#[test]
fn each_mistake_is_reported_at_its_place() {
    let expected = "jobs:a config contains unknown keys: scrpit, foo";
    assert_eq!(
        reported("a: {script: x, scrpit: 1, foo: 2}\n"),
        [format!("1:16: {expected} (did you mean `script`?)"), format!("1:27: {expected}")]
    );
}

// `errors` of the classes `UnknownStrategy`, which `lib/gitlab/config/entry/validator.rb` does not see; `add_warning` of `node.rb`
#[rstest]
#[case::entry("Build It: {script: x, stage: [b]}\n", "jobs:build it:stage config should be a string")]
#[case::parallel("Build It: {script: x, parallel: b}\n", "jobs:Build It:parallel should be an integer or a hash")]
#[case::policy(
    "Build It: {script: x, only: b}\n",
    "jobs:Build It:only has to be either an array of conditions or a hash"
)]
#[case::key(
    "Build It: {script: x, cache: {key: 1}}\n",
    "jobs:Build It:cache:key should be a hash, a string or a symbol"
)]
#[case::warning(
    "Build It: {script: x, rules: [{when: always}]}\n",
    "jobs:Build It may allow multiple pipelines to run for a single action due to `rules:when` clause with no `workflow:rules`"
)]
// `entry/caches.rb` has no key.
#[case::caches("a: {script: x, cache: b}\n", "jobs:a:caches config can only be a hash or an array")]
#[case::caches_of_the_top_level("cache: b\na: {script: x}\n", "caches config can only be a hash or an array")]
#[case::too_many_caches(
    "default: {cache: [{}, {}, {}, {}, {}]}\na: {script: x}\n",
    "default:caches config no more than 4 caches can be created"
)]
// `entry/artifacts.rb`, `entry/environment.rb`
#[case::reports("a: {script: x, artifacts: {reports: b}}\n", "jobs:a:artifacts reports should be a hash")]
#[case::cluster(
    "a: {script: x, environment: {name: b, kubernetes: c}}\n",
    "jobs:a:environment kubernetes should be a hash"
)]
// `entry/key.rb`
#[case::files_of_commits(
    "a: {script: x, cache: {key: {files_commits: [b, c, d]}}}\n",
    "jobs:a:cache:key:files_commits config has too many items (maximum is 2)"
)]
#[case::slash_in_a_prefix(
    "a: {script: x, cache: {key: {files: [b], prefix: c%2Fd}}}\n",
    "jobs:a:cache:key:prefix config cannot contain the \"/\" character"
)]
#[case::number_as_a_prefix(
    "a: {script: x, cache: {key: {files: [b], prefix: 1}}}\n",
    "jobs:a:cache:key:prefix config should be a string or symbol"
)]
// `DisallowedKeysValidator` keeps the order of the file.
#[case::order_of_the_file(
    "a: {script: x, rules: [{if: $A}], except: [b], only: [c]}\n",
    "jobs:a config key may not be used with `rules`: except, only"
)]
// `entry/rules.rb`
#[case::text_as_rules("workflow: {rules: b}\na: {script: x}\n", "workflow:rules config should be an array")]
#[case::text_as_a_rule("workflow: {rules: [b]}\na: {script: x}\n", "workflow:rules:rule config should be a hash")]
// `entry/jobs.rb`
#[case::no_job("a: {image: b}\n", "jobs config should contain at least one visible job")]
// `entry/rules/rule.rb`
#[case::delay_without_a_value(
    "a: {script: x, rules: [{when: delayed, start_in: }]}\n",
    "jobs:a:rules:rule start in can't be blank"
)]
#[case::list_as_a_word("a: {script: x, rules: [{when: [b, 1]}]}\n", "jobs:a:rules:rule when unknown value: [\"b\", 1]")]
// `entry/release.rb`
#[case::blank_time(
    "a: {script: x, release: {tag_name: b, description: c, released_at: ''}}\n",
    "jobs:a:release released at must be a valid datetime"
)]
#[case::blank_ref(
    "a: {script: x, release: {tag_name: b, description: c, ref: ''}}\n",
    "jobs:a:release ref must be a valid ref"
)]
// `entry/include.rb`, `entry/include/rules.rb`, `entry/concerns/base_include.rb`
#[case::rules_of_nothing(
    "a: {trigger: {include: [{local: b.yml, rules: []}]}}\n",
    "jobs:a:trigger:include:include:rules config can't be blank"
)]
#[case::empty_rule(
    "a: {trigger: {include: [{local: b.yml, rules: [{}]}]}}\n",
    "jobs:a:trigger:include:include:rules:rule config can't be blank"
)]
#[case::clause(
    "a: {trigger: {include: [{local: b.yml, rules: [{exists: {ref: c}}]}]}}\n",
    "jobs:a:trigger:include:include:rules:rule:exists config missing required keys: paths"
)]
#[case::no_base64(
    "a: {trigger: {include: [{remote: 'https://b/c.yml', integrity: sha256-d}]}}\n",
    "jobs:a:trigger:include:include config integrity hash must be base64 encoded"
)]
// `lib/gitlab/ci/config/extendable/entry.rb` leaves the key where it is.
#[case::parent_of_the_defaults(
    ".b: {image: c}\ndefault: {extends: .b}\na: {script: x}\n",
    "default config contains unknown keys: extends"
)]
#[case::parent_of_the_workflow(
    ".b: {name: c}\nworkflow: {extends: .b}\na: {script: x}\n",
    "workflow config contains unknown keys: extends"
)]
// `lib/gitlab/ci/config/interpolation/access.rb`
#[case::data_of_no_component(
    "spec: {component: [name]}\n---\na: {script: 'b $[[ component.name ]]'}\n",
    "unknown interpolation provided: `name` in `component.name`"
)]
fn is_gitlabs_sentence(#[case] text: &str, #[case] expected: &str) {
    assert!(sentences(text).iter().any(|sentence| sentence == expected), "{:#?}", sentences(text));
}

// `type: String, inclusion:`. GitLab has both sentences.
#[rstest]
#[case::job("when: 1", "jobs:a when")]
#[case::artifacts("artifacts: {when: [b]}", "jobs:a:artifacts when")]
#[case::access("artifacts: {access: true}", "jobs:a:artifacts access")]
#[case::cache("cache: {when: 1}", "jobs:a:cache when")]
#[case::environment("environment: {name: b, action: 1}", "jobs:a:environment action")]
fn a_word_is_a_string(#[case] keyword: &str, #[case] subject: &str) {
    let mut found = sentences(&format!("a: {{script: x, {keyword}}}\n"));
    found.retain(|sentence| !sentence.starts_with("valid, "));
    let expected = [format!("{subject} should be a string"), format!("{subject} should be ")];
    let [first, second] = found.as_slice() else { panic!("{found:#?}") };
    assert!(*first == expected[0] && second.starts_with(&expected[1]), "{found:#?}");
}

// `lib/gitlab/untrusted_regexp.rb`: RE2
#[rstest]
#[case::digits("'^\\d+$'", "1", true)]
#[case::other_digits("'^\\d+$'", "\u{663}", false)]
#[case::other_letters("'^\\w+$'", "\u{e9}", false)]
#[case::quoted("'^\\Qa.b\\E$'", "a.b", true)]
#[case::brace("'a{'", "a{", true)]
fn the_pattern_of_an_input_is_re2(#[case] pattern: &str, #[case] value: &str, #[case] is_valid: bool) {
    let text = format!("spec: {{inputs: {{a: {{default: '{value}', regex: {pattern}}}}}}}\n---\na: {{script: x}}\n");
    let expected: &[&str] =
        if is_valid { &[] } else { &["`a` input: default value does not match required RegEx pattern"] };
    assert_eq!(sentences(&text), expected);
}

// `static_allow_failure` of `entry/job.rb`
#[rstest]
#[case::no_keyword("", true)]
#[case::empty_hash(", allow_failure: {}", false)]
#[case::no_codes(", allow_failure: {exit_codes: }", false)]
fn a_hash_of_allow_failure_blocks_a_manual_job(#[case] keyword: &str, #[case] may_fail: bool) {
    let plan = plan_for(&format!("a: {{script: x, when: manual{keyword}}}\n"), &branch("main"), &[]).unwrap();
    assert_eq!(plan.jobs[0].allow_failure, crate::config::when::AllowFailure::Fixed(may_fail));
}

// `value_with_data` of `entry/variable.rb`: `!nil`
#[test]
fn expand_without_a_value_switches_expansion_off() {
    let text = "a: {script: x, variables: {A: {value: $B, expand: }, C: {value: $B}}}\n";
    let variables = &super::read(text).configuration.unwrap().jobs["a"].variables;
    assert_eq!(variables.iter().map(|it| it.expand).collect::<Vec<_>>(), [false, true]);
}

// <https://docs.gitlab.com/ci/yaml/#ruleschangesregexp>, `entry/rules/rule/changes.rb` of GitLab 19.2
#[rstest]
#[case::changes("changes: {regexp: b}", &["valid, but not supported here: rules:changes:regexp"])]
#[case::exists("exists: {regexp: b}", &["valid, but not supported here: rules:exists:regexp"])]
#[case::both(
    "changes: {regexp: b, paths: [c]}",
    &[
        "jobs:a:rules:rule:changes config must use exactly one of these keys: paths, regexp",
        "valid, but not supported here: rules:changes:regexp"
    ]
)]
#[case::list(
    "changes: {regexp: [b]}",
    &[
        "valid, but not supported here: rules:changes:regexp",
        "jobs:a:rules:rule:changes regexp should be a string"
    ]
)]
fn regular_expressions_of_clauses_are_checked(#[case] clause: &str, #[case] expected: &[&str]) {
    let text = format!("a: {{script: x, rules: [{{{clause}}}]}}\n");
    let files = super::OneFile(&text);
    let version = "19.x".parse().ok();
    let environment = crate::include::Environment { version, ..crate::include::Environment::new(&files) };
    let lint = crate::lint::lint(".gitlab-ci.yml", &environment);
    assert_eq!(lint.diagnostics.sorted().iter().map(|it| &*it.message).collect::<Vec<_>>(), expected);
}
