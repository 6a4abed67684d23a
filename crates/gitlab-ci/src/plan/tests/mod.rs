//! The content of pipelines, by GitLab's rules. Each table cites its source.

mod variables;

use rstest::rstest;

use super::admission;
use super::context::{Context, RefKind, Source};
use super::error::{MissingNeed, PlanError};
use super::job_variables::ProjectVariables;
use crate::config::when::{AllowFailure, When};
use crate::plan::commit::Commit;
use crate::testing::{branch, context, plan_for, plan_with};
use crate::variables::collection::{Origin, Variable};
use crate::variables::settings::Setting;

fn with_another_job(a: &str) -> String {
    format!("a: {{script: x, {a}}}\nz: {{script: x, rules: [{{when: always}}]}}\n")
}

/// Whether the job `a` is in the pipeline. Another job always is.
fn has_a(a: &str, context: &Context, variables: &[(&str, &str)]) -> bool {
    plan_for(&with_another_job(a), context, variables).unwrap().jobs.iter().any(|job| &*job.name == "a")
}

// https://docs.gitlab.com/ci/yaml/#rules, lib/gitlab/ci/build/rules.rb
#[rstest]
#[case::matching_rule("rules: [{if: $CI_COMMIT_BRANCH}]", true)]
#[case::no_matching_rule("rules: [{if: $CI_COMMIT_TAG}]", false)]
#[case::first_match_wins("rules: [{if: $CI_COMMIT_BRANCH, when: never}, {when: always}]", false)]
#[case::without_clauses("rules: [{when: always}]", true)]
#[case::all_clauses_must_hold("rules: [{if: $CI_COMMIT_BRANCH, exists: [none.txt]}]", false)]
#[case::exists("rules: [{exists: ['**/*.rs']}]", true)]
#[case::exists_at_the_top_only("rules: [{exists: ['*.rs']}]", false)]
#[case::unknown_changes_count_as_changes("rules: [{changes: [none.txt]}]", true)]
#[case::changes_against_a_ref("rules: [{changes: {paths: [src/*], compare_to: main}}]", true)]
#[case::no_changes_against_a_ref("rules: [{changes: {paths: [Dockerfile], compare_to: main}}]", false)]
#[case::variables_are_not_expanded(
    "variables: {B: $CI_COMMIT_BRANCH}, rules: [{if: '$B == $CI_COMMIT_BRANCH'}]",
    false
)]
#[case::the_projects_variables("rules: [{if: $DEPLOY == 'yes'}]", true)]
fn rules_select_jobs(#[case] a: &str, #[case] expected: bool) {
    assert_eq!(has_a(a, &branch("main"), &[("DEPLOY", "yes")]), expected);
}

// https://docs.gitlab.com/ci/yaml/deprecated_keywords/#only--except, lib/gitlab/ci/build/policy/refs.rb
#[rstest]
#[case::name("only: [release]", true)]
#[case::another_name("only: [main]", false)]
#[case::globs_are_not_supported("only: ['rel*']", false)]
#[case::expression("only: [/^rel/]", true)]
#[case::expression_with_flags("only: [/^REL/i]", true)]
#[case::expression_without_a_match("only: [/^rel$/]", false)]
#[case::branches("only: [branches]", true)]
#[case::tags("only: [tags]", false)]
#[case::source("only: [pushes]", true)]
#[case::another_source("only: [schedules]", false)]
#[case::own_project("only: [branches@course/demo]", true)]
#[case::name_of_own_project("only: [release@course/demo]", true)]
#[case::name_of_another_project("only: [release@other/demo]", false)]
#[case::except("except: [release]", false)]
#[case::except_of_another("except: [main]", true)]
#[case::only_and_except("only: [branches], except: [/^rel/]", false)]
#[case::keys_of_only_must_all_hold("only: {refs: [branches], variables: [$NONE]}", false)]
#[case::one_of_the_variables("only: {variables: [$NONE, $CI_COMMIT_BRANCH]}", true)]
#[case::a_hash_keeps_the_default_refs("only: {variables: [$CI_COMMIT_BRANCH]}", true)]
#[case::any_key_of_except_excludes("except: {refs: [main], variables: [$CI_COMMIT_BRANCH]}", false)]
#[case::kubernetes("only: {kubernetes: active}", false)]
#[case::unknown_changes("only: {changes: [none.txt]}", true)]
#[case::except_unknown_changes("except: {changes: [none.txt]}", false)]
fn only_and_except_select_jobs(#[case] a: &str, #[case] expected: bool) {
    assert_eq!(has_a(a, &branch("release"), &[]), expected);
}

