//! Values that GitLab refuses, with GitLab's messages. The parentheses at the end contain this program's hints.

use rstest::rstest;

use super::reported;

#[rstest]
// `normalize_job` of `lib/gitlab/ci/config/normalizer.rb` replaces parallel jobs only in the job's own needs.
#[case::parallel_job_in_needs_of_a_rule(
    "b: {script: x, parallel: 2}\na: {script: x, rules: [{if: $A, needs: [b]}]}\n",
    "2:41: a job: undefined need: b (a rule cannot need all instances of a parallel job; list them: `b 1/2`)"
)]
#[case::parallel_job_as_on_stop(
    "s: {script: x, parallel: 2, environment: {name: e, action: stop}}\na: {script: x, environment: {name: e, on_stop: s}}\n",
    "2:48: a job: on_stop job s is not defined (the job is parallel; name one of its instances: `s 1/2`)"
)]
#[case::matrix_expression_in_a_job_without_a_matrix(
    "b: {script: x, parallel: 2}\na: {script: x, needs: ['$[[ matrix.X ]]']}\n",
    "2:24: a job: 'X' does not exist in matrix configuration"
)]
// `entry/product/variables.rb`
#[case::boolean_as_a_name_in_a_matrix(
    "a: {script: x, parallel: {matrix: [{on: [1]}]}}\n",
    "1:37: jobs:a:parallel:matrix:variables config should be a hash of key value pairs, value can be an array (put the name in quotes)"
)]
#[case::nothing_in_a_matrix(
    "a: {script: x, parallel: {matrix: [{}]}}\n",
    "1:36: jobs:a:parallel:matrix:variables config requires at least 1 items"
)]
// `entry/product/parallel.rb`
#[case::no_instance("a: {script: x, parallel: 0}\n", "1:26: jobs:a:parallel config must be greater than or equal to 1")]
#[case::too_many_instances(
    "a: {script: x, parallel: 201}\n",
    "1:26: jobs:a:parallel config must be less than or equal to 200"
)]
#[case::fractional_number_of_instances(
    "a: {script: x, parallel: 1.5}\n",
    "1:26: jobs:a:parallel config must be an integer"
)]
// `entry/needs.rb`, `entry/need.rb`
#[case::needs_of_too_many_pipelines(
    "a: {script: x, needs: [{pipeline: p, job: b}, {pipeline: q, job: b}, {pipeline: r, job: b}, {pipeline: s, job: b}, {pipeline: t, job: b}, {pipeline: u, job: b}]}\n",
    "1:23: jobs:a:needs config must be less than or equal to 5"
)]
#[case::needs_of_too_many_projects(
    "a: {script: x, needs: [{project: p, job: b, ref: m}, {project: q, job: b, ref: m}, {project: r, job: b, ref: m}, {project: s, job: b, ref: m}, {project: t, job: b, ref: m}, {project: u, job: b, ref: m}]}\n",
    "1:23: jobs:a:needs config must be less than or equal to 5"
)]
#[case::need_of_a_pipeline_without_a_name(
    "a: {script: x, needs: [{pipeline: '', job: b}]}\n",
    "1:25: jobs:a:needs:need pipeline can't be blank"
)]
#[case::ref_without_a_project(
    "b: {script: x}\na: {script: x, needs: [{job: b, ref: main}]}\n",
    "2:24: jobs:a:needs:need has an unsupported type (`ref` needs `project`)"
)]
#[case::dependencies_on_another_pipeline(
    "b: {script: x}\na: {script: x, dependencies: [b], needs: [{pipeline: p, job: b}]}\n",
    "2:42: jobs:a needs corresponding to dependencies must be from the same pipeline"
)]
// `entry/policy.rb`
#[case::changes_of_a_policy_as_a_hash(
    "a: {script: x, only: {changes: {paths: [b]}}}\n",
    "1:32: jobs:a:only changes should be an array of strings (`paths` and `compare_to` are keys of `rules:changes` only)"
)]
#[case::number_as_a_ref(
    "a: {script: x, only: [5]}\n",
    "1:23: jobs:a:only config should be an array of strings or regular expressions using re2 syntax"
)]
#[case::boolean_as_kubernetes(
    "a: {script: x, only: {kubernetes: true}}\n",
    "1:35: jobs:a:only kubernetes unknown value: true (the only value is `active`)"
)]
// `entry/rules/rule.rb`
#[case::delayed_rule_without_start_in(
    "a: {script: x, rules: [{when: delayed}]}\n",
    "1:24: jobs:a:rules:rule start in can't be blank (write the delay, such as `start_in: 30 minutes`)"
)]
#[case::start_in_of_a_workflow_rule(
    "workflow: {rules: [{if: $A, start_in: 5 minutes}]}\na: {script: x}\n",
    "1:29: workflow:rules:rule config contains disallowed keys: start_in"
)]
// `entry/rules/rule/exists.rb`
#[case::exists_with_a_ref_without_a_project(
    "a: {script: x, rules: [{exists: {paths: [b], ref: main}}]}\n",
    "1:46: jobs:a:rules:rule:exists config missing required keys: project"
)]
#[case::paths_as_a_text(
    "a: {script: x, rules: [{exists: {paths: b}}]}\n",
    "1:41: jobs:a:rules:rule:exists paths should be an array of strings"
)]
// `entry/variable.rb`
#[case::boolean_as_a_description(
    "variables: {V: {value: a, description: true}}\na: {script: x}\n",
    "1:40: variables:v config description must be an alphanumeric string"
)]
// `entry/imageable.rb`, `entry/schemas/imageable/executor_opts.json`, `entry/pull_policy.rb`, `entry/services.rb`
#[case::ports_of_an_image(
    "a: {script: x, image: {name: b, ports: [80]}}\n",
    "1:33: jobs:a:image config contains disallowed keys: ports"
)]
#[case::number_as_a_user(
    "a: {script: x, image: {name: b, docker: {user: 5}}}\n",
    "1:48: jobs:a:image executor opts value at `/docker/user` is not a string (put it in quotes)"
)]
#[case::unknown_pull_policies(
    "a: {script: x, image: {name: b, pull_policy: [alwyas]}}\n",
    "1:47: jobs:a:image:pull_policy config contains unknown values: alwyas (did you mean `always`?)"
)]
#[case::unknown_pull_policy(
    "a: {script: x, image: {name: b, pull_policy: sometimes}}\n",
    "1:46: jobs:a:image:pull_policy config is not included in the list (one of always, if-not-present, never)"
)]
// `entry/retry.rb`
#[case::unknown_reason(
    "a: {script: x, retry: {when: [always, nonsense]}}\n",
    "1:39: retry when contains unknown values: nonsense"
)]
#[case::number_of_retries_with_a_space("a: {script: x, retry: {max: ' 1'}}\n", "1:29: retry max must be an integer")]
// `entry/coverage.rb`, `entry/reports/coverage_report.rb`, `entry/release.rb`
#[case::number_as_coverage(
    "a: {script: x, coverage: 5}\n",
    "1:26: jobs:a:coverage config must be a regular expression with re2 syntax (it must have the form `/.../`, with no flags other than i, s, m and U)"
)]
#[case::unknown_coverage_format(
    "a: {script: x, artifacts: {reports: {coverage_report: {coverage_format: jacocco, path: b}}}}\n",
    "1:73: jobs:a:artifacts:reports:coverage_report coverage format must be one of supported formats: cobertura, jacoco. (did you mean `jacoco`?)"
)]
#[case::coverage_report_without_a_path(
    "a: {script: x, artifacts: {reports: {coverage_report: {coverage_format: jacoco}}}}\n",
    "1:55: jobs:a:artifacts:reports:coverage_report path can't be blank"
)]
#[case::release_at_an_invalid_time(
    "a: {script: x, release: {tag_name: v1, description: d, released_at: tomorrow}}\n",
    "1:69: jobs:a:release released at must be a valid datetime (write it as in ISO 8601 and in quotes: `\"2026-01-31T09:20:30Z\"`)"
)]
#[case::release_of_an_invalid_ref(
    "a: {script: x, release: {tag_name: v1, description: d, ref: a..b}}\n",
    "1:61: jobs:a:release ref must be a valid ref"
)]
// `entry/trigger.rb`, `entry/include.rb`, `lib/gitlab/ci/yaml_processor.rb`
#[case::artifact_of_an_unknown_job(
    "a: {trigger: {include: [{artifact: x.yml, job: gen}]}}\n",
    "1:48: a job: undefined dependency: gen"
)]
#[case::artifact_of_no_job(
    "a: {trigger: {include: [{artifact: x.yml}]}}\n",
    "1:25: jobs:a:trigger:include:include config must specify the job where to fetch the artifact from"
)]
// `entry/job_input.rb`
#[case::input_without_a_default(
    "a: {script: x, inputs: {i: {type: string}}}\n",
    "1:25: jobs:a:inputs:i must have a default value"
)]
#[case::default_of_another_type(
    "a: {script: x, inputs: {i: {type: number, default: abc}}}\n",
    "1:52: jobs:a inputs `i`: default value is not a number"
)]
#[case::input_with_rules(
    "a: {script: x, inputs: {i: {default: b, rules: []}}}\n",
    "1:41: jobs:a:inputs:i config contains unknown keys: rules"
)]
// `lib/gitlab/ci/config/header/spec.rb`, `lib/gitlab/ci/config/entry/base_input.rb`
#[case::number_as_a_description(
    "spec: {description: 5, inputs: {a: {default: b}}}\n---\na: {script: x}\n",
    "1:21: header:spec config description should be a string"
)]
#[case::list_as_a_description(
    "spec: {inputs: {a: {default: b, description: [c]}}}\n---\na: {script: x}\n",
    "1:46: header:spec:inputs:a input description must be an alphanumeric string"
)]
#[case::nothing_as_an_option(
    "spec: {inputs: {a: {default: b, options: [b, null]}}}\n---\na: {script: x}\n",
    "1:46: header:spec:inputs:a config options array cannot contain null values"
)]
#[case::boolean_as_an_input(
    "spec: {inputs: {on: {default: b}}}\n---\na: {script: x}\n",
    "1:17: header:spec:inputs:true key must be an alphanumeric string (put the name in quotes)"
)]
// `lib/gitlab/ci/config/header/component.rb`
#[case::word_as_a_component(
    "spec: {component: name}\n---\na: {script: x}\n",
    "1:19: header:spec:component config should be an array"
)]
#[case::list_in_a_component(
    "spec: {component: [[name]]}\n---\na: {script: x}\n",
    "1:19: header:spec:component config should be an array of strings"
)]
#[case::unknown_word_in_a_component(
    "spec: {component: [name, verison]}\n---\na: {script: x}\n",
    "1:26: header:spec:component config contains unknown values: verison (did you mean `version`?)"
)]
// `entry/cache.rb`
#[case::no_files_of_a_key(
    "a: {script: x, cache: {key: {files: []}}}\n",
    "1:29: jobs:a:cache:key:files config requires at least 1 item"
)]
fn is_refused(#[case] text: &str, #[case] expected: &str) {
    assert!(reported(text).iter().any(|message| message == expected), "{:#?}", reported(text));
}
