//! Every keyword of GitLab's CI schema, and how this crate treats it.

/// How a replay treats a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// The keyword has the same effect as in GitLab.
    Yes,
    /// The keyword is checked but has no effect, because it concerns GitLab's own pages or other projects.
    No,
    /// The keyword selects runners or asks users for confirmation. Without it, a replay gives the same result.
    Irrelevant,
}

use Replayed::{Irrelevant, No, Yes};

/// The keywords of the top level. Every other key there is a job. `entry/root.rb`
pub const ROOT: &[(&str, Replayed)] = &[
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
pub const JOB: &[(&str, Replayed)] = &[
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
    ("hooks", No),
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
    "inputs",
    "interruptible",
    "manual_confirmation",
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
pub fn names(keywords: &'static [(&'static str, Replayed)]) -> impl Iterator<Item = &'static str> {
    keywords.iter().map(|(name, _)| *name)
}

/// Returns how the keyword `name` of a list is treated, or `None` if it is unknown.
pub fn replayed(keywords: &[(&str, Replayed)], name: &str) -> Option<Replayed> {
    keywords.iter().find(|(keyword, _)| *keyword == name).map(|(_, replayed)| *replayed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_agree() {
        assert!(names(JOB).is_sorted());
        assert!(BRIDGE.is_sorted() && DEFAULT.is_sorted());
        for keyword in BRIDGE.iter().chain(DEFAULT).filter(|keyword| **keyword != "trigger") {
            assert!(replayed(JOB, keyword).is_some(), "{keyword}");
        }
    }
}
