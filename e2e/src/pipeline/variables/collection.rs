//! Which variable wins. <https://docs.gitlab.com/ci/variables/#cicd-variable-precedence>, `lib/gitlab/ci/variables/builder.rb`

use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a variable comes from, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The job's and the pipeline's own numbers and tokens.
    Persisted,
    /// Computed from project, commit and job.
    Predefined,
    /// `variables` of the top level.
    Global,
    /// The rule of `workflow` that holds.
    Workflow,
    /// `variables` of the job.
    Job,
    /// An instance's own.
    Matrix,
    /// The rule of the job that holds.
    Rule,
    /// Who started the pipeline.
    User,
    /// A report of a job before.
    Dotenv,
    /// The settings of the whole GitLab.
    Instance,
    /// The settings of a group.
    Group,
    /// The settings of the project.
    Project,
    /// This pipeline's own.
    Pipeline,
    /// The job's environment.
    Environment,
}

impl Origin {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Persisted => "pipeline and job",
            Self::Predefined => "predefined",
            Self::Global => "top level",
            Self::Workflow => "workflow:rules",
            Self::Job => "job",
            Self::Matrix => "parallel:matrix",
            Self::Rule => "rules",
            Self::User => "user",
            Self::Dotenv => "dotenv",
            Self::Instance => "instance",
            Self::Group => "group",
            Self::Project => "project",
            Self::Pipeline => "pipeline",
            Self::Environment => "environment",
        }
    }
}

/// A variable.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub key: Arc<str>,
    /// Its value, as it is written.
    pub value: Arc<str>,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether `$` in it stays.
    pub raw: bool,
    /// Whether a job gets a file with the value, and the file's path as the variable.
    pub file: bool,
    /// Whether its value may be seen.
    pub masked: bool,
}

impl Variable {
    /// A plain one.
    pub fn new(key: &str, value: &str, origin: Origin) -> Self {
        Self { key: key.into(), value: value.into(), origin, raw: false, file: false, masked: false }
    }

    /// Its value as people may see it.
    pub fn shown(&self) -> &str {
        if self.masked { "[MASKED]" } else { &self.value }
    }
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{}={:?} ({})", self.key, self.shown(), self.origin.name())
    }
}

/// Variables by their names: of each the winner, and those that it hides.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    /// Of each name from the strongest to the weakest; never empty.
    variables: BTreeMap<Arc<str>, Vec<Variable>>,
}

impl Collection {
    /// One more. Of the same origin the later one wins.
    pub fn add(&mut self, variable: Variable) {
        let same = self.variables.entry(Arc::clone(&variable.key)).or_default();
        let at = same.partition_point(|other| other.origin > variable.origin);
        same.insert(at, variable);
    }

    /// The one that wins.
    pub fn get(&self, key: &str) -> Option<&Variable> {
        self.variables.get(key)?.first()
    }

    /// All winners, by name, each with those that it hides.
    pub fn iter(&self) -> impl Iterator<Item = (&Variable, &[Variable])> {
        self.variables.values().filter_map(|same| same.split_first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_wins_and_of_equals_the_last() {
        let mut collection = Collection::default();
        for (value, origin) in
            [("job", Origin::Job), ("project", Origin::Project), ("top", Origin::Global), ("again", Origin::Project)]
        {
            collection.add(Variable::new("A", value, origin));
        }
        assert_eq!(&*collection.get("A").unwrap().value, "again");
        let (_, hidden) = collection.iter().next().unwrap();
        let hidden: Vec<_> = hidden.iter().map(|variable| &*variable.value).collect();
        assert_eq!(hidden, ["project", "job", "top"]);
        assert!(collection.get("B").is_none());
    }

    #[test]
    fn a_masked_value_is_not_shown() {
        let secret = Variable { masked: true, ..Variable::new("A", "secret", Origin::Project) };
        assert_eq!(format!("{secret:?}"), "A=\"[MASKED]\" (project)");
    }
}
