//! The arguments that select a cluster: the cluster of `e2e up`, or an existing one.

use std::net::SocketAddr;
use std::path::PathBuf;

use container_engine::labels::RunId;
use e2e::checks::connection::{Connection, is_in_pod};
use e2e::checks::discovery::Selection;
use e2e::checks::environment::Prometheus;
use e2e::checks::registry_api::RegistryApi;
use e2e::checks::target;
use e2e::checks::target::{BASE_DOMAIN, DEFAULT_TIMEOUT, RegistryTarget, Target};
use e2e::environment::cluster::owner;
use e2e::environment::cluster_dir::ClusterDir;
use e2e::environment::registry::run as registry;
use tokio::net::lookup_host;

use super::cluster::ClusterArgs;
use super::{CHECK_ACCESS, CHECK_STATUS, CliError, connect, require_answer};

/// A cluster, and the access to its registry, its Ingress controller and its Prometheus.
#[derive(Debug, clap::Args)]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    cluster_args: ClusterArgs,

    /// The kind configuration of the cluster of `e2e up`
    #[arg(long, default_value = "kind-config.yaml", value_name = "FILE")]
    kind_config: PathBuf,

    /// An existing cluster: a context of the kubeconfig
    #[arg(long, visible_alias = "cluster", value_name = "CONTEXT")]
    context: Option<String>,

    /// The kubeconfig of the cluster owner [default: KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The namespace of the deployments [default: `gitlab`; `e2e check` looks for it]
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// The domain of the environments' hosts [default: `gitlab-k8s-demo.test`; `e2e check` uses the hosts of the Ingresses]
    #[arg(long, value_name = "DOMAIN")]
    base_domain: Option<String>,

    /// The kubeconfig of the account that the pipeline deploys with
    #[arg(long, value_name = "FILE")]
    deployer_kubeconfig: Option<PathBuf>,

    /// The service account that the pipeline deploys with, for a check that acts as it
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "deployer_kubeconfig", value_parser = account)]
    deployer_account: Option<String>,

    /// The address of the Ingress controller: an IP address, or a name that this machine resolves
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    ingress: Option<String>,

    /// The Service of Prometheus; the default port is 9090
    #[arg(long, value_name = "NAMESPACE/SERVICE[:PORT]", value_parser = prometheus)]
    prometheus: Option<Prometheus>,

    /// The registry, as in the names of images
    #[arg(long, value_name = "HOST")]
    registry: Option<String>,

    /// The image of the project, without a tag [default: `HOST/PROJECT_PATH`]
    #[arg(long, value_name = "IMAGE", requires = "registry")]
    registry_image: Option<String>,

    /// The user of the registry
    #[arg(long, env = "CI_REGISTRY_USER", value_name = "USER")]
    registry_user: Option<String>,

    /// The file with the password of the registry [default: `CI_REGISTRY_PASSWORD`]
    #[arg(long, value_name = "FILE")]
    registry_password_file: Option<PathBuf>,

    /// The certificate of the authority that signed the registry's certificate
    #[arg(long, value_name = "FILE")]
    registry_ca: Option<PathBuf>,

    /// A network of the engine that jobs join to reach the cluster or the registry; repeatable
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<String>,
}

fn prometheus(text: &str) -> Result<Prometheus, String> {
    let parts = text.split_once('/').and_then(|(namespace, rest)| {
        let (service, port) = rest.split_once(':').unwrap_or((rest, "9090"));
        let is_complete = [namespace, service, port].iter().all(|part| !part.is_empty());
        is_complete.then_some((namespace, service, port))
    });
    let (namespace, service, port) = parts.ok_or("expected NAMESPACE/SERVICE or NAMESPACE/SERVICE:PORT")?;
    Ok(Prometheus { namespace: namespace.to_owned(), service: service.to_owned(), port: port.to_owned() })
}

