//! The commands that prepare a cluster, and the settings of the project.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::environment::setup::{DEPLOY_TOKEN_USER, ProjectVariable, Setup, Step};

/// Everything as a script for a shell, whose comments describe what remains to be done in GitLab.
pub fn script(setup: &Setup) -> String {
    let mut text = comment(&format!(
        "Prepares namespace {} for the pipeline of {}. Nothing was changed: --apply runs these commands.",
        setup.namespace, setup.project
    ));
    text += "\n";
    text += &password(setup);
    for step in setup.steps() {
        let _ = write!(text, "\n# {}\n{}\n", step.title, step.command);
    }
    text + "\n" + &comment(&in_gitlab(setup))
}

/// The line above the output of a step.
pub fn step(step: &Step) -> String {
    format!("==> {}\n", step.title)
}

/// The remaining steps in GitLab, after all commands were run.
pub fn applied(setup: &Setup, expiry: Option<u64>) -> String {
    let mut text = String::new();
    if let Some(seconds) = expiry {
        let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds));
        let _ = writeln!(
            text,
            "The token is valid until {time}. Before that, run the same command again and replace KUBECONFIG."
        );
    }
    format!("{text}\n{}", in_gitlab(setup))
}

fn comment(text: &str) -> String {
    text.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect()
}

fn password(setup: &Setup) -> String {
    let file = setup.registry_password.display();
    let dir = setup.registry_password.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let dir = dir.display();
    if setup.registry_user != DEPLOY_TOKEN_USER {
        return comment(&format!(
            "First write the password of {} at {} to {file}, for example with: (umask 077; mkdir -p {dir}; cat >{file})",
            setup.registry_user, setup.registry
        ));
    }
    comment(&format!(
        "First create a deploy token in GitLab: Settings > Repository > Deploy tokens, username {}, scope read_registry.\nWrite it to {file}, for example with: (umask 077; mkdir -p {dir}; cat >{file})\n\
         The password of a job does not work here: GitLab revokes it when the job ends.",
        setup.registry_user
    ))
}

fn in_gitlab(setup: &Setup) -> String {
    let mut text = format!("In GitLab, project {}:\n", setup.project);
    if let Some(name) = setup.agent() {
        let _ = write!(
            text,
            "\nThe agent: commit the file .gitlab/agents/{name}/config.yaml with this content\n\n    \
             ci_access:\n      projects:\n        - id: {}\n\n\
             and register it: Operate > Kubernetes clusters > Connect a cluster. GitLab shows its token once. Install it with the commands\n\
             below. If your server is not GitLab.com, replace config.kasAddress by the address that GitLab shows with the token:\n\n{}\n\n\
             The project must have no variable KUBECONFIG: it would hide the kubeconfig of the agent.\n",
            setup.project,
            indent(&setup.agent_installation())
        );
    }
    text += "\nSettings > CI/CD > Variables, Add variable:\n\n";
    for variable in setup.variables() {
        text += &row(&variable);
    }
    let cluster = if setup.agent().is_some() { "KUBE_CONTEXT" } else { "KUBECONFIG" };
    let _ = write!(
        text,
        "\nGitLab ticks \"Protect variable\" for a new variable. Protected variables exist only in pipelines of protected branches and tags:\n\
         untick it, or protect all branches and tags that you deploy. Without {cluster}, a deploy job fails with\n\
         \"The connection to the server localhost:8080 was refused\".\n"
    );
    if setup.agent().is_none() {
        text += "GitLab cannot mask a kubeconfig, because it has several lines or spaces. A job that prints it publishes the token.\n";
    }
    text += "\nSettings > Repository > Protected tags: v*, allowed to create: Maintainers.\n\
             Settings > CI/CD > Protected environments (Premium): live, allowed to deploy: Maintainers.\n";
    text
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn row(variable: &ProjectVariable) -> String {
    let ProjectVariable { key, value, .. } = variable;
    let kind = if variable.is_file { "file" } else { "variable" };
    let visibility = if variable.is_masked { "masked" } else { "visible" };
    let condition = variable.condition.map(|condition| format!("; {condition}")).unwrap_or_default();
    format!("    {key:<24}  {kind:<8}  {visibility:<7}  {value}{condition}\n")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::environment::setup::Access;

    fn setup(namespace: &str, access: Access) -> Setup {
        Setup {
            kubectl: "kubectl --context staging".to_owned(),
            manifests: PathBuf::from("manifests/cluster"),
            namespace: namespace.to_owned(),
            project: "group/demo".to_owned(),
            registry: "registry.example.com".to_owned(),
            registry_user: DEPLOY_TOKEN_USER.to_owned(),
            registry_password: PathBuf::from("target/e2e/setup/registry-password"),
            access,
            dir: PathBuf::from("target/e2e/setup"),
        }
    }

    #[test]
    fn a_script_for_a_token() {
        insta::assert_snapshot!(script(&setup("gitlab", Access::Token { hours: 720 })));
    }

    #[test]
    fn a_script_for_an_agent_and_another_namespace() {
        insta::assert_snapshot!(script(&setup("demo", Access::Agent("staging".to_owned()))));
    }

    #[test]
    fn another_user_has_a_password_instead_of_a_deploy_token() {
        let setup = Setup { registry_user: "robot".to_owned(), ..setup("gitlab", Access::Token { hours: 720 }) };
        let text = script(&setup);
        assert!(
            text.contains("First write the password of robot at registry.example.com to target/e2e/setup/"),
            "{text}"
        );
        assert!(!text.contains("deploy token"), "{text}");
    }

    #[test]
    fn what_remains() {
        let setup = setup("gitlab", Access::Token { hours: 720 });
        let text = applied(&setup, Some(1_800_000_000));
        assert!(text.starts_with("The token is valid until 2027-01-15T08:00:00Z."), "{text}");
        assert!(text.contains("KUBECONFIG                file      visible"), "{text}");
        assert!(!applied(&setup, None).contains("valid until"));
    }
}
