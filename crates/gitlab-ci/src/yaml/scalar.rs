//! Types of unquoted scalars. GitLab reads YAML with Ruby's Psych, which follows YAML 1.1 with exceptions
//! (`Psych::ScalarScanner`): `012` is ten, `on` is true, `1:30` is 5400, and a date is an object that GitLab refuses.

use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::node::Value;

/// Why a scalar has no value that GitLab permits.
pub(super) enum Refused {
    /// The text becomes an object of this class.
    Class(&'static str),
    /// Decoded binary content that is not UTF-8.
    NotText,
}

/// Determines the value of the plain scalar `text`.
pub(super) fn resolve(text: &str) -> Result<Value, Refused> {
    // Most scalars are words. Of the other types, only null and booleans start with a letter.
    let first = text.bytes().next();
    let value = match first {
        None => Value::Null,
        Some(b'~') if text == "~" => Value::Null,
        Some(byte) if byte.is_ascii_alphabetic() => word(text),
        // A Ruby symbol, whose text has no colon. A text of several lines is none.
        Some(b':') if text.len() > 1 && !text.contains('\n') => Value::Symbol(symbol(&text[1..]).into()),
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => match number(text) {
            Some(value) => value,
            None if is_date(text) => return Err(Refused::Class("Date")),
            None if is_time(text) => return Err(Refused::Class("Time")),
            None => string(text),
        },
        Some(_) => string(text),
    };
    Ok(value)
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

fn word(text: &str) -> Value {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["null"]) {
        Value::Null
    } else if is(&["yes", "true", "on"]) {
        Value::Boolean(true)
    } else if is(&["no", "false", "off"]) {
        Value::Boolean(false)
    } else {
        string(text)
    }
}

/// The text of a symbol, which may be quoted: `:"a b"`. Psych drops what follows the last quote, and a colon after the
/// first one.
fn symbol(text: &str) -> &str {
    let quoted = |quote: char| {
        let rest = text.strip_prefix(quote)?;
        rest.get(..rest.rfind(quote)?)
    };
    let inner = quoted('"').or_else(|| quoted('\''));
    inner.map_or(text, |inner| inner.strip_prefix(':').unwrap_or(inner))
}

fn number(text: &str) -> Option<Value> {
    if text.contains(':') {
        return sexagesimal(text);
    }
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    if let Some(whole) = integer(digits) {
        return Some(Value::Integer(if whole == "0" { "0".into() } else { format!("{sign}{whole}").into() }));
    }
    if let Some(special) = match digits.to_ascii_lowercase().as_str() {
        ".inf" => Some(format!("{sign}Infinity")),
        ".nan" if digits.len() == text.len() => Some("NaN".to_owned()),
        _ => None,
    } {
        return Some(Value::Float(special.into()));
    }
    float(digits).map(|digits| Value::Float(format!("{sign}{digits}").into()))
}

/// Parses an integer without its sign, and returns it in base 10.
fn integer(digits: &str) -> Option<String> {
    let in_base = |digits: &str, base: u32| -> Option<String> {
        let digits: String = digits.chars().filter(|character| !matches!(character, '_' | ',')).collect();
        // No keyword has a use for larger numbers.
        u128::from_str_radix(&digits, base).ok().map(|number| number.to_string())
    };
    if let Some(binary) = digits.strip_prefix("0b") {
        return in_base(binary, 2);
    }
    if let Some(hexadecimal) = digits.strip_prefix("0x") {
        return in_base(hexadecimal, 16);
    }
    let bytes = digits.as_bytes();
    let is_separator = |byte: u8| matches!(byte, b'_' | b',');
    match bytes {
        [b'0'] => Some("0".to_owned()),
        // Octal. Other digits make it a string: `08`.
        [b'0', rest @ ..] if rest.iter().all(|byte| matches!(byte, b'0'..=b'7') || is_separator(*byte)) => {
            in_base(digits, 8)
        }
        [b'1'..=b'9', ..] => {
            // A separator must be between two digits.
            let is_good = bytes.windows(2).all(|pair| !is_separator(pair[0]) || pair[1].is_ascii_digit());
            let is_all = bytes.iter().all(|byte| byte.is_ascii_digit() || is_separator(*byte));
            let ends = bytes.last().is_some_and(u8::is_ascii_digit);
            if is_good && is_all && ends { Some(digits.replace(['_', ','], "")) } else { None }
        }
        _ => None,
    }
}

/// Parses a number in base 60 with two or three parts: an unquoted time of day. Psych reads two parts as hours and
/// minutes, too, and returns seconds: `1:30` is 5400. The sign belongs to the first part only: `-1:30` is -1800.
fn sexagesimal(text: &str) -> Option<Value> {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut parts = whole.split(':');
    let first = parts.next()?;
    let digits = first.strip_prefix(['-', '+']).unwrap_or(first);
    if !digits.starts_with(|digit: char| digit.is_ascii_digit()) || !is_digits(digits) {
        return None;
    }
    let mut values = vec![first.replace('_', "").parse::<i128>().ok()?];
    for part in parts {
        let is_part = matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
        values.push(part.parse::<i128>().ok().filter(|value| is_part && *value < 60)?);
    }
    let weights: &[i128] = match values.len() {
        2 => &[3600, 60],
        3 => &[3600, 60, 1],
        _ => return None,
    };
    let mut total: i128 = 0;
    for (value, weight) in values.iter().zip(weights) {
        total = total.checked_add(value.checked_mul(*weight)?)?;
    }
    let Some(fraction) = fraction else { return Some(Value::Integer(total.to_string().into())) };
    if !is_digits(fraction) {
        return None;
    }
    // Psych adds the parts as floating-point numbers, in this order.
    let mut total = 0.0;
    for (part, weight) in text.replace('_', "").split(':').zip([3600.0, 60.0, 1.0]) {
        total += part.parse::<f64>().ok()? * weight;
    }
    Some(Value::Float(ruby_float(total).into()))
}

/// From this number on, Ruby writes an exponent.
const FIRST_WITH_EXPONENT: f64 = 1e15;

/// A number as Ruby's `Float#to_s` writes it.
fn ruby_float(value: f64) -> String {
    let is_large = value.is_finite() && value.abs() >= FIRST_WITH_EXPONENT;
    let text = if is_large { format!("{value:e}") } else { format!("{value:?}") };
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    format!("{mantissa}{point}e{sign}{digits:0>2}")
}

/// Parses `1.5`, `.5`, `1.` and `1.5e+3`. The point is required, and so is a sign in the exponent.
fn float(digits: &str) -> Option<Arc<str>> {
    let (before, after) = digits.split_once('.')?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = before.replace(['_', ','], "");
    let starts = before.is_empty() || before.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    let (fraction, exponent) = after.split_once(['e', 'E']).unwrap_or((after, ""));
    let has_exponent = fraction.len() != after.len();
    let exponent_digits = exponent.strip_prefix(['+', '-']);
    let is_exponent = !has_exponent || exponent_digits.is_some_and(|digits| !digits.is_empty() && is_digits(digits));
    if !starts
        || !is_digits(&whole)
        || !is_digits(fraction)
        || !is_exponent
        || (whole.is_empty() && fraction.is_empty())
    {
        return None;
    }
    let text = format!(
        "{}.{}{}",
        if whole.is_empty() { "0" } else { &whole },
        if fraction.is_empty() { "0" } else { fraction },
        if has_exponent { format!("e{exponent}") } else { String::new() }
    );
    text.parse::<f64>().ok().map(|value| ruby_float(value).into())
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let part =
        |digits: Option<&str>, lengths: std::ops::RangeInclusive<usize>, range: std::ops::RangeInclusive<u32>| {
            digits.is_some_and(|it| {
                lengths.contains(&it.len())
                    && it.bytes().all(|byte| byte.is_ascii_digit())
                    && it.parse().is_ok_and(|it| range.contains(&it))
            })
        };
    part(parts.next(), 4..=4, 0..=9999)
        && part(parts.next(), 1..=2, 0..=12)
        && part(parts.next(), 1..=2, 0..=31)
        && parts.next().is_none()
}

/// Whether the text is a date followed by a time of day. `TIME` of Psych's `lib/psych/scalar_scanner.rb`
fn is_time(text: &str) -> bool {
    static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let date = r"-?[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}";
        let time = r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?";
        let zone = r"([ \t]*(Z|[-+][0-9]{1,2}:?([0-9]{2})?))?";
        Regex::new(&format!(r"(?m)^{date}([Tt]|[ \t]+){time}{zone}$")).ok()
    });
    TIME.as_ref().is_some_and(|time| time.is_match(text))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::source::{Sources, Span};

    fn value(text: &str) -> serde_json::Value {
        let file = Sources::default().add("", "");
        match resolve(text) {
            Ok(value) => super::super::node::Node::new(Span { file, start: 0, end: 0 }, value).json(),
            Err(Refused::Class(class)) => json!({ "refused": class }),
            Err(Refused::NotText) => json!("not text"),
        }
    }

    // From Ruby 3.1, `YAML.unsafe_load("a: " + text)["a"]`. A single dash is not valid there.
    #[rstest]
    #[case::empty("", json!(null))]
    #[case::tilde("~", json!(null))]
    #[case::null("null", json!(null))]
    #[case::null_in_any_case("nUll", json!(null))]
    #[case::symbol(":latest", json!("latest"))]
    #[case::quoted_symbol(":\"a b\"", json!("a b"))]
    #[case::quote_within_a_symbol(":'a'b", json!("a"))]
    #[case::unlike_quotes_of_a_symbol(":\"a'", json!("\"a'"))]
    #[case::colon(":", json!(":"))]
    #[case::yes("yes", json!(true))]
    #[case::on("On", json!(true))]
    #[case::off("OFF", json!(false))]
    #[case::y("y", json!("y"))]
    #[case::word("script", json!("script"))]
    #[case::zero("0", json!(0))]
    #[case::negative("-7", json!(-7))]
    #[case::plus("+7", json!(7))]
    #[case::octal("012345", json!(5349))]
    #[case::not_octal("08", json!("08"))]
    #[case::hexadecimal("0x1F", json!(31))]
    #[case::binary("0b101", json!(5))]
    #[case::separated("1_000,000", json!(1_000_000))]
    #[case::doubled_separator("1__0", json!("1__0"))]
    #[case::time_of_day("1:30", json!(5400))]
    #[case::with_seconds("1:30:15", json!(5415))]
    #[case::negative_time("-1:30", json!(-1800))]
    #[case::time_with_a_fraction("1:30.5", json!(5430.0))]
    #[case::too_many_minutes("1:75", json!("1:75"))]
    #[case::port("8080:80", json!("8080:80"))]
    #[case::low_port("22:22", json!(80_520))]
    #[case::float("1.50", json!(1.5))]
    #[case::version_with_two_points("1.2.3", json!("1.2.3"))]
    #[case::exponent_without_sign("1.5e3", json!("1.5e3"))]
    #[case::exponent("1.5e+3", json!(1500.0))]
    #[case::point(".", json!("."))]
    #[case::fraction(".5", json!(0.5))]
    #[case::dash("-", json!("-"))]
    #[case::flag("--verbose", json!("--verbose"))]
    #[case::date("2020-01-31", json!({"refused": "Date"}))]
    #[case::not_a_date("2020-13-31", json!("2020-13-31"))]
    #[case::time("2020-01-31 10:20:30", json!({"refused": "Time"}))]
    #[case::time_with_a_zone("2001-12-14t21:59:43.10 -05:00", json!({"refused": "Time"}))]
    #[case::text_that_starts_with_a_time("2020-01-31 10:20:30 was cold", json!("2020-01-31 10:20:30 was cold"))]
    #[case::impossible_time("3735-77-88 4:76:17", json!({"refused": "Time"}))]
    #[case::text_that_starts_with_a_date("2020-01-31 was cold", json!("2020-01-31 was cold"))]
    fn types_scalars_like_psych(#[case] text: &str, #[case] expected: serde_json::Value) {
        assert_eq!(value(text), expected);
    }

    #[rstest]
    #[case("1.0e-5", "1.0e-05")]
    #[case("1.0e+20", "1.0e+20")]
    #[case("2.5e+16", "2.5e+16")]
    #[case("7.2e+15", "7.2e+15")]
    #[case("999999999999999.0", "999999999999999.0")]
    #[case("0:4.09", "245.39999999999998")]
    #[case("0.0001", "0.0001")]
    #[case("-1.50", "-1.5")]
    fn writes_floats_like_ruby(#[case] text: &str, #[case] expected: &str) {
        let Ok(Value::Float(found)) = resolve(text) else { panic!("{text} is no float") };
        assert_eq!(&*found, expected);
    }
}
