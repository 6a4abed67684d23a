//! The variables of a running job: those of the plan, and those that exist only at run time.
//!
//! The server expands all variables together first. The runner then expands the result once more, as Go's `os.Expand` does:
//! GitLab Runner's `common/build.go` (`GetAllVariables`), `common/spec/variables.go`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::workspace::job_dirs::JobDirs;
use gitlab_ci::gitlab_version::GitlabVersion;
use gitlab_ci::plan::{Plan, PlannedJob};
use gitlab_ci::variables::collection::{Collection, Origin, Variable};
use gitlab_ci::variables::expand::ExpansionError;
use gitlab_ci::variables::slug::slugify;

/// Facts about a job that are known only when it runs.
#[derive(Clone, Debug)]
pub struct Facts<'run> {
    /// The pipeline's number: `CI_PIPELINE_ID` and `CI_PIPELINE_IID`.
    pub pipeline: u64,
    /// When the pipeline was created: `CI_PIPELINE_CREATED_AT`.
    pub created: SystemTime,
    /// The job's number: `CI_JOB_ID`.
    pub job: u64,
    /// How often the job has been retried: `CI_JOB_RETRY_COUNT`.
    pub retries: usize,
    /// The job's number among the jobs that run at the same time: `CI_CONCURRENT_ID`.
    pub concurrent: usize,
    /// `CI_JOB_TOKEN`. No server accepts it.
    pub token: &'run str,
    /// The job's directories: `CI_BUILDS_DIR`, `CI_PROJECT_DIR`.
    pub job_dirs: &'run JobDirs,
    /// The executor's name: `shell`, `docker` or `kubernetes`.
    pub executor: &'static str,
    /// The job's timeout: `CI_JOB_TIMEOUT`, in seconds.
    pub timeout: Duration,
    /// The variables of the runner configuration. They have the lowest precedence.
    pub own: &'run [Variable],
    /// The variables of the `dotenv` reports of earlier jobs.
    pub dotenv: &'run [Variable],
    /// Project variables whose values were not known when the plan was made.
    pub deferred: &'run [Variable],
}

/// The variables of a job.
#[derive(Clone, Debug)]
pub struct JobVariables {
    collection: Collection,
    list: Arc<Vec<Variable>>,
    temporary: String,
    /// The server's variables before expansion. Only set for a job with an environment.
    server_variables: Option<Collection>,
}

impl JobVariables {
    /// All variables of the job `planned`.
    ///
    /// # Errors
    /// The variables refer to each other in a cycle, or a value exceeds the size limit of an expansion. The job cannot run.
    pub fn new(plan: &Plan, planned: &PlannedJob, facts: &Facts<'_>) -> Result<Self, ExpansionError> {
        let mut server = planned.variables.clone();
        for variable in persisted(plan, planned, facts) {
            server.add(variable);
        }
        for variable in facts.dotenv.iter().chain(facts.deferred) {
            server.add(variable.clone());
        }
        let server_variables = planned.environment.is_some().then(|| server.clone());
        let server = server.expand_all()?;
        let mut all = Collection::default();
        let own = before(planned, facts).into_iter().filter(|variable| server.get(&variable.key).is_none());
        own.for_each(|variable| all.add(variable));
        server.iter().for_each(|(variable, _)| all.add(variable.clone()));
        for variable in after(facts) {
            all.add(variable);
        }
        let temporary = facts.job_dirs.temporary();
        let collection = all.runner_expand(&|variable| path(&temporary, variable))?;
        let list = Arc::new(collection.iter().map(|(variable, _)| variable.clone()).collect());
        Ok(Self { collection, list, temporary, server_variables })
    }

    /// The value of the variable `key`; for a file variable, the path of its file.
    pub fn get(&self, key: &str) -> Option<String> {
        let variable = self.collection.get(key)?;
        Some(if variable.file { path(&self.temporary, variable) } else { variable.value.to_string() })
    }

    /// All variables, sorted by name.
    pub fn list(&self) -> &Arc<Vec<Variable>> {
        &self.list
    }

