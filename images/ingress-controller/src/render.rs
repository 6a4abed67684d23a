//! From routes to the text of a configuration; nothing here touches a file or a process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::routes::{PathKind, Route, Routes};
use crate::state::State;

/// What the cluster does not decide.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The class that is served.
    pub ingress_class: String,
    /// Where plain HTTP is taken.
    pub http: SocketAddr,
    /// Where TLS is taken.
    pub https: SocketAddr,
    /// Where `/healthz` answers.
    pub health: SocketAddr,
    /// The folder of the configuration, its certificates and its sockets.
    pub directory: PathBuf,
    /// How long connections may take to end after a reload or at the end.
    pub drain_seconds: u32,
}

/// One configuration, complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text of `haproxy.cfg`.
    pub configuration: String,
    /// Which certificate for which name: the text of `certificates.list`.
    pub certificate_list: String,
    /// File name and content of each certificate.
    pub certificates: BTreeMap<String, String>,
}

/// Renders the configuration for `state`.
pub fn render(state: &State, settings: &Settings) -> Rendered {
    let routes = Routes::of(state, &settings.ingress_class);
    let mut certificates = BTreeMap::new();
    let mut lines = BTreeSet::new();
    for certificate in &routes.certificates {
        let file = settings.directory.join("certificates").join(&certificate.file);
        let line = format!("{} [alpn h2,http/1.1]", file.display());
        if certificate.hosts.is_empty() {
            lines.insert(format!("{line}\n"));
        }
        // A line for each: HAProxy refuses lines beyond a certain length.
        lines.extend(certificate.hosts.iter().map(|host| format!("{line} {host}\n")));
        certificates.insert(certificate.file.clone(), certificate.pem.clone());
    }
    let certificate_list = lines.into_iter().collect();
    Rendered { configuration: configuration(&routes, settings), certificate_list, certificates }
}

fn configuration(routes: &Routes, settings: &Settings) -> String {
    let mut text = preamble(settings);
    for route in &routes.routes {
        text.push_str(&rule(route));
    }
    text.push_str("    default_backend ");
    text.push_str(routes.default_backend.as_deref().unwrap_or("not-found"));
    text.push_str("\n\n");
    for (name, addresses) in &routes.backends {
        text.push_str(&backend(name, addresses));
    }
    // A dash, where every other backend has an underscore: the name cannot clash.
    text.push_str("backend not-found\n");
    text.push_str("    http-request return status 404 content-type text/plain string \"404 page not found\\n\"\n");
    text
}

/// The part that no Ingress changes.
///
/// - `maxconn` is fixed because the default comes from the limit of open files, which container engines set to a
///   thousand million: memory for that many connections is then taken at the start.
/// - `idle-close-on-response`: an old process answers what comes on its idle connections, and closes after that.
/// - Retries go to another address. A request whose answer never began is repeated too, but only where HTTP says
///   that twice is as good as once.
/// - `strict-sni` refuses a TLS handshake for a name that nobody has a certificate for, and allows an empty list.
fn preamble(settings: &Settings) -> String {
    let Settings { http, https, health, directory, drain_seconds, .. } = settings;
    let directory = directory.display();
    format!(
        r#"global
    log stdout format raw local0 notice
    maxconn 4096
    nbthread 2
    hard-stop-after {drain_seconds}s
    stats socket {directory}/admin.sock mode 600 level admin expose-fd listeners
    ssl-default-bind-options ssl-min-ver TLSv1.2

defaults
    mode http
    log global
    option httplog
    option dontlog-normal
    option dontlognull
    option redispatch 1
    option forwardfor
    option idle-close-on-response
    retries 3
    retry-on conn-failure empty-response
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout queue 5s
    timeout tunnel 1h
    timeout http-request 10s
    timeout http-keep-alive 15s

frontend health
    bind {health}
    http-request return status 200 content-type text/plain string "ok\n" if {{ path /healthz }}
    http-request return status 404

frontend web
    bind {http}
    bind {https} ssl strict-sni crt-list {directory}/certificates.list
    http-request disable-l7-retry unless {{ method GET HEAD OPTIONS TRACE PUT DELETE }}
    http-request del-header X-Forwarded-For
    http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-var(txn.host) req.hdr(host),host_only,lower
    http-request set-var(txn.wildcard) var(txn.host),regsub(^[^.]*,*)
    http-request set-var(txn.elements) path,concat(/)
"#
    )
}

