//! The one-time preparations of the cluster owner for the pipeline: the namespace, the deployer's account, the pull secret, and the
//! nodes' trust in the registry.

use std::fs;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::query_parameters::UploadToContainerOptionsBuilder;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::Kubeconfig;
use kube::{Api, Client};

use super::ApiError;
use super::apply::{ApplyError, apply};
use super::kind::{self, KindError};
use crate::environment::cluster_dir::{ClusterDir, StateError};
use crate::environment::command::CommandError;
use crate::environment::registry;
use crate::environment::registry::Login;
use container_engine::labels::RunId;

/// The namespace that the pipeline deploys to.
pub const NAMESPACE: &str = "gitlab";

/// The `ServiceAccount` that the pipeline deploys with.
pub const SERVICE_ACCOUNT: &str = "gitlab";

/// The Secret that the pods pull images with.
pub const PULL_SECRET: &str = "myregistry";

/// Lifetime of the deployer's token: a working day. Every `up` requests a new one.
const TOKEN_SECONDS: i64 = 8 * 60 * 60;

/// A preparation failed.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// A manifest cannot be read.
    #[error("cannot read the cluster owner's manifests in {} (run this command in the project's directory)", path.display())]
    Manifests {
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A manifest cannot be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The API server does not issue a token.
    #[error("cannot get a token for ServiceAccount {NAMESPACE}/{SERVICE_ACCOUNT}")]
    Token(#[source] ApiError),
    /// The owner's kubeconfig cannot be read.
    #[error("cannot read the cluster owner's kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// kind does not provide the kubeconfig for containers.
    #[error(transparent)]
    Kind(#[from] CommandError),
    /// The deployer's kubeconfig cannot be written.
    #[error(transparent)]
    ClusterDir(#[from] StateError),
    /// The deployer's kubeconfig cannot be serialized.
    #[error("cannot serialize the deployer's kubeconfig: {0}")]
    Serialize(#[from] serde_json::Error),
    /// The nodes cannot be listed.
    #[error(transparent)]
    Nodes(#[from] KindError),
    /// The registry's authority cannot be copied to a node.
    #[error("cannot copy the registry's certificate authority to a node")]
    Trust(#[from] bollard::errors::Error),
    /// The archive for the nodes cannot be created.
    #[error("cannot create the archive with the registry's certificate authority")]
    Archive(#[from] std::io::Error),
}

/// Applies the owner's manifests: every `.yaml` file in `directory`, sorted by name.
///
/// # Errors
/// If a manifest cannot be read or applied.
pub async fn apply_manifests(client: &Client, run: &RunId, directory: &Path) -> Result<(), OwnerError> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|source| OwnerError::Manifests { path: directory.to_owned(), source })?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    // The namespace first, because the other objects are in it.
    files.sort_by_key(|file| (file.file_stem().is_none_or(|stem| stem != "namespace"), file.clone()));
    apply_files(client, run, &files).await
}

/// The manifests of the runner that job pods need. The others install GitLab Runner itself.
const FOR_JOBS: [&str; 4] = ["namespace.yaml", "service-account.yaml", "role.yaml", "role-binding.yaml"];

/// Applies the manifests in `directory` that job pods need: their namespace, accounts and permissions.
///
/// # Errors
/// If a manifest cannot be read or applied.
pub async fn apply_job_manifests(client: &Client, run: &RunId, directory: &Path) -> Result<(), OwnerError> {
    apply_files(client, run, &FOR_JOBS.map(|name| directory.join(name))).await
}

async fn apply_files(client: &Client, run: &RunId, files: &[PathBuf]) -> Result<(), OwnerError> {
    for file in files {
        let text = fs::read_to_string(file).map_err(|source| OwnerError::Manifests { path: file.clone(), source })?;
        apply(client, run, &file.display().to_string(), &text).await?;
    }
    Ok(())
}

/// Writes the deployer's two kubeconfigs, one for this machine and one for containers on the cluster's network, with a new token.
///
/// # Errors
/// If the API server issues no token, or a file cannot be written.
pub async fn write_kubeconfigs(client: &Client, run: &RunId, state: &ClusterDir) -> Result<(), OwnerError> {
    let internal = async {
        let text = kind::kubeconfig(&run.cluster, true).await?;
        Ok::<_, OwnerError>(Kubeconfig::from_yaml(&text)?)
    };
    let (token, internal) = tokio::try_join!(token(client), internal)?;
    let external = Kubeconfig::read_from(state.kubeconfig())?;
    state.write(&state.gitlab_kubeconfig(), &with_token(external, &token)?)?;
    state.write(&state.gitlab_internal_kubeconfig(), &with_token(internal, &token)?)?;
    Ok(())
}

async fn token(client: &Client) -> Result<String, OwnerError> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), NAMESPACE);
    let spec = TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let answer = accounts.create_token_request(SERVICE_ACCOUNT, &PostParams::default(), &request).await;
    // A successful answer always has the token in its status.
    Ok(answer.map_err(|error| OwnerError::Token(error.into()))?.status.map(|status| status.token).unwrap_or_default())
}

/// The deployer's kubeconfig, for the cluster in the owner's kubeconfig. Written as JSON, which is also valid YAML.
fn with_token(owner: Kubeconfig, token: &str) -> Result<Vec<u8>, serde_json::Error> {
    let cluster = owner.clusters.into_iter().next().and_then(|named| named.cluster).unwrap_or_default();
    let name = "gitlab";
    let document = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": NAMESPACE}}],
        "current-context": name,
    });
    serde_json::to_vec_pretty(&document)
}

