//! The commands with which a cluster owner prepares a cluster for the pipeline of a GitLab project, and the settings of the project.
//!
//! No command has a secret among its arguments, where every process of the machine could read it: `printf` and `cat <<END` are part of the
//! shell, and the other programs get secrets from files or on standard input.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::process::Command;

use super::cluster::owner::{NAMESPACE, PULL_SECRET, SERVICE_ACCOUNT};
use super::command::quoted;

/// The account and the namespace of GitLab's agent for Kubernetes.
const AGENT: &str = "gitlab-agent";

/// The username of the deploy token that the pages describe.
pub const DEPLOY_TOKEN_USER: &str = "kubernetes";

/// The preparation of a cluster for a project.
pub struct Setup {
    /// `kubectl` for the cluster, quoted for a shell.
    pub kubectl: String,
    /// The directory of the owner's manifests.
    pub manifests: PathBuf,
    /// The namespace that the pipeline deploys to.
    pub namespace: String,
    /// The path of the project: `group/project`.
    pub project: String,
    /// The registry, as in the names of images.
    pub registry: String,
    /// The user and the file with the password, with which the nodes pull images.
    pub registry_user: String,
    pub registry_password: PathBuf,
    /// How jobs get access to the cluster.
    pub access: Access,
    /// The directory for the kubeconfig of the pipeline.
    pub dir: PathBuf,
}

/// How jobs get access to the cluster.
pub enum Access {
    /// By a token in a kubeconfig, for a limited number of hours.
    Token { hours: u32 },
    /// By GitLab's agent of this name.
    Agent(String),
}

/// A step in the cluster.
pub struct Step {
    pub title: &'static str,
    /// A program for a POSIX shell.
    pub command: String,
}

/// A CI/CD variable of the project.
pub struct ProjectVariable {
    pub key: &'static str,
    pub is_file: bool,
    /// The value, or what it is.
    pub value: String,
    pub is_masked: bool,
    /// When it is needed, if not always.
    pub condition: Option<&'static str>,
}

