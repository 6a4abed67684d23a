//! The package registries that this machine is configured to use: Debian mirror, Go module proxy and Python package index.
//!
//! The settings are those of apt, Go and pip themselves. `doctor` checks these addresses before a build starts, and image builds
//! get the same settings, so that they reach the same registries as this machine. An address may contain a password, so these types
//! do not implement `Debug`, and printed addresses go through [`without_credentials`].

mod machine;
mod pip;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reqwest::Url;

pub use self::machine::Setting;
use self::machine::{Machine, config_home, variable};

/// The variable with a Debian mirror, which overrides apt's configuration.
pub const DEBIAN_MIRROR: &str = "DEBIAN_MIRROR";

/// The variables that determine where Go downloads modules and how it verifies them. <https://go.dev/ref/mod#environment-variables>
const GO_VARIABLES: [&str; 7] = ["GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOAUTH"];

/// The bundle that Debian's package ca-certificates creates, including the authorities in `/usr/local/share/ca-certificates`.
const DEBIAN_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Lists the indexes of the component `main` of Debian archives. `Origin` excludes other vendors, who have a `main` too.
const APT_TARGETS: [&str; 7] = [
    "indextargets",
    "--format",
    "$(REPO_URI)",
    "Created-By: Packages",
    "Origin: Debian",
    "Label: Debian",
    "Component: main",
];

/// This machine's package sources.
pub struct PackageSources {
    debian_mirrors: Vec<Setting>,
    apt_options: Vec<String>,
    go: BTreeMap<&'static str, Setting>,
    pip: BTreeMap<&'static str, Setting>,
}

impl PackageSources {
    /// Reads the environment, the configuration files of Go and pip, and the configuration of apt. For settings that are missing or
    /// cannot be read, the tools use their defaults.
    pub fn from_machine() -> Self {
        Self::read(&Machine {
            variable: &|name| std::env::var(name).ok(),
            file: &|path| fs::read_to_string(path).ok(),
            apt_targets: &output("apt-get", &APT_TARGETS),
            apt_config: &output("apt-config", &["dump"]),
        })
    }

    fn read(machine: &Machine<'_>) -> Self {
        Self {
            debian_mirrors: debian_mirrors(machine),
            apt_options: apt_options(machine.apt_config),
            go: go_settings(machine),
            pip: pip::settings(machine),
        }
    }

    /// The Debian mirror that apt tries first.
    pub fn debian_mirror(&self) -> Option<&Setting> {
        self.debian_mirrors.first()
    }

    /// The value of `GOPROXY`. `None` means Go's own default.
    pub fn go_proxy(&self) -> Option<&Setting> {
        self.go.get("GOPROXY")
    }

    /// The proxy that apt is configured to use for `address`, or `DIRECT`. apt.conf(5)
    pub fn apt_proxy(&self, address: &Url) -> Option<&str> {
        let host = address.host_str().unwrap_or_default();
        let option = |name: &str| {
            let line = self.apt_options.iter().rev().find_map(|option| option.strip_prefix(name)?.strip_prefix(' '));
            line.map(|value| value.trim_end_matches(';').trim_matches('"')).filter(|value| !value.is_empty())
        };
        // HTTPS uses the proxy for HTTP unless it has its own.
        let schemes = if address.scheme() == "https" { ["https", "http"].as_slice() } else { ["http"].as_slice() };
        schemes.iter().find_map(|scheme| {
            let general = format!("Acquire::{scheme}::Proxy");
            option(&format!("{general}::{host}")).or_else(|| option(&general))
        })
    }

    /// Whether pip connects to the host of `address` without verifying its certificate.
    pub fn is_trusted_by_pip(&self, address: &Url) -> bool {
        let Some(host) = address.host_str() else { return false };
        let trusted = self.pip.get("trusted-host").map_or("", |setting| &setting.value);
        let with_port = address.port_or_known_default().map(|port| format!("{host}:{port}"));
        trusted.split_whitespace().any(|trusted| trusted == host || Some(trusted) == with_port.as_deref())
    }

    /// The address of the Python package index. `None` means pip's own default.
    pub fn pip_index(&self) -> Option<&Setting> {
        self.pip.get("index-url")
    }

    /// The Debian mirrors, one address per line, as apt's `mirror+file:` method reads them.
    pub fn apt_mirrors(&self) -> String {
        self.debian_mirrors.iter().fold(String::new(), |text, mirror| text + &mirror.value + "\n")
    }

    /// The apt settings that builds in containers need too, as a file for `/etc/apt/apt.conf.d`.
    pub fn apt_conf(&self) -> String {
        self.apt_options.iter().fold(String::new(), |text, option| text + option + "\n")
    }

    /// Go's settings as `KEY=value` lines, the format of the file that `GOENV` names.
    pub fn go_env(&self) -> String {
        self.go.iter().fold(String::new(), |mut text, (name, setting)| {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{name}={}", setting.value);
            text
        })
    }

