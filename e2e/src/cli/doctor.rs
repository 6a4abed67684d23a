//! `e2e doctor`

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use e2e::doctor::{self, Platform, Verdict};
use e2e::report::findings;

use super::{CLUSTER, EXIT_ENVIRONMENT, Format, Outcome, cluster_name, tell, width, write};

/// Tells what is needed, what there is, and the command that installs what is missing.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Run those commands (on Debian or Ubuntu, as root)
    #[arg(long)]
    fix: bool,

    /// How the findings are written
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    /// The shape of the cluster, with the ports of this machine that it maps
    #[arg(long, default_value = "kind-config.yaml", value_name = "FILE")]
    kind_config: PathBuf,

    /// The cluster that may hold these ports already
    #[arg(long, default_value = CLUSTER, value_parser = cluster_name)]
    name: String,
}

/// Examines, and repairs if it is asked to.
pub(crate) async fn run(arguments: Doctor) -> Outcome {
    let Doctor { fix, format, kind_config, name } = arguments;
    let platform = Platform::this();
    let mut found = doctor::examine(&platform, &kind_config, &name).await;
    if fix {
        // What is installed may be what the next examination needs: an engine, then what it can do.
        let mut done = Vec::new();
        while let Some(command) =
            doctor::commands(&found, &platform).into_iter().find(|command| !done.contains(command))
        {
            tell(&format!("+ {}", command.replace('\n', "\n  ")));
            doctor::fix(&command).await?;
            done.push(command);
            found = doctor::examine(&platform, &kind_config, &name).await;
        }
    }
    let text = match format {
        Format::Table => findings::table(&found, &platform, width(io::stdout())),
        Format::Json => findings::json(&found, platform.name())?,
    };
    write(&text)?;
    Ok(match doctor::verdict(&found) {
        Verdict::Good | Verdict::Warning => ExitCode::SUCCESS,
        Verdict::Missing => ExitCode::from(EXIT_ENVIRONMENT),
    })
}
