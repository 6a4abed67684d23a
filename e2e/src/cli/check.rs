//! `e2e check`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use container_engine::error_chain::error_chain;
use e2e::checks::about;
use e2e::checks::discovery::{Selection, discover};
use e2e::checks::environment::Environment;
use e2e::checks::extra_pod::sweep;
use e2e::checks::report::{AccessList, Summary};
use e2e::checks::run;
use e2e::checks::target::Target;
use e2e::checks::{self, CHECKS, Check, Need};
use e2e::record::check_report::Mode as CheckMode;
use e2e::record::event::{Event, EventSink};
use e2e::record::{Check as CheckRecord, Record, Verdict};
use e2e::report;
use e2e::report::live::{Live, Mode};
use e2e::scenario::temporary::demo::Demo;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::check_deploy::{self, DeployArgs};
use super::check_output::{Examined, OutputArgs};
use super::output::print;
use super::target_args::TargetArgs;
use super::{CliError, Outcome, write};

/// Checks a deployed environment of the service
///
/// It replaces the pods of the environment and restarts a container, as a rolling update does, and creates pods of its own, which it
/// deletes; with --read-only, it changes nothing. The default is the cluster of `e2e up`, and in a pod the cluster of the pod, with
/// the pod's account; --context or --kubeconfig selects another one. Where nothing is deployed yet, --deploy does it for the checks.
/// Exit codes: 0 every check that could run passed, 1 a check failed, a named check could not run, or the image of --deploy does not
/// run, 2 the command line is wrong, 3 the cluster does not answer, a report cannot be written, or the temporary namespace cannot be
/// removed.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags that do not depend on each other")]
#[command(group(clap::ArgGroup::new("known").args(["references", "deploy"]).multiple(true)))]
pub(crate) struct CheckArguments {
    /// Checks that must run; by default, all that can run
    #[arg(value_name = "NAME", value_parser = check)]
    names: Vec<&'static Check>,

    /// List the checks, and what each of them verifies
    #[arg(long)]
    list: bool,

    /// Print the permissions that the account needs in the mode of the other options, as a manifest; needs no cluster
    #[arg(long)]
    print_role: bool,

    /// The slug of an environment, the value of the label `ref`; repeatable [default: all in the namespace]
    #[arg(long = "ref", value_name = "REF")]
    references: Vec<String>,

    /// The host of the one environment of --ref [default: that of its Ingress, else `REF.BASE_DOMAIN`]
    #[arg(long, value_name = "HOST", requires = "references")]
    host: Option<String>,

    /// The commit that was deployed to the one environment of --ref, or that the image of --deploy was built from [default: the one in
    /// the Deployment's annotation]
    #[arg(long, value_name = "COMMIT", requires = "known")]
    commit: Option<String>,

    /// Change nothing in the cluster: read objects, and send requests through its API server
    #[arg(long, conflicts_with = "report_configmap")]
    read_only: bool,

    /// Another environment of the service, whose pods must not answer for this host; repeatable [default: those that are
    /// checked as well]
    #[arg(long = "other", value_name = "REF=HOST", value_parser = other_environment)]
    others: Vec<(String, String)>,

    /// Maximum time to wait for each expected state
    // The alias is the former name.
    #[arg(long, alias = "patience", default_value = "2m", value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Duration,

    #[command(flatten)]
    deploy: DeployArgs,

    #[command(flatten)]
    target_args: TargetArgs,

    #[command(flatten)]
    output: OutputArgs,

    /// Print nothing before the result
    #[arg(long, short)]
    quiet: bool,
}

fn check(name: &str) -> Result<&'static Check, String> {
    checks::find(name).map_err(|nearest| {
        let names = CHECKS.iter().map(|check| check.name).collect::<Vec<_>>().join(", ");
        format!("unknown check, did you mean `{nearest}`? The checks are {names}")
    })
}

fn other_environment(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(reference, host)| !reference.is_empty() && !host.is_empty());
    pair.map(|(reference, host)| (reference.to_owned(), host.to_owned())).ok_or_else(|| "expected REF=HOST".to_owned())
}

impl CheckArguments {
    /// Whether the service is deployed for the checks.
    pub(crate) fn deploys(&self) -> bool {
        self.deploy.is_given()
    }