    /// pip's settings as a `pip.conf` for a Debian image. This machine's path of `cert` does not exist in the image, so `cert` names the
    /// image's own bundle, which includes the authorities that were added on this machine.
    pub fn pip_conf(&self) -> String {
        if self.pip.is_empty() {
            return String::new();
        }
        self.pip.iter().fold("[global]\n".to_owned(), |mut text, (option, setting)| {
            // White space separates several values of an option, on one line or on several.
            let value = match *option {
                "cert" => DEBIAN_BUNDLE.to_owned(),
                _ => setting.value.split_whitespace().collect::<Vec<_>>().join(" "),
            };
            let _ = writeln!(text, "{option} = {value}");
            text
        })
    }
}

/// `address` without user name, password, query and fragment, which can contain secrets.
pub fn without_credentials(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) if url.has_host() => {
            // Both calls fail only for addresses without a host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        }
        _ => match address.rsplit_once('@') {
            Some((_, rest)) => format!("…@{rest}"),
            None => address.to_owned(),
        },
    }
}

/// The standard output of a program, or an empty text if it is missing or fails.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

fn debian_mirrors(machine: &Machine<'_>) -> Vec<Setting> {
    if let Some(value) = variable(machine, DEBIAN_MIRROR) {
        return vec![Setting { value: without_slash(&value), origin: DEBIAN_MIRROR.to_owned() }];
    }
    let mut mirrors: Vec<Setting> = Vec::new();
    for target in machine.apt_targets.lines().map(str::trim).filter(|target| !target.is_empty()) {
        for mirror in expand(target, machine.file) {
            if mirrors.iter().all(|known| known.value != mirror.value) {
                mirrors.push(mirror);
            }
        }
    }
    mirrors
}

/// The mirrors of one of apt's sources. The method `mirror+file:` reads them from a file on this machine, which does not exist in a
/// container. apt-transport-mirror(1)
fn expand(target: &str, file: &dyn Fn(&Path) -> Option<String>) -> Vec<Setting> {
    let mirror = |value: &str, origin: &str| Setting { value: without_slash(value), origin: origin.to_owned() };
    let Some(path) = target.strip_prefix("mirror+file:") else { return vec![mirror(target, "apt")] };
    let path = path.trim_end_matches('/');
    let path = path.strip_prefix("//").unwrap_or(path);
    let list = file(Path::new(path)).unwrap_or_default();
    let addresses = list.lines().filter_map(|line| line.split_whitespace().next()).filter(|it| !it.starts_with('#'));
    addresses.map(|address| mirror(address, path)).collect()
}

fn without_slash(address: &str) -> String {
    address.trim_end_matches('/').to_owned()
}

/// Selects the options that a container needs, too: proxies and validity checks. Leaves out programs that detect the proxy, because
/// they do not exist in the container.
fn apt_options(apt_config: &str) -> Vec<String> {
    let prefixes = ["Acquire::Check-", "Acquire::http::Proxy", "Acquire::https::Proxy"];
    let is_wanted = |line: &&str| {
        let name = line.split_whitespace().next().unwrap_or_default();
        prefixes.iter().any(|prefix| name.starts_with(prefix)) && !name.to_lowercase().contains("detect")
    };
    apt_config.lines().filter(is_wanted).map(str::to_owned).collect()
}

