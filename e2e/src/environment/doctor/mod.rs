//! Checks this machine's prerequisites, and offers commands that install the missing ones.
//!
//! [`examine`] tests the engine with a privileged container, and removes the container and its image. Otherwise only [`fix`] changes this
//! machine, and it only runs commands that the findings of [`examine`] have shown.

mod cgroups;
mod clock;
mod engine;
mod finding;
mod platform;
mod ports;
mod request;
mod resources;
mod sources;
mod supply;
mod tools;
mod true_image;
mod version;

use std::collections::BTreeSet;
use std::time::Duration;

pub use self::finding::{Finding, Remedy, Verdict};
pub use self::platform::Platform;
pub use self::request::Request;
use self::supply::Supply;
use self::version::NodeVersion;
use crate::environment::command;
use crate::environment::command::CommandError;

/// Time limit for one command: it may download some hundred megabytes over a slow connection.
const TIMEOUT: Duration = Duration::from_mins(15);

/// Examines all prerequisites, independent ones concurrently.
pub async fn examine(platform: &Platform, request: &Request<'_>) -> Vec<Finding> {
    let Request { kind_config, cluster, kubernetes, .. } = *request;
    let node = NodeVersion::from(kubernetes);
    let engine = engine::Engine::connect().await;
    let supply = async {
        let supply = Supply::look(&engine, request).await;
        let sources = sources::examine(&supply.package_registries(), node).await;
        (supply, sources)
    };
    let (privileged, versions, ports, images, (supply, sources)) = tokio::join!(
        engine::examine_privileged(&engine, cluster, platform),
        tools::versions(),
        ports::examine(kind_config, cluster, &engine),
        Box::pin(engine::image_bytes(&engine)),
        Box::pin(supply),
    );
    let running = engine.as_ref().ok();
    let mut findings = vec![engine::examine(&engine, platform), privileged];
    findings.extend(tools::examine(&versions, platform, node, supply.route.is_build()));
    findings.push(supply.finding());
    findings.extend(sources);
    findings.extend([
        ports,
        resources::examine_memory(&supply.route),
        resources::examine_disk(running.and_then(engine::Engine::data_root), images, &supply.route),
        resources::examine_inotify(platform),
        cgroups::examine(
            running.and_then(engine::Engine::cgroup_version),
            kind_config,
            node,
            supply.has_published_node(),
        ),
        engine::examine_clock(&engine),
    ]);
    findings
}

/// The commands that fix `findings`, each once: first one that installs all packages, then the others in order.
pub fn commands(findings: &[Finding], platform: &Platform) -> Vec<String> {
    let remedies = || findings.iter().filter_map(|finding| finding.remedy.as_ref());
    let packages: BTreeSet<&str> = remedies()
        .filter_map(|remedy| if let Remedy::Packages(packages) = remedy { Some(packages) } else { None })
        .flatten()
        .copied()
        .collect();
    let mut commands = Vec::new();
    if !packages.is_empty() {
        commands.push(platform.install_command(&packages.into_iter().collect::<Vec<_>>()));
    }
    for remedy in remedies() {
        if let Remedy::Command(command) = remedy
            && !commands.contains(command)
        {
            commands.push(command.clone());
        }
    }
    commands
}

/// Runs one command of [`commands`].
///
/// # Errors
/// If it fails; the error has its last lines.
pub async fn fix(command: &str) -> Result<(), CommandError> {
    command::run("bash", &["-euo", "pipefail", "-c", command], TIMEOUT).await.map(drop)
}

/// The worst verdict of `findings`.
pub fn verdict(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_installed_together_and_a_command_is_run_once() {
        let finding = |verdict, remedy| Finding::good("x", "y", "z").with(verdict, remedy);
        let findings = [
            Finding::good("a", "b", "c"),
            finding(Verdict::Missing, Remedy::Command("start".to_owned())),
            finding(Verdict::Missing, Remedy::Packages(vec!["kind", "docker-cli"])),
            finding(Verdict::Warning, Remedy::Packages(vec!["docker-cli"])),
            finding(Verdict::Missing, Remedy::Command("start".to_owned())),
            finding(Verdict::Missing, Remedy::Advice("think".to_owned())),
        ];
        let platform = Platform::this();
        assert_eq!(
            commands(&findings, &platform),
            [platform.install_command(&["docker-cli", "kind"]), "start".to_owned()]
        );
        assert_eq!(verdict(&findings), Verdict::Missing);
        assert_eq!(verdict(&findings[..1]), Verdict::Good);
    }

    #[tokio::test]
    async fn a_failing_command_stops_at_its_first_failing_line() {
        let error = fix("echo before >&2\nfalse | cat\necho after >&2").await.unwrap_err();
        assert!(error.to_string().ends_with("\n  before"), "{error}");
    }
}
