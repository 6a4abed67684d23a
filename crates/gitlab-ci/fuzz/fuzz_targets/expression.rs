//! Reads any bytes as an expression with variables, and as the other small languages in pipeline files: regular
//! expressions, path patterns, durations, dotenv reports, texts with variables and lists of settings.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use gitlab_ci::expression::Expression;
use gitlab_ci::expression::pattern::Pattern;
use gitlab_ci::glob::Glob;
use gitlab_ci::variables::collection::{Collection, Variable};
use gitlab_ci::variables::dotenv::Limits;
use gitlab_ci::variables::expand::ExpansionError;
use gitlab_ci::variables::{dotenv, settings};
use gitlab_ci::{duration, glob};
use libfuzzer_sys::fuzz_target;

/// Separates the text from the dotenv report after it.
const SEPARATOR: char = '\u{c}';

/// The maximum number of bytes that variables may add to a text.
const MAX_GROWTH: usize = 128 << 10;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (text, report) = text.split_once(SEPARATOR).unwrap_or((&text, "A=main\nB=/^ma/\nC=$A"));
    let variables = dotenv(report);
    expression(text, &variables);
    pattern(text, report);
    glob(text, report);
    parse_duration(text);
    expansion(text, variables);
    settings(text);
});

fn expression(text: &str, variables: &[Variable]) {
    let values: BTreeMap<&str, &str> = variables.iter().map(|it| (&*it.key, &*it.value)).collect();
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => {
            assert!(text.get(error.range.clone()).is_some(), "{error:?} is not within the text");
            assert!(!error.to_string().contains('\n'), "{error}");
            return;
        }
    };
    let holds = expression.evaluate(&values);
    assert_eq!(expression.evaluate(&values), holds, "the second result is different");
    let printed = expression.to_string();
    let again = Expression::parse(&printed).expect("the printed expression is valid");
    assert_eq!(again, expression, "`{printed}` has another meaning");
    assert_eq!(again.evaluate(&values), holds);
    for name in expression.variables() {
        assert!(text.contains(name), "{name} is not in the text");
    }
    // An expression can be evaluated without variables as well.
    expression.evaluate(&BTreeMap::<&str, &str>::new());
}

fn pattern(text: &str, subject: &str) {
    if let Ok(pattern) = Pattern::parse(text) {
        let printed = pattern.to_string();
        let again = Pattern::parse(&printed).expect("the printed pattern is valid");
        assert_eq!(again.is_match(subject), pattern.is_match(subject), "`{printed}` has another meaning");
    }
}

fn glob(text: &str, subject: &str) {
    let (patterns, paths) = ([text.to_owned()], [subject.to_owned(), "src/main.rs".to_owned()]);
    if let Ok(glob) = Glob::new(text) {
        let matches = paths.iter().any(|path| glob.is_match(path));
        assert_eq!(matches, glob::any_matches(&patterns, &paths));
    }
    glob::any_exists(&patterns, &paths);
    if !text.contains('/') {
        let escaped: String = text.chars().flat_map(|character| ['\\', character]).collect();
        assert!(Glob::new(&escaped).is_ok_and(|glob| glob.is_match(text)), "`{escaped}` does not match its own text");
    }
}

fn parse_duration(text: &str) {
    let found = duration::parse(text);
    assert!(found.as_ref().is_ok_and(|length| *length > Duration::ZERO) || found.is_err(), "{found:?}");
    if !text.eq_ignore_ascii_case("never") {
        assert_eq!(duration::parse_expiry(text), found.map(Some));
    }
}

fn dotenv(report: &str) -> Vec<Variable> {
    let limits = Limits { bytes: usize::MAX, variables: 1000 };
    let Ok(variables) = dotenv::parse(report.as_bytes(), limits) else { return Vec::new() };
    assert!(variables.len() <= limits.variables);
    let written: String = variables.iter().map(|it| format!("{}={}\n", it.key, it.value)).collect();
    assert_eq!(dotenv::parse(written.as_bytes(), limits).as_ref(), Ok(&variables), "the written report is different");
    variables
}

fn expansion(text: &str, variables: Vec<Variable>) {
    let mut collection = Collection::default();
    variables.into_iter().for_each(|variable| collection.add(variable));
    let path = |variable: &Variable| format!("/builds/demo.tmp/{}", variable.key);
    let alone = [collection.expand(text), collection.expand_existing(text), collection.runner_expand_text(text, &path)];
    assert_eq!(collection.expand(text), alone[0], "the second result is different");
    for expanded in alone.iter().flatten() {
        assert!(expanded.len() <= text.len() + MAX_GROWTH, "{} bytes", expanded.len());
    }
    for all in [collection.expand_all(), collection.expand_all_fully(), collection.runner_expand(&path)] {
        match all {
            Ok(all) => assert_eq!(all.len(), collection.len(), "the number of variables changed"),
            Err(ExpansionError::Circular(cycles)) => {
                assert!(cycles.iter().flatten().all(|name| collection.get(name).is_some()), "{cycles:?}");
            }
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        }
    }
}

/// Errors in a list of variables have a position in the text, and their messages contain no values.
fn settings(text: &str) {
    if let Err(error) = settings::read(text) {
        assert!(error.line <= text.lines().count() + 1, "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