/// Creates or updates the pull secret in the namespace.
pub async fn apply_pull_secret(client: &Client, run: &RunId, login: &Login) -> Result<(), OwnerError> {
    let secret = pull_secret(NAMESPACE, &login.docker_config(registry::HOST));
    Ok(apply(client, run, "the pull secret", &secret.to_string()).await?)
}

/// The pull secret of a namespace with this Docker configuration.
pub fn pull_secret(namespace: &str, config: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": PULL_SECRET, "namespace": namespace},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": config.to_string()},
    })
}

/// Announces the registry to other tools, as specified by KEP-1755.
/// <https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry>
pub async fn apply_registry_hosting(client: &Client, run: &RunId, port: u16) -> Result<(), OwnerError> {
    let host = registry::HOST;
    let hosting = format!(
        "host: \"localhost:{port}\"\nhostFromContainerRuntime: \"{host}\"\nhostFromClusterNetwork: \"{host}\"\n\
         help: \"TLS and a login: see `e2e status`\"\n"
    );
    let object = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "local-registry-hosting", "namespace": "kube-public"},
        "data": {"localRegistryHosting.v1": hosting},
    });
    Ok(apply(client, run, "local-registry-hosting", &object.to_string()).await?)
}

/// Makes every node trust the registry. containerd reads the files on each pull.
///
/// # Errors
/// If the files cannot be copied to a node.
pub async fn trust_registry(docker: &Docker, run: &RunId, authority: &str) -> Result<(), OwnerError> {
    let directory = format!("etc/containerd/certs.d/{}", registry::HOST);
    let hosts = hosts_toml(registry::HOST, &directory);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in [("hosts.toml", hosts.as_str()), ("ca.crt", authority)] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, format!("{directory}/{name}"), content.as_bytes())?;
    }
    let archive = archive.into_inner()?;
    for node in kind::running_nodes(docker, &run.cluster).await? {
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        docker.upload_to_container(&node, Some(options), bollard::body_full(archive.clone().into())).await?;
    }
    Ok(())
}

/// containerd's `hosts.toml` for a registry whose authority is in `directory`.
/// <https://github.com/containerd/containerd/blob/main/docs/hosts.md>
///
/// `ca` belongs to the server itself, and there is no `[host]` table: containerd tries the hosts first and then the server, so a table
/// for the same host would repeat each failed request, and without its own `ca` the server's TLS error would hide the real answer.
fn hosts_toml(host: &str, directory: &str) -> String {
    format!("server = \"https://{host}\"\ncapabilities = [\"pull\", \"resolve\"]\nca = \"/{directory}/ca.crt\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_belongs_to_the_server_entry() {
        let text = hosts_toml("r.test", "etc/containerd/certs.d/r.test");
        // There is no `[host]` table: every key belongs to the server.
        assert_eq!(
            text,
            "server = \"https://r.test\"\ncapabilities = [\"pull\", \"resolve\"]\nca = \"/etc/containerd/certs.d/r.test/ca.crt\"\n"
        );
    }

    #[test]
    fn the_deployers_kubeconfig_has_a_token_and_no_credentials_of_the_owner() {
        let owner = "apiVersion: v1\nkind: Config\nclusters: [{name: kind-x, cluster: {server: 'https://x:6443', certificate-authority-data: QUJD}}]\n\
                     users: [{name: kind-x, user: {client-key-data: c2VjcmV0}}]\ncontexts: [{name: kind-x, context: {cluster: kind-x, user: kind-x}}]\ncurrent-context: kind-x\n";
        let text = String::from_utf8(with_token(Kubeconfig::from_yaml(owner).unwrap(), "TOKEN").unwrap()).unwrap();
        insta::assert_snapshot!(text);
        let read = Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("gitlab"));
    }

    #[test]
    fn job_pods_need_all_manifests_of_the_runner_but_its_deployment() {
        let kustomization = include_str!("../../../../manifests/runner/kustomization.yaml");
        let (_, resources) = kustomization.split_once("\nresources:\n").unwrap();
        let listed = resources.lines().map_while(|line| line.strip_prefix("  - "));
        let others: Vec<_> = listed.filter(|name| *name != "deployment.yaml").collect();
        assert_eq!(others, FOR_JOBS);
    }
}
