//! Forms that few files have: cycles of instances, matrices without combinations, lists as keys, steps.

use rstest::rstest;

use super::reported;
use crate::testing::{branch, plan_for};

const CYCLE: &str = "The pipeline has circular dependencies";

// `lib/gitlab/ci/yaml_processor/dag.rb` searches the jobs that `lib/gitlab/ci/config/normalizer.rb` returns, with Ruby's
// `TSort`, which lists all jobs of a strongly connected component.
#[rstest]
#[case::instance_of_a_matrix(
    "a: {script: x, parallel: {matrix: [{A: [1, 2]}]}, needs: [b]}\nb: {script: x, needs: ['a: [1]']}\n",
    "1:1: {CYCLE}: topological sort failed: [\"a: [1]\", \"b\"] (a: [1] needs b needs a: [1])"
)]
#[case::instances_of_a_parallel_job(
    "a: {script: x, parallel: 2, needs: [b]}\nb: {script: x, needs: [a]}\n",
    "1:1: {CYCLE}: topological sort failed: [\"a 1/2\", \"b\", \"a 2/2\"] (a 1/2 needs b needs a 1/2)"
)]
#[case::instance_that_needs_itself(
    "a: {script: x, parallel: {matrix: [{A: [1, 2]}]}, needs: [{job: a, parallel: {matrix: [{A: 2}]}}]}\n",
    "1:1: {CYCLE}: self-dependency: a: [2]"
)]
#[case::component_with_two_cycles(
    "a: {script: x, needs: [b]}\nb: {script: x, needs: [c, d]}\nc: {script: x, needs: [a]}\nd: {script: x, needs: [a]}\n",
    "1:1: {CYCLE}: topological sort failed: [\"a\", \"b\", \"c\", \"d\"] (a needs b needs c needs a)"
)]
#[case::from_outside_of_the_cycle(
    "a: {script: x, needs: [c]}\nb: {script: x, needs: [c]}\nc: {script: x, needs: [b]}\n",
    "3:1: {CYCLE}: topological sort failed: [\"c\", \"b\"] (c needs b needs c)"
)]
fn a_cycle_is_one_of_instances(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(reported(text), [expected.replace("{CYCLE}", CYCLE)]);
}

#[test]
fn two_instances_of_a_job_may_depend_on_each_other() {
    let text = "a: {script: x, parallel: {matrix: [{A: [c, d]}]}, needs: ['$[[ matrix.A ]]']}\nc: {script: x}\n\
        d: {script: x, needs: ['a: [c]']}\n";
    assert_eq!(reported(text), Vec::<String>::new());
}

// `lib/gitlab/ci/config/normalizer.rb` replaces a job by its instances, and needs and dependencies by their names.
#[rstest]
#[case::empty_list("matrix: []")]
#[case::no_values("matrix: [{A: []}]")]
// `lib/gitlab/config/entry/node.rb`, `lib/gitlab/ci/config/normalizer/factory.rb`
#[case::no_matrix("matrix: ")]
fn a_job_with_an_empty_matrix_is_left_out(#[case] matrix: &str) {
    let text = format!(
        "a: {{script: x, stage: none, parallel: {{{matrix}}}, needs: [d, undefined]}}\nb: {{script: x, needs: [a]}}\n\
         c: {{script: x, dependencies: [a]}}\nd: {{script: x, needs: [{{job: a, parallel: {{{matrix}}}}}]}}\n"
    );
    let plan = plan_for(&text, &branch("main"), &[]).unwrap();
    let found: Vec<_> = plan.jobs.iter().map(|job| (&*job.name, job.needs.as_ref().map(Vec::len))).collect();
    assert_eq!(found, [("b", Some(0)), ("c", None), ("d", Some(0))]);
    assert_eq!(plan.skipped[0].reason.text, "its matrix has no combination of values");
}

