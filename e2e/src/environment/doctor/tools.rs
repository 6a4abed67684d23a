//! Checks the programs that `e2e` runs: kind, kubectl, `BuildKit`'s client and mmdebstrap.

use std::time::Duration;

use super::finding::{Finding, Remedy, Verdict};
use super::platform::Platform;
use super::version::{NodeVersion, version};
use crate::environment::command;
use crate::environment::command::CommandError;

/// Time that a program has to print its version.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The version output of the four programs.
pub(super) struct Versions {
    kind: Printed,
    kubectl: Printed,
    buildx: Printed,
    mmdebstrap: Printed,
}

type Printed = Result<String, CommandError>;

/// The requirement on a program.
struct Tool {
    subject: &'static str,
    /// The oldest sufficient version, as major and minor version.
    oldest: (u32, u32),
    purpose: String,
    /// The verdict when it is missing or too old.
    missing: Verdict,
    packages: &'static [&'static str],
    /// The advice for distributions without a sufficient package.
    elsewhere: String,
}

/// Runs all four programs concurrently.
pub(super) async fn versions() -> Versions {
    let print = |program, arguments| command::run(program, arguments, TIMEOUT);
    let (kind, kubectl, buildx, mmdebstrap) = tokio::join!(
        print("kind", &["version"]),
        print("kubectl", &["version", "--client"]),
        print("docker", &["buildx", "version"]),
        print("mmdebstrap", &["--version"]),
    );
    Versions { kind, kubectl, buildx, mmdebstrap }
}

/// Compares the versions with the requirements of a cluster of version `node`. `must_build` is true if images must be built from
/// packages.
pub(super) fn examine(versions: &Versions, platform: &Platform, node: NodeVersion, must_build: bool) -> Vec<Finding> {
    let kind = node.oldest_kind();
    vec![
        compare(
            &versions.kind,
            platform,
            &Tool {
                subject: "kind",
                oldest: kind,
                purpose: format!("creates the cluster with Kubernetes {node}"),
                missing: Verdict::Missing,
                packages: &["kind"],
                elsewhere: format!(
                    "install kind {0}.{1} or newer: `go install sigs.k8s.io/kind@v{0}.{1}.0`, or\n\
                 https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
                    kind.0, kind.1
                ),
            },
        ),
        kubectl(&versions.kubectl, platform, node),
        compare(
            &versions.buildx,
            platform,
            &Tool {
                subject: "BuildKit client",
                oldest: (0, 11),
                purpose: "builds the images that cannot be pulled".to_owned(),
                missing: Verdict::Missing,
                packages: &["docker-cli", "docker-buildx"],
                elsewhere: "install Docker's buildx plugin: https://docs.docker.com/build/install-buildx/".to_owned(),
            },
        ),
        compare(
            &versions.mmdebstrap,
            platform,
            &Tool {
                subject: "mmdebstrap",
                oldest: (1, 0),
                purpose: "builds the base images where no public registry is reachable".to_owned(),
                missing: if must_build { Verdict::Missing } else { Verdict::Warning },
                packages: &["mmdebstrap"],
                elsewhere: "it exists only on Debian and Ubuntu, and is needed only if no public registry is reachable"
                    .to_owned(),
            },
        ),
    ]
}

fn compare(printed: &Printed, platform: &Platform, tool: &Tool) -> Finding {
    let (major, minor) = tool.oldest;
    let needed = format!("{major}.{minor} or newer: {}", tool.purpose);
    let install = || platform.install(tool.packages, tool.oldest, &tool.elsewhere);
    match read(printed) {
        Read::None => Finding::good(tool.subject, needed, "none").with(tool.missing, install()),
        Read::Unknown(line) => unknown(tool.subject, needed, line),
        Read::Version(version) => {
            let finding = Finding::good(tool.subject, needed, format!("{}.{}", version.0, version.1));
            if version >= tool.oldest { finding } else { finding.with(tool.missing, install()) }
        }
    }
}

