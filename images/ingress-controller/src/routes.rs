//! What the Ingresses of one class ask for, resolved and in the order in which requests are to be tried.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use controller::names::{is_label, is_name};
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
            if !host.is_empty() && !is_host(&host) {
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
        if ![namespace, &wanted.name, &port_name].into_iter().all(is_label) {
            return None;
        }
        // No label has an underscore: two backends cannot share a name.
        let name = format!("{namespace}_{}_{port_name}", wanted.name);
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
        if !is_label(namespace) || !is_name(name) {
            tracing::warn!(namespace, secret = name, "not a Secret's name: its hosts are not served over TLS");
            return;
        }
        match certificate::bundle(secret) {
            Ok(pem) => {
                let hosts = tls.hosts.iter().flatten().map(|host| host.to_ascii_lowercase());
                let hosts = hosts.filter(|host| is_host(host)).collect();
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

/// A name, or any name directly below one.
fn is_host(host: &str) -> bool {
    is_name(host.strip_prefix("*.").unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{self, ingress, path, rule, secret, service};

    fn routes(ingresses: &[Value]) -> Routes {
        Routes::of(&fixtures::state(ingresses, &[service("a", "10.0.0.1")], &[]), "traefik")
    }

    fn one(rules: &[Value]) -> Routes {
        routes(&[ingress("i", 0, json!({"rules": rules}))])
    }

    fn shown(routes: &Routes) -> Vec<String> {
        routes.routes.iter().map(|it| format!("{} {:?} {} {}", it.host, it.kind, it.path, it.backend)).collect()
    }

    #[test]
    fn order() {
        let rules = [
            rule("", &[path("Exact", "/x", "a"), path("Prefix", "/longest/of/all", "a")]),
            rule("*.test", &[path("Prefix", "/", "a"), path("Exact", "/", "a")]),
            rule("b.test", &[path("Prefix", "/", "a"), path("Prefix", "/a/b", "a"), path("Prefix", "/a", "a")]),
            rule("a.test", &[path("Prefix", "/a/b/c", "a"), path("Exact", "/a", "a")]),
        ];
        let expected = [
            "a.test Exact /a n_a_http",
            "a.test Prefix /a/b/c/ n_a_http",
            "b.test Prefix /a/b/ n_a_http",
            "b.test Prefix /a/ n_a_http",
            "b.test Prefix / n_a_http",
            "*.test Exact / n_a_http",
            "*.test Prefix / n_a_http",
            " Exact /x n_a_http",
            " Prefix /longest/of/all/ n_a_http",
        ];
        assert_eq!(shown(&one(&rules)), expected);
    }

    #[rstest]
    #[case::older_first(0, 1, "n_older_http")]
    #[case::older_last(1, 0, "n_younger_http")]
    fn the_older_ingress_has_the_path(#[case] first: u8, #[case] second: u8, #[case] expected: &str) {
        let claim =
            |service: &str, host: &str, text: &str| json!({"rules": [rule(host, &[path("Prefix", text, service)])]});
        // The same path twice: the host's case and a last slash make no difference.
        let ingresses = [
            ingress("one", first, claim("older", "a.test", "/a")),
            ingress("two", second, claim("younger", "A.Test", "/a/")),
        ];
        assert_eq!(shown(&routes(&ingresses)), [format!("a.test Prefix /a/ {expected}")]);
    }

    #[rstest]
    #[case::prefix("Prefix", "/a", Some("Prefix /a/"))]
    #[case::prefix_with_slash("Prefix", "/a/", Some("Prefix /a/"))]
    #[case::prefix_with_slashes("Prefix", "/a//", Some("Prefix /a/"))]
    #[case::prefix_root("Prefix", "/", Some("Prefix /"))]
    #[case::prefix_empty("Prefix", "", Some("Prefix /"))]
    #[case::exact("Exact", "/a", Some("Exact /a"))]
    #[case::exact_with_slash("Exact", "/a/", Some("Exact /a/"))]
    #[case::implementation("ImplementationSpecific", "/a", Some("Prefix /a/"))]
    #[case::spaces("Prefix", "/a b", Some("Prefix /a b/"))]
    #[case::relative("Prefix", "a", None)]
    #[case::relative_exact("Exact", "a", None)]
    #[case::line_feed("Prefix", "/a\nb", None)]
    #[case::carriage_return("Exact", "/a\r", None)]
    #[case::zero("Exact", "/a\0", None)]
    #[case::delete("Exact", "/a\u{7f}", None)]
    fn paths(#[case] kind: &str, #[case] text: &str, #[case] expected: Option<&str>) {
        let routes = one(&[rule("a.test", &[path(kind, text, "a")])]);
        let expected: Vec<_> = expected.map(|it| format!("a.test {it} n_a_http")).into_iter().collect();
        assert_eq!(shown(&routes), expected);
    }

    #[test]
    fn no_path_is_every_path() {
        let mut any = path("Prefix", "", "a");
        any.as_object_mut().unwrap().remove("path");
        assert_eq!(shown(&one(&[json!({"http": {"paths": [any]}})])), [" Prefix / n_a_http"]);
    }

    #[rstest]
    #[case::none("", true)]
    #[case::name("a.test", true)]
    #[case::one_label("localhost", true)]
    #[case::wildcard("*.test", true)]
    #[case::space("a b", false)]
    #[case::line_feed("a\n    http-request deny", false)]
    #[case::brace("a }", false)]
    #[case::inner_wildcard("a.*.test", false)]
    #[case::wildcard_alone("*", false)]
    #[case::wildcard_of_nothing("*.", false)]
    #[case::two_wildcards("*.*.test", false)]
    #[case::flag("-i", false)]
    #[case::two_dots("a..test", false)]
    #[case::quote("a\"b", false)]
    #[case::too_long(&"a".repeat(64), false)]
    #[case::not_ascii("é.test", false)]
    fn hosts(#[case] host: &str, #[case] accepted: bool) {
        assert_eq!(one(&[rule(host, &[path("Prefix", "/", "a")])]).routes.len(), usize::from(accepted));
    }

    #[test]
    fn a_bad_rule_leaves_the_others() {
        let rules = [
            rule("a b", &[path("Prefix", "/", "a")]),
            rule("b.test", &[path("Prefix", "relative", "a"), path("Exact", "/b", "a")]),
        ];
        assert_eq!(shown(&one(&rules)), ["b.test Exact /b n_a_http"]);
    }

    #[rstest]
    #[case::there("a", "http", &["10.0.0.1:8080"])]
    #[case::no_such_service("missing", "http", &[])]
    #[case::no_such_port("a", "missing", &[])]
    fn backends(#[case] service: &str, #[case] port: &str, #[case] expected: &[&str]) {
        let backend = json!({"service": {"name": service, "port": {"name": port}}});
        let routes = one(&[rule("", &[json!({"pathType": "Prefix", "path": "/", "backend": backend})])]);
        let name = format!("n_{service}_{port}");
        assert_eq!(shown(&routes), [format!(" Prefix / {name}")]);
        let addresses: Vec<_> = routes.backends[&name].iter().map(ToString::to_string).collect();
        assert_eq!(addresses, expected);
    }

    #[rstest]
    #[case::service_with_space(json!({"service": {"name": "a b", "port": {"name": "http"}}}))]
    #[case::service_with_line_feed(json!({"service": {"name": "a\nbackend b", "port": {"name": "http"}}}))]
    #[case::service_with_underscore(json!({"service": {"name": "a_b", "port": {"name": "http"}}}))]
    #[case::port_with_brace(json!({"service": {"name": "a", "port": {"name": "}"}}}))]
    #[case::negative_port(json!({"service": {"name": "a", "port": {"number": -1}}}))]
    #[case::no_port(json!({"service": {"name": "a"}}))]
    #[case::resource(json!({"resource": {"kind": "Bucket", "name": "a"}}))]
    fn no_backends(#[case] backend: Value) {
        let spec = json!({"defaultBackend": backend,
            "rules": [rule("", &[json!({"pathType": "Prefix", "path": "/", "backend": backend})])]});
        assert_eq!(routes(&[ingress("i", 0, spec)]), Routes::default());
    }

    #[test]
    fn the_oldest_default_backend() {
        let spec = |name: &str| json!({"defaultBackend": {"service": {"name": name, "port": {"number": 80}}}});
        let routes = routes(&[ingress("y", 1, spec("b")), ingress("z", 0, spec("a"))]);
        assert_eq!(routes.default_backend.as_deref(), Some("n_a_80"));
        assert_eq!(routes.backends["n_a_80"].len(), 1);
    }

    #[test]
    fn certificates() {
        let pair = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let entries = [("tls.crt", &*pair.cert.pem()), ("tls.key", &*pair.signing_key.serialize_pem())];
        let spec = json!({"tls": [
            {"secretName": "good", "hosts": ["A.test", "*.test", "a b", ""]},
            {"secretName": "bad", "hosts": ["b.test"]},
            {"secretName": "missing", "hosts": ["c.test"]},
            {"secretName": "../odd", "hosts": ["d.test"]},
            {"hosts": ["e.test"]},
        ]});
        let secrets = [secret("good", &entries), secret("bad", &entries[..1]), secret("../odd", &entries)];
        let state = fixtures::state(&[ingress("i", 0, spec)], &[], &secrets);
        let certificates = Routes::of(&state, "traefik").certificates;
        let shown: Vec<_> = certificates.iter().map(|it| (&*it.file, it.hosts.join(" "))).collect();
        assert_eq!(shown, [("n_good.pem", "a.test *.test".to_owned())]);
    }
}
