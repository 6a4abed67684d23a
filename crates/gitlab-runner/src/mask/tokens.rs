//! GitLab's own tokens are masked whether or not somebody has said that they are secret.
//! GitLab Runner's `common/buildlogger/internal/tokensanitizer`

use super::secrets::MASK;

/// How personal access tokens begin. What begins so is no secret, and stays.
const PREFIX: &[u8] = b"glpat-";

/// Masks tokens in a stream of bytes. Nothing is held back.
#[derive(Clone, Default)]
pub(super) struct Tokens {
    /// How many bytes of the prefix the last ones are.
    matched: usize,
    /// Whether the mask of the token that goes on here is given out.
    is_masked: bool,
}

impl Tokens {
    /// Takes a chunk, and gives out what becomes of it.
    pub(super) fn push(&mut self, chunk: &[u8], output: &mut Vec<u8>) {
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            if self.matched == PREFIX.len() {
                if is_of_token(*byte) {
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
            // Only the first byte of the prefix begins it again.
            self.matched = 0;
            let is_plain = |byte: &u8| PREFIX.first() != Some(byte);
            let plain = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
            let (plain, after) = rest.split_at_checked(plain).unwrap_or_default();
            output.extend_from_slice(plain);
            rest = after;
        }
    }

    /// Is ready for another stream.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}

/// What tokens may consist of.
fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one("a glpat-x1_-.=Y b", "a glpat-[MASKED] b")]
    #[case::within_a_word("aglpat-x, b", "aglpat-[MASKED], b")]
    #[case::at_the_end("a glpat-x", "a glpat-[MASKED]")]
    #[case::two("glpat-x glpat-y", "glpat-[MASKED] glpat-[MASKED]")]
    #[case::one_in_another("glpat-xglpat-y", "glpat-[MASKED]")]
    #[case::nothing_after_it("glpat- x", "glpat- x")]
    #[case::begins_again("gglglpat-x", "gglglpat-[MASKED]")]
    #[case::another_word("glpa-x", "glpa-x")]
    fn streams(#[case] input: &str, #[case] expected: &str) {
        for size in [1, 3, input.len()] {
            let (mut tokens, mut output) = (Tokens::default(), Vec::new());
            input.as_bytes().chunks(size).for_each(|chunk| tokens.push(chunk, &mut output));
            assert_eq!(String::from_utf8(output).unwrap(), expected, "{size}");
        }
    }
}