fn account(text: &str) -> Result<String, String> {
    let pair = text.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
    pair.map(|_| text.to_owned()).ok_or_else(|| "expected NAMESPACE/NAME".to_owned())
}

fn address(text: &str) -> Result<String, String> {
    let is_name = |host: &str| !host.is_empty() && !host.contains([':', '/']);
    let is_pair = |(host, port): (&str, &str)| is_name(host) && port.parse::<u16>().is_ok();
    if text.parse::<SocketAddr>().is_ok() || text.rsplit_once(':').is_some_and(is_pair) {
        return Ok(text.to_owned());
    }
    Err("expected ADDRESS:PORT, for example 192.0.2.10:80 or traefik.ingress.svc:80".to_owned())
}

/// Resolves a name once, so that checks measure the service, not the resolver.
async fn resolve(address: &str) -> Result<SocketAddr, CliError> {
    let failed = |reason: &str| CliError::environment(format!("cannot resolve --ingress {address}: {reason}"));
    let mut found = lookup_host(address).await.map_err(|error| failed(&error.to_string()))?;
    found.next().ok_or_else(|| failed("the name has no address"))
}

/// The error about a flag without an existing cluster.
fn without_effect(flag: &str) -> CliError {
    CliError::Usage(format!(
        "{flag} describes an existing cluster: also give --context or --kubeconfig, or leave it out for the cluster of `make up`"
    ))
}

impl TargetArgs {
    /// Whether an existing cluster is selected.
    pub(crate) fn is_existing(&self) -> bool {
        self.context.is_some() || self.kubeconfig.is_some()
    }

    /// The cluster of `e2e up`, and its kind configuration.
    ///
    /// # Errors
    /// A given flag would have no effect.
    pub(crate) fn kind(&self) -> Result<(&ClusterArgs, PathBuf), CliError> {
        self.refuse_access()?;
        if self.namespace.is_some() {
            return Err(without_effect("--namespace"));
        }
        Ok((&self.cluster_args, self.kind_config.clone()))
    }

    /// Refuses the flags that describe the access to an existing cluster: that of `e2e up` is known. `--registry-user` is not among them,
    /// because its variable is set in every job of GitLab.
    fn refuse_access(&self) -> Result<(), CliError> {
        let given = [
            ("--base-domain", self.base_domain.is_some()),
            ("--deployer-kubeconfig", self.deployer_kubeconfig.is_some()),
            ("--ingress", self.ingress.is_some()),
            ("--prometheus", self.prometheus.is_some()),
            ("--registry", self.registry.is_some()),
            ("--registry-password-file", self.registry_password_file.is_some()),
            ("--registry-ca", self.registry_ca.is_some()),
            ("--network", !self.networks.is_empty()),
        ];
        let first = given.into_iter().find(|(_, is_given)| *is_given);
        first.map_or(Ok(()), |(flag, _)| Err(without_effect(flag)))
    }

