use std::collections::BTreeMap;

use rstest::rstest;

use super::*;
use crate::diagnostic::Diagnostic;
use crate::files::Files;

mod directories;

struct Map(BTreeMap<&'static str, String>);

impl Files for Map {
    fn read(&self, path: &str) -> Option<String> {
        self.0.get(path).cloned()
    }

    fn list(&self) -> Vec<String> {
        self.0.keys().map(ToString::to_string).collect()
    }
}

fn lint_files(files: &[(&'static str, &str)]) -> Lint {
    let files = Map(files.iter().map(|(name, text)| (*name, (*text).to_owned())).collect());
    let environment = Environment {
        expand: &|text| text.replace("$TEAM", "blue"),
        admits: &|_, _| false,
        ..Environment::new(&files)
    };
    lint(".gitlab-ci.yml", &environment)
}

fn complaints(lint: &Lint) -> Vec<String> {
    let describe = |it: &&Diagnostic| {
        let help = it.notes().map(|notes| format!(" ({notes})")).unwrap_or_default();
        format!("{}: {}{help}", lint.sources.location(it.span), it.message)
    };
    lint.diagnostics.sorted().iter().map(describe).collect()
}

fn lint_text(text: &str) -> Vec<String> {
    complaints(&lint_files(&[(".gitlab-ci.yml", text)]))
}

#[test]
fn the_repositorys_own_file_is_valid() {
    let lint = lint_files(&[(".gitlab-ci.yml", include_str!("../../../../.gitlab-ci.yml"))]);
    assert_eq!(complaints(&lint), Vec::<String>::new());
    let configuration = lint.configuration.unwrap();
    let jobs: Vec<_> = configuration.jobs.keys().map(|name| &**name).collect();
    assert_eq!(
        jobs,
        [
            "test",
            "test2",
            "compile",
            "compile_arm64",
            "image_build",
            "deploy_review",
            "stop_review",
            "deploy_dev",
            "deploy_live"
        ]
    );
    assert_eq!(configuration.stages.join(" "), ".pre test build release review deploy .post");
    assert_eq!(configuration.jobs["deploy_review"].script.len(), 11);
}

// GitLab's messages, from lib/gitlab/ci/config/entry/ and lib/gitlab/ci/yaml_processor.rb of 18.11.
#[rstest]
#[case::no_script(
    "b: {script: x}\na: {stage: test}\n",
    "2:1: jobs a config should implement the script:, run:, or trigger: keyword (to define a template for `extends`, start the name with a dot: `.a`)"
)]
#[case::only_hidden(".a: {script: x}\n", "1:1: jobs config should contain at least one visible job")]
#[case::unknown_key(
    "a:\n  script: x\n  servces: []\n",
    "3:3: jobs:a config contains unknown keys: servces (did you mean `services`?)"
)]
#[case::bad_stage(
    "a: {script: x, stage: biuld}\n",
    "1:23: a job: chosen stage biuld does not exist; available stages are .pre, build, test, deploy, .post (did you mean `build`?)"
)]
#[case::bad_when(
    "a: {script: x, when: allways}\n",
    "1:22: jobs:a when should be one of: on_success, on_failure, always, manual, delayed (did you mean `always`?)"
)]
#[case::bad_rule_when(
    "a: {script: x, rules: [{when: sometimes}]}\n",
    "1:31: jobs:a:rules:rule when unknown value: sometimes (one of on_success, on_failure, always, never, manual, delayed)"
)]
#[case::rules_with_only(
    "a: {script: x, rules: [{if: $A}], only: [main]}\n",
    "1:35: jobs:a config key may not be used with `rules`: only"
)]
#[case::only_is_a_string(
    "a: {script: x, only: main}\n",
    "1:22: jobs:a:only has to be either an array of conditions or a hash"
)]
#[case::unknown_need(
    "a: {script: x, needs: [bulid]}\nbuild: {script: x}\n",
    "1:24: a job: undefined need: bulid (did you mean `build`?)"
)]
#[case::need_of_a_later_stage(
    "a: {script: x, stage: build, needs: [b]}\nb: {script: x, stage: deploy}\n",
    "1:38: a job: need b is not defined in current or prior stages (b is in stage deploy, a in build)"
)]
#[case::needs_itself("a: {script: x, needs: [a]}\n", "1:1: The pipeline has circular dependencies: self-dependency: a")]
#[case::needs_each_other(
    "a: {script: x, needs: [b]}\nb: {script: x, needs: [a]}\n",
    "1:1: The pipeline has circular dependencies: topological sort failed: [\"a\", \"b\"] (a needs b needs a)"
)]
#[case::needs_twice(
    "a: {script: x, needs: [b, b]}\nb: {script: x}\n",
    "1:27: a has the following needs duplicated: b."
)]
#[case::script_of_wrong_type(
    "a: {script: {x: y}}\n",
    "1:13: jobs:a:script config should be a string or a nested array of strings up to 10 levels deep"
)]
#[case::script_without_a_value("a: {script: }\n", "1:11: jobs:a script can't be blank")]
#[case::bad_parallel("a: {script: x, parallel: often}\n", "1:26: jobs:a:parallel should be an integer or a hash")]
#[case::invalid_duration(
    "a: {script: x, timeout: soon}\n",
    "1:25: jobs:a:timeout config should be a duration (`soon` is not a duration: `soon` is neither a number nor a unit (seconds, minutes, hours, days, weeks, months, years); use a form such as `90` (seconds), `3h 30m`, `2 hrs 20 min` or `1 week`)"
)]
#[case::too_long_a_delay(
    "a: {script: x, when: delayed, start_in: 8 days}\n",
    "1:41: jobs:a start in should not exceed the limit"
)]
#[case::on_stop(
    "a: {script: x, environment: {name: dev, on_stop: b}}\nb: {script: x}\n",
    "1:50: a job: on_stop job b does not have environment defined"
)]
#[case::upper_case(
    "Build: {script: x, tag: [y]}\n",
    "1:20: jobs:build config contains unknown keys: tag (did you mean `tags`?)"
)]
#[case::not_a_mapping("- a\n", "1:1: Invalid configuration format")]
#[case::only_a_comment("# a\n", "1:1: Please provide content of .gitlab-ci.yml")]
#[case::empty("", "1:1: Please provide content of .gitlab-ci.yml")]
#[case::image_twice(
    "image: a\ndefault: {image: b}\na: {script: x}\n",
    "1:1: image is defined in top-level and `default:` entry"
)]
fn reports_a_mistake(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(lint_text(text), [format!(".gitlab-ci.yml:{expected}")]);
}

