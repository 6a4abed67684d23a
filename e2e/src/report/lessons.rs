//! The output of lessons in the terminal.

use std::fmt::Write;

use comfy_table::{Table, presets};

use crate::lessons::{Lesson, LessonResult};

pub fn list(lessons: &[Lesson]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["lesson", "what goes wrong"]);
    for lesson in lessons {
        table.add_row([lesson.name, lesson.title]);
    }
    format!("{}\n", table.trim_fmt())
}

/// The heading of a lesson.
pub fn heading(lesson: &Lesson, number: usize, all: usize) -> String {
    format!("Lesson {number} of {all}, {}: {}\n", lesson.name, lesson.title)
}

pub fn lesson_result(lesson: &Lesson, lesson_result: &LessonResult) -> String {
    let (place, lines) = &lesson_result.failure;
    let mut text = format!("\n  {place}\n");
    // Writing to a `String` cannot fail.
    for line in lines {
        let _ = writeln!(text, "  | {line}");
    }
    if let Some(log) = &lesson_result.log {
        let _ = writeln!(text, "  full log: target/e2e/lessons/{log}");
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
    let _ = writeln!(text, "\n  ✔ passes with the remedy\n");
    text
}

/// The lines that exist only in the first text, followed by the lines that exist only in the second.
fn changed(before: &str, after: &str) -> Vec<String> {
    let only = |sign: &'static str, one: &str, other: &str| {
        let other: Vec<String> = other.lines().map(str::to_owned).collect();
        let lines: Vec<String> =
            one.lines().filter(|line| !other.iter().any(|it| it == line)).map(str::to_owned).collect();
        lines.into_iter().map(move |line| format!("{sign} {line}"))
    };
    only("-", before, after).chain(only("+", after, before)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lessons::LESSONS;

    #[test]
    fn the_list_of_lessons() {
        insta::assert_snapshot!(list(LESSONS));
    }

    #[test]
    fn a_lesson_result() {
        let lesson = LESSONS.iter().find(|lesson| lesson.name == "hidden-failure").unwrap();
        let lines = [
            "The Service \"lesson\" is invalid: spec.ports[0].name: Invalid value: \"http_metrics\"",
            "expected: a Service with label ref=lesson in namespace gitlab",
            "actual: none",
        ];
        let lines = lines.map(str::to_owned).to_vec();
        let log = Some("logs/17/deploy.log".to_owned());
        let shown =
            LessonResult { failure: ("the pipeline passes, and the check service fails".to_owned(), lines), log };
        insta::assert_snapshot!(format!("{}{}", heading(lesson, 5, 5), lesson_result(lesson, &shown)));
    }
}
