//! `e2e lint`, `e2e plan`

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use e2e::pipeline::diagnostic::Diagnostics;
use e2e::pipeline::document::load::{Environment, Files};
use e2e::pipeline::document::node::Node;
use e2e::pipeline::git::{Folder, GitError, Repository};
use e2e::pipeline::lint::{Lint, admits, lint};
use e2e::pipeline::plan::build::{Project, Refusal, base_variables, build};
use e2e::pipeline::plan::context::{Context, RefKind, Source};
use e2e::pipeline::variables::collection::{Collection, Origin, Variable};
use e2e::pipeline::{glob, plan};
use e2e::report;

use super::{EXIT_BAD_INPUT, EXIT_NOT_WHOLE, Format, Outcome, tell, width, write};

/// Which file is read, and what stands for what it includes from elsewhere.
#[derive(Debug, clap::Args)]
pub(crate) struct Input {
    /// The project's folder
    #[arg(short = 'C', long = "directory", default_value = ".", value_name = "DIR")]
    directory: PathBuf,

    /// The pipeline's file, from the project's folder
    #[arg(long, default_value = ".gitlab-ci.yml", value_name = "FILE")]
    file: String,

    /// A folder for what is included from elsewhere: `group/project=DIR`, `template=DIR`, `https://host/=DIR`
    #[arg(long = "include", value_name = "WHAT=DIR", value_parser = pair)]
    includes: Vec<(String, String)>,

    /// A variable of the pipeline
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "two texts with `=` between".to_owned())
}

/// Tells everything that is wrong with a pipeline's file, as GitLab would and with the place.
#[derive(Debug, clap::Args)]
pub(crate) struct LintArguments {
    #[command(flatten)]
    input: Input,

    /// How the result is written
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

/// Tells what would run for a ref, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    reference: Reference,

    /// How the result is written
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: PlanFormat,

    /// Tell a job's variables instead, and where each comes from
    #[arg(long, value_name = "JOB")]
    show_variables: Option<String>,
}

/// What the pipeline is for.
#[derive(Debug, clap::Args)]
struct Reference {
    /// A branch; the one that is checked out if neither is given
    #[arg(long, value_name = "BRANCH", conflicts_with = "tag")]
    branch: Option<String>,

    /// A tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,

    /// What starts the pipeline
    #[arg(long, default_value = "push", value_name = "SOURCE")]
    source: Source,

    /// The commit that was the branch's before the push; its remote's if not given
    #[arg(long, value_name = "COMMIT")]
    before: Option<String>,

    /// The branch that a merge request is for; the default branch if not given
    #[arg(long, value_name = "BRANCH")]
    target_branch: Option<String>,

    /// The project's default branch; its remote's if not given
    #[arg(long, value_name = "BRANCH")]
    default_branch: Option<String>,

    /// Read the files as they lie here, with changes that are not committed
    #[arg(long)]
    worktree: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlanFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For pages.
    Mermaid,
}

/// Reads the file as it lies there, and tells what is wrong.
pub(crate) fn run_lint(arguments: &LintArguments) -> Outcome {
    let folder = Folder(arguments.input.directory.clone());
    // What includes depend on is known of a repository only.
    let variables = match Repository::open(&arguments.input.directory) {
        Ok(repository) => {
            let reference = Reference::of_checkout();
            let context = reference.context(&repository)?;
            base_variables(&context, &arguments.input.pipeline_variables())
        }
        Err(_) => Collection::default(),
    };
    let lint = arguments.input.lint(&folder, &variables);
    write(&match arguments.format {
        Format::Table => report::diagnostics::text(&lint, width(io::stdout()), io::stdout().is_terminal()),
        Format::Json => report::diagnostics::json(&lint)?,
    })?;
    Ok(if lint.diagnostics.has_errors() { ExitCode::from(EXIT_NOT_WHOLE) } else { ExitCode::SUCCESS })
}

