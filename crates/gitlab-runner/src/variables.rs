//! The variables of a job as it runs: those of the plan, and those that only a running job has.
//!
//! The server expands first, all together; then the runner once more, as Go's `os.Expand` does. GitLab Runner's
//! `common/build.go` (`GetAllVariables`), `common/spec/variables.go`

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::workspace::job_dirs::Places;
use gitlab_ci::plan::Plan;
use gitlab_ci::plan::PlannedJob;
use gitlab_ci::variables::collection::Collection;
use gitlab_ci::variables::collection::Origin;
use gitlab_ci::variables::collection::Variable;
use gitlab_ci::variables::expand::ExpansionError;

/// What is known of a job only when it runs.
#[derive(Clone, Debug)]
pub struct Facts<'run> {
    /// The pipeline's number.
    pub pipeline: u64,
    /// When it began.
    pub created: SystemTime,
    /// The job's number.
    pub job: u64,
    /// Which of those that run at the same time it is.
    pub concurrent: usize,
    /// What it could prove itself with; of no use to any server.
    pub token: &'run str,
    /// Where its files are.
    pub places: &'run Places,
    /// The executor's name.
    pub executor: &'static str,
    /// How long it may take.
    pub timeout: Duration,
    /// The variables of the runner's settings.
    pub own: &'run [Variable],
    /// What the jobs before have left in reports.
    pub dotenv: &'run [Variable],
    /// Values of the project's variables that were not known to the plan.
    pub late: &'run [Variable],
}

/// The variables of a job.
#[derive(Clone, Debug)]
pub struct JobVariables {
    collection: Collection,
    list: Arc<Vec<Variable>>,
    temporary: String,
    /// The server's, before they are expanded, of a job with an environment.
    of_server: Option<Collection>,
}

impl JobVariables {
    /// Everything that the job `planned` has.
    ///
    /// # Errors
    /// When they lead in a circle, or grow too much.
    pub fn new(plan: &Plan, planned: &PlannedJob, facts: &Facts<'_>) -> Result<Self, ExpansionError> {
        let mut server = planned.variables.clone();
        for variable in persisted(plan, facts) {
            server.add(variable);
        }
        for variable in facts.dotenv.iter().chain(facts.late) {
            server.add(variable.clone());
        }
        let of_server = planned.environment.is_some().then(|| server.clone());
        let server = server.expand_all()?;
        let mut all = Collection::default();
        let own = before(planned, facts).into_iter().filter(|variable| server.get(&variable.key).is_none());
        own.for_each(|variable| all.add(variable));
        server.iter().for_each(|(variable, _)| all.add(variable.clone()));
        for variable in after(facts) {
            all.add(variable);
        }
        let temporary = facts.places.temporary();
        let collection = all.runner_expand(&|variable| path(&temporary, variable))?;
        let list = Arc::new(collection.iter().map(|(variable, _)| variable.clone()).collect());
        Ok(Self { collection, list, temporary, of_server })
    }

    /// The value of one; of a file its path.
    pub fn get(&self, key: &str) -> Option<String> {
        let variable = self.collection.get(key)?;
        Some(if variable.file { path(&self.temporary, variable) } else { variable.value.to_string() })
    }

    /// Whether one is set to a word for yes.
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| matches!(value.as_str(), "true" | "1" | "yes"))
    }

    /// All of them, by name.
    pub fn list(&self) -> &Arc<Vec<Variable>> {
        &self.list
    }

    /// The same with another value of one.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Arc<Vec<Variable>> {
        let mut list: Vec<Variable> = self.list.iter().filter(|variable| &*variable.key != key).cloned().collect();
        list.push(Variable { raw: true, ..Variable::new(key, value, Origin::Predefined) });
        Arc::new(list)
    }

    /// A text of the file's as the runner expands it: an image's name, a path, a key.
    ///
    /// # Errors
    /// When it grows too much.
    pub fn expand(&self, text: &str) -> Result<String, ExpansionError> {
        self.collection.runner_expand_text(text, &|variable| path(&self.temporary, variable))
    }

    /// A text of the job's environment as the server expands it once the job is over, with what the job itself reports; nothing
    /// where it grows too much.
    pub fn expand_for_server(&self, text: &str, reported: &[Variable]) -> Option<String> {
        let mut variables = self.of_server.clone()?;
        for variable in reported {
            variables.add(variable.clone());
        }
        variables.expand_all().ok()?.expand(text).ok()
    }

    /// Several of them.
    ///
    /// # Errors
    /// When one grows too much.
    pub fn expand_each<'text>(
        &self,
        texts: impl IntoIterator<Item = &'text str>,
    ) -> Result<Vec<String>, ExpansionError> {
        texts.into_iter().map(|text| self.expand(text)).collect()
    }

    /// The public ones, which services get too. `common/build.go` (`GetServiceVariables`)
    pub fn public(&self) -> impl Iterator<Item = &Variable> {
        self.list.iter().filter(|variable| variable.public && !variable.file)
    }

    /// What must not be seen.
    pub fn secrets(&self) -> Vec<String> {
        self.list.iter().filter(|variable| variable.masked).map(|variable| variable.value.to_string()).collect()
    }
}