    /// All variables, with `status` as the value of `CI_JOB_STATUS`, unless the job sets that variable itself: `common/build.go`.
    #[must_use]
    pub fn with_status(&self, status: &str) -> Arc<Vec<Variable>> {
        const KEY: &str = "CI_JOB_STATUS";
        if self.list.iter().any(|variable| &*variable.key == KEY && variable.origin != Origin::Predefined) {
            return Arc::clone(&self.list);
        }
        let mut list: Vec<Variable> = self.list.iter().filter(|variable| &*variable.key != KEY).cloned().collect();
        list.push(Variable { raw: true, ..Variable::new(KEY, status, Origin::Predefined) });
        Arc::new(list)
    }

    /// Expands a text of `.gitlab-ci.yml` as the runner does: an image name, a path or a cache key.
    ///
    /// # Errors
    /// The result exceeds the size limit of an expansion.
    pub fn expand(&self, text: &str) -> Result<String, ExpansionError> {
        self.collection.runner_expand_text(text, &|variable| path(&self.temporary, variable))
    }

    /// Expands a text of the job's `environment` as the server does after the job, including the variables that the job itself
    /// `reported`. Returns `None` if the job has no environment or the result exceeds the size limit of an expansion.
    pub fn expand_for_server(&self, text: &str, reported: &[Variable]) -> Option<String> {
        let mut variables = self.server_variables.clone()?;
        for variable in reported {
            variables.add(variable.clone());
        }
        variables.expand_all().ok()?.expand(text).ok()
    }

    /// Expands several texts as [`expand`](Self::expand) does.
    ///
    /// # Errors
    /// One of the results exceeds the size limit of an expansion.
    pub fn expand_each<'text>(
        &self,
        texts: impl IntoIterator<Item = &'text str>,
    ) -> Result<Vec<String>, ExpansionError> {
        texts.into_iter().map(|text| self.expand(text)).collect()
    }

    /// The public variables, which services receive as well: `common/build.go` (`GetServiceVariables`).
    pub fn public(&self) -> impl Iterator<Item = &Variable> {
        self.list.iter().filter(|variable| variable.public && !variable.file)
    }

    /// The values of the masked variables, for [`Masker::new`](crate::mask::Masker::new).
    pub fn secrets(&self) -> Vec<String> {
        self.list.iter().filter(|variable| variable.masked).map(|variable| variable.value.to_string()).collect()
    }
}

/// The path of a file variable's file.
fn path(temporary: &str, variable: &Variable) -> String {
    format!("{temporary}/{}", variable.key)
}

/// The predefined variables of the job and the pipeline that `rules` cannot use.
/// <https://docs.gitlab.com/ci/variables/predefined_variables/>
fn persisted(plan: &Plan, planned: &PlannedJob, facts: &Facts<'_>) -> Vec<Variable> {
    let context = &plan.context;
    let project = format!("{}/{}", context.server.trim_end_matches('/'), context.project_path);
    let host = context.server.split_once("://").map_or(context.server.as_str(), |(_, host)| host);
    let Facts { pipeline, job, token, .. } = facts;
    let started = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let seen = [
        ("CI_PIPELINE_ID", pipeline.to_string()),
        ("CI_PIPELINE_IID", pipeline.to_string()),
        ("CI_PIPELINE_URL", format!("{project}/-/pipelines/{pipeline}")),
        ("CI_PIPELINE_CREATED_AT", humantime::format_rfc3339_seconds(facts.created).to_string()),
        ("CI_JOB_ID", job.to_string()),
        ("CI_JOB_URL", format!("{project}/-/jobs/{job}")),
        ("CI_JOB_STARTED_AT", started.clone()),
    ];
    let later = [
        (GitlabVersion::new(18, 7), "CI_JOB_STARTED_AT_SLUG", slugify(&started)),
        (GitlabVersion::new(19, 3), "CI_JOB_RETRY_COUNT", facts.retries.to_string()),
        (GitlabVersion::new(19, 3), "CI_JOB_TAGS", tags(planned)),
    ];
    let later = later.into_iter().filter(|(since, ..)| context.version >= *since).map(|(_, key, value)| (key, value));
    let secret = [
        ("CI_JOB_TOKEN", (*token).to_owned()),
        ("CI_REPOSITORY_URL", format!("https://gitlab-ci-token:{token}@{host}/{}.git", context.project_path)),
    ];
    let seen = seen.into_iter().chain(later).map(|(key, value)| Variable::new(key, &value, Origin::Persisted));
    let secret = secret.into_iter().map(|(key, value)| Variable {
        masked: key == "CI_JOB_TOKEN",
        public: false,
        ..Variable::new(key, &value, Origin::Persisted)
    });
    seen.chain(secret).collect()
}

