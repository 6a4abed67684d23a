//! The precedence of variables. <https://docs.gitlab.com/ci/variables/#cicd-variable-precedence>,
//! `lib/gitlab/ci/variables/builder.rb`

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::iter::Peekable;
use std::sync::Arc;

/// The origin of a variable, from the lowest precedence to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// IDs, URLs and tokens of the job and the pipeline.
    Persisted,
    /// Computed by GitLab from the project, the commit and the job.
    Predefined,
    /// The Kubernetes cluster of the environment.
    Deployment,
    /// `variables` at the top level of the file.
    Global,
    /// `variables` of the matching rule in `workflow:rules`.
    Workflow,
    /// `variables` of the job.
    Job,
    /// `parallel:matrix` of the job.
    Matrix,
    /// `variables` of the job's matching rule.
    Rule,
    /// The user who started the pipeline.
    User,
    /// A dotenv report of an earlier job.
    Dotenv,
    /// The settings of the GitLab instance.
    Instance,
    /// The settings of a group.
    Group,
    /// The settings of the project.
    Project,
    /// Variables of this pipeline only, set when it was started.
    Pipeline,
    /// The job's environment.
    Environment,
}

impl Origin {
    /// The name of the origin for users.
    pub fn name(self) -> &'static str {
        match self {
            Self::Persisted => "pipeline and job",
            Self::Predefined => "predefined",
            Self::Deployment => "deployment",
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

    /// Whether the runner passes such variables to services. The file and GitLab's own variables contain no secrets;
    /// settings and dotenv reports may. `to_hash_variable` of `app/models/concerns/ci/has_variable.rb`
    pub fn is_public(self) -> bool {
        match self {
            Self::Dotenv | Self::Instance | Self::Group | Self::Project | Self::Pipeline => false,
            Self::Persisted | Self::Predefined | Self::Deployment | Self::User | Self::Environment => true,
            yaml => yaml.is_yaml(),
        }
    }

    /// Whether the variable is written in `.gitlab-ci.yml`. GitLab merges these before anything else reads them.
    pub fn is_yaml(self) -> bool {
        matches!(self, Self::Global | Self::Workflow | Self::Job | Self::Matrix | Self::Rule)
    }
}

/// A CI/CD variable.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in GitLab, and all may be on")]
pub struct Variable {
    /// The name.
    pub key: Arc<str>,
    /// The value as written, before expansion.
    pub value: Arc<str>,
    /// The origin, which decides the precedence.
    pub origin: Origin,
    /// Whether `$` in the value is literal.
    pub raw: bool,
    /// Whether the job gets a file with the value. The variable then contains the path of the file.
    pub file: bool,
    /// Whether the value must be hidden in job logs.
    pub masked: bool,
    /// Whether the runner passes the variable to services.
    pub public: bool,
}

impl Variable {
    /// Creates a variable that is not raw, not a file and not masked. It is public if its origin is.
    pub fn new(key: &str, value: &str, origin: Origin) -> Self {
        let public = origin.is_public();
        Self { key: key.into(), value: value.into(), origin, raw: false, file: false, masked: false, public }
    }

    /// The value for display: `[MASKED]` if the variable is masked, and the size of a file.
    pub fn shown(&self) -> Cow<'_, str> {
        match (self.masked, self.file) {
            (true, _) => "[MASKED]".into(),
            (false, true) => format!("(a file of {} bytes)", self.value.len()).into(),
            (false, false) => (&*self.value).into(),
        }
    }
}

/// Hides the value of a masked variable, because this output ends up in logs and failed assertions.
impl fmt::Debug for Variable {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}={:?} ({})", self.key, self.shown(), self.origin.name())
    }
}

/// For each name, the variables from the highest precedence to the lowest. No list is empty.
type ByName = BTreeMap<Arc<str>, Vec<Variable>>;

/// Variables by name: for each name the one with the highest precedence, and those that it hides.
///
/// A collection has two layers. A pipeline has many jobs, most of whose variables are the same, so copies of a
/// collection share one layer.
#[derive(Clone, Default)]
pub struct Collection {
    shared: Arc<ByName>,
    /// An entry here replaces the entry of the same name in `shared`.
    own: ByName,
}

