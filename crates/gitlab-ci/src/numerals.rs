//! Numbers in words: `two hundred and five`, `twenty-one`, `two and a half`.
//!
//! GitLab's gem for durations first replaces them by digits, with the gem `numerizer`.

/// Words for numbers that are added.
const SMALL: [(&str, u64); 28] = [
    ("zero", 0),
    ("one", 1),
    ("two", 2),
    ("three", 3),
    ("four", 4),
    ("five", 5),
    ("six", 6),
    ("seven", 7),
    ("eight", 8),
    ("nine", 9),
    ("ten", 10),
    ("eleven", 11),
    ("twelve", 12),
    ("thirteen", 13),
    ("fourteen", 14),
    ("fifteen", 15),
    ("sixteen", 16),
    ("seventeen", 17),
    ("eighteen", 18),
    ("nineteen", 19),
    ("twenty", 20),
    ("thirty", 30),
    ("forty", 40),
    ("fifty", 50),
    ("sixty", 60),
    ("seventy", 70),
    ("eighty", 80),
    ("ninety", 90),
];

/// Words that multiply the number before them.
const LARGE: [(&str, u64); 3] = [("hundred", 100), ("thousand", 1000), ("million", 1_000_000)];

/// Replaces numbers in words by digits. `text` is in lower case.
pub(crate) fn with_digits(text: &str) -> String {
    let words = words(text);
    if !words.iter().any(|word| find(&SMALL, word).is_some()) {
        return text.to_owned();
    }
    let mut replaced = String::new();
    let mut rest = words.as_slice();
    while let [first, others @ ..] = rest {
        let (word, after) = match number(rest) {
            Some((value, after)) => {
                let is_and_a_half = matches!(after, [and, a, half, ..] if and == "and" && a == "a" && half == "half");
                let digits = if is_and_a_half { format!("{value}.5") } else { value.to_string() };
                (digits, after.get(if is_and_a_half { 3 } else { 0 }..).unwrap_or_default())
            }
            None => (first.clone(), others),
        };
        // A comma belongs to the word before it, and a colon to both.
        let is_attached = matches!(word.as_str(), "," | ":") || replaced.ends_with(':');
        if !replaced.is_empty() && !is_attached {
            replaced.push(' ');
        }
        replaced.push_str(&word);
        rest = after;
    }
    replaced
}

/// Splits a text into numbers, words and punctuation marks. They need no space between them. A hyphen between two words is a space.
fn words(text: &str) -> Vec<String> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Number,
        Word,
        Mark,
    }
    let mut words: Vec<String> = Vec::new();
    let mut last = Kind::Mark;
    for character in text.chars() {
        let kind = match character {
            '0'..='9' | '.' => Kind::Number,
            letter if letter.is_alphabetic() => Kind::Word,
            _ => Kind::Mark,
        };
        let is_more = kind == last && kind != Kind::Mark;
        last = kind;
        match words.last_mut() {
            _ if character.is_whitespace() => {}
            Some(word) if is_more => word.push(character),
            _ => words.push(character.to_string()),
        }
    }
    let is_word = |word: Option<&String>| word.is_some_and(|word| word.starts_with(char::is_alphabetic));
    let is_hyphen = |index: usize| {
        words.get(index).is_some_and(|word| word == "-")
            && index > 0
            && is_word(words.get(index - 1))
            && is_word(words.get(index + 1))
    };
    let hyphens: Vec<bool> = (0..words.len()).map(is_hyphen).collect();
    words.into_iter().zip(hyphens).filter(|(_, is_hyphen)| !is_hyphen).map(|(word, _)| word).collect()
}

/// The number in words at the beginning, and what follows it.
fn number(words: &[String]) -> Option<(u64, &[String])> {
    let (mut rest, mut total, mut part) = (words, 0_u64, None::<u64>);
    while let [word, others @ ..] = rest {
        if let Some(value) = find(&SMALL, word) {
            // `twenty one` is one number, `one two` are two.
            let is_next = part.is_none_or(|part| part % 100 == 0 || part % 10 == 0 && part % 100 >= 20 && value < 10);
            if !is_next {
                break;
            }
            part = Some(part.unwrap_or(0).checked_add(value)?);
        } else if let Some(factor) = find(&LARGE, word) {
            let value = part.take()?.checked_mul(factor)?;
            if factor == 100 {
                part = Some(value);
            } else {
                total = total.checked_add(value)?;
            }
        } else if part.is_some_and(|part| part >= 100) && word == "and" {
            // Only between two words of a number.
            let goes_on = others.first().is_some_and(|next| find(&SMALL, next).is_some());
            if !goes_on {
                break;
            }
        } else {
            break;
        }
        rest = others;
    }
    let is_number = rest.len() < words.len();
    is_number.then_some((total.checked_add(part.unwrap_or(0))?, rest))
}

fn find(list: &[(&str, u64)], word: &str) -> Option<u64> {
    list.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("one week", "1 week")]
    #[case("thirty minutes", "30 minutes")]
    #[case("twenty-one days", "21 days")]
    #[case("one week, 2 days", "1 week, 2 days")]
    #[case("two hundred and five seconds", "205 seconds")]
    #[case("two thousand three hundred s", "2300 s")]
    #[case("two and a half hours", "2.5 hours")]
    #[case("three mins and four sec", "3 mins and 4 sec")]
    #[case("one two", "1 2")]
    #[case("zero", "0")]
    #[case("3 weeks and 2 days", "3 weeks and 2 days")]
    #[case("hundred", "hundred")]
    #[case("soon", "soon")]
    fn numbers_become_digits(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(with_digits(text), expected);
    }
}
