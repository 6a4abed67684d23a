//! Slugs: names that are valid in host names and labels.

use sha2::{Digest, Sha256};

/// The maximum length of a DNS label.
const MAX_LENGTH: usize = 63;

/// The maximum length of an environment's slug, and the number of characters of the name that a shortened slug keeps.
const MAX_ENVIRONMENT_LENGTH: usize = 24;
const PREFIX_LENGTH: usize = 17;

/// Returns the slug of a name: `CI_COMMIT_REF_SLUG`, `CI_PROJECT_PATH_SLUG` and others. At most 63 lowercase letters,
/// digits and `-`. `gems/gitlab-utils/lib/gitlab/utils.rb`
pub fn slugify(name: &str) -> String {
    let plain: String = name.to_lowercase().chars().map(plain).take(MAX_LENGTH).collect();
    plain.trim_matches('-').to_owned()
}

fn plain(character: char) -> char {
    if character.is_ascii_lowercase() || character.is_ascii_digit() { character } else { '-' }
}

/// Returns the slug of an environment's name: `CI_ENVIRONMENT_SLUG`. At most 24 characters, starting with a letter.
/// `lib/gitlab/slug/environment.rb`
pub fn environment_slug(name: &str) -> String {
    let mut slug: String = name.to_lowercase().chars().map(plain).collect();
    if !slug.starts_with(|first: char| first.is_ascii_lowercase()) {
        slug.insert_str(0, "env-");
    }
    let mut squeezed = String::with_capacity(slug.len());
    for character in slug.chars() {
        if character != '-' || !squeezed.ends_with('-') {
            squeezed.push(character);
        }
    }
    if squeezed.len() <= MAX_ENVIRONMENT_LENGTH && squeezed == name {
        return squeezed.strip_suffix('-').map(str::to_owned).unwrap_or(squeezed);
    }
    // The suffix keeps the slugs of different names apart.
    let mut short: String = squeezed.chars().take(PREFIX_LENGTH).collect();
    if !short.ends_with('-') {
        short.push('-');
    }
    short + &suffix(name)
}

/// Returns the last six digits, in base 36, of the name's SHA-256 read as one number.
fn suffix(name: &str) -> String {
    const BASE: u64 = 36;
    const DIGITS: u32 = 6;
    let modulus = BASE.pow(DIGITS);
    let mut rest =
        Sha256::digest(name.as_bytes()).iter().fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % modulus);
    let mut digits = Vec::new();
    for _ in 0..DIGITS {
        // A remainder modulo 36 is always a digit of base 36.
        digits.push(u32::try_from(rest % BASE).ok().and_then(|digit| char::from_digit(digit, 36)).unwrap_or('0'));
        rest /= BASE;
    }
    digits.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::repeated_dashes_stay("feature/ABC_123--x", "feature-abc-123--x")]
    #[case::underscores("Fix__Bug", "fix--bug")]
    #[case::trimmed("-x-", "x")]
    #[case::version("v1.2.3", "v1-2-3")]
    fn slugifies_names(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(slugify(name), expected);
    }

    #[test]
    fn long_slugs_are_cut_and_then_trimmed() {
        let name = "a".repeat(62) + "/b";
        assert_eq!(slugify(&name), "a".repeat(62));
    }

    #[rstest]
    #[case("production", "production")]
    #[case("Production", "production-iis43c")]
    #[case("review/foo", "review-foo-xd0pc1")]
    #[case("review/feature-1", "review-feature-1-1q251u")]
    #[case("Stage Domain", "stage-domain-ip33nk")]
    #[case("stage-domain-foobar-long-string", "stage-domain-foob-yafktx")]
    #[case("1-foo", "env-1-foo-1k46wz")]
    #[case("*-foo", "env-foo-i1o6om")]
    #[case("foo-", "foo")]
    #[case("foo--bar", "foo-bar-q006cp")]
    fn slugifies_environments(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(environment_slug(name), expected);
    }
}
