//! Compares the service with an equivalent one in Go.

mod audit;
mod go_service;
mod measure;
mod report;

use std::path::{Path, PathBuf};

use crate::comparison::Comparison;
use crate::cores::Cores;
use crate::error::{Context, Error};
use crate::page::Page;
use crate::server_process::Server;
use crate::tools::{self, Need};
use crate::{machine, progress};

use self::measure::{Found, Plan};
use self::report::Report;

/// The executable that `make build` creates.
const APP: &str = "dist/app";

/// Compares the service with an equivalent one in Go: requests per second, latency, memory, start-up time and size.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Run a smoke test of about ten seconds; its figures are not meaningful
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,

    /// Number of times that each service is started and put under load, alternately
    #[arg(long, default_value_t = 5, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Seconds of measured load on each route in each round
    #[arg(long, default_value_t = 5, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,

    /// Number of concurrent connections of the load
    #[arg(long, default_value_t = 32, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,

    /// The service's executable
    #[arg(long, default_value = APP, value_name = "FILE")]
    app: PathBuf,

    /// Also write the report into this page, between `<!-- bench-app:begin -->` and `<!-- bench-app:end -->`
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl Arguments {
    fn plan(&self) -> Plan {
        let Self { connections, .. } = *self;
        if self.quick {
            Plan { rounds: 1, seconds: 1, starts: 3, connections }
        } else {
            Plan { rounds: self.rounds, seconds: self.seconds, starts: 20, connections }
        }
    }

    /// The command line that creates the same report.
    fn command(&self) -> String {
        let Plan { rounds, seconds, connections, .. } = self.plan();
        let effort = if self.quick { "--quick".to_owned() } else { format!("--rounds {rounds} --seconds {seconds}") };
        let app = if self.app == Path::new(APP) { String::new() } else { format!(" --app {}", self.app.display()) };
        format!("make bench-app BENCH_FLAGS='{effort} --connections {connections}{app}'")
    }
}

/// Measures, and returns the report for the terminal.
pub(crate) async fn run(arguments: &Arguments) -> Result<String, Error> {
    tools::check(&[Need::command("wrk", "wrk"), go_service::NEED])?;
    if !arguments.app.is_file() {
        let app = arguments.app.display();
        return Err(Error::Environment(format!("{app} is missing: run `make build` in this directory")));
    }
    // Open the page before the measurement, which takes minutes, so that an invalid page is reported first.
    let page = arguments.write.clone().map(|page| Page::open(page, "bench-app")).transpose()?;
    let program = arguments.app.canonicalize().context(arguments.app.display())?;
    let rust = Server { name: "the Rust service", program };
    let go = Server { name: "the Go service", program: go_service::build().await? };

    let cores = Cores::current()?;
    cores.enter_load()?;
    let plan = arguments.plan();
    let (mut rust_found, mut go_found) = (Found::from_server(&rust)?, Found::from_server(&go)?);
    progress(&format!("{} starts of each service", plan.starts));
    for start in 0..plan.starts {
        for (server, found) in in_turn(start, (&rust, &mut rust_found), (&go, &mut go_found)) {
            measure::start(server, cores, found).await?;
        }
    }
    for round in 0..plan.rounds {
        for (server, found) in in_turn(round, (&rust, &mut rust_found), (&go, &mut go_found)) {
            progress(&format!("round {} of {}: {}", round + 1, plan.rounds, server.name));
            measure::load(server, cores, plan, found).await?;
        }
    }

    let report = Report {
        machine: machine::describe()?,
        day: machine::today(),
        command: arguments.command(),
        plan,
        rust: rust_found,
        go: go_found,
    };
    report.write(page)
}

/// Returns both services in alternating order, so that a machine that becomes slower or faster affects both equally.
fn in_turn<T>(round: u32, one: T, other: T) -> [T; 2] {
    if round.is_multiple_of(2) { [one, other] } else { [other, one] }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Line::try_parse_from(line.split_whitespace()).map(|line| line.arguments)
    }

    #[rstest]
    #[case::all("app", "--rounds 5 --seconds 5 --connections 32")]
    #[case::less("app --rounds 1 --seconds 2 --connections 8", "--rounds 1 --seconds 2 --connections 8")]
    #[case::quick("app --quick", "--quick --connections 32")]
    #[case::another_program("app --quick --app /tmp/app", "--quick --connections 32 --app /tmp/app")]
    fn the_report_names_the_command(#[case] line: &str, #[case] expected: &str) {
        let command = parse(line).unwrap().command();
        assert_eq!(command, format!("make bench-app BENCH_FLAGS='{expected}'"));
    }

    #[rstest]
    #[case::contradiction("app --quick --rounds 9")]
    #[case::no_rounds("app --rounds 0")]
    #[case::hours("app --seconds 3600")]
    fn invalid_arguments_are_refused(#[case] line: &str) {
        parse(line).unwrap_err();
    }

    #[test]
    fn the_order_of_the_services_alternates() {
        let order: Vec<_> = (0..4).flat_map(|round| in_turn(round, 'a', 'b')).collect();
        assert_eq!(order, ['a', 'b', 'b', 'a', 'a', 'b', 'b', 'a']);
    }
}
