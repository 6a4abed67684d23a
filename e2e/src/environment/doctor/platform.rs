//! The machine's distribution, and how to install packages on it.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use super::finding::Remedy;
use super::version::version;

/// The properties of a machine that decide how to install packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `ID` and `VERSION_CODENAME` of `/etc/os-release`, or `unknown`. os-release(5)
    id: String,
    codename: String,
    name: String,
    root: bool,
    /// On Ubuntu, the versions of [`PACKAGES`] that apt would install.
    candidates: BTreeMap<String, (u32, u32)>,
}

/// All packages that a finding may request.
const PACKAGES: [&str; 6] = ["docker-buildx", "docker-cli", "docker.io", "kind", "kubectl", "mmdebstrap"];

/// The Debian suite from which Debian 12 and 13 install the container engine, kind and kubectl. bookworm has no kind, and its engine
/// cannot run privileged containers on hosts that lack a capability; trixie's kind cannot create the newest nodes. bookworm's C library
/// is new enough for the packages of forky.
const NEWER_SUITE: &str = "forky";

/// The suites that get packages from the newer suite.
const OLDER_SUITES: [&str; 2] = ["bookworm", "trixie"];

/// The suites whose C library is too old for the newer suite's packages.
const TOO_OLD_SUITES: [&str; 3] = ["stretch", "buster", "bullseye"];

/// The packages that come from the newer suite.
const FROM_NEWER_SUITE: [&str; 5] = ["docker-buildx", "docker-cli", "docker.io", "kind", "kubectl"];

/// Adds the newer suite to apt, from the Debian mirror that the machine already uses. Its priority makes apt install only
/// packages that are requested with the name of the suite, and their dependencies. `Origin` and `Label` identify the Debian mirror,
/// because other vendors' sources have a `main` too.
const ADD_NEWER_SUITE: &str = r#"apt-get update
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' | sort -u | head -n 1)
printf 'Types: deb\nURIs: %s\nSuites: forky\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' "$mirror" > /etc/apt/sources.list.d/gitlab-ci-k8s-demo.sources
printf 'Package: *\nPin: release n=forky\nPin-Priority: 100\n' > /etc/apt/preferences.d/gitlab-ci-k8s-demo"#;

/// On Ubuntu, the release determines which versions of packages are available. apt knows them only from its package lists.
const GET_LISTS: &str = "apt-get update # apt has no package lists yet; then run `e2e doctor` again";

impl Platform {
    /// Reads the properties of this machine.
    pub fn this() -> Self {
        let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let platform = Self::from_os_release(&os_release, rustix::process::geteuid().is_root());
        if platform.id != "ubuntu" {
            return platform;
        }
        let policy = Command::new("apt-cache").arg("policy").args(PACKAGES).stdin(Stdio::null()).output();
        platform.with_candidates(
            &policy.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default(),
        )
    }

    /// The machine that this content of `/etc/os-release` describes.
    pub(crate) fn from_os_release(os_release: &str, root: bool) -> Self {
        let value = |key: &str| {
            let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.map_or("unknown", |value| value.trim_matches('"')).to_owned()
        };
        Self {
            id: value("ID"),
            codename: value("VERSION_CODENAME"),
            name: value("PRETTY_NAME"),
            root,
            candidates: BTreeMap::new(),
        }
    }