/// Plans, and tells.
pub(crate) fn run_plan(arguments: &PlanArguments) -> Outcome {
    let PlanArguments { input, reference, format, show_variables } = arguments;
    let repository = Repository::open(&input.directory)?;
    let context = match reference.context(&repository) {
        Err(error) if error.downcast_ref::<GitError>().is_some_and(GitError::is_input) => {
            tell(&format!("e2e: {error}"));
            return Ok(ExitCode::from(EXIT_BAD_INPUT));
        }
        context => context?,
    };
    let pipeline_variables = input.pipeline_variables();
    let variables = base_variables(&context, &pipeline_variables);
    let tree = repository.at(&context.commit.sha);
    let folder = Folder(repository.folder().to_owned());
    let files: &dyn Files = if reference.worktree { &folder } else { &tree };
    let lint = input.lint(files, &variables);
    let terminal = io::stderr().is_terminal();
    let configuration = match &lint.configuration {
        Some(configuration) if !lint.diagnostics.has_errors() => configuration,
        _ => {
            tell(report::diagnostics::text(&lint, width(io::stderr()), terminal).trim_end());
            return Ok(ExitCode::from(EXIT_BAD_INPUT));
        }
    };
    // Asked for by the first rule that needs it: git is a program of its own.
    let paths = OnceCell::new();
    let project = Project {
        variables: &pipeline_variables,
        fits: &glob::any_fits,
        exists: &|patterns| glob::any_exists(patterns, paths.get_or_init(|| files.list())),
        compare: &|name| {
            let base = repository.merge_base(name, &context.commit.sha).ok()?;
            repository.changed(&base, &context.commit.sha).ok()
        },
    };
    let plan = match build(configuration, &context, &project) {
        Ok(plan) => plan,
        Err(refusal) => {
            tell(&format!("e2e: {refusal}{}", reasons(&refusal, &lint)));
            return Ok(ExitCode::from(EXIT_NOT_WHOLE));
        }
    };
    if let Some(name) = show_variables {
        let job = match find(&plan, name) {
            Ok(job) => job,
            Err(complaint) => {
                tell(&format!("e2e: {complaint}"));
                return Ok(ExitCode::from(EXIT_BAD_INPUT));
            }
        };
        write(&match format {
            PlanFormat::Json => report::plan::variables_json(job)?,
            PlanFormat::Table | PlanFormat::Mermaid => report::plan::variables(job),
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    write(&match format {
        PlanFormat::Table => report::plan::text(&plan, &lint.sources),
        PlanFormat::Json => report::plan::json(&plan, &lint.sources)?,
        PlanFormat::Mermaid => report::plan::mermaid(&plan),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn find<'plan>(plan: &'plan plan::Plan, name: &str) -> Result<&'plan plan::PlannedJob, String> {
    plan.jobs.iter().find(|job| &*job.name == name).ok_or_else(|| {
        let names = plan.jobs.iter().map(|job| &*job.name).collect::<Vec<_>>().join(", ");
        format!("there is no job `{name}` in this pipeline; there are {names}")
    })
}

/// Why each job is not in a pipeline that has none.
fn reasons(refusal: &Refusal, lint: &Lint) -> String {
    let told = |name: &str, reason: &plan::admission::Reason| {
        let place = reason.span.map(|span| format!(" ({})", lint.sources.location(span))).unwrap_or_default();
        format!("\n  {name}: {}{place}", reason.text)
    };
    match refusal {
        Refusal::Empty(jobs) => jobs.iter().map(|(name, reason)| told(name, reason)).collect(),
        Refusal::Workflow(Some(reason)) => told("workflow", reason),
        Refusal::Workflow(None) | Refusal::NeedIsNotThere { .. } | Refusal::Circle { .. } => String::new(),
    }
}

impl Input {
    fn pipeline_variables(&self) -> Vec<Variable> {
        self.variables.iter().map(|(key, value)| Variable::new(key, value, Origin::Pipeline)).collect()
    }

    fn lint(&self, files: &dyn Files, variables: &Collection) -> Lint {
        let folders: BTreeMap<String, PathBuf> =
            self.includes.iter().map(|(what, folder)| (what.clone(), PathBuf::from(folder))).collect();
        let paths = OnceCell::new();
        let exists = |patterns: &[String]| glob::any_exists(patterns, paths.get_or_init(|| files.list()));
        let environment = Environment {
            files,
            expand: &|text| variables.expand(text),
            admits: &|rules: &Node, diagnostics: &mut Diagnostics| admits(rules, variables, &exists, diagnostics),
            folders: &folders,
        };
        lint(&self.file, &environment)
    }
}

impl Reference {
    fn of_checkout() -> Self {
        Self {
            branch: None,
            tag: None,
            source: Source::Push,
            before: None,
            target_branch: None,
            default_branch: None,
            worktree: true,
        }
    }

    fn context(&self, repository: &Repository) -> Result<Context, Box<dyn std::error::Error>> {
        let default_branch = self.default_branch.clone().unwrap_or_else(|| repository.default_branch());
        let (ref_name, commit, tag_message) = match (&self.branch, &self.tag) {
            (_, Some(tag)) => {
                let (commit, message) = repository.tag(tag)?;
                (tag.clone(), commit, message)
            }
            (Some(branch), None) => (branch.clone(), repository.branch(branch)?, String::new()),
            // Also where a commit is checked out and no branch.
            (None, None) => {
                let branch = repository.current_branch().unwrap_or_else(|| default_branch.clone());
                (branch, repository.commit("HEAD")?, String::new())
            }
        };
        let kind = match (&self.tag, self.source) {
            (Some(_), _) => RefKind::Tag,
            (None, Source::MergeRequestEvent) => RefKind::MergeRequest,
            (None, _) => RefKind::Branch,
        };
        let before = match (&self.before, kind, self.source) {
            (Some(before), _, _) => Some(repository.commit(before)?.sha),
            // The push that would be made now.
            (None, RefKind::Branch, Source::Push) => {
                repository.commit(&format!("refs/remotes/origin/{ref_name}")).ok().map(|commit| commit.sha)
            }
            _ => None,
        };
        let from = match kind {
            RefKind::MergeRequest => {
                let target = self.target_branch.as_ref().unwrap_or(&default_branch);
                let target = repository.branch(target)?.sha;
                Some(repository.merge_base(&target, &commit.sha)?)
            }
            _ => before.clone(),
        };
        let changed = from.map(|from| repository.changed(&from, &commit.sha)).transpose()?;
        let (server, project_path) = project(repository.remote().as_deref(), repository.folder());
        let user = |name: &str| repository.setting(name).unwrap_or_default();
        Ok(Context {
            ref_name,
            kind,
            source: self.source,
            commit,
            before,
            tag_message,
            default_branch,
            project_path,
            server,
            target_branch: self.target_branch.clone(),
            kubernetes: false,
            changed,
            user: (user("user.name"), user("user.email")),
        })
    }
}

/// Server and path of a project, from the address that git knows it by; of one without, its folder's name.
fn project(remote: Option<&str>, folder: &Path) -> (String, String) {
    let own = || {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        ("https://gitlab.test".to_owned(), format!("local/{name}"))
    };
    let Some(remote) = remote else { return own() };
    let bare = remote.trim_end_matches('/').trim_end_matches(".git");
    if let Some((protocol, rest)) = bare.split_once("://") {
        // Whoever is named before the host, with a password or not, is nobody's business.
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        if let Some((host, path)) = rest.split_once('/').filter(|(host, _)| !host.is_empty()) {
            let protocol = if protocol == "http" { "http" } else { "https" };
            return (format!("{protocol}://{host}"), path.to_owned());
        }
    } else if let Some((host, path)) = bare.split_once(':').filter(|(host, _)| !host.contains('/')) {
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        return (format!("https://{host}"), path.trim_start_matches('/').to_owned());
    }
    own()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::https(Some("https://gitlab.test/group/sub/demo.git"), "https://gitlab.test", "group/sub/demo")]
    #[case::with_a_password(
        Some("https://me:secret@gitlab.test:8443/group/demo"),
        "https://gitlab.test:8443",
        "group/demo"
    )]
    #[case::ssh(Some("git@gitlab.test:group/demo.git"), "https://gitlab.test", "group/demo")]
    #[case::ssh_url(Some("ssh://git@gitlab.test/group/demo.git"), "https://gitlab.test", "group/demo")]
    #[case::a_folder(Some("/srv/git/demo"), "https://gitlab.test", "local/work")]
    #[case::none(None, "https://gitlab.test", "local/work")]
    fn projects(#[case] remote: Option<&str>, #[case] server: &str, #[case] path: &str) {
        assert_eq!(project(remote, Path::new("/x/work")), (server.to_owned(), path.to_owned()));
    }
}
