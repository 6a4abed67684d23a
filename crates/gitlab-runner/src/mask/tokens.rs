//! Masks GitLab's own tokens, even if they are not declared as secrets.
//! GitLab Runner's `common/buildlogger/internal/tokensanitizer`, with the feature flag `FF_MASK_ALL_DEFAULT_TOKENS`

use memchr::memchr2;

use super::secrets::MASK;

/// The prefixes of tokens. A prefix itself is not secret and stays visible. Each ends with a byte of [`ENDS`].
/// <https://docs.gitlab.com/security/tokens/#token-prefixes>
const PREFIXES: [&[u8]; 14] = [
    b"glpat-",
    b"gloas-",
    b"gldt-",
    b"glrt-",
    b"glcbt-",
    b"glrtr-",
    b"glptt-",
    b"glft-",
    b"glimt-",
    b"glagent-",
    b"glsoat-",
    b"glffct-",
    b"_gitlab_session=",
    b"gltok-",
];

/// The last bytes of the prefixes.
const ENDS: [u8; 2] = [b'-', b'='];

/// The length of the longest prefix.
const MAX_LENGTH: usize = 16;

/// Masks tokens in a stream of bytes, without buffering.
#[derive(Clone, Default)]
pub(super) struct Tokens {
    /// The last bytes of the stream outside of tokens, at most [`MAX_LENGTH`].
    tail: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Outside,
    /// After a prefix, before the first byte of a token.
    AfterPrefix,
    /// Within a token, whose mask has been written.
    InToken,
}

impl Tokens {
    /// Takes a chunk, and outputs it with tokens masked.
    pub(super) fn push(&mut self, chunk: &[u8], output: &mut Vec<u8>) {
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            if self.state != State::Outside {
                if is_token_byte(*byte) {
                    if self.state == State::AfterPrefix {
                        output.extend_from_slice(MASK);
                        self.state = State::InToken;
                    }
                    rest = after;
                    continue;
                }
                self.restart();
            }
            let end = memchr2(ENDS[0], ENDS[1], rest).map_or(rest.len(), |at| at + 1);
            let (plain, after) = rest.split_at_checked(end).unwrap_or_default();
            output.extend_from_slice(plain);
            self.tail.extend_from_slice(plain.get(plain.len().saturating_sub(MAX_LENGTH)..).unwrap_or_default());
            self.tail.drain(..self.tail.len().saturating_sub(MAX_LENGTH));
            if PREFIXES.iter().any(|prefix| self.tail.ends_with(prefix)) {
                self.state = State::AfterPrefix;
            }
            rest = after;
        }
    }

    /// Resets the state for another stream.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}

/// Whether a token may contain this byte.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one_token("a glpat-x1_-.=Y b", "a glpat-[MASKED] b")]
    #[case::within_a_word("aglpat-x, b", "aglpat-[MASKED], b")]
    #[case::at_the_end("a glpat-x", "a glpat-[MASKED]")]
    #[case::two_tokens("glpat-x glpat-y", "glpat-[MASKED] glpat-[MASKED]")]
    #[case::token_within_a_token("glpat-xglpat-y", "glpat-[MASKED]")]
    #[case::prefix_alone("glpat- x", "glpat- x")]
    #[case::token_after_its_own_prefix("gglglpat-x", "gglglpat-[MASKED]")]
    #[case::another_prefix("glpa-x", "glpa-x")]
    #[case::a_dash_before("-glrt-x", "-glrt-[MASKED]")]
    #[case::a_cookie("Cookie: _gitlab_session=0a1b; x=1", "Cookie: _gitlab_session=[MASKED]; x=1")]
    fn tokens_are_masked_and_their_prefix_stays(#[case] input: &str, #[case] expected: &str) {
        for size in [1, 3, input.len()] {
            let (mut tokens, mut output) = (Tokens::default(), Vec::new());
            input.as_bytes().chunks(size).for_each(|chunk| tokens.push(chunk, &mut output));
            assert_eq!(String::from_utf8(output).unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn every_kind_of_token_is_masked() {
        for prefix in PREFIXES {
            assert!(prefix.len() <= MAX_LENGTH && ENDS.contains(prefix.last().unwrap()));
            let mut output = Vec::new();
            Tokens::default().push(&[b"a ", prefix, b"Xy_9"].concat(), &mut output);
            assert_eq!(output, [b"a ", prefix, MASK].concat());
        }
    }
}
