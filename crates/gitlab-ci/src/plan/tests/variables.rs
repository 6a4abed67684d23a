//! The variables of jobs, and the texts expanded with them.

use rstest::rstest;

use super::*;
use crate::plan::Plan;
use crate::variables::expand::ExpansionError;

// https://docs.gitlab.com/ci/variables/#cicd-variable-precedence
#[rstest]
#[case::top_level("variables: {V: top}\na: {script: x}\n", &[], "top")]
#[case::job("variables: {V: top}\na: {script: x, variables: {V: job}}\n", &[], "job")]
#[case::rule("a: {script: x, variables: {V: job}, rules: [{when: always, variables: {V: rule}}]}\n", &[], "rule")]
#[case::workflow("workflow: {rules: [{when: always, variables: {V: workflow}}]}\nvariables: {V: top}\na: {script: x}\n", &[], "workflow")]
#[case::workflow_below_job("workflow: {rules: [{when: always, variables: {V: workflow}}]}\na: {script: x, variables: {V: job}}\n", &[], "job")]
#[case::project("a: {script: x, variables: {V: job}}\n", &[("V", "project")], "project")]
fn the_highest_precedence_wins(#[case] text: &str, #[case] project: &[(&str, &str)], #[case] expected: &str) {
    let plan = plan_for(text, &branch("main"), project).unwrap();
    assert_eq!(&*plan.jobs[0].variables.get("V").unwrap().value, expected);
}

/// YAML has a higher precedence than the variables of the commit, and a lower one than those of the user.
#[test]
fn yaml_overrides_commit_but_not_user_variables() {
    let text = "a: {script: x, variables: {CI_COMMIT_REF_NAME: mine, GITLAB_USER_ID: mine}}\n";
    let plan = plan_for(text, &branch("main"), &[]).unwrap();
    let value = |key: &str| plan.jobs[0].variables.get(key).map(|variable| variable.value.to_string());
    assert_eq!([value("CI_COMMIT_REF_NAME"), value("GITLAB_USER_ID")], [Some("mine".to_owned()), Some("1".to_owned())]);
}

#[test]
fn inherit_limits_variables() {
    let text = "variables: {V: top, W: top}\na: {script: x, inherit: {variables: false}}\nb: {script: x, inherit: {variables: [W]}}\n";
    let plan = plan_for(text, &branch("main"), &[]).unwrap();
    let has = |job: usize, key: &str| plan.jobs[job].variables.get(key).is_some();
    assert_eq!([has(0, "V"), has(0, "W"), has(1, "V"), has(1, "W")], [false, false, false, true]);
}

// `lib/gitlab/ci/pipeline/chain/seed.rb` numbers the pipeline after `workflow`, and before the rules of jobs.
#[rstest]
#[case::number_in_workflow("workflow: {rules: [{if: '$CI_PIPELINE_IID == \"\"'}]}\na: {script: x}\n", true)]
#[case::number_in_rules("a: {script: x, rules: [{if: $CI_PIPELINE_IID}]}\n", true)]
#[case::time_in_workflow("workflow: {rules: [{if: $CI_PIPELINE_CREATED_AT}]}\na: {script: x}\n", false)]
#[case::time_in_rules("a: {script: x, rules: [{if: $CI_PIPELINE_CREATED_AT}]}\n", false)]
fn variables_of_the_pipeline_come_with_it(#[case] text: &str, #[case] expected: bool) {
    assert_eq!(plan_for(text, &branch("main"), &[]).is_ok(), expected);
}

#[test]
fn expands_environments_and_images() {
    let text = "a:\n  script: x\n  image: $IMAGE\n  resource_group: $CI_COMMIT_REF_SLUG\n  environment: {name: review/$CI_COMMIT_REF_NAME, url: 'https://$CI_ENVIRONMENT_SLUG.test'}\n";
    let plan = plan_for(text, &branch("feature-1"), &[("IMAGE", "rust:$TAG"), ("TAG", "1")]).unwrap();
    let job = &plan.jobs[0];
    let environment = job.environment.as_ref().unwrap();
    assert_eq!((environment.name.as_str(), environment.slug.as_str()), ("review/feature-1", "review-feature-1-1q251u"));
    assert_eq!(environment.url.as_deref(), Some("https://review-feature-1-1q251u.test"));
    assert_eq!((job.image.as_deref(), job.resource_group.as_deref()), (Some("rust:1"), Some("feature-1")));
}

