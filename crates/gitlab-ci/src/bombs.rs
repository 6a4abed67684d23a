//! Files that expand exponentially: a few lines that, expanded naively, exceed the memory of any machine or take hours.
//! The fuzz targets in `fuzz/` search for more of them.

use rstest::rstest;

use super::files::Files;
use super::lint::{Lint, lint};
use crate::include::Environment;

struct TwoFiles(String, String);

impl Files for TwoFiles {
    fn read(&self, path: &str) -> Option<String> {
        Some(if path == "a.yml" { self.1.clone() } else { self.0.clone() })
    }

    fn list(&self) -> Vec<String> {
        vec![".gitlab-ci.yml".to_owned(), "a.yml".to_owned()]
    }
}

fn read(text: &str, included: &str) -> Lint {
    let files = TwoFiles(text.to_owned(), included.to_owned());
    let environment = Environment::new(&files);
    lint(".gitlab-ci.yml", &environment)
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(", ")
}

const TOO_BIG: &str = "The parsed YAML is too big";

#[rstest]
#[case::one_long_string_with_many_aliases(
    format!("a: &a '{}'\nb: [{}]\n", "x".repeat(100_000), list(1000, |_| "*a".to_owned())),
    TOO_BIG
)]
#[case::many_jobs_that_extend_a_large_parent(
    format!(".a: {{variables: {{{}}}}}\n", list(4000, |at| format!("V{at}: x")))
        + &lines(4000, |at| format!("j{at}: {{extends: .a, script: x, variables: {{W: x}}}}\n")),
    TOO_BIG
)]
#[case::a_job_that_extends_a_parent_many_times(
    format!(".a: {{variables: {{{}}}}}\n", list(10_000, |at| format!("V{at}: x")))
        + &format!("j: {{script: x, extends: [{}]}}\n", list(10_000, |_| ".a".to_owned())),
    TOO_BIG
)]
#[case::a_long_script_by_reference(
    format!(".a: {{s: [{}]}}\n", list(10_000, |_| "x".to_owned()))
        + &lines(4000, |at| format!("j{at}: {{script: !reference [.a, s]}}\n")),
    TOO_BIG
)]
#[case::a_long_script_by_default(
    format!("default: {{before_script: [{}]}}\n", list(10_000, |_| "x".to_owned()))
        + &lines(4000, |at| format!("j{at}: {{script: x}}\n")),
    TOO_BIG
)]
#[case::many_jobs_in_many_cycles(
    lines(4000, |at| format!("j{at}: {{script: x, needs: [j{}, j0]}}\n", at + 1)) + "j4000: {script: x, needs: [j0]}\n",
    "The pipeline has circular dependencies"
)]
#[case::unknown_stages_among_many_stages(
    format!("stages: [{}]\n", list(10_000, |at| format!("s{at}")))
        + &lines(1500, |at| format!("j{at}: {{script: x, stage: t{at}}}\n")),
    "j0 job: chosen stage t0 does not exist"
)]
#[case::a_job_with_many_needs(
    format!("a: {{script: x, needs: [{}]}}\n", list(20_000, |at| format!("n{at}"))),
    "a: one job can only need 50 others, but you have listed 20000. See needs keyword documentation for more details"
)]
#[case::a_matrix_of_many_keys(
    format!("a: {{script: x, parallel: {{matrix: [{{{}, Z: [{}]}}]}}}}\n", list(10_000, |at| format!("V{at}: x")), list(201, |at| at.to_string())),
    "jobs:a:parallel:matrix config generates too many jobs (maximum is 200)"
)]
#[case::many_parallel_jobs(
    ".a: &a {script: x, parallel: 200}\n".to_owned() + &lines(600, |at| format!("j{at}: *a\n")),
    "The pipeline has too many jobs or variables"
)]
#[case::many_variables_of_many_jobs(
    format!("variables: {{{}}}\n", list(10_000, |at| format!("V{at}: x"))) + &lines(3000, |at| format!("j{at}: {{script: x}}\n")),
    "The pipeline has too many jobs or variables"
)]
#[case::needs_of_many_instances(
    lines(30, |at| format!("j{at}: {{script: x, parallel: 200, needs: [{}]}}\n", list(at, |other| format!("j{other}")))),
    "j1: one job can only need 50 others, but you have listed 200"
)]
#[case::a_large_value_of_many_instances(
    format!("a: {{script: x, parallel: 200, variables: {{V: '{0}', W: '{0}'}}}}\n", "x".repeat(700_000)),
    "The pipeline has too many jobs or variables"
)]
fn refuses_a_file(#[case] text: String, #[case] expected: &str) {
    let lint = read(&text, "");
    let messages: Vec<_> = lint.diagnostics.sorted().iter().map(|it| it.message.clone()).collect();
    assert!(messages.iter().any(|message| message.starts_with(expected)), "{:?}", messages.first());
    assert!(messages.len() <= 1000 && messages.iter().all(|message| message.len() <= 4100), "{}", messages.len());
}

