//! Numbers in words: `two hundred and five`, `twenty-one`, `two and a half`, `a quarter`.
//!
//! GitLab's gem for durations first replaces them by digits, with the gem `numerizer` 0.2. Its steps are a part of its behavior: each
//! one sees what the steps before it have left, and [`MARK`] precedes a number that was a word.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Precedes a number that was a word. Only such numbers are added to each other.
const MARK: &str = "<num>";

/// Words for numbers that cannot follow a word of [`TENS`].
const DIRECT: [(&str, u64); 12] = [
    ("zero", 0),
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
    ("ninteen", 19),
];

/// Words for numbers that may follow a word of [`TENS`], and their ordinals where the gem knows one.
const ONES: [(&str, u64, &str); 9] = [
    ("one", 1, "first"),
    ("two", 2, ""),
    ("three", 3, "third"),
    ("four", 4, "fourth"),
    ("five", 5, "fifth"),
    ("six", 6, "sixth"),
    ("seven", 7, "seventh"),
    ("eight", 8, "eighth"),
    ("nine", 9, "ninth"),
];

const TENS: [(&str, u64); 9] = [
    ("twenty", 20),
    ("thirty", 30),
    ("forty", 40),
    ("fourty", 40),
    ("fifty", 50),
    ("sixty", 60),
    ("seventy", 70),
    ("eighty", 80),
    ("ninety", 90),
];

/// The ordinals above nine.
const ORDINALS: [(&str, u64); 18] = [
    ("tenth", 10),
    ("eleventh", 11),
    ("twelfth", 12),
    ("thirteenth", 13),
    ("fourteenth", 14),
    ("fifteenth", 15),
    ("sixteenth", 16),
    ("seventeenth", 17),
    ("eighteenth", 18),
    ("nineteenth", 19),
    ("twentieth", 20),
    ("thirtieth", 30),
    ("fourtieth", 40),
    ("fiftieth", 50),
    ("sixtieth", 60),
    ("seventieth", 70),
    ("eightieth", 80),
    ("ninetieth", 90),
];

/// The names of fractions, without the `s` of the plural, and their denominators.
const FRACTIONS: [(&str, u64); 9] = [
    ("half", 2),
    ("third", 3),
    ("fourth", 4),
    ("quarter", 4),
    ("fifth", 5),
    ("sixth", 6),
    ("seventh", 7),
    ("eighth", 8),
    ("nineth", 9),
];

/// Words that multiply the number before them.
const LARGE: [(&str, u128); 5] = [
    ("hundred", 100),
    ("thousand", 1000),
    ("million", 1_000_000),
    ("billion", 1_000_000_000),
    ("trillion", 1_000_000_000_000),
];

/// The steps of the replacement.
struct Steps {
    spaces_and_hyphens: Regex,
    word: Regex,
    cardinals: HashMap<String, String>,
    ordinals: HashMap<String, String>,
    ordinal_after_tens: Regex,
    one_part: Regex,
    parts: Regex,
    mixed: Regex,
    large: Vec<(Regex, u128)>,
    sum: Regex,
}

/// The maximum length of a text, in bytes. The steps take quadratic time.
const MAX_LENGTH: usize = 1000;

/// Replaces numbers in words by digits. `text` is in lower case.
pub(crate) fn with_digits(text: &str) -> String {
    static STEPS: LazyLock<Option<Steps>> = LazyLock::new(|| Steps::new().ok());
    if text.len() > MAX_LENGTH {
        return text.to_owned();
    }
    STEPS.as_ref().map_or_else(|| text.to_owned(), |steps| steps.apply(text))
}

impl Steps {
    fn new() -> Result<Self, regex::Error> {
        let tens = TENS.map(|(word, _)| word).join("|");
        let ordinals = ONES.map(|(_, _, ordinal)| ordinal).into_iter().filter(|word| !word.is_empty());
        let ordinals = ordinals.collect::<Vec<_>>().join("|");
        let fractions = FRACTIONS.map(|(word, _)| if word == "half" { word.to_owned() } else { format!("{word}s?") });
        let fractions = fractions.join("|");
        let large = |(word, factor): (&str, u128)| Ok((Regex::new(&format!("(?:{MARK})?([0-9]*) *{word}"))?, factor));
        Ok(Self {
            spaces_and_hyphens: Regex::new(" +|([^0-9])-([^0-9])")?,
            word: Regex::new("[a-z0-9_]+")?,
            cardinals: cardinals(),
            ordinals: ordinals_of_words(),
            ordinal_after_tens: Regex::new(&format!(r"(?-u:\b)({tens})\s?({ordinals})(?-u:\b)"))?,
            one_part: Regex::new(&format!(r"a ({fractions})(?-u:\b)"))?,
            parts: Regex::new(&format!(r"\s({fractions})(?-u:\b)"))?,
            mixed: Regex::new(&format!(r"([0-9]+)(?: | and |-)+(?:{MARK}|\s)*([0-9]+)\s*/\s*([0-9]+)"))?,
            large: LARGE.into_iter().map(large).collect::<Result<_, regex::Error>>()?,
            sum: Regex::new(&format!(r"{MARK}([0-9]+)( | and ){MARK}([0-9]+)(?-u:\b)"))?,
        })
    }

