//! Masks GitLab's own tokens, even if they are not declared as secrets.
//! GitLab Runner's `common/buildlogger/internal/tokensanitizer`

use super::secrets::MASK;

/// The prefix of personal access tokens. The prefix itself is not secret and stays visible.
const PREFIX: &[u8] = b"glpat-";

/// Masks tokens in a stream of bytes, without buffering.
#[derive(Clone, Default)]
pub(super) struct Tokens {
    /// How many bytes of the prefix have been matched.
    matched: usize,
    /// Whether the mask of the current token has been written.
    is_masked: bool,
}

impl Tokens {
    /// Takes a chunk, and outputs it with tokens masked.
    pub(super) fn push(&mut self, chunk: &[u8], output: &mut Vec<u8>) {
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            if self.matched == PREFIX.len() {
                if is_token_byte(*byte) {
                    if !self.is_masked {
                        output.extend_from_slice(MASK);
                        self.is_masked = true;
                    }
                    rest = after;
                    continue;
                }
                self.restart();
            }
            if PREFIX.get(self.matched) == Some(byte) {
                self.matched += 1;
                output.push(*byte);
                rest = after;
                continue;
            }
            // The first byte of the prefix occurs only once in it, so the bytes matched so far contain no other start of it.
            self.matched = 0;
            let is_plain = |byte: &u8| PREFIX.first() != Some(byte);
            let plain = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
            let (plain, after) = rest.split_at_checked(plain).unwrap_or_default();
            output.extend_from_slice(plain);
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
    fn tokens_are_masked_and_their_prefix_stays(#[case] input: &str, #[case] expected: &str) {
        for size in [1, 3, input.len()] {
            let (mut tokens, mut output) = (Tokens::default(), Vec::new());
            input.as_bytes().chunks(size).for_each(|chunk| tokens.push(chunk, &mut output));
            assert_eq!(String::from_utf8(output).unwrap(), expected, "{size}");
        }
    }
}