// The same source: other names are looked up after the replacement.
#[rstest]
#[case::need_of_a_rule(
    "a: {script: x, parallel: {matrix: []}}\nb: {script: x, rules: [{if: $A, needs: [a]}]}\n",
    "2:41: b job: undefined need: a (the matrix of a has no combination of values)"
)]
#[case::need_with_values(
    "a: {script: x, parallel: {matrix: []}}\nb: {script: x, needs: [{job: a, parallel: {matrix: [{A: 1}]}}]}\n",
    "2:30: b job: undefined need: a: [1]"
)]
// Psych accepts any value as a key, and GitLab converts only strings to symbols: `lib/gitlab/config/loader/yaml.rb`
#[case::list_as_a_job(
    "? [a, b]\n: {script: x}\n",
    "1:3: jobs:[\"a\", \"b\"] name should be a symbol (put the name in quotes)"
)]
#[case::hash_as_a_keyword("a: {script: x, {b: }: c}\n", "1:16: jobs:a config contains unknown keys: {\"b\"=>nil}")]
fn is_refused(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(reported(text), [expected]);
}

#[test]
fn a_hidden_job_may_have_any_key() {
    assert_eq!(reported(".a: {[b, 1]: c, ? {d: {e: f}} : g}\na: {script: x}\n"), Vec::<String>::new());
}

const UNSUPPORTED: &str = "1:5: valid, but not supported here: run";

// `spec/lib/gitlab/ci/config/entry/job_spec.rb`, `app/validators/json_schemas/run_steps.json`, and the messages of the library
// json_schemer: `lib/json_schemer/draft202012/vocab/validation.rb`
#[rstest]
#[case::no_list("b", &["1:10: jobs:a run value at root is not an array"])]
#[case::no_steps("[]", &[])]
#[case::script("[{name: b, script: c, env: {D: e}}]", &[])]
#[case::function("[{name: b, func: c, inputs: {D: [1, {e: }]}}]", &[])]
#[case::function_of_a_repository("[{name: b, step: {git: {url: c, rev: d, dir: e}}}]", &[])]
#[case::function_of_an_image("[{name: b, step: {oci: {registry: c, repository: d, tag: '1'}}}]", &[])]
#[case::text_as_a_step("[b]", &["1:11: jobs:a run value at `/0` is not an object"])]
#[case::no_name("[{step: b}]", &["1:11: jobs:a run object at `/0` is missing required properties: name"])]
#[case::invalid_name(
    "[{name: b-c, script: d}]",
    &["1:18: jobs:a run string at `/0/name` does not match pattern: ^[a-za-z_][a-za-z0-9_]*$ (a name has letters, digits and `_`, and no digit first)"]
)]
#[case::nothing_to_run(
    "[{name: b}]",
    &["1:11: jobs:a run object at `/0` is missing required properties: step (a step has `script`, `step` or `func`)"]
)]
#[case::step_and_script(
    "[{name: b, step: c, script: d}]",
    &["1:30: jobs:a run object property at `/0/script` is a disallowed additional property"]
)]
#[case::step_and_func("[{name: b, step: c, func: d}]", &["1:11: jobs:a run value at `/0` matches `not` schema"])]
#[case::unknown_key(
    "[{name: b, step: c, invalid_key: d}]",
    &["1:30: jobs:a run object property at `/0/invalid_key` is a disallowed additional property"]
)]
#[case::inputs_of_a_script(
    "[{name: b, script: c, inputs: {}}]",
    &["1:32: jobs:a run object property at `/0/inputs` is a disallowed additional property"]
)]
#[case::empty_script("[{name: b, script: ''}]", &["1:29: jobs:a run string length at `/0/script` is less than: 1"])]
#[case::list_as_a_script("[{name: b, script: [c]}]", &["1:29: jobs:a run value at `/0/script` is not a string"])]
#[case::number_in_env(
    "[{name: b, script: c, env: {MY_VAR: 123}}]",
    &["1:46: jobs:a run value at `/0/env/my_var` is not a string"]
)]
#[case::invalid_name_in_env(
    "[{name: b, script: c, env: {D-E: f}}]",
    &["1:38: jobs:a run object property at `/0/env/d-e` is a disallowed additional property"]
)]
#[case::repository_without_a_revision(
    "[{name: b, step: {git: {url: c}}}]",
    &["1:33: jobs:a run object at `/0/step/git` is missing required properties: rev"]
)]
fn steps_are_checked(#[case] run: &str, #[case] expected: &[&str]) {
    let expected: Vec<&str> = [UNSUPPORTED].into_iter().chain(expected.iter().copied()).collect();
    assert_eq!(reported(&format!("a: {{run: {run}}}\n")), expected);
}

