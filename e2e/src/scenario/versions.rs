//! Which parts a story was told with.

use std::time::Duration;

use bollard::Docker;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;

use crate::cluster;
use crate::command;
use crate::target::Target;

/// Time that a program has to tell.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it is, and which. What does not tell is left out.
pub async fn of(docker: &Docker, target: &Target) -> Vec<(String, String)> {
    let mut versions = vec![("e2e".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    let mut add = |what: &str, version: Option<String>| {
        versions.extend(version.filter(|it| !it.is_empty()).map(|version| (what.to_owned(), version)));
    };
    add("Docker", docker.version().await.ok().and_then(|it| it.version));
    add("Kubernetes", target.client.apiserver_version().await.ok().map(|info| info.git_version));
    if let Some(nodes) = cluster::nodes(&target.client).await {
        let of_node = |pick: fn(&k8s_openapi::api::core::v1::NodeSystemInfo) -> String| {
            nodes.iter().find_map(|node| node.status.as_ref()?.node_info.as_ref().map(pick))
        };
        add("node", of_node(|info| info.os_image.clone()));
        add("kernel", of_node(|info| info.kernel_version.clone()));
        add("container runtime", of_node(|info| info.container_runtime_version.clone()));
    }
    add("kind", first_line("kind", &["version"]).await);
    add("git", first_line("git", &["--version"]).await);
    for (what, namespace) in [("Ingress controller", "ingress"), ("Prometheus", "monitoring")] {
        let deployments = Api::<Deployment>::namespaced(target.client.clone(), namespace);
        let list = deployments.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        add(what, list.first().map(crate::checks::image_of));
    }
    versions
}

async fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let said = command::run(program, arguments, PATIENCE).await.ok()?;
    said.lines().next().map(str::to_owned)
}
