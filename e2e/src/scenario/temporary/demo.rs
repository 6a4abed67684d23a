//! Deploys the service to a temporary namespace, and removes it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join;
use gitlab_runner::executor::registry as registry_of;
use k8s_openapi::api::networking::v1::IngressClass;
use kube::Api;
use kube::api::ListParams;

use super::choice::{AmbiguousCluster, Exposure, architecture, exposure};
use super::manifests::{self, Object, SLUG, Values};
use super::namespace::{self, NamespaceError, TemporaryNamespace};
use crate::checks::Need;
use crate::checks::discovery::{Choice, Selection};
use crate::checks::target::Target;
use crate::checks::{self, about, run};
use crate::environment::cluster::ApiError;
use crate::environment::cluster::apply::{ApplyError, create};
use crate::record::event::EventSink;
use crate::report::checks::describe_in_full;

/// Minimum time for the start of the pods, as in the deploy jobs: the nodes pull the image first.
const MIN_TIMEOUT: Duration = Duration::from_mins(3);

/// The check that waits until all replicas are available.
const ROLLOUT: &str = "deployment";

/// The image to deploy, and the user's choices.
pub struct DeployOptions {
    /// With a tag or a digest.
    pub image: String,
    /// The commit that the image was built from, if it is known.
    pub commit: Option<String>,
    pub exposure: Option<Exposure>,
    pub architecture: Option<String>,
}

/// The service could not be deployed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Ambiguous(#[from] AmbiguousCluster),
    #[error("cannot list the IngressClasses")]
    Classes(#[source] ApiError),
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Contains the failure of the check, with its cause.
    #[error("{image} does not run in namespace {namespace}\n{failure}")]
    NotRunning { image: String, namespace: String, failure: String },
}

/// The service in its temporary namespace.
pub struct Demo {
    namespace: TemporaryNamespace,
    values: Values,
    /// The cluster, with the namespace as the one to examine.
    pub target: Target,
    /// The choices that were made, with their reasons.
    pub choices: Vec<Choice>,
    /// The inputs that checks lack in this deployment, with reasons.
    pub missing: BTreeMap<Need, String>,
}

impl Demo {
    /// Creates the namespace.
    ///
    /// # Errors
    /// The API server refuses, or the user has to choose an option. Nothing is created in that case.
    pub async fn create(target: &Target, options: DeployOptions) -> Result<Self, DemoError> {
        let classes = Api::<IngressClass>::all(target.client.clone());
        let selected = ListParams::default();
        let (classes, cluster) = join(classes.list(&selected), about::cluster(target)).await;
        let classes = classes.map_err(|error| DemoError::Classes(error.into()))?.items;
        let (exposure, exposure_choice) = exposure(options.exposure, &classes)?;
        let (architecture, architecture_choice) = architecture(options.architecture, &cluster.architectures)?;
        let name = namespace::name();
        let mut target = target_in(target, &name);
        // The login of another registry cannot pull this image.
        target.registry = target.registry.filter(|registry| registry_of(&options.image) == Some(&*registry.host));
        let mut missing = BTreeMap::new();
        if target.registry.is_none() {
            let reason = "the pods pull the image without a login (`--registry`, `--registry-user` and \
                          `--registry-password-file`)";
            missing.insert(Need::PullSecret, reason.to_owned());
        }
        if options.commit.is_none() {
            missing.insert(Need::Commit, "the commit of the image is not given (`--commit`)".to_owned());
        }
        let values = Values {
            image: options.image,
            namespace: name.clone(),
            base_domain: target.base_domain.clone(),
            commit: options.commit.unwrap_or_else(|| "unknown".to_owned()),
            architecture,
            exposure,
        };
        let (file, manifest) = manifests::namespace(&name)?;
        let namespace = TemporaryNamespace::create(&target.client, file, manifest).await?;
        Ok(Self { namespace, values, target, choices: vec![exposure_choice, architecture_choice], missing })
    }

    /// The name of the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace.name
    }

    /// The only environment.
    pub fn selection(&self) -> Selection {
        let (namespace, references) = (Some(self.namespace.name.clone()), vec![SLUG.to_owned()]);
        Selection { namespace, references, ..Selection::default() }
    }

    /// Creates the objects of the cluster owner and of the service, and waits until all replicas are available.
    ///
    /// # Errors
    /// The API server refuses an object, or the pods do not start; the error has the cause that they show.
    pub async fn deploy(&self, notify: &EventSink<'_>) -> Result<(), DemoError> {
        let mut objects = manifests::account(&self.namespace.name)?;
        if let Some(registry) = &self.target.registry {
            objects.extend(manifests::pull_secret(registry, &self.namespace.name)?);
        }
        objects.extend(manifests::service(&self.values)?);
        for (file, object) in &objects as &[Object] {
            create(&self.target.client, file, object).await?;
        }
        let mut environment = self.target.environment(SLUG, None);
        environment.timeout = environment.timeout.max(MIN_TIMEOUT);
        let rollout: Vec<_> = checks::find(ROLLOUT).into_iter().collect();
        let results = run::run(&rollout, &environment, Instant::now(), notify).await;
        let failed = results.iter().find_map(|check| Some((check, check.failure.as_ref()?)));
        failed.map_or(Ok(()), |(check, failure)| {
            Err(DemoError::NotRunning {
                image: self.values.image.clone(),
                namespace: self.namespace.name.clone(),
                failure: describe_in_full(check, failure),
            })
        })
    }

    /// Removes the namespace, and waits until it is gone.
    ///
    /// # Errors
    /// Something in it remains.
    pub async fn remove(self) -> Result<(), NamespaceError> {
        self.namespace.remove().await
    }
}

/// The cluster, with another namespace, and with hosts that no other environment has. The account of its pipeline has no rights there.
fn target_in(target: &Target, namespace: &str) -> Target {
    Target {
        namespace: namespace.to_owned(),
        base_domain: format!("{namespace}.{}", target.base_domain),
        deployer: None,
        deployer_kubeconfig: None,
        deployer_kubectl: None,
        ..target.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the check, nothing would wait for the pods.
    #[test]
    fn the_check_of_the_rollout_exists() {
        assert!(checks::find(ROLLOUT).is_ok());
    }
}
