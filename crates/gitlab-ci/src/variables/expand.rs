//! Expansion of variables in single texts and on the runner. `resolve.rs` expands the values of all variables together.
//! <https://docs.gitlab.com/ci/variables/where_variables_can_be_used/>

use std::sync::Arc;

use super::collection::{Collection, Variable};
use super::reference::{Piece, Pieces, RunnerPieces};

/// The maximum number of bytes that variables may add to one text. Values that reference each other twice grow
/// exponentially, and no program can be given a longer variable (Linux's `MAX_ARG_STRLEN`).
const MAX_GROWTH: usize = 128 << 10;

/// The maximum number of bytes that variables may add to all values together. The kernel limits the sum for a program
/// as well.
pub(super) const MAX_TOTAL_GROWTH: usize = 2 << 20;

/// Why variables cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpansionError {
    /// Variables reference each other in a cycle. Contains the names of each cycle. GitLab writes the name of the job
    /// and `: ` before this message.
    #[error("circular variable reference detected: {}", cycles(.0))]
    Circular(Vec<Vec<Arc<str>>>),
    /// The value of this variable, or the sum of all values, becomes too large.
    #[error(
        "the value of {0} becomes too large: expansion may add {MAX_GROWTH} bytes to a value and {MAX_TOTAL_GROWTH} to all values"
    )]
    LargeValue(Arc<str>),
    /// A text with variables becomes too large.
    #[error("the text becomes too large: expansion may add {MAX_GROWTH} bytes to it")]
    LargeText,
}

fn cycles(cycles: &[Vec<Arc<str>>]) -> String {
    cycles.iter().map(|names| format!("{names:?}")).collect::<Vec<_>>().join(", ")
}

impl Collection {
    /// Replaces all variables in a text, once. Unknown variables become empty. `lib/expand_variables.rb`
    ///
    /// GitLab applies it to the values of [`Collection::expand_all_fully`].
    ///
    /// ```
    /// use gitlab_ci::variables::collection::{Collection, Origin, Variable};
    ///
    /// let variables: Collection = [Variable::new("NAME", "demo", Origin::Job)].into_iter().collect();
    /// assert_eq!(variables.expand("review/$NAME$UNKNOWN").as_deref(), Ok("review/demo"));
    /// assert_eq!(variables.expand_existing("review/$NAME$UNKNOWN").as_deref(), Ok("review/demo$UNKNOWN"));
    /// ```
    ///
    /// # Errors
    /// The variables add more than 128 KiB to the text.
    pub fn expand(&self, text: &str) -> Result<String, ExpansionError> {
        let value = |name: &str| Some(Value::Shared(self.get(name).map_or("", |variable| &variable.value)));
        fill(Pieces::from_text(text), value).ok_or(ExpansionError::LargeText)
    }

    /// Replaces the known variables in a text, once. Unknown variables stay as written. GitLab does this for `tags`,
    /// `changes` and `exists`.
    ///
    /// # Errors
    /// The variables add more than 128 KiB to the text.
    pub fn expand_existing(&self, text: &str) -> Result<String, ExpansionError> {
        let value = |name: &str| self.get(name).map(|variable| Value::Shared(&variable.value));
        fill(Pieces::from_text(text), value).ok_or(ExpansionError::LargeText)
    }