#[rstest]
#[case::changed_file("rules: [{changes: [src/*]}]", true)]
#[case::other_file("rules: [{changes: [docs/*]}]", false)]
#[case::with_a_variable("variables: {FOLDER: src}, rules: [{changes: ['$FOLDER/*']}]", true)]
#[case::only("only: {changes: [docs/*]}", false)]
#[case::except("except: {changes: [src/*]}", false)]
#[case::variables_of_policies_are_not_expanded("variables: {FOLDER: src}, only: {changes: ['$FOLDER/*']}", false)]
fn changed_files_select_jobs(#[case] a: &str, #[case] expected: bool) {
    let changed = ["src/main.rs".to_owned()];
    let plan = plan_with(&with_another_job(a), &branch("main"), &ProjectVariables::default(), Some(&changed)).unwrap();
    assert_eq!(plan.jobs.iter().any(|job| &*job.name == "a"), expected);
}

// entry/job.rb, entry/rules/rule.rb: `rules:allow_failure` falls back to the job's, whose default depends on its `when`.
#[rstest]
#[case::plain("", When::OnSuccess, false)]
#[case::manual("when: manual", When::Manual, true)]
#[case::manual_that_blocks("when: manual, allow_failure: false", When::Manual, false)]
#[case::manual_by_rule_blocks("rules: [{when: manual}]", When::Manual, false)]
#[case::manual_by_rule_that_may_fail("rules: [{when: manual, allow_failure: true}]", When::Manual, true)]
#[case::a_rule_without_when("when: manual, rules: [{if: $CI}]", When::Manual, true)]
#[case::a_rule_with_when("when: manual, rules: [{if: $CI, when: always}]", When::Always, true)]
#[case::allowed("allow_failure: true", When::OnSuccess, true)]
#[case::delayed("when: delayed, start_in: 5 minutes", When::Delayed, false)]
fn a_rule_sets_when_and_allow_failure(#[case] a: &str, #[case] when: When, #[case] allowed: bool) {
    let plan = plan_for(&format!("a: {{script: x, {a}}}\n"), &branch("main"), &[]).unwrap();
    let job = &plan.jobs[0];
    assert_eq!((job.when, &job.allow_failure), (when, &AllowFailure::Fixed(allowed)));
}

// lib/gitlab/ci/config/normalizer.rb
#[rstest]
#[case::count("parallel: 3", &["a 1/3", "a 2/3", "a 3/3"])]
#[case::one("parallel: 1", &["a 1/1"])]
#[case::matrix("parallel: {matrix: [{X: [1, 2], Y: [p, q]}]}", &["a: [1, p]", "a: [1, q]", "a: [2, p]", "a: [2, q]"])]
#[case::matrices("parallel: {matrix: [{X: 1}, {Y: [p, q]}]}", &["a: [1]", "a: [p]", "a: [q]"])]
#[case::by_rule("parallel: {matrix: [{X: [1, 2]}]}, rules: [{if: '$X == \"2\"'}]", &["a: [2]"])]
#[case::an_empty_value("parallel: {matrix: [{X: ''}]}", &["a: []"])]
#[case::no_value("parallel: {matrix: [{X: []}, {Y: 1}]}", &["a: [1]"])]
fn a_parallel_job_has_instances(#[case] a: &str, #[case] names: &[&str]) {
    let plan = plan_for(&format!("a: {{script: x, {a}}}\n"), &branch("main"), &[]).unwrap();
    let found: Vec<_> = plan.jobs.iter().map(|job| &*job.name).collect();
    assert_eq!(found, names);
}

