//! `e2e lesson`

use std::process::ExitCode;
use std::sync::Arc;

use e2e::lessons::{self, LESSONS, Lesson};
use e2e::record::event::Event;
use e2e::report;
use e2e::report::live::{Live, Mode};
use e2e::scenario::lesson::{LessonContext, LessonError, run_lesson};
use e2e::scenario::recorder::Recorder;
use private_dir::PrivateDir;
use tokio_util::sync::CancellationToken;

use super::images::ImageSource;
use super::target_args::TargetArgs;
use super::{EXIT_FAILED, Outcome, connect, write};

/// Runs the lessons of the course: each shows a real failure and its cause, and that the remedy removes it
///
/// Needs the cluster of `e2e up`, or an existing one. Exit codes: 0 every lesson showed its failure and its remedy,
/// 1 a lesson did not, 2 the command line is wrong, 3 the cluster or the container engine does not answer.
#[derive(Debug, clap::Args)]
pub(crate) struct LessonArguments {
    /// Lessons to run [default: all]
    #[arg(value_name = "NAME", value_parser = lesson)]
    names: Vec<&'static Lesson>,

    /// List the lessons, and what goes wrong in each
    #[arg(long)]
    list: bool,

    #[command(flatten)]
    target_args: TargetArgs,

    #[command(flatten)]
    source: ImageSource,

    /// Print no progress
    #[arg(long, short)]
    quiet: bool,
}

fn lesson(name: &str) -> Result<&'static Lesson, String> {
    lessons::find(name).map_err(|nearest| {
        let names = LESSONS.iter().map(|lesson| lesson.name).collect::<Vec<_>>().join(", ");
        format!("unknown lesson, did you mean `{nearest}`? The lessons are {names}")
    })
}

/// Runs the lessons.
pub(crate) async fn run(arguments: LessonArguments, cancel: CancellationToken) -> Outcome {
    if arguments.list {
        write(&report::lessons::list(LESSONS))?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = arguments.target_args.answering_target().await?;
    let docker = connect().await?;
    let view = Arc::new(Live::new(if arguments.quiet { Mode::Quiet } else { Mode::People }));
    let shown = Arc::clone(&view);
    let recorder = Arc::new(Recorder::new("lessons", Box::new(move |event| shown.show(event))));
    let image_events = Arc::clone(&recorder);
    let images = Arc::new(arguments.source.images(&docker, move |event: &Event<'_>| image_events.record(event)));
    let source = std::env::current_dir()?;
    let dir = PrivateDir::open_shared(&source, "target/e2e/lessons")?.path().to_owned();
    let context = LessonContext { docker, images, target, source, dir, recorder, cancel };
    let chosen: Vec<&Lesson> = if arguments.names.is_empty() { LESSONS.iter().collect() } else { arguments.names };
    let mut code = ExitCode::SUCCESS;
    for (number, lesson) in chosen.iter().enumerate() {
        write(&report::lessons::heading(lesson, number + 1, chosen.len()))?;
        let lesson_result = view.watch(run_lesson(lesson, &context)).await;
        view.finish().await?;
        match lesson_result {
            Ok(lesson_result) => write(&report::lessons::lesson_result(lesson, &lesson_result))?,
            Err(error @ LessonError::Interrupted) => return Err(error.into()),
            Err(error) => {
                write(&format!("  {error}\n\n"))?;
                code = ExitCode::from(EXIT_FAILED);
            }
        }
    }
    Ok(code)
}
