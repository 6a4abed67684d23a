use std::sync::LazyLock;

use gitlab_ci::diagnostic::Diagnostics;
use gitlab_ci::source::Sources;
use gitlab_ci::yaml::node::{Entry, KeyKind, Node, Value};
use gitlab_ci::yaml::parse;
use proptest::prelude::*;
use regex::RegexSet;
use serde_json::json;

use super::config;
use super::ruby::Ruby;

/// Scalars of every Ruby class, plain and quoted.
const SCALARS: &[&str] = &[
    "a",
    "b",
    "",
    "~",
    "null",
    "true",
    "No",
    "on",
    "y",
    "0",
    "1",
    "-1",
    "+3",
    "017",
    "089",
    "0o17",
    "0b11",
    "0x1F",
    "1_000",
    "1,000",
    "1:30",
    "-1:30",
    "1:30.5",
    "1.5",
    ".5",
    "1.",
    "1e3",
    "1.0e+3",
    ".inf",
    "-.INF",
    ".NaN",
    ":x",
    ":'x y'",
    "':x'",
    "'1'",
    "\"a\\n\\u00e4\\x41\"",
    "\"a\n  b\"",
    "'it''s'",
    "a b",
    "a: b",
    "a #b",
    "a#b",
    "a\n  b",
    "-a",
    ":a",
    "@a",
    "%a",
    "a,b",
    "a[b",
    "[a",
    "a}",
    "!!str 1",
    "!!int '1'",
    "!!float 1",
    "!x a",
    "&x a",
    "*x",
    "2020-01-01",
    "ä",
];

const MARKS: &[&str] = &[
    ": ", ":", "\n", "\n  ", "\n    ", "\n- ", "\n  - ", "- ", "[", "]", "{", "}", ", ", " ", " # c", "|\n  ",
    ">-\n  ", "|2\n   ", "|+\n", "\t", "<<: *x\n", "<<: ", "&x ", "*x", "!!set ", "!!str ", "'", "\"", "!!seq ",
];

/// Values that cannot stand in brackets.
const BLOCKS: &[&str] = &[
    "|\n  a\n   b\n\n  c",
    "|-\n  a\n",
    "|+\n  a\n\n",
    "|1\n  a\n b",
    "| # c\n  a # b",
    ">\n  a\n  b\n\n   c\n  d",
    ">-\n  a\n\n\n  b",
    ">+\n  a\n\n ",
    "|\n",
    "|\n\n  \n  a",
    ">\n\n a\n",
    "|2-\n   a\n  b",
    "# c\n  a",
    "a # c",
    "\n  a",
    "\n  # c\n  a\n  b",
    "- a\n- b",
    "- - a\n  - b",
    "? a\n  : b",
    "\n  ? a\n  : b",
    "\n  ? - a\n  : - b",
    "!!str a\n  b",
    "!x\n  a: b",
    "&z\n  a: b",
    "&z a\n  b",
    "'a\n\n  b'",
    "\"a\\\n  b\"",
    "[a,\n  b]",
    "{a: b,\n  c: d,}",
    "[a: b, c]",
    "[{a: b}, [c]]",
    "{a, b: c}",
    "{\"a\":b}",
    "{a: [b, c], ? d : e}",
    "[a, ]",
    "{ }",
    "a: b: c",
    "'a': b",
    "a:b",
    "a :b",
    "- ",
    "-",
    "\n- a\n-\n- b",
];

/// Texts that Psych accepts, and that this crate refuses or reads differently. Nobody writes them on purpose.
const KNOWN: &[&str] = &[
    // Psych ignores what follows a pair of brackets that is the whole document.
    r"^\s*(\S+ )?\{",
    // Psych ends with a block, and does not read what follows it with less indentation.
    r"^\n* ",
    // In libyaml, the name of an anchor or an alias ends before a colon.
    r"[&*]\w* ?:",
    // In libyaml, a block scalar may begin in the column of its key.
    r"(?m)^ *[|>]",
    // A comment, a colon or no space after `?`.
    r"\? [#:]|\?\S",
    // Ruby's `Float` also reads texts.
    r"!!float +0",
    // A tag that ends in the middle of a line, or on another line than its value.
    r"!!!|!!?\w*\n|!\w+[!:]",
    // A string of nothing, for which Psych has nothing.
    r"!!str \{\}",
];

fn is_known(text: &str) -> bool {
    static PATTERNS: LazyLock<RegexSet> = LazyLock::new(|| RegexSet::new(KNOWN).unwrap());
    PATTERNS.is_match(text)
}

