//! Which distribution this is, and how it installs what is missing.

use std::fs;

use super::finding::Remedy;

/// A machine, as far as installing goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `ID` and `VERSION_CODENAME` of `/etc/os-release`, `unknown` where it does not say. os-release(5)
    id: String,
    codename: String,
    name: String,
    root: bool,
}

/// The Debian suite whose container engine and kind are used on Debian 12: bookworm has no kind, and its engine cannot
/// run privileged containers where the host itself lacks a capability.
const NEWER_SUITE: &str = "trixie";

/// What bookworm lacks, or has too old.
const NOT_IN_BOOKWORM: &[&str] = &["docker-buildx", "docker-cli", "docker.io", "kind", "kubectl"];

/// Adds that suite to apt, from the mirror that the machine uses already, so that nothing comes from it unasked. Which of
/// apt's sources is that mirror is known from their indexes, as in `images/debian/build`: other vendors have a `main` too.
const ADD_NEWER_SUITE: &str = r#"apt-get update
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' | sort -u | head -n 1)
printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' "$mirror" > /etc/apt/sources.list.d/gitlab-ci-k8s-demo.sources
printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' > /etc/apt/preferences.d/gitlab-ci-k8s-demo"#;

impl Platform {
    /// This machine.
    pub fn this() -> Self {
        Self::of(&fs::read_to_string("/etc/os-release").unwrap_or_default(), rustix::process::geteuid().is_root())
    }

    /// The machine that `/etc/os-release` tells of.
    pub(crate) fn of(os_release: &str, root: bool) -> Self {
        let value = |key: &str| {
            let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.map_or("unknown", |value| value.trim_matches('"')).to_owned()
        };
        Self { id: value("ID"), codename: value("VERSION_CODENAME"), name: value("PRETTY_NAME"), root }
    }

    /// As the distribution calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How `packages` are installed here; `elsewhere` says it for machines that are neither Debian nor Ubuntu.
    pub fn install(&self, packages: &'static [&'static str], elsewhere: &str) -> Remedy {
        match self.id.as_str() {
            "debian" | "ubuntu" if self.root => Remedy::Packages(packages),
            "debian" | "ubuntu" => Remedy::Advice(format!("as root:\n{}", self.install_command(packages))),
            _ => Remedy::Advice(elsewhere.to_owned()),
        }
    }

    /// The shell command that installs `packages`.
    pub fn install_command(&self, packages: &[&str]) -> String {
        let bookworm = self.codename == "bookworm";
        let packages: Vec<_> = packages
            .iter()
            .map(|package| match *package {
                newer if bookworm && NOT_IN_BOOKWORM.contains(&newer) => format!("{newer}/{NEWER_SUITE}"),
                other => other.to_owned(),
            })
            .collect();
        let install = format!(
            "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {}",
            packages.join(" ")
        );
        if bookworm {
            format!("{ADD_NEWER_SUITE}\napt-get update\n{install}")
        } else {
            format!("apt-get update\n{install}")
        }
    }

    /// `command`, where `--fix` may run it, and else the advice to run it as root.
    pub fn command(&self, command: impl Into<String>) -> Remedy {
        if self.root { Remedy::Command(command.into()) } else { Remedy::Advice(format!("as root: {}", command.into())) }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const BOOKWORM: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_CODENAME=bookworm\n";
    const TRIXIE: &str = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_CODENAME=trixie\n";
    const UBUNTU: &str = "PRETTY_NAME=\"Ubuntu 26.04 LTS\"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=resolute\n";
    const FEDORA: &str = "PRETTY_NAME=\"Fedora Linux 44\"\nID=fedora\n";

    #[rstest]
    #[case::bookworm(BOOKWORM, true)]
    #[case::trixie(TRIXIE, true)]
    #[case::ubuntu_as_a_user(UBUNTU, false)]
    #[case::fedora(FEDORA, true)]
    #[case::no_os_release("", true)]
    fn remedies(#[case] os_release: &str, #[case] root: bool) {
        let platform = Platform::of(os_release, root);
        let remedy = platform.install(&["kind", "kubectl"], "see the website of kind");
        insta::with_settings!({snapshot_suffix => platform.codename.clone() + &platform.id, omit_expression => true}, {
            insta::assert_snapshot!(format!("{remedy:?}\n\n{}", platform.install_command(&["kind", "mmdebstrap"])));
        });
    }
}
