//! The tests that RULES.md names exist.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::fs;
use std::path::Path;

/// Adds the text of all Rust files below a directory.
fn read(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn each_rule_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    read(&root.join("src"), &mut code);
    read(&root.join("tests"), &mut code);
    let rules = fs::read_to_string(root.join("RULES.md")).unwrap();
    let rows = rules.lines().filter(|line| line.starts_with("| ") && line.ends_with("` |"));
    let names = rows.filter_map(|row| row.trim_end_matches(" |").rsplit("| ").next()).flat_map(|cell| cell.split(", "));
    let names: Vec<&str> =
        names.map(|name| name.trim_matches('`')).map(|name| name.trim_start_matches("ruby::")).collect();
    let missing: Vec<&&str> = names.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(names.len() > 50 && missing.is_empty(), "{} names, missing: {missing:?}", names.len());
}