/// A step failed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("cannot run `sh`")]
    NotRun(#[source] std::io::Error),
    #[error("the step \"{title}\" failed with {status}; the steps before it were applied, and can be applied again")]
    Failed { title: &'static str, status: ExitStatus },
}

impl Setup {
    /// The kubeconfig of the pipeline.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("gitlab.kubeconfig")
    }

    /// The name of the agent, if there is one.
    pub fn agent(&self) -> Option<&str> {
        match &self.access {
            Access::Token { .. } => None,
            Access::Agent(name) => Some(name),
        }
    }

    /// The steps in the cluster, in order. Each can be repeated.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = vec![
            Step { title: "The namespace, the account of the pipeline and its permissions", command: self.manifests() },
            Step {
                title: "The pull secret, with which the nodes pull the project's images",
                command: self.pull_secret(),
            },
        ];
        match &self.access {
            Access::Token { hours } => {
                steps.push(Step { title: "A kubeconfig with a token of the account", command: self.token(*hours) });
                steps.push(Step { title: "The kubeconfig works", command: self.verification() });
            }
            Access::Agent(_) => {
                steps.push(Step { title: "The permissions of the agent", command: self.agent_permissions() });
            }
        }
        steps
    }

    fn manifests(&self) -> String {
        let (kubectl, dir, namespace) = (&self.kubectl, quoted(&self.manifests.to_string_lossy()), &self.namespace);
        if *namespace == NAMESPACE {
            return format!("{kubectl} apply --filename {dir}");
        }
        // The names of the account and of the Role remain. Documents end with `---`, because the files are concatenated.
        format!(
            "for file in {dir}/*.yaml; do\n  \
               sed -e '/^kind: Namespace/,/^  name:/s/^  name: {NAMESPACE}$/  name: {namespace}/' \
               -e 's/^\\( *namespace:\\) {NAMESPACE}$/\\1 {namespace}/' \"$file\"\n  echo ---\n\
             done | {kubectl} apply --filename -"
        )
    }

    fn pull_secret(&self) -> String {
        let (kubectl, namespace, registry) = (&self.kubectl, &self.namespace, quoted(&self.registry));
        let (user, file) = (quoted(&self.registry_user), quoted(&self.registry_password.to_string_lossy()));
        format!(
            "auth=$(printf '%s:%s' {user} \"$(cat {file})\" | base64 | tr -d '\\n') &&\n\
             printf '{{\"auths\":{{\"%s\":{{\"auth\":\"%s\"}}}}}}' {registry} \"$auth\" |\n  \
               {kubectl} create secret generic {PULL_SECRET} --namespace {namespace} \
               --type=kubernetes.io/dockerconfigjson \\\n    \
               --from-file=.dockerconfigjson=/dev/stdin --dry-run=client --output=yaml |\n  \
               {kubectl} apply --server-side --force-conflicts --filename -"
        )
    }

    fn token(&self, hours: u32) -> String {
        let (kubectl, namespace) = (&self.kubectl, &self.namespace);
        let (dir, file) = (quoted(&self.dir.to_string_lossy()), quoted(&self.kubeconfig().to_string_lossy()));
        // Removed first, because a file that exists would keep its mode. kubectl prints the cluster's address and authority as JSON,
        // which is valid YAML.
        format!(
            "( umask 077 && mkdir -p {dir} && rm -f {file} &&\n\
             cluster=$({kubectl} config view --raw --minify --flatten --output='jsonpath={{.clusters[0].cluster}}') &&\n\
             token=$({kubectl} create token {SERVICE_ACCOUNT} --namespace {namespace} --duration={hours}h) &&\n\
             cat >{file} <<END\n\
             {{\"apiVersion\": \"v1\", \"kind\": \"Config\", \"current-context\": \"gitlab\",\n \
             \"clusters\": [{{\"name\": \"gitlab\", \"cluster\": $cluster}}],\n \
             \"users\": [{{\"name\": \"gitlab\", \"user\": {{\"token\": \"$token\"}}}}],\n \
             \"contexts\": [{{\"name\": \"gitlab\", \"context\": {{\"cluster\": \"gitlab\", \"user\": \"gitlab\", \"namespace\": \
             \"{namespace}\"}}}}]}}\n\
             END\n)"
        )
    }

    fn verification(&self) -> String {
        let file = quoted(&self.kubeconfig().to_string_lossy());
        format!("kubectl --kubeconfig {file} auth can-i create deployments.apps --namespace {}", self.namespace)
    }

    fn agent_permissions(&self) -> String {
        let (kubectl, namespace) = (&self.kubectl, &self.namespace);
        format!(
            "{kubectl} create rolebinding {AGENT} --namespace {namespace} --role={SERVICE_ACCOUNT} \\\n  \
               --serviceaccount={AGENT}:{AGENT} --dry-run=client --output=yaml |\n  \
               {kubectl} apply --server-side --force-conflicts --filename -"
        )
    }

    /// The CI/CD variables of the project.
    pub fn variables(&self) -> Vec<ProjectVariable> {
        let plain =
            |key, value: String| ProjectVariable { key, is_file: false, value, is_masked: false, condition: None };
        let mut variables = match &self.access {
            Access::Token { .. } => {
                let value = format!("the content of {}", self.kubeconfig().display());
                vec![ProjectVariable { is_file: true, ..plain("KUBECONFIG", value) }]
            }
            Access::Agent(name) => vec![plain("KUBE_CONTEXT", format!("{}:{name}", self.project))],
        };
        if self.namespace != NAMESPACE {
            variables.push(plain("KUBE_NAMESPACE", self.namespace.clone()));
        }
        let domain = "the parent domain of the environments' hosts, with a wildcard entry in DNS";
        variables.push(plain("KUBE_INGRESS_BASE_DOMAIN", domain.to_owned()));
        variables.push(ProjectVariable {
            condition: Some("only if it is not traefik"),
            ..plain("KUBE_INGRESS_CLASS", "the class of the Ingress controller".to_owned())
        });
        let other = Some("only if the registry is not GitLab's own");
        let login = "of an account that may push";
        variables.extend([
            ProjectVariable { condition: other, ..plain("CI_REGISTRY", self.registry.clone()) },
            ProjectVariable {
                condition: other,
                ..plain("CI_REGISTRY_IMAGE", format!("{}/{}", self.registry, self.project))
            },
            ProjectVariable { condition: other, ..plain("CI_REGISTRY_USER", format!("the name {login}")) },
            ProjectVariable {
                is_masked: true,
                condition: other,
                ..plain("CI_REGISTRY_PASSWORD", format!("the password {login}"))
            },
        ]);
        variables
    }

    /// The commands that install the agent. GitLab shows its token once, when the agent is registered.
    pub fn agent_installation(&self) -> String {
        let kubectl = &self.kubectl;
        let helm = kubectl.replacen("kubectl", "helm", 1).replace("--context", "--kube-context");
        format!(
            "{kubectl} create namespace {AGENT}\n\
             read -rs token\n\
             printf %s \"$token\" | {kubectl} create secret generic {AGENT}-token --namespace {AGENT} --from-file=token=/dev/stdin\n\
             {helm} upgrade --install {AGENT} gitlab-agent --repo https://charts.gitlab.io --namespace {AGENT} \\\n  \
               --set config.secretName={AGENT}-token --set config.kasAddress=wss://kas.gitlab.com \\\n  \
               --set serviceAccount.name={AGENT} --set rbac.create=false"
        )
    }
}

/// Applies a step. The output of its programs is that of this program.
///
/// # Errors
/// If the shell cannot be started, or a command of the step fails.
pub async fn apply(step: &Step) -> Result<(), SetupError> {
    let mut command = Command::new("sh");
    command.args(["-euc", &step.command]).kill_on_drop(true);
    let status = command.status().await.map_err(SetupError::NotRun)?;
    if status.success() { Ok(()) } else { Err(SetupError::Failed { title: step.title, status }) }
}

/// When the token in a kubeconfig expires, in seconds since 1970. The API server may grant less time than requested.
///
/// The middle part of a JSON Web Token has the claims: RFC 7519.
pub fn expiry(kubeconfig: &Path) -> Option<u64> {
    let kubeconfig: Value = serde_json::from_str(&std::fs::read_to_string(kubeconfig).ok()?).ok()?;
    let token = kubeconfig["users"][0]["user"]["token"].as_str()?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Value>(&claims).ok()?["exp"].as_u64()
}
