//! The keys of most hashes. Each row states the keys as `ALLOWED_KEYS` of the file in GitLab's `lib/gitlab/ci/config/entry/`. All other keys
//! of this table are refused there.

use std::collections::BTreeSet;

use super::read;

/// A hash: a file with `@` for a key, the beginning of GitLab's messages about the hash, its keys, and the source of the rule.
type Row = (&'static str, &'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    (
        "a: {script: x, artifacts: {@: }}",
        "jobs:a:artifacts config",
        "name untracked paths reports when expire_in expose_as exclude public access",
        "artifacts.rb",
    ),
    (
        "a: {script: x, cache: {@: }}",
        "jobs:a:cache config",
        "key untracked paths when policy unprotect fallback_keys",
        "cache.rb",
    ),
    ("a: {script: x, cache: {key: {@: }}}", "jobs:a:cache:key config", "files files_commits prefix", "key.rb"),
    (
        "a: {script: x, environment: {name: e, @: }}",
        "jobs:a:environment config",
        "name url action on_stop auto_stop_in kubernetes deployment_tier",
        "environment.rb",
    ),
    (
        "a: {script: x, environment: {name: e, kubernetes: {@: }}}",
        "jobs:a:environment:kubernetes config",
        "namespace agent flux_resource_path managed_resources dashboard",
        "kubernetes.rb",
    ),
    ("a: {script: x, hooks: {@: }}", "jobs:a:hooks config", "pre_get_sources_script", "hooks.rb"),
    ("a: {script: x, id_tokens: {T: {@: }}}", "jobs:a:id_tokens:t config", "aud", "id_token.rb"),
    (
        "a: {script: x, image: {name: i, @: }}",
        "jobs:a:image config",
        "name entrypoint ports pull_policy docker kubernetes",
        "imageable.rb",
    ),
    ("a: {script: x, image: {name: i, docker: {@: x}}}", "jobs:a:image", "platform user", "imageable.rb"),
    ("a: {script: x, image: {name: i, kubernetes: {@: x}}}", "jobs:a:image", "user", "imageable.rb"),
    (
        "a: {script: x, services: [{name: i, @: }]}",
        "jobs:a:services:service config",
        "name entrypoint command alias ports variables pull_policy docker kubernetes",
        "service.rb",
    ),
    ("a: {script: x, inherit: {@: }}", "jobs:a:inherit config", "default variables", "inherit.rb"),
    ("a: {script: x, retry: {@: }}", "retry config", "max when exit_codes", "retry.rb"),
    ("a: {script: x, allow_failure: {@: }}", "jobs:a:allow_failure config", "exit_codes", "allow_failure.rb"),
    (
        "a: {script: x, release: {tag_name: t, description: d, @: }}",
        "jobs:a:release config",
        "tag_name tag_message name description ref milestones released_at assets",
        "release.rb",
    ),
    (
        "a: {script: x, rules: [{@: }]}",
        "jobs:a:rules:rule config",
        "if changes exists when start_in allow_failure variables needs interruptible",
        "processable.rb",
    ),
    (
        "a: {script: x, rules: [{changes: {paths: [p], @: }}]}",
        "jobs:a:rules:rule:changes config",
        "paths compare_to",
        "rules/rule/changes.rb",
    ),
    (
        "a: {script: x, rules: [{exists: {paths: [p], @: }}]}",
        "jobs:a:rules:rule:exists config",
        "paths project ref",
        "rules/rule/exists.rb",
    ),
    ("a: {script: x, only: {@: }}", "jobs:a:only config", "refs kubernetes variables changes", "policy.rb"),
    ("a: {script: x, parallel: {@: }}", "jobs:a:parallel config", "matrix", "product/parallel.rb"),
    (
        "a: {trigger: {project: p, @: }}",
        "jobs:a:trigger config",
        // With `include`, it is the trigger of the next row, and `project` is unknown.
        "project branch strategy forward inputs include",
        "trigger.rb",
    ),
    ("a: {trigger: {include: x.yml, @: }}", "jobs:a:trigger config", "include strategy forward", "trigger.rb"),
    ("a: {script: x, pages: {@: }}", "jobs:a:pages config", "path_prefix expire_in publish", "pages.rb"),
    // With `needs`, `workflow` and `default` are jobs: `entry/root.rb`.
    ("a: {script: x}\nworkflow: {@: }", "workflow config", "rules name auto_cancel needs", "workflow.rb"),
    (
        "a: {script: x}\nworkflow: {rules: [{@: }]}",
        "workflow:rules:rule config",
        "if changes exists when start_in allow_failure variables needs auto_cancel",
        "workflow.rb",
    ),
    (
        "a: {script: x}\nworkflow: {auto_cancel: {@: }}",
        "workflow:auto_cancel config",
        "on_new_commit on_job_failure",
        "auto_cancel.rb",
    ),
    (
        "a: {script: x}\ndefault: {@: }",
        "default config",
        "before_script after_script hooks cache image services interruptible timeout retry tags artifacts id_tokens identity needs",
        "default.rb",
    ),
    (
        "b: {script: x}\na: {script: x, needs: [{job: b, @: }]}",
        "jobs:a:needs:need config",
        // With `project`, `pipeline` or `ref`, it is a need of another kind.
        "job artifacts optional parallel project pipeline ref",
        "need.rb",
    ),
    (
        "a: {script: x}\nvariables: {V: {value: v, @: }}",
        "variables:v config",
        "value description expand options",
        "variable.rb",
    ),
    ("a: {script: x, variables: {V: {value: v, @: }}}", "jobs:a:variables:v config", "value expand", "variable.rb"),
];

#[test]
fn each_hash_accepts_the_keys_of_its_rule() {
    let all: BTreeSet<&str> = ROWS.iter().flat_map(|(_, _, keys, _)| keys.split(' ')).chain(["foo"]).collect();
    let mut wrong = Vec::new();
    for (file, subject, keys, source) in ROWS {
        let keys: BTreeSet<&str> = keys.split(' ').collect();
        for key in &all {
            let file = format!("{}\n", file.replace('@', key));
            let messages: Vec<String> = read(&file).diagnostics.sorted().iter().map(|it| it.message.clone()).collect();
            // The executor's options have a JSON schema, with its own sentence.
            let endings = [
                format!("unknown keys: {key}"),
                format!("invalid data keys: {key}"),
                format!("/{key}` is a disallowed additional property"),
            ];
            let is_unknown =
                messages.iter().any(|it| it.starts_with(*subject) && endings.iter().any(|ending| it.ends_with(ending)));
            if is_unknown == keys.contains(key) {
                wrong.push(format!("{source}: {file:?} {messages:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}
