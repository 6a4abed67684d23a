//! Masks the values of parameters of URLs that grant access.
//! GitLab Runner's `common/buildlogger/internal/urlsanitizer`

use memchr::memchr2;

use super::secrets::MASK;

/// The parameters, in lower case. GitLab and Amazon S3 accept any case.
const PARAMETERS: [&[u8]; 6] = [
    b"private_token",
    b"authenticity_token",
    b"rss_token",
    b"x-amz-signature",
    b"x-amz-credential",
    b"x-amz-security-token",
];

/// The length of the longest parameter.
const MAX_LENGTH: usize = 20;

/// Masks parameters in a stream of bytes, without buffering.
#[derive(Clone, Default)]
pub(super) struct Urls {
    state: State,
    /// The name of the current parameter so far, in lower case.
    name: Vec<u8>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Outside,
    /// Within a name, after `?` or `&`.
    InName,
    /// Within a value whose mask has been written.
    InValue,
}

impl Urls {
    /// Takes a chunk, and outputs it with the values masked.
    pub(super) fn push(&mut self, chunk: &[u8], output: &mut Vec<u8>) {
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            match self.state {
                State::InValue if !is_end(*byte) => {
                    rest = after;
                    continue;
                }
                State::Outside => {
                    let plain = memchr2(b'?', b'&', rest).unwrap_or(rest.len());
                    if plain > 0 {
                        let (plain, after) = rest.split_at_checked(plain).unwrap_or_default();
                        output.extend_from_slice(plain);
                        rest = after;
                        continue;
                    }
                }
                State::InName | State::InValue => {}
            }
            output.push(*byte);
            rest = after;
            self.state = match (self.state, *byte) {
                (_, byte) if is_separator(byte) => {
                    self.name.clear();
                    State::InName
                }
                (State::InName, b'=') if PARAMETERS.contains(&self.name.as_slice()) => {
                    output.extend_from_slice(MASK);
                    State::InValue
                }
                (State::InName, byte) if byte != b'=' && self.name.len() < MAX_LENGTH => {
                    self.name.push(byte.to_ascii_lowercase());
                    State::InName
                }
                _ => State::Outside,
            };
        }
    }

    /// Resets the state for another stream.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'?' | b'&')
}

/// Whether a value ends before this byte.
fn is_end(byte: u8) -> bool {
    is_separator(byte) || byte.is_ascii_whitespace() || byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::first("https://a.test/x?private_token=abc&x=1", "https://a.test/x?private_token=[MASKED]&x=1")]
    #[case::any_case(
        "?X-Amz-Signature=ab&X-AMZ-CREDENTIAL=c/d&y=2",
        "?X-Amz-Signature=[MASKED]&X-AMZ-CREDENTIAL=[MASKED]&y=2"
    )]
    #[case::the_longest("?x-amz-security-token=a%2Fb= c", "?x-amz-security-token=[MASKED] c")]
    #[case::at_the_end("&rss_token=abc", "&rss_token=[MASKED]")]
    #[case::empty_value("?rss_token=&x", "?rss_token=[MASKED]&x")]
    #[case::before_a_line_break("?authenticity_token=a\nb", "?authenticity_token=[MASKED]\nb")]
    #[case::another_parameter("?token=abc&private_tokens=x", "?token=abc&private_tokens=x")]
    #[case::not_a_parameter("private_token=abc", "private_token=abc")]
    #[case::a_separator_in_the_name("?a&private_token=abc", "?a&private_token=[MASKED]")]
    #[case::a_long_name("?xxxxxxxxxxxxxxxxxxxxxxprivate_token=abc", "?xxxxxxxxxxxxxxxxxxxxxxprivate_token=abc")]
    fn values_are_masked_and_names_stay(#[case] input: &str, #[case] expected: &str) {
        for size in [1, 3, input.len()] {
            let (mut urls, mut output) = (Urls::default(), Vec::new());
            input.as_bytes().chunks(size).for_each(|chunk| urls.push(chunk, &mut output));
            assert_eq!(String::from_utf8(output).unwrap(), expected, "{size}");
        }
    }
}
