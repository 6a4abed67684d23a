//! Whether the `rules` of an include admit it. `lib/gitlab/ci/config/external/rules.rb`

use crate::changes::{Compared, NoSuchRef};
use crate::config::reader::{Reader, Text};
use crate::config::rules;
use crate::config::rules::{Changes, Owner, Rule};
use crate::config::when::When;
use crate::diagnostic::Diagnostics;
use crate::expression::Variables;
use crate::glob;
use crate::yaml::node::Node;

/// The data that the clauses of `include:rules` are evaluated with.
pub struct Conditions<'lint> {
    /// The variables that `if` reads.
    pub variables: &'lint dyn Variables,
    /// Expands the variables in a pattern. Unknown ones stay as they are written.
    pub expand: &'lint dyn Fn(&str) -> String,
    /// Whether one of these patterns matches a file of the project.
    pub exists: &'lint dyn Fn(&[String]) -> bool,
    /// Whether one of these patterns matches a changed file.
    pub changed: &'lint dyn Fn(&[String]) -> bool,
    /// The files that differ from a ref.
    pub compare: &'lint dyn Fn(&str) -> Compared,
}

/// Whether the `rules` of an include admit it. The first matching rule does, unless it has `when: never`. If no rule
/// matches, the include is left out. <https://docs.gitlab.com/ci/yaml/#includerules>
///
/// Errors in the rules go to `diagnostics`.
pub fn admits(rules: &Node, conditions: &Conditions<'_>, diagnostics: &mut Diagnostics) -> bool {
    let mut reader = Reader::for_keyword("include", diagnostics);
    let rules = rules::read(rules, Owner::Include, &mut reader);
    for rule in &rules {
        match holds(rule, conditions) {
            Ok(true) => return rule.when != Some(When::Never),
            Ok(false) => {}
            Err(error) => {
                let to = rule.changes.as_ref().and_then(|changes| changes.compare_to.as_ref());
                diagnostics.error(to.map_or(rule.span, |to| to.span), error.to_string());
                return false;
            }
        }
    }
    false
}

fn holds(rule: &Rule, conditions: &Conditions<'_>) -> Result<bool, NoSuchRef> {
    let expanded = |paths: &[Text]| paths.iter().map(|path| (conditions.expand)(&path.value)).collect::<Vec<_>>();
    if rule.condition.as_ref().is_some_and(|(_, expression)| !expression.evaluate(conditions.variables)) {
        return Ok(false);
    }
    // `lib/gitlab/ci/config/entry/include/rules/rule.rb`: the same clause as in jobs, with the files that the
    // pipeline's push has changed.
    if let Some(Changes { paths, compare_to }) = &rule.changes {
        let patterns = expanded(paths);
        let has_changed = match compare_to {
            None => (conditions.changed)(&patterns),
            Some(to) => (conditions.compare)(&(conditions.expand)(&to.value))?
                .is_none_or(|files| glob::any_matches(&patterns, &files)),
        };
        if !has_changed {
            return Ok(false);
        }
    }
    Ok(rule.exists.as_ref().is_none_or(|paths| (conditions.exists)(&expanded(paths))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;

    use super::*;
    use crate::source::Sources;
    use crate::yaml::parse::compose;

    // lib/gitlab/ci/config/entry/include/rules/rule.rb, lib/gitlab/ci/build/rules/rule/clause/changes.rb
    #[rstest]
    #[case::changed("{changes: [src/*]}", true)]
    #[case::not_changed("{changes: [docs/*]}", false)]
    #[case::with_a_variable("{changes: [$FOLDER/*]}", true)]
    #[case::against_a_ref("{changes: {paths: [docs/*], compare_to: main}}", true)]
    #[case::not_against_a_ref("{changes: {paths: [src/*], compare_to: main}}", false)]
    #[case::all_clauses_must_hold("{if: $NONE, changes: [src/*]}", false)]
    #[case::never("{changes: [src/*], when: never}", false)]
    fn evaluates_rules_of_includes(#[case] rule: &str, #[case] expected: bool) {
        let (admitted, reported) = admitted(rule);
        assert_eq!((admitted, reported), (expected, Vec::new()));
    }

    #[test]
    fn reports_an_unknown_ref() {
        let reported = admitted("{changes: {paths: [src/*], compare_to: nope}}").1;
        assert_eq!(reported, ["a.yml:1:41: rules:changes:compare_to is not a valid ref"]);
    }

    fn admitted(rule: &str) -> (bool, Vec<String>) {
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let file = sources.add("a.yml", &format!("[{rule}]"));
        let rules = compose(&sources, file, &mut diagnostics).remove(0);
        let variables: BTreeMap<String, String> = BTreeMap::new();
        let matches = |patterns: &[String], file: &str| glob::any_matches(patterns, &[file.to_owned()]);
        let conditions = Conditions {
            variables: &variables,
            expand: &|text| text.replace("$FOLDER", "src"),
            exists: &|_| false,
            changed: &|patterns| matches(patterns, "src/main.rs"),
            compare: &|name| {
                if name == "main" { Ok(Some(vec!["docs/a.md".to_owned()])) } else { Err(NoSuchRef) }
            },
        };
        let admitted = admits(&rules, &conditions, &mut diagnostics);
        let reported =
            diagnostics.sorted().into_iter().map(|it| format!("{}: {}", sources.location(it.span), it.message));
        (admitted, reported.collect())
    }
}