    /// Finds the cluster, and the access to its registry, its Ingress controller and its Prometheus. In a pod without a cluster of
    /// `e2e up`, it is the cluster of the pod.
    pub(crate) async fn target(&self) -> Result<Target, CliError> {
        if self.is_of_up()? {
            self.refuse_access()?;
            let (state, docker) = (self.cluster_args.state()?, connect().await?);
            let Some(run) = self.noted_run(&state) else {
                let name = &self.cluster_args.name;
                let message =
                    format!("there is no cluster {name}: run `make up`, or select an existing one with --context");
                return Err(CliError::Usage(message));
            };
            let registry = registry::running(&docker, &run, &state).await;
            let target = Target::from_kind(&state, &run.cluster, &self.kind_config, registry.as_ref()).await?;
            let namespace = self.namespace.clone().unwrap_or_else(|| target.namespace.clone());
            return Ok(Target { namespace, ..target });
        }
        let connection = if self.is_existing() {
            Connection::existing(self.kubeconfig.as_deref(), self.context.as_deref()).await?
        } else {
            Connection::from_pod()?
        };
        let (deployer, deployer_kubeconfig) = match &self.deployer_kubeconfig {
            Some(path) => (Some(Connection::from_file(path, None).await?.client()?), Some(target::read(path)?)),
            None => (None, None),
        };
        let ingress = match &self.ingress {
            Some(address) => Some(resolve(address).await?),
            None => None,
        };
        let registry = match self.registry()? {
            None => self.kind_registry(&connection).await?,
            given => given,
        };
        Ok(Target {
            client: connection.client()?,
            connection,
            kubectl: target::kubectl(self.kubeconfig.as_deref(), self.context.as_deref()),
            deployer_kubectl: self.deployer_kubeconfig.as_deref().map(|path| target::kubectl(Some(path), None)),
            deployer_kubeconfig,
            deployer,
            namespace: self.namespace.clone().unwrap_or_else(|| owner::NAMESPACE.to_owned()),
            base_domain: self.base_domain.clone().unwrap_or_else(|| BASE_DOMAIN.to_owned()),
            ingress,
            registry,
            prometheus: self.prometheus.clone(),
            networks: self.networks.clone(),
            timeout: DEFAULT_TIMEOUT,
        })
    }

    /// Like [`target`](Self::target), but fails if the cluster does not answer.
    pub(crate) async fn answering_target(&self) -> Result<Target, CliError> {
        let target = self.target().await?;
        let help = if self.is_of_up()? { CHECK_STATUS } else { CHECK_ACCESS };
        require_answer(&target.connection, &target.client, help).await?;
        Ok(target)
    }

    /// Whether the cluster is that of `e2e up`. Otherwise it is an existing one, or that of the pod that this program runs in.
    fn is_of_up(&self) -> Result<bool, CliError> {
        Ok(!self.is_existing() && (!is_in_pod() || self.cluster_args.state()?.noted_run().is_some()))
    }

    /// The run that created the cluster of `e2e up`, if that cluster exists.
    fn noted_run(&self, state: &ClusterDir) -> Option<RunId> {
        Some(RunId { id: state.noted_run()?, cluster: self.cluster_args.name.clone() })
    }

    /// The registry of `e2e up`, if the connection is to its cluster.
    async fn kind_registry(&self, connection: &Connection) -> Result<Option<RegistryTarget>, CliError> {
        let state = self.cluster_args.state()?;
        let own = Connection::from_file(&state.kubeconfig(), None).await;
        let (Some(run), Ok(own)) = (self.noted_run(&state), own) else { return Ok(None) };
        let (true, Ok(docker)) = (own.has_server_of(connection), connect().await) else { return Ok(None) };
        let registry = registry::running(&docker, &run, &state).await;
        Ok(registry.as_ref().map(RegistryTarget::from_registry).transpose()?)
    }

    /// The user's selection for the search in the cluster. Without one, the namespace of the cluster of `e2e up`, or of the cluster of the
    /// pod that this program runs in, is `gitlab`. The hosts are known only for the cluster of `e2e up`.
    pub(crate) fn selection(&self, references: Vec<String>, is_read_only: bool) -> Result<Selection, CliError> {
        let own = (!self.is_existing()).then(|| owner::NAMESPACE.to_owned());
        let namespace = self.namespace.clone().or(own);
        let has_known_hosts = self.is_of_up()? || self.base_domain.is_some();
        let account = self.deployer_account.clone();
        Ok(Selection { namespace, references, account, host: None, has_known_hosts, is_read_only })
    }