    fn mode(&self) -> CheckMode {
        match (self.deploys(), self.read_only) {
            (true, _) => CheckMode::Deploy,
            (false, true) => CheckMode::ReadOnly,
            (false, false) => CheckMode::Default,
        }
    }

    fn live(&self) -> Live {
        Live::new(if self.quiet { Mode::Quiet } else { Mode::People })
    }
}

/// Runs the checks, and prints the result.
pub(crate) async fn run(arguments: CheckArguments, cancel: CancellationToken) -> Outcome {
    if arguments.list {
        write(&report::checks::list(CHECKS))?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.print_role {
        write(arguments.mode().rights())?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.references.len() > 1 && (arguments.host.is_some() || arguments.commit.is_some()) {
        return Err(CliError::Usage("--host and --commit are those of one environment: give one --ref".to_owned()));
    }
    let mut target = arguments.target_args.answering_target().await?;
    target.timeout = arguments.timeout;
    let output = arguments.output.open(&target.client).await?;
    match Box::pin(examine(&arguments, &target, &cancel)).await {
        Ok(examined) => output.publish(examined).await,
        Err(error) => Err(output.fail(error).await),
    }
}

/// Runs the checks, on what is deployed, or on what is deployed for them.
async fn examine(
    arguments: &CheckArguments,
    target: &Target,
    cancel: &CancellationToken,
) -> Result<Examined, CliError> {
    let Some(demo) = arguments.deploy.create(target, arguments.commit.clone(), cancel).await? else {
        let mut selection = arguments.target_args.selection(arguments.references.clone(), arguments.read_only)?;
        selection.host.clone_from(&arguments.host);
        return verify(arguments, target, &selection, &BTreeMap::new(), cancel).await;
    };
    let say = |text: &str| {
        if !arguments.quiet {
            print(text);
        }
    };
    say(&format!("{}\nDeploying to namespace {}", report::discovery::text(&demo.choices), demo.namespace()));
    let examined = async {
        deploy(&demo, arguments, cancel).await?;
        verify(arguments, &demo.target, &demo.selection(), &demo.missing, cancel).await
    };
    let examined = examined.await;
    say(&format!("Removing namespace {}", demo.namespace()));
    match (examined, demo.remove().await) {
        (Ok(examined), removal) => Ok(Examined { removal, ..examined }),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(left)) => {
            print(&format!("e2e: {}", error_chain(&left)));
            Err(error)
        }
    }
}

/// Deploys the service for the checks, unless the user interrupts it.
async fn deploy(demo: &Demo, arguments: &CheckArguments, cancel: &CancellationToken) -> Result<(), CliError> {
    let live = arguments.live();
    let show = |event: &Event<'_>| live.show(event);
    tokio::select! {
        deployed = live.watch(demo.deploy(&show)) => deployed.map_err(check_deploy::failed),
        () = cancel.cancelled() => Err(CliError::Interrupted),
    }
}

/// Finds the environments, and runs the checks. `missing` are inputs that do not exist, with the reasons.
async fn verify(
    arguments: &CheckArguments,
    target: &Target,
    selection: &Selection,
    missing: &BTreeMap<Need, String>,
    cancel: &CancellationToken,
) -> Result<Examined, CliError> {
    let found = tokio::select! {
        found = discover(target, selection) => found?,
        () = cancel.cancelled() => return Err(CliError::Interrupted),
    };
    if !arguments.quiet {
        print(&report::discovery::text(&found.choices));
    }
    let mut environments = found.environments.clone();
    for environment in &mut environments {
        environment.commit.clone_from(&arguments.commit);
        environment.others.extend(arguments.others.iter().cloned());
        environment.missing.extend(missing.clone());
    }
    let all = || CHECKS.iter().collect();
    let chosen: Vec<&'static Check> = if arguments.names.is_empty() { all() } else { arguments.names.clone() };
    let live = arguments.live();
    let show = |event: &Event<'_>| live.show(event);
    let began_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let started = Instant::now();
    let run = async { tokio::join!(run_all(&chosen, &environments, started, &show), about::cluster(target)) };
    let (checks, cluster) = tokio::select! {
        ended = live.watch(run) => ended,
        () = cancel.cancelled() => {
            // An interrupted check has not removed its pod.
            join_all(environments.iter().map(sweep)).await;
            return Err(CliError::Interrupted);
        }
    };
    // The result is printed after the progress of the checks.
    drop(live);
    let verdict = if is_failed(&checks, !arguments.names.is_empty()) { Verdict::Failed } else { Verdict::Passed };
    let duration = started.elapsed().as_secs_f64();
    let record = Record { began_at: began_at.clone(), duration, verdict, checks: checks.clone(), ..Record::default() };
    let summary = Summary { began_at, duration, verdict, mode: arguments.mode() };
    let accesses = AccessList::new(&found, &target.kubectl);
    let report = checks::report::report(summary, cluster, &found.choices, &accesses, checks);
    Ok(Examined { record, report, removal: Ok(()) })
}

/// Checks one environment after the other: checks restart the pods of an environment.
async fn run_all(
    checks: &[&'static Check],
    environments: &[Environment],
    started: Instant,
    show: &EventSink<'_>,
) -> Vec<CheckRecord> {
    let mut all = Vec::new();
    for environment in environments {
        all.extend(run::run(checks, environment, started, show).await);
    }
    all
}

/// A check that the user named and that did not run is a failure.
fn is_failed(checks: &[CheckRecord], are_named: bool) -> bool {
    checks.iter().any(|check| match check.verdict {
        Verdict::Passed => false,
        Verdict::NotRun => are_named,
        Verdict::Failed | Verdict::Interrupted => true,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: CheckArguments,
    }

    fn parsed(arguments: &str) -> Result<CheckArguments, String> {
        let words = std::iter::once("check").chain(arguments.split_whitespace());
        Line::try_parse_from(words).map(|line| line.arguments).map_err(|error| error.to_string())
    }

    #[rstest]
    #[case("--deploy a:1 --read-only", "'--deploy <IMAGE>' cannot be used with '--read-only'")]
    #[case("--deploy a:1 --ref dev", "'--deploy <IMAGE>' cannot be used with '--ref <REF>'")]
    #[case("--deploy a:1 --namespace shop", "'--deploy <IMAGE>' cannot be used with '--namespace <NAMESPACE>'")]
    #[case("--deploy a:1 --deployer-account a/b", "'--deploy <IMAGE>' cannot be used with '--deployer-account")]
    #[case("--deploy a:1 --gateway a/b --ingress-class c", "'--gateway <NAMESPACE/NAME>' cannot be used with")]
    #[case("--deploy a", "expected an image with a tag or a digest")]
    #[case("--deploy a:1 --host dev.test", "'--host <HOST>'")]
    #[case("--ingress-class c", "--deploy <IMAGE>")]
    #[case("--commit 0123abc", "<--ref <REF>|--deploy <IMAGE>>")]
    fn options_that_contradict_each_other_are_refused(#[case] arguments: &str, #[case] words: &str) {
        let error = parsed(arguments).map(drop).unwrap_err();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn the_former_name_of_the_timeout_is_accepted() {
        for flag in ["--timeout", "--patience"] {
            assert_eq!(parsed(&format!("{flag} 5s")).unwrap().timeout, Duration::from_secs(5));
        }
    }

    #[rstest]
    #[case("", CheckMode::Default)]
    #[case("--read-only", CheckMode::ReadOnly)]
    #[case("--deploy a:1 --commit 0123abc --ingress-class c", CheckMode::Deploy)]
    fn the_mode_is_that_of_the_options(#[case] arguments: &str, #[case] expected: CheckMode) {
        assert_eq!(parsed(arguments).unwrap().mode(), expected);
    }

    #[test]
    fn a_named_check_that_does_not_run_is_a_failure() {
        let check = |verdict| CheckRecord { verdict, ..CheckRecord::default() };
        let (passed, not_run, failed) = (check(Verdict::Passed), check(Verdict::NotRun), check(Verdict::Failed));
        let is_failed = |checks: &[&CheckRecord], are_named| {
            is_failed(&checks.iter().map(|check| (*check).clone()).collect::<Vec<_>>(), are_named)
        };
        assert!(!is_failed(&[&passed, &not_run], false));
        assert!(!is_failed(&[&passed], true));
        assert!(is_failed(&[&passed, &not_run], true));
        assert!(is_failed(&[&passed, &failed], false));
    }
}
