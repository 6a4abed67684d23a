//! `e2e setup`

use std::path::PathBuf;
use std::process::ExitCode;

use e2e::checks::target;
use e2e::environment::setup::{self, Access, DEPLOY_TOKEN_USER, Setup};
use e2e::report;
use gitlab_runner::executor::kubernetes::is_subdomain;
use gitlab_runner::workspace::store::refuse_tracked_in;

use super::{CliError, Outcome, print, write};

/// Prints the commands that prepare a cluster for the pipeline of a GitLab project, and the settings of the project
///
/// With --apply, it runs the commands. They need kubectl.
#[derive(Debug, clap::Args)]
pub(crate) struct SetupArguments {
    /// The cluster: a context of the cluster owner's kubeconfig
    #[arg(long, visible_alias = "cluster", value_name = "CONTEXT")]
    context: String,

    /// The kubeconfig of the cluster owner [default: KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The project in GitLab: GROUP/PROJECT
    #[arg(long, value_name = "PATH", value_parser = project)]
    project: String,

    /// The namespace that the pipeline deploys to
    #[arg(long, default_value = "gitlab", value_name = "NAMESPACE", value_parser = label)]
    namespace: String,

    /// The registry, as in the names of images
    #[arg(long, default_value = "registry.gitlab.com", value_name = "HOST")]
    registry: String,

    /// The user with which the nodes pull images: the username of a deploy token
    #[arg(long, default_value = DEPLOY_TOKEN_USER, value_name = "USER")]
    registry_user: String,

    /// The file with the password of this user: the deploy token [default: registry-password in --directory]
    #[arg(long, value_name = "FILE")]
    registry_password_file: Option<PathBuf>,

    /// Validity of the pipeline's token; many clusters grant less
    #[arg(long, default_value_t = 720, value_name = "HOURS", conflicts_with = "agent", value_parser = clap::value_parser!(u32).range(1..))]
    token_hours: u32,

    /// Use GitLab's agent for Kubernetes of this name instead of a token
    #[arg(long, value_name = "NAME", value_parser = label)]
    agent: Option<String>,

    /// The directory for the kubeconfig of the pipeline
    #[arg(long, default_value = "target/e2e/setup", value_name = "DIR")]
    directory: PathBuf,

    /// The directory of manifests that the cluster owner applies
    #[arg(long, default_value = "manifests/cluster", value_name = "DIR")]
    manifests: PathBuf,

    /// Run the commands
    #[arg(long)]
    apply: bool,
}

/// A label of RFC 1123, as the names of namespaces and agents.
fn label(text: &str) -> Result<String, String> {
    if is_subdomain(text) && !text.contains('.') {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 63 lowercase letters, digits or hyphens, without a hyphen at the start or end".to_owned())
}

fn project(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    if text.bytes().all(is_allowed) && text.split('/').count() > 1 && text.split('/').all(|part| !part.is_empty()) {
        return Ok(text.to_owned());
    }
    Err("expected the path of a project, as in its address: group/project".to_owned())
}

/// Prints the commands, or runs them.
pub(crate) async fn run(arguments: SetupArguments) -> Outcome {
    let SetupArguments { directory, apply, .. } = arguments;
    let registry_password = arguments.registry_password_file.unwrap_or_else(|| directory.join("registry-password"));
    let setup = Setup {
        kubectl: target::kubectl(arguments.kubeconfig.as_deref(), Some(&arguments.context)),
        manifests: arguments.manifests,
        namespace: arguments.namespace,
        project: arguments.project,
        registry: arguments.registry,
        registry_user: arguments.registry_user,
        registry_password,
        access: arguments.agent.map_or(Access::Token { hours: arguments.token_hours }, Access::Agent),
        dir: directory,
    };
    if !apply {
        write(&report::setup::script(&setup))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (manifests, password) = (&setup.manifests, &setup.registry_password);
    if !manifests.is_dir() {
        let message = format!(
            "there is no directory {}: run this command in the directory of the repository",
            manifests.display()
        );
        return Err(CliError::Usage(message));
    }
    if !password.is_file() {
        let message = format!(
            "there is no file {}: write the deploy token with the scope read_registry to it (for a registry that is not \
             GitLab's, the password of --registry-user), or name another file with --registry-password-file",
            password.display()
        );
        return Err(CliError::Usage(message));
    }
    // The repository could have a link there, for example to a directory that others can read.
    refuse_tracked_in(&setup.dir).map_err(|error| CliError::Usage(error.to_string()))?;
    for step in setup.steps() {
        print(report::setup::step(&step).trim_end());
        setup::apply(&step).await.map_err(|error| CliError::Failed(error.to_string()))?;
    }
    let expiry = setup.agent().is_none().then(|| setup::expiry(&setup.kubeconfig())).flatten();
    write(&report::setup::applied(&setup, expiry))?;
    Ok(ExitCode::SUCCESS)
}