    fn registry(&self) -> Result<Option<RegistryTarget>, CliError> {
        let Some(host) = &self.registry else { return Ok(None) };
        let password = match &self.registry_password_file {
            Some(path) => Some(target::read(path)?.trim_end_matches('\n').to_owned()),
            None => std::env::var("CI_REGISTRY_PASSWORD").ok(),
        };
        let (Some(user), Some(password)) = (self.registry_user.clone(), password) else {
            let required = "--registry-user and --registry-password-file, or CI_REGISTRY_USER and CI_REGISTRY_PASSWORD";
            return Err(CliError::Usage(format!("the registry {host} requires a login: {required}")));
        };
        let authority = self.registry_ca.as_deref().map(target::read).transpose()?;
        let api = RegistryApi::new(host, &format!("https://{host}"), (&user, &password), authority.as_deref())?;
        let image = self.registry_image.clone();
        if let Some(image) = image.as_ref().filter(|image| !image.starts_with(&format!("{host}/"))) {
            return Err(CliError::Usage(format!(
                "--registry-image {image}: expected an image of the registry, as {host}/group/project"
            )));
        }
        let has_private_authority = authority.is_some();
        Ok(Some(RegistryTarget { host: host.clone(), image, user, password, has_private_authority, api }))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_ingress_controller_has_an_ip_address_or_a_name_and_a_port() {
        for good in ["192.0.2.10:80", "[2001:db8::1]:80", "traefik.ingress.svc:8080"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in ["192.0.2.10", "traefik.ingress.svc", ":80", "2001:db8::1:80", "http://traefik:80", "traefik:http"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[rstest]
    #[case::port("monitoring/prometheus:80", Some("80"))]
    #[case::default_port("monitoring/prometheus", Some("9090"))]
    #[case::empty_port("monitoring/prometheus:", None)]
    #[case::no_namespace("/prometheus:9090", None)]
    #[case::no_service("monitoring/:9090", None)]
    #[case::no_slash("prometheus:9090", None)]
    fn a_service_of_prometheus_has_a_namespace_a_name_and_a_port(#[case] text: &str, #[case] port: Option<&str>) {
        let parsed = prometheus(text).map(|found| (found.namespace, found.service, found.port)).ok();
        assert_eq!(parsed, port.map(|port| ("monitoring".to_owned(), "prometheus".to_owned(), port.to_owned())));
    }

    #[rstest]
    #[case::both("gitlab/gitlab", true)]
    #[case::no_namespace("/gitlab", false)]
    #[case::no_name("gitlab/", false)]
    #[case::no_slash("gitlab", false)]
    fn an_account_has_a_namespace_and_a_name(#[case] text: &str, #[case] is_valid: bool) {
        assert_eq!(account(text).is_ok(), is_valid);
    }

    #[derive(clap::Parser)]
    struct Parsed {
        #[command(flatten)]
        target_args: TargetArgs,
    }

    #[rstest]
    #[case::ingress(&["--ingress", "192.0.2.10:80"], Some("--ingress"))]
    #[case::registry(&["--registry", "registry.example.com", "--registry-user", "a"], Some("--registry"))]
    #[case::network(&["--network", "kind"], Some("--network"))]
    #[case::namespace(&["--namespace", "shop"], Some("--namespace"))]
    #[case::user_from_the_environment_of_a_job(&["--registry-user", "gitlab-ci-token"], None)]
    #[case::nothing(&[], None)]
    fn a_flag_without_effect_is_refused(#[case] arguments: &[&str], #[case] refused: Option<&str>) {
        let parsed = <Parsed as clap::Parser>::parse_from([&["e2e"], arguments].concat());
        let message = parsed.target_args.kind().err().map(|error| match error {
            CliError::Usage(message) => message,
            other => panic!("{other:?}"),
        });
        let flag = message.map(|message| message.split_once(" describes an existing cluster").unwrap().0.to_owned());
        assert_eq!(flag.as_deref(), refused);
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_an_error_with_the_flag() {
        assert_eq!(resolve("127.0.0.1:80").await.map_err(drop), Ok(([127, 0, 0, 1], 80).into()));
        let error = resolve("traefik.invalid:80").await.unwrap_err();
        assert!(matches!(error, CliError::Environment(error)
            if error.to_string().starts_with("cannot resolve --ingress traefik.invalid:80: ")));
    }
}