// `app/services/environments/create_for_job_service.rb`, `seed/processable/resource_group.rb`
#[rstest]
#[case::valid("review/$CI_COMMIT_REF_SLUG", "$CI_COMMIT_REF_SLUG", None, true)]
#[case::invalid_character(
    "review/$CI_COMMIT_REF_NAME",
    "$CI_COMMIT_REF_NAME",
    Some(
        "\"review/fix/#12\" must have 1 to 255 letters, digits, spaces and -_/${}. and may not start or end with /; use $CI_COMMIT_REF_SLUG in it"
    ),
    false
)]
#[case::empty("$UNDEFINED", "$UNDEFINED", Some("\"\" must"), false)]
#[case::too_long("$LONG", "$LONG", Some("aaaa"), false)]
#[case::too_long_as_written(&"a".repeat(256), "g", Some("aaaa"), true)]
fn an_invalid_environment_fails_and_an_invalid_group_is_ignored(
    #[case] environment: &str,
    #[case] group: &str,
    #[case] failure: Option<&str>,
    #[case] has_group: bool,
) {
    let text = format!("a: {{script: x, environment: {environment}, resource_group: {group}}}\n");
    let plan = plan_for(&text, &branch("fix/#12"), &[("LONG", &"a".repeat(256))]).unwrap();
    let job = &plan.jobs[0];
    assert_eq!(job.failure.is_some(), failure.is_some(), "{:?}", job.failure);
    assert!(failure.is_none_or(|part| job.failure.as_ref().unwrap().contains(part)), "{:?}", job.failure);
    assert_eq!(job.resource_group.is_some(), has_group);
}

#[test]
fn a_long_name_of_a_pipeline_is_refused() {
    let text = |length: usize| {
        format!("workflow: {{name: $LONG}}\nvariables: {{LONG: {}}}\na: {{script: x}}\n", "a".repeat(length))
    };
    assert!(plan_for(&text(255), &branch("main"), &[]).is_ok());
    assert_eq!(plan_for(&text(256), &branch("main"), &[]).unwrap_err(), PlanError::Name);
}

/// The value of a variable of the first job.
fn value(plan: &Plan, key: &str) -> Option<String> {
    plan.jobs[0].variables.get(key).map(|variable| variable.value.to_string())
}

// `predefined_variables_from_job_attr` of lib/gitlab/ci/variables/builder.rb
#[rstest]
#[case::name("$CI_ENVIRONMENT_NAME == 'review/main'", true)]
#[case::action("$CI_ENVIRONMENT_ACTION == 'start'", true)]
#[case::tier("$CI_ENVIRONMENT_TIER == 'development'", true)]
#[case::url_as_written("$CI_ENVIRONMENT_URL =~ /CI_ENVIRONMENT_SLUG/", true)]
#[case::no_slug("$CI_ENVIRONMENT_SLUG", false)]
#[case::no_pipeline_name("$CI_PIPELINE_NAME", false)]
fn rules_can_read_the_environment(#[case] condition: &str, #[case] expected: bool) {
    let environment = "environment: {name: review/$CI_COMMIT_REF_NAME, url: 'https://$CI_ENVIRONMENT_SLUG.test'}";
    assert_eq!(has_a(&format!("{environment}, rules: [{{if: \"{condition}\"}}]"), &branch("main"), &[]), expected);
}

#[rstest]
#[case::guessed("{name: live}", "production", "start")]
#[case::given("{name: live, deployment_tier: testing, action: prepare}", "testing", "prepare")]
fn jobs_can_read_the_environment(#[case] environment: &str, #[case] tier: &str, #[case] action: &str) {
    let text =
        format!("workflow: {{name: ' of $V '}}\nvariables: {{V: top}}\na: {{script: x, environment: {environment}}}\n");
    let plan = plan_for(&text, &branch("main"), &[]).unwrap();
    let found = ["CI_ENVIRONMENT_SLUG", "CI_ENVIRONMENT_TIER", "CI_ENVIRONMENT_ACTION", "CI_PIPELINE_NAME"];
    assert_eq!(found.map(|key| value(&plan, key).unwrap()), ["live", tier, action, "of top"]);
    assert_eq!(
        (plan.jobs[0].environment.as_ref().unwrap().tier.as_str(), plan.name.as_deref()),
        (tier, Some("of top"))
    );
}