#[test]
fn steps_without_a_value_are_valid() {
    assert_eq!(reported("a: {run: }\n"), [UNSUPPORTED]);
}

const RETRY: &str = "a: {script: x, retry: {max: 1, ";

// Entries that few files have, and what they report. `entry/` is `lib/gitlab/ci/config/entry/`.
#[rstest]
// `location` of `entry/retry.rb`
#[case::exit_codes(RETRY, "exit_codes: b}}", "1:44: retry exit codes should be an array of integers or an integer")]
#[case::unknown_key_of_retry(RETRY, "b: c}}", "1:32: retry config contains unknown keys: b")]
// `entry/processable.rb`: `nested_array_of_hashes_or_arrays`
#[case::text_as_a_rule(
    "a: {script: x, ",
    "rules: [$A]}",
    "1:24: jobs:a rules should be an array containing hashes and arrays of hashes"
)]
// `entry/rules/rule/exists.rb`, `entry/rules/rule/changes.rb`
#[case::number_in_exists(
    "a: {script: x, rules: [{",
    "exists: [1]}]}",
    "1:34: jobs:a:rules:rule:exists config should be an array of strings"
)]
#[case::number_in_the_paths_of_exists(
    "a: {script: x, rules: [{",
    "exists: {paths: [1]}}]}",
    "1:42: jobs:a:rules:rule:exists paths should be an array of strings"
)]
#[case::number_in_the_paths_of_changes(
    "a: {script: x, rules: [{",
    "changes: {paths: [1]}}]}",
    "1:43: jobs:a:rules:rule:changes paths should be an array of strings"
)]
// `entry/needs.rb`
#[case::number_of_instances_in_a_need(
    "b: {script: x}\na: {script: x, ",
    "needs: [{job: b, parallel: 2}]}",
    "2:43: jobs:a:needs config cannot use \"parallel: <number>\"."
)]
// `entry/auto_cancel.rb`
#[case::auto_cancel(
    "a: {script: x}\nworkflow: {auto_cancel: ",
    "{on_new_commit: b}}",
    "2:41: workflow:auto_cancel on new commit must be one of: conservative, interruptible, none"
)]
// `ee/lib/gitlab/ci/config/entry/identity.rb`
#[case::identity(
    "default: {identity: b}\n",
    "a: {script: x}",
    "1:21: default:identity config should be one of: google_cloud"
)]
// `ee/lib/gitlab/ci/config/entry/dast_configuration.rb`
#[case::scanner(
    "a: {script: x, dast_configuration: ",
    "{scanner: b}}",
    "1:37: jobs:a:dast_configuration config contains unknown keys: scanner"
)]
fn reports(#[case] start: &str, #[case] end: &str, #[case] expected: &str) {
    let text = format!("{start}{end}\n");
    assert!(reported(&text).iter().any(|message| message.starts_with(expected)), "{:#?}", reported(&text));
}

// `entry/release/assets/links.rb`, `lib/gitlab/config/entry/configurable.rb`
#[test]
fn links_of_a_release_are_not_validated() {
    let text = "a: {script: x, release: {tag_name: b, description: c, assets: {links: [{}, {url: d, filepath: e}]}}}\n";
    assert_eq!(reported(text), ["1:16: valid, but not supported here: release"]);
}

// `entry/bridge.rb` does not read `start_in`.
#[test]
fn a_delay_of_a_bridge_is_an_unknown_key() {
    let text = "a: {trigger: g/p, start_in: 1 hour}\n";
    let expected =
        ["1:5: valid, but not supported here: trigger", "1:19: jobs:a config contains unknown keys: start_in"];
    assert_eq!(reported(text), expected);
}

