//! `e2e lesson`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use e2e::checks::target;
use e2e::lessons::{self, LESSONS, Lesson};
use e2e::report;
use e2e::report::live::{Live, Mode};
use e2e::scenario::lesson::{LessonContext, LessonError, run_lesson};
use e2e::scenario::recorder::Recorder;
use tokio_util::sync::CancellationToken;

use super::images::ImageSource;
use super::place::Place;
use super::{CliError, EXIT_FAILED, Outcome, connect, write};

/// Teaches the article's five failures: each is shown for real, explained, mended, and shown to be gone.
///
/// It needs the cluster of `e2e up`, or one that exists. Exit codes: 0 all was as the lessons say,
/// 1 it was not, 2 bad usage, 3 the cluster does not answer.
#[derive(Debug, clap::Args)]
pub(crate) struct LessonArguments {
    /// Names of lessons; all of them if there are none
    #[arg(value_name = "NAME", value_parser = lesson)]
    names: Vec<&'static Lesson>,

    /// Print the lessons, each with what goes wrong
    #[arg(long)]
    list: bool,

    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    source: ImageSource,

    /// Say nothing while it is going on
    #[arg(long, short)]
    quiet: bool,
}

fn lesson(name: &str) -> Result<&'static Lesson, String> {
    lessons::find(name).map_err(|nearest| {
        let names = LESSONS.iter().map(|lesson| lesson.name).collect::<Vec<_>>().join(", ");
        format!("there is no lesson of that name, did you mean `{nearest}`? There are {names}")
    })
}

/// Teaches.
pub(crate) async fn run(arguments: LessonArguments, cancel: CancellationToken) -> Outcome {
    if arguments.list {
        write(&report::lessons::list(LESSONS))?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = arguments.place.target().await?;
    if !target::answers(&target.client).await {
        return Err(CliError::environment("the cluster does not answer (`e2e status` shows what is up)"));
    }
    let docker = connect().await?;
    let view = Arc::new(Live::new(if arguments.quiet { Mode::Quiet } else { Mode::People }));
    let shown = Arc::clone(&view);
    let recorder = Arc::new(Recorder::new("lessons", Box::new(move |event| shown.show(event))));
    let hearing = Arc::clone(&recorder);
    let images = Arc::new(arguments.source.images(&docker, move |progress| hearing.image(&progress)));
    let source = std::env::current_dir()?;
    let folder: PathBuf = source.join("target/e2e/lessons");
    std::fs::create_dir_all(&folder)?;
    let context = LessonContext { docker, images, target, source, folder, recorder, cancel };
    let chosen: Vec<&Lesson> = if arguments.names.is_empty() { LESSONS.iter().collect() } else { arguments.names };
    let mut code = ExitCode::SUCCESS;
    for (number, lesson) in chosen.iter().enumerate() {
        write(&report::lessons::head(lesson, number + 1, chosen.len()))?;
        match view.watch(run_lesson(lesson, &context)).await {
            Ok(taught) => write(&report::lessons::taught(lesson, &taught))?,
            Err(error @ LessonError::Interrupted) => return Err(error.into()),
            Err(error) => {
                write(&format!("  {error}\n\n"))?;
                code = ExitCode::from(EXIT_FAILED);
            }
        }
    }
    Ok(code)
}