/// kubectl needs a version in a range instead of a minimum. The doctor does not replace a version outside it: the user may need it
/// for another cluster, or it comes from another vendor, and apt would have to downgrade it.
fn kubectl(printed: &Printed, platform: &Platform, node: NodeVersion) -> Finding {
    const SUBJECT: &str = "kubectl";
    let (oldest, newest) = node.kubectl_range();
    let needed = format!("{oldest} to {newest}: for inspecting the cluster; the pipeline uses its own");
    let (major, minor) = match read(printed) {
        Read::None => {
            let elsewhere = format!("install kubectl {node}: https://kubernetes.io/docs/tasks/tools/");
            let install = platform.install(&["kubectl"], (oldest.major, oldest.minor), &elsewhere);
            return Finding::good(SUBJECT, needed, "none").with(Verdict::Warning, install);
        }
        Read::Unknown(line) => return unknown(SUBJECT, needed, line),
        Read::Version(version) => version,
    };
    let found = NodeVersion { major, minor };
    if found >= oldest && found <= newest {
        return Finding::good(SUBJECT, needed, found.to_string());
    }
    let found = format!("{found}, more than one minor version from the cluster's {node}");
    let advice = "Kubernetes supports kubectl only within one minor version of the cluster: some commands may fail.\n\
    Other versions: https://kubernetes.io/docs/tasks/tools/";
    Finding::good(SUBJECT, needed, found).with(Verdict::Warning, Remedy::Advice(advice.to_owned()))
}

enum Read {
    /// The program is missing or does not run.
    None,
    /// The program prints no version, or times out.
    Unknown(String),
    Version((u32, u32)),
}

fn read(printed: &Printed) -> Read {
    match printed {
        // A program that is slow on a busy machine is installed nevertheless.
        Err(CommandError::TimedOut { limit, .. }) => Read::Unknown(format!("no response within {} s", limit.as_secs())),
        Err(_) => Read::None,
        Ok(text) => {
            let first = || Read::Unknown(text.lines().next().unwrap_or_default().to_owned());
            version(text).map_or_else(first, Read::Version)
        }
    }
}

fn unknown(subject: &'static str, needed: String, line: String) -> Finding {
    let remedy = Remedy::Advice(format!("check the version yourself; it could not be determined: `{line}`"));
    Finding::good(subject, needed, line).with(Verdict::Warning, remedy)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::kind("kind v0.27.0 go1.24.4 linux/amd64\n", Some((0, 27)))]
    #[case::kubectl("Client Version: v1.32.3\nKustomize Version: v5.5.0\n", Some((1, 32)))]
    #[case::kubectl_of_a_provider("Client Version: v1.31+4\n", Some((1, 31)))]
    #[case::kubectl_of_another("Client Version: v1.32.4-dispatcher\n", Some((1, 32)))]
    #[case::buildx("github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3\n", Some((0, 13)))]
    #[case::buildx_upstream("github.com/docker/buildx v0.14.0 171fcbe\n", Some((0, 14)))]
    #[case::mmdebstrap("mmdebstrap 1.3.5\n", Some((1, 3)))]
    #[case::package("28.5.2+dfsg4-5", Some((28, 5)))]
    #[case::no_version("usage: kind\n", None)]
    fn the_version_is_read_from_the_output(#[case] text: &str, #[case] expected: Option<(u32, u32)>) {
        assert_eq!(version(text), expected);
    }

    fn missing() -> Printed {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        Err(CommandError::NotRun { line: String::new(), source })
    }

    /// Findings on Debian 13, with or without images to build, for a cluster of this minor version.
    #[rstest]
    #[case::nothing_is_installed(missing(), missing(), true, 37)]
    #[case::of_debian_13(Ok("kind v0.27.0 go1.24.4".to_owned()), Ok("Client Version: v1.32.3".to_owned()), false, 37)]
    #[case::new_enough(Ok("kind v0.33.0 go1.27.2".to_owned()), Ok("Client Version: v1.38.1".to_owned()), false, 37)]
    #[case::older_cluster(Ok("kind v0.30.0".to_owned()), Ok("Client Version: v1.36.4".to_owned()), false, 34)]
    #[case::slow(Err(CommandError::TimedOut { line: String::new(), limit: TIMEOUT }), missing(), false, 37)]
    #[case::unreadable(Ok("kind of the future".to_owned()), Ok("client".to_owned()), false, 37)]
    fn findings(#[case] kind: Printed, #[case] kubectl: Printed, #[case] must_build: bool, #[case] minor: u32) {
        let name = std::thread::current().name().unwrap().rsplit("::").next().unwrap().to_owned();
        let platform = Platform::from_os_release("ID=debian\nVERSION_CODENAME=trixie\n", true);
        let versions = Versions { kind, kubectl, buildx: missing(), mmdebstrap: missing() };
        let findings = examine(&versions, &platform, NodeVersion { major: 1, minor }, must_build);
        let line = |Finding { subject, needed, found, verdict, remedy }: &Finding| {
            format!("{subject}: {verdict:?}\n  needed: {needed}\n  found: {found}\n  {remedy:?}\n")
        };
        insta::with_settings!({snapshot_suffix => name.split_once('_').unwrap().1.split_once('_').unwrap().1, omit_expression => true}, {
            insta::assert_snapshot!(findings.iter().map(line).collect::<String>());
        });
    }
}
