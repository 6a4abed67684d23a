//! For who reviews a merge request: a comment in GitLab's Markdown.

use std::fmt::Write;

use super::clean::cleaned;
use super::words::{self, Kind, about_check, about_job, capital, cut, duration, job_word};
use crate::record::{Check, Record, Span};

/// How long a cell may be.
const LONGEST: usize = 160;

/// How many of the longest spans are shown.
const SPANS: usize = 5;

/// All of it.
pub fn markdown(record: &Record) -> String {
    let record = &cleaned(record);
    let mut text = String::new();
    let kind = Kind::from(record.verdict);
    let _ = writeln!(text, "### {} {}: {}", emoji(kind), capital(kind.word()), words::sentence(record));
    let project = &record.project;
    if !project.path.is_empty() {
        let (path, commit, title) =
            (escaped(&project.path), words::short(&project.commit), escaped(&cut(&project.title, LONGEST)));
        let _ = writeln!(text, "\n{path}, commit {} {title}, run {}", code(commit), escaped(&record.id));
    }
    if let Some(why) = &record.broken {
        let _ = writeln!(text, "\n> {}", escaped(&cut(why, 4 * LONGEST)));
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
        let failed = pipeline.jobs.iter().filter(|job| matches!(Kind::of_job(job), Kind::Failed | Kind::Warned));
        let failed = failed.map(|job| {
            let about = about_job(job);
            let about = if about.is_empty() { String::new() } else { format!(": {}", escaped(&cut(&about, LONGEST))) };
            format!("{} {}{about}", code(&job.name), job_word(job))
        });
        let run = pipeline.jobs.iter().filter(|job| job.attempts > 0).count();
        let jobs: Vec<_> = std::iter::once(run.to_string()).chain(failed).collect();
        row(
            text,
            &[
                emoji(Kind::of_pipeline(pipeline)),
                &format!("{} {}", pipeline.id, escaped(&pipeline.title)),
                &code(&pipeline.ref_name),
                &jobs.join("; "),
                &duration(pipeline.took),
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
    // Failed ones first, those that were not run last.
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
        let took = if kind == Kind::NotRun { String::new() } else { duration(check.took) };
        let fix = check.failure.as_ref().map(|failure| &failure.fix).filter(|fix| !fix.is_empty());
        let fix = fix.map(|fix| format!("<br>Remedy: {}", escaped(&cut(fix, LONGEST)))).unwrap_or_default();
        let seen = format!("{}{fix}", escaped(&cut(&about_check(check), LONGEST)));
        row(text, &[emoji(kind), &code(&check.name), &escaped(&check.environment), &seen, &took]);
    }
}

fn time(text: &mut String, record: &Record) {
    let took = |span: &Span| span.end - span.start;
    let mut spans: Vec<_> = record.spans.iter().collect();
    spans.sort_by(|one, other| took(other).total_cmp(&took(one)));
    if spans.is_empty() {
        return;
    }
    text.push_str("\n#### Where time went\n\n| what | of | duration |\n| --- | --- | ---: |\n");
    for span in spans.into_iter().take(SPANS) {
        row(text, &[&code(&span.name), &escaped(&span.lane), &duration(took(span))]);
    }
    let _ = writeln!(text, "\nFrom first to last: {}. {}", duration(record.took), escaped(&words::overhead(record)));
}

fn row(text: &mut String, cells: &[&str]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// A text in which nothing is Markdown, HTML, a mention or a reference.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\n' | '\r' => escaped.push(' '),
            // GitLab takes what has a backslash for no reference either; as character references they still would be some.
            '\\' | '`' | '*' | '_' | '|' | '[' | ']' | '~' | '#' | '$' | '!' | '^' | '@' | '%' | '&' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A text as code. Where it contains what would end it, it is plain.
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
    fn all_is_well() {
        insta::assert_snapshot!(markdown(&fixture::passed()));
    }

    #[test]
    fn something_failed() {
        insta::assert_snapshot!(markdown(&fixture::failed()));
    }

    #[test]
    fn somebody_ended_it() {
        insta::assert_snapshot!(markdown(&fixture::interrupted()));
    }

    #[test]
    fn every_table_is_whole() {
        let text = markdown(&fixture::failed());
        let mut columns = 0;
        for line in text.lines() {
            let bars = line.replace("\\|", "").matches('|').count();
            assert!(columns == 0 || bars == 0 || bars == columns, "{line}");
            columns = bars;
        }
    }

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped("a|b `c` <i> @all #1\nd_e &2"), "a\\|b \\`c\\` &lt;i&gt; \\@all \\#1 d\\_e \\&2");
        assert_eq!(code("a|b`"), "a\\|b\\`");
        assert_eq!(code("deploy_live"), "`deploy_live`");
    }
}