/// The variables of the matching rule are expanded in the environment's name.
#[test]
fn environment_names_can_use_variables_of_rules() {
    let text =
        "a: {script: x, environment: {name: $V}, rules: [{when: always, variables: {V: rule}}], variables: {V: job}}\n";
    let plan = plan_for(text, &branch("main"), &[]).unwrap();
    assert_eq!(plan.jobs[0].environment.as_ref().map(|environment| environment.name.as_str()), Some("rule"));
}

// https://docs.gitlab.com/ci/environments/#limit-the-environment-scope-of-a-cicd-variable
#[rstest]
#[case::no_environment("", false, "any")]
#[case::literal("environment: review/main", false, "literal")]
#[case::pattern("environment: review/other", false, "pattern")]
#[case::another_environment("environment: live", false, "any")]
#[case::protected_ref("environment: live", true, "protected")]
fn settings_are_limited_to_environments(#[case] keywords: &str, #[case] protected: bool, #[case] expected: &str) {
    let setting = |value: &str, scope: &str, protected| Setting {
        variable: Variable::new("V", value, Origin::Project),
        scope: scope.to_owned(),
        protected,
        hidden: false,
    };
    let settings = vec![
        setting("literal", "review/main", false),
        setting("pattern", "review/*", false),
        setting("any", "*", false),
        setting("protected", "live", true),
    ];
    let project_variables = ProjectVariables { settings, pipeline: Vec::new() };
    let context = Context { protected, ..branch("main") };
    let plan = plan_with(&format!("a: {{script: x, {keywords}}}\n"), &context, &project_variables, None).unwrap();
    assert_eq!(value(&plan, "V").as_deref(), Some(expected));
    assert_eq!(value(&plan, "CI_COMMIT_REF_PROTECTED"), Some(protected.to_string()));
}

// `lib/gitlab/ci/variables/collection.rb` sorts and expands the values first, then `lib/expand_variables.rb` expands the name.
#[rstest]
#[case::nested("$A", "b-b")]
#[case::unknown("x-$NONE", "x-")]
#[case::self_reference("x$SELF", "x")]
#[case::doubled("$$A", "$b-b")]
#[case::slug_is_unknown("$CI_ENVIRONMENT_SLUG", "")]
fn expands_environment_names(#[case] name: &str, #[case] expected: &str) {
    let variables = "variables: {A: $B-$B, B: b, SELF: $SELF}";
    let text = format!("a: {{script: x, {variables}, environment: {{name: x/{name}}}}}\n");
    let plan = plan_for(&text, &branch("main"), &[]).unwrap();
    assert_eq!(plan.jobs[0].environment.as_ref().unwrap().name, format!("x/{expected}"));
}

#[test]
fn unknown_variables_in_images_are_left_to_the_runner() {
    let text = "a: {script: x, image: $CI_REGISTRY_IMAGE/$NAME, variables: {NAME: $CI_PROJECT_NAME}}\n";
    let plan = plan_for(text, &branch("main"), &[]).unwrap();
    assert_eq!(plan.jobs[0].image.as_deref(), Some("$CI_REGISTRY_IMAGE/demo"));
}

#[test]
fn a_cycle_is_an_error_only_in_a_selected_job() {
    let text = "a: {script: x, variables: {A: $B, B: $A}, rules: [{if: $CI_COMMIT_TAG}]}\nb: {script: x, variables: {A: $A}}\n";
    assert_eq!(plan_for(text, &branch("main"), &[]).unwrap().jobs.len(), 1);
    let plan_error = plan_for(text, &context(RefKind::Tag, "v1", Source::Push), &[]).unwrap_err();
    assert_eq!(plan_error.to_string(), r#"a: circular variable reference detected: ["A", "B"]"#);
}

#[rstest]
#[case::value("a: {script: x, variables: {A: $LARGE$LARGE}}\n")]
#[case::text("a: {script: x, environment: {name: $LARGE$LARGE}}\n")]
#[case::pattern("a: {script: x, rules: [{exists: [$LARGE$LARGE]}]}\n")]
#[case::name("workflow: {name: $LARGE$LARGE}\na: {script: x}\n")]
fn refuses_values_that_become_too_large(#[case] text: &str) {
    let plan_error = plan_for(text, &branch("main"), &[("LARGE", &"x".repeat(600_000))]).unwrap_err();
    let error = match &plan_error {
        PlanError::Variables { error, .. } => error.clone(),
        _ => panic!("{plan_error}"),
    };
    assert!(matches!(error, ExpansionError::LargeText | ExpansionError::LargeValue(_)), "{error}");
}
