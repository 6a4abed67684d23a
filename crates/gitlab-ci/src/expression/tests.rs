use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn variables() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("PRESENT", "my variable"),
        ("PATH", "a/path/variable/value"),
        ("FULL_PATH", "/a/full/path/variable/value"),
        ("EMPTY", ""),
        ("BLANK", " \t\n"),
        ("TRUE", "true"),
        ("REFERENCE", "$PRESENT"),
        ("TEXT", "abcde"),
        ("STARTS_AB", "/^ab.*/"),
        ("STARTS_AT", "/^at.*/"),
        ("ONE_CHARACTER", "/c/"),
        ("BROKEN", "/(/"),
    ])
}

fn holds(text: &str) -> bool {
    Expression::parse(text).unwrap().evaluate(&variables())
}

// From GitLab's `spec/lib/gitlab/ci/pipeline/expression/statement_spec.rb` @0286e4c6: whether the value there is
// `present?`.
#[rstest]
#[case(r#"$PRESENT == "my variable""#, true)]
#[case(r#""my variable" == $PRESENT"#, true)]
#[case("$PRESENT == 'no match'", false)]
#[case("$PRESENT == null", false)]
#[case("$EMPTY == null", false)]
#[case(r#""" == $EMPTY"#, true)]
#[case("$EMPTY", false)]
#[case("$UNDEFINED == null", true)]
#[case("null == $UNDEFINED", true)]
#[case("$PRESENT", true)]
#[case("$UNDEFINED", false)]
#[case("$PRESENT =~ /var.*e$/", true)]
#[case(r"$PRESENT =~ /va\r.*e$/", false)]
#[case(r"$PRESENT =~ /va\/r.*e$/", false)]
#[case("$PRESENT =~ /^var.*/", false)]
#[case("$EMPTY =~ /var.*/", false)]
#[case("$UNDEFINED =~ /var.*/", false)]
#[case("$PRESENT =~ /VAR.*/i", true)]
#[case(r"$PATH =~ /path\/variable/", true)]
#[case(r"$FULL_PATH =~ /^\/a\/full\/path\/variable\/value$/", true)]
#[case(r"$FULL_PATH =~ /\/path\/variable\/value$/", true)]
#[case(r#"$PRESENT != "my variable""#, false)]
#[case(r#""my variable" != $PRESENT"#, false)]
#[case("$PRESENT != null", true)]
#[case("$EMPTY != null", true)]
#[case(r#""" != $EMPTY"#, false)]
#[case("$UNDEFINED != null", false)]
#[case("null != $UNDEFINED", false)]
#[case("$PRESENT !~ /var.*e$/", false)]
#[case("$PRESENT !~ /^var.*/", true)]
#[case(r"$PRESENT !~ /^v\ar.*/", true)]
#[case(r"$PRESENT !~ /^v\/ar.*/", true)]
#[case("$EMPTY !~ /var.*/", true)]
#[case("$UNDEFINED !~ /var.*/", true)]
#[case("$PRESENT !~ /VAR.*/i", false)]
#[case(r#"$PRESENT && "string""#, true)]
#[case("$PRESENT && $PRESENT", true)]
#[case("$PRESENT && $EMPTY", false)]
#[case("$PRESENT && null", false)]
#[case(r#""string" && $PRESENT"#, true)]
#[case("$EMPTY && $PRESENT", true)]
#[case("null && $PRESENT", false)]
#[case(r#"$EMPTY && "string""#, true)]
#[case("$EMPTY && $EMPTY", false)]
#[case(r#""string" && $EMPTY"#, false)]
#[case("'string' && null", false)]
#[case("null && 'string'", false)]
#[case("null && null", false)]
#[case("$PRESENT =~ /my var/ && $EMPTY =~ /nope/", false)]
#[case("$EMPTY == '' && $PRESENT", true)]
#[case("$EMPTY == '' && $PRESENT != 'nope'", true)]
#[case("$PRESENT && $UNDEFINED", false)]
#[case("$UNDEFINED && $EMPTY", false)]
#[case("$UNDEFINED && $PRESENT", false)]
#[case(r"$FULL_PATH =~ /^\/a\/full/ && $PATH =~ /path\/variable/", true)]
#[case(r"$FULL_PATH =~ /^\/a\/bad/ && $PATH =~ /path\/variable/", false)]
#[case(r"$FULL_PATH =~ /^\/a\/bad/ || $PATH =~ /path\/variable/", true)]
#[case(r"$FULL_PATH =~ /^\/a\/bad/ || $PATH =~ /bad\/path/", false)]
#[case("$PRESENT =~ /my var/ || $EMPTY =~ /nope/", true)]
#[case("$EMPTY == '' || $PRESENT", true)]
#[case("$PRESENT != 'nope' || $EMPTY == ''", true)]
#[case("$PRESENT && null || $EMPTY == ''", true)]
#[case("$PRESENT || $UNDEFINED", true)]
#[case("$UNDEFINED || $PRESENT", true)]
#[case("$UNDEFINED == null || $PRESENT", true)]
#[case("$PRESENT || $UNDEFINED == null", true)]
#[case("(($PRESENT))", true)]
#[case("(($PRESENT && null) || $EMPTY == '')", true)]
#[case("($PRESENT) && (null || $EMPTY == '')", true)]
#[case("('string' || 'test') == 'string'", true)]
#[case("(null || ('test' == 'string'))", false)]
#[case("('string' == ('test' && 'string'))", true)]
#[case("('string' == ('test' || 'string'))", false)]
#[case("('string' == 'test' || 'string')", true)]
#[case("('string' == ('string' || (('1' == '1') && ('2' == '3'))))", true)]
#[case("$TEXT =~ 'abcde'", true)]
#[case("$TEXT =~ $TEXT", true)]
#[case("$TEXT =~ $STARTS_AB", true)]
#[case("$TEXT =~ $STARTS_AT", false)]
fn evaluates_like_gitlabs_specs(#[case] text: &str, #[case] expected: bool) {
    assert_eq!(holds(text), expected);
}

