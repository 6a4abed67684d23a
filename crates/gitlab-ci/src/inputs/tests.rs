use rstest::rstest;
use serde_json::json;

use super::*;
use crate::yaml::parse::compose;

/// The value of the input `a`, if the pipeline is given these, and what is told.
fn given(declared: &str, given: &[(&str, &str)]) -> (serde_json::Value, Vec<String>) {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let file = sources.add("a.yml", &format!("inputs: {{{declared}}}"));
    let spec = compose(&sources, file, &mut diagnostics).remove(0);
    let given: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let given = of_pipeline(&given, &mut sources);
    let inputs = values(&spec, &given, GivenBy::Pipeline, &mut diagnostics);
    let told = diagnostics.sorted().into_iter().map(|it| {
        let help = it.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}: {}{help}", sources.location(it.span), it.message)
    });
    (inputs["a"].json(), told.collect())
}

// lib/ci/inputs/base_input.rb, string_input.rb, number_input.rb: what a pipeline is given is text, of which JSON is read.
#[rstest]
#[case::a_default("a: {default: x}", &[], json!("x"))]
#[case::a_number_for_a_text("a: {default: 1.10}", &[], json!("1.1"))]
#[case::a_text_that_looks_like_one("a: ", &[("a", "1.10")], json!("1.10"))]
#[case::nothing_as_default("a: {default: null}", &[], json!(""))]
#[case::no_number_as_default("a: {default: null, type: number}", &[], json!(null))]
#[case::a_number("a: {type: number}", &[("a", "3")], json!(3))]
#[case::a_boolean("a: {type: boolean, default: true}", &[("a", "false")], json!(false))]
#[case::a_list("a: {type: array}", &[("a", "[\"x\", 1, {\"k\": null}]")], json!(["x", 1, {"k": null}]))]
#[case::an_option("a: {options: [x, 1]}", &[("a", "1")], json!("1"))]
#[case::a_pattern("a: {regex: /^v/}", &[("a", "v1")], json!("v1"))]
fn values_of_a_pipeline(#[case] declared: &str, #[case] own: &[(&str, &str)], #[case] expected: serde_json::Value) {
    assert_eq!(given(declared, own), (expected, Vec::new()));
}

#[rstest]
#[case::missing("a: ", &[], "a.yml:1:10: `a` input: required value has not been provided (give it by --input a=VALUE, or give it a default)")]
#[case::unknown("a: {default: x}, cloud: {default: x}", &[("clod", "x")], "--input:1:1: unknown input arguments: clod (did you mean `cloud`?)")]
#[case::of_another_type("a: {type: number}", &[("a", "x")], "--input:1:3: `a` input: provided value is not a number")]
#[case::a_default_of_another_type("a: {type: number, default: x}", &[("a", "1")], "a.yml:1:37: `a` input: default value is not a number")]
#[case::no_option("a: {options: [x, y]}", &[("a", "z")], "--input:1:3: `a` input: `z` cannot be used because it is not in the list of allowed options")]
#[case::no_match("a: {regex: ^v}", &[("a", "1")], "--input:1:3: `a` input: provided value does not match required RegEx pattern")]
#[case::no_expression("a: {default: x, rules: [{if: a b, options: [x]}]}", &[], "a.yml:1:39: header:spec:inputs:a:rules:rule if invalid expression syntax (`a` is unknown, at byte 0; expected a text in quotes, a variable with `$`, or null, true, false (in `a b`))")]
fn complaints(#[case] declared: &str, #[case] own: &[(&str, &str)], #[case] expected: &str) {
    assert_eq!(given(declared, own).1, [expected]);
}

// lib/ci/inputs/rules_evaluator.rb, https://docs.gitlab.com/ci/inputs/
#[rstest]
#[case::the_first_that_holds(&[("cloud", "aws")], json!("small"), None)]
#[case::another(&[("cloud", "gcp")], json!("n1"), None)]
#[case::given(&[("cloud", "gcp"), ("a", "n2")], json!("n2"), None)]
#[case::no_option_of_that_rule(&[("cloud", "gcp"), ("a", "small")], json!("small"), Some("--input:2:3: `a` input: `small` cannot be used because it is not in the list of allowed options"))]
#[case::an_empty_text_is_nothing(&[("cloud", "gcp"), ("a", "")], json!("n1"), None)]
#[case::by_default(&[], json!("small"), None)]
fn rules(#[case] own: &[(&str, &str)], #[case] expected: serde_json::Value, #[case] complaint: Option<&str>) {
    let declared = "cloud: {default: aws}, a: {rules: [\
        {if: '$[[ inputs.cloud ]] == \"aws\"', options: [small, large], default: small}, \
        {options: [n1, n2], default: n1}]}";
    assert_eq!(given(declared, own), (expected, complaint.into_iter().map(str::to_owned).collect()));
}
