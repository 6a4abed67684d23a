use rstest::rstest;
use serde_json::json;

use super::*;
use crate::yaml::parse::compose;

/// The value of the input `a` in a pipeline with the inputs `given`, and all diagnostics.
fn given(declared: &str, given: &[(&str, &str)]) -> (serde_json::Value, Vec<String>) {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let file = sources.add("a.yml", &format!("inputs: {{{declared}}}"));
    let spec = compose(&sources, file, &mut diagnostics).remove(0);
    let given: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let given = pipeline_inputs(&given, &mut sources);
    let inputs = values(&spec, &given, GivenBy::Pipeline, &mut diagnostics);
    let reported = diagnostics.sorted().into_iter().map(|it| {
        let help = it.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}: {}{help}", sources.location(it.span), it.message)
    });
    (inputs["a"].json(), reported.collect())
}

// lib/ci/inputs/base_input.rb, string_input.rb, number_input.rb: the inputs of a pipeline are strings, parsed as JSON.
#[rstest]
#[case::a_default("a: {default: x}", &[], json!("x"))]
#[case::a_number_for_a_string("a: {default: 1.10}", &[], json!("1.1"))]
#[case::a_string_that_looks_like_a_number("a: ", &[("a", "1.10")], json!("1.10"))]
#[case::a_list_for_a_string("a: {default: [x, 1, null]}", &[], json!("[\"x\", 1, nil]"))]
#[case::null_as_default("a: {default: null}", &[], json!(""))]
#[case::null_as_default_of_a_number("a: {default: null, type: number}", &[], json!(null))]
#[case::a_number("a: {type: number}", &[("a", "3")], json!(3))]
#[case::a_boolean("a: {type: boolean, default: true}", &[("a", "false")], json!(false))]
#[case::a_list("a: {type: array}", &[("a", "[\"x\", 1, {\"k\": null}]")], json!(["x", 1, {"k": null}]))]
#[case::an_option("a: {options: [x, 1]}", &[("a", "1")], json!("1"))]
#[case::a_pattern("a: {regex: ^v}", &[("a", "v1")], json!("v1"))]
fn reads_the_inputs_of_a_pipeline(
    #[case] declared: &str,
    #[case] own: &[(&str, &str)],
    #[case] expected: serde_json::Value,
) {
    assert_eq!(given(declared, own), (expected, Vec::new()));
}

#[rstest]
#[case::missing("a: ", &[], "a.yml:1:10: `a` input: required value has not been provided (set it with --input a=VALUE, or declare a default)")]
#[case::unknown("a: {default: x}, cloud: {default: x}", &[("clod", "x")], "--input:1:1: unknown input arguments: clod (did you mean `cloud`?)")]
#[case::of_another_type("a: {type: number}", &[("a", "x")], "--input:1:3: `a` input: provided value is not a number")]
#[case::a_default_of_another_type("a: {type: number, default: x}", &[("a", "1")], "a.yml:1:37: `a` input: default value is not a number")]
#[case::not_an_option("a: {options: [x, y]}", &[("a", "z")], "--input:1:3: `a` input: `z` cannot be used because it is not in the list of allowed options")]
// `lib/ci/inputs/string_input.rb`, `lib/gitlab/untrusted_regexp.rb`
#[case::pattern_with_slashes("a: {regex: /^v/}", &[("a", "v1")], "--input:1:3: `a` input: provided value does not match required RegEx pattern (slashes are a part of the pattern here; write it without them: ^v)")]
#[case::no_match("a: {regex: ^v}", &[("a", "1")], "--input:1:3: `a` input: provided value does not match required RegEx pattern")]
#[case::invalid_expression("a: {default: x, rules: [{if: a b, options: [x], default: x}]}", &[], "a.yml:1:39: `a` input: if invalid expression syntax (unknown token `a`, at byte 0; expected a quoted string, a variable with `$`, or null, true, false (in `a b`))")]
#[case::two_unknown("a: {default: x}", &[("b", "x"), ("c", "y")], "--input:1:1: unknown input arguments: b, c|--input:2:1: unknown input arguments: b, c")]
fn reports_mistakes(#[case] declared: &str, #[case] own: &[(&str, &str)], #[case] expected: &str) {
    assert_eq!(given(declared, own).1.join("|"), expected);
}

// lib/ci/inputs/rules_evaluator.rb, https://docs.gitlab.com/ci/inputs/
#[rstest]
#[case::the_first_rule_matches(&[("cloud", "aws")], json!("small"), None)]
#[case::another_rule_matches(&[("cloud", "gcp")], json!("n1"), None)]
#[case::a_given_value(&[("cloud", "gcp"), ("a", "n2")], json!("n2"), None)]
#[case::not_an_option_of_that_rule(&[("cloud", "gcp"), ("a", "small")], json!("small"), Some("--input:2:3: `a` input: `small` cannot be used because it is not in the list of allowed options"))]
#[case::an_empty_string_counts_as_absent(&[("cloud", "gcp"), ("a", "")], json!("n1"), None)]
#[case::default_of_the_other_input(&[], json!("small"), None)]
fn evaluates_rules(#[case] own: &[(&str, &str)], #[case] expected: serde_json::Value, #[case] message: Option<&str>) {
    let declared = "cloud: {default: aws}, a: {rules: [\
        {if: '$[[ inputs.cloud ]] == \"aws\"', options: [small, large], default: small}, \
        {options: [n1, n2], default: n1}]}";
    assert_eq!(given(declared, own), (expected, message.into_iter().map(str::to_owned).collect()));
}
