//! The summary for reviewers of a merge request, in GitLab's Markdown.

use std::fmt::Write;

use super::clean::cleaned;
use super::words::{self, Kind, about_check, about_job, capital, cut, format_duration, job_word};
use crate::record::{Check, Record, Span};

/// Maximum length of a cell.
const MAX_LENGTH: usize = 160;

/// Number of the longest spans to show.
const MAX_SPANS: usize = 5;

pub fn markdown(record: &Record) -> String {
    let record = &cleaned(record);
    let mut text = String::new();
    let kind = Kind::from(record.verdict);
    let _ = writeln!(text, "### {} {}: {}", emoji(kind), capital(kind.word()), words::sentence(record));
    let project = &record.project;
    if !project.path.is_empty() {
        let (path, commit, title) =
            (escaped(&project.path), words::short(&project.commit), escaped(&cut(&project.title, MAX_LENGTH)));
        let _ = writeln!(text, "\n{path}, commit {} {title}, run {}", code(commit), escaped(&record.id));
    }
    if let Some(reason) = &record.broken {
        let _ = writeln!(text, "\n> {}", escaped(&cut(reason, 4 * MAX_LENGTH)));
    }
    pipelines(&mut text, record);
    checks(&mut text, record);
    time(&mut text, record);
    text
}

fn pipelines(text: &mut String, record: &Record) {
    if record.pipelines.is_empty() {
        return;
    }
    text.push_str("\n#### Pipelines\n\n| | pipeline | ref | jobs | duration |\n| --- | --- | --- | --- | ---: |\n");
    for pipeline in &record.pipelines {
        let failed = pipeline.jobs.iter().filter(|job| matches!(Kind::from_job(job), Kind::Failed | Kind::Warned));
        let failed = failed.map(|job| {
            let about = about_job(job);
            let about =
                if about.is_empty() { String::new() } else { format!(": {}", escaped(&cut(&about, MAX_LENGTH))) };
            format!("{} {}{about}", code(&job.name), job_word(job))
        });
        let run = pipeline.jobs.iter().filter(|job| job.attempts > 0).count();
        let jobs: Vec<_> = std::iter::once(run.to_string()).chain(failed).collect();
        row(
            text,
            &[
                emoji(Kind::from_pipeline(pipeline)),
                &format!("{} {}", pipeline.id, escaped(&pipeline.title)),
                &code(&pipeline.ref_name),
                &jobs.join("; "),
                &format_duration(pipeline.duration),
            ],
        );
    }
}

fn checks(text: &mut String, record: &Record) {
    let (passed, other): (Vec<_>, Vec<_>) =
        record.checks.iter().partition(|check| Kind::from(check.verdict) == Kind::Passed);
    if record.checks.is_empty() {
        return;
    }
    text.push_str("\n#### Checks\n");
    // Failed checks first, checks that were not run last.
    let (not_run, failed): (Vec<_>, Vec<_>) =
        other.into_iter().partition(|check| Kind::from(check.verdict) == Kind::NotRun);
    if failed.len() + not_run.len() > 0 {
        check_table(text, failed.iter().chain(&not_run));
    }
    if !passed.is_empty() {
        let _ = write!(text, "\n<details><summary>{} passed</summary>\n", words::count(passed.len(), "check"));
        check_table(text, passed.iter());
        text.push_str("\n</details>\n");
    }
}

fn check_table<'checks>(text: &mut String, checks: impl Iterator<Item = &'checks &'checks Check>) {
    text.push_str("\n| | check | environment | seen | duration |\n| --- | --- | --- | --- | ---: |\n");
    for check in checks {
        let kind = Kind::from(check.verdict);
        let duration = if kind == Kind::NotRun { String::new() } else { format_duration(check.duration) };
        let fix = check.failure.as_ref().map(|failure| &failure.fix).filter(|fix| !fix.is_empty());
        let fix = fix.map(|fix| format!("<br>Remedy: {}", escaped(&cut(fix, MAX_LENGTH)))).unwrap_or_default();
        let seen = format!("{}{fix}", escaped(&cut(&about_check(check), MAX_LENGTH)));
        row(text, &[emoji(kind), &code(&check.name), &escaped(&check.environment), &seen, &duration]);
    }
}

fn time(text: &mut String, record: &Record) {
    let duration = |span: &Span| span.end - span.start;
    let mut spans: Vec<_> = record.spans.iter().collect();
    spans.sort_by(|one, other| duration(other).total_cmp(&duration(one)));
    if spans.is_empty() {
        return;
    }
    text.push_str("\n#### Longest activities\n\n| activity | lane | duration |\n| --- | --- | ---: |\n");
    for span in spans.into_iter().take(MAX_SPANS) {
        row(text, &[&code(&span.name), &escaped(&span.lane), &format_duration(duration(span))]);
    }
    let _ = writeln!(text, "\nTotal: {}. {}", format_duration(record.duration), escaped(&words::overhead(record)));
}

fn row(text: &mut String, cells: &[&str]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// Escapes a text so that it contains no Markdown, HTML, mentions or references.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\n' | '\r' => escaped.push(' '),
            // A backslash also prevents GitLab's references and mentions; character references would not.
            '\\' | '`' | '*' | '_' | '|' | '[' | ']' | '~' | '#' | '$' | '!' | '^' | '@' | '%' | '&' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A text as code, or as plain text if it contains a character that would end the code.
fn code(text: &str) -> String {
    let is_simple = !text.is_empty() && !text.contains(['`', '|', '\n', '\\']);
    if is_simple { format!("`{text}`") } else { escaped(text) }
}

fn emoji(kind: Kind) -> &'static str {
    match kind {
        Kind::Passed => "✅",
        Kind::Failed => "❌",
        Kind::Warned | Kind::Interrupted => "⚠️",
        Kind::Manual => "⏯️",
        Kind::NotRun => "➖",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::run::fixture;

    #[test]
    fn everything_passes() {
        insta::assert_snapshot!(markdown(&fixture::passed()));
    }

    #[test]
    fn something_failed() {
        insta::assert_snapshot!(markdown(&fixture::failed()));
    }

    #[test]
    fn the_run_was_interrupted() {
        insta::assert_snapshot!(markdown(&fixture::interrupted()));
    }

    #[test]
    fn all_rows_of_a_table_have_the_same_number_of_cells() {
        let text = markdown(&fixture::failed());
        let mut columns = 0;
        for line in text.lines() {
            let bars = line.replace("\\|", "").matches('|').count();
            assert!(columns == 0 || bars == 0 || bars == columns, "{line}");
            columns = bars;
        }
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(escaped("a|b `c` <i> @all #1\nd_e &2"), "a\\|b \\`c\\` &lt;i&gt; \\@all \\#1 d\\_e \\&2");
        assert_eq!(code("a|b`"), "a\\|b\\`");
        assert_eq!(code("deploy_live"), "`deploy_live`");
    }
}