/// Where the file is that a variable is.
fn path(temporary: &str, variable: &Variable) -> String {
    format!("{temporary}/{}", variable.key)
}

/// The job's and the pipeline's own, which rules do not see. <https://docs.gitlab.com/ci/variables/predefined_variables/>
fn persisted(plan: &Plan, facts: &Facts<'_>) -> Vec<Variable> {
    let context = &plan.context;
    let project = format!("{}/{}", context.server.trim_end_matches('/'), context.project_path);
    let host = context.server.split_once("://").map_or(context.server.as_str(), |(_, host)| host);
    let Facts { pipeline, job, token, .. } = facts;
    let seen = [
        ("CI_PIPELINE_ID", pipeline.to_string()),
        ("CI_PIPELINE_IID", pipeline.to_string()),
        ("CI_PIPELINE_URL", format!("{project}/-/pipelines/{pipeline}")),
        ("CI_PIPELINE_CREATED_AT", humantime::format_rfc3339_seconds(facts.created).to_string()),
        ("CI_JOB_ID", job.to_string()),
        ("CI_JOB_URL", format!("{project}/-/jobs/{job}")),
        ("CI_JOB_STARTED_AT", humantime::format_rfc3339_seconds(SystemTime::now()).to_string()),
    ];
    let secret = [
        ("CI_JOB_TOKEN", (*token).to_owned()),
        ("CI_REPOSITORY_URL", format!("https://gitlab-ci-token:{token}@{host}/{}.git", context.project_path)),
    ];
    let seen = seen.into_iter().map(|(key, value)| Variable::new(key, &value, Origin::Persisted));
    let secret = secret.into_iter().map(|(key, value)| Variable {
        masked: key == "CI_JOB_TOKEN",
        public: false,
        ..Variable::new(key, &value, Origin::Persisted)
    });
    seen.chain(secret).collect()
}

/// The runner's own that a job may set otherwise.
fn before(planned: &PlannedJob, facts: &Facts<'_>) -> Vec<Variable> {
    let mut variables = facts.own.to_vec();
    let own = [
        ("CI_BUILDS_DIR", facts.places.builds.clone()),
        ("CI_PROJECT_DIR", facts.places.project.clone()),
        ("CI_CONCURRENT_ID", facts.concurrent.to_string()),
        ("CI_CONCURRENT_PROJECT_ID", facts.concurrent.to_string()),
        ("CI_SERVER", "yes".to_owned()),
        ("CI_JOB_STATUS", "running".to_owned()),
        ("CI_JOB_TIMEOUT", facts.timeout.as_secs().to_string()),
        ("CI_RUNNER_ID", "1".to_owned()),
        ("CI_RUNNER_DESCRIPTION", "e2e".to_owned()),
        ("CI_RUNNER_TAGS", "[]".to_owned()),
    ];
    variables.extend(own.into_iter().map(|(key, value)| Variable::new(key, &value, Origin::Predefined)));
    if let Some(image) = &planned.job.image {
        variables.push(Variable::new("CI_JOB_IMAGE", &image.name, Origin::Predefined));
    }
    variables
}

