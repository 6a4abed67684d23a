//! Keywords of jobs, of jobs that start a pipeline, and of the top level.

use rstest::rstest;

use super::{job_diagnostics, reported};

// entry/artifacts.rb, reports.rb, environment.rb, cache.rb, caches.rb, key.rb, imageable.rb, service.rb, tags.rb, publish.rb,
// pages.rb, release.rb, hooks.rb, id_token.rb, variable.rb
#[rstest]
#[case::expire_in("artifacts: {expire_in: foo}", "artifacts expire in should be a duration")]
#[case::access("artifacts: {access: bar}", "artifacts access should be one of: none, developer, maintainer, all")]
#[case::public("artifacts: {public: x}", "artifacts public should be a boolean value")]
#[case::access_and_public(
    "artifacts: {access: all, public: true}",
    "artifacts config these keys cannot be used together: access, public"
)]
#[case::exposed_without_paths("artifacts: {expose_as: a}", "artifacts paths can't be blank")]
#[case::exposed_pattern(
    "artifacts: {expose_as: a, paths: ['*']}",
    "artifacts paths can't contain '*' when used with 'expose_as'"
)]
#[case::exposed_name(
    "artifacts: {expose_as: 'a?', paths: [b]}",
    "artifacts expose as can contain only letters, digits, '-', '_' and spaces"
)]
#[case::report("artifacts: {reports: {lsif: {}}}", "artifacts:reports lsif should be an array of strings or a string")]
#[case::untracked("artifacts: {untracked: 5}", "artifacts untracked should be a boolean value")]
#[case::name(
    "environment: a?b",
    "environment name can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot start or end with '/'"
)]
#[case::no_name("environment: ''", "environment name can't be blank")]
#[case::slashes(
    "environment: {name: /a/}",
    "environment name can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot start or end with '/'"
)]
#[case::auto_stop_in("environment: {name: a, auto_stop_in: 5}", "environment auto stop in should be a string")]
#[case::flux(
    "environment: {name: a, flux_resource_path: b}",
    "environment config contains unknown keys: flux_resource_path"
)]
#[case::action(
    "environment: {name: a, action: stopp}",
    "environment action should be start, stop, prepare, verify, or access"
)]
#[case::five_caches("cache: [{}, {}, {}, {}, {}]", "caches config no more than 4 caches can be created")]
#[case::key_with_slash("cache: {key: a/b}", "cache:key config cannot contain the \"/\" character")]
#[case::key_with_hidden_slash("cache: {key: a%2Fb}", "cache:key config cannot contain the \"/\" character")]
#[case::key_is_a_parent_directory("cache: {key: ..}", "cache:key config cannot be \".\" or \"..\"")]
#[case::key_with_both_kinds_of_files(
    "cache: {key: {files: [a], files_commits: [b]}}",
    "cache:key config must use exactly one of these keys: files, files_commits"
)]
#[case::cache_policy("cache: {policy: foo}", "cache policy should be a variable or one of: pull-push, push, pull")]
#[case::fallback_keys(
    "cache: {fallback_keys: [a, b, c, d, e, f]}",
    "cache fallback keys has to many entries (maximum 5)"
)]
#[case::entrypoint("image: {name: a, entrypoint: sh}", "image entrypoint should be an array of strings")]
#[case::no_image("image: ''", "image name can't be blank")]
#[case::no_image_in_a_hash("image: {name: ''}", "image name can't be blank")]
#[case::service_command(
    "services: [{name: a, command: 1}]",
    "services:service:command config should be a string or a nested array of strings up to 10 levels deep"
)]
#[case::no_service("services: ['']", "services:service name can't be blank")]
#[case::publish("publish: a", " publish can only be used within a `pages` job")]
#[case::pages("pages: {pth: a}", "pages config contains unknown keys: pth")]
#[case::pages_of_the_wrong_type("pages: a", "pages config should be a hash or a boolean value")]
#[case::pages_expire("pages: {expire_in: foo}", "pages expire in should be a duration")]
#[case::release("release: {tag_name: a, descr: b}", "release config contains unknown keys: descr")]
#[case::release_without_a_description("release: {tag_name: a}", "release description can't be blank")]
#[case::release_link(
    "release: {tag_name: a, description: b, assets: {links: [c]}}",
    "release:assets links should be an array of hashes"
)]
#[case::hooks("hooks: {pre: [a]}", "hooks config contains unknown keys: pre")]
#[case::hook(
    "hooks: {pre_get_sources_script: {a: b}}",
    "hooks:pre_get_sources_script config should be a string or a nested array of strings up to 10 levels deep"
)]
#[case::token("id_tokens: {A: {}}", "id_tokens:a config missing required keys: aud")]
#[case::secret("secrets: {A: {vult: b}}", "secrets:a config contains unknown keys: vult")]
#[case::secret_without_a_provider(
    "secrets: {A: {file: true}}",
    "secrets:a config must use exactly one of these keys: vault, azure_key_vault, gcp_secret_manager, aws_secrets_manager, akeyless, gitlab_secrets_manager"
)]
#[case::variable_is_a_list("variables: {A: [b]}", "variable definition must be either a string or a hash")]
#[case::variable_with_options(
    "variables: {A: {value: b, options: [b]}}",
    "variables:a config uses invalid data keys: options"
)]
#[case::rule_variable(
    "rules: [{if: $A, variables: {B: {value: c}}}]",
    "rules:rule:variables:b config must be a string"
)]
#[case::need_without_a_job("needs: [{optional: true}]", "needs:need has an unsupported type")]
#[case::need_of_a_project("needs: [{pipeline: g/p}]", "needs config uses invalid types: bridge")]
#[case::need_and_number("needs: [{job: a, parallel: 2}]", "needs config cannot use \"parallel: <number>\".")]
fn reports_mistakes_in_parts_of_a_job(#[case] keyword: &str, #[case] expected: &str) {
    let reported = job_diagnostics(&format!("script: x, {keyword}"));
    let sentence = |prefix: &str| format!("{prefix}{expected}");
    let has = |sentence: &str| reported.iter().any(|it| it.split_once(": ").unwrap().1.starts_with(sentence));
    assert!(has(&sentence("jobs:a:")) || has(&sentence("jobs:a")) || has(&sentence("")), "{reported:?}");
}

