//! The programs that are run: kind, kubectl, the client of `BuildKit`, mmdebstrap.

use std::time::Duration;

use super::finding::{Finding, Remedy, Verdict};
use super::platform::Platform;
use crate::command;

/// Time that a program has to tell its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program that is needed.
struct Tool {
    subject: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    /// The oldest version that will do, as major and minor.
    oldest: (u32, u32),
    /// What it is for.
    purpose: &'static str,
    /// What it is when it is missing.
    missing: Verdict,
    packages: &'static [&'static str],
    elsewhere: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        subject: "kind",
        program: "kind",
        arguments: &["version"],
        oldest: (0, 20),
        purpose: "makes the cluster",
        missing: Verdict::Missing,
        packages: &["kind"],
        elsewhere: "install kind: https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    },
    Tool {
        subject: "kubectl",
        program: "kubectl",
        arguments: &["version", "--client"],
        oldest: (1, 20),
        purpose: "for you to look around; the pipeline brings its own",
        missing: Verdict::Warning,
        packages: &["kubectl"],
        elsewhere: "install kubectl: https://kubernetes.io/docs/tasks/tools/",
    },
    Tool {
        subject: "BuildKit client",
        program: "docker",
        arguments: &["buildx", "version"],
        oldest: (0, 11),
        purpose: "builds the images that cannot be pulled",
        missing: Verdict::Missing,
        packages: &["docker-cli", "docker-buildx"],
        elsewhere: "install Docker's buildx plugin: https://docs.docker.com/build/install-buildx/",
    },
    Tool {
        subject: "mmdebstrap",
        program: "mmdebstrap",
        arguments: &["--version"],
        oldest: (1, 0),
        purpose: "makes the base of images where no registry is reached",
        missing: Verdict::Warning,
        packages: &["mmdebstrap"],
        elsewhere: "needed without a public registry only, and on Debian or Ubuntu only",
    },
];

/// Examines all of them at the same time.
pub(super) async fn examine(platform: &Platform) -> Vec<Finding> {
    futures_util::future::join_all(TOOLS.iter().map(|tool| examine_one(tool, platform))).await
}

async fn examine_one(tool: &Tool, platform: &Platform) -> Finding {
    let (major, minor) = tool.oldest;
    let needed = format!("{major}.{minor} or newer: {}", tool.purpose);
    match command::run(tool.program, tool.arguments, PATIENCE).await {
        Err(_) => Finding::good(tool.subject, needed, "none")
            .with(tool.missing, platform.install(tool.packages, tool.elsewhere)),
        Ok(output) => match version(&output) {
            None => {
                let first = output.lines().next().unwrap_or_default().to_owned();
                let remedy = Remedy::Advice(format!("its version cannot be read from `{first}`"));
                Finding::good(tool.subject, needed, first).with(Verdict::Warning, remedy)
            }
            Some(version) => {
                let finding = Finding::good(tool.subject, needed, format!("{}.{}", version.0, version.1));
                if version >= tool.oldest {
                    finding
                } else {
                    finding.with(tool.missing, platform.install(tool.packages, tool.elsewhere))
                }
            }
        },
    }
}

/// The first `N.N` in a text, with or without `v` before it.
fn version(text: &str) -> Option<(u32, u32)> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '.')).find_map(|word| {
        let mut numbers = word.trim_start_matches('v').split('.');
        let number = |text: &str| text.trim_end_matches(|character: char| !character.is_ascii_digit()).parse().ok();
        Some((number(numbers.next()?)?, number(numbers.next()?)?))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::kind("kind v0.27.0 go1.24.4 linux/amd64\n", Some((0, 27)))]
    #[case::kubectl("Client Version: v1.32.3\nKustomize Version: v5.5.0\n", Some((1, 32)))]
    #[case::kubectl_of_a_provider("Client Version: v1.31+4\n", Some((1, 31)))]
    #[case::buildx("github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3\n", Some((0, 13)))]
    #[case::buildx_upstream("github.com/docker/buildx v0.14.0 171fcbe\n", Some((0, 14)))]
    #[case::mmdebstrap("mmdebstrap 1.3.5\n", Some((1, 3)))]
    #[case::nothing("usage: kind\n", None)]
    fn versions(#[case] text: &str, #[case] expected: Option<(u32, u32)>) {
        assert_eq!(version(text), expected);
    }
}