/// One line of the frontend. A prefix is compared with the request's path and a slash behind it: so `/a/` fits `/a`.
fn rule(route: &Route) -> String {
    let host = match route.host.as_str() {
        "" => String::new(),
        host if host.starts_with("*.") => format!("{{ var(txn.wildcard) -m str {host} }} "),
        host => format!("{{ var(txn.host) -m str {host} }} "),
    };
    let path = escape(&route.path);
    let path = match route.kind {
        PathKind::Exact => format!("{{ path -m str {path} }}"),
        PathKind::Prefix => format!("{{ var(txn.elements) -m beg {path} }}"),
    };
    format!("    use_backend {} if {host}{path}\n", route.backend)
}

fn backend(name: &str, addresses: &[SocketAddr]) -> String {
    let mut text = format!("backend {name}\n");
    for address in addresses {
        // Colons are fine in a server's name, brackets are not.
        let server = address.to_string().replace(['[', ']'], "");
        let _ = writeln!(text, "    server {server} {address}");
    }
    text.push('\n');
    text
}

/// Everything that could mean something to `HAProxy`'s parser, as a number.
fn escape(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~:@!+=%&".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use controller::names::is_name;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::fixtures::{self, ingress, path, secret, service, state};

    fn settings() -> Settings {
        let at = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Settings {
            ingress_class: "traefik".into(),
            http: at(80),
            https: at(443),
            health: at(8081),
            directory: "/run/ingress-controller".into(),
            drain_seconds: 20,
        }
    }

    #[test]
    fn a_whole_configuration() {
        let spec = json!({
            "defaultBackend": {"service": {"name": "rest", "port": {"number": 80}}},
            "tls": [{"secretName": "t", "hosts": ["a.test", "b.test"]}, {"secretName": "t.any"}],
            "rules": [
                fixtures::rule("a.test", &[path("Prefix", "/", "web"), path("Exact", "/odd \"{path}\\#$é", "web")]),
                fixtures::rule("*.test", &[path("Prefix", "/a", "version-6")]),
                fixtures::rule("", &[path("ImplementationSpecific", "/none", "missing")]),
            ],
        });
        let services = [service("web", "10.0.0.1"), service("version-6", "fd00::1"), service("rest", "10.0.0.2")];
        let pair = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let entries = [("tls.crt", &*pair.cert.pem()), ("tls.key", &*pair.signing_key.serialize_pem())];
        let secrets = [secret("t", &entries), secret("t.any", &entries)];
        let rendered = render(&state(&[ingress("i", 0, spec)], &services, &secrets), &settings());
        let Rendered { configuration, certificate_list, certificates } = rendered;
        insta::assert_snapshot!(format!("# haproxy.cfg\n{configuration}\n# certificates.list\n{certificate_list}"));
        assert_eq!(certificates.keys().collect::<Vec<_>>(), ["n_t.any.pem", "n_t.pem"]);
    }

    #[test]
    fn without_routes_everything_is_not_found() {
        let Rendered { configuration, certificate_list, certificates } = render(&State::default(), &settings());
        let rest = configuration.strip_prefix(&preamble(&settings())).unwrap();
        assert!(rest.starts_with("    default_backend not-found\n\nbackend not-found\n"), "{rest}");
        assert_eq!((certificate_list.as_str(), certificates.len()), ("", 0));
    }

    #[rstest]
    #[case::plain("/a-b_c.d~e:f@g!h+i=j%20k&l", "/a-b_c.d~e:f@g!h+i=j%20k&l")]
    #[case::space("/a b", "/a\\x20b")]
    #[case::braces("/{}", "/\\x7b\\x7d")]
    #[case::quotes("/\"'", "/\\x22\\x27")]
    #[case::backslash("/\\", "/\\x5c")]
    #[case::comment("/#", "/\\x23")]
    #[case::variable("/$HOME", "/\\x24HOME")]
    #[case::line_feed("/\n", "/\\x0a")]
    #[case::several_bytes("/é", "/\\xc3\\xa9")]
    #[case::empty("", "")]
    fn escaped(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(escape(path), expected);
    }

    const HOSTILE: &[&str] =
        &["\n", "\r\n", " ", "{", "}", "\"", "'", "#", "\\", "$", "%[", "(", ",", "\0", "\u{85}", "\u{2028}"];

    /// A good word, one with something hostile in it, or anything.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[a-z][a-z0-9]{0,4}",
            1 => ("[a-z]{0,3}", prop::sample::select(HOSTILE), "[a-z]{1,3}").prop_map(|(left, middle, right)| left + middle + &right),
            1 => Just("a }\n    http-request deny".to_owned()),
            1 => any::<String>(),
        ]
    }

    fn host() -> impl Strategy<Value = String> {
        (prop::sample::select(["", "*.", "a."].as_slice()), text()).prop_map(|(start, rest)| start.to_owned() + &rest)
    }

    fn is_word(word: &str) -> bool {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !word.is_empty() && word.bytes().all(safe)
    }

    /// An absolute path of safe characters and of numbers.
    fn is_escaped(path: &str) -> bool {
        let mut parts = path.split('\\');
        let plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~:@!+=%&".contains(&byte));
        let numbered = |text: &str| {
            let number = text.strip_prefix('x').and_then(|rest| rest.split_at_checked(2));
            number.is_some_and(|(number, rest)| {
                u8::from_str_radix(number, 16).is_ok_and(|byte| byte >= 0x20) && plain(rest)
            })
        };
        path.starts_with('/') && parts.next().is_some_and(plain) && parts.all(numbered)
    }

    fn is_host_condition(words: &[&str]) -> bool {
        match words {
            [] => true,
            ["{", "var(txn.wildcard)", "-m", "str", host, "}"] => host.strip_prefix("*.").is_some_and(is_name),
            ["{", "var(txn.host)", "-m", "str", host, "}"] => is_name(host),
            _ => false,
        }
    }

    fn is_rule(line: &str) -> bool {
        let words: Vec<_> = line.strip_prefix("    ").unwrap_or_default().split(' ').collect();
        let ["use_backend", backend, "if", conditions @ ..] = words.as_slice() else { return false };
        let Some((host, path)) = conditions.split_last_chunk() else { return false };
        let (["{", "path", "-m", "str", path, "}"] | ["{", "var(txn.elements)", "-m", "beg", path, "}"]) = path else {
            return false;
        };
        is_word(backend) && is_host_condition(host) && is_escaped(path)
    }

    fn is_backend(line: &str) -> bool {
        let server = |name: &str, address: &str| {
            address.parse::<SocketAddr>().is_ok_and(|it| it.to_string().replace(['[', ']'], "") == name)
        };
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            [""] => true,
            ["backend", name] => is_word(name),
            ["", "", "", "", "server", name, address] => server(name, address),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn no_text_adds_a_line_or_a_word(
            [text, kind, service, port, namespace, secret_name] in [text(), text(), text(), text(), text(), text()],
            (host, ip) in (host(), prop_oneof![Just("10.0.0.1".to_owned()), text()]),
            exact in any::<bool>(),
        ) {
            let kind = if exact { "Exact".to_owned() } else { kind };
            let backend = json!({"service": {"name": service, "port": {"name": port}}});
            let mut path = json!({"pathType": kind, "path": format!("/{text}"), "backend": backend});
            let first = path.clone();
            path["path"] = json!(text);
            let spec = json!({
                "defaultBackend": backend,
                "tls": [{"secretName": secret_name, "hosts": [host]}],
                "rules": [{"host": host, "http": {"paths": [first, path]}}],
            });
            let mut ingress = ingress("i", 0, spec);
            ingress["metadata"]["namespace"] = json!(namespace);
            let metadata = json!({"namespace": namespace, "name": service});
            let service = json!({"metadata": metadata, "spec": {"ports": [{"name": port, "port": 80}]}});
            let subsets = json!([{"addresses": [{"ip": ip}], "ports": [{"name": port, "port": 80}]}]);
            let state = state(&[ingress], &[(service, json!({"metadata": metadata, "subsets": subsets}))], &[]);

            let routes = Routes::of(&state, "traefik");
            let configuration = render(&state, &settings()).configuration;
            let rest = configuration.strip_prefix(&preamble(&settings())).unwrap();
            let lines: Vec<_> = rest.split('\n').collect();
            let (rules, rest) = lines.split_at(routes.routes.len());
            prop_assert!(rules.iter().all(|line| is_rule(line)), "{:?}", rules);
            let default = routes.default_backend.as_deref().unwrap_or("not-found");
            prop_assert_eq!(rest[0], format!("    default_backend {default}"));
            let servers: usize = routes.backends.values().map(Vec::len).sum();
            let (backends, last) = rest[1..].split_at(1 + 2 * routes.backends.len() + servers);
            prop_assert!(backends.iter().all(|line| is_backend(line)), "{:?}", backends);
            prop_assert_eq!(last[0], "backend not-found");
            prop_assert_eq!(last.len(), 3);
            prop_assert!(!configuration.contains('\r'));
        }
    }
}
