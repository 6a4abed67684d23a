//! The output of the exercises of the course in the terminal.

use std::fmt::Write;

use comfy_table::{Table, presets};

use crate::course::{Exercise, Verdict};

pub fn list(exercises: &[Exercise]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["exercise", "title", "needs"]);
    for exercise in exercises {
        let needs = if exercise.needs_cluster() { "the cluster" } else { "" };
        table.add_row([&*exercise.id.to_string(), exercise.title, needs]);
    }
    format!("{}\n", table.trim_fmt())
}

/// The verdict of an exercise.
pub fn verdict(exercise: &Exercise, verdict: &Verdict) -> String {
    let Exercise { id, title, goal, hint, .. } = exercise;
    match verdict {
        Ok(()) => format!("✔ {id} {title}: done\n"),
        Err(unsolved) => {
            let mut text = format!("✘ {id} {title}: not done\n");
            // Writing to a `String` cannot fail.
            let _ = write!(text, "  goal:  {goal}\n  found: {}\n  hint:  {hint}\n", unsolved.0);
            text
        }
    }
}

/// The last line: the number of exercises that are done, and what to do next if some are not.
pub fn summary(done: usize, all: usize) -> String {
    if done == all {
        format!("{done} of {all} done\n")
    } else {
        format!("{done} of {all} done; verify again after each change\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::course::{EXERCISES, Unsolved};

    #[test]
    fn the_list_of_exercises() {
        insta::assert_snapshot!(list(EXERCISES));
    }

    #[test]
    fn an_exercise_that_is_not_done_is_reported_with_its_hint() {
        let exercise = EXERCISES.iter().find(|exercise| exercise.id.to_string() == "4.2").unwrap();
        let found = Unsolved("image_build waits for no job, and gets no artifact".to_owned());
        insta::assert_snapshot!(format!(
            "{}{}{}",
            verdict(exercise, &Ok(())),
            verdict(exercise, &Err(found)),
            summary(1, 2)
        ));
    }
}
