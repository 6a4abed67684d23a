//! Lessons, for people.

use std::fmt::Write;

use comfy_table::{Table, presets};

use crate::lessons::Lesson;
use crate::lessons::LessonResult;

/// The lessons that there are.
pub fn list(lessons: &[Lesson]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["lesson", "what goes wrong"]);
    for lesson in lessons {
        table.add_row([lesson.name, lesson.title]);
    }
    format!("{}\n", table.trim_fmt())
}

/// What a lesson is about, before it begins.
pub fn head(lesson: &Lesson, number: usize, all: usize) -> String {
    format!("Lesson {number} of {all}, {}: {}\n", lesson.name, lesson.title)
}

/// What it has shown.
pub fn taught(lesson: &Lesson, taught: &LessonResult) -> String {
    let (place, lines) = &taught.failure;
    let mut text = format!("\n  {place}\n");
    // Writing to a `String` cannot fail.
    for line in lines {
        let _ = writeln!(text, "  | {line}");
    }
    if let Some(log) = &taught.log {
        let _ = writeln!(text, "  the whole log is target/e2e/lessons/{log}");
    }
    let _ = writeln!(text, "\n  cause:  {}\n  remedy: {}", lesson.cause, lesson.remedy);
    for (path, after) in lesson.fixed {
        let before = lesson.broken.iter().find(|(known, _)| known == path).map_or("", |(_, text)| text);
        let _ = writeln!(text, "\n  {path}");
        for line in changed(before, after) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if !lesson.withheld.is_empty() {
        let _ = writeln!(text, "\n  variables set: {}", lesson.withheld.join(", "));
    }
    let _ = writeln!(text, "\n  ✔ with the remedy it passes\n");
    text
}

/// The lines that differ: those that are only in the first text, and those that are only in the second, in their order.
fn changed(before: &str, after: &str) -> Vec<String> {
    let only = |mark: &'static str, one: &str, other: &str| {
        let other: Vec<String> = other.lines().map(str::to_owned).collect();
        let lines: Vec<String> =
            one.lines().filter(|line| !other.iter().any(|it| it == line)).map(str::to_owned).collect();
        lines.into_iter().map(move |line| format!("{mark} {line}"))
    };
    only("-", before, after).chain(only("+", after, before)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lessons::LESSONS;

    #[test]
    fn what_there_is() {
        insta::assert_snapshot!(list(LESSONS));
    }

    #[test]
    fn what_was_shown() {
        let lesson = LESSONS.iter().find(|lesson| lesson.name == "hidden-failure").unwrap();
        let lines = [
            "The Service \"lesson\" is invalid: spec.ports[0].name: Invalid value: \"http_metrics\"",
            "expected a Service with label ref=lesson in namespace gitlab",
            "saw none",
        ];
        let lines = lines.map(str::to_owned).to_vec();
        let log = Some("logs/17/deploy.log".to_owned());
        let shown = LessonResult { failure: ("the pipeline is green, and check service fails".to_owned(), lines), log };
        insta::assert_snapshot!(format!("{}{}", head(lesson, 5, 5), taught(lesson, &shown)));
    }
}
