//! `e2e images`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use e2e::environment::images;
use e2e::environment::images::{CATALOG, Image, ImagePolicy, Images, KubernetesVersion, SHARED};
use e2e::record::event::Event;
use e2e::report;
use e2e::report::live::{Live, Mode};

use super::{Format, Outcome, connect, write};

/// Obtains the images of the harness and the pipeline: present ones are used, others pulled, else built
#[derive(Debug, clap::Args)]
pub(crate) struct ImagesArguments {
    /// Images of the catalog [default: the node image, and all images that the harness and the pipeline use]
    #[arg(value_name = "NAME", value_parser = image)]
    names: Vec<&'static Image>,

    /// The format of the result
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    #[command(flatten)]
    source: ImageSource,
}

/// The arguments that determine how images are obtained.
#[derive(Debug, clap::Args)]
pub(crate) struct ImageSource {
    /// How images may be obtained
    #[arg(long = "images", default_value = "auto", value_name = "POLICY")]
    policy: ImagePolicy,

    /// The Kubernetes version of the cluster
    #[arg(long, default_value_t, value_enum, value_name = "VERSION")]
    kubernetes: KubernetesVersion,

    /// The directory with the recipes
    #[arg(long, default_value = "images", value_name = "DIR")]
    recipes: PathBuf,

    /// The directory for the logs of builds
    #[arg(long, default_value = "target/e2e/images", value_name = "DIR")]
    log_dir: PathBuf,
}

fn image(name: &str) -> Result<&'static Image, String> {
    images::find(name).map_err(|nearest| {
        let names = CATALOG.iter().map(|image| image.name).collect::<Vec<_>>().join(", ");
        format!("unknown image, did you mean `{nearest}`? The images are {names}")
    })
}

/// Obtains images.
pub(crate) async fn run(arguments: ImagesArguments) -> Outcome {
    let ImagesArguments { names, format, source } = arguments;
    let docker = connect().await?;
    let display = Arc::new(Live::new(Mode::People));
    let shown = Arc::clone(&display);
    let images = source.images(&docker, move |event: &Event<'_>| shown.show(event));
    let wanted = if names.is_empty() {
        // The node first: its build takes longest.
        [&[images.kubernetes().node()], SHARED].concat()
    } else {
        names
    };
    let obtained = display.watch(images.obtain(&wanted)).await;
    display.finish().await?;
    let obtained = obtained?;
    write(&match format {
        Format::Table => report::images::table(&obtained),
        Format::Json => serde_json::to_string_pretty(&obtained)? + "\n",
    })?;
    Ok(ExitCode::SUCCESS)
}

impl ImageSource {
    /// Obtains images as these arguments specify. `notify` receives the progress.
    pub(crate) fn images(
        &self,
        docker: &bollard::Docker,
        notify: impl Fn(&Event<'_>) + Send + Sync + 'static,
    ) -> Images {
        Images::new(docker.clone(), self.policy, self.kubernetes, &self.recipes, &self.log_dir, notify)
    }
}
