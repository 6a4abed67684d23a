//! A project in memory, and the contexts of its pipelines.

use gitlab_ci::changes::{Compared, NoSuchRef};
use gitlab_ci::config::root::Configuration;
use gitlab_ci::files::Files;
use gitlab_ci::gitlab_version::GitlabVersion;
use gitlab_ci::glob;
use gitlab_ci::include::Environment;
use gitlab_ci::lint::{Conditions, Lint, admits, lint};
use gitlab_ci::plan::build::build;
use gitlab_ci::plan::commit::Commit;
use gitlab_ci::plan::context::{Context, RefKind, Source};
use gitlab_ci::plan::error::PlanError;
use gitlab_ci::plan::job_variables::{ProjectVariables, base_variables};
use gitlab_ci::plan::{Plan, build};
use gitlab_ci::variables::collection::{Origin, Variable};
use gitlab_ci::variables::settings::Setting;

/// Separates the files in the input. A form feed is text for every editor, but not valid YAML.
const END_OF_FILE: char = '\u{c}';

/// The names of the files, in order. The last file gets the rest of the input.
const NAMES: [&str; 4] = [".gitlab-ci.yml", "a.yml", "b.yml", "ci/c.yml"];

/// The files of a project.
pub(crate) struct Project(Vec<(&'static str, String)>);

impl Files for Project {
    fn read(&self, path: &str) -> Option<String> {
        self.0.iter().find(|(name, _)| *name == path).map(|(_, text)| text.clone())
    }

    fn list(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }
}

impl Project {
    /// Splits the input into files.
    pub(crate) fn from_input(data: &[u8]) -> Self {
        let text = String::from_utf8_lossy(data);
        let texts = text.splitn(NAMES.len(), END_OF_FILE).map(str::to_owned);
        Self(NAMES.into_iter().zip(texts).collect())
    }

    /// Lints the files as `e2e lint` does.
    pub(crate) fn lint(&self) -> Lint {
        let variables = base_variables(&context(RefKind::Branch, "main", Source::Push), &project_variables());
        let exists = |patterns: &[String]| glob::any_exists(patterns, &self.list());
        let conditions = Conditions {
            variables: &variables,
            expand: &|text| variables.expand_existing(text).unwrap_or_else(|_| text.to_owned()),
            exists: &exists,
            changed: &|patterns| glob::any_matches(patterns, &CHANGED.map(str::to_owned)),
            compare: &compare,
        };
        let environment = Environment {
            expand: &|text| variables.expand(text).unwrap_or_else(|_| text.to_owned()),
            admits: &|rules, diagnostics| admits(rules, &conditions, diagnostics),
            ..Environment::new(self)
        };
        lint(NAMES[0], &environment)
    }

    /// Plans a pipeline as `e2e plan` does.
    pub(crate) fn plan(&self, configuration: &Configuration, context: &Context) -> Result<Plan, PlanError> {
        let project = build::Project {
            project_variables: &project_variables(),
            matches: &glob::any_matches,
            exists: &|patterns| glob::any_exists(patterns, &self.list()),
            changed: &|patterns| {
                context.changed_since().is_none_or(|_| glob::any_matches(patterns, &CHANGED.map(str::to_owned)))
            },
            compare: &compare,
        };
        build(configuration, context, &project)
    }
}

fn compare(name: &str) -> Compared {
    if name == "main" { Ok(Some(vec!["src/main.rs".to_owned()])) } else { Err(NoSuchRef) }
}

/// The changed files of a push.
const CHANGED: [&str; 2] = ["Dockerfile", "src/main.rs"];

/// Variables that reference others, for all jobs and for some environments. With a cycle, every plan fails.
fn project_variables() -> ProjectVariables {
    let setting = |key, value, scope: &str| Setting {
        variable: Variable::new(key, value, Origin::Project),
        scope: scope.to_owned(),
        protected: false,
        hidden: false,
    };
    ProjectVariables {
        settings: vec![
            setting("TEAM", "blue-$CI_COMMIT_REF_SLUG", "*"),
            setting("HOST", "$CI_ENVIRONMENT_SLUG.test", "review/*"),
        ],
        pipeline: vec![Variable::new("LEVEL", "top", Origin::Pipeline)],
    }
}

/// The contexts for which pipelines are planned.
pub(crate) fn contexts() -> [Context; 3] {
    let before = Some("fedcba9876543210fedcba9876543210fedcba98".to_owned());
    [
        Context { before, ..context(RefKind::Branch, "feature/x", Source::Push) },
        context(RefKind::Tag, "v1.0", Source::Web),
        context(RefKind::MergeRequest, "feature/x", Source::MergeRequestEvent),
    ]
}

fn context(kind: RefKind, ref_name: &str, source: Source) -> Context {
    Context {
        ref_name: ref_name.to_owned(),
        kind,
        source,
        commit: Commit {
            sha: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            author: "A <a@b.test>".to_owned(),
            timestamp: "2020-01-31T10:20:30Z".to_owned(),
            message: "Title\n\nText".to_owned(),
        },
        before: None,
        tag_message: String::new(),
        default_branch: "main".to_owned(),
        project_path: "course/demo".to_owned(),
        server: "https://gitlab.test".to_owned(),
        version: GitlabVersion::default(),
        target_branch: None,
        diff_base: None,
        config_path: NAMES[0].to_owned(),
        protected: false,
        kubernetes: true,
        user: ("A".to_owned(), "a@b.test".to_owned()),
    }
}