// `entry/kubernetes.rb`, `entry/schemas/kubernetes/dashboard.json`, `entry/schemas/kubernetes/managed_resources.json`
#[rstest]
#[case::agent("{agent: 'b:c', dashboard: {namespace: d, flux_resource_path: e}}", &[])]
#[case::namespace("{namespace: b, managed_resources: {enabled: false}}", &[])]
#[case::nothing("{}", &["config can't be blank"])]
#[case::dashboard_without_an_agent("{dashboard: {namespace: b}}", &[" agent can't be blank"])]
#[case::managed_resources_without_an_agent("{managed_resources: {enabled: true}}", &[" agent can't be blank"])]
#[case::path_without_a_namespace("{agent: b, flux_resource_path: c}", &[" namespace can't be blank"])]
#[case::namespace_twice(
    "{agent: b, namespace: c, dashboard: {namespace: d}}",
    &[" namespace cannot be specified when dashboard.namespace is set"]
)]
#[case::dashboard_without_a_namespace(
    "{agent: b, dashboard: {flux_resource_path: c}}",
    &[" dashboard object at root is missing required properties: namespace"]
)]
#[case::empty_namespace(
    "{agent: b, dashboard: {namespace: ''}}",
    &[" dashboard string length at `/namespace` is less than: 1"]
)]
#[case::unknown_resources(
    "{agent: b, managed_resources: {foo: true}}",
    &[" managed resources object property at `/foo` is a disallowed additional property"]
)]
#[case::text_instead_of_a_boolean(
    "{agent: b, managed_resources: {enabled: c}}",
    &[" managed resources value at `/enabled` is not a boolean"]
)]
fn clusters_are_checked(#[case] kubernetes: &str, #[case] expected: &[&str]) {
    let found = reported(&format!("a: {{script: x, environment: {{name: e, kubernetes: {kubernetes}}}}}\n"));
    let found: Vec<_> =
        found.iter().filter_map(|it| it.split_once("environment:kubernetes")).map(|(_, it)| it).collect();
    let found: Vec<_> = found.into_iter().filter(|it| !it.is_empty()).map(str::trim_start).collect();
    assert_eq!(found, expected.iter().map(|it| it.trim_start()).collect::<Vec<_>>());
}

// `ee/lib/gitlab/ci/config/entry/secret.rb`, and one file for each provider in its directories
#[rstest]
#[case::vault("{vault: b/c@d}", &[])]
#[case::vault_in_full("{vault: {engine: {name: kv-v2, path: b}, path: c, field: d}, file: false, token: $T}", &[])]
#[case::no_secret("", &["config must use exactly one of these keys"])]
#[case::vault_without_a_field(
    "{vault: {engine: {name: b}, path: c}}",
    &[":vault field can't be blank", ":vault:engine config missing required keys: path"]
)]
#[case::vault_as_a_list("{vault: [b]}", &[":vault should be a hash or a string"])]
#[case::azure("{azure_key_vault: {name: b, version: 1}}", &[":azure_key_vault version should be a string"])]
#[case::gcp("{gcp_secret_manager: {name: b, version: 1}, token: $T}", &[])]
#[case::gcp_without_a_token("{gcp_secret_manager: {name: b}}", &["token is required with gcp secrets manager"])]
#[case::gcp_with_a_fraction(
    "{gcp_secret_manager: {name: b, version: 1.5}, token: $T}",
    &[":gcp_secret_manager version must be an alphanumeric string"]
)]
#[case::aws("{aws_secrets_manager: 'b#c'}", &[])]
#[case::aws_with_two_fields("{aws_secrets_manager: 'b#c#d'}", &[":aws_secrets_manager config must contain at most one '#'"])]
#[case::aws_without_a_name("{aws_secrets_manager: {region: b}}", &[":aws_secrets_manager secret id can't be blank"])]
#[case::akeyless("{akeyless: {name: b, other: c}}", &[":akeyless config contains unknown keys: other"])]
#[case::gitlab("{gitlab_secrets_manager: {name: b, source: group/c/d}}", &[])]
#[case::gitlab_of_another_place(
    "{gitlab_secrets_manager: {name: b, source: c}}",
    &[":gitlab_secrets_manager source must follow the format group/group_full_path or 'project'"]
)]
fn secrets_are_checked(#[case] secret: &str, #[case] expected: &[&str]) {
    let found = reported(&format!("a: {{script: x, secrets: {{A: {secret}}}}}\n"));
    let found: Vec<_> =
        found.iter().filter_map(|it| it.split_once("secrets:a")).map(|(_, it)| it.trim_start()).collect();
    let matches = found.len() == expected.len() && found.iter().zip(expected).all(|(it, start)| it.starts_with(start));
    assert!(matches, "{found:#?}");
}