// The rules of GitLab's `lib/gitlab/ci/pipeline/expression/statement.rb` and of `lexeme/*.rb` next to it. The syntax:
// https://docs.gitlab.com/ci/jobs/job_rules/#cicd-variable-expressions
#[rstest]
#[case::undefined_is_not_empty("$UNDEFINED == ''", false)]
#[case::empty_is_truthy("$EMPTY && $PRESENT", true)]
#[case::or_returns_an_empty_left_operand("$EMPTY || $PRESENT", false)]
#[case::blank_is_not_present("$BLANK", false)]
#[case::values_are_not_expanded("$REFERENCE == '$PRESENT'", true)]
#[case::nothing_matches_null("$PRESENT =~ $UNDEFINED", false)]
#[case::null_is_not_matched("$PRESENT !~ null", true)]
#[case::null_is_an_empty_text("null =~ /^$/", true)]
#[case::reversed_match("'23' =~ '1234'", true)]
#[case::reversed_match_fails("'1234' =~ '23'", false)]
#[case::negated_reversed_match("'1234' !~ '23'", true)]
#[case::reversed_null("$UNDEFINED =~ $TEXT", true)]
#[case::variable_of_one_character("$TEXT =~ $ONE_CHARACTER", true)]
#[case::negated_variable_pattern("$TEXT !~ $STARTS_AB", false)]
#[case::string_that_contains_a_pattern("$TEXT =~ '/^ab/'", true)]
#[case::broken_pattern_is_a_string("'(' =~ $BROKEN", true)]
#[case::not_empty("!$EMPTY", true)]
#[case::not_blank("!$BLANK", true)]
#[case::not_present("!$PRESENT", false)]
#[case::not_binds_more_tightly("!$UNDEFINED == true", true)]
#[case::boolean("true", true)]
#[case::boolean_false("false", false)]
#[case::boolean_as_text("$TRUE == true", true)]
#[case::boolean_as_other_text("$TRUE != false", true)]
#[case::boolean_is_not_null("false == null", false)]
#[case::boolean_matched("true =~ /^tr/", true)]
#[case::nothing_matches_false("$TEXT =~ false", false)]
#[case::false_is_not_matched("$TEXT !~ false", true)]
#[case::comparison_of_a_comparison("$TEXT == 'abcde' == true", true)]
#[case::pattern_is_true("/ab/", true)]
#[case::not_a_pattern("!/ab/", false)]
#[case::patterns_are_equal("/ab/i == /ab/i", true)]
#[case::flags_differ("/ab/i == /ab/", false)]
#[case::string_does_not_equal_a_pattern("$TEXT == /abcde/", false)]
#[case::string_differs_from_a_pattern("$TEXT != /abcde/", true)]
#[case::input_is_null("$[[ inputs.a ]] == null", true)]
#[case::evaluation_error("$TEXT =~ true", false)]
#[case::evaluation_error_before_or("$TEXT !~ true || true", false)]
#[case::evaluation_error_in_a_comparison("/ab/ != 'ab'", false)]
#[case::evaluation_error_is_not_reached("true || $TEXT =~ true", true)]
fn evaluates_like_gitlabs_code(#[case] text: &str, #[case] expected: bool) {
    assert_eq!(holds(text), expected);
}

