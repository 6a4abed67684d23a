//! Which variable wins. <https://docs.gitlab.com/ci/variables/#cicd-variable-precedence>,
//! `lib/gitlab/ci/variables/builder.rb`

use std::cmp::Ordering;
use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::iter::Peekable;
use std::sync::Arc;

/// Where a variable comes from, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The job's and the pipeline's own numbers and tokens.
    Persisted,
    /// Computed from project, commit and job.
    Predefined,
    /// The cluster of the environment.
    Deployment,
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

    /// Whether services may have it. Nobody can write secrets into what the file and GitLab itself say; settings and
    /// reports are the place for them. `to_hash_variable` of `app/models/concerns/ci/has_variable.rb`
    pub fn is_public(self) -> bool {
        match self {
            Self::Dotenv | Self::Instance | Self::Group | Self::Project | Self::Pipeline => false,
            Self::Persisted | Self::Predefined | Self::Deployment | Self::User | Self::Environment => true,
            yaml => yaml.is_yaml(),
        }
    }

    /// Whether it is written in `.gitlab-ci.yml`. GitLab merges these before anything else sees them.
    pub fn is_yaml(self) -> bool {
        matches!(self, Self::Global | Self::Workflow | Self::Job | Self::Matrix | Self::Rule)
    }
}

/// A variable.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in GitLab, and all may be on")]
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
    /// Whether its value must be hidden in logs.
    pub masked: bool,
    /// Whether the runner may hand it to services, too.
    pub public: bool,
}

impl Variable {
    /// A plain one, public if its origin is.
    pub fn new(key: &str, value: &str, origin: Origin) -> Self {
        let public = origin.is_public();
        Self { key: key.into(), value: value.into(), origin, raw: false, file: false, masked: false, public }
    }

    /// Its value as people may see it.
    pub fn shown(&self) -> &str {
        if self.masked { "[MASKED]" } else { &self.value }
    }
}

/// Without the value of a masked one: this ends up in logs and failed assertions.
impl fmt::Debug for Variable {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}={:?} ({})", self.key, self.shown(), self.origin.name())
    }
}

/// Of each name the variables from the strongest to the weakest; no list is empty.
type ByName = BTreeMap<Arc<str>, Vec<Variable>>;

/// Variables by their names: of each the winner, and those that it hides.
///
/// It has two layers: jobs are many, and most of what they know is the same, so copies share it.
#[derive(Clone, Default)]
pub struct Collection {
    shared: Arc<ByName>,
    /// What is in here hides all of the same name in `shared`.
    own: ByName,
}

impl Collection {
    /// One more. Of the same origin the later one wins.
    pub fn add(&mut self, variable: Variable) {
        let same = self.own_list(&variable.key);
        let at = same.partition_point(|other| other.origin > variable.origin);
        same.insert(at, variable);
    }

    /// What is in it now is no longer copied with it. For what many are made from.
    pub fn share(&mut self) {
        if !self.own.is_empty() {
            let own = std::mem::take(&mut self.own);
            Arc::make_mut(&mut self.shared).extend(own);
        }
    }

    /// The one that wins.
    pub fn get(&self, key: &str) -> Option<&Variable> {
        self.all(key).first()
    }

    /// All of one name, from the strongest to the weakest.
    pub fn all(&self, key: &str) -> &[Variable] {
        self.own.get(key).or_else(|| self.shared.get(key)).map(Vec::as_slice).unwrap_or_default()
    }

    /// All winners, by name, each with those that it hides from the strongest to the weakest.
    pub fn iter(&self) -> impl Iterator<Item = (&Variable, &[Variable])> {
        self.lists().filter_map(|same| same.split_first())
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.lists().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.is_empty()
    }

    /// The variables of each name, by name.
    pub(super) fn lists(&self) -> impl Iterator<Item = &[Variable]> {
        Lists { shared: self.shared.iter().peekable(), own: self.own.iter().peekable() }
    }

    /// All of one name, to change them.
    pub(super) fn own_list(&mut self, key: &Arc<str>) -> &mut Vec<Variable> {
        let shared = &self.shared;
        self.own.entry(Arc::clone(key)).or_insert_with(|| shared.get(key).cloned().unwrap_or_default())
    }
}

/// Both layers, by name.
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

/// Equal are those that hold the same, whatever they share.
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
    fn the_strongest_wins_and_of_equals_the_last() {
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
    fn a_copy_of_what_is_shared_is_its_own() {
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
    fn they_come_by_name() {
        let names = ["b", "A", "a", "_"].map(|key| Variable::new(key, "", Origin::Job));
        let collection: Collection = names.into_iter().collect();
        assert_eq!(collection.iter().map(|(winner, _)| &*winner.key).collect::<Vec<_>>(), ["A", "_", "a", "b"]);
    }

    #[test]
    fn a_masked_value_is_not_shown() {
        let secret = Variable { masked: true, ..Variable::new("A", "secret", Origin::Project) };
        assert_eq!(format!("{secret:?}"), "A=\"[MASKED]\" (project)");
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
    fn documented_order(#[case] strong: Origin, #[case] weak: Origin) {
        assert!(strong > weak);
    }

    // `to_hash_variable` of `app/models/concerns/ci/has_variable.rb`, `collection/item.rb`
    #[rstest]
    #[case::yaml(Origin::Job, true)]
    #[case::predefined(Origin::Predefined, true)]
    #[case::project(Origin::Project, false)]
    #[case::pipeline(Origin::Pipeline, false)]
    #[case::dotenv(Origin::Dotenv, false)]
    fn services_get_public_ones(#[case] origin: Origin, #[case] public: bool) {
        assert_eq!(Variable::new("A", "", origin).public, public);
    }

    proptest! {
        #[test]
        fn any_order_of_different_origins_has_one_result(order in Just(ALL.to_vec()).prop_shuffle()) {
            let collection: Collection =
                order.iter().map(|origin| Variable::new("A", origin.name(), *origin)).collect();
            let expected: Vec<_> = ALL.iter().rev().map(|origin| origin.name()).collect();
            prop_assert_eq!(values(&collection, "A"), expected);
        }
    }
}