// `validate_job_dependency!` of `lib/gitlab/ci/yaml_processor.rb`
#[rstest]
#[case::all_instances("[NAME]")]
#[case::one_instance("['NAME 1/2']")]
#[case::in_a_rule("[a], rules: [{if: $A, needs: ['NAME 1/2']}]")]
fn the_name_of_a_needed_instance_is_limited(#[case] needs: &str) {
    let name = "n".repeat(252);
    let text = format!("{name}: {{script: x, parallel: 2}}\na: {{script: x}}\nb: {{script: x, needs: {needs}}}\n");
    let expected = format!("b job: need `{name} 1/2` name is too long (maximum is 255 characters)");
    let found = reported(&text.replace("NAME", &name));
    assert!(found.len() == 1 && found[0].contains(&expected), "{found:#?}");
    assert_eq!(reported(&text.replace("NAME", &name).replace("nn", "n")), Vec::<String>::new());
}

// `entry/trigger.rb`, `entry/include.rb`, `entry/concerns/base_include.rb`, `app/validators/ci/include_cache_validator.rb`
#[rstest]
#[case::inputs("{project: g/p, inputs: {A: b}}", &[])]
#[case::inputs_as_a_list("{project: g/p, inputs: [b]}", &["trigger inputs should be a hash"])]
#[case::inputs_of_an_include("{include: b.yml, inputs: {}}", &["trigger config contains unknown keys: inputs"])]
#[case::remote_file("{include: [{remote: 'https://b', integrity: sha256-YWJj, cache: 1 hour, rules: [{if: $A}]}]}", &[])]
#[case::integrity_of_a_local_file(
    "{include: [{local: b.yml, integrity: md5-b}]}",
    &[
        "trigger:include:include config integrity can only be specified for remote includes",
        "trigger:include:include config integrity hash must start with 'sha256-'"
    ]
)]
#[case::cache_of_a_local_file(
    "{include: [{local: b.yml, cache: true}]}",
    &["trigger:include:include config cache can only be specified for remote includes"]
)]
#[case::short_cache(
    "{include: [{remote: 'https://b', cache: 59s}]}",
    &["trigger:include:include config cache duration must be at least 1 minute"]
)]
#[case::cache_without_a_duration(
    "{include: [{remote: 'https://b', cache: c}]}",
    &["trigger:include:include config cache contains an invalid duration"]
)]
#[case::cache_as_a_number(
    "{include: [{remote: 'https://b', cache: 60}]}",
    &["trigger:include:include config cache must be a boolean or a duration string"]
)]
#[case::rules_as_a_hash(
    "{include: [{local: b.yml, rules: {if: $A}}]}",
    &["trigger:include:include rules should be an array of hashes"]
)]
#[case::unknown_key_of_a_rule(
    "{include: [{local: b.yml, rules: [{if: $A, variables: {}}]}]}",
    &["trigger:include:include:rules:rule config contains unknown keys: variables"]
)]
fn triggers_are_checked(#[case] trigger: &str, #[case] expected: &[&str]) {
    let found = reported(&format!("a: {{trigger: {trigger}}}\n"));
    let found: Vec<_> = found.iter().filter_map(|it| it.split_once("jobs:a:")).map(|(_, it)| it).collect();
    assert_eq!(found, expected);
}

// `validation_error_message` of `lib/gitlab/ci/config/yaml/tags/base.rb`, with its test
#[rstest]
#[case::nothing("!reference ", "[]")]
#[case::number("!reference 1", "\"1\"")]
#[case::list_of_numbers("!reference [1]", "[1]")]
#[case::hash("!reference {b: c}", "{\"b\"=>\"c\"}")]
fn a_reference_is_a_list_of_strings(#[case] reference: &str, #[case] expected: &str) {
    let found = reported(&format!("a: {{script: {reference}}}\n"));
    let help = "(write a list of strings: `!reference [job, keyword]`)";
    let [only] = found.as_slice() else { panic!("{found:#?}") };
    assert!(only.ends_with(&format!(": !reference {expected} is not valid {help}")), "{only}");
}