    /// Expands the values of the variables with the highest precedence as the runner exports them: the values of
    /// [`Collection::expand_all`], expanded again by Go's rules. `path` returns the path of the file of a file
    /// variable. GitLab Runner's `common/spec/variables.go`
    ///
    /// # Errors
    /// A value grows by more than 128 KiB, or all values together by more than 2 MiB.
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
                if total > MAX_TOTAL_GROWTH {
                    return Err(too_large());
                }
                Ok(Variable { value: value.into(), ..variable.clone() })
            })
            .collect()
    }

    /// Expands a text as the runner does for names of images and services, keys and paths of caches, and fields of
    /// artifacts. `path` returns the path of the file of a file variable.
    ///
    /// # Errors
    /// The variables add more than 128 KiB to the text.
    pub fn runner_expand_text(&self, text: &str, path: &dyn Fn(&Variable) -> String) -> Result<String, ExpansionError> {
        self.runner_fill(text, path).ok_or(ExpansionError::LargeText)
    }

    fn runner_fill(&self, text: &str, path: &dyn Fn(&Variable) -> String) -> Option<String> {
        fill(RunnerPieces::new(text), |name| {
            Some(match self.get(name) {
                _ if name == "$" => Value::Shared("$"),
                // `$1` is a parameter of the script, even if a variable has that name.
                _ if name.len() == 1 && name.starts_with(|it: char| !it.is_ascii_alphabetic() && it != '_') => {
                    Value::Shared("")
                }
                None => Value::Shared(""),
                Some(variable) if variable.file => Value::Owned(path(variable)),
                Some(variable) => Value::Shared(&variable.value),
            })
        })
    }
}

/// The replacement of a reference.
pub(super) enum Value<'collection> {
    /// The value of a variable.
    Shared(&'collection str),
    /// A value created for this reference.
    Owned(String),
}

/// Joins the pieces and replaces the references that have a value. Returns `None` if the values add too much.
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
            Some(Value::Owned(value)) => value.as_str(),
            None => written,
        };
        added += value.len().saturating_sub(written.len());
        if added > MAX_GROWTH {
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
    #[case::values_are_not_expanded("$B", "$A-2", "$A-2")]
    #[case::unknown("[$NONE]", "[]", "[$NONE]")]
    #[case::unknown_percent("[%NONE%]", "[]", "[%NONE%]")]
    #[case::empty("[$EMPTY]", "[]", "[]")]
    #[case::doubled("$$A", "$1", "$1")]
    #[case::not_a_reference("5$ or $(date) 100%", "5$ or $(date) 100%", "5$ or $(date) 100%")]
    #[case::unclosed("${A", "${A", "${A")]
    #[case::raw("$RAW", "$A", "$A")]
    #[case::file("$FILE", "of $A", "of $A")]
    fn expands_texts(#[case] text: &str, #[case] all: &str, #[case] existing: &str) {
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
    #[case::values_are_not_expanded("$B", "$A-2")]
    #[case::dollar_alone("$ $(date)", "$ $(date)")]
    fn expands_texts_like_the_runner(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(collection().runner_expand_text(text, &path).as_deref(), Ok(expected));
    }

    #[rstest]
    #[case::expanded_once("B", "1-2")]
    #[case::doubled("QUOTE", "$A")]
    #[case::unknown("OTHER", "[]")]
    #[case::raw("RAW", "$A")]
    #[case::content_of_a_file("FILE", "of 1")]
    fn expands_values_like_the_runner(#[case] key: &str, #[case] expected: &str) {
        let expanded = collection().runner_expand(&path).unwrap();
        assert_eq!(&*expanded.get(key).unwrap().value, expected);
    }

    #[test]
    fn rejects_large_results() {
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
    fn accepts_texts_that_are_large_before_expansion() {
        let text = "x".repeat(MAX_TOTAL_GROWTH + 1) + "$A";
        assert_eq!(collection().expand(&text).map(|text| text.len()), Ok(MAX_TOTAL_GROWTH + 2));
        let large: Collection = [Variable::new("B", &text, Origin::Project)].into_iter().collect();
        assert_eq!(large.expand_all().as_ref(), Ok(&large));
    }

    proptest! {
        #[test]
        fn any_text_terminates(text in "[$%{}ABEMPTY1_ä ]*") {
            let collection = collection();
            collection.expand(&text).unwrap();
            collection.runner_expand_text(&text, &path).unwrap();
            let plain: String = text.chars().filter(|character| !"$%".contains(*character)).collect();
            prop_assert_eq!(collection.expand(&plain).unwrap(), plain);
        }
    }
}
