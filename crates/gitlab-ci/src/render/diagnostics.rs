//! What is wrong with a pipeline: with the text that it is about, or as JSON.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Severity as Level};
use serde::Serialize;

use crate::diagnostic::Diagnostic;
use crate::diagnostic::Severity;
use crate::lint::Lint;

/// How long what is shown of a file may be, and a line of it, in bytes.
const LONGEST_EXCERPT: usize = 2000;

/// All of it for people, with a line of verdict. `width` is the terminal's, `color` whether it has any.
pub fn text(lint: &Lint, width: Option<u16>, color: bool) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler =
        GraphicalReportHandler::new_themed(theme).with_width(width.map_or(120, usize::from)).with_links(false);
    let mut text = String::new();
    let diagnostics = lint.diagnostics.sorted();
    for diagnostic in &diagnostics {
        let told = told(diagnostic);
        // Writing to a `String` cannot fail.
        let report = if let Some(place) = excerpt(lint, diagnostic) {
            let told = told.with_label(LabeledSpan::underline(place));
            miette::Report::new(told).with_source_code(source(lint, diagnostic))
        } else {
            let _ = writeln!(text, "{}", lint.sources.location(diagnostic.span));
            miette::Report::new(told)
        };
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

fn told(diagnostic: &Diagnostic) -> MietteDiagnostic {
    let level = if diagnostic.severity == Severity::Error { Level::Error } else { Level::Warning };
    let mut told = MietteDiagnostic::new(diagnostic.message.clone()).with_severity(level);
    told.help.clone_from(&diagnostic.help);
    told
}

/// What is underlined. Nothing where lines are longer than anybody reads: miette writes all of them, and none of more than
/// 65,535 columns.
fn excerpt(lint: &Lint, diagnostic: &Diagnostic) -> Option<Range<usize>> {
    let (start, end) = (diagnostic.span.start as usize, diagnostic.span.end as usize);
    let text = lint.sources.file(diagnostic.span.file).map_or("", |file| &*file.text);
    let line_end = |at: usize| text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| at + length);
    // Of something long only its first line.
    let end = if end.saturating_sub(start) > LONGEST_EXCERPT { line_end(start) } else { end };
    let before = text.get(..start).unwrap_or(text);
    // With the lines before and after it.
    let from = before.rmatch_indices('\n').nth(1).map_or(0, |(at, _)| at + 1);
    let until = line_end(line_end(end.min(text.len())).saturating_add(1).min(text.len()));
    let lines = text.get(from..until).unwrap_or_default().lines();
    lines.map(str::len).all(|length| length <= LONGEST_EXCERPT).then(|| start..end.max(start + 1))
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