/// Keys. Ruby distinguishes keys with the same text and different classes, such as `1` and `'1'`, and so does not this crate.
const KEYS: &[&str] = &[
    "a",
    "b",
    "c d",
    "~",
    "true",
    "No",
    "1",
    "017",
    "1,000",
    "1:30",
    "1.5",
    "\"e\\n\\u00e4\"",
    "'f''g'",
    "&y h",
    "!x i",
    "2020-01-01",
    "ä",
    "<<",
    "\"a\n  b\"",
    "a\n  b",
    "-j",
    "k,l",
    "k[m",
    "n#o",
    "%p",
];

fn key() -> impl Strategy<Value = String> {
    proptest::sample::select(KEYS.to_vec()).prop_map(str::to_owned)
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n  ")
}

fn value(depth: u32) -> BoxedStrategy<String> {
    let scalar = proptest::sample::select(SCALARS.to_vec()).prop_map(str::to_owned);
    if depth == 0 {
        return scalar.boxed();
    }
    let block = proptest::sample::select(BLOCKS.to_vec()).prop_map(str::to_owned);
    let flow_list = proptest::collection::vec(value(0), 0..3).prop_map(|items| format!("[{}]", items.join(", ")));
    let flow_hash = proptest::collection::vec((key(), value(0)), 0..3).prop_map(|pairs| {
        format!("{{{}}}", pairs.iter().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join(", "))
    });
    let list = proptest::collection::vec(value(depth - 1), 1..4)
        .prop_map(|items| items.iter().flat_map(|item| ["\n- ".to_owned(), indented(item)]).collect());
    prop_oneof![2 => scalar, 1 => block, 1 => flow_list, 1 => flow_hash, 2 => list, 3 => hash(depth)].boxed()
}

/// A hash of which some values have values themselves.
fn hash(depth: u32) -> impl Strategy<Value = String> {
    proptest::collection::vec((key(), value(depth - 1)), 1..4)
        .prop_map(|pairs| pairs.iter().flat_map(|(key, value)| [format!("\n{key}: "), indented(value)]).collect())
}

/// A document of the grammar, of which one part may be replaced by a random mark.
fn document() -> impl Strategy<Value = String> {
    let damage =
        proptest::option::of((any::<proptest::sample::Index>(), 0_usize..3, proptest::sample::select(MARKS.to_vec())));
    (hash(4), damage).prop_map(|(text, damage)| {
        let mut characters: Vec<char> = text.trim_start_matches('\n').chars().collect();
        if let Some((at, length, mark)) = damage {
            let from = at.index(characters.len() + 1);
            let until = (from + length).min(characters.len());
            characters.splice(from..until, mark.chars());
        }
        characters.into_iter().collect()
    })
}

fn read(text: &str) -> Result<serde_json::Value, String> {
    let mut sources = Sources::default();
    let file = sources.add("a.yml", text);
    let mut diagnostics = Diagnostics::default();
    let documents = parse::compose(&sources, file, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics.sorted().iter().map(|it| it.message.clone()).collect::<Vec<_>>().join("; "));
    }
    only_hash(json!({ "value": documents.first().map(typed) }))
}

/// GitLab refuses every document that is not a hash.
fn only_hash(answer: serde_json::Value) -> Result<serde_json::Value, String> {
    if answer["value"].get("hash").is_some() { Ok(answer) } else { Err("not a hash".to_owned()) }
}

fn typed(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => json!(null),
        Value::Boolean(value) => json!(value),
        Value::Integer(text) => json!({ "integer": &**text }),
        Value::Float(text) => json!({ "float": &**text }),
        Value::String(text) => json!({ "string": &**text }),
        Value::Symbol(text) => json!({ "symbol": &**text }),
        Value::Sequence(items) => json!({ "array": items.iter().map(typed).collect::<Vec<_>>() }),
        Value::Mapping(mapping) => {
            let pair = |(key, Entry { value, key_kind, .. }): (&std::sync::Arc<str>, &Entry)| {
                let key = match key_kind {
                    KeyKind::Text => json!({ "text": &**key }),
                    KeyKind::Integer => json!({ "integer": &**key }),
                    KeyKind::Other => json!("other"),
                };
                json!([key, typed(value)])
            };
            json!({ "hash": mapping.iter().map(pair).collect::<Vec<_>>() })
        }
        Value::Reference(path) => json!({ "reference": path.iter().map(|name| &**name).collect::<Vec<_>>() }),
    }
}

#[test]
fn yaml_has_the_values_of_psych() {
    let ruby = Ruby::start();
    proptest!(config(), |(text in document())| {
        prop_assume!(!is_known(&text));
        let (found, expected) = (read(&text), ruby.ask(&json!(["yaml", text])).and_then(only_hash));
        match (&found, &expected) {
            (Ok(found), Ok(expected)) => prop_assert_eq!(found, expected),
            (Err(_), Err(_)) => {}
            _ => prop_assert!(false, "here {:?}, in Ruby {:?}", found, expected),
        }
    });
}