#[test]
fn reports_all_mistakes_in_one_pass() {
    let text = "a: {script: x, stage: none}\nb: {scrpt: x}\nc: {script: x, needs: [d]}\n";
    assert_eq!(lint_text(text).len(), 4, "{:?}", lint_text(text));
}

#[test]
fn warns_once_about_a_keyword_with_an_anchor() {
    let text = ".c: &c {script: x, id_tokens: {}}\na: *c\nb: *c\n";
    assert_eq!(lint_text(text), [".gitlab-ci.yml:1:20: valid, but not supported here: id_tokens"]);
}

#[test]
fn a_file_overrides_its_includes() {
    let lint = lint_files(&[
        (".gitlab-ci.yml", "include: [/ci/a.yml, 'ci/$TEAM/*.yml']\nb: {script: own}\n"),
        ("ci/a.yml", "a: {script: a}\nb: {script: theirs, tags: [t]}\n"),
        ("ci/blue/x.yml", "x: {script: x}\n"),
        ("ci/blue/deep/y.yml", "y: {script: y}\n"),
    ]);
    assert_eq!(complaints(&lint), Vec::<String>::new());
    let jobs = lint.configuration.unwrap().jobs;
    assert_eq!(jobs.keys().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "x"]);
    assert_eq!(&*jobs["b"].script[0].value, "own");
}