    /// Adds the candidates that `apt-cache policy` prints: a line `PACKAGE:`, and below it `  Candidate: VERSION`.
    fn with_candidates(mut self, policy: &str) -> Self {
        let mut package = "";
        for line in policy.lines() {
            if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ')) {
                package = name;
            } else if let Some(candidate) = line.trim().strip_prefix("Candidate: ") {
                // An epoch is not part of the program's version.
                let candidate = candidate.split_once(':').map_or(candidate, |(_, version)| version);
                self.candidates.extend(version(candidate).map(|version| (package.to_owned(), version)));
            }
        }
        self
    }

    /// The distribution's name for users (`PRETTY_NAME`).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How to install `packages`. `elsewhere` is the advice for distributions whose packages are missing or too old; `oldest` is the
    /// oldest sufficient version, which applies only if there is one package.
    pub fn install(&self, packages: &[&'static str], oldest: (u32, u32), elsewhere: &str) -> Remedy {
        let packages = match self.id.as_str() {
            "debian" if !TOO_OLD_SUITES.contains(&self.codename.as_str()) => packages.to_vec(),
            "ubuntu" if self.candidates.is_empty() => return self.command(GET_LISTS),
            "ubuntu" => packages.iter().copied().filter(|package| self.has(package, packages.len(), oldest)).collect(),
            _ => Vec::new(),
        };
        if packages.is_empty() {
            return Remedy::Advice(elsewhere.to_owned());
        }
        if self.root { Remedy::Packages(packages) } else { self.command(self.install_command(&packages)) }
    }

    /// Whether apt has `package`, and in a sufficient version if it is the only one.
    fn has(&self, package: &str, count: usize, oldest: (u32, u32)) -> bool {
        self.candidates.get(package).is_some_and(|version| count > 1 || *version >= oldest)
    }

    /// The shell command that installs `packages`.
    pub fn install_command(&self, packages: &[&str]) -> String {
        let is_older = self.id == "debian" && OLDER_SUITES.contains(&self.codename.as_str());
        let from_newer = |package: &str| is_older && FROM_NEWER_SUITE.contains(&package);
        let names: Vec<_> = packages
            .iter()
            .map(|package| if from_newer(package) { format!("{package}/{NEWER_SUITE}") } else { (*package).to_owned() })
            .collect();
        let install =
            format!("DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {}", names.join(" "));
        if packages.iter().any(|package| from_newer(package)) {
            format!("{ADD_NEWER_SUITE}\napt-get update\n{install}")
        } else {
            format!("apt-get update\n{install}")
        }
    }

    /// `command` for `--fix` if the user is root, or else the advice to run it as root.
    pub fn command(&self, command: impl Into<String>) -> Remedy {
        let command = command.into();
        match (self.root, command.contains('\n')) {
            (true, _) => Remedy::Command(command),
            (false, true) => Remedy::Advice(format!("run as root:\n{command}")),
            (false, false) => Remedy::Advice(format!("run as root: {command}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const BOOKWORM: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_CODENAME=bookworm\n";
    const TRIXIE: &str = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_CODENAME=trixie\n";
    const FORKY: &str = "PRETTY_NAME=\"Debian GNU/Linux forky/sid\"\nID=debian\nVERSION_CODENAME=forky\n";
    const BULLSEYE: &str = "PRETTY_NAME=\"Debian GNU/Linux 11 (bullseye)\"\nID=debian\nVERSION_CODENAME=bullseye\n";
    const UBUNTU: &str = "PRETTY_NAME=\"Ubuntu 26.04 LTS\"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=resolute\n";
    const FEDORA: &str = "PRETTY_NAME=\"Fedora Linux 44\"\nID=fedora\n";

    #[rstest]
    #[case::bookworm(BOOKWORM, true)]
    #[case::trixie(TRIXIE, true)]
    #[case::forky(FORKY, true)]
    #[case::bullseye(BULLSEYE, true)]
    #[case::fedora(FEDORA, true)]
    #[case::no_os_release("", true)]
    fn remedies(#[case] os_release: &str, #[case] root: bool) {
        let platform = Platform::from_os_release(os_release, root);
        let remedy = platform.install(&["kind", "kubectl"], (0, 33), "see the website of kind");
        insta::with_settings!({snapshot_suffix => platform.codename.clone() + &platform.id, omit_expression => true}, {
            insta::assert_snapshot!(format!("{remedy:?}\n\n{}", platform.install_command(&["kind", "mmdebstrap"])));
        });
    }

    #[test]
    fn the_newer_suite_is_added_only_for_its_packages() {
        let command = Platform::from_os_release(BOOKWORM, true).install_command(&["mmdebstrap"]);
        assert!(!command.contains(NEWER_SUITE), "{command}");
    }

    const POLICY: &str = "kind:\n  Installed: (none)\n  Candidate: 0.31.0-1\n  Version table:\n     0.31.0-1 500\n\
        docker.io:\n  Installed: (none)\n  Candidate: 28.2.2-0ubuntu1\ndocker-buildx:\n  Candidate: 0.29.1-0ubuntu1\n\
        docker-cli:\n  Installed: (none)\n  Candidate: (none)\nkubectl:\n  Candidate: 1:1.36.0-0\n";

    #[rstest]
    #[case::new_enough(&["kind"], (0, 31), &["kind"])]
    #[case::too_old(&["kind"], (0, 33), &[])]
    #[case::with_an_epoch(&["kubectl"], (1, 36), &["kubectl"])]
    #[case::not_available(&["mmdebstrap"], (1, 0), &[])]
    #[case::only_available_ones(&["docker.io", "docker-cli", "docker-buildx"], (23, 0), &["docker.io", "docker-buildx"])]
    fn ubuntu_installs_sufficient_packages(
        #[case] packages: &[&'static str],
        #[case] oldest: (u32, u32),
        #[case] installed: &[&'static str],
    ) {
        let platform = Platform::from_os_release(UBUNTU, true).with_candidates(POLICY);
        let expected = match installed {
            [] => Remedy::Advice("website".to_owned()),
            packages => Remedy::Packages(packages.to_vec()),
        };
        assert_eq!(platform.install(packages, oldest, "website"), expected);
    }

    #[test]
    fn ubuntu_without_package_lists_must_get_them_first() {
        let remedy =
            |root| Platform::from_os_release(UBUNTU, root).with_candidates("").install(&["kind"], (0, 33), "website");
        assert_eq!(remedy(true), Remedy::Command(GET_LISTS.to_owned()));
        assert_eq!(remedy(false), Remedy::Advice(format!("run as root: {GET_LISTS}")));
    }

    #[test]
    fn a_user_gets_the_command_as_advice() {
        let Remedy::Advice(advice) =
            Platform::from_os_release(TRIXIE, false).install(&["mmdebstrap"], (1, 0), "website")
        else {
            panic!("not an advice");
        };
        insta::assert_snapshot!(advice, @r"
        run as root:
        apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends mmdebstrap
        ");
    }
}
