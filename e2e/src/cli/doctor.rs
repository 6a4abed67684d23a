//! `e2e doctor`

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use e2e::environment::doctor;
use e2e::environment::doctor::Platform;
use e2e::environment::doctor::Request;
use e2e::environment::doctor::Verdict;
use e2e::environment::images::KubernetesVersion;
use e2e::environment::images::Way;
use e2e::report::findings;

use super::{CLUSTER, EXIT_ENVIRONMENT, Format, Outcome, cluster_name, print, width, write};

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

    /// The version of Kubernetes that the cluster's node has
    #[arg(long, default_value_t, value_enum, value_name = "VERSION")]
    kubernetes: KubernetesVersion,

    /// Which ways images may come
    #[arg(long = "images", default_value = "auto", value_name = "WAY")]
    way: Way,

    /// The folder with the recipes of images
    #[arg(long, default_value = "images", value_name = "FOLDER")]
    recipes: PathBuf,
}

/// Examines, and repairs if it is asked to.
pub(crate) async fn run(arguments: Doctor) -> Outcome {
    let Doctor { fix, format, kind_config, name, kubernetes, way, recipes } = arguments;
    let request = Request { kind_config: &kind_config, cluster: &name, kubernetes, way, recipes: &recipes };
    let mut platform = Platform::this();
    let mut found = doctor::examine(&platform, &request).await;
    if fix {
        // What is installed may be what the next examination needs: an engine, then what it can do.
        let mut done = Vec::new();
        while let Some(command) =
            doctor::commands(&found, &platform).into_iter().find(|command| !done.contains(command))
        {
            print(&format!("+ {}", command.replace('\n', "\n  ")));
            doctor::fix(&command).await?;
            done.push(command);
            // What apt offers may be new, too.
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
