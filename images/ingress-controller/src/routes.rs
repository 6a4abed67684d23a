//! What the Ingresses of one class ask for, resolved and in the order in which requests are to be tried.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressBackend, IngressTLS};

use crate::certificate;
use crate::ports;
use crate::state::State;

/// How a rule's path is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathKind {
    /// The same path, byte by byte.
    Exact,
    /// The same leading elements: `/a` is a prefix of `/a` and `/a/b`, not of `/ab`.
    Prefix,
}

/// One rule: which requests go where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// A name, `*.` and a parent, or empty for every host; lower case.
    pub host: String,
    /// How the path is compared.
    pub kind: PathKind,
    /// The path; a prefix always ends in a slash.
    pub path: String,
    /// A key of [`Routes::backends`].
    pub backend: String,
}

impl Route {
    /// What decides first: a named host before a wildcard before none, an exact path before a prefix, and the longer
    /// prefix before the shorter. The sort that uses it is stable, so an older Ingress stays before a younger one.
    fn order(&self) -> impl Ord + use<> {
        let vagueness = if self.host.is_empty() { 2 } else { u8::from(self.host.starts_with("*.")) };
        (vagueness, self.host.clone(), self.kind, Reverse(self.path.len()), self.path.clone())
    }
}

/// A certificate and the names for which it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The file's name, made of the Secret's namespace and name.
    pub file: String,
    /// Chain and key.
    pub pem: String,
    /// The names as in the Ingress; none means those in the certificate itself.
    pub hosts: Vec<String>,
}

/// All that the proxy is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// In the order in which they are tried.
    pub routes: Vec<Route>,
    /// Where the rest goes, if anywhere.
    pub default_backend: Option<String>,
    /// The ready addresses of each backend.
    pub backends: BTreeMap<String, Vec<SocketAddr>>,
    /// What TLS is answered with.
    pub certificates: Vec<Certificate>,
}

impl Routes {
    /// Resolves what the Ingresses of `class` ask for. What cannot be served is logged and left out.
    pub fn of(state: &State, class: &str) -> Self {
        let mut routes = Self::default();
        for ingress in state.ingresses_of(class) {
            routes.add(state, ingress);
        }
        routes.routes.sort_by_cached_key(Route::order);
        routes.routes.dedup_by(|later, earlier| {
            (&later.host, later.kind, &later.path) == (&earlier.host, earlier.kind, &earlier.path)
        });
        routes
    }

    fn add(&mut self, state: &State, ingress: &Ingress) {
        let namespace = ingress.metadata.namespace.as_deref().unwrap_or_default();
        let Some(spec) = &ingress.spec else { return };
        if let Some(backend) = &spec.default_backend {
            let name = self.backend(state, namespace, backend);
            self.default_backend = self.default_backend.take().or(name);
        }
        for rule in spec.rules.iter().flatten() {
            let host = rule.host.as_deref().unwrap_or_default().to_ascii_lowercase();
            if !is_host(&host) {
                tracing::warn!(namespace, ingress = ingress.metadata.name, host, "not a host name: rule left out");
                continue;
            }
            for path in rule.http.iter().flat_map(|http| &http.paths) {
                let Some((kind, text)) = path_of(path) else {
                    tracing::warn!(namespace, ingress = ingress.metadata.name, path = ?path.path, "path left out");
                    continue;
                };
                if let Some(backend) = self.backend(state, namespace, &path.backend) {
                    self.routes.push(Route { host: host.clone(), kind, path: text, backend });
                }
            }
        }
        for tls in spec.tls.iter().flatten() {
            self.add_certificate(state, namespace, tls);
        }
    }

    /// Notes the backend and returns its name. A Service that does not exist is a backend without addresses: it
    /// answers 503, since the rule is right and only its Service is missing.
    fn backend(&mut self, state: &State, namespace: &str, backend: &IngressBackend) -> Option<String> {
        let wanted = backend.service.as_ref()?;
        let port = wanted.port.as_ref()?;
        let port_name = port.name.clone().or_else(|| port.number.map(|number| number.to_string()))?;
        // Neither namespaces nor names can contain an underscore.
        let name = format!("{namespace}_{}_{port_name}", wanted.name);
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return None;
        }
        let service = state.service(namespace, &wanted.name);
        let addresses = match (service, state.endpoints(namespace, &wanted.name)) {
            (Some(service), Some(endpoints)) => ports::resolve(service, endpoints, port),
            _ => Vec::new(),
        };
        self.backends.insert(name.clone(), addresses);
        Some(name)
    }

    fn add_certificate(&mut self, state: &State, namespace: &str, tls: &IngressTLS) {
        let Some(name) = tls.secret_name.as_deref() else { return };
        let Some(secret) = state.secret(namespace, name) else {
            tracing::warn!(namespace, secret = name, "no such TLS Secret: its hosts are not served over TLS");
            return;
        };
        match certificate::bundle(secret) {
            Ok(pem) => {
                let hosts = tls.hosts.iter().flatten().map(|host| host.to_ascii_lowercase());
                let hosts = hosts.filter(|host| !host.is_empty() && is_host(host)).collect();
                self.certificates.push(Certificate { file: format!("{namespace}_{name}.pem"), pem, hosts });
            }
            Err(error) => {
                tracing::warn!(namespace, secret = name, %error, "bad TLS Secret: its hosts are not served over TLS");
            }
        }
    }
}

/// `None` for a path that cannot be served: not absolute, or with characters that no request line can carry.
fn path_of(path: &HTTPIngressPath) -> Option<(PathKind, String)> {
    let text = path.path.as_deref().filter(|text| !text.is_empty()).unwrap_or("/");
    if !text.starts_with('/') || text.chars().any(char::is_control) {
        return None;
    }
    // What the implementation makes of ImplementationSpecific is up to it: a prefix, as with most others.
    Some(match path.path_type.as_str() {
        "Exact" => (PathKind::Exact, text.to_owned()),
        _ => (PathKind::Prefix, format!("{}/", text.trim_end_matches('/'))),
    })
}

/// The API server checks this too; but what is written into a configuration is not left to somebody else.
fn is_host(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)) && !name.starts_with(['-', '.'])
}