impl Collection {
    /// Adds a variable. Of two variables with the same name and origin, the later one wins.
    pub fn add(&mut self, variable: Variable) {
        let same = self.own_list(&variable.key);
        let at = same.partition_point(|other| other.origin > variable.origin);
        same.insert(at, variable);
    }

    /// Moves all variables to the shared layer, so that later copies of the collection do not copy them.
    pub fn share(&mut self) {
        if !self.own.is_empty() {
            let own = std::mem::take(&mut self.own);
            Arc::make_mut(&mut self.shared).extend(own);
        }
    }

    /// Returns the variable of this name with the highest precedence.
    pub fn get(&self, key: &str) -> Option<&Variable> {
        self.all(key).first()
    }

    /// Returns all variables of this name, from the highest precedence to the lowest.
    pub fn all(&self, key: &str) -> &[Variable] {
        self.own.get(key).or_else(|| self.shared.get(key)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Iterates over the names in order: the variable with the highest precedence, then those that it hides, from the
    /// highest precedence to the lowest.
    pub fn iter(&self) -> impl Iterator<Item = (&Variable, &[Variable])> {
        self.lists().filter_map(|same| same.split_first())
    }

    /// The number of distinct names.
    pub fn len(&self) -> usize {
        self.lists().count()
    }

    /// Whether the collection has no variables.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.is_empty()
    }

    /// Iterates over the lists of variables of one name, ordered by name.
    pub(super) fn lists(&self) -> impl Iterator<Item = &[Variable]> {
        Lists { shared: self.shared.iter().peekable(), own: self.own.iter().peekable() }
    }

    /// Returns the list of this name for modification, copied from the shared layer if necessary.
    pub(super) fn own_list(&mut self, key: &Arc<str>) -> &mut Vec<Variable> {
        let shared = &self.shared;
        self.own.entry(Arc::clone(key)).or_insert_with(|| shared.get(key).cloned().unwrap_or_default())
    }
}

/// Merges both layers by name.
struct Lists<'collection> {
    shared: Peekable<btree_map::Iter<'collection, Arc<str>, Vec<Variable>>>,
    own: Peekable<btree_map::Iter<'collection, Arc<str>, Vec<Variable>>>,
}

impl<'collection> Iterator for Lists<'collection> {
    type Item = &'collection [Variable];

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.shared.peek(), self.own.peek()) {
            (Some((shared, _)), Some((own, _))) => shared.cmp(own),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        if order == Ordering::Equal {
            self.shared.next();
        }
        let next = if order == Ordering::Less { self.shared.next() } else { self.own.next() };
        next.map(|(_, same)| same.as_slice())
    }
}

/// Two collections are equal if they contain the same variables, shared or not.
impl PartialEq for Collection {
    fn eq(&self, other: &Self) -> bool {
        self.lists().eq(other.lists())
    }
}

impl Eq for Collection {}

impl fmt::Debug for Collection {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_list().entries(self.lists()).finish()
    }
}

impl Extend<Variable> for Collection {
    fn extend<Variables: IntoIterator<Item = Variable>>(&mut self, variables: Variables) {
        variables.into_iter().for_each(|variable| self.add(variable));
    }
}