// entry/bridge.rb, trigger.rb, trigger/forward.rb
#[rstest]
#[case::delayed("trigger: p, when: delayed", "jobs:a when should be one of: on_success, on_failure, always, manual")]
#[case::exit_codes("trigger: p, allow_failure: {exit_codes: 1}", "jobs:a allow failure should be a boolean value")]
#[case::number("trigger: p, parallel: 3", "jobs:a:parallel config cannot use \"parallel: <number>\".")]
#[case::keys(
    "trigger: {project: p, brnch: b}",
    "jobs:a:trigger config contains unknown keys: brnch (did you mean `branch`?)"
)]
#[case::without_a_value("trigger: ", "jobs:a config should contain either a trigger or a needs:pipeline")]
#[case::blank("trigger: ''", "jobs:a:trigger config can't be blank")]
#[case::without_a_project("trigger: {branch: b}", "jobs:a:trigger project can't be blank")]
#[case::strategy(
    "trigger: {project: p, strategy: depends}",
    "jobs:a:trigger strategy should be depend or mirror (did you mean `depend`?)"
)]
#[case::forward(
    "trigger: {project: p, forward: {yaml_variables: x}}",
    "jobs:a:trigger:forward yaml variables should be a boolean value"
)]
#[case::four_files(
    "trigger: {include: [a.yml, b.yml, c.yml, d.yml]}",
    "jobs:a:trigger:include config is too long (maximum is 3)"
)]
#[case::needs_only_jobs("needs: [b]", "jobs:a config should contain either a trigger or a needs:pipeline")]
#[case::needs_two_pipelines(
    "needs: [{pipeline: g/p}, {pipeline: g/q}]",
    "jobs:a config should contain at most one bridge need"
)]
fn reports_mistakes_in_bridges(#[case] keywords: &str, #[case] expected: &str) {
    let reported = reported(&format!("a: {{{keywords}}}\nb: {{script: x}}\n"));
    let errors: Vec<_> = reported.iter().filter(|it| !it.contains("not supported")).collect();
    assert!(matches!(errors.as_slice(), [error] if error.split_once(": ").unwrap().1 == expected), "{reported:?}");
}

#[rstest]
#[case::upstream("needs: {pipeline: g/other}", &["valid, but not supported here: needs:pipeline (the job in the other pipeline counts as succeeded, without artifacts)"])]
#[case::child("trigger: {include: [{local: c.yml}], strategy: mirror, forward: {pipeline_variables: true}}", &["valid, but not supported here: trigger"])]
#[case::matrix("trigger: p, parallel: {matrix: [{A: [b]}]}, allow_failure: true, when: manual", &["valid, but not supported here: trigger"])]
fn accepts_valid_bridges(#[case] keywords: &str, #[case] expected: &[&str]) {
    let reported = job_diagnostics(keywords);
    assert_eq!(reported.iter().map(|it| it.split_once(": ").unwrap().1).collect::<Vec<_>>(), expected);
}

