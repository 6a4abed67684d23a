//! The variables of a project's settings, as GitLab's API lists them, and which of them a job gets.
//! <https://docs.gitlab.com/api/project_level_variables/>
//!
//! Error messages contain no values: some values are secrets, and an invalid list does not say which ones.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::collection::{Origin, Variable};

/// The scope of variables that every job gets.
const ANY_ENVIRONMENT: &str = "*";

/// The maximum length of a name in GitLab's database. `app/models/concerns/ci/has_variable.rb`
const MAX_KEY_LENGTH: usize = 255;

/// A variable of the project's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable. Its value is empty if `hidden` is set.
    pub variable: Variable,
    /// The environments whose jobs get the variable. `*` matches any text.
    pub scope: String,
    /// Whether only jobs of protected refs get the variable.
    pub protected: bool,
    /// Whether the API does not return the value. No job gets such a variable.
    pub hidden: bool,
}

/// The list of variables is invalid. The message contains no values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct SettingsError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The problem or the expected form, without values.
    pub message: String,
}

/// Parses a JSON list as `GET /projects/:id/variables` and `glab variable export --output json` write it.
///
/// # Errors
/// The text is not such a list, a name is invalid, or a name occurs twice with the same scope. The error has the line
/// and the column.
pub fn read(text: &str) -> Result<Vec<Setting>, SettingsError> {
    serde_json::from_str::<List>(text).map(|List(list)| list).map_err(|error| {
        let text_of_error = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let text_of_error = text_of_error.strip_suffix(&place).unwrap_or(&text_of_error);
        // The part before the comma quotes the text found, which may be a secret in the wrong place.
        let message = text_of_error.rsplit_once(", expected ").map_or(text_of_error, |(_, wanted)| wanted);
        let prefix = if message.len() < text_of_error.len() { "expected " } else { "" };
        SettingsError { line: error.line(), column: error.column().max(1), message: format!("{prefix}{message}") }
    })
}

/// Returns the variables that jobs get independently of their environment.
pub fn unscoped(settings: &[Setting], is_protected: bool) -> impl Iterator<Item = &Variable> {
    available(settings, is_protected)
        .filter(|setting| setting.scope == ANY_ENVIRONMENT)
        .map(|setting| &setting.variable)
}

/// Returns the variables that only jobs with this environment get. More specific scopes come later.
/// `app/models/concerns/has_environment_scope.rb`
pub fn scoped_to<'list>(
    settings: &'list [Setting],
    environment: &str,
    is_protected: bool,
) -> impl Iterator<Item = &'list Variable> {
    let scoped = available(settings, is_protected).filter(|setting| setting.scope != ANY_ENVIRONMENT);
    let mut matching: Vec<&Setting> = scoped.filter(|setting| covers(&setting.scope, environment)).collect();
    // GitLab leaves the order of several matching patterns open. A longer pattern counts as more specific here.
    matching.sort_by_key(|setting| (setting.scope == environment, setting.scope.len()));
    matching.into_iter().map(|setting| &setting.variable)
}

/// Returns the variables that jobs do not get because their ref is not protected.
pub fn withheld(settings: &[Setting], is_protected: bool) -> impl Iterator<Item = &Setting> {
    settings.iter().filter(move |setting| setting.protected && !is_protected)
}

fn available(settings: &[Setting], is_protected: bool) -> impl Iterator<Item = &Setting> {
    settings.iter().filter(move |setting| !setting.hidden && (is_protected || !setting.protected))
}

/// Whether a scope covers an environment. `*` in the scope matches any text. `lib/gitlab/sql/glob.rb`
fn covers(scope: &str, environment: &str) -> bool {
    let Some((first, rest)) = scope.split_once('*') else { return scope == environment };
    let Some(mut left) = environment.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The first occurrence leaves the longest rest for the other parts.
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(last)
}

struct List(Vec<Setting>);

impl<'de> de::Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = List;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a list of variables, as GitLab's API writes it")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List, A::Error> {
                let mut list: Vec<Setting> = Vec::new();
                let mut seen = HashSet::new();
                while let Some(setting) = items.next_element::<Setting>()? {
                    let key = &setting.variable.key;
                    if !seen.insert((key.clone(), setting.scope.clone())) {
                        let message = format!("`{key}` is listed twice with the environment scope `{}`", setting.scope);
                        return Err(de::Error::custom(message));
                    }
                    list.push(setting);
                }
                Ok(List(list))
            }
        }

        deserializer.deserialize_seq(ListVisitor)
    }
}

impl<'de> de::Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SettingVisitor;

        impl<'de> Visitor<'de> for SettingVisitor {
            type Value = Setting;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a variable: an object with `key` and `value`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Setting, A::Error> {
                let mut key: Option<String> = None;
                let mut value: Option<Option<String>> = None;
                let mut setting = Setting {
                    variable: Variable::new("", "", Origin::Project),
                    scope: ANY_ENVIRONMENT.to_owned(),
                    protected: false,
                    hidden: false,
                };
                while let Some(attribute) = map.next_key::<String>()? {
                    match attribute.as_str() {
                        "key" => key = Some(checked(map.next_value()?)?),
                        "value" => value = Some(map.next_value()?),
                        "variable_type" => setting.variable.file = is_file(&map.next_value::<String>()?)?,
                        "protected" => setting.protected = map.next_value()?,
                        "masked" => setting.variable.masked = map.next_value()?,
                        "raw" => setting.variable.raw = map.next_value()?,
                        "environment_scope" => setting.scope = map.next_value()?,
                        _ => drop(map.next_value::<de::IgnoredAny>()?),
                    }
                }
                setting.variable.key = key.ok_or_else(|| de::Error::missing_field("key"))?.into();
                let value = value.ok_or_else(|| de::Error::missing_field("value"))?;
                setting.hidden = value.is_none();
                setting.variable.value = value.unwrap_or_default().into();
                Ok(setting)
            }
        }

        deserializer.deserialize_map(SettingVisitor)
    }
}

