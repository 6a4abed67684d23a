//! Secrets in output become `[MASKED]`, wherever chunks begin and end.
//! GitLab Runner's `common/buildlogger/internal/masker`

mod secrets;
mod tokens;

use self::secrets::Secrets;
use self::tokens::Tokens;

/// What stands for a secret.
const MASK: &[u8] = b"[MASKED]";

/// Masks a stream of bytes.
///
/// A secret of which `[MASKED]` brings in a part, such as `KED] x`, can appear by masking another one.
#[derive(Clone)]
pub struct Masker {
    secrets: Secrets,
    tokens: Tokens,
    /// What comes from the first and goes to the second; kept only to be used again.
    between: Vec<u8>,
}

impl Masker {
    /// A masker of these secrets, and of all that looks like a token of GitLab's; empty ones are left out.
    pub fn new<Secret: AsRef<[u8]>>(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self { secrets: Secrets::new(secrets), tokens: Tokens::default(), between: Vec::new() }
    }

    /// Takes a chunk, and gives out all bytes of which it is certain what they become.
    pub fn push(&mut self, chunk: &[u8], output: &mut Vec<u8>) {
        self.between.clear();
        self.secrets.push(chunk, &mut self.between);
        self.tokens.push(&self.between, output);
    }

    /// Gives out the rest, and is ready for another stream.
    pub fn finish(&mut self, output: &mut Vec<u8>) {
        self.between.clear();
        self.secrets.finish(&mut self.between);
        self.tokens.push(&self.between, output);
        self.tokens.restart();
    }

    /// A text by itself, whatever stream this is in the middle of.
    pub fn masked(&self, text: &str) -> String {
        let (mut masker, mut output) = (self.clone(), Vec::new());
        masker.finish(&mut output);
        output.clear();
        masker.push(text.as_bytes(), &mut output);
        masker.finish(&mut output);
        String::from_utf8_lossy(&output).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_tokens() {
        let mut masker = Masker::new(["s3cr3t"]);
        let mut output = Vec::new();
        for chunk in ["a s3c", "r3t glp", "at-ab", "cd s3"] {
            masker.push(chunk.as_bytes(), &mut output);
        }
        assert_eq!(masker.masked("x s3cr3t glpat-1"), "x [MASKED] glpat-[MASKED]");
        masker.finish(&mut output);
        assert_eq!(String::from_utf8(output).unwrap(), "a [MASKED] glpat-[MASKED] s3");
    }
}
