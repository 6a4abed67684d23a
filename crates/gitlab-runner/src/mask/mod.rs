//! Secrets in output become `[MASKED]`, wherever chunks begin and end.
//! GitLab Runner's `common/buildlogger/internal/masker`

mod secrets;
mod tokens;

use self::secrets::Secrets;
use self::tokens::Tokens;

/// How long a word of a masked file is that is masked by itself: tokens, keys and certificates are, names and addresses are not.
const LONG: usize = 32;

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
    /// A masker of these secrets, and of all that looks like a token of GitLab's; empty ones are left out. GitLab masks no value
    /// of several lines, such as a kubeconfig; here what is long in one is a secret, too.
    pub fn new<Secret: AsRef<[u8]>>(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let secrets: Vec<Secret> = secrets.into_iter().collect();
        let words = secrets.iter().flat_map(|secret| long_words(secret.as_ref()));
        let secrets = Secrets::new(secrets.iter().map(AsRef::as_ref).chain(words));
        Self { secrets, tokens: Tokens::default(), between: Vec::new() }
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

/// Those of a text of several lines.
fn long_words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b',');
    let words = text.contains(&b'\n').then(|| text.split(is_between));
    words.into_iter().flatten().filter(|word| word.len() >= LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_in_a_file() {
        let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.c2lnbmF0dXJl";
        let masker = Masker::new([format!("users:\n- name: gitlab\n  user:\n    token: \"{token}\"\n")]);
        assert_eq!(masker.masked(&format!("Bearer {token}, of gitlab")), "Bearer [MASKED], of gitlab");
        assert_eq!(masker.masked("users: - name: gitlab"), "users: - name: gitlab");
    }

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