    fn apply(&self, text: &str) -> String {
        let text = self.spaces_and_hyphens.replace_all(text, "$1 $2");
        let text = self.ordinal_after_tens.replace_all(&text, |found: &Captures| {
            let (tens, ordinal) = (&found[1], &found[2]);
            let ones = ONES.iter().find(|(_, _, name)| *name == ordinal).map_or(0, |(_, value, _)| *value);
            format!("{MARK}{}{}", value_of_tens(tens) + ones, ending(ordinal))
        });
        let text = self.word.replace_all(&text, replacement(&self.cardinals));
        let text = self.one_part.replace_all(&text, |found: &Captures| format!("{MARK}1/{}", denominator(&found[1])));
        let text = self.parts.replace_all(&text, |found: &Captures| format!("/{}", denominator(&found[1])));
        let text = self.word.replace_all(&text, replacement(&self.ordinals));
        let text = self.mixed.replace_all(&text, |found: &Captures| {
            let number = |index: usize| found[index].parse::<f64>().unwrap_or(f64::NAN);
            (number(1) + number(2) / number(3)).to_string()
        });
        let mut text = text.into_owned();
        for (pattern, factor) in &self.large {
            let product = |found: &Captures| match found[1].parse::<u128>().ok().and_then(|it| it.checked_mul(*factor))
            {
                Some(product) => format!("{MARK}{product}"),
                None if found[1].is_empty() => factor.to_string(),
                None => found[0].to_owned(),
            };
            text = self.with_sums(pattern.replace_all(&text, product).into_owned());
        }
        self.with_sums(text).replace(MARK, "")
    }

    /// Adds a number to the one before it if `and` connects them, or if it has fewer digits: `200` and `5`.
    fn with_sums(&self, mut text: String) -> String {
        let mut start = 0;
        while let Some(found) = self.sum.captures_at(&text, start) {
            let Some(whole) = found.get(0) else { break };
            let is_sum = found[2].contains("and") || found[1].len() > found[3].len();
            let sum = found[1].parse::<u128>().ok().zip(found[3].parse().ok()).and_then(|(a, b)| a.checked_add(b));
            match sum.filter(|_| is_sum) {
                Some(sum) => {
                    let range = whole.range();
                    text.replace_range(range, &format!("{MARK}{sum}"));
                    start = 0;
                }
                None => start = whole.end(),
            }
        }
        text
    }
}

fn cardinals() -> HashMap<String, String> {
    let ones = ONES.into_iter().map(|(word, value, _)| (word.to_owned(), value));
    let all_tens = TENS.into_iter().map(|(word, value)| (word.to_owned(), value));
    let joined =
        TENS.into_iter().flat_map(|(tens, value)| ONES.map(|(word, ones, _)| (format!("{tens}{word}"), value + ones)));
    let direct = DIRECT.into_iter().map(|(word, value)| (word.to_owned(), value));
    let all = direct.chain(ones).chain(all_tens).chain(joined);
    all.map(|(word, value)| (word, format!("{MARK}{value}"))).collect()
}

fn ordinals_of_words() -> HashMap<String, String> {
    let ones = ONES.into_iter().map(|(_, value, ordinal)| (ordinal, value)).filter(|(ordinal, _)| !ordinal.is_empty());
    let all = ones.chain(ORDINALS);
    all.map(|(word, value)| (word.to_owned(), format!("{MARK}{value}{}", ending(word)))).collect()
}

fn replacement(words: &HashMap<String, String>) -> impl Fn(&Captures) -> String {
    |found: &Captures| words.get(&found[0]).map_or_else(|| found[0].to_owned(), Clone::clone)
}

fn value_of_tens(word: &str) -> u64 {
    TENS.iter().find(|(tens, _)| *tens == word).map_or(0, |(_, value)| *value)
}

fn denominator(word: &str) -> u64 {
    FRACTIONS.iter().find(|(name, _)| word.starts_with(name)).map_or(1, |(_, value)| *value)
}

/// The last two letters of an ordinal.
fn ending(ordinal: &str) -> &str {
    ordinal.get(ordinal.len().saturating_sub(2)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // From the gem itself.
    #[rstest]
    #[case("one week", "1 week")]
    #[case("thirty minutes", "30 minutes")]
    #[case("twenty-one days", "21 days")]
    #[case("twentyone days", "21 days")]
    #[case("fourty days", "40 days")]
    #[case("one week, 2 days", "1 week, 2 days")]
    #[case("two hundred and five seconds", "205 seconds")]
    #[case("two thousand three hundred s", "2300 s")]
    #[case("two and a half hours", "2.5 hours")]
    #[case("a half hour", "1/2 hour")]
    #[case("half an hour", "half an hour")]
    #[case("3 quarters of an hour", "3/4 of an hour")]
    #[case("3 1/2 days", "3.5 days")]
    #[case("three mins and four sec", "3 mins and 4 sec")]
    #[case("one two", "1 2")]
    #[case("twenty first day", "21st day")]
    #[case("tenth day", "10th day")]
    #[case("a-b-c", "a b-c")]
    #[case("zero", "0")]
    #[case("3 weeks and 2 days", "3 weeks and 2 days")]
    #[case("hundred", "100")]
    #[case("one billion s", "1000000000 s")]
    #[case("one3", "one3")]
    #[case("soon", "soon")]
    fn numbers_become_digits(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(with_digits(text), expected);
    }

    #[test]
    fn long_numbers_terminate() {
        let text = format!("{} hundred", "9".repeat(1000));
        assert_eq!(with_digits(&text), text);
        let text = "one and ".repeat(10_000);
        assert_eq!(with_digits(&text), text);
    }
}