#[rstest]
#[case::missing(
    "include: ci/b.yml\n",
    ".gitlab-ci.yml:1:10: Local file `ci/b.yml` does not exist! (did you mean `ci/a.yml`?)"
)]
#[case::no_yaml_extension(
    "include: ci/a.txt\n",
    ".gitlab-ci.yml:1:10: Included file `ci/a.txt` does not have YAML extension!"
)]
#[case::only_a_comment(
    "include: ci/notes.yml\n",
    ".gitlab-ci.yml:1:10: Included file `ci/notes.yml` does not have valid YAML syntax! (it is empty, or has only comments)"
)]
#[case::wildcard_of_other_files(
    "include: 'ci/*.t*'\n",
    ".gitlab-ci.yml:1:10: Included file `ci/b.txt` does not have YAML extension!"
)]
#[case::wildcard_with_a_slash(
    "include: '/ci/*.yml'\n",
    ".gitlab-ci.yml:1:10: `/ci/*.yml` includes no file: a wildcard is compared with paths that do not start with `/` (remove the first `/`)"
)]
#[case::wildcard_of_no_file(
    "include: 'no/*.yml'\n",
    ".gitlab-ci.yml:1:10: `no/*.yml` includes no file: no path matches it"
)]
#[case::path_from_the_own_directory(
    "include: ./ci/a.yml\n",
    ".gitlab-ci.yml:1:10: Local file `./ci/a.yml` does not exist! (write the path from the project's directory: `ci/a.yml`)"
)]
#[case::unknown_key(
    "include: {local: ci/a.yml, rulse: []}\n",
    ".gitlab-ci.yml:1:28: include has the unknown key `rulse`, which GitLab ignores (did you mean `rules`?)"
)]
// `External::Processor#perform` leaves `include` in the configuration if nothing is included.
#[case::hash_that_includes_nothing(
    "include: {local: ci/a.yml, rules: [{if: $A}]}\n",
    ".gitlab-ci.yml:1:10: include config should be an array or a string (no rule of it matches; write a list, which may be empty: `- local: FILE`)"
)]
#[case::unknown_key_that_includes_nothing(
    "include: [{rulse: x, local: ci/a.yml, rules: [{if: $A}]}]\n",
    ".gitlab-ci.yml:1:12: include:include config contains unknown keys: rulse (did you mean `rules`?)"
)]
// `.+` of `YAML_ALLOWLIST_EXTENSION` in `lib/gitlab/ci/config/external/file/base.rb`
#[case::only_an_extension(
    "include: ci/.yml\n",
    ".gitlab-ci.yml:1:10: Included file `ci/.yml` does not have YAML extension!"
)]
#[case::no_path(
    "include: ''\n",
    ".gitlab-ci.yml:1:10: `{\"local\":\"\"}` does not have a valid subkey for include. Valid subkeys are: `local`, `project`, `remote`, `template`, `component`, `artifact`"
)]
#[case::list_as_a_path(
    "include: {local: [ci/a.yml]}\n",
    ".gitlab-ci.yml:1:18: Included file `[\"ci/a.yml\"]` needs to be a string"
)]
#[case::path_with_a_variable(
    "include: ci/$TEAM.yml\n",
    ".gitlab-ci.yml:1:10: Local file `ci/blue.yml` does not exist! (`ci/$TEAM.yml` is `ci/blue.yml` when its variables are expanded; variables of the file are not available here)"
)]
// `process_without_instrumentation` of `lib/gitlab/ci/config/external/mapper.rb`
#[case::wildcard_with_a_variable_in_a_hash(
    "include: [{local: 'ci/$TEAM/*.yml'}]\n",
    ".gitlab-ci.yml:1:11: `ci/$TEAM/*.yml` includes no file: a wildcard of `local` is compared with paths before variables are expanded (write a text instead of a hash: `- ci/$TEAM/*.yml`)"
)]
#[case::empty_file("include: ci/empty.yml\n", ".gitlab-ci.yml:1:10: Local file `ci/empty.yml` is empty!")]
#[case::elsewhere(
    "include: {template: Auto.gitlab-ci.yml}\n",
    ".gitlab-ci.yml:1:10: include:template `Auto.gitlab-ci.yml` is not in this project (specify its directory: --include Auto.gitlab-ci.yml=DIR, or --include template=DIR for all includes of that kind)"
)]
// `lib/gitlab/ci/config/external/file/`, `lib/gitlab/ci/components/instance_path.rb`
#[case::template_with_another_name(
    "include: {template: Auto.yml}\n",
    ".gitlab-ci.yml:1:10: Template file `Auto.yml` is not a valid location!"
)]
#[case::text_file_of_a_project(
    "include: {project: g/p, file: x.txt}\n",
    ".gitlab-ci.yml:1:10: Included file `x.txt` does not have YAML extension!"
)]
#[case::number_as_a_file(
    "include: {project: g/p, file: [5]}\n",
    ".gitlab-ci.yml:1:32: Included file `5` needs to be a string"
)]
#[case::address_with_a_query(
    "include: 'https://a.test/x.yml?b=c'\n",
    ".gitlab-ci.yml:1:10: Included file `https://a.test/x.yml?b=c` does not have YAML extension!"
)]
#[case::component_without_a_version(
    "include: {component: a.test/g/p/c}\n",
    ".gitlab-ci.yml:1:10: component 'a.test/g/p/c' - the component path is not supported"
)]
#[case::component_without_a_host(
    "include: {component: g/p/c@1}\n",
    ".gitlab-ci.yml:1:10: component 'g/p/c@1' - the component path is not supported"
)]
#[case::artifact(
    "include: {artifact: x.yml, job: a}\n",
    ".gitlab-ci.yml:1:10: Including configs from artifacts is only allowed when triggering child pipelines"
)]
#[case::itself("include: .gitlab-ci.yml\n", ".gitlab-ci.yml:1:10: Maximum of 150 nested includes are allowed!")]
fn reports_invalid_includes(#[case] include: &str, #[case] expected: &str) {
    let text = format!("{include}a: {{script: x}}\n");
    let lint = lint_files(&[
        (".gitlab-ci.yml", &text),
        ("ci/a.yml", "b: {script: y}\n"),
        ("ci/b.txt", "b: {script: y}\n"),
        ("ci/notes.yml", "# b: {script: y}\n"),
        ("ci/empty.yml", " \n"),
    ]);
    assert_eq!(complaints(&lint).first().map(String::as_str), Some(expected));
}

