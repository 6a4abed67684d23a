//! What the cluster's owner prepares for the pipeline, once: the namespace, the deployer's account, the pull secret, and that
//! the nodes trust the registry.

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
use crate::environment::command::CommandError;
use crate::environment::registry;
use crate::environment::registry::Login;
use crate::environment::state::State;
use crate::environment::state::StateError;
use container_engine::labels::RunId;

/// Where the pipeline deploys.
pub const NAMESPACE: &str = "gitlab";

/// Who it is there.
pub const SERVICE_ACCOUNT: &str = "gitlab";

/// The Secret that its pods pull with.
pub const PULL_SECRET: &str = "myregistry";

/// How long the deployer's token is good for: a day's work. Every `up` makes a new one.
const TOKEN_SECONDS: i64 = 8 * 60 * 60;

/// Why something of it is not prepared.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// A manifest cannot be read.
    #[error("{}: the cluster owner's manifests cannot be read (run this in the project's folder)", path.display())]
    Manifests {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A manifest cannot be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// There is no token.
    #[error("no token for ServiceAccount {NAMESPACE}/{SERVICE_ACCOUNT}")]
    Token(#[source] ApiError),
    /// The owner's kubeconfig is not usable.
    #[error("the cluster owner's kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// kind does not tell how containers reach the cluster.
    #[error(transparent)]
    Kind(#[from] CommandError),
    /// The deployer's kubeconfig cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
    /// It cannot be put together.
    #[error("the deployer's kubeconfig: {0}")]
    Serialize(#[from] serde_json::Error),
    /// The nodes are not known.
    #[error(transparent)]
    Nodes(#[from] KindError),
    /// A node does not take the registry's authority.
    #[error("a node does not take the registry's certificate authority")]
    Trust(#[from] bollard::errors::Error),
    /// The archive for the nodes cannot be made.
    #[error("the archive for the nodes")]
    Archive(#[from] std::io::Error),
}

/// Applies the owner's manifests: every `.yaml` of `folder`, by name.
///
/// # Errors
/// When one cannot be read or applied.
pub async fn apply_manifests(client: &Client, run: &RunId, folder: &Path) -> Result<(), OwnerError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OwnerError::Manifests { path, source }
    };
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(failed(folder))?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    // What a namespace holds comes after it.
    files.sort_by_key(|file| (file.file_stem().is_none_or(|stem| stem != "namespace"), file.clone()));
    for file in files {
        let text = fs::read_to_string(&file).map_err(failed(&file))?;
        apply(client, run, &file.display().to_string(), &text).await?;
    }
    Ok(())
}

/// Writes the deployer's kubeconfigs, with a new token: one for this machine, one for containers on the cluster's network.
///
/// # Errors
/// When there is no token, or they cannot be written.
pub async fn write_kubeconfigs(client: &Client, run: &RunId, state: &State) -> Result<(), OwnerError> {
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
    // An API server that grants one puts it there.
    Ok(answer.map_err(|error| OwnerError::Token(error.into()))?.status.map(|status| status.token).unwrap_or_default())
}

/// The same cluster, for the deployer. JSON, which is YAML too.
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

/// Puts the pull secret into the namespace.
///
/// # Errors
/// When it cannot be applied.
pub async fn apply_pull_secret(client: &Client, run: &RunId, login: &Login) -> Result<(), OwnerError> {
    let secret = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": PULL_SECRET, "namespace": NAMESPACE},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": login.docker_config(registry::HOST).to_string()},
    });
    Ok(apply(client, run, "the pull secret", &secret.to_string()).await?)
}

/// Tells other tools of the registry.
/// <https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry>
///
/// # Errors
/// When it cannot be applied.
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

/// Makes every node trust the registry. containerd reads the files at each pull.
///
/// # Errors
/// When a node does not take them.
pub async fn trust_registry(docker: &Docker, run: &RunId, authority: &str) -> Result<(), OwnerError> {
    let folder = format!("etc/containerd/certs.d/{}", registry::HOST);
    let hosts = hosts_toml(registry::HOST, &folder);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in [("hosts.toml", hosts.as_str()), ("ca.crt", authority)] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, format!("{folder}/{name}"), content.as_bytes())?;
    }
    let archive = archive.into_inner()?;
    for node in kind::running_nodes(docker, &run.cluster).await? {
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        docker.upload_to_container(&node, Some(options), bollard::body_full(archive.clone().into())).await?;
    }
    Ok(())
}

/// containerd's `hosts.toml` for a registry whose authority is in `folder`.
/// <https://github.com/containerd/containerd/blob/main/docs/hosts.md>
///
/// The server itself gets the `ca`, and there is no `[host]` table: containerd asks the server after the hosts, so a table that
/// repeats it doubles each request that fails, and without a `ca` of its own the server's TLS error replaces the real answer.
fn hosts_toml(host: &str, folder: &str) -> String {
    format!("server = \"https://{host}\"\ncapabilities = [\"pull\", \"resolve\"]\nca = \"/{folder}/ca.crt\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_the_servers_own() {
        let text = hosts_toml("r.test", "etc/containerd/certs.d/r.test");
        // No `[host]` table follows: every key is the server's own.
        assert_eq!(
            text,
            "server = \"https://r.test\"\ncapabilities = [\"pull\", \"resolve\"]\nca = \"/etc/containerd/certs.d/r.test/ca.crt\"\n"
        );
    }

    #[test]
    fn the_deployers_kubeconfig_has_a_token_and_nothing_of_the_owner() {
        let owner = "apiVersion: v1\nkind: Config\nclusters: [{name: kind-x, cluster: {server: 'https://x:6443', certificate-authority-data: QUJD}}]\n\
                     users: [{name: kind-x, user: {client-key-data: c2VjcmV0}}]\ncontexts: [{name: kind-x, context: {cluster: kind-x, user: kind-x}}]\ncurrent-context: kind-x\n";
        let text = String::from_utf8(with_token(Kubeconfig::from_yaml(owner).unwrap(), "TOKEN").unwrap()).unwrap();
        insta::assert_snapshot!(text);
        let read = Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("gitlab"));
    }
}