fn checked<E: de::Error>(key: String) -> Result<String, E> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if key.is_empty() || key.len() > MAX_KEY_LENGTH || !key.bytes().all(is_good) {
        return Err(E::custom(format!("a key consists of 1 to {MAX_KEY_LENGTH} letters, digits and '_'")));
    }
    Ok(key)
}

fn is_file<E: de::Error>(kind: &str) -> Result<bool, E> {
    match kind {
        "env_var" => Ok(false),
        "file" => Ok(true),
        _ => Err(E::custom("expected `env_var` or `file`")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn setting(key: &str, scope: &str) -> Setting {
        let variable = Variable::new(key, scope, Origin::Project);
        Setting { variable, scope: scope.to_owned(), protected: false, hidden: false }
    }

    // The example of https://docs.gitlab.com/api/project_level_variables/#list-project-variables
    #[test]
    fn reads_the_format_of_the_api() {
        let text = r#"[{
            "variable_type": "env_var", "key": "TEST_VARIABLE_1", "value": "TEST_1", "protected": false, "masked": true,
            "hidden": false, "raw": false, "environment_scope": "*", "description": null
        }, {"key": "A", "value": "$B", "variable_type": "file", "raw": true, "protected": true, "environment_scope": "live"}]"#;
        let list = read(text).unwrap();
        let masked = Variable { masked: true, ..Variable::new("TEST_VARIABLE_1", "TEST_1", Origin::Project) };
        let file = Variable { raw: true, file: true, ..Variable::new("A", "$B", Origin::Project) };
        let (plain, live) = (setting("", "*"), setting("", "live"));
        assert_eq!(list, [Setting { variable: masked, ..plain }, Setting { variable: file, protected: true, ..live }]);
    }

    #[test]
    fn no_job_gets_a_hidden_variable() {
        let list = read(r#"[{"key": "A", "value": null, "masked": true, "hidden": true}]"#).unwrap();
        assert!(list[0].hidden && unscoped(&list, true).next().is_none());
    }

    #[rstest]
    #[case::not_a_list(r#"{"A": "secret"}"#, "1:1: expected a list of variables, as GitLab's API writes it")]
    #[case::not_a_variable("[\n  \"secret\"]", "2:10: expected a variable: an object with `key` and `value`")]
    #[case::no_value("[{\"key\": \"A\"}]", "1:13: missing field `value`")]
    #[case::value_is_not_a_string("[{\"key\": \"A\", \"value\": 123456789}]", "1:32: expected a string")]
    #[case::not_a_boolean(r#"[{"key": "A", "value": "", "masked": "secret"}]"#, "1:45: expected a boolean")]
    #[case::unknown_type(
        r#"[{"key": "A", "value": "", "variable_type": "secret"}]"#,
        "1:53: expected `env_var` or `file`"
    )]
    #[case::invalid_name(
        r#"[{"key": "A-B", "value": ""}]"#,
        "1:14: a key consists of 1 to 255 letters, digits and '_'"
    )]
    #[case::twice(
        r#"[{"key": "A", "value": "1"}, {"key": "A", "value": "2", "environment_scope": "*"}]"#,
        "1:82: `A` is listed twice with the environment scope `*`"
    )]
    #[case::truncated("[{\"key\": \"A\",\n", "2:1: EOF while parsing a value")]
    #[case::empty("", "1:1: EOF while parsing a value")]
    fn reports_mistakes_without_values(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(read(text).unwrap_err().to_string(), expected);
    }

    // https://docs.gitlab.com/ci/environments/#limit-the-environment-scope-of-a-cicd-variable
    #[rstest]
    #[case::equal("production", "production", true)]
    #[case::another("production", "production-2", false)]
    #[case::all("*", "production", true)]
    #[case::prefix("review/*", "review/feature-1", true)]
    #[case::empty_rest("review/*", "review/", true)]
    #[case::not_without_the_slash("review/*", "review", false)]
    #[case::suffix("*-1", "review/feature-1", true)]
    #[case::middle("review/*/eu", "review/a/b/eu", true)]
    #[case::several("r*/*e*", "review/eu", true)]
    #[case::overlap("ab*ba", "aba", false)]
    #[case::twice_the_end("*a*a", "xa", false)]
    #[case::percent_is_a_percent("rev%", "review", false)]
    fn matches_scopes(#[case] scope: &str, #[case] environment: &str, #[case] expected: bool) {
        assert_eq!(covers(scope, environment), expected);
    }

    #[test]
    fn the_most_specific_scope_comes_last() {
        let scopes = ["review/app", "review/*", "*", "r*", "review", "*/app"];
        let settings: Vec<_> = scopes.iter().map(|scope| setting("A", scope)).collect();
        let found: Vec<_> = scoped_to(&settings, "review/app", false).map(|it| &*it.value).collect();
        assert_eq!(found, ["r*", "*/app", "review/*", "review/app"]);
        assert_eq!(unscoped(&settings, false).map(|it| &*it.value).collect::<Vec<_>>(), ["*"]);
    }

    #[test]
    fn protected_variables_require_a_protected_ref() {
        let settings = [setting("A", "*"), Setting { protected: true, ..setting("B", "*") }];
        let keys = |is_protected| unscoped(&settings, is_protected).map(|it| &*it.key).collect::<Vec<_>>();
        assert_eq!((keys(false), keys(true)), (vec!["A"], vec!["A", "B"]));
        assert_eq!((withheld(&settings, false).count(), withheld(&settings, true).count()), (1, 0));
    }
}
