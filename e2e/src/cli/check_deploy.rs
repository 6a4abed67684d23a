//! `e2e check --deploy`, and the removal of what it has left.

use e2e::checks::target::Target;
use e2e::scenario::temporary::choice::Exposure;
use e2e::scenario::temporary::demo::{Demo, DemoError, DeployOptions};
use e2e::scenario::temporary::namespace::{Swept, sweep};
use tokio_util::sync::CancellationToken;

use super::{CliError, print};

/// The service, deployed for the checks.
#[derive(Debug, clap::Args)]
pub(crate) struct DeployArgs {
    /// Nothing is deployed yet: deploy this image of the service to a temporary namespace, check it there, and remove the namespace
    ///
    /// The image has a tag or a digest, and the nodes can pull it. For a registry with a login, also give --registry. With --commit, the
    /// commit that the image was built from, the pods must run it.
    #[arg(
        long,
        value_name = "IMAGE",
        value_parser = image,
        conflicts_with_all = ["read_only", "references", "host", "namespace", "deployer_kubeconfig", "deployer_account"]
    )]
    deploy: Option<String>,

    /// The class of the Ingress, for --deploy [default: the cluster's default class, or its only one]
    #[arg(long, value_name = "CLASS", requires = "deploy")]
    ingress_class: Option<String>,

    /// The Gateway for an `HTTPRoute` instead of an Ingress, for --deploy
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "deploy", conflicts_with = "ingress_class", value_parser = gateway)]
    gateway: Option<(String, String)>,

    /// The architecture of the image, for --deploy [default: that of the nodes]
    #[arg(long, value_name = "ARCHITECTURE", requires = "deploy")]
    architecture: Option<String>,
}

/// An image with a tag or a digest. <https://github.com/distribution/reference>
fn image(text: &str) -> Result<String, String> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-/:@".contains(letter);
    // The port of a registry is before a slash.
    let last = text.rsplit('/').next().unwrap_or(text);
    let is_complete = last.split_once([':', '@']).is_some_and(|(name, rest)| !name.is_empty() && !rest.is_empty());
    if is_complete && text.chars().all(is_allowed) {
        return Ok(text.to_owned());
    }
    Err("expected an image with a tag or a digest, as registry.example.com/group/project:v1".to_owned())
}

fn gateway(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
    pair.map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
        .ok_or_else(|| "expected NAMESPACE/NAME".to_owned())
}

impl DeployArgs {
    /// Whether the service is deployed for the checks.
    pub(crate) fn is_given(&self) -> bool {
        self.deploy.is_some()
    }

    /// Creates the temporary namespace, if the service is to be deployed. Before, removes those of checks that were killed.
    pub(crate) async fn create(
        &self,
        target: &Target,
        commit: Option<String>,
        cancel: &CancellationToken,
    ) -> Result<Option<Demo>, CliError> {
        let Some(image) = self.deploy.clone() else { return Ok(None) };
        let swept = tokio::select! {
            swept = sweep(&target.client) => swept?,
            () = cancel.cancelled() => return Err(CliError::Interrupted),
        };
        for name in swept.removed {
            print(&format!("Removed namespace {name}, which an earlier check has left"));
        }
        let gateway = self.gateway.clone().map(|(namespace, name)| Exposure::Gateway { namespace, name });
        let exposure = gateway.or_else(|| self.ingress_class.clone().map(Exposure::Class));
        let options = DeployOptions { image, commit, exposure, architecture: self.architecture.clone() };
        // Not cancellable: a namespace that is being created could not be removed.
        Demo::create(target, options).await.map(Some).map_err(failed)
    }
}

/// How the command fails if the service cannot be deployed.
pub(super) fn failed(error: DemoError) -> CliError {
    match error {
        DemoError::Ambiguous(_) => CliError::Usage(error.to_string()),
        DemoError::NotRunning { .. } => CliError::Failed(error.to_string().trim_end().to_owned()),
        _ => error.into(),
    }
}

/// The namespaces that were removed from a cluster, and those that were not, one per line.
pub(crate) fn swept(swept: &Swept) -> String {
    let removed = swept.removed.iter().map(|name| format!("Removed namespace {name}.\n"));
    let in_use = swept.in_use.iter().map(|it| {
        format!(
            "Namespace {} is in use: its check may still run (owner {}, last heartbeat {}). It can be removed 10 minutes after the \
             last heartbeat.\n",
            it.namespace, it.owner, it.renewed
        )
    });
    let lines: String = removed.chain(in_use).collect();
    if lines.is_empty() { "There is nothing to remove.\n".to_owned() } else { lines }
}

#[cfg(test)]
mod tests {
    use e2e::scenario::temporary::namespace::InUse;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::tag("registry.example.com/group/project:v1", true)]
    #[case::port("registry.example.com:5000/project:v1", true)]
    #[case::digest("project@sha256:0123456789abcdef", true)]
    #[case::no_tag("registry.example.com/group/project", false)]
    #[case::only_a_port("registry.example.com:5000/project", false)]
    #[case::empty_tag("project:", false)]
    #[case::no_name("registry.example.com/:v1", false)]
    #[case::not_an_image("a:b\nc: d", false)]
    fn an_image_has_a_tag_or_a_digest(#[case] text: &str, #[case] is_valid: bool) {
        assert_eq!(image(text).is_ok(), is_valid);
    }

    #[test]
    fn a_namespace_in_use_is_named_with_its_owner() {
        let in_use = InUse {
            namespace: "e2e-check-0a1b2c".to_owned(),
            owner: "laptop.7.0a".to_owned(),
            renewed: "2026-01-31T12:00:00Z".to_owned(),
        };
        insta::assert_snapshot!(super::swept(&Swept { removed: vec!["e2e-check-1".to_owned()], in_use: vec![in_use] }));
        assert_eq!(super::swept(&Swept::default()), "There is nothing to remove.\n");
    }
}
