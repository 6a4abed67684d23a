//! Diagnostics as text with excerpts of the files, or as JSON.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Severity as Level};
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Severity};
use crate::lint::Lint;

/// The maximum length of an excerpt, and of a line in it, in bytes.
const MAX_EXCERPT_LENGTH: usize = 2000;

/// Renders all diagnostics for a terminal, each with an excerpt of its file, and a last line with the result. `width`
/// is the number of columns, 120 if unknown; `color` adds ANSI escape codes.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use gitlab_ci::include::Environment;
/// use gitlab_ci::{lint, render};
///
/// let files = BTreeMap::from([(".gitlab-ci.yml", "test: {script: make test}\n")]);
/// let lint = lint::lint(".gitlab-ci.yml", &Environment::new(&files));
/// assert_eq!(render::diagnostics::text(&lint, None, false), "The pipeline is valid for GitLab 18.11: 1 job.\n");
/// ```
pub fn text(lint: &Lint, width: Option<u16>, color: bool) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler =
        GraphicalReportHandler::new_themed(theme).with_width(width.map_or(120, usize::from)).with_links(false);
    let mut text = String::new();
    let diagnostics = lint.diagnostics.sorted();
    for diagnostic in diagnostics.iter().filter(|it| !it.is_unsupported) {
        let mut report = miette_diagnostic(diagnostic);
        // Writing to a `String` cannot fail.
        let report = if let Some(range) = underlined(lint, diagnostic) {
            report = report.with_label(LabeledSpan::underline(range));
            miette::Report::new(report).with_source_code(source(lint, diagnostic))
        } else {
            let _ = writeln!(text, "{}", lint.sources.location(diagnostic.span));
            miette::Report::new(report)
        };
        let _ = handler.render_report(&mut text, report.as_ref());
        text.push('\n');
    }
    // These need no excerpt: nothing is wrong with the file.
    for diagnostic in diagnostics.iter().filter(|it| it.is_unsupported) {
        let notes = diagnostic.notes().map(|notes| format!(" ({notes})")).unwrap_or_default();
        let _ = writeln!(text, "{}: {}{notes}", lint.sources.location(diagnostic.span), diagnostic.message);
    }
    if diagnostics.iter().any(|it| it.is_unsupported) {
        text.push('\n');
    }
    let count = |severity: Severity| diagnostics.iter().filter(|it| it.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let jobs = lint.configuration.as_ref().map_or(0, |configuration| configuration.jobs.len());
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let version = lint.diagnostics.version();
    let counts = match (errors, warnings) {
        (0, 0) => plural(jobs, "job"),
        (0, _) => format!("{}, {}", plural(jobs, "job"), plural(warnings, "warning")),
        _ => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    };
    let verdict = if errors == 0 { "valid" } else { "not valid" };
    let verdict = format!("The pipeline is {verdict} for GitLab {version}: {counts}.");
    let rest = if lint.lacks_files { " The rest was not checked, because a file cannot be included." } else { "" };
    let _ = writeln!(text, "{verdict}{rest}");
    text
}

fn miette_diagnostic(diagnostic: &Diagnostic) -> MietteDiagnostic {
    let level = if diagnostic.severity == Severity::Error { Level::Error } else { Level::Warning };
    let mut converted = MietteDiagnostic::new(diagnostic.message.clone()).with_severity(level);
    converted.help = diagnostic.notes();
    converted
}

/// The range to underline, or `None` if the file is empty or a line is too long to show: miette writes lines in full, and panics on
/// lines of more than 65,535 columns.
fn underlined(lint: &Lint, diagnostic: &Diagnostic) -> Option<Range<usize>> {
    let (start, end) = (diagnostic.span.start as usize, diagnostic.span.end as usize);
    // A file that is missing or empty has nothing to show.
    let text = lint.sources.file(diagnostic.span.file).map(|file| &*file.text).filter(|text| !text.is_empty())?;
    let line_end = |at: usize| text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| at + length);
    // Of a long range, only the first line is underlined.
    let end = if end.saturating_sub(start) > MAX_EXCERPT_LENGTH { line_end(start) } else { end };
    let before = text.get(..start).unwrap_or(text);
    // miette also shows the line before and the line after.
    let from = before.rmatch_indices('\n').nth(1).map_or(0, |(at, _)| at + 1);
    let until = line_end(line_end(end.min(text.len())).saturating_add(1).min(text.len()));
    let lines = text.get(from..until).unwrap_or_default().lines();
    lines.map(str::len).all(|length| length <= MAX_EXCERPT_LENGTH).then(|| start..end.max(start + 1))
}

fn source(lint: &Lint, diagnostic: &Diagnostic) -> NamedSource<Arc<str>> {
    let file = lint.sources.file(diagnostic.span.file);
    let (name, text) = file.map(|file| (Arc::clone(&file.name), Arc::clone(&file.text))).unwrap_or_default();
    // miette needs a character to underline, also at the end of the text and in an empty one.
    let text = if text.len() <= diagnostic.span.start as usize { format!("{text}\n ").into() } else { text };
    NamedSource::new(name, text)
}

/// Renders all diagnostics as a JSON array of objects with `severity`, `message`, `file`, `line`, `column` and `help`.
/// Ends with a line break.
///
/// # Errors
/// Does not occur in practice: every part has a representation in JSON.
pub fn json(lint: &Lint) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct JsonDiagnostic<'lint> {
        severity: Severity,
        message: &'lint str,
        file: Arc<str>,
        line: usize,
        column: usize,
        help: Option<String>,
    }
    let lines = lint.diagnostics.sorted().into_iter().map(|diagnostic| {
        let location = lint.sources.location(diagnostic.span);
        JsonDiagnostic {
            severity: diagnostic.severity,
            message: &diagnostic.message,
            file: location.file,
            line: location.line,
            column: location.column,
            help: diagnostic.notes(),
        }
    });
    Ok(serde_json::to_string_pretty(&lines.collect::<Vec<_>>())? + "\n")
}
