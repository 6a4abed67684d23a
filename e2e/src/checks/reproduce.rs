//! Commands that show a person the state that a check verifies. They are complete: they can be pasted into a shell.

use std::net::SocketAddr;

use super::environment::{Environment, POD_PORT, Prometheus, proxied};
use crate::environment::command::quoted;

/// How a person reaches an environment and the systems around it.
#[derive(Clone, Debug)]
pub struct Access {
    /// The beginning of a kubectl command for the cluster: `kubectl --context demo`.
    pub kubectl: String,
    /// The same with the pipeline's account; `None` if it is not known.
    pub kubectl_of_pipeline: Option<String>,
    pub namespace: String,
    pub reference: String,
    pub host: String,
    /// Whether an `HTTPRoute` routes requests to it, and no Ingress.
    pub has_http_route: bool,
    /// The address of the Ingress controller; `None` if only this program could reach it.
    pub ingress: Option<SocketAddr>,
    /// The base URL of the registry.
    pub registry: Option<String>,
    pub prometheus: Option<Prometheus>,
}

impl Access {
    /// The access to an environment. `is_forwarded`: the address of the Ingress controller exists only while this program runs.
    pub fn new(
        environment: &Environment,
        kubectl: &str,
        kubectl_of_pipeline: Option<String>,
        is_forwarded: bool,
    ) -> Self {
        Self {
            kubectl: kubectl.to_owned(),
            kubectl_of_pipeline,
            namespace: environment.namespace.clone(),
            reference: environment.reference.clone(),
            host: environment.host.clone(),
            has_http_route: false,
            ingress: environment.ingress.filter(|_| !is_forwarded),
            registry: environment.registry.as_ref().map(|registry| registry.base().to_owned()),
            prometheus: environment.prometheus.clone(),
        }
    }

    /// The commands for a check. Only those for `rollout` change the cluster, and `pod-security` asks it for a dry run.
    pub fn commands(&self, check: &str) -> Vec<String> {
        match check {
            "registry" => [Some(self.field("pods", "{.status.containerStatuses[*].imageID}")), self.without_login()]
                .into_iter()
                .flatten()
                .collect(),
            "pull-secret" => vec![
                self.field("deployments", "{.spec.template.spec.imagePullSecrets}"),
                self.kubectl("get secrets --field-selector type=kubernetes.io/dockerconfigjson"),
                self.kubectl("get events --field-selector reason=Failed"),
            ],
            "rbac" => self.permissions(),
            "pod-security" => vec![
                format!("{} get namespace {} --show-labels", self.kubectl, quoted(&self.namespace)),
                // A dry run stores nothing, so the image need not exist.
                self.kubectl("run privileged --image=registry.invalid/none --privileged --dry-run=server"),
            ],
            "deployment" => vec![
                self.kubectl(&format!("rollout status deployment {} --timeout=10s", self.selector())),
                self.kubectl(&format!("get deployments,replicasets,pods {} --output wide", self.selector())),
            ],
            "readiness" => vec![self.probe("readinessProbe"), self.endpoints(), self.in_pod("/health")],
            "liveness" => vec![
                self.probe("livenessProbe"),
                self.kubectl(&format!("get pods {}", self.selector())),
                self.kubectl("get events --field-selector reason=Unhealthy"),
            ],
            "dns" => vec![
                self.field("deployments", "{.spec.template.spec.dnsPolicy}"),
                self.kubectl(&format!("get services {}", self.selector())),
                format!("{} get pods --namespace kube-system --selector k8s-app=kube-dns --output wide", self.kubectl),
            ],
            "service" => {
                vec![
                    self.kubectl(&format!("get services {} --output wide", self.selector())),
                    self.endpoints(),
                    self.through_service(),
                ]
            }
            "scraping" => self.targets(),
            "ingress" => {
                let mut commands = self.routes();
                commands.push(self.request(&self.host, "/health"));
                commands.push(self.request(&format!("unknown.{}", self.host), "/health"));
                commands
            }
            "version" => vec![
                self.field("deployments", "{.spec.template.metadata.annotations}"),
                self.in_pod("/version"),
                self.kubectl(&format!("logs {} --tail=5", self.selector())),
            ],
            "rollout" => vec![
                "# Restarts the Deployment, and counts the statuses of requests meanwhile.".to_owned(),
                self.kubectl(&format!("rollout restart deployment {}", self.selector())),
                format!(
                    "{} &\nwhile kill -0 $! 2>/dev/null; do {}; done | sort | uniq -c",
                    self.kubectl(&format!("rollout status deployment {} --timeout=2m", self.selector())),
                    self.status_of_request()
                ),
            ],
            _ => Vec::new(),
        }
    }

    /// A kubectl command in the environment's namespace.
    fn kubectl(&self, rest: &str) -> String {
        format!("{} --namespace {} {rest}", self.kubectl, quoted(&self.namespace))
    }

    fn selector(&self) -> String {
        format!("--selector {}", quoted(&format!("ref={}", self.reference)))
    }

    /// The objects that route requests to the environment, with the state that their controller reports.
    fn routes(&self) -> Vec<String> {
        if self.has_http_route {
            let gateways = format!("{} get gateways --all-namespaces --output wide", self.kubectl);
            return vec![self.kubectl(&format!("describe httproutes {}", self.selector())), gateways];
        }
        vec![self.kubectl(&format!("describe ingresses {}", self.selector()))]
    }

