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
#[derive(Clone, Debug, PartialEq, Eq)]
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
        lines.insert(format!("{} [alpn h2,http/1.1] {}\n", file.display(), certificate.hosts.join(" ")));
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