/// The runner's own that nobody sets otherwise.
fn after(facts: &Facts<'_>) -> Vec<Variable> {
    let place = if facts.executor == "shell" { "CI_SHARED_ENVIRONMENT" } else { "CI_DISPOSABLE_ENVIRONMENT" };
    let architecture = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let own = [
        (place, "true"),
        ("CI_RUNNER_VERSION", env!("CARGO_PKG_VERSION")),
        ("CI_RUNNER_EXECUTABLE_ARCH", &architecture),
    ];
    own.map(|(key, value)| Variable::new(key, value, Origin::Environment)).to_vec()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use gitlab_ci::plan::predefined::known_when_running;
    use gitlab_ci::testing::plan;

    fn variables(text: &str, dotenv: &[Variable]) -> JobVariables {
        let plan = plan(text);
        let places = Places { builds: "/builds".to_owned(), project: "/builds/course/demo".to_owned() };
        let facts = Facts {
            pipeline: 7,
            created: SystemTime::UNIX_EPOCH,
            job: 7001,
            concurrent: 3,
            token: "t0ken-t0ken",
            places: &places,
            executor: "docker",
            timeout: Duration::from_hours(1),
            own: &[("FROM_CONFIG", "c"), ("JOB", "config")]
                .map(|(key, value)| Variable::new(key, value, Origin::Predefined)),
            dotenv,
            late: &[],
        };
        JobVariables::new(&plan, &plan.jobs[0], &facts).unwrap()
    }

    // https://docs.gitlab.com/ci/variables/where_variables_can_be_used/
    #[rstest]
    #[case::of_the_job("JOB", "j")]
    #[case::of_the_runner("FROM_CONFIG", "c")]
    #[case::nested("NESTED", "j-/builds/course/demo")]
    #[case::unknown_ones_are_empty("UNKNOWN", "[]")]
    #[case::doubled("DOUBLED", "$JOB")]
    #[case::raw("RAW", "$JOB")]
    #[case::dotenv_is_stronger_than_the_job("DOTENV", "d-j")]
    #[case::number("CI_JOB_ID", "7001")]
    #[case::concurrent("CI_CONCURRENT_ID", "3")]
    #[case::of_the_image("CI_JOB_IMAGE", "image-j")]
    #[case::place("CI_DISPOSABLE_ENVIRONMENT", "true")]
    fn values(#[case] key: &str, #[case] expected: &str) {
        let text = "a:\n  image: image-$JOB\n  script: x\n  variables:\n    JOB: j\n    NESTED: $JOB-$CI_PROJECT_DIR\n    UNKNOWN: '[$NO_SUCH]'\n    DOUBLED: $$JOB\n    DOTENV: x\n    RAW: {value: $JOB, expand: false}\n";
        let dotenv = [Variable::new("DOTENV", "d-$JOB", Origin::Dotenv)];
        assert_eq!(variables(text, &dotenv).get(key).as_deref(), Some(expected));
    }

    #[test]
    fn those_that_a_plan_cannot_know() {
        let text = "a: {script: x, image: i}\n";
        let planned = plan(text).jobs.remove(0);
        let known: Vec<_> = known_when_running(&planned).map(|(key, _)| key).collect();
        let running = variables(text, &[]);
        // Of the settings of a runner, of which executor it has, and what GitLab calls itself.
        let others = ["FROM_CONFIG", "JOB", "CI_DISPOSABLE_ENVIRONMENT", "CI_SERVER"];
        for variable in running.list().iter().filter(|it| planned.variables.get(&it.key).is_none()) {
            assert!(known.contains(&&*variable.key) || others.contains(&&*variable.key), "{}", variable.key);
        }
        assert!(known.iter().all(|key| running.get(key).is_some()));
    }

    #[test]
    fn another_status_and_secrets() {
        let variables = variables("a: {script: x}\n", &[]);
        let status = variables.with("CI_JOB_STATUS", "failed");
        let found: Vec<_> = status.iter().filter(|it| &*it.key == "CI_JOB_STATUS").map(|it| &*it.value).collect();
        assert_eq!(found, ["failed"]);
        assert_eq!(variables.secrets(), ["t0ken-t0ken"]);
        assert_eq!(variables.expand("$CI_JOB_STATUS ${CI_JOB_ID}").unwrap(), "running 7001");
    }
}
