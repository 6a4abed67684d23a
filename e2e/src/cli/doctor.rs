//! `e2e doctor`

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use e2e::environment::doctor;
use e2e::environment::doctor::{Platform, Request, Verdict};
use e2e::environment::images::{ImagePolicy, KubernetesVersion};
use e2e::report::findings;

use super::{DEFAULT_CLUSTER, EXIT_ENVIRONMENT, Format, Outcome, cluster_name, print, width, write};

/// Shows the prerequisites, the installed programs, and the commands that install the missing ones
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Run these commands (on Debian or Ubuntu, as root)
    #[arg(long)]
    fix: bool,

    /// The format of the findings
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    /// The kind configuration of the cluster, with the ports that it maps on this machine
    #[arg(long, default_value = "kind-config.yaml", value_name = "FILE")]
    kind_config: PathBuf,

    /// The name of the cluster; its own use of these ports is not a conflict
    #[arg(long, default_value = DEFAULT_CLUSTER, value_parser = cluster_name)]
    name: String,

    /// The Kubernetes version of the cluster
    #[arg(long, default_value_t, value_enum, value_name = "VERSION")]
    kubernetes: KubernetesVersion,

    /// How images may be obtained
    #[arg(long = "images", default_value = "auto", value_name = "POLICY")]
    policy: ImagePolicy,

    /// The directory with the recipes of images
    #[arg(long, default_value = "images", value_name = "DIR")]
    recipes: PathBuf,
}

/// Examines the machine, and with `--fix` installs missing prerequisites.
pub(crate) async fn run(arguments: Doctor) -> Outcome {
    let Doctor { fix, format, kind_config, name, kubernetes, policy, recipes } = arguments;
    let request = Request { kind_config: &kind_config, cluster: &name, kubernetes, policy, recipes: &recipes };
    let mut platform = Platform::this();
    let mut found = doctor::examine(&platform, &request).await;
    if fix {
        // Examine again after each command: for example, only a running engine can be tested for privileged containers.
        let mut done = Vec::new();
        while let Some(command) =
            doctor::commands(&found, &platform).into_iter().find(|command| !done.contains(command))
        {
            print(&format!("+ {}", command.replace('\n', "\n  ")));
            doctor::fix(&command).await?;
            done.push(command);
            // apt may offer other packages now.
            platform = Platform::this();
            found = doctor::examine(&platform, &request).await;
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
