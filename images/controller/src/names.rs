//! What may be written into a configuration as a name.
//!
//! The API server checks names too, but each object by its own rules and each version by others; what is written into a
//! configuration is not left to somebody else.

/// Whether `text` is one label of a host name by RFC 1123: of letters, digits and inner hyphens, at most 63.
pub fn is_label(text: &str) -> bool {
    let inner = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    inner && (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether `text` is a host name by RFC 1123: labels with single dots between them, at most 253 characters.
pub fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one_letter("a")]
    #[case::digits("0")]
    #[case::inner_hyphens("a--0")]
    #[case::upper_case("Web")]
    #[case::longest(&"x".repeat(63))]
    fn labels(#[case] text: &str) {
        assert!(is_label(text));
        assert!(is_name(text));
    }

    #[rstest]
    #[case::empty("")]
    #[case::too_long(&"x".repeat(64))]
    #[case::hyphen_first("-a")]
    #[case::hyphen_last("a-")]
    #[case::underscore("a_b")]
    #[case::space("a b")]
    #[case::line_feed("a\n")]
    #[case::brace("{a}")]
    #[case::comma("a,b")]
    #[case::slash("a/b")]
    #[case::not_ascii("é")]
    fn neither(#[case] text: &str) {
        assert!(!is_label(text));
        assert!(!is_name(text));
    }

    #[rstest]
    #[case::two_labels("a.b", true)]
    #[case::longest(&format!("{}a", "a.".repeat(126)), true)]
    #[case::too_long(&format!("{}aa", "a.".repeat(126)), false)]
    #[case::two_dots("a..b", false)]
    #[case::dot_first(".a", false)]
    #[case::dot_last("a.", false)]
    #[case::wildcard("*.a", false)]
    fn names(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_name(text), expected);
        assert!(!is_label(text));
    }
}
