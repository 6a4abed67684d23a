//! The CI/CD variables that a project has in GitLab's settings, and the jobs that need them.

use std::sync::Arc;

use crate::checks::target::Target;
use gitlab_ci::config::image::Image;
use gitlab_ci::plan::PlannedJob;
use gitlab_ci::variables::collection::{Origin, Variable};
use gitlab_ci::variables::settings::Setting;
use gitlab_runner::variables::architecture;

/// The registry of a target, as the variables describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryVariables {
    /// `CI_REGISTRY`
    pub host: String,
    /// `CI_REGISTRY_IMAGE`
    pub image: String,
    /// Whether `INSECURE_REGISTRY` names the registry, because the jobs' engines do not know the authority of its certificate.
    pub is_insecure: bool,
}

impl RegistryVariables {
    /// The registry of `target` for the project at `path`.
    pub fn from_target(target: &Target, path: &str) -> Option<Self> {
        let registry = target.registry.as_ref()?;
        Some(Self {
            host: registry.host.clone(),
            image: registry.image_of(path),
            is_insecure: registry.has_private_authority,
        })
    }
}

/// The variables of a target that is not up yet: their values follow later.
pub fn placeholders(
    base_domain: &str,
    namespace: &str,
    registry: Option<&RegistryVariables>,
    has_kubeconfig: bool,
) -> Vec<Setting> {
    let mut all = known(base_domain, namespace, registry);
    all.push(plain("KUBE_ARCH", architecture()));
    all.push(secret("CI_REGISTRY_PASSWORD", ""));
    all.extend(has_kubeconfig.then(|| file("KUBECONFIG", "")));
    all.into_iter().map(setting).collect()
}

/// The variables of a target. `path` is that of the project: `group/project`. Without `KUBECONFIG`, jobs use the account of their pods.
pub fn from_target(target: &Target, path: &str, has_kubeconfig: bool) -> Arc<[Variable]> {
    let registry = RegistryVariables::from_target(target, path);
    let mut all = known(&target.base_domain, &target.namespace, registry.as_ref());
    if let Some(registry) = &target.registry {
        all.push(plain("CI_REGISTRY_USER", &registry.user));
        all.push(secret("CI_REGISTRY_PASSWORD", &registry.password));
    }
    let kubeconfig = target.deployer_kubeconfig.as_deref().filter(|_| has_kubeconfig);
    all.extend(kubeconfig.map(|text| file("KUBECONFIG", text)));
    all.into()
}

/// The account of manifests/runner that deploys.
const DEPLOYER: &str = "deployer";

/// The variable by which the jobs of these environments use the deployer's account: docs/runner.md.
pub(super) fn deployer_account<'name>(environments: impl Iterator<Item = &'name str>) -> Vec<Setting> {
    let account = || plain("KUBERNETES_SERVICE_ACCOUNT_OVERWRITE", DEPLOYER);
    environments.map(|name| Setting { scope: name.to_owned(), ..setting(account()) }).collect()
}

/// The variables whose values are known before the target is up.
fn known(base_domain: &str, namespace: &str, registry: Option<&RegistryVariables>) -> Vec<Variable> {
    let mut all = vec![plain("KUBE_INGRESS_BASE_DOMAIN", base_domain), plain("KUBE_NAMESPACE", namespace)];
    if let Some(registry) = registry {
        all.push(plain("CI_REGISTRY", &registry.host));
        all.push(plain("CI_REGISTRY_IMAGE", &registry.image));
        if registry.is_insecure {
            all.push(plain("INSECURE_REGISTRY", &registry.host));
        }
    }
    all
}

fn plain(key: &str, value: &str) -> Variable {
    // A `$` in a password is not expanded.
    Variable { raw: true, ..Variable::new(key, value, Origin::Project) }
}

fn secret(key: &str, value: &str) -> Variable {
    Variable { masked: true, ..plain(key, value) }
}

/// A masked file variable: a kubeconfig contains a token.
fn file(key: &str, value: &str) -> Variable {
    Variable { file: true, ..secret(key, value) }
}

fn setting(variable: Variable) -> Setting {
    Setting { variable, scope: "*".to_owned(), protected: false, hidden: false }
}

/// Whether a job needs the registry or the cluster: it has an environment, or one of its texts names one of these variables. The names of
/// jobs and stages do not matter.
pub fn needs_target(planned: &PlannedJob) -> bool {
    let job = &planned.job;
    let names = |text: &str| text.contains("CI_REGISTRY") || text.contains("KUBE");
    let is_in_image = |image: &Image| names(&image.name) || image.variables.iter().any(|it| names(&it.value));
    let mut commands = job.before_script.iter().chain(&job.script).chain(&job.after_script);
    planned.environment.is_some()
        || commands.any(|command| names(&command.value) || command.value.contains("kubectl"))
        || job.image.iter().chain(&job.services).any(is_in_image)
        || job.variables.iter().any(|variable| names(&variable.value))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use gitlab_ci::testing::plan;

    #[rstest]
    #[case::a_test("script: cargo test", false)]
    #[case::a_push("script: docker push $CI_REGISTRY_IMAGE:1", true)]
    #[case::a_deployment("{script: ./deploy, environment: dev}", true)]
    #[case::kubectl("script: kubectl get pods", true)]
    #[case::an_image_of_the_registry("{script: x, image: $CI_REGISTRY/tools}", true)]
    #[case::a_variable("{script: x, variables: {A: $CI_REGISTRY_USER}}", true)]
    fn a_job_that_uses_these_variables_waits_for_the_cluster(#[case] job: &str, #[case] expected: bool) {
        let text = if job.starts_with('{') { format!("a: {job}\n") } else { format!("a:\n  {job}\n") };
        assert_eq!(needs_target(&plan(&text).jobs[0]), expected);
    }

    #[test]
    fn without_a_kubeconfig_the_deploy_jobs_use_the_account_of_the_runner() {
        let keys = |has_kubeconfig| {
            let settings = placeholders("example.test", "gitlab", None, has_kubeconfig);
            settings.iter().map(|setting| setting.variable.key.to_string()).collect::<Vec<_>>()
        };
        assert!(keys(true).contains(&"KUBECONFIG".to_owned()));
        assert!(!keys(false).contains(&"KUBECONFIG".to_owned()));
        let accounts = deployer_account(["dev", "live"].into_iter());
        let scopes: Vec<_> = accounts.iter().map(|it| (&*it.scope, &*it.variable.key, &*it.variable.value)).collect();
        let key = "KUBERNETES_SERVICE_ACCOUNT_OVERWRITE";
        assert_eq!(scopes, [("dev", key, "deployer"), ("live", key, "deployer")]);
    }
}
