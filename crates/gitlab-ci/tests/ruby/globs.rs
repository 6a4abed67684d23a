use gitlab_ci::glob::Glob;
use proptest::prelude::*;
use serde_json::json;

use super::config;
use super::ruby::Ruby;

/// Parts of patterns, also incomplete ones.
const PARTS: &[&str] = &[
    "a",
    "b",
    "ä",
    ".",
    "/",
    "*",
    "**",
    "**/",
    "?",
    "[ab]",
    "[!a]",
    "[^a]",
    "[a-c]",
    "[]",
    "[",
    "]",
    "{a,b}",
    "{",
    "}",
    ",",
    "{a,}",
    "\\",
    "\\*",
    "-",
    "!",
    "{a,{b,c}}",
    "[a",
    "[b-]",
    "[\\]]",
    "A",
    ".a",
    " ",
];

fn pattern() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(PARTS.to_vec()), 0..8).prop_map(|parts| parts.concat())
}

fn path() -> impl Strategy<Value = String> {
    let parts = vec!["a", "b", "c", "ä", ".", "/", "-", "A", "*", "[", "{", "\\", "]", "!", "{", "}", ","];
    proptest::collection::vec(proptest::sample::select(parts), 0..7).prop_map(|parts| parts.concat())
}

#[test]
fn path_patterns_match_as_with_fnmatch() {
    let ruby = Ruby::start();
    proptest!(config(), |(pattern in pattern(), paths in proptest::collection::vec(path(), 8))| {
        for path in paths {
            let answer = ruby.ask(&json!(["glob", pattern, path])).unwrap();
            let matches = Glob::new(&pattern).is_ok_and(|glob| glob.is_match(&path));
            prop_assert_eq!(json!({ "matches": matches }), answer, "{:?} {:?}", pattern, path);
        }
    });
}