// lib/gitlab/ci/config/normalizer.rb: the later one of two jobs with the same name replaces the former.
#[test]
fn a_job_replaces_an_instance_with_its_name() {
    let text = "a: {script: x, parallel: {matrix: [{X: [1, 2]}]}}\n'a: [1]': {script: own}\n";
    let plan = plan_for(text, &branch("main"), &[]).unwrap();
    let found: Vec<_> = plan.jobs.iter().map(|job| (&*job.name, &*job.job.script[0].value)).collect();
    assert_eq!(found, [("a: [1]", "own"), ("a: [2]", "x")]);
}

// lib/gitlab/ci/config/interpolation/matrix_interpolator.rb: in every text of `needs`.
#[test]
fn each_instance_needs_instances_of_its_own_job() {
    let text = "b-deb: {script: x, parallel: {matrix: [{I: [1]}]}}\nb-alp: {script: x, parallel: {matrix: [{I: [2]}]}}\n\
        t:\n  script: x\n  parallel: {matrix: [{OS: deb, N: 1}, {OS: alp, N: 2}]}\n  needs:\n    \
        - {job: 'b-$[[ matrix.OS ]]', parallel: {matrix: [{I: '$[[ matrix.N ]]'}]}}\n";
    let plan = plan_for(text, &branch("main"), &[]).unwrap();
    let needs =
        |job: &super::PlannedJob| job.needs.iter().flatten().map(|need| need.name.to_string()).collect::<Vec<_>>();
    let found: Vec<_> = plan.jobs.iter().filter(|job| job.name.starts_with('t')).map(needs).collect();
    assert_eq!(found, [["b-deb: [1]"], ["b-alp: [2]"]]);
}