#[rstest]
#[case::empty("$A =~ /^a\n//")]
#[case::with_flags("/^a\n//im")]
#[case::one_character("/^a\n\\/b/ == $A")]
#[case::a_slash("/^a\n\\/\\//")]
fn prints_patterns_from_the_second_line_of_a_literal(#[case] text: &str) {
    let expression = Expression::parse(text).unwrap();
    assert_eq!(Expression::parse(&expression.to_string()), Ok(expression));
}

#[test]
fn lists_each_variable_once() {
    let expression = Expression::parse("!($B == $A) && '$C' || $[[ inputs.d ]] =~ $B").unwrap();
    assert_eq!(expression.variables(), ["B", "A"]);
}

#[test]
fn reads_inputs_and_other_maps() {
    struct Inputs;
    impl Variables for Inputs {
        fn get(&self, _name: &str) -> Option<&str> {
            None
        }
        fn input(&self, name: &str) -> Option<Input<'_>> {
            match name {
                "cloud" => Some(Input::Text("aws")),
                "off" => Some(Input::Boolean(false)),
                _ => None,
            }
        }
    }
    assert!(Expression::parse("$[[ inputs.cloud ]] == 'aws'").unwrap().evaluate(&Inputs));
    assert!(Expression::parse("$[[ inputs.off ]] == 'false' && !$[[ inputs.off ]]").unwrap().evaluate(&Inputs));
    let map = HashMap::from([("A".to_owned(), "b".to_owned())]);
    assert!(Expression::parse("$A == 'b'").unwrap().evaluate(&map));
}

#[rstest]
#[case::parentheses("(")]
#[case::nots("!")]
#[case::closing(")")]
#[case::quote("'")]
#[case::slash("/")]
#[case::word("a")]
#[case::space(" ")]
#[case::dollar("$")]
#[case::braces("${")]
fn rejects_hostile_texts_with_a_short_error(#[case] part: &str) {
    let error = Expression::parse(&part.repeat((1 << 20) / part.len())).unwrap_err();
    assert!(error.to_string().len() < 500);
}

#[test]
fn accepts_the_maximum_depth() {
    assert!(holds(&format!("{}$PRESENT{}", "(".repeat(49), ")".repeat(49))));
    assert!(holds(&format!("{}$PRESENT", "!".repeat(98))));
}

/// Texts that are often valid expressions.
fn likely_expression() -> impl Strategy<Value = String> {
    let parts = [
        "$A",
        "$EMPTY",
        "'a'",
        "\"b ' c\"",
        "'d \" e'",
        "null",
        "true",
        "false",
        "/ab/i",
        r"/a\/b\//",
        r"/\//",
        "/ab//",
        "$[[ inputs.a ]]",
        "(",
        ")",
        "!",
        "==",
        "!=",
        "=~",
        "!~",
        "&&",
        "||",
        "=",
        "${A}",
        "'",
        "/",
    ];
    let anything =
        proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..12).prop_map(|all| all.join(" "));
    let operand = proptest::sample::select(parts.get(..13).unwrap_or_default().to_vec()).prop_map(str::to_owned);
    let valid = operand.prop_recursive(5, 24, 2, |inner| {
        let operator = proptest::sample::select(vec!["==", "!=", "=~", "!~", "&&", "||"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone())
                .prop_map(|(left, operator, right)| format!("{left}{operator}{right}")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.prop_map(|inner| format!("!{inner}")),
        ]
    });
    prop_oneof![anything, valid]
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>()) {
        let _ = Expression::parse(&text);
    }

    #[test]
    fn parses_back_what_it_prints(text in likely_expression()) {
        match Expression::parse(&text) {
            Ok(expression) => {
                let again = Expression::parse(&expression.to_string());
                prop_assert_eq!(again.as_ref(), Ok(&expression), "{}", expression);
                prop_assert_eq!(expression.evaluate(&variables()), again.is_ok_and(|again| again.evaluate(&variables())));
            }
            Err(error) => {
                prop_assert!(text.get(error.range.clone()).is_some());
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