// entry/workflow.rb, auto_cancel.rb, variable.rb
#[rstest]
#[case::on_new_commit("workflow: {auto_cancel: {on_new_commit: x}}", &["workflow:auto_cancel on new commit must be one of: conservative, interruptible, none", "valid, but not supported here: workflow:auto_cancel:on_new_commit"])]
#[case::on_job_failure("workflow: {auto_cancel: {on_job_failure: sometimes}}", &["workflow:auto_cancel on job failure must be one of: none, all"])]
#[case::a_new_commit_in_a_rule("workflow: {rules: [{if: $A, auto_cancel: {on_new_commit: none}}]}", &["valid, but not supported here: workflow:rules:auto_cancel"])]
#[case::of_a_rule("workflow: {rules: [{if: $A, auto_cancel: {on_job_failure: x}}]}", &["workflow:rules:rule:auto_cancel on job failure must be one of: none, all", "valid, but not supported here: workflow:rules:auto_cancel"])]
#[case::options("variables: {A: {value: c, options: [a, b]}}", &["variables:a config value must be present in options"])]
#[case::data_key("variables: {A: {vale: c}}", &["variables:a config uses invalid data keys: vale"])]
#[case::invalid_shell_name("variables: {my-var: a}", &["`my-var` is not a valid name for a shell variable"])]
fn reports_mistakes_at_the_top_level(#[case] text: &str, #[case] expected: &[&str]) {
    let mut reported: Vec<_> = reported(&format!("{text}\na: {{script: x}}\n"));
    for it in &mut reported {
        *it = it.split_once(": ").unwrap().1.split(" (").next().unwrap().to_owned();
    }
    reported.sort();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(reported, expected);
}

// lib/gitlab/ci/config/header/root.rb, spec.rb, input.rb, lib/gitlab/ci/config/entry/concerns/base_include.rb
#[rstest]
#[case::header("foo: 1\nspec: {inputs: {}}\n---\n", "1:1: header config contains unknown keys: foo")]
#[case::spec("spec: {defualt: x, inputs: {}}\n---\n", "1:8: header:spec config contains unknown keys: defualt")]
#[case::input(
    "spec: {inputs: {v: {defualt: x, default: y}}}\n---\n",
    "1:21: header:spec:inputs:v config contains unknown keys: defualt (did you mean `default`?)"
)]
#[case::input_of_an_unknown_type(
    "spec: {inputs: {v: {type: strng, default: x}}}\n---\n",
    "1:27: header:spec:inputs:v input type unknown value: strng (did you mean `string`?)"
)]
#[case::rules_and_default(
    "spec: {inputs: {v: {rules: [{if: a, default: x}], default: x}}}\n---\n",
    "1:51: header:spec:inputs:v config these keys cannot be used together: rules, default"
)]
#[case::include_without_a_file(
    "include: [{project: g/p}]\n",
    "1:11: include:include config must specify the file where to fetch the config from"
)]
fn reports_mistakes_in_headers_and_includes(#[case] text: &str, #[case] expected: &str) {
    let reported = reported(&format!("{text}a: {{script: x}}\n"));
    assert!(reported.iter().any(|it| it == expected), "{reported:?}");
}

// Keywords that concern only GitLab's own pages or another executor.
#[rstest]
#[case::expose_as("artifacts: {expose_as: a, paths: [b]}", "artifacts:expose_as")]
#[case::access("artifacts: {access: all}", "artifacts:access")]
#[case::public("artifacts: {public: false}", "artifacts:public")]
#[case::lsif("artifacts: {reports: {lsif: a}}", "artifacts:reports:lsif")]
#[case::license_scanning("artifacts: {reports: {license_scanning: a}}", "artifacts:reports:license_scanning")]
#[case::performance("artifacts: {reports: {performance: a}}", "artifacts:reports:performance")]
#[case::sarif("artifacts: {reports: {sarif: [a]}}", "artifacts:reports:sarif")]
#[case::coverage(
    "artifacts: {reports: {coverage_report: {coverage_format: cobertura, path: a}}}",
    "artifacts:reports:coverage_report"
)]
#[case::release(
    "release: {tag_name: a, description: b, milestones: c, assets: {links: [{name: d, url: 'https://e'}]}}",
    "release"
)]
#[case::secrets("secrets: {A: {vault: b, file: false, token: $C}}", "secrets")]
#[case::id_tokens("id_tokens: {A: {aud: [b]}}", "id_tokens")]
fn warns_about_keywords_that_are_not_supported(#[case] keyword: &str, #[case] expected: &str) {
    let reported = job_diagnostics(&format!("script: x, {keyword}"));
    assert_eq!(
        reported.iter().map(|it| it.split_once(": ").unwrap().1).collect::<Vec<_>>(),
        [format!("valid, but not supported here: {expected}")]
    );
}
