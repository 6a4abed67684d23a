//! Reading any text terminates, with a configuration or with errors that have a position.

use proptest::prelude::*;

use super::files::Files;
use super::lint::{Lint, lint};
use crate::include::Environment;

struct SameTextInEveryFile(String);

impl Files for SameTextInEveryFile {
    fn read(&self, _: &str) -> Option<String> {
        Some(self.0.clone())
    }

    fn list(&self) -> Vec<String> {
        vec!["a.yml".to_owned()]
    }
}

fn read(text: &str) -> Lint {
    let files = SameTextInEveryFile(text.to_owned());
    let environment = Environment::new(&files);
    lint(".gitlab-ci.yml", &environment)
}

fn check(text: &str) {
    let lint = read(text);
    for diagnostic in lint.diagnostics.sorted() {
        let location = lint.sources.location(diagnostic.span);
        assert!(location.line > 0 && !diagnostic.message.is_empty(), "{diagnostic:?}");
    }
    assert!(lint.configuration.is_some() || lint.diagnostics.has_errors());
    // Every diagnostic can be rendered.
    crate::render::diagnostics::text(&lint, None, false);
}

/// Fragments of pipeline files, combined at random.
fn fragment() -> impl Strategy<Value = String> {
    let words = [
        "a",
        ".a",
        "b",
        "script",
        "stage",
        "stages",
        "rules",
        "only",
        "except",
        "needs",
        "extends",
        "include",
        "default",
        "variables",
        "parallel",
        "matrix",
        "environment",
        "image",
        "services",
        "workflow",
        "spec",
        "inputs",
        "when",
        "!reference [.a, script]",
        "&x",
        "*x",
        "<<",
        "$[[ inputs.a ]]",
        "$CI_COMMIT_BRANCH == \"main\"",
        "/re/",
        "2020-01-01",
        "012",
        "~",
        "true",
        "'",
        "\"",
        "ä",
        "local",
        "if",
        "job",
        "optional",
        "---",
    ];
    let marks =
        [": ", "\n", "\n  ", "\n    ", "\n  - ", "- ", "[", "]", "{", "}", ", ", " ", "#", "|\n", ">-\n", "\t", "? "];
    prop_oneof![
        3 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        3 => proptest::sample::select(marks.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_terminates(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn random_fragments_terminate(fragments in proptest::collection::vec(fragment(), 0..60)) {
        check(&fragments.concat());
    }

    /// The repository's own file, with one part removed and random fragments inserted.
    #[test]
    fn a_damaged_file_terminates(from in 0_usize..4000, length in 0_usize..200, fragments in proptest::collection::vec(fragment(), 0..4)) {
        let own: Vec<char> = include_str!("../../../.gitlab-ci.yml").chars().collect();
        let from = from.min(own.len());
        let until = (from + length).min(own.len());
        let text: String = own[..from].iter().chain(&own[until..]).collect();
        let at = text.char_indices().nth(from).map_or(text.len(), |(at, _)| at);
        check(&format!("{}{}{}", &text[..at], fragments.concat(), &text[at..]));
    }
}
