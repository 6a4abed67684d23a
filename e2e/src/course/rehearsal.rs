//! Rehearses a job: runs its script in a copy of the project, with programs that only record how they are called.
//!
//! So an exercise may be solved in any way that has the right effect, and needs no engine and no cluster.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use gitlab_ci::files::Files;
use gitlab_ci::plan::PlannedJob;
use gitlab_runner::project::git::WorkingTree;
use serde_json::Value;
use tempfile::TempDir;

use super::manifest;
use super::project::Project;
use super::verdict::Unsolved;

/// The recorded programs, and what they answer. The deploy jobs compare the pod that answers a request with the pods of the deployment.
const PROGRAMS: [(&str, &str); 2] = [("docker", ""), ("kubectl", KUBECTL)];

/// The answers of kubectl in a cluster with one pod.
const KUBECTL: &str = r#"case " $* " in
  *" apply "*) echo created ;;
  *" --raw "*) echo "host: pod" ;;
  *" get pods "*) echo pod ;;
esac"#;

/// Time limit for a script, in seconds. The recorded programs return at once.
const TIMEOUT: &str = "60";

/// A call of a recorded program.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) program: String,
    /// The working directory.
    dir: PathBuf,
    pub(super) arguments: Vec<String>,
}

impl Call {
    /// Whether it is this program with this command, such as `kubectl apply`.
    pub(super) fn is(&self, program: &str, command: &str) -> bool {
        self.program == program && self.arguments.iter().any(|argument| argument == command)
    }

    /// The values of an option: `--tag A`, `--tag=A` or `-t A`.
    pub(super) fn values(&self, names: &[&str]) -> Vec<&str> {
        let mut values = Vec::new();
        let mut arguments = self.arguments.iter();
        while let Some(argument) = arguments.next() {
            if names.contains(&&**argument) {
                values.extend(arguments.next().map(String::as_str));
            } else if let Some((name, value)) = argument.split_once('=')
                && names.contains(&name)
            {
                values.push(value);
            }
        }
        values
    }
}

/// The effects that a job would have.
pub(super) struct Rehearsal {
    pub(super) calls: Vec<Call>,
    /// The copy of the project, as the script has left it.
    _copy: TempDir,
}

impl Rehearsal {
    /// Runs `before_script` and `script` of a job.
    pub(super) fn run(project: &Project, job: &PlannedJob) -> Result<Self, Unsolved> {
        let failed = |error: std::io::Error| Unsolved(format!("cannot rehearse job {}: {error}", job.name));
        let dir = tempfile::tempdir().map_err(failed)?;
        let (copy, programs, record) = (dir.path().join("project"), dir.path().join("bin"), dir.path().join("calls"));
        copy_files(project, &copy).map_err(failed)?;
        write_programs(&programs, &record).map_err(failed)?;
        let script = job.job.before_script.iter().chain(&job.job.script).map(|line| &*line.value);
        let script = script.collect::<Vec<_>>().join("\n");
        let variables = job.variables.runner_expand(&|variable| variable.value.to_string());
        let variables = variables.map_err(|error| Unsolved(format!("job {}: {error}", job.name)))?;
        let mut command = Command::new("timeout");
        command.args([TIMEOUT, "sh", "-ec", &script]).current_dir(&copy).env_clear();
        command.envs(variables.iter().map(|(variable, _)| (&*variable.key, &*variable.value)));
        command.env("CI_PROJECT_DIR", &copy).env("CI_JOB_ID", "1").env("HOME", dir.path());
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()));
        let output = command.output().map_err(failed)?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let last = stderr.lines().last().unwrap_or("without a message").to_owned();
            return Err(Unsolved(format!("the script of job {} fails: {last}", job.name)));
        }
        Ok(Self { calls: read_calls(&record), _copy: dir })
    }

    /// The objects in the files that the job applies.
    pub(super) fn applied(&self) -> Result<Vec<Value>, Unsolved> {
        let mut objects = Vec::new();
        for call in self.calls.iter().filter(|call| call.is("kubectl", "apply")) {
            // kubectl takes several files in one value, separated by commas.
            for file in call.values(&["-f", "--filename"]).into_iter().flat_map(|value| value.split(',')) {
                let text = std::fs::read_to_string(call.dir.join(file));
                let text = text.map_err(|error| Unsolved(format!("kubectl apply: {file}: {error}")))?;
                objects.extend(manifest::parse(file, &text)?);
            }
        }
        Ok(objects)
    }
}

/// Copies the files that a runner would check out.
fn copy_files(project: &Project, copy: &Path) -> std::io::Result<()> {
    for path in WorkingTree(project.dir().to_owned()).list() {
        let (from, to) = (project.dir().join(&path), copy.join(&path));
        // A tracked file may have been removed.
        if from.is_file() {
            std::fs::create_dir_all(to.parent().unwrap_or(copy))?;
            std::fs::copy(from, to)?;
        }
    }
    Ok(())
}

/// Writes the recorded programs. Each appends its name, the working directory and its arguments to `record`: each ends with NUL, and the
/// call with a line break.
fn write_programs(dir: &Path, record: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for (name, answer) in PROGRAMS {
        let path = dir.join(name);
        let record = record.display();
        let text = format!(
            "#!/bin/sh\n{{ printf '%s\\0' {name} \"$PWD\" \"$@\"; printf '\\n'; }} >>'{record}'\n{answer}\nexit 0\n"
        );
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn read_calls(record: &Path) -> Vec<Call> {
    // Without a call there is no file.
    let text = std::fs::read_to_string(record).unwrap_or_default();
    text.split("\0\n")
        .filter(|call| !call.is_empty())
        .filter_map(|call| {
            let mut words = call.split('\0').map(str::to_owned);
            Some(Call { program: words.next()?, dir: words.next()?.into(), arguments: words.collect() })
        })
        .collect()
}