// https://docs.gitlab.com/ci/yaml/includes/
#[rstest]
#[case::a_value_that_doubles_itself(
    "include: {local: a.yml, inputs: {a: xxxxxxxx}}\n".to_owned(),
    "spec: {inputs: {a: }}\n---\ninclude: {local: a.yml, inputs: {a: '$[[ inputs.a ]]$[[ inputs.a ]]'}}\n".to_owned(),
    "config too large"
)]
#[case::a_list_that_doubles_itself(
    "include: {local: a.yml, inputs: {a: [x]}}\n".to_owned(),
    "spec: {inputs: {a: {type: array}}}\n---\ninclude: {local: a.yml, inputs: {a: ['$[[ inputs.a ]]', '$[[ inputs.a ]]']}}\n".to_owned(),
    "config too large"
)]
#[case::a_list_that_nests_itself(
    "include: {local: a.yml, inputs: {a: [x]}}\n".to_owned(),
    "spec: {inputs: {a: {type: array}}}\n---\ninclude: {local: a.yml, inputs: {a: ['$[[ inputs.a ]]']}}\n".to_owned(),
    "config too large"
)]
#[case::too_many_blocks(
    "include: {local: a.yml, inputs: {a: x}}\n".to_owned(),
    format!("spec: {{inputs: {{a: }}}}\n---\nb: {{script: '{}'}}\n", "$[[ inputs.a ]]".repeat(10_001)),
    "too many interpolation blocks"
)]
#[case::many_includes_of_many_jobs(
    format!("include: [{}]\n", list(150, |at| format!("{{local: a.yml, inputs: {{a: '{at}'}}}}"))),
    "spec: {inputs: {a: }}\n---\n".to_owned() + &lines(5000, |at| format!("j{at}-$[[ inputs.a ]]: {{script: x}}\n")),
    TOO_BIG
)]
#[case::a_long_pattern(
    "include: {local: a.yml, inputs: {a: x}}\n".to_owned(),
    format!("spec: {{inputs: {{a: {{regex: '{}'}}}}}}\n---\nb: {{script: x}}\n", "(".repeat(5000)),
    "`a` input: the RegEx pattern is longer than the 4096 bytes that this program supports"
)]
fn refuses_included_files(#[case] text: String, #[case] included: String, #[case] expected: &str) {
    let lint = read(&text, &included);
    let messages: Vec<_> = lint.diagnostics.sorted().iter().map(|it| it.message.clone()).collect();
    assert!(messages.iter().any(|message| message == expected), "{:?}", messages.first());
}

#[rstest]
#[case::one_long_line(format!("a: [{}\n", "x, ".repeat(100_000)))]
#[case::a_long_key(format!("{}: y\n", "x".repeat(100_000)))]
#[case::many_lines(format!("a:\n{}", "  - x\n".repeat(30_000)))]
#[case::a_long_line_next_to_the_error(format!("a: []\n# {}\nb: {{script: x}}\n", "x".repeat(100_000)))]
fn omits_long_lines_from_reports(#[case] text: String) {
    let rendered = crate::render::diagnostics::text(&read(&text, ""), None, false);
    assert!(rendered.contains(".gitlab-ci.yml:") && rendered.len() < 10_000, "{}", rendered.len());
}

#[rstest]
#[case::comments_before_a_header("# x\n".repeat(200_000) + "spec: {}\n---\na: {script: x}\n")]
#[case::blocks_in_a_comment("spec: {}\n---\na: {script: x}\n# ".to_owned() + &"$[[ ".repeat(500_000))]
#[case::unclosed_blocks("spec: {}\n---\na: {script: '".to_owned() + &"$[[ ".repeat(500_000) + "'}\n")]
#[case::many_lines_with_unclosed_blocks("spec: {}\n---\na:\n  script: |\n".to_owned() + &"    $[[ x\n".repeat(200_000))]
#[case::a_matrix_of_many_keys(format!("a: {{script: x, parallel: {{matrix: [{{{}}}]}}}}\n", list(10_000, |at| format!("V{at}: x"))))]
#[case::many_stages(format!("stages: [test, {}]\na: {{script: x}}\n", list(30_000, |at| format!("s{at}"))))]
fn reads_large_files_in_linear_time(#[case] text: String) {
    let lint = read(&text, "");
    assert_eq!(lint.diagnostics.sorted().first().map(|it| it.message.clone()), None);
}
