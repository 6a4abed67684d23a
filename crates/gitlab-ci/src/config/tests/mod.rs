//! GitLab's messages about single keywords, and valid values that look invalid.

mod entry_keys;
mod entry_rules;
mod jobs;
mod odd_values;
mod parts;
mod rare_forms;
mod refused_values;
mod sentences;

use rstest::rstest;

use crate::files::Files;
use crate::include::Environment;
use crate::lint::{Lint, lint};

struct OneFile<'text>(&'text str);

impl Files for OneFile<'_> {
    fn read(&self, path: &str) -> Option<String> {
        (path == ".gitlab-ci.yml").then(|| self.0.to_owned())
    }

    fn list(&self) -> Vec<String> {
        vec![".gitlab-ci.yml".to_owned()]
    }
}

fn read(text: &str) -> Lint {
    let files = OneFile(text);
    let environment = Environment::new(&files);
    lint(".gitlab-ci.yml", &environment)
}

/// All diagnostics as `line:column: message`.
fn reported(text: &str) -> Vec<String> {
    let lint = read(text);
    let written = |it: &&crate::diagnostic::Diagnostic| {
        let place = lint.sources.location(it.span);
        let help = it.notes().map(|notes| format!(" ({notes})")).unwrap_or_default();
        format!("{}:{}: {}{help}", place.line, place.column, it.message)
    };
    lint.diagnostics.sorted().iter().map(written).collect()
}

/// The diagnostics of a job with these keywords.
fn job_diagnostics(keywords: &str) -> Vec<String> {
    reported(&format!("a: {{{keywords}}}\n"))
}

// A keyword without a value counts as absent: `create!` of lib/gitlab/config/entry/factory.rb, `overwrite_entry` of
// inheritable.rb, `disallowed_keys: {ignore_nil: true}` of entry/processable.rb.
#[rstest]
#[case::before_script("script: x, before_script: ")]
#[case::rules("script: x, rules: ")]
#[case::only_beside_rules("script: x, rules: [{if: $A}], only: , except: , start_in: ")]
#[case::extends("script: x, extends: ")]
#[case::inherit("script: x, inherit: ")]
#[case::need_without_parallel("script: x, needs: ")]
#[case::cache("script: x, cache: {key: , paths: , fallback_keys: }")]
#[case::only("script: x, only: {refs: , variables: , changes: }")]
#[case::allow_failure("script: x, allow_failure: {exit_codes: }")]
#[case::auto_stop("script: x, environment: {name: dev, url: , action: }")]
// The entries accept these values.
#[case::lists_in_lists("script: [[[[[[[[[[x]]]]]]]]]]")]
#[case::empty_before_script("script: x, before_script: [], after_script: ''")]
#[case::blank_item("script: ['']")]
#[case::reports("script: x, artifacts: {reports: {junit: [a], dotenv: b}}")]
#[case::expires_never("script: x, artifacts: {expire_in: never}")]
#[case::environment("script: x, environment: {name: 'review/$CI_COMMIT_REF_NAME ${X}.y_z-1', url: 'https://$X'}")]
#[case::caches(
    "script: x, cache: [{key: a, paths: [b]}, {key: {files: [c], prefix: d}}, {policy: $P}, {policy: pull}]"
)]
#[case::policy("script: x, only: []")]
#[case::timeout("script: x, timeout: 60 minutes")]
#[case::a_month("script: x, timeout: 4 weeks 2 days")]
#[case::a_week("script: x, when: delayed, start_in: 1 week")]
#[case::services(
    "script: x, services: [[redis], {name: a, entrypoint: [b], command: [c, [d]], alias: 'd, e'}, {name: f, command: g}]"
)]
#[case::pull_policies("script: x, image: {name: a, pull_policy: [always, if-not-present]}")]
#[case::matrix("script: x, parallel: {matrix: [{A: x, B: [1, 2]}, {C: ['']}]}")]
#[case::variables("script: x, variables: {A: 1.5, B: true, C: {value: 2, expand: false}, D: {}, E: }")]
#[case::inherited("script: x, inherit: {default: [image, tags], variables: [A]}")]
#[case::tags("script: x, tags: [a, $B]")]
fn accepts_valid_values(#[case] keywords: &str) {
    assert_eq!(job_diagnostics(keywords), Vec::<String>::new());
}

// entry/processable.rb: `compose!` takes the default `only` from a job with the key `rules`.
#[rstest]
#[case::without_rules("a: {script: x}", true)]
#[case::with_empty_rules("a: {script: x, rules: }", false)]
fn the_key_rules_removes_the_default_only(#[case] text: &str, #[case] expected: bool) {
    assert_eq!(read(text).configuration.unwrap().jobs["a"].has_default_only, expected);
}

// entry/bridge.rb: `scheduling_type`
#[test]
fn a_job_that_shows_another_pipeline_waits_for_its_stage() {
    let jobs = read("a: {needs: {pipeline: g/p}}\nb: {trigger: g/p, needs: [a]}\n").configuration.unwrap().jobs;
    assert_eq!((jobs["a"].is_trigger, jobs["a"].needs.is_none(), jobs["b"].needs.is_some()), (true, true, true));
}

#[test]
fn an_empty_keyword_inherits_the_default() {
    let lint = read("default: {image: alpine, before_script: [x]}\na: {script: x, image: , before_script: }\n");
    let job = &lint.configuration.unwrap().jobs["a"];
    assert_eq!((&*job.image.as_ref().unwrap().name, job.before_script.len()), ("alpine", 1));
}
