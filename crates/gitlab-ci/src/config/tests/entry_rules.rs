//! Most keywords with a scalar or a list, with every kind of value. The rule of each keyword is stated as in GitLab's
//! `lib/gitlab/ci/config/entry/`, and decides which values are valid.

mod keywords;

use self::Rule::{
    Any, Boolean, Coverage, Duration, Exists, Expression, Integer, List, Name, NonBlank, Optional, Or, Scalar, Text,
    Texts, TextsOrText, Word,
};
use self::keywords::ROWS;
use super::read;
use crate::diagnostic::Severity;

/// A value as Ruby sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Float,
    Text(&'static str),
    Symbol(&'static str),
    /// A list of scalars.
    List(&'static [Value]),
    EmptyHash,
}

use Value::{EmptyHash, Float, Null, Symbol};

/// Values as written, and what Psych makes of them: `lib/psych/scalar_scanner.rb`.
const VALUES: [(&str, Value); 66] = [
    ("", Null),
    ("~", Null),
    ("null", Null),
    ("Null", Null),
    ("nUll", Null),
    ("true", Value::Boolean(true)),
    ("True", Value::Boolean(true)),
    ("yes", Value::Boolean(true)),
    ("ON", Value::Boolean(true)),
    ("false", Value::Boolean(false)),
    ("no", Value::Boolean(false)),
    ("oFF", Value::Boolean(false)),
    ("0", Value::Integer(0)),
    ("-0", Value::Integer(0)),
    ("1", Value::Integer(1)),
    ("2", Value::Integer(2)),
    ("+3", Value::Integer(3)),
    ("-1", Value::Integer(-1)),
    ("200", Value::Integer(200)),
    ("201", Value::Integer(201)),
    ("0b11", Value::Integer(3)),
    ("0x1F", Value::Integer(31)),
    ("017", Value::Integer(15)),
    ("1_000", Value::Integer(1000)),
    ("1,000", Value::Integer(1000)),
    ("1:30", Value::Integer(5400)),
    ("-1:30", Value::Integer(-1800)),
    ("1.0", Float),
    ("1.5", Float),
    ("-2.5", Float),
    (".5", Float),
    ("1.", Float),
    ("1.0e+3", Float),
    ("1:30.5", Float),
    (".inf", Float),
    ("-.Inf", Float),
    (".nan", Float),
    ("''", Value::Text("")),
    ("' '", Value::Text(" ")),
    ("'1'", Value::Text("1")),
    ("'2'", Value::Text("2")),
    ("'true'", Value::Text("true")),
    ("'null'", Value::Text("null")),
    ("x", Value::Text("x")),
    ("y", Value::Text("y")),
    ("1e3", Value::Text("1e3")),
    ("089", Value::Text("089")),
    ("1.2.3", Value::Text("1.2.3")),
    ("test", Value::Text("test")),
    ("always", Value::Text("always")),
    ("never", Value::Text("never")),
    ("manual", Value::Text("manual")),
    ("on_success", Value::Text("on_success")),
    ("pull", Value::Text("pull")),
    ("stop", Value::Text("stop")),
    ("active", Value::Text("active")),
    ("1 day", Value::Text("1 day")),
    ("$X", Value::Text("$X")),
    ("/x/", Value::Text("/x/")),
    ("a/b", Value::Text("a/b")),
    (":x", Symbol("x")),
    (":always", Symbol("always")),
    ("[]", Value::List(&[])),
    ("[x]", Value::List(&[Value::Text("x")])),
    ("[1]", Value::List(&[Value::Integer(1)])),
    ("{}", EmptyHash),
];

/// A validation of `lib/gitlab/config/entry/validators.rb`.
enum Rule {
    /// `type: String`
    Text,
    /// `boolean: true`
    Boolean,
    /// `array_of_strings: true`
    Texts,
    /// `array_of_strings_or_string: true`
    TextsOrText,
    /// `type: String, inclusion:`
    Word(&'static [&'static str]),
    /// An integer within limits.
    Integer(i64, i64),
    /// `duration: true`; whether `never` is one, too.
    Duration(bool),
    /// `scalar: true`
    Scalar,
    /// `type: Array` with valid items.
    List(&'static [&'static str]),
    /// `regexp: true`
    Coverage,
    /// `expression: true`
    Expression,
    /// `environment_name_regex`
    Name,
    /// `presence: true`
    NonBlank(&'static Rule),
    /// The keyword may be null.
    Optional(&'static Rule),
    /// `SimpleExists` of `rules/rule/exists.rb`
    Exists,
    /// One of the rules, or one of these values.
    Or(&'static [Rule], &'static [&'static str]),
    /// No validation.
    Any,
}

impl Rule {
    fn accepts(&self, text: &str, value: Value) -> bool {
        let is_string = |value: &Value| matches!(value, Value::Text(_) | Symbol(_));
        match self {
            Text => matches!(value, Value::Text(_)),
            Boolean => matches!(value, Value::Boolean(_)),
            Texts => matches!(value, Value::List(items) if items.iter().all(is_string)),
            TextsOrText => is_string(&value) || Texts.accepts(text, value),
            Word(words) => matches!(value, Value::Text(word) if words.contains(&word)),
            Integer(least, most) => matches!(value, Value::Integer(number) if (*least..=*most).contains(&number)),
            // Of these texts, Numerizer and ChronicDuration read numbers and `1 day`.
            Duration(never) => match value {
                // A year is longer than the longest timeout.
                Value::Text("never" | "y") => *never,
                Value::Text(text) => matches!(text, "1" | "2" | "089" | "1.2.3" | "1 day"),
                _ => false,
            },
            Scalar => !matches!(value, Null | Value::List(_) | EmptyHash),
            List(items) => matches!(value, Value::List([])) || items.contains(&text),
            Coverage => value == Value::Text("/x/"),
            // A text that is an expression: a variable, a number in quotes is not.
            Expression => matches!(value, Value::Text("$X" | "null" | "true")),
            Name => matches!(value, Value::Text(name) if !name.trim().is_empty() && name != "/x/"),
            NonBlank(rule) => {
                let is_blank = match value {
                    Null | Value::Boolean(false) | Value::List([]) | EmptyHash => true,
                    Value::Text(text) => text.trim().is_empty(),
                    _ => false,
                };
                !is_blank && rule.accepts(text, value)
            }
            Optional(rule) => value == Null || rule.accepts(text, value),
            Exists => {
                matches!(value, Value::Text(_) | Null | Value::Boolean(false) | EmptyHash) || Texts.accepts(text, value)
            }
            Or(rules, texts) => texts.contains(&text) || rules.iter().any(|rule| rule.accepts(text, value)),
            Any => true,
        }
    }
}

#[test]
fn each_keyword_accepts_the_values_of_its_rule() {
    let mut wrong = Vec::new();
    for (file, subject, rule, source) in ROWS {
        for (text, value) in VALUES {
            let file = format!("{}\n", file.replace('@', text));
            let lint = read(&file);
            let errors = lint.diagnostics.sorted().into_iter().filter(|it| it.severity == Severity::Error);
            let errors: Vec<String> =
                errors.map(|it| it.message.clone()).filter(|message| message.starts_with(*subject)).collect();
            let expected = rule.accepts(text, value);
            if errors.is_empty() != expected {
                wrong.push(format!("{source}: {file:?} {errors:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}
