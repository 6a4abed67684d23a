//! Every keyword of GitLab's CI schema, and how this crate treats it.

/// Whether a pipeline that runs outside of GitLab supports a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The keyword has the same effect as in GitLab.
    Yes,
    /// The keyword is checked but has no effect, because it needs GitLab's server or another project. Using it causes a
    /// warning.
    No,
    /// The keyword selects runners or asks users for confirmation. The result of the pipeline does not depend
    /// on it.
    Irrelevant,
}

use Support::{Irrelevant, No, Yes};

/// The keywords of the top level. Every other key there is a job. `entry/root.rb`
pub const ROOT: &[(&str, Support)] = &[
    ("default", Yes),
    ("include", Yes),
    ("before_script", Yes),
    ("image", Yes),
    ("services", Yes),
    ("after_script", Yes),
    ("variables", Yes),
    ("stages", Yes),
    ("cache", Yes),
    ("workflow", Yes),
    ("spec", Yes),
];

/// The keywords of a job that runs a script. `entry/job.rb`, `entry/processable.rb`
pub const JOB: &[(&str, Support)] = &[
    ("after_script", Yes),
    ("allow_failure", Yes),
    ("artifacts", Yes),
    ("before_script", Yes),
    ("cache", Yes),
    ("coverage", Yes),
    ("dast_configuration", No),
    ("dependencies", Yes),
    ("environment", Yes),
    ("except", Yes),
    ("extends", Yes),
    ("hooks", Yes),
    ("id_tokens", No),
    ("identity", No),
    ("image", Yes),
    ("inherit", Yes),
    ("inputs", No),
    ("interruptible", Yes),
    ("manual_confirmation", Irrelevant),
    ("needs", Yes),
    ("only", Yes),
    ("pages", No),
    ("parallel", Yes),
    ("publish", No),
    ("release", No),
    ("resource_group", Yes),
    ("retry", Yes),
    ("rules", Yes),
    ("run", No),
    ("script", Yes),
    ("secrets", No),
    ("services", Yes),
    ("stage", Yes),
    ("start_in", Yes),
    ("tags", Irrelevant),
    ("timeout", Yes),
    ("variables", Yes),
    ("when", Yes),
];

/// The keywords of a job that starts another pipeline. `entry/bridge.rb`
pub const BRIDGE: &[&str] = &[
    "allow_failure",
    "environment",
    "except",
    "extends",
    "inherit",
    "interruptible",
    "needs",
    "only",
    "parallel",
    "resource_group",
    "rules",
    "stage",
    "trigger",
    "variables",
    "when",
];

/// The keywords of `default`. `entry/default.rb`
pub const DEFAULT: &[&str] = &[
    "after_script",
    "artifacts",
    "before_script",
    "cache",
    "hooks",
    "id_tokens",
    "identity",
    "image",
    "interruptible",
    "retry",
    "services",
    "tags",
    "timeout",
];

/// Returns the names in a list of keywords.
pub fn names(keywords: &'static [(&'static str, Support)]) -> impl Iterator<Item = &'static str> {
    keywords.iter().map(|(name, _)| *name)
}

/// Returns how the keyword `name` of a list is treated, or `None` if it is unknown.
pub fn support(keywords: &[(&str, Support)], name: &str) -> Option<Support> {
    keywords.iter().find(|(keyword, _)| *keyword == name).map(|(_, support)| *support)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_agree() {
        assert!(names(JOB).is_sorted());
        assert!(BRIDGE.is_sorted() && DEFAULT.is_sorted());
        for keyword in BRIDGE.iter().chain(DEFAULT).filter(|keyword| **keyword != "trigger") {
            assert!(support(JOB, keyword).is_some(), "{keyword}");
        }
    }
}
