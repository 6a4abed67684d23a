//! What is wrong with a pipeline: with the text that it is about, or as JSON.

use std::fmt::Write;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Severity as Level};
use serde::Serialize;

use crate::pipeline::diagnostic::{Diagnostic, Severity};
use crate::pipeline::lint::Lint;

/// All of it for people, with a line of verdict. `width` is the terminal's, `color` whether it has any.
pub fn text(lint: &Lint, width: Option<u16>, color: bool) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler =
        GraphicalReportHandler::new_themed(theme).with_width(width.map_or(120, usize::from)).with_links(false);
    let mut text = String::new();
    let diagnostics = lint.diagnostics.sorted();
    for diagnostic in &diagnostics {
        let report = miette::Report::new(labelled(diagnostic)).with_source_code(source(lint, diagnostic));
        // Writing to a `String` cannot fail.
        let _ = handler.render_report(&mut text, report.as_ref());
        text.push('\n');
    }
    let count = |severity: Severity| diagnostics.iter().filter(|it| it.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let jobs = lint.configuration.as_ref().map_or(0, |configuration| configuration.jobs.len());
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let verdict = match (errors, warnings) {
        (0, 0) => format!("The pipeline is valid: {}.", plural(jobs, "job")),
        (0, _) => format!("The pipeline is valid: {}, {}.", plural(jobs, "job"), plural(warnings, "warning")),
        _ => format!("The pipeline is not valid: {}, {}.", plural(errors, "error"), plural(warnings, "warning")),
    };
    let _ = writeln!(text, "{verdict}");
    text
}

fn labelled(diagnostic: &Diagnostic) -> MietteDiagnostic {
    let level = if diagnostic.severity == Severity::Error { Level::Error } else { Level::Warning };
    let (start, end) = (diagnostic.span.start as usize, diagnostic.span.end as usize);
    let mut labelled = MietteDiagnostic::new(diagnostic.message.clone())
        .with_severity(level)
        .with_label(LabeledSpan::underline(start..end.max(start + 1)));
    labelled.help.clone_from(&diagnostic.help);
    labelled
}

fn source(lint: &Lint, diagnostic: &Diagnostic) -> NamedSource<Arc<str>> {
    let file = lint.sources.file(diagnostic.span.file);
    let (name, text) = file.map(|file| (Arc::clone(&file.name), Arc::clone(&file.text))).unwrap_or_default();
    // A label at the end of the text, or in none, needs something to stand on.
    let text = if text.len() <= diagnostic.span.start as usize { format!("{text}\n ").into() } else { text };
    NamedSource::new(name, text)
}

/// All of it for programs.
///
/// # Errors
/// Never; JSON has a place for every text.
pub fn json(lint: &Lint) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Told<'lint> {
        severity: Severity,
        message: &'lint str,
        file: Arc<str>,
        line: usize,
        column: usize,
        help: Option<&'lint str>,
    }
    let lines = lint.diagnostics.sorted().into_iter().map(|diagnostic| {
        let location = lint.sources.location(diagnostic.span);
        Told {
            severity: diagnostic.severity,
            message: &diagnostic.message,
            file: location.file,
            line: location.line,
            column: location.column,
            help: diagnostic.help.as_deref(),
        }
    });
    Ok(serde_json::to_string_pretty(&lines.collect::<Vec<_>>())? + "\n")
}
