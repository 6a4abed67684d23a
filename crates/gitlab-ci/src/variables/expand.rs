//! What `$` becomes in single texts, and on the runner. For the values of all variables together: `resolve.rs`.
//! <https://docs.gitlab.com/ci/variables/where_variables_can_be_used/>

use std::sync::Arc;

use super::collection::{Collection, Variable};
use super::reference::{Piece, Pieces, RunnerPieces};

/// How many bytes values may add to one text: those that double each other grow without end. No program can be given a longer
/// variable (Linux's `MAX_ARG_STRLEN`).
const LARGEST: usize = 128 << 10;

/// How many they may add to all values together, of which there is a limit for programs, too.
pub(super) const LARGEST_TOGETHER: usize = 2 << 20;

/// Why variables cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpansionError {
    /// Variables lead back to themselves: the names of each circle. GitLab writes the job's name and `: ` before it.
    #[error("circular variable reference detected: {}", circles(.0))]
    Circular(Vec<Vec<Arc<str>>>),
    /// The value of a variable would become too large, or those of all together.
    #[error("the value of {0} grows too much: variables may add {LARGEST} bytes to one, and {LARGEST_TOGETHER} to all")]
    LargeValue(Arc<str>),
    /// A text would.
    #[error("the text grows too much: variables may add {LARGEST} bytes to it")]
    LargeText,
}

fn circles(circles: &[Vec<Arc<str>>]) -> String {
    circles.iter().map(|names| format!("{names:?}")).collect::<Vec<_>>().join(", ")
}

impl Collection {
    /// A text with every variable in it, once; unknown ones are empty. `lib/expand_variables.rb`
    ///
    /// GitLab asks the variables of [`Collection::expand_all`].
    ///
    /// # Errors
    /// When it becomes too large.
    pub fn expand(&self, text: &str) -> Result<String, ExpansionError> {
        let value = |name: &str| Some(Value::Shared(self.get(name).map_or("", |variable| &variable.value)));
        fill(Pieces::of_text(text), value).ok_or(ExpansionError::LargeText)
    }

    /// A text with every variable that is known, once; others stay as they are written: `tags`, `changes`, `exists`.
    ///
    /// # Errors
    /// When it becomes too large.
    pub fn expand_existing(&self, text: &str) -> Result<String, ExpansionError> {
        let value = |name: &str| self.get(name).map(|variable| Value::Shared(&variable.value));
        fill(Pieces::of_text(text), value).ok_or(ExpansionError::LargeText)
    }

    /// The winners as the runner exports them: values of [`Collection::expand_all`] once more, by Go's rules.
    /// `path` tells where the file of a file variable is. GitLab Runner's `common/spec/variables.go`
    ///
    /// # Errors
    /// When one becomes too large, or all together.
    pub fn runner_expand(&self, path: &dyn Fn(&Variable) -> String) -> Result<Self, ExpansionError> {
        let mut total = 0;
        self.iter()
            .map(|(variable, _)| {
                if variable.raw {
                    return Ok(variable.clone());
                }
                let too_large = || ExpansionError::LargeValue(Arc::clone(&variable.key));
                let value = self.runner_fill(&variable.value, path).ok_or_else(too_large)?;
                total += value.len().saturating_sub(variable.value.len());
                if total > LARGEST_TOGETHER {
                    return Err(too_large());
                }
                Ok(Variable { value: value.into(), ..variable.clone() })
            })
            .collect()
    }

    /// A text as the runner reads it: names of images and services, keys and paths of caches, fields of artifacts.
    ///
    /// # Errors
    /// When it becomes too large.
    pub fn runner_expand_text(&self, text: &str, path: &dyn Fn(&Variable) -> String) -> Result<String, ExpansionError> {
        self.runner_fill(text, path).ok_or(ExpansionError::LargeText)
    }

    fn runner_fill(&self, text: &str, path: &dyn Fn(&Variable) -> String) -> Option<String> {
        fill(RunnerPieces::new(text), |name| {
            Some(match self.get(name) {
                _ if name == "$" => Value::Shared("$"),
                // `$1` is the script's, whatever a variable is called.
                _ if name.len() == 1 && name.starts_with(|it: char| !it.is_ascii_alphabetic() && it != '_') => {
                    Value::Shared("")
                }
                None => Value::Shared(""),
                Some(variable) if variable.file => Value::Made(path(variable)),
                Some(variable) => Value::Shared(&variable.value),
            })
        })
    }
}

/// What stands in for a reference.
pub(super) enum Value<'collection> {
    /// A value that is there.
    Shared(&'collection str),
    /// One made for it.
    Made(String),
}

