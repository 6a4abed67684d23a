//! Selects exercises by page, or by page and number.

use super::exercise::{Exercise, Id};

/// Selects all exercises of a page, such as `4`, or a single exercise, such as `4.2`.
///
/// # Errors
/// `text` is malformed, or names no page or exercise. The message has the expected form, or the existing pages or exercises.
pub fn select(exercises: &'static [Exercise], text: &str) -> Result<Vec<&'static Exercise>, String> {
    let (page, number) = match text.split_once('.') {
        Some((page, number)) => (page, Some(number)),
        None => (text, None),
    };
    let number_of = |text: &str| text.parse::<u8>().ok();
    let (Some(page), Ok(number)) = (number_of(page), number.map(|it| number_of(it).ok_or(())).transpose()) else {
        return Err("expected a page such as `4`, or an exercise such as `4.2`".to_owned());
    };
    let page_exercises: Vec<&Exercise> = exercises.iter().filter(|exercise| exercise.id.page == page).collect();
    let list = |found: &[&Exercise]| found.iter().map(|it| it.id.to_string()).collect::<Vec<_>>().join(", ");
    if page_exercises.is_empty() {
        let final_page = exercises.last().map_or(0, |exercise| exercise.id.page);
        return Err(format!("there is no page {page}: the pages are 1 to {final_page}"));
    }
    let Some(number) = number else { return Ok(page_exercises) };
    let found = page_exercises.iter().find(|exercise| exercise.id == Id { page, number });
    found.map(|exercise| vec![*exercise]).ok_or_else(|| {
        format!("there is no exercise {page}.{number}: the exercises of page {page} are {}", list(&page_exercises))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::course::EXERCISES;

    #[rstest]
    #[case::a_page("4", "4.1, 4.2")]
    #[case::an_exercise("4.2", "4.2")]
    fn exercises_are_selected_by_page_or_number(#[case] text: &str, #[case] expected: &str) {
        let found = select(EXERCISES, text).unwrap();
        assert_eq!(found.iter().map(|it| it.id.to_string()).collect::<Vec<_>>().join(", "), expected);
    }

    #[rstest]
    #[case::a_word("four", "expected a page such as `4`, or an exercise such as `4.2`")]
    #[case::no_number("4.", "expected a page such as `4`, or an exercise such as `4.2`")]
    #[case::no_such_page("11", "there is no page 11: the pages are 1 to 10")]
    #[case::no_such_exercise("4.9", "there is no exercise 4.9: the exercises of page 4 are 4.1, 4.2")]
    fn the_error_about_an_unknown_exercise_lists_the_existing_ones(#[case] text: &str, #[case] message: &str) {
        assert_eq!(select(EXERCISES, text).unwrap_err(), message);
    }
}