/// The job's tags as a JSON array, with a space after each comma: `CI_JOB_TAGS`.
fn tags(planned: &PlannedJob) -> String {
    let tags = planned.job.tags.iter().map(|tag| {
        let expanded = planned.expand_with(&tag.value, &[]);
        serde_json::Value::from(expanded.unwrap_or_else(|| tag.value.to_string())).to_string()
    });
    format!("[{}]", tags.collect::<Vec<_>>().join(", "))
}

/// The architecture of this machine by the name that Go, and therefore GitLab Runner and Kubernetes, give it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Takes the place of the first characters of a runner's token, with which scripts name what belongs to one runner. No server knows it. It
/// begins like the names of the pods and containers of jobs, as GitLab Runner's contain the short token, and is valid in such names.
const SHORT_TOKEN: &str = "e2erunner";

/// The runner's variables that a job can override.
fn before(planned: &PlannedJob, facts: &Facts<'_>) -> Vec<Variable> {
    // The configuration can override the short token: `common/config.go` (`GetVariables`).
    let mut variables = vec![Variable::new("CI_RUNNER_SHORT_TOKEN", SHORT_TOKEN, Origin::Predefined)];
    variables.extend_from_slice(facts.own);
    let own = [
        ("CI_BUILDS_DIR", facts.job_dirs.builds.clone()),
        ("CI_PROJECT_DIR", facts.job_dirs.project.clone()),
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

/// The runner's variables that nothing overrides.
fn after(facts: &Facts<'_>) -> Vec<Variable> {
    let kind = if facts.executor == "shell" { "CI_SHARED_ENVIRONMENT" } else { "CI_DISPOSABLE_ENVIRONMENT" };
    // `common/version.go`: the revision is that of a build without a version.
    let architecture = format!("{}/{}", std::env::consts::OS, architecture());
    let own = [
        (kind, "true"),
        ("CI_RUNNER_VERSION", env!("CARGO_PKG_VERSION")),
        ("CI_RUNNER_REVISION", "HEAD"),
        ("CI_RUNNER_EXECUTABLE_ARCH", &architecture),
        ("RUNNER_TEMP_PROJECT_DIR", &facts.job_dirs.temporary()),
    ];
    own.map(|(key, value)| Variable::new(key, value, Origin::Environment)).to_vec()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use gitlab_ci::plan::runtime::known_when_running;
    use gitlab_ci::testing::plan;

    fn variables(text: &str, dotenv: &[Variable]) -> JobVariables {
        variables_of(&plan(text), dotenv)
    }

    fn variables_of(plan: &Plan, dotenv: &[Variable]) -> JobVariables {
        let job_dirs = JobDirs { builds: "/builds".to_owned(), project: "/builds/course/demo".to_owned() };
        let facts = Facts {
            pipeline: 7,
            created: SystemTime::UNIX_EPOCH,
            job: 7001,
            retries: 1,
            concurrent: 3,
            token: "t0ken-t0ken",
            job_dirs: &job_dirs,
            executor: "docker",
            timeout: Duration::from_hours(1),
            own: &[("FROM_CONFIG", "c"), ("JOB", "config")]
                .map(|(key, value)| Variable::new(key, value, Origin::Predefined)),
            dotenv,
            deferred: &[],
        };
        JobVariables::new(plan, &plan.jobs[0], &facts).unwrap()
    }

    // https://docs.gitlab.com/ci/variables/where_variables_can_be_used/
    #[rstest]
    #[case::job("JOB", "j")]
    #[case::runner_configuration("FROM_CONFIG", "c")]
    #[case::nested("NESTED", "j-/builds/course/demo")]
    #[case::unknown_variable_is_empty("UNKNOWN", "[]")]
    #[case::escaped_dollar("DOUBLED", "$JOB")]
    #[case::raw_is_not_expanded("RAW", "$JOB")]
    #[case::dotenv_overrides_the_job("DOTENV", "d-j")]
    #[case::job_id("CI_JOB_ID", "7001")]
    #[case::concurrent_id("CI_CONCURRENT_ID", "3")]
    #[case::job_image("CI_JOB_IMAGE", "image-j")]
    #[case::executor_kind("CI_DISPOSABLE_ENVIRONMENT", "true")]
    #[case::revision_is_the_runners("CI_RUNNER_REVISION", "HEAD")]
    #[case::short_token_of_the_job("CI_RUNNER_SHORT_TOKEN", "mine")]
    fn a_job_has_this_value(#[case] key: &str, #[case] expected: &str) {
        let text = "a:\n  image: image-$JOB\n  script: x\n  variables:\n    JOB: j\n    NESTED: $JOB-$CI_PROJECT_DIR\n    UNKNOWN: '[$NO_SUCH]'\n    DOUBLED: $$JOB\n    DOTENV: x\n    RAW: {value: $JOB, expand: false}\n    CI_RUNNER_REVISION: mine\n    CI_RUNNER_SHORT_TOKEN: mine\n";
        let dotenv = [Variable::new("DOTENV", "d-$JOB", Origin::Dotenv)];
        assert_eq!(variables(text, &dotenv).get(key).as_deref(), Some(expected));
    }

    #[test]
    fn the_short_token_is_no_secret_and_valid_in_the_name_of_a_pod() {
        let variables = variables("a: {script: x}\n", &[]);
        let token = variables.list().iter().find(|it| &*it.key == "CI_RUNNER_SHORT_TOKEN").unwrap();
        assert!(token.public && !token.masked);
        assert_eq!(token.value.len(), 9);
        assert!(token.value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    }

    // https://docs.gitlab.com/ci/variables/predefined_variables/
    #[rstest]
    #[case("18.6", "CI_JOB_STARTED_AT_SLUG", None)]
    #[case("19.2", "CI_JOB_TAGS", None)]
    #[case("19.3", "CI_JOB_TAGS", Some(r#"["t", "2"]"#))]
    #[case("19.2", "CI_JOB_RETRY_COUNT", None)]
    #[case("19.3", "CI_JOB_RETRY_COUNT", Some("1"))]
    fn later_versions_have_more_variables(#[case] version: &str, #[case] key: &str, #[case] expected: Option<&str>) {
        let mut plan = plan("a: {script: x, tags: [t, $TWO], variables: {TWO: 2}}\n");
        plan.context.version = version.parse().unwrap();
        assert_eq!(variables_of(&plan, &[]).get(key).as_deref(), expected);
    }

    #[rstest]
    #[case("17.11")]
    #[case("19.3")]
    fn the_plan_lists_every_variable_that_only_a_running_job_has(#[case] version: &str) {
        let mut plan = plan("a: {script: x, image: i}\n");
        plan.context.version = version.parse().unwrap();
        let planned = &plan.jobs[0];
        let known: Vec<_> = known_when_running(planned, plan.context.version).map(|(key, _)| key).collect();
        let running = variables_of(&plan, &[]);
        // From the runner configuration, from the kind of executor, and GitLab's name for itself.
        let others = ["FROM_CONFIG", "JOB", "CI_DISPOSABLE_ENVIRONMENT", "CI_SERVER"];
        for variable in running.list().iter().filter(|it| planned.variables.get(&it.key).is_none()) {
            assert!(known.contains(&&*variable.key) || others.contains(&&*variable.key), "{}", variable.key);
        }
        assert!(known.iter().all(|key| running.get(key).is_some()));
    }

    #[test]
    fn a_status_is_replaced_and_the_token_is_a_secret() {
        let variables = variables("a: {script: x}\n", &[]);
        let status = variables.with_status("failed");
        let found: Vec<_> = status.iter().filter(|it| &*it.key == "CI_JOB_STATUS").map(|it| &*it.value).collect();
        assert_eq!(found, ["failed"]);
        assert_eq!(variables.secrets(), ["t0ken-t0ken"]);
        assert_eq!(variables.expand("$CI_JOB_STATUS ${CI_JOB_ID}").unwrap(), "running 7001");
    }
}