    /// A field of each object, one object per line.
    fn field(&self, kinds: &str, path: &str) -> String {
        let path = format!("{{range .items[*]}}{{.metadata.name}}: {path}{{\"\\n\"}}{{end}}");
        self.kubectl(&format!("get {kinds} {} --output jsonpath={}", self.selector(), quoted(&path)))
    }

    fn probe(&self, name: &str) -> String {
        self.field("deployments", &format!("{{.spec.template.spec.containers[*].{name}}}"))
    }

    /// Kubernetes copies the labels of a Service to its `EndpointSlices`.
    fn endpoints(&self) -> String {
        let path = r#"{range .items[*].endpoints[*]}{.targetRef.name}: {.conditions}{"\n"}{end}"#;
        self.kubectl(&format!("get endpointslices {} --output jsonpath={}", self.selector(), quoted(path)))
    }

    /// A request to the path of an object in the namespace, through the API server.
    fn raw(&self, object: &str, path: &str) -> String {
        self.kubectl(&format!("get --raw \"{}\"", proxied(&self.namespace, object, path)))
    }

    fn in_pod(&self, path: &str) -> String {
        let name =
            self.kubectl(&format!("get pods {} --output jsonpath='{{.items[0].metadata.name}}'", self.selector()));
        self.raw(&format!("pods/$({name}):{POD_PORT}"), path)
    }

    fn through_service(&self) -> String {
        let name = "{.items[0].metadata.name}:{.items[0].spec.ports[0].port}";
        let name = self.kubectl(&format!("get services {} --output jsonpath='{name}'", self.selector()));
        self.raw(&format!("services/$({name})"), "/")
    }

    /// The registry must deny this request. It carries no password, so the certificate need not be trusted.
    fn without_login(&self) -> Option<String> {
        Some(format!("curl --include --insecure {}", quoted(&format!("{}/v2/", self.registry.as_ref()?))))
    }

    fn permissions(&self) -> Vec<String> {
        let Some(kubectl) = &self.kubectl_of_pipeline else {
            return vec![self.kubectl("get rolebindings --output wide")];
        };
        let list = |namespace: &str| format!("{kubectl} auth can-i --list --namespace {}", quoted(namespace));
        vec![list(&self.namespace), list("kube-system")]
    }

    fn targets(&self) -> Vec<String> {
        let annotations = self.field("services", "{.metadata.annotations}");
        let targets = self.prometheus.as_ref().map(|prometheus| {
            let path = prometheus.proxied("/api/v1/targets?state=active");
            format!("{} get --raw {}", self.kubectl, quoted(&path))
        });
        std::iter::once(annotations).chain(targets).collect()
    }

    /// A request for a host. Without the controller's address, the host's name must resolve.
    fn request(&self, host: &str, path: &str) -> String {
        match self.ingress {
            Some(address) => {
                let header = quoted(&format!("Host: {host}"));
                format!("curl --include --header {header} {}", quoted(&format!("http://{address}{path}")))
            }
            None => format!("curl --include {}", quoted(&format!("http://{host}{path}"))),
        }
    }

    fn status_of_request(&self) -> String {
        self.request(&self.host, "/").replacen(
            "--include",
            "--silent --output /dev/null --write-out '%{http_code}\\n'",
            1,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::process::Command;

    use super::*;
    use crate::checks::CHECKS;

    fn access() -> Access {
        Access {
            kubectl: "kubectl --context 'it'\\''s mine'".to_owned(),
            kubectl_of_pipeline: Some("kubectl --kubeconfig /a/gitlab.kubeconfig".to_owned()),
            namespace: "gitlab".to_owned(),
            reference: "dev".to_owned(),
            host: "dev.gitlab-k8s-demo.test".to_owned(),
            has_http_route: false,
            ingress: Some(([192, 0, 2, 10], 80).into()),
            registry: Some("https://registry.example.com".to_owned()),
            prometheus: Some(Prometheus {
                namespace: "monitoring".to_owned(),
                service: "prometheus".to_owned(),
                port: "http".to_owned(),
            }),
        }
    }

    fn minimal() -> Access {
        Access { kubectl_of_pipeline: None, ingress: None, registry: None, prometheus: None, ..access() }
    }

    #[test]
    fn the_commands_of_each_check() {
        let mut text = String::new();
        for check in CHECKS {
            let _ = writeln!(text, "# {}\n{}", check.name, access().commands(check.name).join("\n"));
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_shell_accepts_the_commands() {
        for access in [access(), minimal(), Access { has_http_route: true, ..access() }] {
            for check in CHECKS {
                let commands = access.commands(check.name);
                assert!(!commands.is_empty(), "{}", check.name);
                let accepted = Command::new("bash").args(["-n", "-c", &commands.join("\n")]).output().unwrap();
                assert!(accepted.status.success() && accepted.stderr.is_empty(), "{commands:?} {accepted:?}");
            }
        }
    }

    #[test]
    fn a_route_is_shown_with_its_gateway() {
        let commands = Access { has_http_route: true, ..minimal() }.commands("ingress");
        let kubectl = minimal().kubectl;
        assert_eq!(commands[0], format!("{kubectl} --namespace gitlab describe httproutes --selector ref=dev"));
        assert_eq!(commands[1], format!("{kubectl} get gateways --all-namespaces --output wide"));
    }

    /// An address of this program's own port would lead nowhere after its end.
    #[test]
    fn without_an_address_the_name_of_the_host_must_resolve() {
        assert_eq!(minimal().commands("ingress")[1], "curl --include http://dev.gitlab-k8s-demo.test/health");
    }
}