// lib/gitlab/ci/config/external/mapper/location_expander.rb
#[rstest]
#[case::a_file_that_matches_its_own_wildcard("ci/b.yml", &["b", "c", "a"])]
#[case::several_matches("ci/*.yml", &["b", "c", "a"])]
#[case::any_number_of_directories("'**/*.yml'", &["b", "c", "a"])]
#[case::directories_within("ci/**/*.yml", &["b", "c", "a"])]
fn expands_wildcards(#[case] include: &str, #[case] expected: &[&str]) {
    let text = format!("include: {include}\na: {{script: x}}\n");
    let lint = lint_files(&[
        (".gitlab-ci.yml", &text),
        ("ci/b.yml", "include: ci/*.yml\nb: {script: x}\n"),
        ("ci/c.yml", "c: {script: x}\n"),
    ]);
    assert_eq!(complaints(&lint), Vec::<String>::new());
    let mut jobs: Vec<_> = lint.configuration.unwrap().jobs.keys().map(ToString::to_string).collect();
    let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
    jobs.sort();
    expected.sort();
    assert_eq!(jobs, expected);
}

#[test]
fn reports_too_many_includes_once() {
    let include = format!("include: [{}]\na: {{script: x}}\n", vec!["b.yml"; 400].join(", "));
    let lint =
        lint_files(&[(".gitlab-ci.yml", &include), ("b.yml", "include: c.yml\n"), ("c.yml", "b: {script: x}\n")]);
    assert_eq!(complaints(&lint).len(), 1, "{:?}", complaints(&lint));
}

#[test]
fn inserts_inputs_into_an_included_file() {
    let lint = lint_files(&[
        (".gitlab-ci.yml", "include: {local: t.yml, inputs: {name: linux, count: 2}}\n"),
        (
            "t.yml",
            "spec:\n  inputs:\n    name:\n    count: {type: number}\n    shell: {default: bash}\n---\nbuild-$[[ inputs.name ]]:\n  script: $[[ inputs.shell ]] run # $[[ inputs.nobody ]]\n  parallel: $[[ inputs.count ]]\n",
        ),
    ]);
    assert_eq!(complaints(&lint), Vec::<String>::new());
    let jobs = lint.configuration.unwrap().jobs;
    let job = &jobs["build-linux"];
    assert_eq!((&*job.script[0].value, lint.sources.location(job.span).line), ("bash run", 7));
}

#[rstest]
#[case::missing(
    "{local: t.yml}",
    ".gitlab-ci.yml:1:10: `name` input: required value has not been provided (set it under `inputs:` of the include, or declare a default)"
)]
#[case::unknown(
    "{local: t.yml, inputs: {name: x, nmae: y}}",
    ".gitlab-ci.yml:1:43: unknown input arguments: nmae (did you mean `name`?)"
)]
#[case::list("{local: t.yml, inputs: [name]}", ".gitlab-ci.yml:1:33: Given inputs must be a hash")]
fn reports_invalid_inputs(#[case] include: &str, #[case] expected: &str) {
    let text = format!("include: {include}\n");
    let lint = lint_files(&[
        (".gitlab-ci.yml", &text),
        ("t.yml", "spec: {inputs: {name: }}\n---\na: {script: '$[[ inputs.name ]]'}\n"),
    ]);
    assert_eq!(complaints(&lint), [expected]);
}

#[test]
fn inputs_need_a_header() {
    let lint = lint_files(&[
        (".gitlab-ci.yml", "include: [{local: t.yml, inputs: {name: x}}]\na: {script: x}\n"),
        ("t.yml", "b: {script: x}\n"),
    ]);
    let message = "Given inputs not defined in the `spec` section of the included configuration file";
    let help = "`t.yml` has no header with `spec:inputs`, so `name` is unknown";
    assert_eq!(complaints(&lint), [format!(".gitlab-ci.yml:1:35: {message} ({help})")]);
}