impl FromIterator<Variable> for Collection {
    fn from_iter<Variables: IntoIterator<Item = Variable>>(variables: Variables) -> Self {
        let mut collection = Self::default();
        collection.extend(variables);
        collection
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const ALL: [Origin; 15] = [
        Origin::Persisted,
        Origin::Predefined,
        Origin::Deployment,
        Origin::Global,
        Origin::Workflow,
        Origin::Job,
        Origin::Matrix,
        Origin::Rule,
        Origin::User,
        Origin::Dotenv,
        Origin::Instance,
        Origin::Group,
        Origin::Project,
        Origin::Pipeline,
        Origin::Environment,
    ];

    fn values<'collection>(collection: &'collection Collection, key: &str) -> Vec<&'collection str> {
        let found = collection.iter().find(|(winner, _)| &*winner.key == key);
        found
            .into_iter()
            .flat_map(|(winner, hidden)| std::iter::once(winner).chain(hidden))
            .map(|it| &*it.value)
            .collect()
    }

    #[test]
    fn the_highest_precedence_wins_and_then_the_last_one() {
        let list =
            [("job", Origin::Job), ("project", Origin::Project), ("top", Origin::Global), ("again", Origin::Project)];
        let collection: Collection =
            list.into_iter().map(|(value, origin)| Variable::new("A", value, origin)).collect();
        assert_eq!(&*collection.get("A").unwrap().value, "again");
        assert_eq!(values(&collection, "A"), ["again", "project", "job", "top"]);
        assert!(collection.get("B").is_none());
        assert_eq!((collection.len(), collection.is_empty()), (1, false));
    }

    #[test]
    fn changing_a_copy_does_not_change_the_original() {
        let mut base: Collection = [("A", "1"), ("B", "2")]
            .into_iter()
            .map(|(key, value)| Variable::new(key, value, Origin::Global))
            .collect();
        base.share();
        let mut copy = base.clone();
        copy.add(Variable::new("B", "3", Origin::Job));
        copy.add(Variable::new("C", "4", Origin::Job));
        copy.add(Variable::new("0", "5", Origin::Job));
        assert_eq!((values(&base, "B"), base.len()), (vec!["2"], 2));
        assert_eq!((values(&copy, "B"), copy.len()), (vec!["3", "2"], 4));
        assert_eq!(copy.iter().map(|(winner, _)| &*winner.key).collect::<Vec<_>>(), ["0", "A", "B", "C"]);
        let unshared: Collection = copy.iter().flat_map(|(_, hidden)| hidden).cloned().collect();
        assert_eq!(unshared.len(), 1);
        let before = copy.clone();
        copy.share();
        assert_eq!(copy, before);
    }

    #[test]
    fn iterates_by_name() {
        let names = ["b", "A", "a", "_"].map(|key| Variable::new(key, "", Origin::Job));
        let collection: Collection = names.into_iter().collect();
        assert_eq!(collection.iter().map(|(winner, _)| &*winner.key).collect::<Vec<_>>(), ["A", "_", "a", "b"]);
    }

    #[test]
    fn debug_output_hides_masked_values_and_files() {
        let secret = Variable { masked: true, ..Variable::new("A", "secret", Origin::Project) };
        assert_eq!(format!("{secret:?}"), "A=\"[MASKED]\" (project)");
        let file = Variable { file: true, ..Variable::new("A", "secret", Origin::Project) };
        assert_eq!(format!("{file:?}"), "A=\"(a file of 6 bytes)\" (project)");
    }

    // https://docs.gitlab.com/ci/variables/#cicd-variable-precedence
    #[rstest]
    #[case::pipeline_over_project(Origin::Pipeline, Origin::Project)]
    #[case::project_over_group(Origin::Project, Origin::Group)]
    #[case::group_over_instance(Origin::Group, Origin::Instance)]
    #[case::instance_over_dotenv(Origin::Instance, Origin::Dotenv)]
    #[case::dotenv_over_job(Origin::Dotenv, Origin::Job)]
    #[case::job_over_top_level(Origin::Job, Origin::Global)]
    #[case::top_level_over_deployment(Origin::Global, Origin::Deployment)]
    #[case::deployment_over_predefined(Origin::Deployment, Origin::Predefined)]
    #[case::user_over_yaml(Origin::User, Origin::Rule)]
    fn origins_have_the_documented_order(#[case] higher: Origin, #[case] lower: Origin) {
        assert!(higher > lower);
    }

    // `to_hash_variable` of `app/models/concerns/ci/has_variable.rb`, `collection/item.rb`
    #[rstest]
    #[case::yaml(Origin::Job, true)]
    #[case::predefined(Origin::Predefined, true)]
    #[case::project(Origin::Project, false)]
    #[case::pipeline(Origin::Pipeline, false)]
    #[case::dotenv(Origin::Dotenv, false)]
    fn origins_decide_what_is_public(#[case] origin: Origin, #[case] public: bool) {
        assert_eq!(Variable::new("A", "", origin).public, public);
    }

    proptest! {
        #[test]
        fn the_order_of_insertion_of_different_origins_is_irrelevant(order in Just(ALL.to_vec()).prop_shuffle()) {
            let collection: Collection =
                order.iter().map(|origin| Variable::new("A", origin.name(), *origin)).collect();
            let expected: Vec<_> = ALL.iter().rev().map(|origin| origin.name()).collect();
            prop_assert_eq!(values(&collection, "A"), expected);
        }
    }
}