/// Puts pieces together, with values for references that have one. Nothing when they add too much.
pub(super) fn fill<'text, 'collection>(
    pieces: impl Iterator<Item = Piece<'text>>,
    value: impl Fn(&str) -> Option<Value<'collection>>,
) -> Option<String> {
    let mut output = String::new();
    let mut added = 0;
    for piece in pieces {
        let (name, written) = match piece {
            Piece::Text(text) => {
                output.push_str(text);
                continue;
            }
            Piece::Reference(name, written) => (name, written),
        };
        let value = value(name);
        let value = match &value {
            Some(Value::Shared(value)) => value,
            Some(Value::Made(value)) => value.as_str(),
            None => written,
        };
        added += value.len().saturating_sub(written.len());
        if added > LARGEST {
            return None;
        }
        output.push_str(value);
    }
    Some(output)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::collection::Origin;
    use super::*;

    fn collection() -> Collection {
        let list = [("A", "1"), ("B", "$A-2"), ("EMPTY", ""), ("QUOTE", "$$A"), ("OTHER", "[$NONE]")];
        let mut collection: Collection =
            list.into_iter().map(|(key, value)| Variable::new(key, value, Origin::Job)).collect();
        collection.add(Variable { file: true, ..Variable::new("FILE", "of $A", Origin::Project) });
        collection.add(Variable { raw: true, ..Variable::new("RAW", "$A", Origin::Project) });
        collection
    }

    fn path(variable: &Variable) -> String {
        format!("/tmp/{}", variable.key)
    }

    #[rstest]
    #[case::plain("a $A b", "a 1 b", "a 1 b")]
    #[case::braces("${A}b", "1b", "1b")]
    #[case::percent("%A%", "1", "1")]
    #[case::once("$B", "$A-2", "$A-2")]
    #[case::unknown("[$NONE]", "[]", "[$NONE]")]
    #[case::unknown_percent("[%NONE%]", "[]", "[%NONE%]")]
    #[case::empty("[$EMPTY]", "[]", "[]")]
    #[case::doubled("$$A", "$1", "$1")]
    #[case::no_name("5$ or $(date) 100%", "5$ or $(date) 100%", "5$ or $(date) 100%")]
    #[case::open("${A", "${A", "${A")]
    #[case::raw("$RAW", "$A", "$A")]
    #[case::file("$FILE", "of $A", "of $A")]
    fn texts(#[case] text: &str, #[case] all: &str, #[case] existing: &str) {
        assert_eq!(collection().expand(text).as_deref(), Ok(all));
        assert_eq!(collection().expand_existing(text).as_deref(), Ok(existing));
    }

    #[rstest]
    #[case::plain("a $A ${A}", "a 1 1")]
    #[case::percent("%A%", "%A%")]
    #[case::unknown("[$NONE${NONE:-x}]", "[]")]
    #[case::doubled("$$A", "$A")]
    #[case::special("[$1$*$#$@$!$?$0$-]", "[]")]
    #[case::file("$FILE", "/tmp/FILE")]
    #[case::raw("$RAW", "$A")]
    #[case::once("$B", "$A-2")]
    #[case::dollar_alone("$ $(date)", "$ $(date)")]
    fn runner_texts(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(collection().runner_expand_text(text, &path).as_deref(), Ok(expected));
    }

    #[rstest]
    #[case::once("B", "1-2")]
    #[case::doubled("QUOTE", "$A")]
    #[case::unknown("OTHER", "[]")]
    #[case::raw("RAW", "$A")]
    #[case::content_of_a_file("FILE", "of 1")]
    fn runner_values(#[case] key: &str, #[case] expected: &str) {
        let expanded = collection().runner_expand(&path).unwrap();
        assert_eq!(&*expanded.get(key).unwrap().value, expected);
    }

    #[test]
    fn large_texts_are_refused() {
        let mut collection = collection();
        collection.add(Variable::new("A", &"x".repeat(1000), Origin::Project));
        let text = "$A".repeat(10_000);
        assert_eq!(collection.expand(&text), Err(ExpansionError::LargeText));
        assert_eq!(collection.expand_existing(&text), Err(ExpansionError::LargeText));
        assert_eq!(collection.runner_expand_text(&text, &path), Err(ExpansionError::LargeText));
        collection.add(Variable::new("LARGE", &text, Origin::Job));
        assert_eq!(collection.runner_expand(&path), Err(ExpansionError::LargeValue("LARGE".into())));
    }

    #[test]
    fn what_is_large_already_is_no_error() {
        let text = "x".repeat(LARGEST_TOGETHER + 1) + "$A";
        assert_eq!(collection().expand(&text).map(|text| text.len()), Ok(LARGEST_TOGETHER + 2));
        let large: Collection = [Variable::new("B", &text, Origin::Project)].into_iter().collect();
        assert_eq!(large.expand_all().as_ref(), Ok(&large));
    }

    proptest! {
        #[test]
        fn any_text(text in "[$%{}ABEMPTY1_ä ]*") {
            let collection = collection();
            collection.expand(&text).unwrap();
            collection.runner_expand_text(&text, &path).unwrap();
            let plain: String = text.chars().filter(|character| !"$%".contains(*character)).collect();
            prop_assert_eq!(collection.expand(&plain).unwrap(), plain);
        }
    }
}