fn go_settings(machine: &Machine<'_>) -> BTreeMap<&'static str, Setting> {
    let path = match variable(machine, "GOENV") {
        Some(value) if value == "off" => None,
        Some(value) => Some(PathBuf::from(value)),
        None => config_home(machine).map(|directory| directory.join("go/env")),
    };
    let file = path.and_then(|path| Some(((machine.file)(&path)?, path.display().to_string())));
    let setting = |name: &'static str| {
        if let Some(value) = variable(machine, name) {
            return Some((name, Setting { value, origin: "the environment".to_owned() }));
        }
        let (text, origin) = file.as_ref()?;
        // Go reads the file from top to bottom, so the last line with the name wins.
        let value = text.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?.trim();
        (!value.is_empty()).then(|| (name, Setting { value: value.to_owned(), origin: origin.clone() }))
    };
    GO_VARIABLES.into_iter().filter_map(setting).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use rstest::rstest;

    use super::*;

    /// The package sources of a machine with these variables and files. The home directory is `/home/me`.
    pub(crate) fn read(variables: &[(&str, &str)], files: &[(&str, &str)], apt: (&str, &str)) -> PackageSources {
        let find = |list: &[(&str, &str)], name: &str| {
            list.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        PackageSources::read(&Machine {
            variable: &|name| find(variables, name).or_else(|| (name == "HOME").then(|| "/home/me".to_owned())),
            file: &|path| find(files, path.to_str().unwrap()),
            apt_targets: apt.0,
            apt_config: apt.1,
        })
    }

    #[rstest]
    #[case::none(&[], "", "")]
    #[case::from_apt(&[], "http://one.example/debian/\nhttp://one.example/debian\nhttp://two.example/d/\n", "http://one.example/debian\nhttp://two.example/d\n")]
    #[case::from_a_list(&[], "mirror+file:/etc/apt/list/\n", "https://a.example/debian\nhttps://b.example/debian\n")]
    #[case::from_a_list_by_url(&[], "mirror+file:///etc/apt/list\n", "https://a.example/debian\nhttps://b.example/debian\n")]
    #[case::overridden(&[(DEBIAN_MIRROR, "http://mine.example/")], "http://one.example/debian\n", "http://mine.example\n")]
    #[case::not_overridden(&[(DEBIAN_MIRROR, "")], "http://one.example/debian\n", "http://one.example/debian\n")]
    fn the_debian_mirrors_come_from_apt_or_the_variable(
        #[case] variables: &[(&str, &str)],
        #[case] targets: &str,
        #[case] expected: &str,
    ) {
        let list = "# ours\nhttps://a.example/debian\tpriority:1\n\nhttps://b.example/debian/\n";
        assert_eq!(read(variables, &[("/etc/apt/list", list)], (targets, "")).apt_mirrors(), expected);
    }

    #[test]
    fn containers_get_proxies_and_validity_checks_of_apt() {
        let config = "APT::Architecture \"amd64\";\n\
            Acquire::Check-Valid-Until \"false\";\n\
            Acquire::http::Proxy \"http://proxy.example:3128\";\n\
            Acquire::http::Proxy-Auto-Detect \"/usr/bin/find-proxy\";\n\
            Acquire::https::Proxy::one.example \"DIRECT\";\n\
            Acquire::https::CAInfo \"/home/me/authority.pem\";\n";
        let expected = "Acquire::Check-Valid-Until \"false\";\n\
            Acquire::http::Proxy \"http://proxy.example:3128\";\n\
            Acquire::https::Proxy::one.example \"DIRECT\";\n";
        let sources = read(&[], &[], ("", config));
        assert_eq!(sources.apt_conf(), expected);
        let proxy = |address: &str| sources.apt_proxy(&address.parse().unwrap());
        assert_eq!(proxy("http://one.example/debian"), Some("http://proxy.example:3128"));
        assert_eq!(proxy("https://one.example/debian"), Some("DIRECT"));
        assert_eq!(proxy("https://two.example/debian"), Some("http://proxy.example:3128"));
        assert_eq!(read(&[], &[], ("", "")).apt_proxy(&"http://one.example".parse().unwrap()), None);
    }

    const GO_FILE: &str =
        "# ours\nGOFLAGS=-mod=mod\nGOPROXY=https://old.example\nGOPROXY=https://file.example,direct\nGOSUMDB=\n";

    #[rstest]
    #[case::default(&[], &[], "")]
    #[case::file(&[], &[("/home/me/.config/go/env", GO_FILE)], "GOPROXY=https://file.example,direct\n")]
    #[case::another_home(&[("XDG_CONFIG_HOME", "/c")], &[("/c/go/env", GO_FILE)], "GOPROXY=https://file.example,direct\n")]
    #[case::named_file(&[("GOENV", "/e")], &[("/e", "GOPRIVATE=a.example\n")], "GOPRIVATE=a.example\n")]
    #[case::no_file(&[("GOENV", "off")], &[("/home/me/.config/go/env", GO_FILE)], "")]
    #[case::variable_first(
        &[("GOPROXY", "off"), ("GOSUMDB", "")], &[("/home/me/.config/go/env", GO_FILE)], "GOPROXY=off\n"
    )]
    fn go_settings_come_from_variables_or_the_file(
        #[case] variables: &[(&str, &str)],
        #[case] files: &[(&str, &str)],
        #[case] expected: &str,
    ) {
        assert_eq!(read(variables, files, ("", "")).go_env(), expected);
    }

    #[test]
    fn every_setting_has_its_origin() {
        let sources = read(
            &[("GOPROXY", "off")],
            &[("/etc/pip.conf", "[global]\nindex-url = https://file.example/simple\n")],
            ("http://one.example/debian\n", ""),
        );
        let origin = |setting: Option<&Setting>| setting.unwrap().origin.clone();
        assert_eq!(origin(sources.debian_mirror()), "apt");
        assert_eq!(origin(sources.go_proxy()), "the environment");
        assert_eq!(origin(sources.pip_index()), "/etc/pip.conf");
    }

    #[rstest]
    #[case::host("https://one.example/simple", true)]
    #[case::port("https://two.example:8443/simple", true)]
    #[case::another_port("https://two.example/simple", false)]
    #[case::another_host("https://three.example/simple", false)]
    fn pip_trusts_hosts_by_name_and_port(#[case] address: &str, #[case] expected: bool) {
        let sources = read(&[("PIP_TRUSTED_HOST", "one.example two.example:8443")], &[], ("", ""));
        assert_eq!(sources.is_trusted_by_pip(&address.parse().unwrap()), expected);
    }

    #[rstest]
    #[case::password("https://me:secret@proxy.example/go", "https://proxy.example/go")]
    #[case::token("https://secret@proxy.example:8443", "https://proxy.example:8443/")]
    #[case::query("https://proxy.example/simple/?token=secret#secret", "https://proxy.example/simple/")]
    #[case::not_an_address("me:secret@proxy.example", "…@proxy.example")]
    #[case::nothing_to_hide("direct", "direct")]
    fn credentials_are_left_out(#[case] address: &str, #[case] expected: &str) {
        assert_eq!(without_credentials(address), expected);
    }
}