#[test]
fn needs_contain_values_of_the_matrix() {
    let text = "build: {script: x, parallel: {matrix: [{I: [img-deb, img-alp]}]}}\npkg-deb: {script: x}\npkg-alp: {script: x}\n\
        t:\n  script: x\n  parallel: {matrix: [{OS: [deb, alp]}]}\n  needs:\n    - pkg-$[[ matrix.OS ]]\n    \
        - {job: build, parallel: {matrix: [{I: 'img-$[[ matrix.OS ]]'}]}}\n";
    let plan = plan_for(text, &branch("main"), &[]).unwrap();
    let needs = |name: &str| {
        let job = plan.jobs.iter().find(|job| &*job.name == name).unwrap();
        job.needs.iter().flatten().map(|need| need.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(needs("t: [deb]"), ["pkg-deb", "build: [img-deb]"]);
    assert_eq!(needs("t: [alp]"), ["pkg-alp", "build: [img-alp]"]);
}

// https://docs.gitlab.com/ci/yaml/#needs
#[rstest]
#[case::all_instances("needs: [p]", Some(&["p 1/2", "p 2/2"][..]))]
#[case::empty_list("needs: []", Some(&[][..]))]
#[case::by_stages("", None)]
#[case::optional("needs: [{job: t, optional: true}]", Some(&[][..]))]
#[case::of_a_rule("needs: [p], rules: [{when: always, needs: ['m: [1]', 'm: [2]']}]", Some(&["m: [1]", "m: [2]"][..]))]
// lib/gitlab/ci/build/rules.rb: an empty list in a rule has no effect.
#[case::empty_list_of_a_rule("needs: [p], rules: [{when: always, needs: []}]", Some(&["p 1/2", "p 2/2"][..]))]
#[case::empty_list_of_a_rule_without_needs("rules: [{when: always, needs: []}]", None)]
#[case::an_instance("needs: [{job: m, parallel: {matrix: [{X: 2}]}}]", Some(&["m: [2]"][..]))]
#[case::instances_by_name("needs: ['m: [1]', p 2/2]", Some(&["m: [1]", "p 2/2"][..]))]
#[case::optional_instances("needs: [{job: m, optional: true, parallel: {matrix: [{X: [2, 3]}]}}]", Some(&["m: [2]"][..]))]
#[case::instances_of_a_job_that_is_not_parallel("needs: [{job: s, parallel: {matrix: [{X: 2}]}}]", Some(&["s"][..]))]
fn needs_are_resolved_to_instances(#[case] a: &str, #[case] expected: Option<&[&str]>) {
    let text = format!(
        "p: {{script: x, parallel: 2}}\nm: {{script: x, parallel: {{matrix: [{{X: [1, 2]}}]}}}}\nt: {{script: x, only: [tags]}}\ns: {{script: x}}\na: {{script: x, {a}}}\n"
    );
    let plan = plan_for(&text, &branch("main"), &[]).unwrap();
    let job = plan.jobs.iter().find(|job| &*job.name == "a").unwrap();
    let found = job.needs.as_ref().map(|needs| needs.iter().map(|need| &*need.name).collect::<Vec<_>>());
    assert_eq!(found.as_deref(), expected);
}

// lib/gitlab/ci/pipeline/seed/build.rb, `needs_errors`
#[test]
fn all_missing_needs_are_reported() {
    let text = "t: {script: x, only: [tags]}\np: {script: x, parallel: 2, only: [tags]}\na: {script: x, needs: [t, p]}\nb: {script: x, needs: [t]}\n";
    let error = plan_for(text, &branch("main"), &[]).unwrap_err();
    let PlanError::Needs(missing) = &error else { panic!("{error}") };
    let describe =
        |it: &MissingNeed| (it.job.to_string(), it.need.to_string(), it.reason.as_ref().map(|it| it.text.clone()));
    let reason = || Some("only: refs does not match".to_owned());
    let expected = [("a", "t"), ("a", "p"), ("b", "t")].map(|(job, need)| (job.to_owned(), need.to_owned(), reason()));
    assert_eq!(missing.iter().map(describe).collect::<Vec<_>>(), expected);
    assert_eq!(error.to_string().lines().count(), 3);
}

// lib/gitlab/ci/pipeline/seed/build.rb: `needs_errors` reads the needs of the job, also where those of a rule replace them.
#[rstest]
#[case::need_of_the_job_is_absent("needs: [t], rules: [{when: always, needs: [s]}]", None)]
#[case::need_of_the_rule_is_absent("rules: [{when: always, needs: [t]}]", Some(&[][..]))]
#[case::another_need_of_the_rule("rules: [{when: always, needs: [t, s]}]", Some(&["s"][..]))]
#[case::only_the_need_of_the_rule_is_absent("needs: [s], rules: [{when: always, needs: [t]}]", Some(&[][..]))]
fn needs_of_the_job_must_be_present(#[case] a: &str, #[case] expected: Option<&[&str]>) {
    let text = format!("t: {{script: x, only: [tags]}}\ns: {{script: x}}\na: {{script: x, {a}}}\n");
    let found = match plan_for(&text, &branch("main"), &[]) {
        Ok(plan) => plan.jobs.last().unwrap().needs.clone(),
        Err(PlanError::Needs(missing)) => {
            assert_eq!(missing.iter().map(|it| &*it.need).collect::<Vec<_>>(), ["t"]);
            None
        }
        Err(error) => panic!("{error}"),
    };
    let found = found.map(|needs| needs.iter().map(|need| need.name.to_string()).collect::<Vec<_>>());
    assert_eq!(found, expected.map(|names| names.iter().map(ToString::to_string).collect()));
}

// `has_rules?` of entry/workflow.rb asks for the key only.
#[rstest]
#[case::no_rules("workflow: {name: x}", false)]
#[case::rules_without_a_value("workflow: {rules: }", true)]
#[case::rules("workflow: {rules: [{when: always}]}", true)]
fn rules_of_the_workflow_remove_the_default_only(#[case] workflow: &str, #[case] is_planned: bool) {
    let merge_request = Context { kind: RefKind::MergeRequest, source: Source::MergeRequestEvent, ..branch("main") };
    let plan = plan_for(&format!("{workflow}\na: {{script: x}}\n"), &merge_request, &[]);
    assert_eq!(plan.is_ok(), is_planned);
}

// `value` of entry/policy.rb merges the default refs into a hash, whether or not there are rules of the workflow.
#[rstest]
#[case::branch(branch("main"), true)]
#[case::merge_request(Context { kind: RefKind::MergeRequest, source: Source::MergeRequestEvent, ..branch("main") }, false)]
fn a_hash_of_only_has_the_default_refs(#[case] context: Context, #[case] is_planned: bool) {
    let text = "workflow: {rules: [{when: always}]}\na: {script: x, only: {variables: [$CI]}}\n";
    assert_eq!(plan_for(text, &context, &[]).is_ok(), is_planned);
}

// lib/gitlab/ci/config/normalizer.rb: a need of a parallel job is a need of each instance.
#[rstest]
#[case::needed("needs: [m]", Some("m: [1]"))]
#[case::optional("needs: [{job: m, optional: true}]", None)]
#[case::another_instance("needs: ['m: [2]']", None)]
fn missing_instances_are_reported(#[case] needs: &str, #[case] missing: Option<&str>) {
    let text = format!(
        "m: {{script: x, parallel: {{matrix: [{{X: [1, 2]}}]}}, rules: [{{if: '$X == \"2\"'}}]}}\na: {{script: x, {needs}}}\n"
    );
    let found = match plan_for(&text, &branch("main"), &[]) {
        Ok(_) => None,
        Err(PlanError::Needs(missing)) => {
            assert_eq!(missing[0].reason.as_ref().unwrap().text, "no rule matches");
            Some(missing[0].need.to_string())
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(found.as_deref(), missing);
}

// lib/gitlab/ci/build/rules/rule/clause/changes.rb
#[rstest]
#[case::of_a_job("a: {script: x, rules: [{changes: {paths: [src/*], compare_to: nope}}]}\n", "a")]
#[case::of_the_workflow(
    "workflow: {rules: [{changes: {paths: [src/*], compare_to: nope}}]}\na: {script: x}\n",
    "workflow"
)]
fn a_comparison_with_an_unknown_ref_is_an_error(#[case] text: &str, #[case] job: &str) {
    let error = plan_for(text, &branch("main"), &[]).unwrap_err();
    let expected = format!("Failed to parse rule for {job}: rules:changes:compare_to is not a valid ref");
    assert_eq!(error.to_string(), expected);
}

// lib/gitlab/ci/pipeline/chain/skip.rb
#[rstest]
#[case::push("fix [skip ci]", Source::Push, true)]
#[case::another_notation("Fix\n\n[CI-Skip]", Source::Push, true)]
#[case::merge_request("[ci_skip]", Source::MergeRequestEvent, true)]
#[case::started_by_a_user("fix [skip ci]", Source::Web, false)]
#[case::without_brackets("skip ci", Source::Push, false)]
fn some_commit_messages_skip_the_pipeline(#[case] message: &str, #[case] source: Source, #[case] skips: bool) {
    let commit = Commit { message: message.to_owned(), ..branch("main").commit };
    let context = Context { source, commit, ..branch("main") };
    let plan = plan_for("a: {script: x}\n", &context, &[]).unwrap();
    assert_eq!((plan.jobs.is_empty(), plan.skipped.len()), (skips, usize::from(skips)));
}

#[test]
fn defaults_are_inherited_as_a_whole() {
    let text = "default: {image: i, before_script: [b], services: [s]}\na: {script: x}\nb: {script: x, image: j, before_script: []}\nc: {script: x, inherit: {default: [image]}}\n";
    let plan = plan_for(text, &branch("main"), &[]).unwrap();
    let job = |index: usize| {
        let job = &plan.jobs[index].job;
        (plan.jobs[index].image.clone().unwrap_or_default(), job.before_script.len(), job.services.len())
    };
    assert_eq!([job(0), job(1), job(2)], [("i".to_owned(), 1, 1), ("j".to_owned(), 0, 1), ("i".to_owned(), 0, 0)]);
}

#[rstest]
#[case::only_pre(".pre")]
#[case::only_post(".post")]
fn a_pipeline_needs_a_job_outside_pre_and_post(#[case] stage: &str) {
    let error = plan_for(&format!("a: {{script: x, stage: {stage}}}\n"), &branch("main"), &[]).unwrap_err();
    assert!(matches!(error, PlanError::Empty(_)));
}

#[test]
fn reasons_quote_the_file() {
    let text = "a: {script: x, rules: [{if: $CI_COMMIT_TAG}, {if: $CI, exists: [Dockerfile]}]}\n";
    let plan = plan_for(text, &branch("main"), &[]).unwrap();
    let admission::Reason { text, span } = &plan.jobs[0].reason;
    assert_eq!((text.as_str(), span.is_some()), ("if: $CI, exists: Dockerfile", true));
}
