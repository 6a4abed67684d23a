//! Small jobs, and the result that GitLab Runner 19.4 gives for each: `cases/*.yaml`. Each executor runs the same files, one pipeline per
//! file.
//!
//! Each case cites the code of GitLab Runner that decides: a function, a file or a package. If an executor differs, the case states its
//! result under `differs`, with the sentence of `docs/pipeline.md` that documents the difference.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write;

use gitlab_runner::log::without_colors;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::outcome::Run;
use crate::repository::Repository;
use crate::support::{error, project};

/// Concurrent jobs: more than the cores, because most jobs sleep; few enough for every executor.
const CONCURRENCY: &str = "12";

/// A file of cases, which share a repository and a pipeline.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    /// The files of the repository: paths and contents.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Variables of the project, as GitLab's API returns them.
    #[serde(default)]
    variables: Vec<Value>,
    /// Lines of `[[runners]]`.
    #[serde(default)]
    settings: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// The kind of behavior.
    kind: String,
    /// Where GitLab Runner decides.
    source: String,
    /// Why the executor does not matter. Such a case is not run in pods, each of which takes a second.
    independent: Option<String>,
    /// The jobs of the pipeline. Their names differ from those of all other cases of the file.
    jobs: BTreeMap<String, Value>,
    /// The expected behavior of each job.
    expect: BTreeMap<String, Expected>,
    /// The executors that behave differently.
    #[serde(default)]
    differs: BTreeMap<String, Difference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// A sentence of docs/pipeline.md, or a part of it.
    documented: String,
    expect: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: String,
    exit_code: Option<i64>,
    reason: Option<String>,
    /// Whether the failure is allowed.
    #[serde(default)]
    allowed: bool,
    /// Parts of the log without colors. `<exit N>` matches the executor's words for an exit code.
    #[serde(default)]
    has: Vec<String>,
    /// Texts that are not in the log.
    #[serde(default)]
    lacks: Vec<String>,
}

impl Suite {
    fn read(name: &str) -> Self {
        let path = project().join("e2e/tests/pipeline/cases").join(name).with_extension("yaml");
        serde_saphyr::from_str(&std::fs::read_to_string(path).expect("a file")).expect("cases")
    }

    /// The pipeline of all jobs. A job of one case must not stop those of another.
    fn pipeline(&self) -> String {
        let mut jobs = BTreeMap::new();
        for (name, job) in self.cases.iter().flat_map(|case| &case.jobs) {
            let mut job = job.clone();
            // Jobs without `needs` do not wait for other jobs.
            job.as_object_mut().expect("a job").entry("needs").or_insert_with(|| json!([]));
            assert!(jobs.insert(name, job).is_none(), "two jobs have the name {name}");
        }
        json!(jobs).to_string()
    }
}

/// Runs the cases of a file and compares the results. `settings` are lines of the settings after those of the file; `arguments` are further
/// arguments of `e2e pipeline`.
pub(crate) fn check(name: &str, executor: &str, settings: &str, arguments: &[&str]) {
    let mut suite = Suite::read(name);
    check_documentation(&suite);
    if executor == "kubernetes" {
        suite.cases.retain(|case| case.independent.is_none());
    }
    assert!(!suite.cases.is_empty(), "{name} has no cases for this executor");
    let repository = Repository::new("main", &suite.pipeline());
    for (path, content) in &suite.files {
        std::fs::write(repository.path().join(path), content).expect("a file");
    }
    if !suite.files.is_empty() {
        repository.git(&["add", "."]);
        repository.git(&["commit", "--quiet", "--message", "Files"]);
    }
    let config = file(&format!("[[runners]]\nexecutor = \"{executor}\"\n{}\n{settings}\n", suite.settings));
    let variables = file(&json!(suite.variables).to_string());
    let mut command = repository.e2e(&["pipeline", "--format", "json", "--keep-going", "--concurrency", CONCURRENCY]);
    command.arg("--config").arg(config.path()).arg("--variables").arg(variables.path()).args(arguments);
    let run = Run::new(command.output().expect("e2e"));
    let mut wrong = String::new();
    for case in &suite.cases {
        let expected = case.differs.get(executor).map_or(&case.expect, |difference| &difference.expect);
        assert!(expected.keys().eq(case.jobs.keys()), "{}: each job needs an expectation", case.name);
        for (job, expected) in expected {
            for difference in compare(&run, job, expected, executor) {
                let _ = writeln!(wrong, "{} ({}; {})\n  {job}: {difference}", case.name, case.kind, case.source);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n{}", error(&run.output));
}

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("a file");
    file
}

/// How the result of a job differs.
fn compare(run: &Run, job: &str, expected: &Expected, executor: &str) -> Vec<String> {
    let Some(ended) = run.events.iter().rev().find(|event| event["event"] == "job_ended" && event["job"] == job) else {
        return vec!["it has not run".to_owned()];
    };
    let mut wrong = Vec::new();
    let wanted = json!([expected.status, expected.exit_code, expected.reason, expected.allowed]);
    let is_allowed = ended["status"] == "failed" && ended["allow_failure"] == true;
    let found = json!([ended["status"], ended["exit_code"], ended["failure_reason"], is_allowed]);
    if found != wanted {
        wrong.push(format!("{found} instead of {wanted}: {}", ended["why"]));
    }
    let lines: Vec<_> = run.all_lines(job).iter().map(|line| without_colors(line).into_owned()).collect();
    let log = format!("\n{}\n", lines.join("\n"));
    for text in expected.has.iter().map(|text| with_exit_codes(text, executor)) {
        if !log.contains(&text) {
            wrong.push(format!("the log has no {text:?}:{log}"));
        }
    }
    for text in expected.lacks.iter().filter(|text| log.contains(text.as_str())) {
        wrong.push(format!("the log has {text:?}:{log}"));
    }
    wrong
}

/// Replaces `<exit N>` by the words of an executor.
fn with_exit_codes(text: &str, executor: &str) -> String {
    let words = match executor {
        "shell" => "exit status ",
        "docker" => "exit code ",
        _ => "command terminated with exit code ",
    };
    match text.split_once("<exit ").and_then(|(before, rest)| Some((before, rest.split_once('>')?))) {
        Some((before, (code, after))) => format!("{before}{words}{code}{after}"),
        None => text.to_owned(),
    }
}

/// Every difference between executors is documented.
fn check_documentation(suite: &Suite) {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let page = words(&std::fs::read_to_string(project().join("docs/pipeline.md")).expect("a page"));
    for case in &suite.cases {
        for (executor, difference) in &case.differs {
            let sentence = words(&difference.documented);
            assert!(page.contains(&sentence), "{}, {executor}: docs/pipeline.md does not have {sentence:?}", case.name);
        }
    }
}
